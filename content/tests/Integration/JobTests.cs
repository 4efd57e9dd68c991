using System.Collections.Concurrent;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Storefront.Repositories;
using Storefront.Services;
using Storefront.Utilities;

namespace Integration;

public class JobTests
{
    private static readonly (string Key, string Value)[] Fast = [("Jobs:MaxAttempts", "3"), ("Jobs:BackoffSeconds", "0.2")];

    [Theory]
    [InlineData("no-such-type", "{}", "no-such-type")]
    [InlineData("work", "{", "JSON")]
    [InlineData("work", "null", "null")]
    [InlineData("work", """{"name":null}""", "null")]
    [InlineData("work", "{}", "name")]
    [Trait("Readiness", "39")]
    public async Task A_job_that_nobody_can_do_is_dead_at_once_and_the_others_go_on(string type, string body, string reason)
    {
        var done = new ConcurrentQueue<string>();
        await using var host = await StartAsync(_ => { }, done.Enqueue);
        await AddAsync(host, "poison", type, body);

        await AddAsync(host, "good", "work", """{"name":"good"}""");

        await Testing.EventuallyAsync(() => done.Contains("good"), "the other job is done");
        var dead = await DeadAsync(host, "poison");
        dead.Attempt.Should().Be(1);
        dead.LastError.Should().Contain(reason);
        await Testing.EventuallyAsync(() => host.Log.Entries.Any(entry => entry.Level == LogLevel.Error), "the log says it"); // after the row
        host.Log.Entries.Should().ContainSingle(entry => entry.Level == LogLevel.Error && entry.Message.Contains("poison", StringComparison.Ordinal));
        await Testing.EventuallyAsync(
            async () => (await host.Client().GetStringAsync("/metrics")).Contains("jobs_duration_seconds_count", StringComparison.Ordinal), "the metric counts it");
    }

    [Fact]
    [Trait("Readiness", "39")]
    public async Task A_job_that_fails_is_tried_with_growing_pauses_until_it_is_dead_and_can_be_replayed()
    {
        var (down, calls, done) = (true, new ConcurrentQueue<(string Name, DateTime Time)>(), new ConcurrentQueue<string>());
        await using var host = await StartAsync(
            name =>
            {
                calls.Enqueue((name, DateTime.UtcNow));
                if (down && name == "failing")
                    throw new OperationalException(Failure.Unavailable, "out of order\0");
            },
            done.Enqueue,
            ("Jobs:BackoffSeconds", "1")); // longer than the pause between two looks for jobs
        await AddAsync(host, "1", "work", """{"name":"failing"}""");
        await AddAsync(host, "2", "work", """{"name":"other"}""");

        await Testing.EventuallyAsync(() => done.Contains("other"), "the other job is done");
        var dead = await DeadAsync(host);
        var times = calls.Where(call => call.Name == "failing").Select(call => call.Time).ToList();

        dead.Should().BeEquivalentTo(new { Type = "work", Attempt = 3 });
        dead.LastError.Should().Contain("out of order");
        times.Should().HaveCount(3);
        (times[1] - times[0]).Should().BeGreaterThan(TimeSpan.FromSeconds(0.75));
        (times[2] - times[1]).Should().BeGreaterThan(TimeSpan.FromSeconds(2.35));
        done.Should().NotContain("failing");

        down = false;
        (await host.Services.GetRequiredService<Outbox>().ReplayAsync("another", CancellationToken.None)).Should().Be(0);
        (await host.Services.GetRequiredService<Outbox>().ReplayAsync(dead.Id, CancellationToken.None)).Should().Be(1);
        (await host.Services.GetRequiredService<Outbox>().ReplayAsync(dead.Id, CancellationToken.None)).Should().Be(0);
        await Testing.EventuallyAsync(() => done.Contains("failing"), "it is done");
    }

