using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FluentAssertions.Execution;

namespace Integration;

/// <summary>The OpenAPI document against the service: what it says is so, and it says all.</summary>
public class ContractTests(SharedHost shared)
{
    private static readonly string[] Bounds = ["pattern", "enum", "minimum", "maximum", "maxLength", "format"];

    [Fact]
    [Trait("Readiness", "6")]
    public async Task Every_parameter_has_a_type_and_a_bound()
    {
        using var all = new AssertionScope();
        foreach (var (operation, parameter) in from operation in await OperationsAsync() from parameter in operation.Parameters select (operation, parameter))
        {
            var schema = parameter["schema"]!.AsObject();
            var said = schema.Select(member => member.Key).Should().Contain("type", $"{operation.Id} {parameter["name"]}").And.Subject;
            said.Intersect(Bounds).Should().NotBeEmpty($"{operation.Id} {parameter["name"]}");
            if (schema["format"]?.ToString() is "int32" or "int64")
                said.Should().Contain(["minimum", "maximum"], $"{operation.Id} {parameter["name"]}");
        }
    }

    /// <summary>That they are kept is shown by <see cref="FuzzTests"/>.</summary>
    [Fact]
    [Trait("Readiness", "6")]
    public async Task Every_member_of_a_body_has_a_type_and_a_bound()
    {
        var document = await DocumentAsync();
        using var all = new AssertionScope();
        var bodies = Operations(document).Select(operation => operation.Node["requestBody"]?["content"]?["application/json"]?["schema"]).OfType<JsonNode>().ToList();
        //#if (sample)
        bodies.Should().NotBeEmpty();
        //#endif
        bodies.ForEach(body => Bounded(body, "body"));

        void Bounded(JsonNode schema, string path)
        {
            schema = schema["$ref"] is { } reference ? document["components"]!["schemas"]![$"{reference}".Split('/')[^1]]! : schema;
            var said = schema.AsObject().Select(member => member.Key).ToList();
            switch (schema["type"] is JsonArray types ? $"{types.Single(type => $"{type}" != "null")}" : $"{schema["type"]}")
            {
                case "object":
                    foreach (var (name, member) in schema["properties"]!.AsObject())
                        Bounded(member!, $"{path}.{name}");
                    break;
                case "array":
                    said.Should().Contain("maxItems", path);
                    Bounded(schema["items"]!, path + "[]");
                    break;
                case "string":
                    said.Intersect(["maxLength", "pattern", "enum", "format"]).Should().NotBeEmpty(path);
                    break;
                case "integer" or "number":
                    said.Should().Contain(["minimum", "maximum"], path);
                    break;
                case var type:
                    type.Should().Be("boolean", path);
                    break;
            }
        }
    }

    [Fact]
    [Trait("Readiness", "6")]
    public async Task Every_parameter_out_of_its_bounds_is_refused()
    {
        var client = shared.Host.Client(Testing.NewName());
        using var all = new AssertionScope();
        foreach (var operation in await OperationsAsync())
        {
            using var valid = await client.SendAsync(operation.Request());
            valid.StatusCode.Should().NotBe(HttpStatusCode.BadRequest, $"{operation.Id} is valid");
            foreach (var (parameter, value) in from parameter in operation.Parameters from value in BadValues(parameter) select (parameter, value))
            {
                using var answer = await client.SendAsync(operation.Request(parameter, value));
                answer.StatusCode.Should().Be(HttpStatusCode.BadRequest, $"{operation.Id} with {parameter["name"]} = {value}");
            }
        }
    }

    [Fact]
    [Trait("Readiness", "16")]
    public async Task Every_operation_has_an_id_and_its_errors()
    {
        var operations = await OperationsAsync();

        operations.Should().NotBeEmpty().And.OnlyHaveUniqueItems(operation => operation.Id);
        using var all = new AssertionScope();
        foreach (var operation in operations)
        {
            operation.Id.Should().MatchRegex("^[A-Z][A-Za-z]+$");
            var responses = operation.Node["responses"]!.AsObject();
            responses.Select(response => response.Key).Should().Contain(["400", "406", "413", "415", "429", "500", "503", "504"], operation.Id);
            foreach (var (status, response) in responses.Where(response => response.Key[0] is '4' or '5'))
            {
                response!["content"]!["application/problem+json"].Should().NotBeNull($"{operation.Id} {status}");
            }
            //#if (auth == "jwt")
            if (operation.Node["security"] is not null)
            {
                responses.Select(response => response.Key).Should().Contain(["401", "403"], operation.Id);
            }
            //#endif
            //#if (sample)
            if (operation.Node["operationId"]!.ToString() is "ListProducts" or "GetProduct")
            {
                responses.Select(response => response.Key).Should().Contain("304", operation.Id);
            }
            //#endif
        }
    }

    [Fact]
    [Trait("Readiness", "16")]
    public async Task The_schemas_say_that_texts_are_texts_and_let_problems_have_their_members()
    {
        var schemas = (await shared.Host.Client().GetFromJsonAsync<JsonObject>("/openapi/v1.json"))!["components"]!["schemas"]!.AsObject();

        using var all = new AssertionScope();
        foreach (var (name, schema) in schemas)
        {
            foreach (var (member, described) in schema!["properties"]?.AsObject() ?? [])
            {
                (described!["type"] ?? described["$ref"] ?? described["oneOf"]).Should().NotBeNull($"{name}.{member} has a type");
            }
        }
        schemas["ProblemDetails"]!["additionalProperties"]?.GetValue<bool>().Should().BeTrue("problems have traceId and errors");
    }

