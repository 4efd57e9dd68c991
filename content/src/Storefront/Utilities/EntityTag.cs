using System.Security.Cryptography;
using System.Text;

namespace Storefront.Utilities;

/// <summary>Strong entity tags (RFC 9110, 8.8.3): the version of one resource, or a digest over the versions of many.</summary>
public static class EntityTag
{
    public static string Of(long version) => string.Create(CultureInfo.InvariantCulture, $"\"{version}\"");

    public static string Of(IEnumerable<string> parts) => $"\"{Fingerprint.Of(parts)[..32]}\"";

    /// <returns>The version in an If-Match field that holds exactly one tag of ours; else null, which matches nothing.</returns>
    public static long? Version(string ifMatch) =>
        ifMatch is ['"', .. var digits, '"'] && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var version)
            ? version
            : null;

    /// <summary>If-None-Match compares weakly and may hold a list (RFC 9110, 13.1.2).</summary>
    public static bool IsAmong(string tag, string? ifNoneMatch) =>
        ifNoneMatch is not null
        && ifNoneMatch.Split(',', StringSplitOptions.TrimEntries).Any(each => each == "*" || each == tag || each == $"W/{tag}");
}

public static class Fingerprint
{
    /// <summary>SHA-256 in hexadecimal digits; a separator that no part can hold keeps ("a", "bc") and ("ab", "c") apart.</summary>
    public static string Of(IEnumerable<string> parts) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\0', parts))));
}
