using System.Net;
using System.Text.Json;

namespace EndToEnd.Faults;

/// <summary>The servers over TLS, with certificates of one's own authority, and with such as nobody may accept.</summary>
public sealed class TlsFaultTests(FleetServers servers) : IClassFixture<FleetServers>, IAsyncDisposable
{
    //#if (cache == "redis")
    private readonly RedisServer _redis = new();

    //#endif
    [Fact, Trait("Readiness", "21")]
    public async Task All_connections_are_over_TLS_that_ones_own_authority_vouches_for()
    {
        await using var fleet = await FleetAsync(site => site.Certificates.Issue("engines"));
        await using var service = await ServeAsync(fleet, "Limits__RequestsPerSecond=1", "Limits__Burst=1000"); // what a caller has taken is kept for a while

        //#if (jobs != "none")
        var keys = await fleet.PlaceAsync(service, 5);

        await fleet.SettledOnceAsync(keys);
        //#endif
        await Eventually.TrueAsync(async () => (await fleet.ReadyAsync(service)).Body.Contains("\"status\":\"healthy\"", StringComparison.Ordinal));
        fleet.Value<bool>("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name <> ''").Should().BeTrue();
        using var http = fleet.Site.Client(service);
        (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
        //#if (cache == "redis")
        await Eventually.TrueAsync(async () => await _redis.CommandAsync("DBSIZE") is [':', > '0', ..]);
        //#endif
        service.Log.Should().NotContain(line => line.Text("level") == "Critical" || line.Is("Waiting"));
    }

    [Theory, Trait("Readiness", "21")]
    [InlineData("another authority")]
    [InlineData("expired")]
    [InlineData("another name")]
    public async Task A_certificate_that_nobody_may_accept_is_not(string fault)
    {
        await using var fleet = await FleetAsync(site => Issue(site, fault));

        await using (var unready = await ServeAsync(fleet))
        {
            using var http = fleet.Site.Client(unready);
            var (status, body) = await fleet.ReadyAsync(unready);
            status.Should().Be(HttpStatusCode.ServiceUnavailable);
            JsonElement.Parse(body).Text("detail").Should().StartWith("database:");
            (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
            unready.Log.Should().ContainSingle(line => line.Is("NotYet")).Which.Text("message").Should().Contain("no certificate that is trusted").And.Contain("ConnectionStrings__Database");
        }
        //#if (cache == "redis" || jobs == "rabbitmq")

        await using var degraded = await ServeAsync(fleet, $"ConnectionStrings__Database={fleet.Database}");
        //#if (jobs == "rabbitmq")
        var waiting = await degraded.LineAsync(line => line.Is("Waiting"));
        //#endif
        //#if (cache == "redis")
        var away = await degraded.LineAsync(line => line.Is("Away"));
        //#endif
        await fleet.DegradedAsync(degraded);
        //#if (jobs != "none")
        await fleet.PlaceAsync(degraded, 1);
        //#endif

        JsonElement.Parse((await fleet.ReadyAsync(degraded)).Body).GetProperty("checks").EnumerateObject().Where(check => check.Value.ToString() != "healthy")
            .Select(check => check.Name).Should().BeEquivalentTo("redis", "rabbitmq");
        //#if (jobs == "rabbitmq")
        waiting.Text("message").Should().Contain("no certificate that is trusted").And.Contain("ConnectionStrings__RabbitMq");
        degraded.Log.Where(line => line.Is("Waiting")).Select(line => line.Text("category")).Should().OnlyHaveUniqueItems("each worker says it once");
        (await servers.Rabbit.CtlAsync("list_queues", "name")).Should().NotContain(fleet.Queue);
        //#endif
        //#if (cache == "redis")
        away.Text("message").Should().Contain("no certificate that is trusted").And.Contain("ConnectionStrings__Redis");
        degraded.Log.Should().ContainSingle(line => line.Is("Away"));
        (await _redis.CommandAsync("DBSIZE")).Should().StartWith(":0");
        //#endif
        //#endif
    }

    [Fact, Trait("Readiness", "21")]
    public async Task The_connection_string_of_PostgreSQL_may_name_an_authority_itself()
    {
        await using var fleet = await FleetAsync(site => site.Certificates.Issue("engines"));
        using var other = Other(fleet.Site);

        foreach (var (authority, ready) in new[] { (fleet.Site.Certificates, HttpStatusCode.OK), (other, HttpStatusCode.ServiceUnavailable) })
        {
            await using var service = await fleet.ServeAsync($"ConnectionStrings__Database={fleet.Database};SSL Mode=VerifyFull;Root Certificate={authority.AuthorityFile}");
            (await fleet.ReadyAsync(service)).Status.Should().Be(ready);
        }
    }

    private static (string Certificate, string Key) Issue(Site site, string fault)
    {
        if (fault == "expired")
            return site.Certificates.Issue("engines", days: -1);
        if (fault == "another name")
            return site.Certificates.Issue("engines", "elsewhere.test");
        using var other = Other(site);
        return other.Issue("engines");
    }

    private static Certificates Other(Site site) => new(Directory.CreateDirectory(Path.Combine(site.Folder, "other")).FullName);

    /// <summary>All servers show a certificate of the fleet's own site.</summary>
    private async Task<Fleet> FleetAsync(Func<Site, (string Certificate, string Key)> issue)
    {
        var fleet = await servers.FleetAsync();
        await ShowAsync(servers.Postgres);
        //#if (jobs == "rabbitmq")
        await ShowAsync(servers.Rabbit);
        //#endif
        //#if (cache == "redis")
        await ShowAsync(_redis);
        //#endif
        return fleet;

        Task ShowAsync(Server server)
        {
            server.Certificate = issue(fleet.Site);
            server.Kill();
            return server.StartAsync();
        }
    }

    private Task<ServiceProcess> ServeAsync(Fleet fleet, params string[] settings) => fleet.ServeAsync(
    [
        $"ConnectionStrings__Database={fleet.Database};SSL Mode=VerifyFull",
        //#if (cache == "redis")
        $"ConnectionStrings__Redis={_redis.TlsConnectionString}",
        //#endif
        //#if (jobs == "rabbitmq")
        $"ConnectionStrings__RabbitMq={servers.Rabbit.TlsConnectionString}",
        //#endif
        .. settings,
    ]);
    //#if (cache == "redis")

    public ValueTask DisposeAsync() => _redis.DisposeAsync();
    //#endif
}
