//#if (auth == "jwt")
using System.Security.Claims;
//#endif
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Storefront.Repositories;
using Storefront.Services;

namespace Storefront.Controllers;

public sealed record OrderItemRequest(
    [property: Pattern(Rules.Sku)] string Sku,
    [property: Range(1, 1000)] int Quantity);

public sealed record OrderRequest([property: Length(1, 20)] IReadOnlyList<OrderItemRequest> Items);

public sealed record OrderItemResponse(string Sku, long Quantity, MoneyBody Price);

public sealed record OrderResponse(string Id, OrderStatus Status, IReadOnlyList<OrderItemResponse> Items, MoneyBody Total, DateTimeOffset CreatedAt)
{
    internal static OrderResponse From(Order order) => new(
        order.Id, order.Status,
        [.. order.Items.Select(item => new OrderItemResponse(item.Sku, item.Quantity, MoneyBody.From(item.Price)))],
        MoneyBody.From(order.Total), order.CreatedAt);
}

public sealed class OrderController : IController
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var orders = routes.MapGroup("/orders").WithTags("Orders");
        orders.MapPost("/", PlaceOrder).RequireAuthorization(Scopes.OrdersWrite).Operation(nameof(PlaceOrder), "Place an order", 422).Costs(5);
        orders.MapGet("/", ListOrders).RequireAuthorization(Scopes.OrdersRead).Operation(nameof(ListOrders), "List your orders, newest first");
        orders.MapGet("/{id}", GetOrder).RequireAuthorization(Scopes.OrdersRead).Operation(nameof(GetOrder), "Read one of your orders", 404);
        orders.MapPost("/{id}/cancel", CancelOrder).RequireAuthorization(Scopes.OrdersWrite).Operation(nameof(CancelOrder), "Cancel an order before it is charged", 404, 409);
    }

    private static async Task<Created<OrderResponse>> PlaceOrder(
        ClaimsPrincipal user, [FromHeader(Name = "Idempotency-Key"), Pattern(Rules.IdempotencyKey)] string idempotencyKey,
        OrderRequest body, OrderService orders, CancellationToken cancellation)
    {
        var lines = body.Items.Select(item => (item.Sku, item.Quantity)).ToList();
        var order = await orders.PlaceAsync(user.Subject(), idempotencyKey, lines, cancellation);
        return TypedResults.Created($"/v1/orders/{order.Id}", OrderResponse.From(order));
    }

    private static async Task<Ok<Page<OrderResponse>>> ListOrders(
        ClaimsPrincipal user, OrderService orders, CancellationToken cancellation, [Pattern(Rules.Status)] string? status = null,
        [Range(1, 100)] int limit = 20, [StringLength(Cursor.MaxLength), Pattern(Rules.Cursor)] string? after = null)
    {
        var one = status is null ? (OrderStatus?)null : Enum.Parse<OrderStatus>(status, ignoreCase: true);
        var found = await orders.ListAsync(user.Subject(), one, Cursor.Decode(after), limit, cancellation);
        return TypedResults.Ok(Page<OrderResponse>.From(found, OrderResponse.From));
    }

    private static async Task<Ok<OrderResponse>> GetOrder(ClaimsPrincipal user, Guid id, OrderService orders, CancellationToken cancellation) =>
        TypedResults.Ok(OrderResponse.From(await orders.GetAsync(id.ToString(), user.Subject(), cancellation)));

    private static async Task<Ok<OrderResponse>> CancelOrder(ClaimsPrincipal user, Guid id, OrderService orders, CancellationToken cancellation) =>
        TypedResults.Ok(OrderResponse.From(await orders.CancelAsync(id.ToString(), user.Subject(), cancellation)));
}
