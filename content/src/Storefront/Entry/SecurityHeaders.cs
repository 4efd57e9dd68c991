namespace Storefront.Entry;

/// <summary>The same on every answer, errors too (OWASP Secure Headers). They are set last, where a handler has not refined them.</summary>
internal static class SecurityHeaders
{
    public static void UseSecurityHeaders(this WebApplication app)
    {
        var drain = app.Services.GetRequiredService<Drain>();
        Func<object, Task> set = SetAsync; // one for all requests
        app.Use((http, next) =>
        {
            http.Response.OnStarting(set, http);
            return next(http);
        });

        Task SetAsync(object state)
        {
            var http = (HttpContext)state;
            var headers = http.Response.Headers;
            headers.StrictTransportSecurity = "max-age=63072000; includeSubDomains";
            headers.XContentTypeOptions = "nosniff";
            headers.XFrameOptions = "DENY";
            headers["Referrer-Policy"] = "no-referrer";
            headers["Cross-Origin-Resource-Policy"] = "same-origin";
            headers["X-Permitted-Cross-Domain-Policies"] = "none";
            if (headers.ContentSecurityPolicy.Count == 0)
                headers.ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
            if (headers.CacheControl.Count == 0 || http.Response.StatusCode >= 400)
            {
                headers.CacheControl = "no-store";
                headers.Remove("Pragma"); // of the exception handler, for caches of HTTP/1.0
                headers.Remove("Expires");
            }
            if (http.Features.Get<CallerShare>() is { } share)
                (headers["RateLimit-Policy"], headers["RateLimit"]) = (share.Policy, share.Limit);
            if (drain.IsDraining && !HttpProtocol.IsHttp2(http.Request.Protocol))
                headers.Connection = "close"; // also for what began before the signal
            return Task.CompletedTask;
        }
    }
}
