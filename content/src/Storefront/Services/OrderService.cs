using Storefront.Repositories;

namespace Storefront.Services;

public sealed record OrderSettings
{
    /// <summary>How long an order can be cancelled before it is charged.</summary>
    [Range(0, 86_400)]
    public int CancelWindowSeconds { get; init; } = 2;
}

public sealed class OrderService(
    Database database, IOrderRepository orders, IProductRepository products, JobScheduler jobs, OrderSettings settings, TimeProvider clock)
{
    /// <summary>
    /// Places an order and, in the same transaction, the job that charges it. The same key again returns the first answer,
    /// whatever has become of the order since; the key with another order is refused.
    /// </summary>
    public Task<Order> PlaceAsync(string owner, string idempotencyKey, IReadOnlyList<(string Sku, int Quantity)> lines, CancellationToken cancellation)
    {
        var fingerprint = Fingerprint.Of(lines.Select(line => $"{line.Sku} {line.Quantity}"));
        return database.WriteAsync(
            async session =>
            {
                var (order, refusal) = await PriceAsync(session, owner, lines);
                if (order is not null && await orders.AddAsync(session, order, idempotencyKey, fingerprint))
                {
                    await jobs.AddAsync(session, ChargePayment.Type, new OrderJob(order.Id), TimeSpan.FromSeconds(settings.CancelWindowSeconds));
                    return order;
                }
                // Only now, as few keys come twice; but whatever has become of its products, the first answer stands.
                var first = await orders.FindByKeyAsync(session, owner, idempotencyKey) ?? throw new OperationalException(Failure.Refused, refusal!);
                return first.Fingerprint == fingerprint
                    ? first.Order with { Status = OrderStatus.Pending }
                    : throw new OperationalException(Failure.Refused, "This Idempotency-Key was used with another order: send a new key for a new order.");
            },
            cancellation);
    }

    public async Task<Order> GetAsync(string id, string owner, CancellationToken cancellation) =>
        await orders.FindAsync(id, owner, cancellation) ?? throw new OperationalException(Failure.NotFound, "There is no such order.");

    public async Task<Slice<Order>> ListAsync(string owner, OrderStatus? status, string? after, int limit, CancellationToken cancellation) =>
        Slice<Order>.Of(await orders.ListAsync(owner, status, after, limit + 1, cancellation), limit, order => order.Id);

    public async Task<Order> CancelAsync(string id, string owner, CancellationToken cancellation)
    {
        var cancelled = await orders.CancelAsync(id, owner, cancellation);
        var order = await GetAsync(id, owner, cancellation);
        return cancelled
            ? order
            : throw new OperationalException(Failure.Conflict, order.Status == OrderStatus.Pending
                ? "The order is being charged: it is too late to cancel it."
                : $"The order is {order.Status} already.");
    }

    private async Task<(Order? Order, string? Refusal)> PriceAsync(Session session, string owner, IReadOnlyList<(string Sku, int Quantity)> lines)
    {
        var known = (await products.FindAllAsync(session, [.. lines.Select(line => line.Sku).Distinct()])).ToDictionary(product => product.Sku);
        var items = new List<OrderItem>(lines.Count);
        foreach (var (sku, quantity) in lines)
        {
            if (!known.TryGetValue(sku, out var product))
                return (null, $"There is no such product: items[{items.Count}].sku.");
            items.Add(new(sku, quantity, new Money(product.Amount, product.Currency)));
        }
        var currency = items[0].Price.Currency;
        if (items.Exists(item => item.Price.Currency != currency))
            return (null, "The products of one order must have one currency.");
        var now = DateTimeOffset.FromUnixTimeMilliseconds(clock.GetUtcNow().ToUnixTimeMilliseconds()); // as it is stored, so that a replay shows the same
        var total = new Money(items.Sum(item => item.Quantity * item.Price.Amount), currency);
        return (new Order(Guid.CreateVersion7(now).ToString(), owner, OrderStatus.Pending, items, total, now), null);
    }
}
