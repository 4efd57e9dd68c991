using System.Diagnostics.Metrics;
using System.Threading.RateLimiting;
using Storefront.Repositories;

namespace Storefront.Entry;

/// <summary>The limiter of one caller over all instances; while Redis is away each instance counts on its own.</summary>
internal sealed class SharedLimiter(string caller, SharedLimit shared, TokenBucketRateLimiterOptions options, Counter<long> decisions) : ReplenishingRateLimiter
{
    private readonly TokenBucketRateLimiter _local = new(options);
    private long _used = Stopwatch.GetTimestamp();

    /// <summary>When it has been idle for long it is thrown away, as that of any caller.</summary>
    public override TimeSpan? IdleDuration => _local.IdleDuration is { } idle && Stopwatch.GetElapsedTime(_used) is var unused ? (unused < idle ? unused : idle) : null;

    public override bool IsAutoReplenishing => _local.IsAutoReplenishing;

    public override TimeSpan ReplenishmentPeriod => _local.ReplenishmentPeriod;

    public override bool TryReplenish() => _local.TryReplenish();

    public override RateLimiterStatistics? GetStatistics() => _local.GetStatistics();

    /// <summary>Refuses, so that the middleware waits for <see cref="AcquireAsyncCore"/>: Redis is not asked on a blocked thread.</summary>
    protected override RateLimitLease AttemptAcquireCore(int permitCount) => new Lease(false, TimeSpan.Zero);

    protected override async ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken)
    {
        _used = Stopwatch.GetTimestamp();
        var wait = await shared.TakeAsync(caller, options.TokensPerPeriod, options.TokenLimit, cancellationToken);
        var lease = wait is { } time ? new Lease(time == TimeSpan.Zero, time) : _local.AttemptAcquire(permitCount);
        decisions.Add(1, new("limiter", wait is null ? "memory" : "redis"), new("decision", lease.IsAcquired ? "allowed" : "refused"));
        return lease;
    }

    protected override void Dispose(bool disposing)
    {
        _local.Dispose();
        base.Dispose(disposing);
    }

    private sealed class Lease(bool allowed, TimeSpan wait) : RateLimitLease
    {
        public override bool IsAcquired => allowed;

        public override IEnumerable<string> MetadataNames => allowed ? [] : [MetadataName.RetryAfter.Name];

        public override bool TryGetMetadata(string metadataName, out object? metadata)
        {
            metadata = metadataName == MetadataName.RetryAfter.Name && !allowed ? wait : null;
            return metadata is not null;
        }
    }
}
