using Storefront.Repositories;

namespace Storefront.Services;

/// <summary>What happens in the database when a job is done: in one transaction with the mark that it is done.</summary>
public delegate Task JobEffect(Session session);

/// <summary>
/// The work behind one type of job. It is called at least once: what it does outside the database must bear a repetition,
/// by the id of the job, or of what it is about, as the key. What it does in the database belongs into the effect, which happens once.
/// </summary>
public interface IJobHandler
{
    string Type { get; }

    /// <exception cref="JsonException">The body is not of this type: the job is dead at once.</exception>
    Task<JobEffect> HandleAsync(Job job, CancellationToken cancellation);
}

/// <summary>Adds jobs to the transaction of what they are about: both are kept or none.</summary>
public sealed class JobScheduler(Outbox outbox, TimeProvider clock)
{
    public Task AddAsync<T>(Session session, string type, T body, TimeSpan delay = default) =>
        outbox.AddAsync(session, Guid.CreateVersion7(clock.GetUtcNow()).ToString(), type, JsonSerializer.SerializeToUtf8Bytes(body, Json), delay);

    public static T Read<T>(Job job) => JsonSerializer.Deserialize<T>(job.Body, Json) ?? throw new JsonException("The body is null.");

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };
}
