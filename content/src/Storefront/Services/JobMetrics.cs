using System.Diagnostics.Metrics;
using Storefront.Repositories;

namespace Storefront.Services;

public sealed class JobMetrics
{
    private readonly Histogram<double> _duration;

    private OutboxSize _size = new(0, 0, 0);

    public JobMetrics(IMeterFactory factory)
    {
        var meter = factory.Create("Storefront.Jobs");
        _duration = meter.CreateHistogram<double>("jobs.duration", "s", "Time a job took, by type and outcome (done, failed, dead, duplicate).");
        meter.CreateObservableGauge("jobs.ready", () => _size.Ready, description: "Jobs that wait.");
        meter.CreateObservableGauge("jobs.dead", () => _size.Dead, description: "Jobs that failed in all attempts and wait for an operator.");
        meter.CreateObservableGauge("jobs.oldest", () => Math.Max(0, _size.OldestMilliseconds) / 1000d, "s", "Age of the job that is due longest.");
    }

    public void Ran(string type, string outcome, TimeSpan time) =>
        _duration.Record(time.TotalSeconds, new KeyValuePair<string, object?>("type", type), new KeyValuePair<string, object?>("outcome", outcome));

    public void Measured(OutboxSize size) => _size = size;
}
