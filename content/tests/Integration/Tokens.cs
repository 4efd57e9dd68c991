using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Integration;

/// <summary>Tokens as `dotnet user-jwts` makes them, and any other.</summary>
internal static class Tokens
{
    public const string Settings = "Authentication:Schemes:Bearer:SigningKeys";
    public const string Issuer = "dotnet-user-jwts";
    public const string Audience = "https://localhost:7443";

    public static byte[] Key { get; } = RandomNumberGenerator.GetBytes(64); // long enough for every algorithm

    /// <param name="scopes">A text is one claim, a list of texts repeated ones; none given is all scopes.</param>
    public static string Of(string user, params object[] scopes) =>
        Make(new() { ["sub"] = user, ["scope"] = scopes is [] ? string.Join(' ', Storefront.Controllers.Scopes.All) : scopes is [string one] ? one : scopes.Cast<string>().ToArray() });

    public static string Make(
        Dictionary<string, object> claims,
        string issuer = Issuer,
        string audience = Audience,
        byte[]? key = null,
        int validFrom = -60,
        int validTo = 3600,
        string algorithm = SecurityAlgorithms.HmacSha256) => new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
        {
            Claims = claims,
            Issuer = issuer,
            Audience = audience,
            NotBefore = DateTime.UtcNow.AddSeconds(validFrom),
            Expires = DateTime.UtcNow.AddSeconds(validTo),
            SigningCredentials = new SigningCredentials(new SymmetricSecurityKey(key ?? Key), algorithm),
        });

    /// <summary>Any text as header and payload, with a signature (HMAC-SHA256) where there is a key.</summary>
    public static string Forge(string header, string payload, byte[]? key)
    {
        var text = $"{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(header))}.{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(payload))}";
        return $"{text}.{(key is null ? "" : Base64Url.EncodeToString(HMACSHA256.HashData(key, Encoding.ASCII.GetBytes(text))))}";
    }
}
