namespace Storefront.Utilities;

/// <summary>A part of a list, and the key to go on after, or null at the end.</summary>
public sealed record Slice<T>(IReadOnlyList<T> Items, string? Next)
{
    /// <param name="found">One more than the limit, if there is more.</param>
    internal static Slice<T> Of(IReadOnlyList<T> found, int limit, Func<T, string> key) =>
        found.Count > limit ? new([.. found.Take(limit)], key(found[limit - 1])) : new(found, null);
}
