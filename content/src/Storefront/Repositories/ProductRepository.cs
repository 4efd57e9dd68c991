using System.ComponentModel;

namespace Storefront.Repositories;

[ImmutableObject(true)] // the cache may hand out one instance to all, without a copy
public sealed record Product(string Sku, string Name, long Amount, string Currency, long Version);

public interface IProductRepository
{
    /// <summary>From the primary: what a cache keeps for minutes must not be old already.</summary>
    Task<Product?> FindAsync(string sku, CancellationToken cancellation);

    /// <summary>In the order of the keys, those after the given one; from a replica, which may miss the last changes.</summary>
    Task<IReadOnlyList<Product>> ListAsync(string? after, int limit, CancellationToken cancellation);

    /// <summary>The products as they are in this transaction; unknown keys are left out.</summary>
    Task<IReadOnlyList<Product>> FindAllAsync(Session session, string[] skus);

    /// <returns>False if the product exists already.</returns>
    Task<bool> AddAsync(Product product, CancellationToken cancellation);

    /// <summary>Replaces the product if its version is still the one before <see cref="Product.Version"/>.</summary>
    /// <returns>False if it is not, or if there is no such product.</returns>
    Task<bool> UpdateAsync(Product product, CancellationToken cancellation);
}

internal sealed class ProductRepository(Database database) : IProductRepository
{
    public async Task<Product?> FindAsync(string sku, CancellationToken cancellation) =>
        (await database.QueryAsync<Product>(
            "SELECT sku, name, amount, currency, version FROM products WHERE sku = @sku", new { sku }, cancellation)).SingleOrDefault();

    public Task<IReadOnlyList<Product>> ListAsync(string? after, int limit, CancellationToken cancellation) =>
        database.QueryAsync<Product>(
            "SELECT sku, name, amount, currency, version FROM products WHERE sku > @after ORDER BY sku LIMIT @limit",
            new { after = after ?? "", limit }, cancellation, mayLag: _ => true);

    public Task<IReadOnlyList<Product>> FindAllAsync(Session session, string[] skus) =>
        session.QueryAsync<Product>("SELECT sku, name, amount, currency, version FROM products WHERE sku = ANY(@skus)", new { skus });

    public async Task<bool> AddAsync(Product product, CancellationToken cancellation) =>
        await database.ExecuteAsync(
            "INSERT INTO products (sku, name, amount, currency, version) VALUES (@Sku, @Name, @Amount, @Currency, @Version) ON CONFLICT DO NOTHING",
            product, cancellation) == 1;

    public async Task<bool> UpdateAsync(Product product, CancellationToken cancellation) =>
        await database.ExecuteAsync(
            "UPDATE products SET name = @Name, amount = @Amount, currency = @Currency, version = @Version WHERE sku = @Sku AND version = @Version - 1",
            product, cancellation) == 1;
}
