using System.Reflection;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.Extensions.Configuration.UserSecrets;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using Storefront.Controllers;

namespace Storefront.Entry;

/// <summary>Bearer tokens by the framework's own settings, and no endpoint open that does not say so.</summary>
internal static class Authentication
{
    public const string Section = "Authentication:Schemes:Bearer";

    /// <summary>
    /// `dotnet user-jwts` keeps its key in the user secrets. If their folder did not exist at the start it would not be watched,
    /// and the first token would be refused until a restart.
    /// </summary>
    public static void PrepareUserSecrets()
    {
        var id = Assembly.GetExecutingAssembly().GetCustomAttribute<UserSecretsIdAttribute>()!.UserSecretsId;
        if (Environment.GetEnvironmentVariable("ASPNETCORE_ENVIRONMENT") == Environments.Development)
            Directory.CreateDirectory(Path.GetDirectoryName(PathHelper.GetSecretsPathFromSecretsId(id))!);
    }

    public static void AddTokenAuthentication(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<TokenCache>().AddAuthentication().AddJwtBearer();
        builder.Services.AddOptions<JwtBearerOptions>(JwtBearerDefaults.AuthenticationScheme).Configure<TokenCache>((jwt, known) =>
        {
            jwt.MapInboundClaims = false; // the claims keep the names that they have in the token
            jwt.TokenValidationParameters.NameClaimType = "sub";
            jwt.TokenValidationParameters.ClockSkew = TimeSpan.FromSeconds(30);
            string[] publicKeys = [SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.EcdsaSha256];
            jwt.TokenValidationParameters.ValidAlgorithms = builder.Environment.IsDevelopment()
                ? [.. publicKeys, SecurityAlgorithms.HmacSha256] // what `dotnet user-jwts` signs with
                : publicKeys;
            jwt.RefreshInterval = TimeSpan.FromSeconds(10); // at the most so often a token with an unknown key makes us ask the issuer for its keys
            jwt.AutomaticRefreshInterval = TimeSpan.FromMinutes(5); // so long a key counts that the issuer has withdrawn
            jwt.Events = new()
            {
                OnTokenValidated = valid =>
                {
                    if (valid.SecurityToken is JsonWebToken token && !token.TryGetHeaderValue<object>("crit", out _))
                        return known.KeepAsync(valid);
                    valid.Fail("The token has extensions that must be understood (RFC 7515, 4.1.11), and none is."); // the framework does not look
                    return Task.CompletedTask;
                },
                OnChallenge = challenge => challenge.AuthenticateFailure is null ? Task.CompletedTask : NeedIssuerAsync(jwt, challenge.HttpContext.RequestAborted),
            };
        });

        // The "last known good" keys would count for an hour more, those included that the issuer has withdrawn.
        builder.Services.PostConfigure<JwtBearerOptions>(
            JwtBearerDefaults.AuthenticationScheme, jwt => (jwt.ConfigurationManager as BaseConfigurationManager)?.UseLastKnownGoodConfiguration = false);

        // A key that `dotnet user-jwts` makes while the service runs counts at once.
        builder.Services.AddSingleton<IOptionsChangeTokenSource<JwtBearerOptions>>(
            new ConfigurationChangeTokenSource<JwtBearerOptions>(JwtBearerDefaults.AuthenticationScheme, builder.Configuration.GetSection(Section)));

        // The hosted service of Data Protection writes keys into the home folder, for cookies that a service of tokens does not have.
        var dataProtection = builder.Services.Where(service => service.ImplementationType?.Name == "DataProtectionHostedService").ToList();
        dataProtection.ForEach(service => builder.Services.Remove(service));

        var authorization = builder.Services.AddAuthorizationBuilder();
        var anyCaller = new AuthorizationPolicyBuilder().RequireAuthenticatedUser().RequireClaim("sub").Build();
        authorization.SetDefaultPolicy(anyCaller).SetFallbackPolicy(anyCaller);
        foreach (var scope in Scopes.All)
        {
            authorization.AddPolicy(scope, policy => policy.Combine(anyCaller).RequireAssertion(context =>
                context.User.FindAll("scope").Any(claim => claim.Value.Split(' ').Contains(scope)))); // one claim with spaces, or many
        }

        // The framework makes these anew for each request, though they keep nothing of it. So an IAuthorizationHandler must be a singleton, too.
        var stateless = builder.Services.Where(each => each is { Lifetime: ServiceLifetime.Transient, ImplementationType.Namespace: "Microsoft.AspNetCore.Authorization" or "Microsoft.AspNetCore.Authorization.Policy" }).ToList();
        stateless.ForEach(each => builder.Services.Replace(new(each.ServiceType, each.ImplementationType!, ServiceLifetime.Singleton)));
    }

    /// <summary>
    /// The framework's handlers are made anew for each request, and a chain of tasks around them: only for a token that is not known,
    /// and for an endpoint that asks who is there.
    /// </summary>
    public static void UseTokens(this WebApplication app)
    {
        ((IApplicationBuilder)app).Properties["__AuthenticationMiddlewareSet"] = true; // else the host puts its own before all the rest
        var (known, jwt) = (app.Services.GetRequiredService<TokenCache>(), app.Services.GetRequiredService<IOptionsMonitor<JwtBearerOptions>>());
        app.UseWhen(http => http.HasToken() && !known.Recognize(http, jwt.Get(JwtBearerDefaults.AuthenticationScheme)), unknown => unknown.UseAuthentication());
    }

    /// <summary>Where an open endpoint has a policy too, the framework insists on looking at both itself.</summary>
    public static void UsePolicies(this WebApplication app)
    {
        ((IApplicationBuilder)app).Properties["__AuthorizationMiddlewareSet"] = true;
        app.UseWhen(http => http.GetEndpoint()!.Metadata is var its && (its.GetMetadata<IAllowAnonymous>() is null || its.GetMetadata<IAuthorizeData>() is not null), guarded => guarded.UseAuthorization());
    }

    public static bool HasToken(this HttpContext http) => http.Request.Headers.Authorization.Count > 0;

    /// <summary>Without the keys of the issuer every token looks wrong: then the issuer has failed, not the caller.</summary>
    /// <returns>How many keys it has: none where there is no issuer, as in Development.</returns>
    public static async Task<int> NeedIssuerAsync(JwtBearerOptions jwt, CancellationToken cancellation)
    {
        try
        {
            return jwt.ConfigurationManager is { } issuer ? (await issuer.GetConfigurationAsync(cancellation)).SigningKeys.Count : 0;
        }
        catch (InvalidOperationException e)
        {
            throw new OperationalException(Failure.Unavailable, "The issuer of tokens cannot be reached. Check Authentication__Schemes__Bearer__Authority.", e);
        }
    }
}
