using System.Diagnostics;
using System.Net;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace Integration;

/// <summary>Two instances with one Redis, and what remains of them without it.</summary>
public sealed partial class RedisTests : IAsyncLifetime
{
    private const string Failures = "redis_failures_total";
    private const string Decisions = "limiter_decisions_total";
    private const string Local = "limiter_decisions_total\\{[^}]*limiter=\"memory\"";

    private readonly string _prefix = "test-" + Testing.NewName();
    private string _given = "";

    public async ValueTask InitializeAsync() => _given = await OtherServers.Redis;

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    [Trait("Readiness", "51")]
    public async Task What_was_read_before_a_write_is_not_stored_after_it()
    {
        await using var host = await StartAsync(await OtherServers.Redis);
        var cache = host.Services.GetRequiredService<IDistributedCache>();
        var expiry = new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(5) };
        byte[] value = [1];
        await SeesAsync(host, 1); // connected

        await cache.RemoveAsync("late");
        await cache.SetAsync("late", value, expiry); // by a reader that was under way

        (await cache.GetAsync("late")).Should().BeNull();
        await Testing.EventuallyAsync(
            async () =>
            {
                await cache.SetAsync("late", value, expiry);
                return await cache.GetAsync("late") is not null;
            },
            "it is stored again");
    }

    [Fact]
    [Trait("Readiness", "28")]
    public async Task Two_instances_together_allow_a_caller_one_burst()
    {
        var settings = new[] { ("Limits:Burst", "20"), ("Limits:RequestsPerSecond", "1") };
        await using var redis = await ConnectAsync();
        await using var a = await StartAsync(_given, settings: settings);
        await using var b = await StartAsync(_given, a.Database, settings: settings);
        await Task.WhenAll(SeesAsync(a, 1), SeesAsync(b, 1)); // connected, warm
        HttpResponseMessage[] answers;
        Stopwatch watch;
        string user;
        double all, local;
        var tries = 0;
        do
        {
            (user, all, local, watch) = ($"alice{Testing.NewName()}@shop.test", await CountAsync(Decisions, a, b), await CountAsync(Local, a, b), Stopwatch.StartNew());
            answers = await Task.WhenAll(Enumerable.Range(0, 80).Select(i => (i % 2 == 0 ? a : b).Client(user).GetAsync(Api.Path)));
            await Testing.EventuallyAsync(async () => await CountAsync(Decisions, a, b) >= all + 80, "all are counted");
        }
        while (++tries < 10 && await CountAsync(Local, a, b) > local); // a busy machine may let Redis seem away

        answers.Count(answer => answer.StatusCode == HttpStatusCode.OK).Should().BeInRange(20, 20 + (int)watch.Elapsed.TotalSeconds);
        foreach (var refused in answers.Where(answer => answer.StatusCode != HttpStatusCode.OK))
        {
            await refused.ShouldBeProblemAsync(429);
            refused.Headers.RetryAfter!.Delta.Should().BeGreaterThanOrEqualTo(TimeSpan.FromSeconds(1)).And.BeLessThan(TimeSpan.FromSeconds(5));
        }
        (await b.Client("bob").GetAsync(Api.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
        Keys(redis).Should().NotContain(key => key.Contains("alice", StringComparison.Ordinal)).And.Contain(key => key.Contains(":limit:", StringComparison.Ordinal));
        await Testing.EventuallyAsync(async () => (await a.Client(user).GetAsync(Api.Path)).StatusCode == HttpStatusCode.OK, "the share of a second is back");
        var metrics = await a.Client("carol").GetStringAsync("/metrics");
        metrics.Should().MatchRegex("limiter_decisions_total\\{[^}]*decision=\"allowed\",limiter=\"redis\"\\} [1-9]").And.MatchRegex("limiter_decisions_total\\{[^}]*decision=\"refused\",limiter=\"redis\"\\} [1-9]");
    }

    [Fact]
    [Trait("Readiness", "28")]
    public async Task What_is_left_to_a_caller_is_what_all_instances_have_left()
    {
        var settings = new[] { ("Limits:Burst", "1000"), ("Limits:RequestsPerSecond", "1") };
        await using var a = await StartAsync(_given, settings: settings);
        await using var b = await StartAsync(_given, a.Database, settings: settings);
        await Task.WhenAll(SeesAsync(a, 1), SeesAsync(b, 1)); // connected, warm
        double local;
        HttpResponseMessage first, second;
        var (watch, tries) = (new Stopwatch(), 0);
        do
        {
            var user = Testing.NewName();
            (local, watch) = (await CountAsync(Local, a, b), Stopwatch.StartNew());
            first = await a.Client(user).SendAsync(Api.Costly());
            second = await b.Client(user).GetAsync(Api.Path);
        }
        while (++tries < 10 && await CountAsync(Local, a, b) > local); // a busy machine may let Redis seem away

        first.Headers.GetValues("RateLimit").Should().Equal("\"default\";r=995;t=5");
        var left = int.Parse(Regex.Match(second.Headers.GetValues("RateLimit").Single(), "r=(\\d+)").Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
        left.Should().BeInRange(994, Math.Min(998, 995 + (int)watch.Elapsed.TotalSeconds));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Readiness", "34")]
    public async Task Without_Redis_each_instance_goes_on_by_itself_and_in_time(bool frozen)
    {
        var clock = new ShiftedClock();
        await using var server = new RedisServer();
        await server.StartAsync();
        await using var host = await StartAsync(
            server.ConnectionString, services: services => services.AddSingleton<TimeProvider>(clock), settings: [("Limits:Burst", "30"), ("Limits:RequestsPerSecond", "1"), .. Api.Patient]);
        await SeesAsync(host, 1);
        (await ReadyAsync(host)).Should().Be("healthy");
        var (failures, local) = (await CountAsync(Failures, host), await CountAsync(Local, host));

        var before = await UseAsync(host, 1);
        if (frozen)
        {
            server.Freeze();
        }
        else
        {
            server.Kill();
        }
        var after = await UseAsync(host, 11);
        var flood = await Task.WhenAll(Enumerable.Range(0, 60).Select(_ => host.Client("greedy").GetAsync(Api.Path)));

        after.Should().BeLessThan(before + TimeSpan.FromSeconds(3)); // the limit of a call is a quarter of a second; machines are noisy
        flood.Select(answer => answer.StatusCode).Distinct().Should().BeEquivalentTo([HttpStatusCode.OK, HttpStatusCode.TooManyRequests]);
        (await ReadyAsync(host)).Should().Be("degraded");
        (await host.Client().GetStringAsync("/health/ready")).Should().Contain("ConnectionStrings__Redis");
        await Testing.EventuallyAsync(async () => await CountAsync(Failures, host) > failures && await CountAsync(Local, host) > local, "both counters have risen");
        host.Log.Entries.Should().ContainSingle(entry => IsAboutRedis(entry));
        host.Log.Entries.Should().NotContain(entry => entry.Level >= LogLevel.Error);

        if (frozen)
        {
            server.Thaw();
        }
        else
        {
            await server.StartAsync();
        }
        await Testing.EventuallyAsync(() => TriesAgainAsync(clock, host), "Redis is in use again");
        await using var redis = await ConnectionMultiplexer.ConnectAsync(server.ConnectionString);
        await Testing.EventuallyAsync(
            async () =>
            {
                (await host.Client(Testing.NewName()).GetAsync(Api.Path)).EnsureSuccessStatusCode();
                return Keys(redis).Any(key => key.Contains(":limit:", StringComparison.Ordinal));
            },
            "the limit is one for all again");
        host.Log.Entries.Should().ContainSingle(entry => entry.Message.Contains("answers again", StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Readiness", "35")]
    public async Task The_service_starts_without_Redis_and_takes_it_up_when_it_comes()
    {
        await using var server = new RedisServer();
        await server.StartAsync();
        server.Kill();
        var watch = Stopwatch.StartNew();
        var clock = new ShiftedClock();
        await using var a = await StartAsync(server.ConnectionString, services: services => services.AddSingleton<TimeProvider>(clock));
        await using var b = await StartAsync(server.ConnectionString, a.Database, services => services.AddSingleton<TimeProvider>(clock));
        watch.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(10));
        await SeesAsync(a, 1);
        await SeesAsync(b, 1);
        (await ReadyAsync(a)).Should().Be("degraded");
        await Testing.EventuallyAsync(() => a.Log.Entries.Any(IsAboutRedis), "the reason is said");
        a.Log.Entries.Should().ContainSingle(entry => IsAboutRedis(entry)).Which.Message.Should().Contain("cannot be reached");

        await server.StartAsync();
        await Testing.EventuallyAsync(() => TriesAgainAsync(clock, a, b), "Redis is in use");
        await using var redis = await ConnectionMultiplexer.ConnectAsync(server.ConnectionString);
        await Testing.EventuallyAsync(() => Subscribers(redis) == 2, "both listen");

        await ChangeAsync(a, 1);
        await SeesAsync(b, 2, seconds: 5);
    }

    [Theory]
    [InlineData("password=s3cret", "refuses the user or the password")]
    [InlineData("", "refuses the user or the password")]
    [InlineData("password=s3cret,ssl=true", "TLS")]
    [Trait("Readiness", "34")]
    public async Task A_server_that_does_not_let_us_in_is_said_in_one_line(string how, string reason)
    {
        await using var server = new RedisServer("--requirepass", "other");
        await server.StartAsync();
        await using var host = await StartAsync($"{server.ConnectionString},{how}");
        (await host.Client("u").GetAsync(Api.Path)).EnsureSuccessStatusCode();
        await SeesAsync(host, 1);

        await Testing.EventuallyAsync(() => host.Log.Entries.Any(IsAboutRedis), "the reason is said");
        host.Log.Entries.Should().ContainSingle(entry => IsAboutRedis(entry)).Which.Message.Should().Contain(reason);
        host.Log.Entries.Should().NotContain(entry => $"{entry.Message}{entry.Exception}".Contains("s3cret", StringComparison.Ordinal));
        (await host.Client().GetStringAsync("/health/ready")).Should().Contain("degraded").And.NotContain("s3cret");
    }

    private static bool IsAboutRedis(LogEntry entry) =>
        entry.Level >= LogLevel.Warning && entry.Message.Contains("ConnectionStrings__Redis", StringComparison.Ordinal);

    private Task<ConnectionMultiplexer> ConnectAsync() => ConnectionMultiplexer.ConnectAsync(_given);

    private Task<TestHost> StartAsync(string redis, TestDatabase? shared = null, Action<IServiceCollection>? services = null, params (string, string)[] settings) =>
        TestHost.StartAsync(all => (services ?? (_ => { }))(all.AddTestEndpoints()), shared: shared, settings: [("ConnectionStrings:Redis", redis), ("Redis:Prefix", _prefix), .. settings]);

    /// <summary>What the first instance has stored and the second has read: how long it is kept, and what log and metrics say.</summary>
    private async Task ShowsBothLevelsAsync(ConnectionMultiplexer redis, TestHost a, TestHost b)
    {
        (await redis.GetDatabase().KeyTimeToLiveAsync(CacheKey)).Should().BeGreaterThan(TimeSpan.FromMinutes(3.5)).And.BeLessThanOrEqualTo(TimeSpan.FromMinutes(5));
        a.Log.Entries.Should().Contain(entry => entry.Message.Contains($"cache: Redis at {_given.Split(',')[0]}", StringComparison.Ordinal));
        var metrics = await b.Client().GetStringAsync("/metrics");
        foreach (var (level, result) in (from level in (string[])["memory", "redis"] from result in (string[])["hit", "miss"] select (level, result)))
        {
            metrics.Should().MatchRegex($$"""cache_requests_total\{[^}]*level="{{level}}",result="{{result}}"[^}]*\} """);
        }
    }

    private static async Task<string> ReadyAsync(TestHost host)
    {
        using var answer = await host.Client().GetAsync("/health/ready");
        answer.StatusCode.Should().Be(HttpStatusCode.OK);
        return (await answer.JsonAsync())["status"]!.ToString();
    }

    /// <summary>Redis is left alone for ten seconds after it has failed.</summary>
    private static async Task<bool> TriesAgainAsync(ShiftedClock clock, params TestHost[] hosts)
    {
        clock.Shift += TimeSpan.FromSeconds(11);
        return (await Task.WhenAll(hosts.Select(ReadyAsync))).All(status => status == "healthy");
    }

    private static async Task<double> CountAsync(string series, params TestHost[] hosts)
    {
        var metrics = await Task.WhenAll(hosts.Select(host => host.Client().GetStringAsync("/metrics")));
        return metrics.SelectMany(text => Regex.Matches(text, $"^{series}.* (\\d+) ?\\d*\\r?$", RegexOptions.Multiline)).Sum(match => double.Parse(match.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture));
    }

    private List<string> Keys(ConnectionMultiplexer redis) => [.. redis.GetServers()[0].Keys(pattern: $"{_prefix}*").Select(key => $"{key}")];

    private long Subscribers(ConnectionMultiplexer redis) => redis.GetServers()[0].SubscriptionSubscriberCount(RedisChannel.Literal($"{_prefix}:cache:removed"));
}
