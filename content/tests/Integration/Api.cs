using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;

namespace Integration;

/// <summary>The calls that many tests make, and what every answer must have.</summary>
internal static partial class Api
{
    public const string ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

    public static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    public static async Task<JsonObject> JsonAsync(this HttpResponseMessage answer) => (await answer.Content.ReadFromJsonAsync<JsonObject>())!;

    /// <summary>A problem of the one shape that all errors have.</summary>
    public static async Task<JsonObject> ShouldBeProblemAsync(this HttpResponseMessage answer, int status)
    {
        var text = await answer.Content.ReadAsStringAsync();
        ((int)answer.StatusCode).Should().Be(status, text);
        answer.Content.Headers.ContentType!.ToString().Should().Be("application/problem+json");
        answer.ShouldHaveTheHeaderSet("no-store");
        var problem = JsonNode.Parse(text)!.AsObject();
        ((int)problem["status"]!).Should().Be(status);
        ((string)problem["title"]!).Should().NotBeEmpty();
        ((string)problem["traceId"]!).Should().MatchRegex("^[0-9a-f]{32}$");
        return problem;
    }

    public static async Task ShouldNameAsync(this HttpResponseMessage answer, string path) =>
        (await answer.ShouldBeProblemAsync(400))["errors"]!.AsObject().Select(error => error.Key).Should().Contain(path);

    public static void ShouldHaveTheHeaderSet(this HttpResponseMessage answer, string cacheControl)
    {
        var headers = answer.Headers.Concat(answer.Content.Headers).ToDictionary(header => header.Key, header => string.Join(", ", header.Value));
        foreach (var other in (string[])["Date", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Allow", "WWW-Authenticate", "Retry-After", "ETag", "Location", "RateLimit", "RateLimit-Policy"])
        {
            headers.Remove(other);
        }
        headers.Should().Equal(new Dictionary<string, string>
        {
            ["Cache-Control"] = cacheControl,
            ["Content-Security-Policy"] = ContentSecurityPolicy,
            ["Cross-Origin-Resource-Policy"] = "same-origin",
            ["Referrer-Policy"] = "no-referrer",
            ["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains",
            ["X-Content-Type-Options"] = "nosniff",
            ["X-Frame-Options"] = "DENY",
            ["X-Permitted-Cross-Domain-Policies"] = "none",
        });
    }
}
