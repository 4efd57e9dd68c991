using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace EndToEnd;

/// <content>The issuer of tokens.</content>
internal sealed partial class Provider
{
    private RSA _key = RSA.Create(2048);
    private int _keys = 1;

    public byte[] PublicKey => _key.ExportSubjectPublicKeyInfo();

    public string PublicKeyPem => _key.ExportSubjectPublicKeyInfoPem();

    private static readonly string AllScopes = string.Join(' ', Storefront.Controllers.Scopes.All);

    private string KeyId => $"{_keys}";

    /// <summary>From here on tokens are signed with another key, and the issuer has withdrawn the one before.</summary>
    public void RotateKey() => (_key, _keys) = (RSA.Create(2048), _keys + 1);

    public string Token(string subject, string? scope = null) => Token(subject, Address, new SigningCredentials(new RsaSecurityKey(_key) { KeyId = KeyId }, SecurityAlgorithms.RsaSha256), scope);

    public static string Token(string subject, string issuer, SigningCredentials credentials, string? scope = null) => new JsonWebTokenHandler().CreateToken(new SecurityTokenDescriptor
    {
        Issuer = issuer,
        Audience = Site.Audience,
        Expires = DateTime.UtcNow.AddHours(1),
        Claims = new Dictionary<string, object> { ["sub"] = subject, ["scope"] = scope ?? AllScopes },
        SigningCredentials = credentials,
    });

    private Task? AnswerAsIssuer(HttpContext http)
    {
        switch (http.Request.Path.Value)
        {
            case "/.well-known/openid-configuration":
                return http.Response.WriteAsJsonAsync(new { issuer = Address, jwks_uri = Address + "/keys" });
            case "/keys":
                var rsa = _key.ExportParameters(includePrivateParameters: false);
                var key = new { kty = "RSA", use = "sig", alg = "RS256", kid = KeyId, n = Base64UrlEncoder.Encode(rsa.Modulus), e = Base64UrlEncoder.Encode(rsa.Exponent) };
                return http.Response.WriteAsJsonAsync(new { keys = new[] { key } });
            default:
                return null;
        }
    }
}
