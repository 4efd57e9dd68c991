using Storefront.Repositories;

namespace Storefront.Services;

public sealed class InvoiceService(IInvoiceRepository repository, TimeProvider clock)
{
    /// <summary>The same key again returns the first answer, whatever has been changed since; the key with another content is refused.</summary>
    public async Task<Invoice> CreateAsync(string owner, string idempotencyKey, string name, CancellationToken cancellation)
    {
        var wanted = new Invoice(Guid.CreateVersion7(clock.GetUtcNow()).ToString(), owner, name, 1);
        var fingerprint = Fingerprint.Of([name]);
        var made = await repository.AddAsync(wanted, idempotencyKey, fingerprint, cancellation);
        return made.Fingerprint == fingerprint
            ? wanted with { Id = made.Id }
            : throw new OperationalException(Failure.Refused, "This Idempotency-Key was used with another content: send a new key.");
    }

    public async Task<Invoice> GetAsync(string id, string owner, CancellationToken cancellation) =>
        await repository.FindAsync(id, owner, cancellation) ?? throw new OperationalException(Failure.NotFound, "There is none of this id.");

    public async Task<Slice<Invoice>> ListAsync(string owner, string? after, int limit, CancellationToken cancellation) =>
        Slice<Invoice>.Of(await repository.ListAsync(owner, after, limit + 1, cancellation), limit, found => found.Id);

    /// <param name="seen">The version that the caller has read; null matches none.</param>
    public async Task<Invoice> UpdateAsync(string id, string owner, string name, long? seen, CancellationToken cancellation)
    {
        var changed = await GetAsync(id, owner, cancellation) with { Name = name, Version = (seen ?? -1) + 1 };
        return await repository.UpdateAsync(changed, cancellation) ? changed : throw Stale();
    }

    /// <param name="seen">As in <see cref="UpdateAsync"/>.</param>
    public async Task DeleteAsync(string id, string owner, long? seen, CancellationToken cancellation)
    {
        await GetAsync(id, owner, cancellation);
        if (!await repository.DeleteAsync(id, owner, seen ?? -1, cancellation))
            throw Stale();
    }

    private static OperationalException Stale() => new(Failure.Stale, "It is not at this version any more: read it again and repeat the change.");
}
