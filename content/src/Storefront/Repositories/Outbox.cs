namespace Storefront.Repositories;

/// <summary>A job as a worker gets it. <paramref name="Attempt"/> counts this one too.</summary>
/// <param name="Trace">W3C traceparent of the request that made the job.</param>
/// <param name="LeaseToken">Proof that this worker, and no later one, holds the row; null for a job that came through a broker.</param>
public sealed record Job(string Id, string Type, byte[] Body, string? Trace, long Attempt, string? LeaseToken, long CreatedAt);

public sealed record DeadJob(string Id, string Type, long Attempt, long CreatedAt, string? LastError);

public sealed record OutboxSize(long Ready, long Dead, long OldestMilliseconds);

/// <summary>
/// Jobs: written with what they are about, taken under a lease that ends by itself, done at least once, with an effect in
/// this database exactly once (the inbox). No order is promised between two jobs.
/// </summary>
public sealed partial class Outbox(Database database) : IDisposable
{
    private const int ErrorLength = 2000;
    private const int Most = 10_000;

    private const string Due =
        """
        WITH due AS MATERIALIZED (
          SELECT id FROM outbox WHERE state = 0 AND available_at <= clock_ms() AND lease_until <= clock_ms()
          ORDER BY available_at LIMIT @limit FOR UPDATE SKIP LOCKED)

        """;

    private readonly SemaphoreSlim _added = new(0);

    public void Dispose() => _added.Dispose();

    public async Task AddAsync(Session session, string id, string type, byte[] body, TimeSpan delay = default)
    {
        await session.ExecuteAsync(
            """
            INSERT INTO outbox (id, type, body, trace, available_at, created_at)
            VALUES (@id, @type, @body, @trace, clock_ms() + @delay, clock_ms())
            """,
            new { id, type, body, trace = Activity.Current?.Id, delay = (long)delay.TotalMilliseconds });
        session.OnCommitted(() => _added.Release());
    }

    /// <summary>Takes due jobs. The attempt is counted now, before the work, as a job may kill the process.</summary>
    public Task<IReadOnlyList<Job>> ClaimAsync(int limit, TimeSpan lease, CancellationToken cancellation) => database.WriteAsync(
        session => session.QueryAsync<Job>(
            Due +
            """
            UPDATE outbox SET lease_until = clock_ms() + @lease, lease_token = @token, attempt = attempt + 1
            WHERE id IN (SELECT id FROM due)
            RETURNING id, type, body, trace, attempt, lease_token, created_at
            """,
            new { limit, lease = (long)lease.TotalMilliseconds, token = Guid.NewGuid().ToString() }),
        cancellation);

    /// <summary>Marks the job as done, in the transaction of its effect, and ends it.</summary>
    /// <returns>False if it was done before: then the effect must not happen again.</returns>
    public async Task<bool> CompleteAsync(Session session, Job job)
    {
        var first = await session.ExecuteAsync(
            "INSERT INTO inbox (message_id, processed_at) VALUES (@Id, clock_ms()) ON CONFLICT DO NOTHING", new { job.Id });
        await session.ExecuteAsync("DELETE FROM outbox WHERE id = @Id AND lease_token = @LeaseToken", new { job.Id, job.LeaseToken });
        return first == 1;
    }

    /// <summary>Puts the job back for another attempt, or among the dead ones where no delay is given. A worker that has lost its lease changes nothing.</summary>
    public Task FailAsync(Job job, TimeSpan? delay, string reason, CancellationToken cancellation)
    {
        var (state, wait, error) = (delay is null ? 1 : 0, (long)(delay ?? TimeSpan.Zero).TotalMilliseconds, Storable(reason));
        //#if (jobs == "rabbitmq")
        if (job.LeaseToken is null)
            return FailSentAsync(job, state, wait, error, cancellation);
        //#endif
        return database.ExecuteAsync(
            """
            UPDATE outbox SET state = @state, available_at = clock_ms() + @wait, last_error = @error, lease_until = 0, lease_token = NULL
            WHERE id = @Id AND lease_token = @LeaseToken
            """,
            new { job.Id, job.LeaseToken, state, wait, error }, cancellation);
    }

    public Task<IReadOnlyList<DeadJob>> ListDeadAsync(int limit, CancellationToken cancellation) =>
        database.QueryAsync<DeadJob>(
            "SELECT id, type, attempt, created_at, last_error FROM outbox WHERE state = 1 ORDER BY id LIMIT @limit", new { limit }, cancellation);

    /// <summary>Gives dead jobs all their attempts again: one by its id, or all.</summary>
    /// <returns>How many; two operators at once never replay the same one twice.</returns>
    public Task<int> ReplayAsync(string? id, CancellationToken cancellation) =>
        database.ExecuteAsync(
            "UPDATE outbox SET state = 0, attempt = 0, available_at = clock_ms() WHERE state = 1 AND (id = @id OR @id = '')",
            new { id = id ?? "" }, cancellation);

    /// <summary>Counts to 10,000 at most: what a million waiting jobs cost must not grow with them.</summary>
    public async Task<OutboxSize> MeasureAsync(CancellationToken cancellation) =>
        (await database.QueryAsync<OutboxSize>(
            """
            SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE state = 0 LIMIT @Most) AS counted) AS ready,
                   (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE state = 1 LIMIT @Most) AS counted) AS dead,
                   (SELECT clock_ms() - coalesce(min(available_at), clock_ms()) FROM outbox WHERE state = 0) AS oldest_milliseconds
            """,
            new { Most }, cancellation)).Single();

    /// <summary>Forgets what was done longer ago than any redelivery can take: at most 1,000 rows a call.</summary>
    public Task<int> ForgetAsync(TimeSpan age, CancellationToken cancellation) =>
        database.ExecuteAsync(
            "DELETE FROM inbox WHERE message_id IN (SELECT message_id FROM inbox WHERE processed_at < clock_ms() - @age LIMIT 1000)",
            new { age = (long)age.TotalMilliseconds }, cancellation);

    /// <summary>Ends when a job was added here, or after the time given.</summary>
    public async Task WaitAsync(TimeSpan time, CancellationToken cancellation)
    {
        await _added.WaitAsync(time, cancellation);
        while (_added.Wait(0, CancellationToken.None))
            continue; // one look finds all that were added
    }

    /// <summary>PostgreSQL refuses U+0000: then the failure could not be recorded, and the job would come again for ever.</summary>
    private static string Storable(string reason) =>
        (reason.Length > ErrorLength ? reason[..ErrorLength] : reason).Replace("\0", "", StringComparison.Ordinal);
}
