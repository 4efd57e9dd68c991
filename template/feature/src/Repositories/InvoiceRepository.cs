namespace Storefront.Repositories;

public sealed record Invoice(string Id, string Owner, string Name, long Version);

public interface IInvoiceRepository
{
    /// <returns>What the owner's key stands for: this one, or the one that it made before.</returns>
    Task<(string Id, string Fingerprint)> AddAsync(Invoice one, string idempotencyKey, string fingerprint, CancellationToken cancellation);

    /// <summary>From the primary, so that one reads one's own writes.</summary>
    Task<Invoice?> FindAsync(string id, string owner, CancellationToken cancellation);

    /// <summary>The owner's, newest first, those before the given id; from the primary, as one looks for what one has just made.</summary>
    Task<IReadOnlyList<Invoice>> ListAsync(string owner, string? after, int limit, CancellationToken cancellation);

    /// <summary>Replaces it if its version is still the one before <see cref="Invoice.Version"/>.</summary>
    /// <returns>False if it is not, or if the owner has none of this id.</returns>
    Task<bool> UpdateAsync(Invoice one, CancellationToken cancellation);

    /// <returns>False if the owner has none of this id at this version.</returns>
    Task<bool> DeleteAsync(string id, string owner, long version, CancellationToken cancellation);
}

internal sealed class InvoiceRepository(Database database) : IInvoiceRepository
{
    public Task<(string Id, string Fingerprint)> AddAsync(Invoice one, string idempotencyKey, string fingerprint, CancellationToken cancellation) =>
        database.WriteAsync(
            async session =>
            {
                await session.ExecuteAsync(
                    """
                    INSERT INTO invoices_table (id, owner, idempotency_key, fingerprint, name, version)
                    VALUES (@Id, @Owner, @idempotencyKey, @fingerprint, @Name, @Version)
                    ON CONFLICT (owner, idempotency_key) DO NOTHING
                    """,
                    new { one.Id, one.Owner, idempotencyKey, fingerprint, one.Name, one.Version });
                var made = (await session.QueryAsync<Made>("SELECT id, fingerprint FROM invoices_table WHERE owner = @Owner AND idempotency_key = @idempotencyKey", new { one.Owner, idempotencyKey })).Single();
                return (made.Id, made.Fingerprint);
            },
            cancellation);

    public async Task<Invoice?> FindAsync(string id, string owner, CancellationToken cancellation) =>
        (await database.QueryAsync<Invoice>("SELECT id, owner, name, version FROM invoices_table WHERE id = @id AND owner = @owner", new { id, owner }, cancellation)).SingleOrDefault();

    public Task<IReadOnlyList<Invoice>> ListAsync(string owner, string? after, int limit, CancellationToken cancellation) =>
        database.QueryAsync<Invoice>(
            "SELECT id, owner, name, version FROM invoices_table WHERE owner = @owner AND id < @after ORDER BY id DESC LIMIT @limit",
            new { owner, after = after ?? AfterAll, limit }, cancellation);

    public async Task<bool> UpdateAsync(Invoice one, CancellationToken cancellation) =>
        await database.ExecuteAsync(
            "UPDATE invoices_table SET name = @Name, version = @Version WHERE id = @Id AND owner = @Owner AND version = @Version - 1", one, cancellation) == 1;

    public async Task<bool> DeleteAsync(string id, string owner, long version, CancellationToken cancellation) =>
        await database.ExecuteAsync("DELETE FROM invoices_table WHERE id = @id AND owner = @owner AND version = @version", new { id, owner, version }, cancellation) == 1;

    private const string AfterAll = "~"; // sorts behind every hexadecimal digit

    private sealed record Made(string Id, string Fingerprint);
}