    [Fact]
    [Trait("Readiness", "38")]
    public async Task A_job_that_is_delivered_twice_has_its_effect_once()
    {
        var (calls, done) = (0, new ConcurrentQueue<string>());
        await using var host = await StartAsync(_ => Interlocked.Increment(ref calls), done.Enqueue);

        for (var delivery = 1; delivery <= 2; delivery++)
        {
            await InsertAsync(host, "twice", "work", """{"name":"twice"}""");
            await Testing.EventuallyAsync(async () => await host.Database.CountAsync("outbox") == 0, "nothing waits");
        }

        calls.Should().Be(2);
        done.Should().Equal("twice");
        host.Log.Entries.Should().NotContain(entry => entry.Level >= LogLevel.Warning && entry.Category.Contains(nameof(JobRunner), StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Readiness", "38")]
    public async Task The_job_of_a_worker_that_died_is_taken_when_its_lease_ends()
    {
        await using var host = await TestHost.StartAsync(settings: Fast);
        var end = DateTimeOffset.UtcNow.AddSeconds(1).ToUnixTimeMilliseconds();
        await InsertAsync(host, "left", "no-such-type", "{}", attempt: 1, leaseUntil: end);

        var dead = await DeadAsync(host, "left");

        dead.Attempt.Should().Be(2);
        DateTimeOffset.UtcNow.ToUnixTimeMilliseconds().Should().BeGreaterThanOrEqualTo(end);
    }

    [Fact]
    [Trait("Readiness", "38")]
    public async Task A_job_that_kills_its_worker_each_time_is_dead_after_all_attempts()
    {
        await using var host = await TestHost.StartAsync(settings: Fast);
        await InsertAsync(host, "killer", "no-such-type", "{}", attempt: 3);

        (await DeadAsync(host, "killer")).LastError.Should().Contain("last attempt");
    }

    [Fact]
    [Trait("Readiness", "38")]
    public async Task A_worker_that_lost_its_lease_takes_nothing_from_the_one_that_has_it()
    {
        await using var host = await TestHost.StartAsync(WithoutWorkers);
        var (outbox, database) = (host.Services.GetRequiredService<Outbox>(), host.Services.GetRequiredService<Database>());
        Task<IReadOnlyList<Job>> ClaimAsync() => outbox.ClaimAsync(10, TimeSpan.FromMinutes(10), CancellationToken.None);
        Task<bool> CompleteAsync(Job job) => database.WriteAsync(session => outbox.CompleteAsync(session, job), CancellationToken.None);
        await AddAsync(host, "job", "type", "{}");

        var first = (await ClaimAsync()).Single();
        (await ClaimAsync()).Should().BeEmpty("it is leased");
        await host.Database.ExecuteAsync("UPDATE outbox SET lease_until = 0");
        var second = (await ClaimAsync()).Single();
        await outbox.FailAsync(first, TimeSpan.Zero, "late", CancellationToken.None);

        second.Attempt.Should().Be(2);
        (await host.Database.CountAsync("outbox", "lease_token = @LeaseToken AND last_error IS NULL", new { second.LeaseToken })).Should().Be(1, "the late failure counts for nothing");
        (await CompleteAsync(first)).Should().BeTrue("its effect is the first");
        (await host.Database.CountAsync("outbox", "lease_token = @LeaseToken", new { second.LeaseToken })).Should().Be(1, "the other one still works");
        (await CompleteAsync(second)).Should().BeFalse("the effect is there");
        (await host.Database.CountAsync("outbox")).Should().Be(0);
    }

    [Fact]
    [Trait("Readiness", "38")]
    public async Task A_worker_that_fails_late_does_not_bring_a_finished_job_back()
    {
        await using var host = await TestHost.StartAsync(WithoutWorkers);
        var (outbox, database) = (host.Services.GetRequiredService<Outbox>(), host.Services.GetRequiredService<Database>());
        await AddAsync(host, "job", "type", "{}");
        var first = (await outbox.ClaimAsync(1, TimeSpan.Zero, CancellationToken.None)).Single();
        var second = (await outbox.ClaimAsync(1, TimeSpan.Zero, CancellationToken.None)).Single();
        await database.WriteAsync(session => outbox.CompleteAsync(session, second), CancellationToken.None);

        await outbox.FailAsync(first, null, "late", CancellationToken.None);

        (await host.Database.CountAsync("outbox")).Should().Be(0);
    }

    [Fact]
    [Trait("Readiness", "40")]
    public async Task A_job_is_added_with_its_transaction_or_not_at_all()
    {
        await using var host = await TestHost.StartAsync(settings: Fast);
        var rolledBack = () => AddAsync(host, "never", "no-such-type", "{}", () => throw new InvalidOperationException("rolled back"));

        await rolledBack.Should().ThrowAsync<InvalidOperationException>();
        await AddAsync(host, "later", "no-such-type", "{}");

        await DeadAsync(host, "later");
        (await host.Database.CountAsync("outbox", "id = 'never'")).Should().Be(0);
    }

    private static Task<TestHost> StartAsync(Action<string> work, Action<string> effect, params (string Key, string Value)[] settings) =>
        TestHost.StartAsync(services => services.AddSingleton<IJobHandler>(new Handler(work, effect)), settings: [.. Fast, .. settings]);

    private static void WithoutWorkers(IServiceCollection services)
    {
        var workers = services.Where(service => service.ServiceType == typeof(IHostedService) && service.ImplementationType?.Namespace == "Storefront.Entry").ToList();
        workers.Should().NotBeEmpty();
        workers.ForEach(worker => services.Remove(worker));
    }

    private static Task<bool> AddAsync(TestHost host, string id, string type, string body, Action? before = null) =>
        host.Services.GetRequiredService<Database>().WriteAsync(
            async session =>
            {
                await host.Services.GetRequiredService<Outbox>().AddAsync(session, id, type, Encoding.UTF8.GetBytes(body));
                before?.Invoke(); // the commit
                return true;
            },
            CancellationToken.None);

    private static Task InsertAsync(TestHost host, string id, string type, string body, long attempt = 0, long leaseUntil = 0) =>
        host.Database.ExecuteAsync(
            "INSERT INTO outbox (id, type, body, attempt, available_at, lease_until, created_at) VALUES (@id, @type, @body, @attempt, 0, @leaseUntil, 0)",
            new { id, type, body = Encoding.UTF8.GetBytes(body), attempt, leaseUntil });

    private static async Task<DeadJob> DeadAsync(TestHost host, string? id = null)
    {
        DeadJob? dead = null;
        await Testing.EventuallyAsync(
            async () => (dead = (await host.Services.GetRequiredService<Outbox>().ListDeadAsync(10, CancellationToken.None)).FirstOrDefault(job => id is null || job.Id == id)) is not null,
            "the job is dead");
        return dead!;
    }

    private sealed record Body(string Name);

    private sealed class Handler(Action<string> work, Action<string> effect) : IJobHandler
    {
        public string Type => "work";

        public Task<JobEffect> HandleAsync(Job job, CancellationToken cancellation)
        {
            var name = JobScheduler.Read<Body>(job).Name;
            work(name);
            return Task.FromResult<JobEffect>(_ =>
            {
                effect(name);
                return Task.CompletedTask;
            });
        }
    }
}
