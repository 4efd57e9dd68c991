using StackExchange.Redis;

namespace Storefront.Repositories;

/// <summary>One share for each caller over all instances: a token bucket as the time at which it is full again (GCRA), by the clock of Redis.</summary>
public sealed class SharedLimit(Redis redis)
{
    private const string Script =
        """
        local time = redis.call('TIME')
        local now, interval, burst = time[1] * 1000000 + time[2], tonumber(ARGV[1]), tonumber(ARGV[2])
        local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + interval
        local wait = full - now - burst * interval
        if wait > 0 then
          return math.ceil(wait)
        end
        redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
        return 0
        """;

    /// <param name="caller">Of any length and content: Redis gets its fingerprint.</param>
    /// <returns>How long to wait, zero if the caller may go on; null if Redis does not say.</returns>
    public async Task<TimeSpan?> TakeAsync(string caller, int perSecond, int burst, CancellationToken cancellation)
    {
        RedisKey[] keys = [redis.Name("limit:" + Fingerprint.Of([caller]))];
        RedisValue[] arguments = [1_000_000d / perSecond, burst];
        var wait = await redis.TryAsync(async database => (long?)await database.ScriptEvaluateAsync(Script, keys, arguments), null, cancellation);
        return wait is { } microseconds ? TimeSpan.FromMicroseconds(microseconds) : null;
    }
}
