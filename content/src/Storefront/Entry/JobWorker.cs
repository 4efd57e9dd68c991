using Storefront.Repositories;
using Storefront.Services;

namespace Storefront.Entry;

/// <summary>A background loop that must not end: if it does, the process ends too, so that something starts it again.</summary>
internal abstract partial class Worker(Migrator migrator, IHostApplicationLifetime lifetime, TimeProvider clock, ILogger logger) : BackgroundService
{
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(8);

    private string? _reason;

    protected TimeProvider Clock { get; } = clock;

    /// <param name="stopping">Cancelled at the signal, while the service still answers: then nothing new is begun.</param>
    protected abstract Task RoundAsync(CancellationToken stopping);

    /// <summary>Waits for what runs.</summary>
    protected virtual Task FinishAsync() => Task.CompletedTask;

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

    /// <summary>While a dependency is away nothing is lost: a job whose end cannot be written comes again.</summary>
    protected async Task<bool> TryAsync(Func<Task> work)
    {
        try
        {
            await work();
            _reason = null;
            return true;
        }
        catch (OperationalException e)
        {
            if (_reason != e.Message) // once, not with every try
                Waiting(_reason = e.Message);
            return false;
        }
    }

    private async Task WorkAsync(CancellationToken stopping)
    {
        try
        {
            for (var pause = TimeSpan.FromSeconds(1); ;)
            {
                if (await TryAsync(() => RoundOnSchemaAsync(stopping)))
                {
                    pause = TimeSpan.FromSeconds(1);
                    continue;
                }
                await Task.Delay(pause * (0.8 + (0.4 * Random.Shared.NextDouble())), Clock, stopping);
                pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
            }
        }
        finally
        {
            await FinishAsync();
        }
    }

    private async Task RoundOnSchemaAsync(CancellationToken stopping)
    {
        if ((await migrator.PendingAsync(stopping)).Count > 0)
            await Task.Delay(TimeSpan.FromSeconds(1), Clock, stopping);
        else
            await RoundAsync(stopping);
    }

    [LoggerMessage(21, LogLevel.Warning, "Jobs wait: {Reason}")]
    private partial void Waiting(string reason);

    [LoggerMessage(20, LogLevel.Critical, "{Worker} crashed: the process ends")]
    private partial void Crashed(Exception exception, string worker);
}

/// <summary>Looks into the outbox table again and again, from when the schema is there, and measures what waits in it.</summary>
internal abstract class OutboxWorker(Outbox outbox, JobMetrics metrics, Migrator migrator, IHostApplicationLifetime lifetime, TimeProvider clock, ILogger logger)
    : Worker(migrator, lifetime, clock, logger)
{
    private static readonly TimeSpan Memory = TimeSpan.FromDays(7); // longer than any redelivery of a job

    private long _measured;

    protected Outbox Outbox { get; } = outbox;

    protected static TimeSpan Poll => TimeSpan.FromSeconds(0.8 + (0.4 * Random.Shared.NextDouble())); // jitter keeps instances apart

    protected abstract Task TakeAsync(CancellationToken stopping);

    protected sealed override async Task RoundAsync(CancellationToken stopping)
    {
        if (Clock.GetElapsedTime(_measured) >= TimeSpan.FromSeconds(1))
        {
            metrics.Measured(await Outbox.MeasureAsync(stopping)); // first: also while all are busy, and in rounds that fail below; then it matters most
            await Outbox.ForgetAsync(Memory, stopping);
            _measured = Clock.GetTimestamp();
        }
        await TakeAsync(stopping);
    }
}

/// <summary>Takes due jobs out of the outbox table and runs them in this process; at the end it waits for those that run.</summary>
internal sealed class JobWorker(
    Outbox outbox, JobRunner runner, JobSettings settings, JobMetrics metrics, Migrator migrator, IHostApplicationLifetime lifetime, TimeProvider clock, ILogger<JobWorker> logger)
    : OutboxWorker(outbox, metrics, migrator, lifetime, clock, logger)
{
    private readonly List<Task> _running = [];

    protected override async Task TakeAsync(CancellationToken stopping)
    {
        var jobs = await Outbox.ClaimAsync(settings.Concurrency - _running.Count, settings.Lease, stopping);
        _running.AddRange(jobs.Select(job => Task.Run(() => TryAsync(() => runner.RunAsync(job)), CancellationToken.None)));
        if (_running.Count == settings.Concurrency)
            await Task.WhenAny([.. _running, Task.Delay(Poll, Clock, stopping)]);
        else if (jobs.Count == 0)
            await Outbox.WaitAsync(Poll, stopping);
        foreach (var fault in _running.Where(job => job.IsFaulted))
            await fault;
        _running.RemoveAll(job => job.IsCompleted);
    }

    protected override Task FinishAsync() => Task.WhenAll(_running);
}
