using System.Buffers.Text;
using System.Net;
//#if (sample)
using System.Net.Http.Json;
//#endif
using System.Security.Cryptography;
using System.Text;
//#if (sample)
using System.Text.Json.Nodes;
//#endif
using FluentAssertions.Execution;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.IdentityModel.Tokens;

namespace Integration;

public class AccessTests(SharedHost shared)
{
    /// <summary>All that is open to everybody.</summary>
    private static readonly string[] Anonymous =
        ["/health/live", "/health/ready", "/health/startup", "/metrics", "/openapi/{documentName}.json", "/status", "/status/data", .. Api.Open];

    private static readonly byte[] ForeignKey = [.. Tokens.Key.Select(each => (byte)~each)];

    public static TheoryData<string> ForgedNames => [.. Forged().Select(each => each.Name)];

    [Theory]
    [MemberData(nameof(ForgedNames))]
    [Trait("Readiness", "25")]
    public async Task A_token_that_is_not_ours_is_refused(string name)
    {
        var client = shared.Host.WithToken(Forged().Single(each => each.Name == name).Token);

        using var answer = await client.GetAsync(Api.Path);

        await answer.ShouldBeProblemAsync(401);
        answer.Headers.WwwAuthenticate.ToString().Should().StartWith("Bearer");
    }

    [Fact]
    [Trait("Readiness", "25")]
    public async Task What_a_token_was_found_to_say_counts_for_a_minute_and_no_longer_than_the_token_or_its_key()
    {
        var (clock, checks) = (new ShiftedClock(), 0);
        await using var host = await TestHost.StartAsync(services => services.AddSingleton<TimeProvider>(clock).PostConfigure<JwtBearerOptions>(JwtBearerDefaults.AuthenticationScheme, jwt =>
        {
            var found = jwt.Events.OnTokenValidated;
            jwt.Events.OnTokenValidated = context =>
            {
                checks++;
                return found(context);
            };
        }));
        var (lasting, ending) = (host.WithToken(Tokens.Of("ann")), host.WithToken(Tokens.Make(new() { ["sub"] = "bob", ["scope"] = string.Join(' ', Storefront.Controllers.Scopes.All) }, validTo: 40)));
        async Task AfterAsync(int seconds, HttpClient client, int expected)
        {
            clock.Shift = TimeSpan.FromSeconds(seconds);
            (await client.GetAsync(Api.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
            checks.Should().Be(expected, "{0} s have passed", seconds);
        }

        await AfterAsync(0, lasting, 1);
        await AfterAsync(50, lasting, 1);
        await AfterAsync(61, lasting, 2);
        await AfterAsync(0, ending, 3);
        await AfterAsync(30, ending, 3);
        await AfterAsync(41, ending, 4); // by the clock of the computer it is still valid

        var configuration = host.Services.GetRequiredService<IConfiguration>();
        configuration[$"{Tokens.Settings}:0:Value"] = Convert.ToBase64String(ForeignKey);
        ((IConfigurationRoot)configuration).Reload();
        (await lasting.GetAsync(Api.Path)).StatusCode.Should().Be(HttpStatusCode.Unauthorized);
    }

    [Fact]
    [Trait("Readiness", "25")]
    public async Task A_token_counts_alone_and_in_its_header()
    {
        var token = Tokens.Of("u");
        using var query = await shared.Host.Client().GetAsync($"{Api.Path}?access_token={token}");
        using var cookie = await shared.Host.Client().SendAsync(new HttpRequestMessage(HttpMethod.Get, Api.Path) { Headers = { { "Cookie", $"access_token={token}" } } });

        await query.ShouldBeProblemAsync(401);
        await cookie.ShouldBeProblemAsync(401);
        foreach (var (headers, status) in new[]
        {
            ($"Authorization: bearer {token}", 200),
            ($"Authorization: Bearer {token}\r\nAuthorization: Bearer {token}", 401),
            ($"Authorization: Bearer {Tokens.Of("other")}\r\nAuthorization: Bearer {token}", 401),
            ($"Authorization: Basic dTpw\r\nAuthorization: Bearer {token}", 401),
            ($"Authorization: Basic {token}", 401),
            ($"Authorization: Bearer{token}", 401),
            ($"X-Authorization: Bearer {token}", 401),
        })
        {
            await using var stream = await shared.Host.ConnectAsync();
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"GET {Api.Path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n\r\n"));
            (await new StreamReader(stream).ReadLineAsync()).Should().StartWith($"HTTP/1.1 {status} ", headers.Replace(token, "...", StringComparison.Ordinal));
        }
    }

