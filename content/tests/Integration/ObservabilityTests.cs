using System.Net;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Storefront.Utilities;

namespace Integration;

public partial class ObservabilityTests
{
    [Fact]
    [Trait("Readiness", "56")]
    public async Task Ten_thousand_invented_paths_add_no_series_and_probes_are_not_counted()
    {
        await using var host = await TestHost.StartAsync();
        var client = host.Client("u");
        var name = Testing.NewName();
        //#if (jobs != "none")
        await Api.WorkAsync(host);
        //#endif
        foreach (var batch in Enumerable.Range(0, 10_000).Chunk(50))
        {
            await Task.WhenAll(batch.Select(i => client.GetAsync(i % 2 == 0 ? $"/{name}/{i}" : Api.Invented(name, i))));
        }
        foreach (var probe in (string[])["/health/live", "/health/ready", "/health/startup", "/metrics"])
        {
            (await client.GetAsync(probe)).StatusCode.Should().Be(HttpStatusCode.OK);
        }

        var metrics = "";
        await Testing.EventuallyAsync(
            async () => (metrics = await client.GetStringAsync("/metrics")).Contains("jobs_duration_seconds_count", StringComparison.Ordinal), "the job is counted");
        metrics.Should().Contain("http_server_request_duration_seconds_bucket").And.Contain("jobs_ready").And.Contain("jobs_dead").And.Contain("jobs_oldest_seconds");
        metrics.ToUpperInvariant().Should().NotContain(name.ToUpperInvariant());
        var templates = host.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .Select(endpoint => endpoint.RoutePattern.RawText!).Where(path => !path.StartsWith("/health", StringComparison.Ordinal) && path != "/metrics");
        Regex.Matches(metrics, "http_route=\"([^\"]*)\"").Select(match => match.Groups[1].Value).Distinct()
            .Where(route => !route.Contains("/test/", StringComparison.Ordinal)).Should().NotBeEmpty().And.BeSubsetOf(templates); // other hosts in this process count too
        var access = host.Log.Entries.Where(entry => entry.Category == "Storefront.Access").ToList();
        access.Should().HaveCountGreaterThanOrEqualTo(10_000).And.NotContain(entry => entry.Message.Contains("health", StringComparison.Ordinal) || entry.Message.Contains("metrics", StringComparison.Ordinal));
        access.Should().NotContain(entry => entry.Message.Contains(name, StringComparison.OrdinalIgnoreCase), "the log has templates, not paths");
    }

    [Fact]
    [Trait("Readiness", "31")]
    public async Task What_is_marked_confidential_is_erased_in_the_log()
    {
        await using var host = await TestHost.StartAsync();

        Messages.Mailed(host.Services.GetRequiredService<ILogger<ObservabilityTests>>(), "A-1", "ann@canary.example");

        var entry = host.Log.Entries.Should().ContainSingle(entry => entry.Message == "A-1 mailed to ").Which;
        entry.Fields.Should().Contain("A-1").And.NotContain("canary");
    }

    [Fact]
    [Trait("Readiness", "33")]
    public async Task Readiness_follows_the_database_with_patience_and_liveness_does_not()
    {
        var clock = new ShiftedClock();
        await using var host = await TestHost.StartAsync(services => services.AddSingleton<TimeProvider>(clock));
        (await StatusAsync(host, "ready")).Should().Be(200);

        await host.Database.BreakAsync();
        using var degraded = await host.Client().GetAsync("/health/ready");
        degraded.StatusCode.Should().Be(HttpStatusCode.OK);
        (await degraded.JsonAsync())["status"]!.ToString().Should().Be("degraded");

        clock.Shift = TimeSpan.FromSeconds(11);
        using var gone = await host.Client().GetAsync("/health/ready");
        (await gone.ShouldBeProblemAsync(503)).ToJsonString().Should().Contain("database").And.NotContainAny("Data Source", ".db", "/tmp", "Host=", "test_");
        (await StatusAsync(host, "live")).Should().Be(200);
        using var read = await host.Client("u").GetAsync(Api.Path);
        (await read.ShouldBeProblemAsync(503)).ToJsonString().Should().NotContainAny("Data Source", ".db", "Host=", "test_");
        host.Log.Entries.Should().NotContain(entry => entry.Level >= LogLevel.Error);

        await host.Database.RepairAsync();
        await Testing.EventuallyAsync(async () => await StatusAsync(host, "ready") == 200, "the service is ready again");
        (await host.Client("u").GetAsync(Api.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
        //#if (jobs != "none")
        await Api.WorkAsync(host);
        //#endif
    }

    private static async Task<int> StatusAsync(TestHost host, string probe)
    {
        using var answer = await host.Client().GetAsync($"/health/{probe}");
        return (int)answer.StatusCode;
    }

    private static partial class Messages
    {
        [LoggerMessage(1, LogLevel.Information, "{Id} mailed to {Address}")]
        public static partial void Mailed(ILogger logger, string id, [Confidential] string address);
    }
}
