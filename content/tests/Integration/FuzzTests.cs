using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Integration;

/// <summary>
/// At least ten thousand requests made from the OpenAPI document: one half follows it, the other breaks it in one place. A new operation
/// is covered as soon as it is in the document. The variable FUZZ_SEED repeats another run.
/// </summary>
public class FuzzTests
{
    private const int Requests = 10_000, RequestsForEach = 600;

    private static readonly int Seed = int.TryParse(Environment.GetEnvironmentVariable("FUZZ_SEED"), out var seed) ? seed : 4;

    [Fact]
    [Trait("Readiness", "16")]
    public async Task Every_answer_is_one_that_the_document_has_and_no_wrong_request_is_accepted()
    {
        await using var host = await TestHost.StartAsync(settings: Api.Patient);
        var (client, findings, accepted) = (host.Client(), new ConcurrentQueue<string>(), new ConcurrentDictionary<string, int>());
        var fuzz = await Fuzz.OfAsync(host);

        await Parallel.ForEachAsync(Enumerable.Range(0, Math.Max(Requests, RequestsForEach * fuzz.Operations.Count())), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (number, cancellation) =>
        {
            var sent = fuzz.Make(new Random(unchecked((Seed * 1_000_003) + (number * 7_919))));
            try
            {
                using var request = sent.ToMessage();
                using var answer = await client.SendAsync(request, cancellation);
                var status = (int)answer.StatusCode;
                if (status < 300)
                    accepted.AddOrUpdate(sent.Operation, 1, (_, count) => count + 1);
                if (Wrong(sent, status, answer.Content.Headers.ContentType?.MediaType) is { } wrong)
                    findings.Enqueue($"{wrong}: request {number} of seed {Seed}\n{sent}\n{await answer.Content.ReadAsStringAsync(cancellation)}");
            }
            catch (HttpRequestException e)
            {
                findings.Enqueue($"no answer ({e.Message}): request {number} of seed {Seed}\n{sent}");
            }
        });

        string.Join("\n\n", findings.Take(5)).Should().BeEmpty($"there are {findings.Count} findings");
        accepted.Keys.Should().BeEquivalentTo(fuzz.Operations, "else the requests that follow the document do not get far enough");
        host.Log.Entries.Should().NotContain(entry => entry.Level >= Microsoft.Extensions.Logging.LogLevel.Error);
    }

    private static string? Wrong(Sent sent, int status, string? type) => status switch
    {
        >= 500 => $"{status}",
        < 400 when sent.IsWrong => $"accepted with {status}",
        _ when !sent.Statuses.Contains(status) => $"{status}, which the document does not have",
        >= 400 when type != "application/problem+json" => $"{status} as {type}",
        _ => null,
    };
}

/// <param name="Broken">What is wrong with it, if it is.</param>
/// <param name="IsWrong">Whether it must be refused.</param>
internal sealed record Sent(string Operation, string Verb, string Target, List<(string Name, string Value)> Headers, byte[]? Body, string? Broken, bool IsWrong, HashSet<int> Statuses)
{
    public HttpRequestMessage ToMessage()
    {
        var request = new HttpRequestMessage(new HttpMethod(Verb), Target) { Content = Body is null ? null : new ByteArrayContent(Body) };
        request.Headers.ExpectContinue = Body is { Length: > 60_000 } ? true : null; // else the service closes the connection while we still send
        foreach (var (name, value) in Headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
                request.Content?.Headers.TryAddWithoutValidation(name, value);
        }
        return request;
    }

    public override string ToString() =>
        $"{Verb} {Target} ({Broken ?? "as the document says"})\n{string.Join('\n', Headers.Select(header => $"{header.Name}: {Short(header.Value)}"))}\n\n{Short(Encoding.UTF8.GetString(Body ?? []))}";

    private static string Short(string text) => text.Length > 500 ? $"{text[..500]}... ({text.Length})" : text;
}