    [Fact]
    [Trait("Readiness", "25")]
    public async Task Scopes_count_in_one_claim_or_in_many_and_only_whole()
    {
        using var all = new AssertionScope();
        foreach (var (scopes, status) in new (object[], int)[]
        {
            ([Api.Scope], 200),
            ([$"other:write {Api.Scope}"], 200),
            (["other:write", Api.Scope], 200),
            (["other:write"], 403),
            ([Api.Scope + "2"], 403),
            ([Api.Scope.ToUpperInvariant()], 403),
            ([""], 403),
        })
        {
            using var answer = await shared.Host.Client("u", scopes).GetAsync(Api.Path);
            ((int)answer.StatusCode).Should().Be(status, string.Join(" + ", scopes));
        }
        using var nobody = await shared.Host.WithToken(Tokens.Make(new() { ["scope"] = Api.Scope })).GetAsync(Api.Path);
        await nobody.ShouldBeProblemAsync(403);
    }

    [Fact]
    [Trait("Readiness", "24")]
    public void Every_endpoint_has_a_policy_of_its_own_or_is_known_to_be_open()
    {
        var open = new List<string>();
        foreach (var endpoint in Endpoints())
        {
            if (endpoint.Metadata.GetMetadata<IAllowAnonymous>() is not null)
            {
                open.Add(endpoint.RoutePattern.RawText!);
                continue;
            }
            endpoint.Metadata.GetOrderedMetadata<IAuthorizeData>().Should().Contain(data => data.Policy != null, endpoint.RoutePattern.RawText);
        }
        open.Where(path => !path.StartsWith("/docs", StringComparison.Ordinal)).Should().BeEquivalentTo(Anonymous);
    }

    [Fact]
    [Trait("Readiness", "24")]
    public async Task Every_route_that_is_not_open_wants_a_token_and_its_scope()
    {
        var guarded = Endpoints().Where(endpoint => endpoint.Metadata.GetMetadata<IAllowAnonymous>() is null).ToList();
        guarded.Should().NotBeEmpty();
        foreach (var endpoint in guarded)
        {
            var path = Api.Fill(endpoint.RoutePattern.RawText!);
            var verb = new HttpMethod(endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()!.HttpMethods.Single());

            using var anonymous = await shared.Host.Client().SendAsync(new HttpRequestMessage(verb, path));
            using var powerless = await shared.Host.Client("u", "none").SendAsync(new HttpRequestMessage(verb, path));

            await anonymous.ShouldBeProblemAsync(401);
            await powerless.ShouldBeProblemAsync(403);
        }
    }

    [Fact]
    [Trait("Readiness", "24")]
    public async Task An_endpoint_that_says_nothing_about_access_is_closed()
    {
        using var anonymous = await shared.Host.Client().GetAsync("/test/without-policy");
        using var user = await shared.Host.Client("u").GetAsync("/test/without-policy");

        await anonymous.ShouldBeProblemAsync(401);
        user.StatusCode.Should().Be(HttpStatusCode.OK);
    }

    [Fact]
    [Trait("Readiness", "24")]
    public async Task An_endpoint_that_says_it_is_open_is_open_in_a_guarded_group_too()
    {
        using var anonymous = await shared.Host.Client().GetAsync("/test/open-in-a-guarded-group");

        anonymous.StatusCode.Should().Be(HttpStatusCode.OK);
    }

    //#if (sample)
    /// <summary>Every route that names an object by its id, whichever there will be; of another's object it says what it says of none.</summary>
    [Fact]
    [Trait("Readiness", "26")]
    public async Task A_user_finds_and_changes_nothing_of_anothers_on_any_route()
    {
        var (mine, other) = (shared.Host.Client(Testing.NewName()), shared.Host.Client(Testing.NewName()));
        var order = await mine.PlaceAsync();
        var before = await mine.GetStringAsync($"/v1/orders/{order["id"]}");
        var document = (await mine.GetFromJsonAsync<JsonObject>("/openapi/v1.json"))!;
        var operations = ContractTests.Operations(document).Where(operation => operation.Path.Contains("{id}", StringComparison.Ordinal)).ToList();

        operations.Should().HaveCountGreaterThan(1);
        operations.Select(operation => $"{operation.Verb.ToUpperInvariant()} {operation.Path}").Should().BeEquivalentTo(
            from endpoint in Endpoints()
            where endpoint.RoutePattern.RawText!.Contains("{id}", StringComparison.Ordinal)
            from verb in endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()!.HttpMethods
            select $"{verb} {endpoint.RoutePattern.RawText}", "what the document left out would not be asked");
        foreach (var operation in operations)
        {
            using var answer = await other.SendAsync(operation.Request(id: (string?)order["id"]));
            await answer.ShouldBeProblemAsync(404);
        }
        (await other.GetFromJsonAsync<JsonObject>("/v1/orders"))!["items"]!.AsArray().Should().BeEmpty();
        (await mine.GetStringAsync($"/v1/orders/{order["id"]}")).Should().Be(before);
    }

    //#endif
    private static Dictionary<string, object> Claims() => new() { ["sub"] = "u", ["scope"] = Api.Scope };

