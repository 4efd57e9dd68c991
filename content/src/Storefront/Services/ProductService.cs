using Storefront.Repositories;

namespace Storefront.Services;

public sealed class ProductService(IProductRepository products)
{
    public async Task<Product> GetAsync(string sku, CancellationToken cancellation) =>
        await products.FindAsync(sku, cancellation) ?? throw new OperationalException(Failure.NotFound, "There is no such product.");

    public async Task<Slice<Product>> ListAsync(string? after, int limit, CancellationToken cancellation) =>
        Slice<Product>.Of(await products.ListAsync(after, limit + 1, cancellation), limit, product => product.Sku);

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
