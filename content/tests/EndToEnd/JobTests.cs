using System.Text.RegularExpressions;

namespace EndToEnd;

public sealed class JobTests
{
    [Fact, Trait("Readiness", "38")]
    public async Task A_job_whose_process_is_killed_runs_again_and_its_effect_exists_once()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = Provider.Hang;
        string key;
        await using (var killed = await site.ServeAsync())
        {
            using var before = site.Client(killed);
            key = await site.BeginAsync(before);
            await Eventually.TrueAsync(() => !site.Provider.Calls.IsEmpty);
            killed.Kill();
            (await killed.ExitAsync()).Should().NotBe(0);
        }
        site.Provider.Answering = Provider.Approve;

        await using var service = await site.ServeAsync();
        await EndLeasesAsync(site);

        await site.QuietAsync(effects: 1);
        (await site.EffectsAsync()).Should().Equal(key);
        site.Provider.Calls.Should().HaveCount(2).And.OnlyContain(call => call.Key == key);
    }

    [Fact, Trait("Readiness", "38")]
    public async Task Thirty_jobs_outlive_three_kills_none_lost_and_none_done_twice()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = async (call, http) =>
        {
            await Task.Delay(call % 5 * 10); // so that kills hit jobs at different points
            await Provider.Approve(call, http);
        };
        var keys = new List<string>();
        foreach (var calls in (int[])[4, 12, 20])
        {
            await using var killed = await site.ServeAsync();
            using var http = site.Client(killed);
            for (var i = 0; i < 10; i++)
                keys.Add(await site.BeginAsync(http));
            await Eventually.TrueAsync(() => site.Provider.Calls.Count >= calls);
            killed.Kill();
            await killed.ExitAsync();
            await EndLeasesAsync(site);
        }

        await using var service = await site.ServeAsync();

        await site.QuietAsync(keys.Count);
        (await site.EffectsAsync()).Should().BeEquivalentTo(keys);
        site.Provider.Calls.Select(call => call.Key).Distinct().Should().BeEquivalentTo(keys);
    }

    [Fact, Trait("Readiness", "39")]
    public async Task A_job_of_unknown_type_is_dead_at_once_and_the_others_go_on_until_an_operator_replays_it()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);

        await site.AddJobAsync("poison", "unheard-of");
        await DiedAsync(1);
        await site.DoneAsync(await site.BeginAsync(http));
        (await site.QueryAsync<(int, int, string)>("SELECT state, attempt, last_error FROM outbox WHERE id = 'poison'")).Should().Equal((1, 1, "There is no handler for jobs of type unheard-of."));
        await MeasuredAsync(http, "jobs_dead", 1);

        (await site.RunAsync(["jobs"])).Output.Should().Contain("poison").And.Contain("unheard-of").And.Contain("no handler");
        (await site.RunAsync(["jobs", "replay", "poison"])).Should().Match<(int ExitCode, string Output)>(run => run.ExitCode == 0 && run.Output.Contains("1 replayed"));
        await DiedAsync(2);
        (await site.RunAsync(["jobs", "replay", "all"])).Output.Should().Contain("1 replayed");
        await DiedAsync(3);
        (await site.RunAsync(["jobs", "replay", "nobody"])).ExitCode.Should().Be(1);

        Task DiedAsync(int times) => Eventually.TrueAsync(() => service.Log.Count(line => line.Is("Died")) == times);
    }

    [Fact, Trait("Readiness", "39")]
    public async Task A_job_that_keeps_failing_is_dead_after_its_attempts_and_done_when_replayed_after_the_repair()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = Provider.Fail;
        await using var service = await site.ServeAsync("Jobs__MaxAttempts=3", "Jobs__BackoffSeconds=0.05");
        using var http = site.Client(service);
        var key = await site.BeginAsync(http);

        var died = await service.LineAsync(line => line.Is("Died"));

        died.Text("reason").Should().Be(Operations.Failure);
        died.GetProperty("attempt").GetInt32().Should().Be(3);
        service.Log.Where(line => line.Is("Failed")).Select(line => line.GetProperty("attempt").GetInt32()).Should().Equal(1, 2);
        (await site.EffectsAsync()).Should().BeEmpty();
        site.Provider.Answering = Provider.Approve;
        (await site.RunAsync(["jobs", "replay", "all"])).ExitCode.Should().Be(0);
        await site.DoneAsync(key);
    }

    [Fact]
    public async Task What_waits_is_measured_also_while_the_worker_is_busy()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = Provider.Hang;
        await using var service = await site.ServeAsync("Jobs__Concurrency=1", "ConnectionStrings__RabbitMq"); // with a broker they are no longer here to be measured
        using var http = site.Client(service);

        for (var i = 0; i < 5; i++)
            await site.BeginAsync(http);

        await MeasuredAsync(http, "jobs_ready", 5);
    }

    [Fact, Trait("Readiness", "42")]
    public async Task A_worker_that_crashes_ends_the_process_with_an_error()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();

        await site.ExecuteAsync("DROP TABLE outbox");

        (await service.ExitAsync()).Should().NotBe(0);
        service.Log.Should().ContainSingle(line => line.Text("level") == "Critical").Which.Text("exception").Should().MatchRegex("no such table|does not exist");
    }

    private static Task MeasuredAsync(HttpClient http, string metric, int value) => Eventually.TrueAsync(async () =>
        Regex.IsMatch(await http.GetStringAsync("/metrics"), $$"""^{{metric}}(\{.*\})? {{value}}\b""", RegexOptions.Multiline));

    /// <summary>As time does: a lease outlasts the longest job, which is too long for a test.</summary>
    private static Task EndLeasesAsync(Site site) => site.ExecuteAsync("UPDATE outbox SET lease_until = 0");
}
