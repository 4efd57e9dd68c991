using System.Diagnostics.Metrics;
using System.Threading.RateLimiting;
using Storefront.Repositories;

namespace Storefront.Entry;

/// <summary>The share of one caller: over all instances where Redis is set, and in this process while it is away, or not set.</summary>
internal sealed class CallerLimiter(string caller, SharedLimit? shared, TokenBucketRateLimiterOptions options, Counter<long> decisions) : ReplenishingRateLimiter
{
    /// <summary>How many requests the caller may still make at once.</summary>
    public static readonly MetadataName<long> Left = MetadataName.Create<long>("LEFT");

    private readonly TokenBucketRateLimiter _local = new(options);
    private long _used = Stopwatch.GetTimestamp();

    /// <summary>When it has been idle for long it is thrown away, as that of any caller.</summary>
    public override TimeSpan? IdleDuration => _local.IdleDuration is { } idle && Stopwatch.GetElapsedTime(_used) is var unused ? (unused < idle ? unused : idle) : null;

    public override bool IsAutoReplenishing => _local.IsAutoReplenishing;

    public override TimeSpan ReplenishmentPeriod => _local.ReplenishmentPeriod;

    public override bool TryReplenish() => _local.TryReplenish();

    public override RateLimiterStatistics? GetStatistics() => _local.GetStatistics();

    /// <summary>With Redis it refuses, so that the middleware waits for <see cref="AcquireAsyncCore"/>: Redis is not asked on a blocked thread.</summary>
    protected override RateLimitLease AttemptAcquireCore(int permitCount) =>
        shared is null && Local(permitCount) is { IsAcquired: true } lease ? Counted(lease, "memory") : Unasked;

    protected override async ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken)
    {
        _used = Stopwatch.GetTimestamp();
        var said = shared is null ? null : await shared.TakeAsync(caller, permitCount, options.TokensPerPeriod, options.TokenLimit, cancellationToken);
        return said is var (wait, left) ? Counted(new Lease(wait == TimeSpan.Zero, wait, left), "redis") : Counted(Local(permitCount), "memory");
    }

    protected override void Dispose(bool disposing)
    {
        _local.Dispose();
        base.Dispose(disposing);
    }

    private Lease Local(int permitCount)
    {
        using var lease = _local.AttemptAcquire(permitCount);
        return new Lease(lease.IsAcquired, lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : TimeSpan.Zero, _local.GetStatistics()!.CurrentAvailablePermits);
    }

    private Lease Counted(Lease lease, string limiter)
    {
        decisions.Add(1, new("limiter", limiter), new("decision", lease.IsAcquired ? "allowed" : "refused"));
        return lease;
    }

    private static readonly Lease Unasked = new(false, TimeSpan.Zero, 0);

    private sealed class Lease(bool allowed, TimeSpan wait, long left) : RateLimitLease
    {
        public override bool IsAcquired => allowed;

        public override IEnumerable<string> MetadataNames => allowed ? [Left.Name] : [Left.Name, MetadataName.RetryAfter.Name];

        public override bool TryGetMetadata(string metadataName, out object? metadata)
        {
            metadata = metadataName == Left.Name ? left : metadataName == MetadataName.RetryAfter.Name && !allowed ? wait : null;
            return metadata is not null;
        }
    }
}
