using System.Diagnostics.Metrics;
using System.Threading.RateLimiting;
//#if (auth == "jwt")
using Microsoft.AspNetCore.Authentication;
//#endif
using Microsoft.AspNetCore.Diagnostics;

namespace Storefront.Entry;

/// <summary>The number is the id in the log.</summary>
internal enum SecurityEvent
{
    //#if (auth == "jwt")
    Unauthenticated = 30,
    Forbidden = 31,
    //#endif
    TooManyRequests = 32,
    ManyBadRequests = 33,
    ForeignHost = 34,
    ForgedAddress = 35,
}

/// <summary>
/// What callers were refused, for whoever watches. The counter has all of it; the log one line a minute for a caller and a reason,
/// and a hundred for all callers, as it is they who would fill it.
/// </summary>
internal static class SecurityEvents
{
    /// <summary>So many requests a minute may a caller get wrong before it looks like a search for holes.</summary>
    private const int BadRequests = 20;

    private const string Message = "{Kind}: {Reason} at {Route} for {UserId} from {Client}";

    private static readonly Dictionary<SecurityEvent, Action<ILogger, SecurityEvent, string, string, string?, string?, Exception?>> Lines = Enum.GetValues<SecurityEvent>().ToDictionary(
        kind => kind, kind => LoggerMessage.Define<SecurityEvent, string, string, string?, string?>(LogLevel.Warning, new EventId((int)kind, $"{kind}"), Message));

    public static void UseSecurityEvents(this WebApplication app)
    {
        var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Storefront.Security");
        var events = app.Services.GetRequiredService<IMeterFactory>().Create("Storefront.Security").CreateCounter<long>("security.events", description: "Requests that were refused for safety, by kind.");
        var (lines, bad) = (PartitionedRateLimiter.CreateChained(PerMinute(1), All(100)), PerMinute(BadRequests));
        app.Lifetime.ApplicationStopped.Register(() => Array.ForEach([lines, bad], limiter => limiter.Dispose()));
        app.Use(async (http, next) =>
        {
            await next(http);
            var endpoint = http.GetEndpoint() ?? http.Features.Get<IExceptionHandlerFeature>()?.Endpoint;
            switch (http.Response.StatusCode)
            {
                //#if (auth == "jwt")
                case StatusCodes.Status401Unauthorized:
                    Report(SecurityEvent.Unauthenticated, Reason((await http.AuthenticateAsync()).Failure));
                    break;
                case StatusCodes.Status403Forbidden:
                    Report(SecurityEvent.Forbidden, "the token does not allow it");
                    break;
                //#endif
                case StatusCodes.Status429TooManyRequests:
                    Report(SecurityEvent.TooManyRequests, "over the limit of one caller");
                    break;
                case StatusCodes.Status400BadRequest when endpoint is null:
                    Report(SecurityEvent.ForeignHost, "none of AllowedHosts");
                    break;
                case StatusCodes.Status400BadRequest when !bad.AttemptAcquire(Limits.Caller(http)).IsAcquired:
                    Report(SecurityEvent.ManyBadRequests, $"more than {BadRequests} in a minute");
                    break;
            }
            if (http.Request.Headers.ContainsKey("X-Forwarded-For") && !http.Request.Headers.ContainsKey("X-Original-For")) // which takes its place once it is believed
                Report(SecurityEvent.ForgedAddress, "X-Forwarded-For of no trusted proxy");

            void Report(SecurityEvent kind, string reason)
            {
                events.Add(1, new KeyValuePair<string, object?>("kind", $"{kind}"));
                if (lines.AttemptAcquire($"{kind} {reason} {Limits.Caller(http)}").IsAcquired)
                    Lines[kind](logger, kind, reason, (endpoint as RouteEndpoint)?.RoutePattern.RawText ?? "(none)", http.UserId(), http.Connection.RemoteIpAddress?.ToString(), null);
            }
        });
    }

    //#if (auth == "jwt")
    /// <summary>The name of what the library throws: its message may quote the token.</summary>
    private static string Reason(Exception? failure) => failure is null
        ? "no token"
        : $"the token is refused: {(failure is AggregateException many ? many.InnerExceptions[0] : failure).GetType().Name.Replace("Exception", "", StringComparison.Ordinal)}";

    //#endif
    private static PartitionedRateLimiter<string> PerMinute(int permits) => PartitionedRateLimiter.Create<string, string>(key => Window(key, permits));

    private static PartitionedRateLimiter<string> All(int permits) => PartitionedRateLimiter.Create<string, string>(_ => Window("", permits));

    private static RateLimitPartition<string> Window(string key, int permits) =>
        RateLimitPartition.GetFixedWindowLimiter(key, _ => new() { PermitLimit = permits, Window = TimeSpan.FromMinutes(1), QueueLimit = 0 });
}
