using Storefront.Repositories;

namespace Storefront.Services;

public sealed record JobSettings
{
    /// <summary>Jobs that this process works on at a time.</summary>
    [Range(1, 100)]
    public int Concurrency { get; init; } = 4;

    /// <summary>After so many a job is dead: `jobs` lists it and replays it.</summary>
    [Range(1, 100)]
    public int MaxAttempts { get; init; } = 8;

    /// <summary>The wait before the second attempt; each further one is three times as long, up to an hour.</summary>
    [Range(0.01, 3600)]
    public double BackoffSeconds { get; init; } = 2;

    [Range(1, 600)]
    public int TimeoutSeconds { get; init; } = 30;

    /// <summary>How long the job of a killed process lies still: longer than the timeout, so that no living worker loses its lease.</summary>
    public TimeSpan Lease => TimeSpan.FromSeconds(TimeoutSeconds + 15);
}

/// <summary>One job, once, wherever it comes from.</summary>
public sealed partial class JobRunner(
    IEnumerable<IJobHandler> handlers, Outbox outbox, Database database, JobSettings settings, JobMetrics metrics, TimeProvider clock, ILogger<JobRunner> logger)
{
    private static readonly ActivitySource Traces = new("Storefront.Jobs");

    private readonly Dictionary<string, IJobHandler> _handlers = handlers.ToDictionary(handler => handler.Type);

    /// <summary>Does the job, or records its failure; throws only where even that is impossible.</summary>
    public async Task RunAsync(Job job)
    {
        using var activity = Traces.StartActivity(job.Type, ActivityKind.Consumer, parentId: job.Trace); // the trace of the request goes on
        using var scope = logger.BeginScope(new Dictionary<string, object> { ["jobId"] = job.Id, ["jobType"] = job.Type, ["attempt"] = job.Attempt });
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(settings.TimeoutSeconds), clock);
        var started = clock.GetTimestamp();
        string outcome;
        try
        {
            outcome = await DoAsync(job, timeout.Token);
        }
        catch (Exception e)
        {
            activity?.SetStatus(ActivityStatusCode.Error);
            outcome = await FailAsync(job, timeout.IsCancellationRequested ? new TimeoutException($"The job took longer than {settings.TimeoutSeconds} s (Jobs__TimeoutSeconds).", e) : e);
        }
        metrics.Ran(Known(job.Type), outcome, clock.GetElapsedTime(started));
    }

    //#if (jobs == "rabbitmq")
    /// <summary>Lists a job as dead that never came to its end.</summary>
    public async Task BuryAsync(Job job, string reason) => metrics.Ran(Known(job.Type), await FailAsync(job, new PoisonException(reason)), TimeSpan.Zero);

    //#endif
    /// <summary>A type that nobody knows may be any text: as a series of its own each would stay for ever.</summary>
    private string Known(string type) => _handlers.ContainsKey(type) ? type : "unknown";

    private async Task<string> DoAsync(Job job, CancellationToken cancellation)
    {
        if (job.Attempt > settings.MaxAttempts)
            throw new PoisonException("The process ended during the last attempt: this job may be what kills it.");
        if (!_handlers.TryGetValue(job.Type, out var handler))
            throw new PoisonException($"There is no handler for jobs of type {job.Type}.");
        var effect = await handler.HandleAsync(job, cancellation);
        return await database.WriteAsync(
            async session =>
            {
                if (!await outbox.CompleteAsync(session, job))
                    return "duplicate";
                await effect(session);
                return "done";
            },
            cancellation);
    }

    private async Task<string> FailAsync(Job job, Exception exception)
    {
        var dead = job.Attempt >= settings.MaxAttempts || exception is PoisonException or JsonException;
        var delay = Backoff(job.Attempt);
        await outbox.FailAsync(job, dead ? null : delay, exception.Message, CancellationToken.None);
        if (dead)
            Died(exception, job.Type, job.Id, job.Attempt, exception.Message);
        else // what a repetition may mend needs no stack; a fault of ours shows its place
            Failed(exception is OperationalException ? null : exception, job.Type, job.Id, job.Attempt, delay.TotalSeconds, exception.Message);
        return dead ? "dead" : "failed";
    }

    /// <summary>With jitter of a fifth, so that jobs that failed together do not come back together.</summary>
    private TimeSpan Backoff(long attempt) =>
        TimeSpan.FromSeconds(Math.Min(settings.BackoffSeconds * Math.Pow(3, attempt - 1), 3600) * (0.8 + (0.4 * Random.Shared.NextDouble())));

    [LoggerMessage(200, LogLevel.Warning, "Job {JobType} {JobId} failed in attempt {Attempt}, again in {Seconds:0.0} s: {Reason}")]
    private partial void Failed(Exception? exception, string jobType, string jobId, long attempt, double seconds, string reason);

    [LoggerMessage(201, LogLevel.Error, "Job {JobType} {JobId} is dead after attempt {Attempt}: {Reason} Replay it with the verb: jobs replay {JobId}")]
    private partial void Died(Exception exception, string jobType, string jobId, long attempt, string reason);

    private sealed class PoisonException(string message) : Exception(message);
}
