namespace Storefront.Controllers;

/// <summary>What a token may allow; each is a policy of the same name.</summary>
public static class Scopes
{
    public const string OrdersRead = "orders:read";
    public const string OrdersWrite = "orders:write";
    public const string ProductsWrite = "products:write";

    public static IReadOnlyList<string> All { get; } = [OrdersRead, OrdersWrite, ProductsWrite];
}
