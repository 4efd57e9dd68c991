using System.Net;
using System.Text.Json;

namespace EndToEnd.Faults;

/// <summary>PostgreSQL, Redis and RabbitMQ over TLS, with certificates of one's own authority, and with such as nobody may accept.</summary>
public sealed class TlsFaultTests(FleetServers servers) : IClassFixture<FleetServers>
{
    [Fact, Trait("Readiness", "21")]
    public async Task All_connections_are_over_TLS_that_ones_own_authority_vouches_for()
    {
        await using var redis = new RedisServer();
        await using var fleet = await FleetAsync(redis, site => site.Certificates.Issue("engines"));
        await using var service = await ServeAsync(fleet, redis);

        var keys = await fleet.PlaceAsync(service, 5);

        await fleet.SettledOnceAsync(keys);
        await Eventually.TrueAsync(async () => (await fleet.ReadyAsync(service)).Body.Contains("\"status\":\"healthy\"", StringComparison.Ordinal));
        fleet.Value<bool>("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name <> ''").Should().BeTrue();
        using var http = fleet.Site.Client(service);
        (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
        await Eventually.TrueAsync(async () => await redis.CommandAsync("DBSIZE") is [':', > '0', ..]);
        service.Log.Should().NotContain(line => line.Text("level") == "Critical" || line.Is("Waiting"));
    }

    [Theory, Trait("Readiness", "21")]
    [InlineData("another authority")]
    [InlineData("expired")]
    [InlineData("another name")]
    public async Task A_certificate_that_nobody_may_accept_is_not(string fault)
    {
        await using var redis = new RedisServer();
        await using var fleet = await FleetAsync(redis, site => Issue(site, fault));

        await using (var unready = await fleet.ServeAsync($"ConnectionStrings__Database={fleet.Database};SSL Mode=VerifyFull", "ConnectionStrings__RabbitMq"))
        {
            using var http = fleet.Site.Client(unready);
            var (status, body) = await fleet.ReadyAsync(unready);
            status.Should().Be(HttpStatusCode.ServiceUnavailable);
            JsonElement.Parse(body).Text("detail").Should().StartWith("database:");
            (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
            unready.Log.Should().ContainSingle(line => line.Is("NotYet")).Which.Text("message").Should().Contain("no certificate that is trusted").And.Contain("ConnectionStrings__Database");
        }

        await using var degraded = await ServeAsync(fleet, redis, $"ConnectionStrings__Database={fleet.Database}");
        var waiting = await degraded.LineAsync(line => line.Is("Waiting"));
        var away = await degraded.LineAsync(line => line.Is("Away"));
        await fleet.DegradedAsync(degraded);
        await fleet.PlaceAsync(degraded, 1);

        waiting.Text("message").Should().Contain("no certificate that is trusted").And.Contain("ConnectionStrings__RabbitMq");
        away.Text("message").Should().Contain("no certificate that is trusted").And.Contain("ConnectionStrings__Redis");
        JsonElement.Parse((await fleet.ReadyAsync(degraded)).Body).GetProperty("checks").EnumerateObject().Where(check => check.Value.ToString() != "healthy")
            .Select(check => check.Name).Should().BeEquivalentTo("redis", "rabbitmq");
        degraded.Log.Where(line => line.Is("Waiting")).Select(line => line.Text("category")).Should().OnlyHaveUniqueItems("each worker says it once");
        degraded.Log.Should().ContainSingle(line => line.Is("Away"));
        (await redis.CommandAsync("DBSIZE")).Should().StartWith(":0");
        (await servers.Rabbit.CtlAsync("list_queues", "name")).Should().NotContain(fleet.Queue);
    }

    [Fact, Trait("Readiness", "21")]
    public async Task The_connection_string_of_PostgreSQL_may_name_an_authority_itself()
    {
        await using var redis = new RedisServer();
        await using var fleet = await FleetAsync(redis, site => site.Certificates.Issue("engines"));
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

    /// <summary>All three servers show a certificate of the fleet's own site.</summary>
    private async Task<Fleet> FleetAsync(RedisServer redis, Func<Site, (string Certificate, string Key)> issue)
    {
        var fleet = await servers.FleetAsync();
        foreach (var server in (Server[])[servers.Postgres, servers.Rabbit, redis])
        {
            server.Certificate = issue(fleet.Site);
            if (server != redis)
                server.Kill();
            await server.StartAsync();
        }
        return fleet;
    }

    private Task<ServiceProcess> ServeAsync(Fleet fleet, RedisServer redis, params string[] settings) => fleet.ServeAsync(
    [
        $"ConnectionStrings__Database={fleet.Database};SSL Mode=VerifyFull", $"ConnectionStrings__Redis={redis.TlsConnectionString}",
        $"ConnectionStrings__RabbitMq={servers.Rabbit.TlsConnectionString}", .. settings,
    ]);
}
