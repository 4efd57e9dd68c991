using System.Net;

namespace EndToEnd.Faults;

//#if (jobs != "none")
/// <summary>PostgreSQL away, and killed.</summary>
public sealed class DataFaultTests(FleetServers servers) : IClassFixture<FleetServers>
//#endif
//#if (jobs == "none")
/// <summary>PostgreSQL away.</summary>
public sealed class DataFaultTests
//#endif
{
    //#if (jobs != "none")
    [Fact, Trait("Readiness", "38")]
    public async Task Jobs_outlive_a_database_that_is_killed_none_lost_and_none_done_twice()
    {
        await using var fleet = await servers.FleetAsync();
        await using var worker = await fleet.ServeWorkerAsync("Jobs__BackoffSeconds=0.5", "Jobs__TimeoutSeconds=15"); // and a lease of 30 s: what ran when it was killed comes again once that is over
        fleet.Site.Provider.Answering = Provider.ApproveAfter(() => Task.Delay(20));
        var keys = await fleet.PlaceAsync(worker, 500);

        foreach (var calls in (int[])[50, 250])
        {
            await Eventually.TrueAsync(() => fleet.Site.Provider.Calls.Count >= calls);
            servers.Postgres.Kill();
            await Eventually.TrueAsync(async () => (await fleet.ReadyAsync(worker)).Body.Contains("degraded", StringComparison.Ordinal));
            await servers.Postgres.StartAsync();
            fleet.Reconnect();
        }

        await fleet.SettledOnceAsync(keys);
        worker.Log.Should().NotContain(line => line.Is("Died"));
    }

    //#endif
    [Fact, Trait("Readiness", "33"), Trait("Readiness", "35")]
    public async Task Without_the_database_it_lives_unready_and_serves_as_soon_as_the_database_is_there()
    {
        await using var postgres = new PostgresServer("s3cret");
        await using var fleet = await Fleet.CreateAsync(postgres.ConnectionString);
        await using var service = await fleet.ServeAsync();
        using var http = fleet.Site.Client(service);

        (await http.GetAsync("/health/live")).StatusCode.Should().Be(HttpStatusCode.OK);
        var (status, body) = await fleet.ReadyAsync(service);
        status.Should().Be(HttpStatusCode.ServiceUnavailable);
        body.Should().Contain("database").And.NotContain("Host=").And.NotContain($"{postgres.Port}");
        using (var answer = await http.GetAsync(Operations.Path))
        {
            answer.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
            answer.Headers.RetryAfter.Should().NotBeNull();
        }

        await postgres.StartAsync();
        await fleet.MigrateAsync();

        await Eventually.TrueAsync(async () => (await fleet.ReadyAsync(service)).Status == HttpStatusCode.OK);
        await http.WorkAsync();
        //#if (jobs != "none")
        await fleet.SettledOnceAsync(await fleet.PlaceAsync(service, 10));
        //#endif
        service.Log.Should().Contain(line => line.Text("level") == "Warning" && line.Text("message")!.Contains("ConnectionStrings__Database", StringComparison.Ordinal));
        string.Concat(service.Lines).Should().NotContain("s3cret");
    }
}
