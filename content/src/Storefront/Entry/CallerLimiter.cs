using System.Diagnostics.Metrics;
using System.Threading.RateLimiting;

namespace Storefront.Entry;

/// <summary>The share of one caller in this process.</summary>
internal class CallerLimiter(TokenBucketRateLimiterOptions options, Counter<long> decisions) : ReplenishingRateLimiter
{
    protected static readonly RateLimitLease Unasked = new Lease(false, TimeSpan.Zero, 0);

    private readonly TokenBucketRateLimiter _local = new(options);

    /// <summary>When it has been idle for long it is thrown away, as that of any caller.</summary>
    public override TimeSpan? IdleDuration => _local.IdleDuration;

    public override bool IsAutoReplenishing => _local.IsAutoReplenishing;

    public override TimeSpan ReplenishmentPeriod => _local.ReplenishmentPeriod;

    public override bool TryReplenish() => _local.TryReplenish();

    public override RateLimiterStatistics? GetStatistics() => _local.GetStatistics();

    /// <summary>Where it refuses, the middleware asks once more, by the method below.</summary>
    protected override RateLimitLease AttemptAcquireCore(int permitCount) => Local(permitCount) is { IsAcquired: true } lease ? Counted(lease) : Unasked;

    protected override ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken) => new(Counted(Local(permitCount)));

    protected override void Dispose(bool disposing)
    {
        _local.Dispose();
        base.Dispose(disposing);
    }

    protected RateLimitLease Counted(RateLimitLease lease, string limiter = "memory")
    {
        decisions.Add(1, new("limiter", limiter), new("decision", lease.IsAcquired ? "allowed" : "refused"));
        return lease;
    }

    private Lease Local(int permitCount)
    {
        using var lease = _local.AttemptAcquire(permitCount);
        return new Lease(lease.IsAcquired, lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : TimeSpan.Zero, _local.GetStatistics()!.CurrentAvailablePermits);
    }

    public sealed class Lease(bool allowed, TimeSpan wait, long left) : RateLimitLease
    {
        public TimeSpan Wait => wait;

        /// <summary>How many requests the caller may still make at once.</summary>
        public long Left => left;

        public override bool IsAcquired => allowed;

        public override IEnumerable<string> MetadataNames => allowed ? [] : [MetadataName.RetryAfter.Name];

        public override bool TryGetMetadata(string metadataName, out object? metadata)
        {
            metadata = !allowed && metadataName == MetadataName.RetryAfter.Name ? wait : null;
            return metadata is not null;
        }
    }
}
