namespace Storefront.Repositories;

public interface IPingRepository
{
    /// <summary>That of the database: what shows it has been there and back.</summary>
    Task<DateTimeOffset> ClockAsync(CancellationToken cancellation);
}

internal sealed class PingRepository(Database database) : IPingRepository
{
    public Task<DateTimeOffset> ClockAsync(CancellationToken cancellation) => database.ClockAsync(cancellation);
}
