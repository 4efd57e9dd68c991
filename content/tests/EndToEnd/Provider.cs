using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace EndToEnd;

/// <param name="At">Of <see cref="Stopwatch.GetTimestamp"/>.</param>
internal sealed record Call(string Path, string Key, long At);

/// <summary>The others that the service talks to, on one HTTPS port: the issuer of tokens and the provider that jobs ask.</summary>
internal sealed class Provider : IAsyncDisposable
{
    private readonly WebApplication _app;
    private RSA _key = RSA.Create(2048);
    private int _keys = 1;
    private int _calls;

    private Provider(Certificates certificates)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(certificates.Server)));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    public string Address => _app.Urls.Single();

    /// <summary>Every request that is none for the issuer, in the order of arrival.</summary>
    public ConcurrentQueue<Call> Calls { get; } = new();

    /// <summary>What the n-th call, from 1 on, is answered with.</summary>
    public Func<int, HttpContext, Task> Answering { get; set; } = Approve;

    public static Task Approve(int call, HttpContext http) => http.Response.WriteAsJsonAsync(new { status = "approved" });

    public static Task Fail(int call, HttpContext http)
    {
        http.Response.StatusCode = 500;
        return Task.CompletedTask;
    }

    public static Func<int, HttpContext, Task> ApproveAfter(Func<Task> wait) => async (call, http) =>
    {
        await wait();
        await Approve(call, http);
    };

    /// <summary>Never answers; ends when the caller gives up.</summary>
    public static Task Hang(int call, HttpContext http) => Task.Delay(Timeout.Infinite, http.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);

    public static async Task<Provider> StartAsync(Certificates certificates)
    {
        var provider = new Provider(certificates);
        await provider._app.StartAsync();
        return provider;
    }

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
                Calls.Enqueue(new Call(http.Request.Path, http.Request.Headers["Idempotency-Key"].ToString(), Stopwatch.GetTimestamp()));
                return Answering(Interlocked.Increment(ref _calls), http);
        }
    }
}
