namespace Storefront.Controllers;

/// <summary>A page of a list: pass `next` as `after` to get the one behind it; null at the end.</summary>
public sealed record Page<T>(IReadOnlyList<T> Items, string? Next)
{
    internal static Page<T> From<TItem>(Slice<TItem> slice, Func<TItem, T> format) =>
        new([.. slice.Items.Select(format)], slice.Next is null ? null : Cursor.Encode(slice.Next));
}

//#if (sample)
/// <param name="Amount">In minor units (cents) of the currency.</param>
/// <param name="Currency">ISO 4217.</param>
public sealed record MoneyBody(
    [property: Range(0, 100_000_000)] long Amount,
    [property: Pattern("^[A-Z]{3}$")] string Currency)
{
    public static MoneyBody From(Money money) => new(money.Amount, money.Currency);
}

//#endif
internal static class Rules
{
    //#if (sample)
    public const string Sku = "^[A-Z0-9][A-Z0-9-]{0,39}$";
    public const string Status = "^(pending|paid|declined|cancelled)$";
    //#endif
    public const string Cursor = "^[A-Za-z0-9_-]+$";
    public const string IdempotencyKey = "^[!-~]{1,128}$";
}
