using System.Diagnostics.Metrics;
using Microsoft.Extensions.Caching.Memory;

namespace Storefront.Repositories;

public sealed class CacheMetrics
{
    //#if (cache == "redis")
    private long _hits;
    private long _misses;

    //#endif
    public CacheMetrics(IMeterFactory factory, IMemoryCache firstLevel)
    {
        Measurement<long> Count(long count, string level, string result) =>
            new(count, new KeyValuePair<string, object?>("level", level), new KeyValuePair<string, object?>("result", result));
        factory.Create("Storefront.Cache").CreateObservableCounter(
            "cache.requests",
            () => firstLevel.GetCurrentStatistics() is { } memory
                ? (Measurement<long>[])
                [
                    Count(memory.TotalHits, "memory", "hit"), Count(memory.TotalMisses, "memory", "miss"),
                    //#if (cache == "redis")
                    Count(_hits, "redis", "hit"), Count(_misses, "redis", "miss"),
                    //#endif
                ]
                : [],
            description: "Reads of the cache by level and result (hit, miss).");
    }
    //#if (cache == "redis")

    public void CountSecondLevel(bool hit) => Interlocked.Increment(ref hit ? ref _hits : ref _misses);
    //#endif
}
