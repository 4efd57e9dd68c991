using System.Diagnostics;
using System.Net;
using Microsoft.Extensions.Caching.Hybrid;
using Microsoft.Extensions.DependencyInjection;

namespace Integration;

/// <summary>What the two levels of the cache know of whatever is kept there.</summary>
public sealed partial class RedisTests
{
    private const string Key = "entry";

    [Fact]
    [Trait("Readiness", "51")]
    public async Task What_one_instance_has_read_another_reads_without_a_query()
    {
        await using var redis = await ConnectAsync();
        await using var a = await StartAsync(_given);
        await using var b = await StartAsync(_given, a.Database);
        (await ReadAsync(a, 1)).Should().Be(1);
        await Testing.EventuallyAsync(() => redis.GetDatabase().KeyExistsAsync(CacheKey), "the entry is in Redis");

        (await ReadAsync(b, 2)).Should().Be(1);

        await ShowsBothLevelsAsync(redis, a, b);
    }

    [Fact]
    [Trait("Readiness", "51")]
    public async Task A_hundred_readers_at_once_make_one_query()
    {
        var (queries, gate) = (0, new TaskCompletionSource());
        await using var host = await StartAsync(_given);
        var cache = host.Services.GetRequiredService<HybridCache>();

        var readers = Enumerable.Range(0, 100).Select(_ => cache.GetOrCreateAsync(Key, async _ =>
        {
            Interlocked.Increment(ref queries);
            await gate.Task;
            return 1;
        }).AsTask()).ToList();
        gate.SetResult();
        await Task.WhenAll(readers);

        queries.Should().Be(1);
    }

    [Fact]
    [Trait("Readiness", "51")]
    public async Task What_one_instance_removes_is_read_anew_by_the_other_at_once()
    {
        await using var a = await StartAsync(_given);
        await using var b = await StartAsync(_given, a.Database);
        for (var version = 1; version < 5; version++)
        {
            await SeesAsync(b, version);
            (await ReadAsync(b, 0)).Should().Be(version, "it is in the memory of B");
            await ChangeAsync(a, version);
            await SeesAsync(b, version + 1, seconds: 5); // it does not wait for the first level to end, which takes 15 s
        }
    }

    private string CacheKey => $"{_prefix}:cache:{Key}";

    private static Task ChangeAsync(TestHost host, int _) => host.Services.GetRequiredService<HybridCache>().RemoveAsync(Key).AsTask();

    /// <returns>What the cache has, or else the version that is given.</returns>
    private static async Task<int> ReadAsync(TestHost host, int version) => await host.Services.GetRequiredService<HybridCache>().GetOrCreateAsync(Key, _ => ValueTask.FromResult(version));

    private static Task SeesAsync(TestHost host, int version, int seconds = 30) => Testing.EventuallyAsync(async () => await ReadAsync(host, version) == version, $"version {version} is seen", seconds);

    /// <returns>The longest time that a request took.</returns>
    private static async Task<TimeSpan> UseAsync(TestHost host, int version)
    {
        var longest = TimeSpan.Zero;
        for (var round = 0; round < 10; round++)
        {
            var watch = Stopwatch.StartNew();
            using var answer = await host.Client(Testing.NewName()).GetAsync(Api.Path);
            await host.Services.GetRequiredService<HybridCache>().RemoveAsync(Key);
            (await ReadAsync(host, version + round)).Should().Be(version + round);
            answer.StatusCode.Should().Be(HttpStatusCode.OK);
            longest = longest > watch.Elapsed ? longest : watch.Elapsed;
        }
        return longest;
    }
}
