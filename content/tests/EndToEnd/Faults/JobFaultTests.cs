using System.Text.RegularExpressions;
using Dapper;
using Npgsql;

namespace EndToEnd.Faults;

/// <summary>What can happen to a job between the request that makes it and its effect.</summary>
public sealed class JobFaultTests(FleetServers servers) : IClassFixture<FleetServers>
{
    internal const int Jobs = 520;

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

    [Fact, Trait("Readiness", "36")]
    public async Task On_SIGTERM_the_jobs_that_run_are_finished_and_another_worker_does_the_rest()
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
        fleet.Site.Provider.Calls.Should().HaveCount(12, "what was done does not come again");
    }

    [Fact, Trait("Readiness", "39")]
    public async Task Two_operators_who_replay_at_once_replay_each_job_once()
    {
        await using var fleet = await servers.TableFleetAsync();
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

    /// <summary>As time does: a lease outlasts the longest job, which is too long for a test.</summary>
    internal static void EndLeases(Fleet fleet) => fleet.Execute("UPDATE outbox SET lease_until = 0");
}