    [Fact]
    [Trait("Readiness", "17")]
    [Trait("Readiness", "18")]
    public async Task The_docs_page_loads_nothing_from_elsewhere()
    {
        using var page = await shared.Host.Client().GetAsync("/docs/");

        page.StatusCode.Should().Be(HttpStatusCode.OK);
        var html = await page.Content.ReadAsStringAsync();
        Regex.Matches(html, "(?:src|href|url)\\s*[=:(]\\s*[\"']?(?:https?:)?//").Should().BeEmpty();
        foreach (Match asset in Regex.Matches(html, "src=\"([^\"]+)\""))
        {
            using var script = await shared.Host.Client().GetAsync($"/docs/{asset.Groups[1].Value}");
            script.StatusCode.Should().Be(HttpStatusCode.OK, asset.Value);
        }
        var policy = page.Headers.GetValues("Content-Security-Policy").Single();
        policy.Should().StartWith("default-src 'none'; script-src 'self' 'nonce-").And.NotContain("http").And.NotContain("*").And.NotContain("unsafe-eval")
            .And.EndWith("connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
        foreach (var own in (string[])["Content-Security-Policy", "Cross-Origin-Opener-Policy", "Origin-Agent-Cluster", "Permissions-Policy"])
        {
            page.Headers.Remove(own).Should().BeTrue(own);
        }
        page.Headers.Add("Content-Security-Policy", Api.ContentSecurityPolicy); // all else is as on any answer
        page.ShouldHaveTheHeaderSet("no-store");
    }

    [Theory]
    [InlineData("Development", false, 200)]
    [InlineData("Production", false, 404)]
    [InlineData("Production", true, 200)]
    [Trait("Readiness", "18")]
    public async Task The_docs_are_for_Development_unless_they_are_enabled_and_the_status_page_always(string environment, bool enabled, int status)
    {
        using var certificate = new TestCertificate();
        await using var host = await TestHost.StartAsync(environment: environment, settings:
        [
            ("Docs:Enabled", enabled.ToString()),
            .. environment == "Production" ? certificate.Settings : [],
            .. environment == "Production"
                ? [("Authentication:Schemes:Bearer:Authority", "https://tokens.test"), ("Authentication:Schemes:Bearer:ValidAudiences:0", "api"), .. Api.Production]
                : Array.Empty<(string, string)>(),
        ]);

        foreach (var path in (string[])["/docs/", "/openapi/v1.json"])
        {
            using var answer = await host.Client().GetAsync(path);
            ((int)answer.StatusCode).Should().Be(status, path);
        }
        foreach (var path in (string[])["/status", "/status/data"])
        {
            using var answer = await host.Client().GetAsync(path);
            ((int)answer.StatusCode).Should().Be(environment == "Development" ? 200 : 404, path); // never outside
        }
    }

    internal static IEnumerable<string> BadValues(JsonNode parameter)
    {
        var schema = parameter["schema"]!;
        if (schema["pattern"] is not null)
        {
            yield return "no t";
            yield return new string('A', 200) + "!";
            if (parameter["in"]?.ToString() != "path") // there it would be another path
                yield return "";
        }
        if (schema["format"]?.ToString() is "int32" or "int64" or "uuid" || schema["type"]?.ToString() == "integer")
        {
            yield return "x";
            yield return "1.5";
            yield return "99999999999999999999";
        }
        if (schema["minimum"] is { } minimum)
        {
            yield return $"{(long)minimum - 1}";
        }
        if (schema["maximum"] is { } maximum)
        {
            yield return $"{(long)maximum + 1}";
        }
        if (schema["maxLength"] is { } maxLength)
        {
            yield return new string('1', (int)maxLength + 1);
        }
        if (parameter["in"]!.ToString() == "query")
        {
            yield return $"1&{parameter["name"]}=1";
        }
    }

    private async Task<JsonObject> DocumentAsync() => (await shared.Host.Client().GetFromJsonAsync<JsonObject>("/openapi/v1.json"))!;

    private async Task<List<Operation>> OperationsAsync() => [.. Operations(await DocumentAsync())];

    internal static IEnumerable<Operation> Operations(JsonObject document)
    {
        var fuzz = new Fuzz(document, []);
        return from path in document["paths"]!.AsObject() from verb in path.Value!.AsObject() select new Operation(verb.Key, path.Key, verb.Value!, fuzz);
    }

    internal sealed record Operation(string Verb, string Path, JsonNode Node, Fuzz Fuzz)
    {
        public string Id => Node["operationId"]!.ToString();

        public IEnumerable<JsonNode> Parameters => Node["parameters"]?.AsArray().Select(parameter => parameter!) ?? [];

        /// <summary>A request that is right, except for the value of one parameter.</summary>
        public HttpRequestMessage Request(JsonNode? parameter = null, string? value = null, string? id = null)
        {
            var (place, name) = (parameter?["in"]?.ToString(), parameter?["name"]?.ToString());
            var path = Api.Fill(Path.Replace($"{{{(place == "path" ? name : "")}}}", Uri.EscapeDataString(value ?? ""), StringComparison.Ordinal), id);
            var request = new HttpRequestMessage(new HttpMethod(Verb), place == "query" ? $"{path}?{name}={value!.Replace(" ", "%20", StringComparison.Ordinal)}" : path);
            if (Node["requestBody"]?["content"]?["application/json"]?["schema"] is { } schema)
                request.Content = Api.Json(Fuzz.Body(schema));
            if (Parameters.Any(each => each["name"]!.ToString() == "Idempotency-Key"))
                request.Headers.Add("Idempotency-Key", Testing.NewName());
            if (Parameters.Any(each => each["name"]!.ToString() == "If-Match"))
                request.Headers.Add("If-Match", "\"0\""); // a version that nothing has
            if (place == "header")
            {
                request.Headers.Remove(name!);
                request.Headers.TryAddWithoutValidation(name!, value);
            }
            return request;
        }
    }
}
