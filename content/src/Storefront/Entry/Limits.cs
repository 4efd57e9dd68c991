using System.Diagnostics.Metrics;
using System.Net;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Storefront.Controllers;
//#if (cache == "redis")
using Storefront.Repositories;
//#endif

namespace Storefront.Entry;

public sealed record LimitSettings
{
    /// <summary>Of a request body.</summary>
    [Range(1024, 100 * 1024 * 1024)]
    public long BodyBytes { get; init; } = 64 * 1024;

    /// <summary>Then the work on a request is cancelled and the caller gets a 504.</summary>
    [Range(0.1, 600)]
    public double RequestSeconds { get; init; } = 30;

    /// <summary>Worked on at a time by this process; the rest gets a 503 at once, since a request that waits is one that times out.</summary>
    [Range(1, 10_000)]
    public int ConcurrentRequests { get; init; } = 200;

    /// <summary>Of one user, or of one address where there is no token; the rest gets a 429. A route may cost more than one: see Costs.</summary>
    [Range(1, 1_000_000)]
    public int RequestsPerSecond { get; init; } = 100;

    /// <summary>How many may come at once.</summary>
    [Range(1, 1_000_000)]
    public int Burst { get; init; } = 200;
}

/// <summary>What the answer says of it: an error on the way takes away fields that are set at once, so they are set last.</summary>
internal sealed record CallerShare(string Policy, string Limit);

