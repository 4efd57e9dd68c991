using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using Storefront.Repositories;
using Storefront.Services;

namespace Storefront.Entry;

/// <summary>Metrics at /metrics for Prometheus; traces, metrics and logs by OTLP where OTEL_EXPORTER_OTLP_ENDPOINT is set.</summary>
internal static class Telemetry
{
    /// <summary>Chosen, not all: the framework has a dozen meters, each of which costs on every request.</summary>
    private static readonly string[] Meters =
    [
        "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "Microsoft.AspNetCore.RateLimiting", "System.Net.Http", "System.Runtime", "Polly", "Npgsql", "Storefront.*",
    ];

    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService("storefront"))
            .WithMetrics(metrics => metrics.AddMeter(Meters).AddPrometheusExporter())
            .WithTracing(traces => traces
                .AddSource(JobRunner.Traces.Name, "Npgsql")
                .AddAspNetCoreInstrumentation(http =>
                {
                    http.Filter = context => !context.IsProbe();
                    http.EnrichWithHttpRequest = (span, _) => span.SetTag("url.path", null).SetTag("user_agent.original", null); // callers write secrets there; http.route says enough
                })
                .AddHttpClientInstrumentation());
        if (!string.IsNullOrEmpty(builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]))
            telemetry.WithLogging().UseOtlpExporter();
        foreach (var signal in (string[])["", "TRACES_", "METRICS_", "LOGS_"])
        {
            var key = $"OTEL_EXPORTER_OTLP_{signal}ENDPOINT";
            if (Uri.TryCreate(builder.Configuration[key], UriKind.Absolute, out var address))
                builder.Services.ReviewConnection(key, "write https://", address.Scheme == Uri.UriSchemeHttps, [address.Host]);
        }
    }

    public static void MapMetrics(this WebApplication app) =>
        app.MapPrometheusScrapingEndpoint("/metrics").AsProbe();
}
