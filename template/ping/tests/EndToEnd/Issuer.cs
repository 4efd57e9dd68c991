using System.Net;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace EndToEnd;

/// <summary>The provider of identities, on an HTTPS port: the issuer of tokens.</summary>
internal sealed class Provider : IAsyncDisposable
{
    private readonly WebApplication _app;
    private RSA _key = RSA.Create(2048);
    private int _keys = 1;

    private Provider(Certificates certificates)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(certificates.Server)));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    public string Address => _app.Urls.Single();

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

    public static async Task<Provider> StartAsync(Certificates certificates)
    {
        var provider = new Provider(certificates);
        await provider._app.StartAsync();
        return provider;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _key.Dispose();
    }

    private Task AnswerAsync(HttpContext http)
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
                http.Response.StatusCode = 404;
                return Task.CompletedTask;
        }
    }
}