/// <summary>Every request has a size, a time, and a share.</summary>
internal static class Limits
{
    public static void AddLimits(this WebApplicationBuilder builder)
    {
        var settings = builder.Configuration.Read<LimitSettings>("Limits");
        builder.Services.Configure<KestrelServerOptions>(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = settings.BodyBytes;
            kestrel.Limits.MaxConcurrentConnections = 2000;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
        });
        builder.Services.AddRequestTimeouts(timeouts => timeouts.DefaultPolicy = new() { Timeout = TimeSpan.FromSeconds(settings.RequestSeconds) });
        builder.Services.AddSingleton<MemoryPressure>();
        builder.Services.AddRateLimiter();
        builder.Services.AddOptions<RateLimiterOptions>().Configure<IServiceProvider>((limiter, provider) =>
        {
            limiter.GlobalLimiter = new Priced(PerCaller(settings, provider), settings);
            limiter.OnRejected = (rejected, _) => new ValueTask(RefuseAsync(
                rejected.HttpContext, StatusCodes.Status429TooManyRequests, rejected.Lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : TimeSpan.Zero, "Too many requests of one caller."));
        });
    }

    /// <summary>Takes on nothing more while memory is short: a process that is killed for it loses all that it has taken on. Nor more than it can work on.</summary>
    public static void UseShedding(this WebApplication app)
    {
        var memory = app.Services.GetRequiredService<MemoryPressure>();
        var places = new ConcurrencyLimiter(new() { PermitLimit = app.Configuration.Read<LimitSettings>("Limits").ConcurrentRequests });
        app.Use((http, next) =>
        {
            if (http.IsProbe())
                return next(http);
            if (memory.IsHigh())
                return RefuseAsync(http, StatusCodes.Status503ServiceUnavailable, TimeSpan.FromSeconds(5), "The service is short of memory.");
            var place = places.AttemptAcquire();
            if (!place.IsAcquired)
                return RefuseAsync(http, StatusCodes.Status503ServiceUnavailable, TimeSpan.Zero, "The service is full.");
            http.Response.RegisterForDispose(place);
            return next(http);
        });
    }

    private static Task RefuseAsync(HttpContext http, int status, TimeSpan wait, string reason)
    {
        http.Response.Headers.RetryAfter = $"{Seconds(wait)}";
        return http.WriteProblemAsync(status, reason);
    }

    private static long Seconds(TimeSpan wait) => Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds));

    //#if (cache == "redis")
    /// <summary>Over all instances where Redis is set, else in this process.</summary>
    //#endif
    private static PartitionedRateLimiter<HttpContext> PerCaller(LimitSettings settings, IServiceProvider provider)
    {
        var local = new TokenBucketRateLimiterOptions
        {
            TokenLimit = settings.Burst,
            TokensPerPeriod = settings.RequestsPerSecond,
            ReplenishmentPeriod = TimeSpan.FromSeconds(1),
            AutoReplenishment = false,
        };
        var decisions = provider.GetRequiredService<IMeterFactory>().Create("Storefront.Limits").CreateCounter<long>(
            "limiter.decisions", description: "Of a caller's share, by limiter and decision (allowed, refused).");
        var limiter = Limiter; // one delegate for all requests
        return PartitionedRateLimiter.Create<HttpContext, string>(http => http.IsProbe() ? RateLimitPartition.GetNoLimiter("") : RateLimitPartition.Get(Caller(http), limiter));

        RateLimiter Limiter(string caller) =>
            //#if (cache == "redis")
            provider.GetService<SharedLimit>() is { } shared ? new SharedCallerLimiter(caller, shared, local, decisions) :
            //#endif
            new CallerLimiter(local, decisions);
    }

    /// <summary>An IPv6 caller owns a /64 (RFC 6177): the single address would be a new caller each time.</summary>
    public static string Caller(HttpContext http)
    {
        var address = http.Connection.RemoteIpAddress ?? IPAddress.None;
        //#if (auth == "jwt")
        if (http.UserId() is { } user)
            return "user " + user;
        //#endif
        return address is { AddressFamily: System.Net.Sockets.AddressFamily.InterNetworkV6, IsIPv4MappedToIPv6: false }
            ? new IPNetwork(new IPAddress([.. address.GetAddressBytes()[..8], .. new byte[8]]), 64).ToString()
            : address.MapToIPv4().ToString();
    }

    /// <summary>Takes from the share of the caller what the route costs, and says what is left of it (draft-ietf-httpapi-ratelimit-headers-10).</summary>
    private sealed class Priced(PartitionedRateLimiter<HttpContext> callers, LimitSettings settings) : PartitionedRateLimiter<HttpContext>
    {
        private readonly string _policy = $"\"default\";q={settings.Burst};w={Seconds(Refill(settings, settings.Burst))}";

        public override RateLimiterStatistics? GetStatistics(HttpContext resource) => callers.GetStatistics(resource);

        protected override RateLimitLease AttemptAcquireCore(HttpContext resource, int permitCount)
        {
            var lease = callers.AttemptAcquire(resource, Cost(resource));
            return lease.IsAcquired ? Said(resource, lease) : lease; // where it refuses it is asked again, by the method below
        }

        protected override async ValueTask<RateLimitLease> AcquireAsyncCore(HttpContext resource, int permitCount, CancellationToken cancellationToken) =>
            Said(resource, await callers.AcquireAsync(resource, Cost(resource), cancellationToken));

        private int Cost(HttpContext http) => Math.Min(settings.Burst, http.GetEndpoint()?.Metadata.GetMetadata<RequestCost>()?.Requests ?? 1);

        private RateLimitLease Said(HttpContext http, RateLimitLease lease)
        {
            if (lease is CallerLimiter.Lease share)
                http.Features.Set(new CallerShare(_policy, $"\"default\";r={share.Left};t={Seconds(share.IsAcquired ? Refill(settings, settings.Burst - share.Left) : share.Wait)}"));
            return lease;
        }
    }

    private static TimeSpan Refill(LimitSettings settings, long requests) => TimeSpan.FromSeconds((double)requests / settings.RequestsPerSecond);
}

/// <summary>Whether this process is close to the end of its memory. The collector knows the limit of its container.</summary>
public partial class MemoryPressure(ILogger<MemoryPressure> logger)
{
    private const int Milliseconds = 250; // between two looks

    private long _next;
    private volatile bool _isHigh;

    public bool IsHigh()
    {
        var (now, next) = (Environment.TickCount64, Volatile.Read(ref _next));
        if (now < next || Interlocked.CompareExchange(ref _next, now + Milliseconds, next) != next)
            return _isHigh;
        var isHigh = Measure();
        if (isHigh && !_isHigh)
            Short(Environment.WorkingSet >> 20);
        return _isHigh = isHigh;
    }

    protected virtual bool Measure()
    {
        var last = GC.GetGCMemoryInfo(); // what the last collection saw
        var isHigh = last.MemoryLoadBytes >= last.HighMemoryLoadThresholdBytes
            && Environment.WorkingSet > last.TotalAvailableMemoryBytes / 2; // else others fill the machine, and shedding helps nobody
        if (isHigh)
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: false); // who sheds all allocates nothing: there would be no other
        return isHigh;
    }

    [LoggerMessage(20, LogLevel.Warning, "Short of memory at {Megabytes} MB: new requests are refused")]
    private partial void Short(long megabytes);
}