internal sealed class Fuzz(JsonObject document, Dictionary<string, string[]> examples)
{
    private static readonly string[] Texts = ["a", "Z", "0", " ", "'", "\"", "\\", "<b>", "--", "%", "\n", "é", "ß", "漢", "🦆", "\u202e", "e\u0301", "\uffff", "\u0001"];
    private static readonly string?[] NotJson = ["", "x", "{", "[1,2", "{\"a\":}", "{'a':1}", "{\"a\":1,}", "{/**/}", "NaN", "\"", "nul", "\"\u00ff\"", "\0", "{\"a\":01}", "\"\\x\"", "1e9999", null];
    private static readonly string[] NoTypes = ["text/plain", "application/xml", "application/json; charset=utf-16", "application/json; charset=nonsense", "application/json; charset=", "multipart/form-data", "x", "application/", ";"];

    private readonly List<(string Path, string Verb, JsonNode Node)> _operations =
        [.. from path in document["paths"]!.AsObject() from verb in path.Value!.AsObject() select (path.Key, verb.Key.ToUpperInvariant(), verb.Value!)];

    //#if (auth == "jwt")
    private readonly string[] _tokens = [Tokens.Of("fuzz"), Tokens.Of("other")];

    //#endif
    public IEnumerable<string> Operations => _operations.Select(operation => operation.Node["operationId"]!.ToString());

    /// <summary>The document says what an id looks like, and not which there are.</summary>
    public static async Task<Fuzz> OfAsync(TestHost host)
    {
        var client = host.Client("fuzz");
        var examples = await Api.ExamplesAsync(client);
        var document = (await client.GetFromJsonAsync<JsonObject>("/openapi/v1.json"))!;
        foreach (var create in ContractTests.Operations(document).Where(operation => operation.Verb == "post" && !operation.Path.Contains('{')))
        {
            var ids = new List<string>();
            for (var number = 0; number < 20; number++)
            {
                using var answer = await client.SendAsync(create.Request());
                if (answer.StatusCode == System.Net.HttpStatusCode.Created)
                    ids.Add((string)(await answer.JsonAsync())["id"]!);
            }
            if (ids.Count > 0)
                examples[$"{create.Path}/ id"] = [.. ids];
        }
        return new Fuzz(document, examples);
    }

    /// <summary>One that follows the document.</summary>
    public string Body(JsonNode schema) => Value(schema, "", new Random(1))!.ToJsonString();

