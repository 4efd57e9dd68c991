using System.Diagnostics;
using System.Net;
using Microsoft.Extensions.DependencyInjection;
using StackExchange.Redis;

namespace Integration;

/// <summary>What the two levels of the cache know of products.</summary>
public sealed partial class RedisTests
{
    private const string Sku = "COFFEE-1KG";

    [Fact]
    [Trait("Readiness", "51")]
    public async Task What_one_instance_has_read_another_reads_without_a_query()
    {
        var queries = 0;
        await using var redis = await ConnectAsync();
        await using var a = await StartAsync(_given);
        (await a.Client().GetAsync($"/v1/products/{Sku}")).EnsureSuccessStatusCode();
        await Testing.EventuallyAsync(() => redis.GetDatabase().KeyExistsAsync(CacheKey), "the product is in Redis");
        await using var b = await StartAsync(_given, a.Database, services => services.HookReads(_ => Task.FromResult(Interlocked.Increment(ref queries))));

        (await b.Client().GetStringAsync($"/v1/products/{Sku}")).Should().Contain(Sku);

        queries.Should().Be(0);
        await ShowsBothLevelsAsync(redis, a, b);
    }

    [Fact]
    [Trait("Readiness", "51")]
    public async Task An_update_on_one_instance_is_seen_on_the_other_at_once()
    {
        await using var a = await StartAsync(_given);
        await using var b = await StartAsync(_given, a.Database);
        for (var version = 1; version < 5; version++)
        {
            await SeesAsync(b, version);
            (await b.Client().GetAsync($"/v1/products/{Sku}")).Headers.ETag!.Tag.Should().Be($"\"{version}\"", "it is in the memory of B");
            await ChangeAsync(a, version);
            var watch = Stopwatch.StartNew();
            await SeesAsync(b, version + 1);
            watch.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(5), "it does not wait for the first level to end, which takes 15 s");
        }
    }

    [Fact]
    [Trait("Readiness", "51")]
    public async Task An_update_whose_message_was_lost_is_seen_when_the_first_level_expires()
    {
        await using var redis = await ConnectAsync();
        await using var b = await StartAsync(_given);
        await SeesAsync(b, 1);
        await Testing.EventuallyAsync(() => redis.GetDatabase().KeyExistsAsync(CacheKey), "the product is in Redis");

        await b.Database.ExecuteAsync($"UPDATE products SET version = 2 WHERE sku = '{Sku}'");
        await redis.GetDatabase().KeyDeleteAsync(CacheKey);

        await SeesAsync(b, 2);
    }

    [Fact]
    public async Task Names_that_callers_invent_reach_neither_level()
    {
        await using var redis = await ConnectAsync();
        await using var host = await StartAsync(_given);
        var told = 0;
        await redis.GetSubscriber().SubscribeAsync(RedisChannel.Literal($"{_prefix}:cache:removed"), (_, _) => Interlocked.Increment(ref told));

        for (var i = 0; i < 20; i++)
        {
            using var absent = await host.Client().GetAsync($"/v1/products/NO-{i}");
            await absent.ShouldBeProblemAsync(404);
        }
        await SeesAsync(host, 1);
        await Testing.EventuallyAsync(() => redis.GetDatabase().KeyExistsAsync(CacheKey), "what is there is stored");

        Keys(redis).Where(key => key.Contains(":cache:", StringComparison.Ordinal)).Should().Equal(CacheKey);
        told.Should().Be(0);
    }

    [Fact]
    [Trait("Readiness", "34")]
    public async Task A_write_while_Redis_was_frozen_is_not_undone_by_the_value_from_before()
    {
        var clock = new ShiftedClock();
        await using var server = new RedisServer();
        await server.StartAsync();
        await using var redis = await ConnectionMultiplexer.ConnectAsync(server.ConnectionString);
        await using var a = await StartAsync(server.ConnectionString, services: services => services.AddSingleton<TimeProvider>(clock));
        await using var b = await StartAsync(server.ConnectionString, a.Database);
        await SeesAsync(a, 1);
        await SeesAsync(b, 1);
        await Testing.EventuallyAsync(() => redis.GetDatabase().KeyExistsAsync(CacheKey), "the product is in Redis");

        server.Freeze();
        await Testing.EventuallyAsync(
            async () =>
            {
                (await a.Client().GetAsync("/v1/products")).EnsureSuccessStatusCode();
                return a.Log.Entries.Any(IsAboutRedis);
            },
            "Redis is not asked any more"); // so that not even the socket holds the removal
        await ChangeAsync(a, 1);
        server.Thaw();
        (await redis.GetDatabase().KeyExistsAsync(CacheKey)).Should().BeTrue("the value from before is still there");
        clock.Shift += TimeSpan.FromSeconds(11);

        (await a.Client().GetAsync($"/v1/products/{Sku}")).Headers.ETag!.Tag.Should().Be("\"2\"");
        await SeesAsync(b, 2, seconds: 10);
    }

    private string CacheKey => $"{_prefix}:cache:product:{Sku}";

    /// <summary>By one instance, from this version to the next.</summary>
    private static async Task ChangeAsync(TestHost host, int version) => (await host.Client("admin").SendAsync(Api.Put(Sku, ifMatch: $"\"{version}\""))).EnsureSuccessStatusCode();

    private static Task SeesAsync(TestHost host, int version, int seconds = 30) => Testing.EventuallyAsync(
        async () => (await host.Client().GetAsync($"/v1/products/{Sku}")).EnsureSuccessStatusCode().Headers.ETag!.Tag == $"\"{version}\"", $"version {version} is seen", seconds);

    /// <returns>The longest time that a request took.</returns>
    private static async Task<TimeSpan> UseAsync(TestHost host, int version)
    {
        var longest = TimeSpan.Zero;
        for (var round = 0; round < 10; round++)
        {
            var client = host.Client(Testing.NewName());
            foreach (var (request, status) in new[]
            {
                (Api.Put(Sku, ifMatch: $"\"{version + round}\""), HttpStatusCode.OK),
                (new(HttpMethod.Get, $"/v1/products/{Sku}"), HttpStatusCode.OK),
                (Api.Order(), HttpStatusCode.Created),
                (new(HttpMethod.Get, "/v1/orders"), HttpStatusCode.OK),
                (new(HttpMethod.Get, "/v1/products/NONE"), HttpStatusCode.NotFound),
            })
            {
                var watch = Stopwatch.StartNew();
                using var answer = await client.SendAsync(request);
                answer.StatusCode.Should().Be(status);
                longest = longest > watch.Elapsed ? longest : watch.Elapsed;
            }
        }
        return longest;
    }
}
