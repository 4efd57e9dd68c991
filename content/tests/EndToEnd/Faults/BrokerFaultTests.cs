using System.Net;
using System.Text.Json;
using RabbitMQ.Client;

namespace EndToEnd.Faults;

/// <summary>RabbitMQ away, silent, killed, full, and other than the settings say. The API goes on, and no job is lost or done twice.</summary>
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

    [Fact, Trait("Readiness", "38")]
    public async Task Without_a_broker_a_thousand_jobs_outlive_a_worker_that_is_killed_none_lost_and_none_done_twice()
    {
        await using var fleet = await servers.TableFleetAsync();
        await using var api = await fleet.ServeApiAsync();
        var keys = new List<string>();

        while (keys.Count < JobFaultTests.Jobs)
        {
            await using var killed = await fleet.ServeWorkerAsync();
            var killing = fleet.WhileAskingAsync(8, killed.Kill);
            keys.AddRange(await fleet.PlaceAsync(api, JobFaultTests.Jobs / 4));
            await killing;
            await killed.ExitAsync();
            JobFaultTests.EndLeases(fleet);
        }

        await using var worker = await fleet.ServeWorkerAsync();
        await fleet.SettledOnceAsync(keys);
    }

    [Fact, Trait("Readiness", "38"), Trait("Readiness", "40"), Trait("Readiness", "41")]
    public async Task A_thousand_jobs_outlive_a_broker_that_is_killed_and_more_are_taken_all_the_while()
    {
        await using var fleet = await servers.FleetAsync();
        await using var api = await fleet.ServeApiAsync();
        await using var worker = await fleet.ServeWorkerAsync();
        //#if (sample)
        using var http = fleet.Site.Client(api);
        //#endif
        var placing = fleet.PlaceAsync(api, JobFaultTests.Jobs - 20);
        var keys = new List<string>();

        foreach (var calls in (int[])[50, 250])
        {
            await Eventually.TrueAsync(() => fleet.Site.Provider.Calls.Count >= calls);
            servers.Rabbit.Kill();
            keys.AddRange(await fleet.PlaceAsync(api, 10));
            //#if (sample)
            using (var refused = await http.TryOrderAsync("NONE"))
            {
                refused.StatusCode.Should().Be(HttpStatusCode.UnprocessableEntity, "what is rolled back has no job");
            }
            //#endif
            await fleet.DegradedAsync(worker);
            await servers.Rabbit.StartAsync();
        }

        keys.AddRange(await placing);
        await fleet.SettledOnceAsync(keys);
        worker.Log.Should().NotContain(line => line.Is("Died"));
    }

    [Fact, Trait("Readiness", "38")]
    public async Task Jobs_that_are_delivered_again_and_again_are_done_once_and_counted_as_duplicates()
    {
        const int Many = 20;
        await using var fleet = await servers.FleetAsync();
        await using var api = await fleet.ServeApiAsync(Fleet.Later); // so that the outbox keeps what the test sends itself
        await using var worker = await fleet.ServeWorkerAsync();
        var keys = await fleet.PlaceLaterAsync(api, Many);
        await fleet.ConsumingAsync(worker);

        await fleet.PublishAsync(
            from job in fleet.Query<(string Id, string Type, byte[] Body)>("SELECT id, type, body FROM outbox")
            from copy in Enumerable.Range(0, 3) // at once: they race
            select (new BasicProperties { MessageId = job.Id, Type = job.Type }, job.Body));
        await Eventually.TrueAsync(() => fleet.Value<long>("SELECT count(*) FROM inbox") >= Many);
        fleet.Execute("UPDATE outbox SET available_at = 0"); // and once more, long after

        await fleet.SettledOnceAsync(keys);
        await Eventually.TrueAsync(async () => await DuplicatesAsync(fleet, worker) == 3 * Many);
        (await fleet.MetricAsync(worker, "jobs_confirm_duration_seconds_count")).Should().BePositive();
        (await fleet.MetricAsync(worker, "jobs_duration_seconds_count", "outcome=\"done\"")).Should().Be(Fleet.JobsEach * Many);
    }

    [Fact, Trait("Readiness", "39")]
    public async Task What_others_put_into_the_queue_is_dead_at_once_and_the_jobs_go_on()
    {
        await using var fleet = await servers.FleetAsync();
        await using var service = await fleet.ServeAsync();
        await fleet.ConsumingAsync(service);

        await fleet.PublishAsync(
        [
            (new(), []),
            (new(), [0, 255, 254]),
            (new() { MessageId = "no-type" }, "{}"u8.ToArray()),
            (new() { MessageId = "other-type", Type = "unheard-of" }, "{}"u8.ToArray()),
            (new() { MessageId = "no-json", Type = Operations.Job }, [0, 255, 254]),
            (new() { MessageId = "other-json", Type = Operations.Job }, "{}"u8.ToArray()),
            (new() { MessageId = "other-headers", Type = Operations.Job, Headers = new Dictionary<string, object?> { ["x-attempt"] = "many", ["traceparent"] = 1 } }, "[]"u8.ToArray()),
            (new() { MessageId = "nul-\0", Type = "\0", Headers = new Dictionary<string, object?> { ["x-attempt"] = long.MinValue, ["x-created-at"] = long.MaxValue, ["traceparent"] = "\0" } }, []),
        ]);

        await fleet.DeadAsync(8);
        fleet.Query<long>("SELECT DISTINCT attempt FROM outbox").Should().Equal(1);
        var (_, list) = await fleet.RunAsync("jobs");
        list.Should().Contain("no-type").And.Contain("There is no handler for jobs of type unheard-of.").And.Contain("other-headers");
        (await fleet.RunAsync("jobs", "replay", "all")).Output.Should().Contain("8 replayed");
        await Eventually.TrueAsync(() => service.Log.Count(line => line.Is("Died")) == 16);
        await fleet.DeadAsync(8);
        fleet.Execute("DELETE FROM outbox");
        await fleet.SettledOnceAsync(await fleet.PlaceAsync(service, 10));
    }

    [Fact, Trait("Readiness", "39")]
    public async Task A_job_that_kills_its_worker_is_given_up_and_the_others_go_on()
    {
        await using var fleet = await servers.FleetAsync();
        fleet.Site.Provider.Answering = Provider.Hang;
        await servers.Rabbit.CtlAsync("set_policy", "limit", fleet.Queue, """{"delivery-limit":2}""", "--apply-to", "queues"); // below the queue's own
        await using var api = await fleet.ServeApiAsync();
        var killer = await fleet.PlaceAsync(api, 1);
        for (var deliveries = 1; deliveries <= 3; deliveries++)
        {
            await using var killed = await fleet.ServeWorkerAsync("Jobs__Concurrency=1"); // else it takes innocent ones with it
            await Eventually.TrueAsync(() => fleet.Site.Provider.Calls.Count == deliveries && fleet.Value<long>("SELECT count(*) FROM outbox") == 0);
            killed.Kill();
        }
        fleet.Site.Provider.Answering = Provider.Approve;
        var others = await fleet.PlaceAsync(api, 10);

        await using var worker = await fleet.ServeWorkerAsync();

        await fleet.DeadAsync(1);
        await Eventually.TrueAsync(() => fleet.Done().Count == others.Count);
        fleet.Done().Should().NotContain(killer);
        (await fleet.RunAsync("jobs")).Output.Should().Contain("may be what kills it");
        (await fleet.RunAsync("jobs", "replay", "all")).Output.Should().Contain("1 replayed");
        await fleet.SettledOnceAsync([.. killer, .. others]);
    }

    [Fact]
    public async Task Ten_thousand_waiting_jobs_wait_in_the_broker_and_not_in_the_memory_of_the_process()
    {
        const int Many = 10_000;
        var answer = new TaskCompletionSource();
        await using var fleet = await servers.FleetAsync();
        await using var service = await fleet.ServeAsync();
        await fleet.PlaceAsync(service, 100);
        await fleet.SettledOnceAsync(null);
        fleet.Site.Provider.Answering = Provider.ApproveAfter(() => answer.Task);
        await fleet.PlaceAsync(service, 8);
        await Eventually.TrueAsync(() => fleet.Site.Provider.Calls.Count == 108);
        var before = service.ResidentSize;

        fleet.Execute(
            """
            INSERT INTO outbox (id, type, body, available_at, created_at)
            SELECT gen_random_uuid(), @Job, convert_to(@Body, 'UTF8'), 0, 0 FROM generate_series(1, @Many)
            """,
            new { Operations.Job, Fleet.Body, Many });
        await Eventually.TrueAsync(() => fleet.Value<long>("SELECT count(*) FROM outbox") == 0);

        (await fleet.MessagesAsync()).Should().Be(Many);
        (service.ResidentSize - before).Should().BeLessThan(30 * 1024, "of {0} KiB", before);
        answer.SetResult();
        await Eventually.TrueAsync(() => fleet.Value<long>("SELECT count(*) FROM inbox") == Many + (108 * Fleet.JobsEach));
    }

    [Fact, Trait("Readiness", "38")]
    public async Task A_relay_that_was_paused_for_longer_than_its_lease_does_no_harm()
    {
        await using var fleet = await servers.FleetAsync();
        await using var api = await fleet.ServeApiAsync();
        await using var paused = await fleet.ServeWorkerAsync();
        await fleet.ConsumingAsync(paused);
        var keys = new List<string>();
        await WithAlarmAsync(async () =>
        {
            keys.AddRange(await fleet.PlaceAsync(api, 20));
            await Eventually.TrueAsync(async () => (await servers.Rabbit.CtlAsync("list_connections", "state")).Contains("blocked", StringComparison.Ordinal)); // sent, and not confirmed
            paused.Freeze();
        });
        JobFaultTests.EndLeases(fleet);

        await using var other = await fleet.ServeWorkerAsync();
        keys.AddRange(await fleet.PlaceAsync(api, 20));
        await Eventually.TrueAsync(() => fleet.Value<long>("SELECT count(*) FROM outbox") == 0);
        paused.Thaw();

        await fleet.SettledOnceAsync(keys);
        await Eventually.TrueAsync(async () => await DuplicatesAsync(fleet, paused) + await DuplicatesAsync(fleet, other) > 0); // both have sent
    }

    [Fact, Trait("Readiness", "34")]
    public async Task While_the_disk_of_the_broker_is_full_work_is_taken_and_waits()
    {
        await using var fleet = await servers.FleetAsync();
        await using var service = await fleet.ServeAsync();
        var keys = new List<string>(await fleet.PlaceAsync(service, 10));

        await WithAlarmAsync(async () =>
        {
            keys.AddRange(await fleet.PlaceAsync(service, 20));
            await fleet.DegradedAsync(service);
            keys.AddRange(await fleet.PlaceAsync(service, 20));
        });

        await fleet.SettledOnceAsync(keys);
        service.Log.Should().NotContain(line => line.Is("Died"));
    }

    [Fact, Trait("Readiness", "41")]
    public async Task A_queue_that_somebody_deletes_is_declared_again_and_the_jobs_of_that_time_come()
    {
        await using var fleet = await servers.FleetAsync();
        await using var service = await fleet.ServeAsync();
        var keys = new List<string>();
        await using var connection = await fleet.ConnectAsync();
        await using var channel = await connection.CreateChannelAsync();

        for (var times = 0; times < 2; times++)
        {
            keys.AddRange(await fleet.PlaceAsync(service, 10));
            await fleet.SettledOnceAsync(keys); // what is in a queue goes with it
            await channel.QueueDeleteAsync(fleet.Queue);
            await channel.QueueDeleteAsync(fleet.Queue + ".dead");
            keys.AddRange(await fleet.PlaceAsync(service, 20));
            await fleet.SettledOnceAsync(keys);
        }
        service.Log.Should().NotContain(line => line.Is("Died"));
    }

    private static Task<double> DuplicatesAsync(Fleet fleet, ServiceProcess worker) => fleet.MetricAsync(worker, "jobs_duration_seconds_count", "outcome=\"duplicate\"");

    private async Task WithAlarmAsync(Func<Task> work)
    {
        await servers.Rabbit.CtlAsync("set_disk_free_limit", "900000000000000");
        try
        {
            await work();
        }
        finally
        {
            await servers.Rabbit.CtlAsync("set_disk_free_limit", "50MB");
        }
    }

    private static bool Dropped(JsonElement line) => line.Is("Dropped");

    private static bool Waits(JsonElement line) => line.Is("Waiting");
}
