namespace Storefront.Controllers;

/// <summary>What a token may allow; each constant is a policy of the same name. A controller may add its own in its file.</summary>
public static partial class Scopes
{
    //#if (sample)
    public const string OrdersRead = "orders:read";
    public const string OrdersWrite = "orders:write";
    public const string ProductsWrite = "products:write";

    //#endif
    public static IReadOnlyList<string> All { get; } = [.. typeof(Scopes).GetFields().Where(field => field.IsLiteral).Select(field => (string)field.GetRawConstantValue()!)];
}
