using System.Diagnostics.CodeAnalysis;

namespace Storefront.Repositories;

/// <summary>For jobs that go on to a broker, and may come back from it without a row here.</summary>
public sealed partial class Outbox
{
    /// <summary>Takes due jobs on their way to a broker: of these nothing was attempted, so no attempt is counted here.</summary>
    public async Task<IReadOnlyList<Job>> ClaimToSendAsync(int limit, TimeSpan lease, CancellationToken cancellation)
    {
        var jobs = await database.WriteAsync(
            session => session.QueryAsync<Job>(
                Due +
                """
                UPDATE outbox SET lease_until = clock_ms() + @lease, lease_token = @token
                WHERE id IN (SELECT id FROM due)
                RETURNING id, type, body, trace, attempt, lease_token, created_at
                """,
                new { limit, lease = (long)lease.TotalMilliseconds, token = Guid.NewGuid().ToString() }),
            cancellation);
        return [.. jobs.Select(job => job with { Attempt = job.Attempt + 1 })];
    }

    /// <summary>Ends rows that a broker has confirmed. A relay that was paused for longer than its lease ends none.</summary>
    public Task EndAsync(IReadOnlyList<Job> sent, CancellationToken cancellation) =>
        ExecuteAsync("DELETE FROM outbox WHERE id = ANY(@ids) AND lease_token = @LeaseToken", sent, cancellation);

    /// <summary>Gives rows back at once, for another relay or another try.</summary>
    public Task ReleaseAsync(IReadOnlyList<Job> jobs, CancellationToken cancellation) =>
        ExecuteAsync("UPDATE outbox SET lease_until = 0, lease_token = NULL WHERE id = ANY(@ids) AND lease_token = @LeaseToken", jobs, cancellation);

    /// <summary>Of a job that came through a broker. One that is done, or has been tried more often since, changes nothing.</summary>
    private Task<int> FailSentAsync(Job job, int state, long wait, string error, CancellationToken cancellation) => database.ExecuteAsync(
        """
        INSERT INTO outbox (id, type, body, trace, attempt, state, available_at, created_at, last_error)
        SELECT @Id, @Type, @Body, @Trace, @Attempt, @state, clock_ms() + @wait, @CreatedAt, @error
        WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE message_id = @Id)
        ON CONFLICT (id) DO UPDATE SET attempt = excluded.attempt, state = excluded.state, available_at = excluded.available_at,
          last_error = excluded.last_error, lease_until = 0, lease_token = NULL
        WHERE excluded.attempt > outbox.attempt
        """,
        new { job.Id, job.Type, job.Body, job.Trace, job.Attempt, job.CreatedAt, state, wait, error }, cancellation);

    private Task ExecuteAsync([ConstantExpected] string sql, IReadOnlyList<Job> jobs, CancellationToken cancellation) => jobs.Count == 0
        ? Task.CompletedTask
        : database.ExecuteAsync(sql, new { ids = jobs.Select(job => job.Id).ToArray(), jobs[0].LeaseToken }, cancellation);
}
