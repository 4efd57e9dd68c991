// What `dotnet new webapi` writes, with the handlers of the service and nothing around them: no token, no limit, no line of a log.
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

var builder = WebApplication.CreateBuilder(args);
DefaultTypeMap.MatchNamesWithUnderscores = true;
await using var database = NpgsqlDataSource.Create(builder.Configuration["DATABASE"]!);
var products = new ConcurrentDictionary<string, ProductBody>();
var app = builder.Build();

app.MapGet("/v1/empty", () => TypedResults.NoContent());
app.MapGet("/v1/allocated", () => GC.GetTotalAllocatedBytes(precise: true));

app.MapGet("/v1/products/{sku}", async Task<Results<Ok<ProductBody>, NotFound>> (string sku) =>
{
    if (products.TryGetValue(sku, out var known))
        return TypedResults.Ok(known);
    await using var connection = await database.OpenConnectionAsync();
    var row = await connection.QuerySingleOrDefaultAsync<Product>("SELECT sku, name, amount, currency FROM products WHERE sku = @sku", new { sku });
    return row is null ? TypedResults.NotFound() : TypedResults.Ok(products[sku] = new(row.Sku, row.Name, new(row.Amount, row.Currency)));
});

app.MapGet("/v1/orders/{id:guid}", async Task<Results<Ok<OrderBody>, NotFound>> (Guid id) =>
{
    await using var connection = await database.OpenConnectionAsync();
    var rows = await connection.QueryAsync<Row>(
        """
        SELECT o.id, o.owner, o.status, o.amount, o.currency, o.created_at, i.sku, i.quantity, i.price
        FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.id = @id ORDER BY i.line
        """,
        new { id = id.ToString() });
    return OrderBody.From(rows).SingleOrDefault() is { } order ? TypedResults.Ok(order) : TypedResults.NotFound();
});

app.MapGet("/v1/orders", async (int limit = 20, string after = "~") =>
{
    await using var connection = await database.OpenConnectionAsync();
    var rows = await connection.QueryAsync<Row>(
        """
        SELECT o.id, o.owner, o.status, o.amount, o.currency, o.created_at, i.sku, i.quantity, i.price
        FROM (SELECT id, owner, status, amount, currency, created_at FROM orders WHERE owner = 'ann' AND id < @after ORDER BY id DESC LIMIT @limit) o
        JOIN order_items i ON i.order_id = o.id
        ORDER BY o.id DESC, i.line
        """,
        new { after, limit = limit + 1 });
    var orders = OrderBody.From(rows).ToList();
    return TypedResults.Ok(new Page(orders.Take(limit).ToList(), orders.Count > limit ? orders[limit - 1].Id : null));
});

app.MapPost("/v1/orders", async Task<Results<Created<OrderBody>, UnprocessableEntity>> (HttpRequest request, OrderRequest body) =>
{
    var key = request.Headers["Idempotency-Key"].ToString();
    var fingerprint = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', body.Items.Select(item => $"{item.Sku} {item.Quantity}")))));
    await using var connection = await database.OpenConnectionAsync();
    await using var transaction = await connection.BeginTransactionAsync();
    if (await connection.ExecuteScalarAsync<string>("SELECT id FROM orders WHERE owner = 'ann' AND idempotency_key = @key", new { key }, transaction) is not null)
        return TypedResults.UnprocessableEntity();
    var known = (await connection.QueryAsync<Product>("SELECT sku, name, amount, currency FROM products WHERE sku = ANY(@skus)", new { skus = body.Items.Select(item => item.Sku).ToArray() }, transaction)).ToDictionary(product => product.Sku);
    if (!body.Items.All(item => known.ContainsKey(item.Sku)))
        return TypedResults.UnprocessableEntity();
    var (id, now, total) = (Guid.CreateVersion7().ToString(), DateTimeOffset.UtcNow, body.Items.Sum(item => item.Quantity * known[item.Sku].Amount));
    var currency = known[body.Items[0].Sku].Currency;
    await connection.ExecuteAsync(
        """
        INSERT INTO orders (id, owner, idempotency_key, fingerprint, status, amount, currency, created_at)
        VALUES (@id, 'ann', @key, @fingerprint, 'pending', @total, @currency, @now) ON CONFLICT (owner, idempotency_key) DO NOTHING
        """,
        new { id, key, fingerprint, total, currency, now = now.ToUnixTimeMilliseconds() }, transaction);
    await connection.ExecuteAsync(
        "INSERT INTO order_items (order_id, line, sku, quantity, price) VALUES (@id, @line, @Sku, @Quantity, @Amount)",
        body.Items.Select((item, line) => new { id, line, item.Sku, item.Quantity, known[item.Sku].Amount }), transaction);
    await connection.ExecuteAsync(
        "INSERT INTO outbox (id, type, body, available_at, created_at) VALUES (@job, 'charge-payment', @body, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 2000, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)",
        new { job = Guid.CreateVersion7().ToString(), body = JsonSerializer.SerializeToUtf8Bytes(new { orderId = id }) }, transaction);
    await transaction.CommitAsync();
    var items = body.Items.Select(item => new ItemBody(item.Sku, item.Quantity, new(known[item.Sku].Amount, currency))).ToList();
    return TypedResults.Created($"/v1/orders/{id}", new OrderBody(id, "pending", items, new(total, currency), now));
});

app.Run();

internal sealed record Product(string Sku, string Name, long Amount, string Currency);

internal sealed record Row(string Id, string Owner, string Status, long Amount, string Currency, long CreatedAt, string Sku, long Quantity, long Price);

internal sealed record Money(long Amount, string Currency);

internal sealed record ProductBody(string Sku, string Name, Money Price);

internal sealed record ItemRequest(string Sku, int Quantity);

internal sealed record OrderRequest(List<ItemRequest> Items);

internal sealed record ItemBody(string Sku, long Quantity, Money Price);

internal sealed record Page(IReadOnlyList<OrderBody> Items, string? Next);

internal sealed record OrderBody(string Id, string Status, IReadOnlyList<ItemBody> Items, Money Total, DateTimeOffset CreatedAt)
{
    public static IEnumerable<OrderBody> From(IEnumerable<Row> rows) =>
        from row in rows
        group row by (row.Id, row.Status, row.Amount, row.Currency, row.CreatedAt) into order
        select new OrderBody(
            order.Key.Id, order.Key.Status, [.. order.Select(item => new ItemBody(item.Sku, item.Quantity, new(item.Price, item.Currency)))],
            new(order.Key.Amount, order.Key.Currency), DateTimeOffset.FromUnixTimeMilliseconds(order.Key.CreatedAt));
}