    private static IEnumerable<(string Name, string Token)> Forged()
    {
        const string payload = $$"""{"sub":"u","scope":"{{Api.Scope}}","iss":"dotnet-user-jwts","aud":"https://localhost:7443","nbf":1,"exp":4102444800}""";
        const string header = """{"alg":"HS256","typ":"JWT"}""";
        using var own = RSA.Create(2048);
        var key = JsonWebKeyConverter.ConvertFromRSASecurityKey(new(own.ExportParameters(includePrivateParameters: false)));
        string Injected(string member) => Rsa(own, $$"""{"alg":"RS256","typ":"JWT",{{member}}}""", payload);

        return
        [
            ("garbage", "garbage"),
            ("dots", ".."),
            ("four parts", Tokens.Forge(header, payload, Tokens.Key) + ".x"),
            ("encrypted", "e30.e30.e30.e30.e30"),
            ("huge", new string('A', 20_000)),
            ("huge payload", Tokens.Forge(header, payload[..^1] + $$""","x":"{{new string('x', 12_000)}}"}""", ForeignKey)),
            .. from alg in (string[])["none", "None", "NONE", "nOnE", "", " none", "null", "HS256 "] select ($"alg '{alg}'", Tokens.Forge($$"""{"alg":"{{alg}}","typ":"JWT"}""", payload, null)),
            ("alg none, signed", Tokens.Forge("""{"alg":"none"}""", payload, Tokens.Key)),
            ("no alg", Tokens.Forge("""{"typ":"JWT"}""", payload, Tokens.Key)),
            ("two algs", Tokens.Forge("""{"alg":"HS256","alg":"none"}""", payload, null)),
            ("no signature", Tokens.Forge(header, payload, null)),
            ("signed with nothing", Tokens.Forge("""{"alg":"HS256","kid":"/dev/null"}""", payload, [])),
            .. from kid in (string[])["../../../../dev/null", "' OR 1=1 --", "https://evil.test/key", "\\u0000", "|id", new('k', 5000)]
               select ($"kid {kid[..2]}{kid.Length}", Tokens.Forge($$"""{"alg":"HS256","kid":"{{kid}}"}""", payload, ForeignKey)),
            ("kid that is no text", Tokens.Forge("""{"alg":"HS256","kid":{"a":1}}""", payload, ForeignKey)),
            ("jwk", Injected($"\"jwk\":{{\"kty\":\"RSA\",\"n\":\"{key.N}\",\"e\":\"{key.E}\"}}")),
            ("jku", Injected("\"jku\":\"https://evil.test/keys\"")),
            ("x5u", Injected("\"x5u\":\"https://evil.test/keys\"")),
            ("x5c", Injected("\"x5c\":[\"MIIB\"]")),
            ("crit", Tokens.Forge("""{"alg":"HS256","crit":["exp2"],"exp2":1}""", payload, Tokens.Key)),
            ("crit b64", Tokens.Forge("""{"alg":"HS256","crit":["b64"],"b64":false}""", payload, Tokens.Key)),
            ("header that is no JSON", Tokens.Forge("alg", payload, Tokens.Key)),
            ("header that is no object", Tokens.Forge("[]", payload, Tokens.Key)),
            ("payload that is no JSON", Tokens.Forge(header, "sub", Tokens.Key)),
            ("payload that is no object", Tokens.Forge(header, "null", Tokens.Key)),
            ("payload with a lone surrogate", Tokens.Forge(header, payload.Replace("\"u\"", "\"\\ud800\"", StringComparison.Ordinal), ForeignKey)),
            .. from exp in (string[])["null", "\"x\"", "-1", "1e300", "99999999999999999999", "{}"]
               select ($"exp {exp}", Tokens.Forge(header, payload.Replace("4102444800", exp, StringComparison.Ordinal), exp is "-1" or "null" ? Tokens.Key : ForeignKey)),
            ("no exp", Tokens.Forge(header, payload.Replace(",\"exp\":4102444800", "", StringComparison.Ordinal), Tokens.Key)),
            ("expired", Tokens.Make(Claims(), validFrom: -7200, validTo: -3600)),
            ("not yet valid", Tokens.Make(Claims(), validFrom: 3600, validTo: 7200)),
            ("wrong audience", Tokens.Make(Claims(), audience: "https://elsewhere")),
            ("audience of a longer name", Tokens.Make(Claims(), audience: Tokens.Audience + ".evil.test")),
            ("no audience", Tokens.Forge(header, payload.Replace("\"aud\"", "\"aux\"", StringComparison.Ordinal), Tokens.Key)),
            ("wrong issuer", Tokens.Make(Claims(), issuer: "elsewhere")),
            ("no issuer", Tokens.Forge(header, payload.Replace("\"iss\"", "\"isx\"", StringComparison.Ordinal), Tokens.Key)),
            ("foreign key", Tokens.Make(Claims(), key: ForeignKey)),
            ("other algorithm", Tokens.Make(Claims(), algorithm: "HS512")),
        ];
    }

    private static string Rsa(RSA key, string header, string payload)
    {
        var unsigned = Tokens.Forge(header, payload, null);
        var signature = key.SignData(Encoding.ASCII.GetBytes(unsigned[..^1]), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        return unsigned + Base64Url.EncodeToString(signature);
    }

    private IEnumerable<RouteEndpoint> Endpoints() => shared.Host.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>();
}
