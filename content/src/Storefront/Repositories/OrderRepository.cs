namespace Storefront.Repositories;

public enum OrderStatus
{
    Pending,
    Paid,
    Declined,
    Cancelled,
}

public sealed record OrderItem(string Sku, long Quantity, Money Price);

public sealed record Order(string Id, string Owner, OrderStatus Status, IReadOnlyList<OrderItem> Items, Money Total, DateTimeOffset CreatedAt);

public interface IOrderRepository
{
    /// <returns>False if the owner has used the key before: then nothing is written.</returns>
    Task<bool> AddAsync(Session session, Order order, string idempotencyKey, string fingerprint);

    /// <returns>The order that this key made, with the fingerprint of its request.</returns>
    Task<(Order Order, string Fingerprint)?> FindByKeyAsync(Session session, string owner, string idempotencyKey);

    /// <summary>From a replica if it shows an order that cannot change any more; else from the primary, so that one reads one's own writes.</summary>
    Task<Order?> FindAsync(string id, string owner, CancellationToken cancellation);

    /// <summary>The owner's orders, newest first, those before the given id; from the primary, as one looks for what one has just ordered.</summary>
    Task<IReadOnlyList<Order>> ListAsync(string owner, OrderStatus? status, string? after, int limit, CancellationToken cancellation);

    /// <summary>Cancels a pending order that the payment provider has not been asked about.</summary>
    /// <returns>False if there is none.</returns>
    Task<bool> CancelAsync(string id, string owner, CancellationToken cancellation);

    /// <summary>From here on the order cannot be cancelled. Again for an order that is being charged already, as a retry does.</summary>
    /// <returns>The order, or null if it is not pending any more.</returns>
    Task<Order?> BeginChargeAsync(string id, CancellationToken cancellation);

    Task SettleAsync(Session session, string id, OrderStatus status);

    Task AddReceiptAsync(Session session, string receiptId, string orderId);
}

internal sealed class OrderRepository(Database database) : IOrderRepository
{
    public async Task<bool> AddAsync(Session session, Order order, string idempotencyKey, string fingerprint)
    {
        var added = await session.ExecuteAsync(
            """
            INSERT INTO orders (id, owner, idempotency_key, fingerprint, status, amount, currency, created_at)
            VALUES (@Id, @Owner, @idempotencyKey, @fingerprint, 'pending', @Amount, @Currency, @createdAt)
            ON CONFLICT (owner, idempotency_key) DO NOTHING
            """,
            new { order.Id, order.Owner, idempotencyKey, fingerprint, order.Total.Amount, order.Total.Currency, createdAt = order.CreatedAt.ToUnixTimeMilliseconds() });
        if (added == 1)
        {
            await session.ExecuteAsync(
                "INSERT INTO order_items (order_id, line, sku, quantity, price) VALUES (@Id, @line, @Sku, @Quantity, @Amount)",
                order.Items.Select((item, line) => new { order.Id, line, item.Sku, item.Quantity, item.Price.Amount }));
        }
        return added == 1;
    }

    public async Task<(Order Order, string Fingerprint)?> FindByKeyAsync(Session session, string owner, string idempotencyKey) =>
        await session.QueryAsync<Made>("SELECT id, fingerprint FROM orders WHERE owner = @owner AND idempotency_key = @idempotencyKey", new { owner, idempotencyKey }) is [var made]
            ? (Orders(await session.QueryAsync<Row>(ById, new { id = made.Id })).Single(), made.Fingerprint)
            : null;

    public async Task<Order?> FindAsync(string id, string owner, CancellationToken cancellation) =>
        Orders(await database.QueryAsync<Row>(ById, new { id }, cancellation, mayLag: rows => rows is [{ Status: not "pending" }, ..])).SingleOrDefault(order => order.Owner == owner);

    public async Task<IReadOnlyList<Order>> ListAsync(string owner, OrderStatus? status, string? after, int limit, CancellationToken cancellation) =>
        Orders(await database.QueryAsync<Row>(
            """
            SELECT o.id, o.owner, o.status, o.amount, o.currency, o.created_at, i.sku, i.quantity, i.price
            FROM (SELECT id, owner, status, amount, currency, created_at FROM orders
                  WHERE owner = @owner AND id < @after AND (status = @status OR @status = '')
                  ORDER BY id DESC LIMIT @limit) o
            JOIN order_items i ON i.order_id = o.id
            ORDER BY o.id DESC, i.line
            """,
            new { owner, after = after ?? AfterAll, status = status is { } one ? Text(one) : "", limit }, cancellation));

    public async Task<bool> CancelAsync(string id, string owner, CancellationToken cancellation) =>
        await database.ExecuteAsync(
            "UPDATE orders SET status = 'cancelled' WHERE id = @id AND owner = @owner AND status = 'pending' AND charging = 0",
            new { id, owner }, cancellation) == 1;

    public Task<Order?> BeginChargeAsync(string id, CancellationToken cancellation) =>
        database.WriteAsync(
            async session => await session.ExecuteAsync("UPDATE orders SET charging = 1 WHERE id = @id AND status = 'pending'", new { id }) == 1
                ? Orders(await session.QueryAsync<Row>(ById, new { id })).Single()
                : null,
            cancellation);

    public Task SettleAsync(Session session, string id, OrderStatus status) =>
        session.ExecuteAsync("UPDATE orders SET status = @status WHERE id = @id AND status = 'pending'", new { id, status = Text(status) });

    public Task AddReceiptAsync(Session session, string receiptId, string orderId) =>
        session.ExecuteAsync("INSERT INTO receipts (id, order_id, sent_at) VALUES (@receiptId, @orderId, clock_ms())", new { receiptId, orderId });

    private const string AfterAll = "~"; // sorts behind every hexadecimal digit

    private const string ById =
        """
        SELECT o.id, o.owner, o.status, o.amount, o.currency, o.created_at, i.sku, i.quantity, i.price
        FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.id = @id ORDER BY i.line
        """;

    /// <summary>The lines of an order come one after the other.</summary>
    private static List<Order> Orders(IReadOnlyList<Row> rows)
    {
        var orders = new List<Order>();
        for (var line = 0; line < rows.Count;)
        {
            var (order, items) = (rows[line], new List<OrderItem>());
            for (; line < rows.Count && rows[line].Id == order.Id; line++)
                items.Add(new(rows[line].Sku, rows[line].Quantity, new Money(rows[line].Price, order.Currency)));
            var (status, total) = (Enum.Parse<OrderStatus>(order.Status, ignoreCase: true), new Money(order.Amount, order.Currency));
            orders.Add(new(order.Id, order.Owner, status, items, total, DateTimeOffset.FromUnixTimeMilliseconds(order.CreatedAt)));
        }
        return orders;
    }

    private static string Text(OrderStatus status) => status.ToString().ToLowerInvariant();

    private sealed record Made(string Id, string Fingerprint);

    private sealed record Row(string Id, string Owner, string Status, long Amount, string Currency, long CreatedAt, string Sku, long Quantity, long Price);
}
