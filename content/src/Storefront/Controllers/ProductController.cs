using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Storefront.Repositories;
using Storefront.Services;

namespace Storefront.Controllers;

public sealed record ProductResponse(string Sku, string Name, MoneyBody Price)
{
    internal static ProductResponse From(Product product) => new(product.Sku, product.Name, new MoneyBody(product.Amount, product.Currency));
}

public sealed record ProductRequest([property: Length(1, 200)] string Name, MoneyBody Price);

public sealed class ProductController : IController
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var products = routes.MapGroup("/products").WithTags("Products");
        products.MapGet("/", ListProducts).AllowAnonymous().Operation(nameof(ListProducts), "List products").Produces(StatusCodes.Status304NotModified);
        products.MapGet("/{sku}", GetProduct).AllowAnonymous().Operation(nameof(GetProduct), "Read a product", 404).Produces(StatusCodes.Status304NotModified);
        products.MapPut("/{sku}", PutProduct).RequireAuthorization(Scopes.ProductsWrite).Operation(nameof(PutProduct), "Create or replace a product", 412, 428);
    }

    private static async Task<Results<Ok<Page<ProductResponse>>, StatusCodeHttpResult>> ListProducts(
        HttpContext http, ProductService products, CancellationToken cancellation,
        [Range(1, 100)] int limit = 20, [StringLength(Cursor.MaxLength), Pattern(Rules.Cursor)] string? after = null)
    {
        var found = await products.ListAsync(Cursor.Decode(after), limit, cancellation);
        return IsCurrent(http, EntityTag.Of(found.Items.Select(product => $"{product.Sku} {product.Version}").Append(found.Next ?? ""))) ? NotModified : TypedResults.Ok(Page<ProductResponse>.From(found, ProductResponse.From));
    }

    private static async Task<Results<Ok<ProductResponse>, StatusCodeHttpResult>> GetProduct(
        HttpContext http, [Pattern(Rules.Sku)] string sku, ProductService products, CancellationToken cancellation)
    {
        var product = await products.GetAsync(sku, cancellation);
        return IsCurrent(http, EntityTag.Of(product.Version)) ? NotModified : TypedResults.Ok(ProductResponse.From(product));
    }

    /// <summary>Creates with `If-None-Match: *`; replaces with `If-Match` and the ETag that the caller has read.</summary>
    private static async Task<Results<Ok<ProductResponse>, Created<ProductResponse>>> PutProduct(
        HttpContext http, [Pattern(Rules.Sku)] string sku, ProductRequest body,
        [FromHeader(Name = "If-Match"), StringLength(100)] string? ifMatch,
        [FromHeader(Name = "If-None-Match"), Pattern(@"^\*$")] string? ifNoneMatch,
        ProductService products, CancellationToken cancellation)
    {
        var price = new Money(body.Price.Amount, body.Price.Currency);
        var product = (ifMatch, ifNoneMatch) switch
        {
            (not null, null) => await products.ReplaceAsync(sku, body.Name, price, EntityTag.Version(ifMatch), cancellation),
            (null, not null) => await products.CreateAsync(sku, body.Name, price, cancellation),
            _ => throw new OperationalException(Failure.VersionMissing, "Send the ETag you have read as If-Match, or If-None-Match: * to create."),
        };
        http.Response.Headers.ETag = EntityTag.Of(product.Version);
        var answer = ProductResponse.From(product);
        return ifMatch is null ? TypedResults.Created($"/v1/products/{sku}", answer) : TypedResults.Ok(answer);
    }

    private static readonly StatusCodeHttpResult NotModified = TypedResults.StatusCode(StatusCodes.Status304NotModified);

    /// <summary>Lets caches keep the answer if they ask each time whether it is still right.</summary>
    private static bool IsCurrent(HttpContext http, string tag)
    {
        http.Response.Headers.ETag = tag;
        http.Response.Headers.CacheControl = "no-cache";
        return EntityTag.IsAmong(tag, http.Request.Headers.IfNoneMatch);
    }
}
