namespace Storefront.Entry;

/// <summary>The same on every answer, errors too (OWASP Secure Headers). They are set first, so that a handler can only refine them.</summary>
internal static class SecurityHeaders
{
    public static void UseSecurityHeaders(this WebApplication app) => app.Use((http, next) =>
    {
        http.Response.OnStarting(static state =>
        {
            var headers = ((HttpResponse)state).Headers;
            headers.StrictTransportSecurity = "max-age=63072000; includeSubDomains";
            headers.XContentTypeOptions = "nosniff";
            headers.XFrameOptions = "DENY";
            headers["Referrer-Policy"] = "no-referrer";
            headers["Cross-Origin-Resource-Policy"] = "same-origin";
            headers["X-Permitted-Cross-Domain-Policies"] = "none";
            if (headers.ContentSecurityPolicy.Count == 0)
                headers.ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
            if (headers.CacheControl.Count == 0 || ((HttpResponse)state).StatusCode >= 400)
            {
                headers.CacheControl = "no-store";
                headers.Remove("Pragma"); // of the exception handler, for caches of HTTP/1.0
                headers.Remove("Expires");
            }
            return Task.CompletedTask;
        }, http.Response);
        return next(http);
    });
}
