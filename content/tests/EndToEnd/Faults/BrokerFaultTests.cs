using System.Net;
using System.Text.Json;
using RabbitMQ.Client;

namespace EndToEnd.Faults;

/// <summary>RabbitMQ away, silent, and other than the settings say. The API goes on.</summary>
public sealed class BrokerFaultTests(FleetServers servers) : IClassFixture<FleetServers>
{
    [Fact, Trait("Readiness", "34"), Trait("Readiness", "35"), Trait("Readiness", "40")]
    public async Task Without_the_broker_it_is_ready_takes_work_and_does_it_as_soon_as_the_broker_is_there()
    {
        await using var rabbit = new RabbitServer();
        await using var fleet = await servers.FleetAsync(rabbit);
        await using var service = await fleet.ServeAsync();
        var keys = await fleet.PlaceAsync(service, 10);
        await fleet.DegradedAsync(service);
        using var http = fleet.Site.Client(service);
        (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
        await Eventually.TrueAsync(async () => await fleet.MetricAsync(service, "jobs_ready") == 10);

        await rabbit.StartAsync();

        await fleet.SettledOnceAsync(keys);
        await Eventually.TrueAsync(async () => (await fleet.ReadyAsync(service)).Body.Contains("\"status\":\"healthy\"", StringComparison.Ordinal));
        service.Log.Should().NotContain(line => line.Is("Died"));
    }

    [Fact, Trait("Readiness", "34"), Trait("Readiness", "41")]
    public async Task A_broker_that_hangs_for_longer_than_its_heartbeat_may_is_left_and_found_again()
    {
        await using var rabbit = new RabbitServer();
        await rabbit.StartAsync();
        await using var fleet = await servers.FleetAsync(rabbit);
        fleet.Site.Provider.Answering = Provider.ApproveAfter(() => Task.Delay(20));
        await using var service = await fleet.ServeAsync();
        var keys = new List<string>(await fleet.PlaceAsync(service, 50));
        await Eventually.TrueAsync(() => fleet.Site.Provider.Calls.Count > 10);

        rabbit.Freeze();
        keys.AddRange(await fleet.PlaceAsync(service, 50));
        await Eventually.TrueAsync(async () => await fleet.MetricAsync(service, "jobs_consumer_connected") == 0); // two heartbeats of 15 s
        keys.AddRange(await fleet.PlaceAsync(service, 50));
        rabbit.Thaw();

        await fleet.SettledOnceAsync(keys);
        await fleet.ConsumingAsync(service);
        service.Log.Should().NotContain(line => line.Is("Died"));
    }

    [Fact, Trait("Readiness", "33")]
    public async Task A_queue_with_other_arguments_is_said_in_one_line_and_left_as_it_is_and_without_it_the_jobs_come()
    {
        await using var fleet = await servers.FleetAsync();
        await using var connection = await fleet.ConnectAsync();
        await using var channel = await connection.CreateChannelAsync();
        await channel.QueueDeclareAsync(fleet.Queue, durable: true, exclusive: false, autoDelete: false);
        await using var service = await fleet.ServeAsync();

        var warning = await service.LineAsync(Waits);
        var keys = await fleet.PlaceAsync(service, 10);
        await fleet.DegradedAsync(service);

        warning.Text("message").Should().Contain(fleet.Queue).And.Contain("Jobs__Queue").And.Contain("other arguments");
        (await channel.QueueDeclarePassiveAsync(fleet.Queue)).MessageCount.Should().Be(0);
        await channel.QueueDeleteAsync(fleet.Queue);
        await fleet.SettledOnceAsync(keys);
        service.Log.Where(Waits).Select(line => line.Text("category")).Should().OnlyHaveUniqueItems("each worker says it once");
    }

    [Theory, Trait("Readiness", "33")]
    [InlineData("amqp://app:s3cret-no@127.0.0.1:{broker}", "refuses the user or the password")]
    [InlineData("amqps://app:s3cret-Quartz-7@nowhere.invalid:5671", "cannot be reached")]
    [InlineData("amqp://app:s3cret@127.0.0.1:1", "cannot be reached: ConnectionRefused")]
    [InlineData("amqp://app:s3cret@127.0.0.1:{broker}/nowhere", "no virtual host")]
    [InlineData("amqp://app:s3cret@127.0.0.1:{broker}", "may not use it")]
    [InlineData("amqps://app:s3cret@127.0.0.1:{broker}", "speaks no TLS")]
    [InlineData("amqps://app:s3cret@127.0.0.1:{https}", "no certificate that is trusted")]
    public async Task A_wrong_setting_of_the_broker_is_said_in_one_line_that_names_it_and_no_secret(string connection, string reason)
    {
        await using var fleet = await servers.FleetAsync();
        if (!(await servers.Rabbit.CtlAsync("list_users")).Contains("app", StringComparison.Ordinal))
            await servers.Rabbit.CtlAsync("add_user", "app", "s3cret"); // and no rights
        connection = connection.Replace("{broker}", $"{servers.Rabbit.Port}", StringComparison.Ordinal).Replace("{https}", $"{new Uri(fleet.Site.Provider.Address).Port}", StringComparison.Ordinal);
        await using var service = await fleet.ServeAsync($"ConnectionStrings__RabbitMq={connection}", "SSL_CERT_FILE");

        var warning = await service.LineAsync(Waits);
        await fleet.DegradedAsync(service);
        await Task.Delay(4000); // in which it tries three times

        warning.Text("message").Should().Contain(reason).And.Contain("ConnectionStrings__RabbitMq");
        service.Log.Count(Waits).Should().Be(1);
        (await fleet.ReadyAsync(service)).Status.Should().Be(HttpStatusCode.OK);
        string.Concat(service.Lines).Should().NotContain("s3cret");
    }

    /// <summary>The first of its two queues it may read, the second not: the channel is closed while it still makes itself at home.</summary>
    [Fact, Trait("Readiness", "54")]
    public async Task A_connection_that_ends_before_it_is_used_leaves_no_fault_that_nobody_waits_for()
    {
        await using var fleet = await servers.FleetAsync();
        await servers.Rabbit.CtlAsync("add_user", "half", "s3cret");
        await servers.Rabbit.CtlAsync("set_permissions", "half", ".*", ".*", $"^{fleet.Queue}$");
        var signal = Path.Combine(fleet.Site.Folder, "signal");
        await using var service = await fleet.ServeAsync(
            $"ConnectionStrings__RabbitMq=amqp://half:s3cret@127.0.0.1:{servers.Rabbit.Port}", $"DOTNET_STARTUP_HOOKS={typeof(BrokerFaultTests).Assembly.Location}", $"{StartupHook.Signal}={signal}");
        var warning = await service.LineAsync(Waits);

        await File.WriteAllTextAsync(signal, "task");
        await Eventually.TrueAsync(() => service.Log.Count(Dropped) > 9); // of the hook, which has the memory cleaned up each time

        warning.Text("message").Should().Contain("a right on the queue");
        service.Log.Where(Dropped).Should().OnlyContain(line => line.Text("exception")!.Contains("of a task", StringComparison.Ordinal));
    }

    private static bool Dropped(JsonElement line) => line.Is("Dropped");

    private static bool Waits(JsonElement line) => line.Is("Waiting");
}