    public Sent Make(Random random)
    {
        var (path, verb, node) = Pick(random, _operations);
        var values = (node["parameters"]?.AsArray() ?? [])
            .Where(parameter => parameter!["required"]?.GetValue<bool>() is true || random.Next(2) == 0)
            .ToDictionary(parameter => parameter!, parameter => $"{Value(parameter!["schema"]!, Known(path, $"{parameter["name"]}"), random)}");
        var schema = node["requestBody"]?["content"]?["application/json"]?["schema"];
        var json = schema is null ? null : Value(schema, "", random);
        var headers = new List<(string Name, string Value)>();
        //#if (auth == "jwt")
        if (node["security"] is not null || random.Next(4) == 0)
            headers.Add(("Authorization", "Bearer " + Pick(random, _tokens)));
        //#endif
        if (schema is not null)
            headers.Add(("Content-Type", "application/json"));
        var (extra, broken, isWrong) = ("", (string?)null, false);
        var statuses = node["responses"]!.AsObject().Select(response => int.Parse(response.Key, CultureInfo.InvariantCulture)).ToHashSet();
        var body = json?.ToJsonString() is { } text ? Encoding.UTF8.GetBytes(text) : null;

        switch (random.Next(14))
        {
            case 0 or 1 when values.Count > 0:
                var (parameter, name) = (Pick(random, [.. values.Keys]), "");
                name = $"{parameter["name"]}";
                if (Pick(random, [.. ContractTests.BadValues(parameter), null]) is { } bad)
                    (values[parameter], broken, isWrong) = (bad, $"{name} out of its bounds", true);
                else if (parameter["required"]?.GetValue<bool>() is true && $"{parameter["in"]}" != "path")
                    (broken, isWrong) = ($"{name} is missing", values.Remove(parameter));
                break;
            case 2 or 3 or 4 when json is not null:
                (body, broken, isWrong) = BreakBody(json, schema!, random);
                break;
            case 5 when body is not null:
                (body, broken, isWrong) = (Pick(random, NotJson) is { } raw ? Encoding.Latin1.GetBytes(raw) : [.. body, .. body], "no JSON", true);
                break;
            case 6 when body is not null:
                headers[^1] = ("Content-Type", Pick(random, NoTypes));
                (broken, isWrong) = ("no type of ours", true);
                break;
            case 7:
                headers.Add(("Accept", Pick(random, ["text/html", "application/json;q=0", "image/*, text/*"])));
                (broken, isWrong) = ("accepts nothing of ours", true);
                break;
            //#if (auth == "jwt")
            case 8:
                headers.RemoveAll(header => header.Name == "Authorization");
                headers.Add(("Authorization", Pick(random, ["", "Bearer", "Bearer ", "Bearer x.y.z", "Basic dTpw", "Bearer " + new string('A', 9000), "Bearer " + Tokens.Of("u", "none")])));
                (broken, isWrong) = ("no right to it", node["security"] is not null);
                break;
            //#endif
            case 9:
                extra = Pick(random, ["x=%00", "x=%0d%0aSet-Cookie:%20a=b", "x=%1b", "limit=1&limit=2", "x=1&X=2"]);
                (broken, isWrong) = ("a query with a control character, or twice the same", true);
                break;
            case 10:
                headers.AddRange(Enumerable.Range(0, random.Next(1, 40)).Select(number => ($"X-{number}", new string('x', random.Next(400)))));
                headers.Add(Pick(random,
                [
                    ("X-HTTP-Method-Override", "DELETE"), ("X-Forwarded-For", "6.6.6.6, ::1"), ("X-Original-URL", "/metrics"), ("Cookie", new string('c', 4000)), ("traceparent", "00-zz-1-0"),
                    ("If-None-Match", "\"a\", W/\"b\", \"\", ,*"), ("Range", "bytes=0-0,5-1"), ("Accept-Language", "xx-\""), ("Content-Encoding", "gzip"), ("Origin", "null"), ("Baggage", ";=,;"), ("Date", "x"),
                ]));
                broken = "odd headers";
                break;
            case 11:
                path += Pick(random, ["/", "//", "/x", "%0a", "%2e%2e%2f", ";a=b", "%", "%C0%AF", "?%", "?&=&&", "?" + new string('q', 4000)]);
                statuses.UnionWith([404, 405]);
                broken = "another path";
                break;
        }

        foreach (var (parameter, value) in values)
        {
            var name = $"{parameter["name"]}";
            if ($"{parameter["in"]}" == "path")
                path = path.Replace($"{{{name}}}", Uri.EscapeDataString(value), StringComparison.Ordinal);
            else if ($"{parameter["in"]}" == "header")
                headers.Add((name, value));
            else
                extra += $"{(extra.Length > 0 ? "&" : "")}{name}={(value.Contains('&', StringComparison.Ordinal) ? value : Uri.EscapeDataString(value))}";
        }
        var target = extra.Length == 0 ? path : $"{path}{(path.Contains('?', StringComparison.Ordinal) ? '&' : '?')}{extra}";
        return new Sent($"{node["operationId"]}", verb, target, headers, body, broken, isWrong, statuses);
    }

