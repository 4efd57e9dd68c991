using System.Security.Cryptography;
//#if (auth == "jwt")
using Microsoft.AspNetCore.Authorization;
//#endif
using Microsoft.AspNetCore.Mvc;
using Microsoft.OpenApi;
using Scalar.AspNetCore;

namespace Storefront.Entry;

public sealed record DocsSettings
{
    /// <summary>Outside Development, where they are always shown.</summary>
    public bool Enabled { get; init; }
}

/// <summary>The OpenAPI document and a page that reads it; all assets come from the package, none from elsewhere.</summary>
internal static class Docs
{
    //#if (auth == "jwt")
    private const string Bearer = "Bearer";

    //#endif
    public static void AddDocs(this WebApplicationBuilder builder) => builder.Services.AddOpenApi(api =>
    {
        api.AddDocumentTransformer((document, _, _) =>
        {
            document.Info = new OpenApiInfo { Title = "Storefront", Version = "v1" };
            document.Servers?.Clear(); // the address of one instance says nothing to others
            //#if (auth == "jwt")
            var bearer = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", BearerFormat = "JWT" };
            (document.Components ??= new()).SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme> { [Bearer] = bearer };
            //#endif
            return Task.CompletedTask;
        });
        //#if (auth == "jwt")
        api.AddOperationTransformer((operation, context, _) =>
        {
            if (!context.Description.ActionDescriptor.EndpointMetadata.OfType<IAllowAnonymous>().Any())
                operation.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(Bearer, context.Document)] = [] }];
            return Task.CompletedTask;
        });
        //#endif
        api.AddSchemaTransformer((schema, context, _) =>
        {
            if (context.JsonTypeInfo.Type == typeof(string))
                schema.Type ??= JsonSchemaType.String | (context.JsonPropertyInfo?.IsGetNullable is true ? JsonSchemaType.Null : 0); // lost where a converter of ours reads the type
            schema.AdditionalPropertiesAllowed |= context.JsonTypeInfo.Type == typeof(ProblemDetails); // traceId, errors
            return Task.CompletedTask;
        });
    });

    public static void MapDocs(this WebApplication app)
    {
        if (!app.Environment.IsDevelopment() && !app.Configuration.Read<DocsSettings>("Docs").Enabled)
            return;
        app.MapOpenApi().AllowAnonymous();
        app.MapScalarApiReference("/docs", (page, http) =>
        {
            var nonce = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
            page.WithTitle("Storefront").DisableDefaultFonts().DisableAgent().DisableTelemetry().AddPreferredSecuritySchemes(Bearer);
            page.ShowDeveloperTools = DeveloperToolsVisibility.Never; // like the client button, they lead to services of others
            page.HideClientButton = true;
            page.Nonce = nonce;
            var headers = http.Response.Headers;
            headers.ContentSecurityPolicy =
                $"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
                + "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
            headers["Cross-Origin-Opener-Policy"] = "same-origin";
            headers["Origin-Agent-Cluster"] = "?1";
            headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()";
        }).AllowAnonymous();
    }
}
