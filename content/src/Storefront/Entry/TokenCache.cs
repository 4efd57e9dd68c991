using System.Security.Claims;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.Extensions.Caching.Memory;

namespace Storefront.Entry;

/// <summary>
/// Whom a valid token names: to check a signature costs more than the rest of a request. An answer counts for a minute at most, not
/// after the token ends, and no longer than the settings and the issuer's keys that it was found by.
/// </summary>
internal sealed class TokenCache : IDisposable
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(1);

    private readonly MemoryCache _callers = new(new MemoryCacheOptions { SizeLimit = 2000 });

    public async Task FindAsync(MessageReceivedContext message)
    {
        if (message.Request.Headers.Authorization is not [{ } header] || !_callers.TryGetValue(header, out Known? known))
            return;
        if (known!.End > Now(message.Options) && known.Options == message.Options && known.Keys == await KeysAsync(message.Options, message.HttpContext))
        {
            message.Principal = known.Caller;
            message.Success();
        }
    }

    public async Task KeepAsync(TokenValidatedContext valid)
    {
        if (valid.Request.Headers.Authorization is not [{ } header])
            return;
        var (end, latest) = (new DateTimeOffset(valid.SecurityToken.ValidTo), Now(valid.Options) + Longest);
        var known = new Known(valid.Principal!, end < latest ? end : latest, valid.Options, await KeysAsync(valid.Options, valid.HttpContext));
        _callers.Set(header, known, new MemoryCacheEntryOptions { AbsoluteExpirationRelativeToNow = Longest, Size = 1 });
    }

    public void Dispose() => _callers.Dispose();

    private static DateTimeOffset Now(JwtBearerOptions options) => options.TimeProvider!.GetUtcNow();

    /// <summary>Another object when the issuer was asked again, for which this call is also the occasion.</summary>
    private static async ValueTask<object?> KeysAsync(JwtBearerOptions options, HttpContext http) =>
        options.ConfigurationManager is { } issuer ? await issuer.GetConfigurationAsync(http.RequestAborted) : null;

    private sealed record Known(ClaimsPrincipal Caller, DateTimeOffset End, JwtBearerOptions Options, object? Keys);
}
