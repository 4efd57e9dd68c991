using System.Diagnostics.Metrics;
using System.Net;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Storefront.Repositories;

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

    /// <summary>Of one user, or of one address where there is no token; the rest gets a 429.</summary>
    [Range(1, 1_000_000)]
    public int RequestsPerSecond { get; init; } = 100;

    /// <summary>How many may come at once.</summary>
    [Range(1, 1_000_000)]
    public int Burst { get; init; } = 200;
}

/// <summary>Every request has a size, a time, and a share.</summary>
internal static class Limits
{
    public const string Meter = "Storefront.Limits";

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
        builder.Services.AddRateLimiter();
        builder.Services.AddOptions<RateLimiterOptions>().Configure<IServiceProvider>((limiter, provider) =>
        {
            limiter.GlobalLimiter = PartitionedRateLimiter.CreateChained(Concurrency(settings), PerCaller(settings, provider));
            limiter.OnRejected = (rejected, _) =>
            {
                // Only the limiter of a caller knows when to come back; the one of all callers means that the service is full.
                var perCaller = rejected.Lease.TryGetMetadata(MetadataName.RetryAfter, out var wait);
                rejected.HttpContext.Response.Headers.RetryAfter = Math.Max(1, Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
                return new ValueTask(perCaller
                    ? rejected.HttpContext.WriteProblemAsync(StatusCodes.Status429TooManyRequests, "Too many requests of one caller.")
                    : rejected.HttpContext.WriteProblemAsync(StatusCodes.Status503ServiceUnavailable, "The service is full."));
            };
        });
    }

    private static PartitionedRateLimiter<HttpContext> Concurrency(LimitSettings settings) => ExceptProbes(_ => "all", key => RateLimitPartition.GetConcurrencyLimiter(
        key, _ => new() { PermitLimit = settings.ConcurrentRequests }));

    /// <summary>Over all instances where Redis is set, else in this process.</summary>
    private static PartitionedRateLimiter<HttpContext> PerCaller(LimitSettings settings, IServiceProvider provider)
    {
        var local = new TokenBucketRateLimiterOptions
        {
            TokenLimit = settings.Burst,
            TokensPerPeriod = settings.RequestsPerSecond,
            ReplenishmentPeriod = TimeSpan.FromSeconds(1),
            AutoReplenishment = false,
        };
        if (provider.GetService<SharedLimit>() is not { } shared)
            return ExceptProbes(Caller, key => RateLimitPartition.GetTokenBucketLimiter(key, _ => local));
        var decisions = provider.GetRequiredService<IMeterFactory>().Create(Meter).CreateCounter<long>(
            "limiter.decisions", description: "By limiter (redis, or memory while Redis is away) and decision (allowed, refused).");
        return ExceptProbes(Caller, key => RateLimitPartition.Get(key, caller => new SharedLimiter(caller, shared, local, decisions)));
    }

    private static PartitionedRateLimiter<HttpContext> ExceptProbes(Func<HttpContext, string> key, Func<string, RateLimitPartition<string>> limiter) =>
        PartitionedRateLimiter.Create<HttpContext, string>(http => http.IsProbe() ? RateLimitPartition.GetNoLimiter("") : limiter(key(http)));

    /// <summary>An IPv6 caller owns a /64 (RFC 6177): the single address would be a new caller each time.</summary>
    public static string Caller(HttpContext http)
    {
        var address = http.Connection.RemoteIpAddress ?? IPAddress.None;
        if (http.User.FindFirst("sub")?.Value is { } user)
            return "user " + user;
        return address is { AddressFamily: System.Net.Sockets.AddressFamily.InterNetworkV6, IsIPv4MappedToIPv6: false }
            ? new IPNetwork(new IPAddress([.. address.GetAddressBytes()[..8], .. new byte[8]]), 64).ToString()
            : address.MapToIPv4().ToString();
    }
}
