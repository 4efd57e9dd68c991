using Storefront.Repositories;
using Storefront.Services;

namespace Storefront.Entry;

/// <summary>Sends due jobs from the outbox table to the queue. A row ends when the queue has confirmed; a queue that is away ends none.</summary>
internal sealed class JobRelay(
    Outbox outbox, JobBroker broker, JobMetrics metrics, Migrator migrator, IHostApplicationLifetime lifetime, TimeProvider clock, ILogger<JobRelay> logger)
    : OutboxWorker(outbox, metrics, migrator, lifetime, clock, logger)
{
    private const int Batch = 100;
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30); // longer than connecting and confirming may take

    protected override async Task TakeAsync(CancellationToken stopping)
    {
        var jobs = await Outbox.ClaimToSendAsync(Batch, Lease, stopping);
        if (jobs.Count == 0)
        {
            await Outbox.WaitAsync(Poll, stopping);
            return;
        }
        IReadOnlyList<Job> sent = [];
        try
        {
            sent = await broker.PublishAsync(jobs, stopping);
        }
        finally
        {
            await Outbox.EndAsync(sent, CancellationToken.None);
            await Outbox.ReleaseAsync([.. jobs.Except(sent)], CancellationToken.None);
        }
        if (sent.Count < jobs.Count)
            throw new OperationalException(Failure.Unavailable, broker.Problem!);
    }
}

/// <summary>Runs the jobs that the queue hands out. One that cannot even be recorded as failed is held: a database that is away uses up no attempt.</summary>
internal sealed class JobConsumer(
    JobBroker broker, JobRunner runner, JobSettings settings, Migrator migrator, IHostApplicationLifetime lifetime, TimeProvider clock, ILogger<JobConsumer> logger)
    : Worker(migrator, lifetime, clock, logger)
{
    protected override async Task RoundAsync(CancellationToken stopping)
    {
        await broker.ConsumeAsync(settings.Concurrency, job => HoldAsync(() => runner.RunAsync(job)), (job, reason) => HoldAsync(() => runner.BuryAsync(job, reason)), stopping);

        async Task HoldAsync(Func<Task> work)
        {
            while (!await TryAsync(work))
                await Task.Delay(TimeSpan.FromSeconds(1), Clock, stopping);
        }
    }
}