    /// <summary>One thing is wrong in one place, known from the schema of that place.</summary>
    private (byte[] Body, string Broken, bool IsWrong) BreakBody(JsonNode json, JsonNode schema, Random random)
    {
        var members = Members(json, schema).ToList();
        var (parent, owner, name) = Pick(random, members);
        var member = Resolve(owner["properties"]![name]!);
        var (types, type) = (TypesOf(member), TypesOf(member).FirstOrDefault(each => each != "null"));
        var broken = $"{name}: ";
        var isWrong = true;
        switch (random.Next(9))
        {
            case 0:
                (broken, isWrong) = (broken + "missing", owner["required"]?.AsArray().Any(required => $"{required}" == name) is true);
                parent.Remove(name);
                break;
            case 1:
                (broken, isWrong, parent[name]) = (broken + "null", !types.Contains("null"), null);
                break;
            case 2:
                broken += "another type";
                parent[name] = JsonNode.Parse(Pick(random, [.. new[] { ("string", "\"7\""), ("boolean", "true"), ("integer", "1.5"), ("integer", "7"), ("array", "[]"), ("array", "[[[]]]"), ("object", "{}"), ("object", "{\"a\":{}}") }
                    .Where(each => each.Item1 != type || each.Item2 == "1.5").Select(each => each.Item2)]));
                break;
            case 3:
                (broken, parent[Pick(random, ["x", "Id", "status", "owner", "$type", "__proto__", "$ref", "", name.ToUpperInvariant()])]) = (broken + "an unknown member beside it", 1);
                break;
            case 4:
                (broken, parent["@@" + name]) = (broken + "twice", parent[name]?.DeepClone());
                break;
            case 5 when type == "string":
                (broken, parent[name]) = (broken + "text that cannot be stored", $"a{Pick(random, ["##", "~~"])}");
                break;
            case 6:
                broken += "nested without end";
                return (Encoding.UTF8.GetBytes($"{{\"{name}\":{new string('[', 20_000)}"), broken, true);
            case 7:
                broken += "too much";
                return (Encoding.UTF8.GetBytes(json.ToJsonString() + new string(' ', 70_000)), broken, true);
            default:
                broken += "out of its bounds";
                JsonNode? value = (type, member["maximum"], member["maxLength"], member["pattern"], member["maxItems"]) switch
                {
                    ("integer", { } maximum, _, _, _) => random.Next(2) == 0 ? (long)maximum + 1 : (long)member["minimum"]! - 1,
                    ("string", _, { } length, _, _) => new string('x', (int)length + 1),
                    ("string", _, _, not null, _) => Pick(random, ["", " ", "\n", "A\n", new string('A', 5000)]),
                    ("array", _, _, _, { } most) => new JsonArray([.. Enumerable.Range(0, (int)most + 1).Select(_ => parent[name]![0]!.DeepClone())]),
                    _ => null,
                };
                (parent[name], isWrong) = (value ?? parent[name]?.DeepClone(), value is not null);
                break;
        }
        var text = json.ToJsonString().Replace("@@", "", StringComparison.Ordinal).Replace("##", "\\u0000", StringComparison.Ordinal).Replace("~~", "\\ud800", StringComparison.Ordinal);
        return (Encoding.UTF8.GetBytes(text), broken, isWrong);
    }

    private IEnumerable<(JsonObject Parent, JsonNode Schema, string Name)> Members(JsonNode? json, JsonNode schema)
    {
        var resolved = Resolve(schema);
        return json switch
        {
            JsonObject parent => parent.SelectMany(member => Members(member.Value, resolved["properties"]![member.Key]!).Prepend((parent, resolved, member.Key))),
            JsonArray items => items.SelectMany(item => Members(item, resolved["items"]!)),
            _ => [],
        };
    }

    /// <summary>Under which name there are examples: an id is one of its own collection.</summary>
    private string Known(string path, string name) => $"{path.Split('{')[0]} {name}" is var known && examples.ContainsKey(known) ? known : name;

    private JsonNode? Value(JsonNode described, string name, Random random)
    {
        var schema = Resolve(described);
        var types = TypesOf(schema);
        if (examples.TryGetValue(name, out var known) && random.Next(4) > 0)
            return Pick(random, known);
        if (types.Contains("null") && random.Next(5) == 0)
            return null;
        int Bound(string bound, int otherwise) => (int?)schema[bound] ?? otherwise;
        switch (types.FirstOrDefault(type => type is not "null"))
        {
            case "object":
                var required = schema["required"]?.AsArray().Select(each => $"{each}").ToHashSet() ?? [];
                return new JsonObject(from member in schema["properties"]!.AsObject() where required.Contains(member.Key) || random.Next(2) == 0 select KeyValuePair.Create(member.Key, Value(member.Value!, member.Key, random)));
            case "array":
                var count = random.Next(Bound("minItems", 0), Math.Min(Bound("maxItems", 5), random.Next(10) == 0 ? 100 : 4) + 1);
                return new JsonArray([.. Enumerable.Range(0, count).Select(_ => Value(schema["items"]!, "", random))]);
            case "integer" or "number":
                long minimum = Bound("minimum", 0), maximum = Bound("maximum", int.MaxValue);
                return Pick(random, [minimum, maximum, random.NextInt64(minimum, maximum + 1)]);
            case "boolean":
                return random.Next(2) == 0;
        }
        if (schema["enum"]?.AsArray() is { } choices)
            return $"{Pick(random, [.. choices])}";
        if (schema["format"]?.ToString() == "uuid")
            return new Guid(Enumerable.Range(0, 16).Select(_ => (byte)random.Next(256)).ToArray()).ToString();
        if (schema["pattern"]?.ToString() is { } pattern)
            return Matching(pattern, Bound("maxLength", 1000), random);
        var parts = string.Concat(Enumerable.Range(0, random.Next(Bound("maxLength", 50) / 2)).Select(_ => name is "" or "name" ? Pick(random, Texts) : "x"));
        return parts.Length < Bound("minLength", 0) ? new string('m', Bound("minLength", 0)) : parts;
    }

    /// <summary>For patterns of literals, classes and groups of alternatives, with a quantifier or without.</summary>
    private static string Matching(string pattern, int most, Random random)
    {
        var text = new StringBuilder();
        foreach (Match part in Regex.Matches(pattern.TrimStart('^').TrimEnd('$'), @"(?:\[(?<class>[^\]]+)\]|\((?:\?:)?(?<choice>[^)]+)\)|\\(?<one>.)|(?<one>.))(?:\{(?<from>\d+)(?<to>,\d*)?\}|(?<many>[*+?]))?"))
        {
            string[] choices = part.Groups["class"] is { Success: true } set
                ? [.. Regex.Matches(set.Value, "(.)-(.)|(.)").SelectMany(range => range.Groups[3].Success ? [range.Value] : Enumerable.Range(range.Value[0], range.Value[2] - range.Value[0] + 1).Select(each => $"{(char)each}"))]
                : part.Groups["choice"] is { Success: true } group ? group.Value.Split('|') : [part.Groups["one"].Value];
            var from = part.Groups["from"] is { Success: true } first ? int.Parse(first.Value, CultureInfo.InvariantCulture) : part.Groups["many"].Value is "*" or "?" ? 0 : 1;
            var to = part.Groups["to"].Value is [',', .. var last] ? int.TryParse(last, out var bound) ? bound : from + 20 : part.Groups["many"].Value is "*" or "+" ? 20 : Math.Max(from, 1);
            text.Append(string.Concat(Enumerable.Range(0, Pick(random, [from, to, random.Next(from, to + 1)])).Select(_ => Pick(random, choices))));
        }
        var made = text.ToString();
        return Regex.IsMatch(made, pattern) && made.Length <= most ? made : throw new NotSupportedException($"No text can be made for the pattern {pattern}: name examples in {nameof(Api.ExamplesAsync)}.");
    }

    private JsonNode Resolve(JsonNode schema) =>
        schema["oneOf"]?.AsArray().FirstOrDefault(each => each!["$ref"] is not null) is { } one ? Resolve(one)
        : schema["$ref"]?.ToString() is { } reference ? document["components"]!["schemas"]![reference.Split('/')[^1]]! : schema;

    private static string[] TypesOf(JsonNode schema) => schema["type"] switch
    {
        JsonArray many => [.. many.Select(type => $"{type}")],
        { } one => [$"{one}"],
        _ => [],
    };

    private static T Pick<T>(Random random, IReadOnlyList<T> from) => from[random.Next(from.Count)];
}
