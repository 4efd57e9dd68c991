using Microsoft.AspNetCore.Diagnostics;

namespace Storefront.Entry;

/// <summary>One line for each request, by route template: raw paths and queries hold what callers invent.</summary>
internal static partial class AccessLog
{
    public static void UseAccessLog(this WebApplication app)
    {
        var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Storefront.Access");
        app.Use(async (http, next) =>
        {
            var started = Stopwatch.GetTimestamp();
            //#if (auth == "jwt")
            var caller = new Caller();
            http.Features.Set(caller);
            using var scope = http.HasToken() ? logger.BeginScope(caller) : null;
            //#endif
            try
            {
                await next(http);
            }
            finally
            {
                if (!http.IsProbe())
                {
                    var status = http.RequestAborted.IsCancellationRequested && !http.Response.HasStarted ? StatusCodes.Status499ClientClosedRequest : http.Response.StatusCode;
                    var endpoint = http.GetEndpoint() ?? http.Features.Get<IExceptionHandlerFeature>()?.Endpoint; // which takes it away
                    var route = (endpoint as RouteEndpoint)?.RoutePattern.RawText ?? "(none)";
                    var time = Math.Round(Stopwatch.GetElapsedTime(started).TotalMilliseconds, 1);
                    Answered(logger, http.Request.Method, route, status, time, http.UserId(), http.Connection.RemoteIpAddress?.ToString());
                }
            }
        });
    }

    //#if (auth == "jwt")
    /// <summary>From here on every line of a request says whose it is, also those of the error handler further out.</summary>
    public static void UseUserInLog(this WebApplication app) => app.Use((http, next) =>
    {
        if (http.HasToken() && http.User.FindFirst("sub") is { } user)
            http.Features.Get<Caller>()!.Add(new("UserId", user.Value));
        return next(http);
    });

    /// <summary>Null for nobody, and until the token is read.</summary>
    public static string? UserId(this HttpContext http) => http.Features.Get<Caller>() is [var user, ..] ? (string?)user.Value : null;

    /// <summary>A copy of what the request knows, as its context is used again for others. A list, as that is read without an enumerator.</summary>
    private sealed class Caller : List<KeyValuePair<string, object?>>;

    //#endif
    /// <summary>Health and metrics are asked every few seconds: neither logged nor traced nor counted nor limited.</summary>
    public static bool IsProbe(this HttpContext http) => Probes.Contains(http.Request.Path.Value?.TrimEnd('/') ?? ""); // routing passes over a slash at the end, too

    public static void AsProbe(this IEndpointConventionBuilder endpoint) =>
        endpoint.WithMetadata(new HttpMethodMetadata(["GET", "HEAD"])).AllowAnonymous().DisableHttpMetrics();

    private static readonly HashSet<string> Probes = new(StringComparer.OrdinalIgnoreCase) { "/health/live", "/health/ready", "/health/startup", "/metrics" };

    [LoggerMessage(2, LogLevel.Information, "{Method} {Route} {Status} in {Milliseconds} ms for {UserId} from {Client}", EventName = "Request")]
    private static partial void Answered(ILogger logger, string method, string route, int status, double milliseconds, string? userId, string? client);
}
