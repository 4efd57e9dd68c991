using System.Net.Http.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Integration;

/// <summary>The page of the last minutes, for Development.</summary>
public class StatusPageTests
{
    [Fact]
    public async Task It_shows_the_engines_the_health_the_requests_the_jobs_and_the_last_warnings()
    {
        await using var host = await TestHost.StartAsync(services => services.AddTestEndpoints());
        var client = host.Client("u");
        using var read = await client.GetAsync(Api.Path);
        using var refused = await client.GetAsync("/test/missing");
        //#if (jobs != "none")
        await host.Database.ExecuteAsync("INSERT INTO outbox (id, type, body, available_at, created_at) VALUES ('waits', 'any', @body, @later, 0)", new { body = Array.Empty<byte>(), later = DateTimeOffset.MaxValue.ToUnixTimeMilliseconds() });
        //#endif

        await Testing.EventuallyAsync(
            async () => (await DataAsync(host))["jobs"]!["jobs.ready"]?.GetValue<double>() == 1, "the job that waits is counted");

        var data = await DataAsync(host);
        data["engines"]!.AsObject().Select(engine => engine.Key).Should().BeEquivalentTo(Api.Engines);
        data["health"]!["database"]!["status"]!.ToString().Should().Be("healthy");
        data["requests"]!.AsArray().Should().Contain(request => request!["route"]!.ToString().TrimEnd('/') == $"GET {Api.Path}" && request["perMinute"]!.GetValue<int>() > 0);
        data["lines"]!.AsArray().Should().Contain(line => line!["message"]!.ToString() == "Request refused: There is none." && line["traceId"]!.ToString().Length == 32);
    }

    [Fact]
    [Trait("Readiness", "17")]
    public async Task It_is_one_page_that_loads_nothing_and_runs_its_own_script_alone()
    {
        await using var host = await TestHost.StartAsync();
        using var answer = await host.Client().GetAsync("/status");
        using var again = await host.Client().GetAsync("/status");
        var page = await answer.Content.ReadAsStringAsync();
        var policy = answer.Headers.GetValues("Content-Security-Policy").Single();

        answer.Content.Headers.ContentType!.ToString().Should().Be("text/html; charset=utf-8");
        policy.Should().StartWith("default-src 'none'").And.NotContainAny("unsafe", "http:", "https:").And.NotBe(again.Headers.GetValues("Content-Security-Policy").Single());
        Regex.Matches(page, "<(script|style)[^>]*>").Select(tag => tag.Value).Should().HaveCount(2).And.OnlyContain(tag => policy.Contains(Regex.Match(tag, "nonce=\"(.*)\"").Groups[1].Value));
        Regex.Matches(page, "(src|href)=\"([^\"]*)\"").Select(link => link.Groups[2].Value).Should().BeEquivalentTo("data:,", "/docs", "/metrics");
    }

    private static async Task<JsonObject> DataAsync(TestHost host) => (await host.Client().GetFromJsonAsync<JsonObject>("/status/data"))!;
}
