using System.Collections.Concurrent;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using StackExchange.Redis;

namespace Storefront.Repositories;

/// <summary>
/// The level of the cache that all instances share. A failed read is a miss, a failed write is forgotten. A failed removal is
/// repeated until Redis takes it, and is a miss here until then: else a value from before an outage would come back after it.
/// A removal is told to all instances, which then forget their own copy, and for a moment store none: a reader that was under
/// way has the value from before.
/// </summary>
internal sealed class SecondLevelCache : IDistributedCache, IDisposable
{
    private const int MaxUnremoved = 10_000; // what is beyond expires in Redis by itself

    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<string, object> _unremoved = new();
    private readonly ConcurrentDictionary<string, long> _removedAt = new();
    private readonly TimeProvider _clock;
    private readonly IDistributedCache _inner;
    private readonly Redis _redis;
    private readonly CacheMetrics _metrics;
    private readonly RedisChannel _removed;
    private readonly PeriodicTimer _repeat;

    public SecondLevelCache(IDistributedCache inner, Redis redis, IMemoryCache firstLevel, CacheMetrics metrics, TimeProvider clock)
    {
        (_inner, _redis, _metrics, _clock, _repeat) = (inner, redis, metrics, clock, new PeriodicTimer(TimeSpan.FromSeconds(1), clock));
        _removed = RedisChannel.Literal(redis.Name("cache:removed"));
        _ = redis.SubscribeAsync(_removed, key =>
        {
            _removedAt[key] = clock.GetTimestamp();
            firstLevel.Remove(key);
        });
        _ = RepeatAsync();
    }

    public async Task<byte[]?> GetAsync(string key, CancellationToken token = default)
    {
        var value = _unremoved.ContainsKey(key) ? null : await _redis.TryAsync(_ => _inner.GetAsync(key, CancellationToken.None), null, token);
        _metrics.CountSecondLevel(value is not null);
        return value;
    }

    public Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        if (_removedAt.ContainsKey(key))
            return Task.CompletedTask;
        // Up to a fifth earlier, so that what was stored together is not read anew together.
        var expiry = new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = options.AbsoluteExpirationRelativeToNow * (1 - (0.2 * Random.Shared.NextDouble())) };
        return _redis.TryAsync(
            async _ =>
            {
                await _inner.SetAsync(key, value, expiry, CancellationToken.None);
                return true;
            },
            false, token);
    }

    public async Task RemoveAsync(string key, CancellationToken token = default)
    {
        _removedAt[key] = _clock.GetTimestamp();
        if (!await TryRemoveAsync(key) && _unremoved.Count < MaxUnremoved)
            _unremoved[key] = new();
    }

    public void Dispose() => _repeat.Dispose();

    public byte[]? Get(string key) => throw new NotSupportedException();
    public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => throw new NotSupportedException();
    public void Remove(string key) => throw new NotSupportedException();
    public void Refresh(string key) => throw new NotSupportedException();
    public Task RefreshAsync(string key, CancellationToken token = default) => throw new NotSupportedException();

    private Task<bool> TryRemoveAsync(string key) => _redis.TryAsync(
        async database =>
        {
            await _inner.RemoveAsync(key, CancellationToken.None);
            await database.PublishAsync(_removed, key);
            return true;
        },
        false, CancellationToken.None);

    private async Task RepeatAsync()
    {
        while (await _repeat.WaitForNextTickAsync())
        {
            foreach (var removal in _removedAt.Where(each => _clock.GetElapsedTime(each.Value) > Moment))
                _removedAt.TryRemove(removal); // unless it was removed anew meanwhile
            foreach (var removal in _unremoved)
            {
                if (!await TryRemoveAsync(removal.Key))
                    break;
                _unremoved.TryRemove(removal); // unless it failed anew meanwhile
            }
        }
    }
}
