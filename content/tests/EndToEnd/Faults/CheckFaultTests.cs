namespace EndToEnd.Faults;

public sealed class CheckFaultTests(FleetServers servers) : IClassFixture<FleetServers>
{
    [Fact, Trait("Readiness", "64")]
    public async Task Servers_that_are_fit_pass_before_and_after_the_first_start()
    {
        await using var fleet = await servers.FleetAsync();
        //#if (cache == "redis")
        await using var redis = new RedisServer();
        await redis.StartAsync();
        //#endif
        var settings = Settings(
            fleet
            //#if (cache == "redis")
            , $"ConnectionStrings__Redis={redis.ConnectionString}"
            //#endif
            );

        var items = await fleet.Site.CheckAsync(settings);

        items.Should().NotContain(item => item.Value == "fail").And.Contain("database role", "pass");
        //#if (cache == "redis")
        items.Should().Contain("redis", "pass");
        //#endif
        //#if (jobs == "rabbitmq")
        items.Should().Contain("queue", "pass");
        var queues = async () => await fleet.MessagesAsync();
        await queues.Should().ThrowAsync<RabbitMQ.Client.Exceptions.OperationInterruptedException>("it looks and makes nothing");
        await using (var worker = await fleet.Site.ServeAsync(settings))
            await fleet.ConsumingAsync(worker);
        (await fleet.Site.RunAsync(["check"], settings)).Output.Should().MatchRegex("pass +queue +as the service declares it");
        //#endif
    }

    [Theory, Trait("Readiness", "64"), Trait("Readiness", "47"), Trait("Readiness", "49")]
    [InlineData("ALTER ROLE {role} SUPERUSER", "database role")]
    [InlineData("GRANT CREATE ON SCHEMA public TO {role}", "database role")]
    [InlineData("CREATE TABLE other (id INT); ALTER TABLE other OWNER TO {role}", "database role")]
    [InlineData("ALTER ROLE {role} NOLOGIN", "database answers, database role, schema, connections, clock")]
    //#if (jobs != "none")
    [InlineData("DELETE FROM schemaversions WHERE scriptname = '0003_jobs.sql'", "schema")]
    //#endif
    [InlineData("CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.clock_timestamp() - interval ''1 min'''; ALTER ROLE {role} SET search_path = public, pg_catalog", "clock")]
    [InlineData("", "connections", "Process__Instances=50")]
    //#if (jobs == "rabbitmq")
    [InlineData("", "queue", "ConnectionStrings__RabbitMq=amqp://guest:s3cret@127.0.0.1:{rabbit}")]
    [InlineData("", "queue", "ConnectionStrings__RabbitMq=amqp://guest:guest@127.0.0.1:{rabbit}/s3cret")]
    //#endif
    public async Task Each_unfit_server_fails_its_item_and_no_other(string sql, string items, string setting = "Process__Instances=3")
    {
        await using var fleet = await servers.FleetAsync();
        //#if (jobs == "rabbitmq")
        setting = setting.Replace("{rabbit}", $"{servers.Rabbit.Port}", StringComparison.Ordinal);
        //#endif
        var settings = Settings(fleet, setting);
        if (sql.Length > 0)
            fleet.Execute(sql.Replace("{role}", Role(fleet), StringComparison.Ordinal));

        await fleet.Site.FailsAsync(items, settings);
    }
    //#if (jobs == "rabbitmq")

    [Fact, Trait("Readiness", "64")]
    public async Task A_queue_that_is_another_than_the_services_fails()
    {
        await using var fleet = await servers.FleetAsync();
        await using (var connection = await fleet.ConnectAsync())
        await using (var channel = await connection.CreateChannelAsync())
            await channel.QueueDeclareAsync(fleet.Queue, durable: true, exclusive: false, autoDelete: false);

        await fleet.Site.FailsAsync("queue", Settings(fleet));
    }
    //#endif
    //#if (cache == "redis")

    [Fact, Trait("Readiness", "64")]
    public async Task A_Redis_that_refuses_the_password_fails()
    {
        await using var redis = new RedisServer("--requirepass", "s3cret-of-redis");
        await redis.StartAsync();
        await using var fleet = await servers.FleetAsync();

        await fleet.Site.FailsAsync("redis", Settings(fleet, $"ConnectionStrings__Redis={redis.ConnectionString},password=s3cret"));
    }
    //#endif

    private static string Role(Fleet fleet) => $"\"runner-{fleet.Name}\"";

    /// <summary>With a role that can change rows and nothing else.</summary>
    private static string[] Settings(Fleet fleet, params string[] settings)
    {
        fleet.Execute($"CREATE ROLE {Role(fleet)} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {Role(fleet)}");
        return fleet.Settings([$"ConnectionStrings__Database={fleet.Database};Username={Role(fleet).Trim('"')}", .. settings]);
    }
}
