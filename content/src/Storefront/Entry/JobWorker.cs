using Storefront.Repositories;
using Storefront.Services;

namespace Storefront.Entry;

/// <summary>A background loop that must not end: if it does, the process ends too, so that something starts it again.</summary>
internal abstract partial class Worker(IHostApplicationLifetime lifetime, ILogger logger) : BackgroundService
{
    protected readonly ILogger Log = logger;

    /// <param name="stopping">Cancelled at the signal, while the service still answers: then nothing new is begun.</param>
    protected abstract Task WorkAsync(CancellationToken stopping);

    protected sealed override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, lifetime.ApplicationStopping);
        try
        {
            await Task.Yield();
            await WorkAsync(stopping.Token);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
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

/// <summary>Takes due jobs out of the outbox table and runs them in this process; at the end it waits for those that run.</summary>
internal sealed partial class JobWorker(
    Outbox outbox, JobRunner runner, JobSettings settings, JobMetrics metrics, Migrator migrator, IHostApplicationLifetime lifetime, TimeProvider clock, ILogger<JobWorker> logger)
    : Worker(lifetime, logger)
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Memory = TimeSpan.FromDays(7); // longer than any redelivery of a job

    private readonly List<Task> _running = [];
    private long _measured;

    protected override async Task WorkAsync(CancellationToken stopping)
    {
        try
        {
            while (true)
            {
                if (!await TryAsync(() => TakeAsync(stopping)))
                    await Task.Delay(Poll, clock, stopping);
            }
        }
        finally
        {
            await Task.WhenAll(_running);
        }
    }

    private async Task TakeAsync(CancellationToken stopping)
    {
        if ((await migrator.PendingAsync(stopping)).Count > 0)
        {
            await Task.Delay(Poll, clock, stopping);
            return;
        }
        var jobs = await outbox.ClaimAsync(settings.Concurrency - _running.Count, settings.Lease, stopping);
        _running.AddRange(jobs.Select(job => Task.Run(() => TryAsync(() => runner.RunAsync(job)), CancellationToken.None)));
        if (clock.GetElapsedTime(_measured) >= Poll) // also while all are busy: then it matters most
        {
            metrics.Measured(await outbox.MeasureAsync(stopping));
            await outbox.ForgetAsync(Memory, stopping);
            _measured = clock.GetTimestamp();
        }
        if (_running.Count == settings.Concurrency)
        {
            await Task.WhenAny([.. _running, Task.Delay(Poll, clock, stopping)]);
        }
        else if (jobs.Count == 0)
        {
            await outbox.WaitAsync(Poll * (0.8 + (0.4 * Random.Shared.NextDouble())), stopping); // jitter keeps instances apart
        }
        foreach (var fault in _running.Where(job => job.IsFaulted))
            await fault;
        _running.RemoveAll(job => job.IsCompleted);
    }

    /// <summary>While the database is away nothing is lost: a job whose failure cannot be written comes again after its lease.</summary>
    private async Task<bool> TryAsync(Func<Task> work)
    {
        try
        {
            await work();
            return true;
        }
        catch (OperationalException e)
        {
            Waiting(e.Message);
            return false;
        }
    }

    [LoggerMessage(21, LogLevel.Warning, "Jobs wait: {Reason}")]
    private partial void Waiting(string reason);
}
