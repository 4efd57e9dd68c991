using Storefront.Repositories;
using Storefront.Services;
using Storefront.Utilities;

namespace Storefront.Entry;

/// <summary>A background loop that must not end: if it does, the process ends too, so that something starts it again.</summary>
internal abstract partial class Worker(ILogger logger) : BackgroundService
{
    protected readonly ILogger Log = logger;

    protected abstract Task WorkAsync(CancellationToken stopping);

    protected sealed override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await Task.Yield();
            await WorkAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            Crashed(e, GetType().Name);
            Environment.ExitCode = 1; // the host would stop with 0, which says to an orchestrator that all is well (dotnet/runtime#67146)
            throw;
        }
    }

    [LoggerMessage(20, LogLevel.Critical, "{Worker} crashed: the process ends")]
    private partial void Crashed(Exception exception, string worker);
}

/// <summary>Takes due jobs out of the outbox table and runs them in this process.</summary>
internal sealed partial class JobWorker(
    IOutbox outbox,
    JobRunner runner,
    JobSettings settings,
    JobMetrics metrics,
    Migrator migrator,
    IHostApplicationLifetime lifetime,
    TimeProvider clock,
    ILogger<JobWorker> logger) : Worker(logger)
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Memory = TimeSpan.FromDays(7); // longer than any redelivery of a job

    protected override async Task WorkAsync(CancellationToken stopping)
    {
        // Nothing new is taken from the signal on, while the service still answers; what runs is finished.
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stopping, lifetime.ApplicationStopping);
        var running = new List<Task>();
        try
        {
            while (true)
            {
                try
                {
                    await TakeAsync(running, either.Token);
                }
                catch (OperationalException e)
                {
                    Waiting(e.Message);
                    await Task.Delay(Poll, clock, either.Token);
                }
            }
        }
        catch (OperationCanceledException) when (either.IsCancellationRequested)
        {
            await Task.WhenAll(running);
        }
    }

    private async Task TakeAsync(List<Task> running, CancellationToken stopping)
    {
        if ((await migrator.PendingAsync(stopping)).Count > 0)
        {
            await Task.Delay(Poll, clock, stopping);
            return;
        }
        foreach (var job in await outbox.ClaimAsync(settings.Concurrency - running.Count, settings.Lease, stopping))
        {
            running.Add(RunAsync(job));
        }
        if (running.Count < settings.Concurrency)
        {
            metrics.Measured(await outbox.MeasureAsync(stopping));
            await outbox.ForgetAsync(Memory, stopping);
            await outbox.WaitAsync(Poll * (0.8 + (0.4 * Random.Shared.NextDouble())), stopping); // jitter keeps instances apart
        }
        else
        {
            await Task.WhenAny(running);
        }
        foreach (var ended in running.Where(job => job.IsCompleted).ToList())
        {
            running.Remove(ended);
            await ended;
        }
    }

    private async Task RunAsync(Job job)
    {
        try
        {
            await Task.Yield();
            await runner.RunAsync(job);
        }
        catch (OperationalException e)
        {
            Waiting(e.Message); // not even the failure could be written: the lease ends, and the job comes again
        }
    }

    [LoggerMessage(21, LogLevel.Warning, "Jobs wait: {Reason}")]
    private partial void Waiting(string reason);
}
