using System.Diagnostics.Metrics;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Storefront.Entry;

/// <summary>What alerts watch of a process: its checks, asked every few seconds whether anybody probes or not, its age and its memory.</summary>
internal sealed partial class HealthMetrics : IHealthCheckPublisher
{
    private readonly ILogger<HealthMetrics> _logger;
    private HealthReport? _last;

    public HealthMetrics(IMeterFactory factory, TimeProvider clock, ILogger<HealthMetrics> logger)
    {
        _logger = logger;
        var meter = factory.Create("Storefront.Health");
        var started = clock.GetTimestamp();
        meter.CreateObservableGauge(
            "health.status", () => _last?.Entries.Select(check => new Measurement<double>((int)check.Value.Status / 2d, new KeyValuePair<string, object?>("check", check.Key))) ?? [],
            description: "By check: 1 healthy, 0.5 degraded, 0 unhealthy.");
        meter.CreateObservableGauge("process.uptime", () => clock.GetElapsedTime(started).TotalSeconds, "s", "A fall is a restart.");
        meter.CreateObservableGauge("process.memory.limit", () => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, "By", "Of the container, or of the machine.");
    }

    public Task PublishAsync(HealthReport report, CancellationToken cancellationToken)
    {
        foreach (var (name, check) in report.Entries.Where(check => check.Value.Exception is not null))
            Failed(check.Exception!, name);
        _last = report;
        return Task.CompletedTask;
    }

    [LoggerMessage(11, LogLevel.Error, "The check {Check} failed by itself")]
    private partial void Failed(Exception exception, string check);
}
