//#if (sample)
using System.Net;
//#endif
using System.Text.RegularExpressions;
using Dapper;
using Npgsql;
using RabbitMQ.Client;

namespace EndToEnd.Faults;

/// <summary>What can happen to a job between the request that makes it and its effect.</summary>
public sealed class JobFaultTests(FleetServers servers) : IClassFixture<FleetServers>
{
    private const int Jobs = 520;

    [Fact, Trait("Readiness", "38")]
    public async Task A_thousand_jobs_outlive_workers_that_are_killed_none_lost_and_none_done_twice()
    {
        await using var fleet = await servers.FleetAsync();
        await using var api = await fleet.ServeApiAsync();
        var workers = new Queue<ServiceProcess>([await fleet.ServeWorkerAsync(), await fleet.ServeWorkerAsync()]);
        var keys = new List<string>();

        while (keys.Count < Jobs)
        {
            await using var killed = workers.Dequeue();
            var killing = fleet.WhileAskingAsync(16, killed.Kill);
            keys.AddRange(await fleet.PlaceAsync(api, Jobs / 4));
            await killing;
            EndLeases(fleet); // also that of the one that lives: what it sends comes twice
            workers.Enqueue(await fleet.ServeWorkerAsync());
        }

        await fleet.SettledOnceAsync(keys);
        foreach (var worker in workers)
            await worker.DisposeAsync();
    }

    [Fact, Trait("Readiness", "38")]
    public async Task Without_a_broker_a_thousand_jobs_outlive_a_worker_that_is_killed_none_lost_and_none_done_twice()
    {
        await using var fleet = await servers.FleetAsync(broker: false);
        await using var api = await fleet.ServeApiAsync();
        var keys = new List<string>();

        while (keys.Count < Jobs)
        {
            await using var killed = await fleet.ServeWorkerAsync();
            var killing = fleet.WhileAskingAsync(8, killed.Kill);
            keys.AddRange(await fleet.PlaceAsync(api, Jobs / 4));
            await killing;
            await killed.ExitAsync();
            EndLeases(fleet);
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
        var placing = fleet.PlaceAsync(api, Jobs - 20);
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
    public async Task A_job_that_keeps_failing_is_dead_after_its_attempts_and_done_when_replayed_after_the_repair()
    {
        await using var fleet = await servers.FleetAsync();
        fleet.Site.Provider.Answering = Provider.Fail;
        await using var service = await fleet.ServeAsync("Jobs__MaxAttempts=3", "Jobs__BackoffSeconds=0.05");
        var keys = await fleet.PlaceAsync(service, 1);

        await fleet.DeadAsync(1);

        fleet.Query<(long, string)>("SELECT attempt, last_error FROM outbox").Should().Equal((3, Operations.Failure));
        service.Log.Where(line => line.Is("Failed")).Select(line => line.GetProperty("attempt").GetInt32()).Should().Equal(1, 2);
        fleet.Site.Provider.Answering = Provider.Approve;
        (await fleet.RunAsync("jobs", "replay", "all")).Output.Should().Contain("1 replayed");
        await fleet.SettledOnceAsync(keys);
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

    [Fact, Trait("Readiness", "36")]
    public async Task On_SIGTERM_the_jobs_that_run_are_finished_and_acknowledged_and_another_worker_does_the_rest()
    {
        var answer = new TaskCompletionSource();
        await using var fleet = await servers.FleetAsync();
        fleet.Site.Provider.Answering = Provider.ApproveAfter(() => answer.Task);
        await using var api = await fleet.ServeApiAsync();
        await using var first = await fleet.ServeWorkerAsync("Jobs__Concurrency=4");
        var keys = await fleet.PlaceAsync(api, 12);
        await Eventually.TrueAsync(() => fleet.Site.Provider.Calls.Count == 4);

        first.Terminate();
        await first.LineAsync(line => line.Is("Draining"));
        answer.SetResult();

        (await first.ExitAsync()).Should().Be(0);
        fleet.Value<long>("SELECT count(*) FROM inbox").Should().Be(4);
        fleet.Site.Provider.Calls.Should().HaveCount(4);
        await using var second = await fleet.ServeWorkerAsync();
        await fleet.SettledOnceAsync(keys);
        fleet.Site.Provider.Calls.Should().HaveCount(12, "what was acknowledged does not come again");
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

    [Fact, Trait("Readiness", "39")]
    public async Task Two_operators_who_replay_at_once_replay_each_job_once()
    {
        await using var fleet = await servers.FleetAsync(broker: false);
        fleet.Execute("INSERT INTO outbox (id, type, body, state, attempt, available_at, created_at) SELECT gen_random_uuid(), 'unheard-of', '', 1, 8, 0, 0 FROM generate_series(1, 200)");
        await using var holder = new NpgsqlConnection(fleet.Database);
        await holder.OpenAsync();
        await using var transaction = await holder.BeginTransactionAsync();
        await holder.ExecuteAsync("SELECT id FROM outbox FOR UPDATE");

        var replaying = new[] { fleet.RunAsync("jobs", "replay", "all"), fleet.RunAsync("jobs", "replay", "all") };
        await Eventually.TrueAsync(() => fleet.Value<long>("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 2);
        await transaction.RollbackAsync();

        (await Task.WhenAll(replaying)).Sum(run => int.Parse(Regex.Match(run.Output, @"(\d+) replayed").Groups[1].Value, null)).Should().Be(200);
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
        EndLeases(fleet);

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

    /// <summary>As time does: a lease outlasts the longest job, which is too long for a test.</summary>
    private static void EndLeases(Fleet fleet) => fleet.Execute("UPDATE outbox SET lease_until = 0");

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
}
