using System.Security.Claims;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;

namespace Storefront.Entry;

/// <summary>
/// Whom a valid token names: to check a signature costs more than the rest of a request. An answer counts for a minute at most, not
/// after the token ends, and no longer than the settings and the issuer's keys that it was found by.
/// </summary>
internal sealed class TokenCache : IDisposable
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(1);

    private readonly MemoryCache _callers = new(new MemoryCacheOptions { SizeLimit = 2000 });

    /// <returns>Whether the token is known: then the request has its user.</returns>
    public bool Recognize(HttpContext http, JwtBearerOptions jwt)
    {
        if (http.Request.Headers.Authorization is not [{ } header] || !_callers.TryGetValue(header, out Known? known))
            return false;
        var keys = KeysAsync(jwt, http);
        if (known!.End <= Now(jwt) || known.Options != jwt || keys is { IsCompletedSuccessfully: false } || known.Keys != keys?.Result)
            return false;
        http.User = known.Caller;
        return true;
    }

    public async Task KeepAsync(TokenValidatedContext valid)
    {
        if (valid.Request.Headers.Authorization is not [{ } header])
            return;
        var (end, latest) = (new DateTimeOffset(valid.SecurityToken.ValidTo), Now(valid.Options) + Longest);
        var keys = KeysAsync(valid.Options, valid.HttpContext);
        var known = new Known(valid.Principal!, end < latest ? end : latest, valid.Options, keys is null ? null : await keys);
        _callers.Set(header, known, new MemoryCacheEntryOptions { AbsoluteExpirationRelativeToNow = Longest, Size = 1 });
    }

    public void Dispose() => _callers.Dispose();

    private static DateTimeOffset Now(JwtBearerOptions options) => options.TimeProvider!.GetUtcNow();

    /// <summary>Another object when the issuer was asked again, for which this call is also the occasion.</summary>
    private static Task<OpenIdConnectConfiguration>? KeysAsync(JwtBearerOptions options, HttpContext http) =>
        options.ConfigurationManager?.GetConfigurationAsync(http.RequestAborted);

    private sealed record Known(ClaimsPrincipal Caller, DateTimeOffset End, JwtBearerOptions Options, object? Keys);
}
