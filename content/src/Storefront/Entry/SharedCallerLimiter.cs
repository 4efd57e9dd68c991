using System.Diagnostics.Metrics;
using System.Threading.RateLimiting;
using Storefront.Repositories;

namespace Storefront.Entry;

/// <summary>The share of one caller over all instances, and in this process while Redis is away.</summary>
internal sealed class SharedCallerLimiter(string caller, SharedLimit shared, TokenBucketRateLimiterOptions options, Counter<long> decisions) : CallerLimiter(options, decisions)
{
    private readonly TokenBucketRateLimiterOptions _options = options;
    private long _used = Stopwatch.GetTimestamp();

    public override TimeSpan? IdleDuration => base.IdleDuration is { } idle && Stopwatch.GetElapsedTime(_used) is var unused ? (unused < idle ? unused : idle) : null;

    /// <summary>Redis is not asked on a blocked thread.</summary>
    protected override RateLimitLease AttemptAcquireCore(int permitCount) => Unasked;

    protected override async ValueTask<RateLimitLease> AcquireAsyncCore(int permitCount, CancellationToken cancellationToken)
    {
        _used = Stopwatch.GetTimestamp();
        return await shared.TakeAsync(caller, permitCount, _options.TokensPerPeriod, _options.TokenLimit, cancellationToken) is var (wait, left)
            ? Counted(new Lease(wait == TimeSpan.Zero, wait, left), "redis")
            : await base.AcquireAsyncCore(permitCount, cancellationToken);
    }
}
