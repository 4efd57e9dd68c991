using System.Diagnostics.Metrics;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using Storefront.Repositories;

namespace Storefront.Entry;

/// <summary>Metrics at /metrics for Prometheus; traces, metrics and logs by OTLP where OTEL_EXPORTER_OTLP_ENDPOINT is set.</summary>
internal static class Telemetry
{
    /// <summary>Chosen, not all: the framework has a dozen meters, each of which costs on every request.</summary>
    private static readonly string[] Meters =
    [
        "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Net.Http", "System.Runtime", "Polly", "Npgsql", "Storefront.*",
    ];

    /// <summary>Of what has no buckets of its own: jobs take longer than requests.</summary>
    private static readonly double[] Seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

    public static void AddTelemetry(this WebApplicationBuilder builder)
    {
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService("storefront", serviceVersion: JsonLines.Version, serviceInstanceId: Environment.MachineName))
            .WithMetrics(metrics => metrics
                .AddMeter(Meters)
                .AddView(instrument => instrument is Histogram<double> { Unit: "s", Advice: null } ? new ExplicitBucketHistogramConfiguration { Boundaries = Seconds } : null)
                .SetExemplarFilter(ExemplarFilterType.TraceBased)
                .AddPrometheusExporter())
            .WithTracing(traces => traces
                .AddSource("Storefront.*", "Npgsql")
                .AddAspNetCoreInstrumentation(http =>
                {
                    http.Filter = context => !context.IsProbe();
                    http.EnrichWithHttpRequest = (span, _) => span.SetTag("url.path", null).SetTag("url.query", null).SetTag("user_agent.original", null); // callers write secrets there; http.route says enough
                })
                .AddHttpClientInstrumentation());
        if (!string.IsNullOrEmpty(builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"]))
            telemetry.WithLogging(null, logs => logs.IncludeFormattedMessage = true).UseOtlpExporter(); // without scopes: that of the framework holds the path, where callers write secrets
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
