using Microsoft.Extensions.Caching.Hybrid;

namespace Storefront.Repositories;

/// <summary>
/// Products by key from the cache: one query for any number of readers at once. A write removes the entry after its commit;
/// a reader that was under way may put the old one back, which the expiry bounds.
/// </summary>
internal sealed class CachedProductRepository(IProductRepository inner, HybridCache cache) : IProductRepository
{
    public async Task<Product?> FindAsync(string sku, CancellationToken cancellation)
    {
        try
        {
            return await cache.GetOrCreateAsync(
                Key(sku),
                (inner, sku),
                static async (source, token) => await source.inner.FindAsync(source.sku, token) ?? throw new AbsentException(),
                cancellationToken: cancellation);
        }
        catch (AbsentException)
        {
            return null;
        }
    }

    public async Task<bool> AddAsync(Product product, CancellationToken cancellation) =>
        await RemoveAfterAsync(product, await inner.AddAsync(product, cancellation));

    public async Task<bool> UpdateAsync(Product product, CancellationToken cancellation) =>
        await RemoveAfterAsync(product, await inner.UpdateAsync(product, cancellation));

    public Task<IReadOnlyList<Product>> ListAsync(string? after, int limit, CancellationToken cancellation) =>
        inner.ListAsync(after, limit, cancellation);

    public Task<IReadOnlyList<Product>> FindAllAsync(Session session, string[] skus) => inner.FindAllAsync(session, skus);

    private static string Key(string sku) => $"product:{sku}";

    private async Task<bool> RemoveAfterAsync(Product product, bool written)
    {
        await cache.RemoveAsync(Key(product.Sku), CancellationToken.None); // the write is done: nobody may cancel this
        return written;
    }

    /// <summary>What is absent is not stored, or callers would fill the cache with names that they invent.</summary>
    private sealed class AbsentException : Exception;
}
