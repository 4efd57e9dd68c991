using StackExchange.Redis;

namespace Storefront.Repositories;

/// <summary>One share for each caller over all instances: a token bucket as the time at which it is full again (GCRA), by the clock of Redis.</summary>
public sealed class SharedLimit(Redis redis)
{
    private const string Script =
        """
        local time = redis.call('TIME')
        local now, interval, burst, cost = time[1] * 1000000 + time[2], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
        local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
        local left = burst - (full - now) / interval
        if left < cost then
          return { math.ceil((cost - left) * interval), math.max(0, math.floor(left)) }
        end
        full = full + cost * interval
        redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
        return { 0, math.floor(left - cost) }
        """;

    /// <param name="caller">Of any length and content: Redis gets its fingerprint.</param>
    /// <returns>How long to wait, zero if the caller may go on, and how much of the burst is left; null if Redis does not say.</returns>
    public Task<(TimeSpan Wait, long Left)?> TakeAsync(string caller, int cost, int perSecond, int burst, CancellationToken cancellation)
    {
        RedisKey[] keys = [redis.Name("limit:" + Fingerprint.Of([caller]))];
        RedisValue[] arguments = [1_000_000d / perSecond, burst, cost];
        return redis.TryAsync<(TimeSpan, long)?>(
            async database => (long[]?)await database.ScriptEvaluateAsync(Script, keys, arguments) is [var microseconds, var left] ? (TimeSpan.FromMicroseconds(microseconds), left) : null,
            null, cancellation);
    }
}
