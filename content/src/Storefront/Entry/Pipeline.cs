using Microsoft.AspNetCore.HostFiltering;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Storefront.Controllers;
using IPNetwork = System.Net.IPNetwork;

namespace Storefront.Entry;

/// <summary>What a request meets between the network and its handler, in this order.</summary>
internal static class Pipeline
{
    public static void AddEntry(this WebApplicationBuilder builder)
    {
        // The framework's own filters for Host and X-Forwarded-* run before everything: the first answers without a problem, the
        // second, switched on by one variable, believes everybody. Both are in the pipeline below, by our settings.
        builder.Services.RemoveAll<IStartupFilter>();
        builder.Services.Configure<HostFilteringOptions>(hosts => hosts.IncludeFailureMessage = hosts.AllowEmptyHosts = false); // our message is a problem
        builder.AddTls();
        builder.AddLimits();
        builder.AddErrors();
        builder.AddJsonContract();
        //#if (auth == "jwt")
        builder.AddTokenAuthentication();
        //#endif
        builder.AddHealth();
        builder.AddTelemetry();
        builder.AddDocs();
        builder.AddStatusPage();
        builder.Services.AddCors(cors => cors.AddDefaultPolicy(policy =>
            policy.WithOrigins(Origins(builder.Configuration)).AllowAnyMethod().AllowAnyHeader().WithExposedHeaders("ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After")));
        //#if (jobs != "none")
        builder.AddWorkers();
        //#endif
    }

    public static void UseEntry(this WebApplication app)
    {
        UseTrustedProxies(app);
        app.UseAccessLog();
        app.UseSecurityEvents();
        app.UseSecurityHeaders();
        app.UseExceptionHandler();
        app.UseStatusCodePages();
        app.UseManagementPort();
        app.UseWhen(http => !http.IsProbe(), names => names.UseHostFiltering()); // probes call by address, or localhost
        app.UseRouting();
        app.UseRequestTimeouts();
        if (Origins(app.Configuration).Length > 0)
            app.UseCors();
        app.UseShedding();
        //#if (auth == "jwt")
        app.UseTokens();
        app.UseUserInLog();
        //#endif
        app.UseRateLimiter();
        app.Use(RefuseWhatIsNotThere);
        //#if (auth == "jwt")
        app.UsePolicies();
        //#endif
        app.UseInputGuard();

        app.MapHealth();
        app.MapMetrics();
        app.MapDocs();
        app.MapStatusPage();
        //#if (jobs != "none")
        if (!app.Configuration.Has("api"))
            return;
        //#endif
        app.MapApi()
            .ProducesProblem(400).ProducesProblem(401).ProducesProblem(403).ProducesProblem(406).ProducesProblem(413).ProducesProblem(415)
            .ProducesProblem(429).ProducesProblem(500).ProducesProblem(503).ProducesProblem(504);
    }

    /// <summary>A path or a verb that does not exist is 404 or 405 to everybody, not 401: nothing is there to protect.</summary>
    private static Task RefuseWhatIsNotThere(HttpContext http, RequestDelegate next)
    {
        if (http.GetEndpoint() is RouteEndpoint)
            return next(http);
        http.Response.StatusCode = StatusCodes.Status404NotFound;
        return http.GetEndpoint()?.RequestDelegate?.Invoke(http) ?? Task.CompletedTask; // the router's own refusal: 405 with Allow, 415
    }

    /// <summary>Forwarded addresses count from these networks alone; with none set the fields are ignored.</summary>
    private static void UseTrustedProxies(WebApplication app)
    {
        var networks = TrustedNetworks(app.Configuration);
        if (networks.Length == 0)
            return;
        var options = new ForwardedHeadersOptions { ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto };
        options.KnownProxies.Clear();
        options.KnownIPNetworks.Clear();
        Array.ForEach(networks, options.KnownIPNetworks.Add);
        app.UseForwardedHeaders(options);
    }

    public static IPNetwork[] TrustedNetworks(IConfiguration configuration) =>
        [.. List(configuration, "Proxy:TrustedNetworks").Select(text => IPNetwork.TryParse(text, out var network) ? network : throw Settings.Refused("Proxy:TrustedNetworks", "must list networks like 10.0.0.0/8"))];

    private static string[] Origins(IConfiguration configuration) => List(configuration, "Cors:Origins");

    private static string[] List(IConfiguration configuration, string key) => configuration.GetSection(key).Get<string[]>() ?? [];
}
