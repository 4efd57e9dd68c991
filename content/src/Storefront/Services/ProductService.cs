using Storefront.Repositories;

namespace Storefront.Services;

public sealed class ProductService(IProductRepository products)
{
    public async Task<Product> GetAsync(string sku, CancellationToken cancellation) =>
        await products.FindAsync(sku, cancellation) ?? throw new OperationalException(Failure.NotFound, $"There is no product {sku}.");

    /// <returns>At most <paramref name="limit"/> products, and the key to go on after, or null at the end.</returns>
    public async Task<(IReadOnlyList<Product> Items, string? Next)> ListAsync(string? after, int limit, CancellationToken cancellation)
    {
        var found = await products.ListAsync(after, limit + 1, cancellation);
        return found.Count > limit ? ([.. found.Take(limit)], found[limit - 1].Sku) : (found, null);
    }

    public async Task<Product> CreateAsync(string sku, string name, Money price, CancellationToken cancellation)
    {
        var product = new Product(sku, name, price.Amount, price.Currency, 1);
        return await products.AddAsync(product, cancellation)
            ? product
            : throw new OperationalException(Failure.Stale, $"The product {sku} exists already: read it and send its ETag as If-Match.");
    }

    /// <param name="seen">The version that the caller has read; null matches none.</param>
    public async Task<Product> ReplaceAsync(string sku, string name, Money price, long? seen, CancellationToken cancellation)
    {
        var product = new Product(sku, name, price.Amount, price.Currency, (seen ?? -1) + 1);
        return seen is not null && await products.UpdateAsync(product, cancellation)
            ? product
            : throw new OperationalException(Failure.Stale, $"The product {sku} is not at this version any more: read it again and repeat the change.");
    }
}
