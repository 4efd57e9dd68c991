using System.Buffers.Text;
using System.Text;
using System.Text.Unicode;

namespace Storefront.Utilities;

/// <summary>The opaque `after` of a list: the key of the last item seen, in base64url.</summary>
public static class Cursor
{
    /// <summary>The longest cursor that <see cref="Encode"/> makes of any key of ours.</summary>
    public const int MaxLength = 100;

    public static string Encode(string key) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(key));

    /// <returns>The key, or null for the first page.</returns>
    /// <exception cref="OperationalException">The text was not made by <see cref="Encode"/>.</exception>
    public static string? Decode(string? cursor)
    {
        if (cursor is null)
            return null;
        var bytes = Base64Url.IsValid(cursor) ? Base64Url.DecodeFromChars(cursor) : throw NotOurs();
        return Utf8.IsValid(bytes) && !Encoding.UTF8.GetString(bytes).Any(char.IsControl) ? Encoding.UTF8.GetString(bytes) : throw NotOurs();
    }

    private static OperationalException NotOurs() =>
        new(Failure.Invalid, "The cursor is not one of ours: pass `next` of the page before as `after`, unchanged.");
}
