//#if (authenticates)
using System.Security.Claims;
//#endif
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Storefront.Repositories;
using Storefront.Services;

namespace Storefront.Controllers;

public sealed record InvoiceRequest([property: Length(1, 200)] string Name);

public sealed record InvoiceResponse(string Id, string Name)
{
    internal static InvoiceResponse From(Invoice one) => new(one.Id, one.Name);
}

//#if (authenticates)
public static partial class Scopes
{
    public const string InvoicesRead = "invoices:read";
    public const string InvoicesWrite = "invoices:write";
}

//#endif
public sealed class InvoiceController : IController
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/invoices").WithTags("Invoices");
        group.MapPost("/", CreateInvoice).RequireAuthorization(Scopes.InvoicesWrite).Operation(nameof(CreateInvoice), "Add to your (invoices)", 422).Costs(5);
        group.MapGet("/", ListInvoices).RequireAuthorization(Scopes.InvoicesRead).Operation(nameof(ListInvoices), "List your (invoices), newest first");
        group.MapGet("/{id}", GetInvoice).RequireAuthorization(Scopes.InvoicesRead).Operation(nameof(GetInvoice), "Read one of your (invoices)", 404);
        group.MapPut("/{id}", UpdateInvoice).RequireAuthorization(Scopes.InvoicesWrite).Operation(nameof(UpdateInvoice), "Change one of your (invoices)", 404, 412, 428);
        group.MapDelete("/{id}", DeleteInvoice).RequireAuthorization(Scopes.InvoicesWrite).Operation(nameof(DeleteInvoice), "Delete one of your (invoices)", 404, 412, 428);
    }

    private static async Task<Created<InvoiceResponse>> CreateInvoice(
        HttpContext http, [FromHeader(Name = "Idempotency-Key"), Pattern(Rules.IdempotencyKey)] string idempotencyKey,
        InvoiceRequest body, InvoiceService service, CancellationToken cancellation)
    {
        var made = await service.CreateAsync(http.User.Subject(), idempotencyKey, body.Name, cancellation);
        http.Response.Headers.ETag = EntityTag.Of(made.Version);
        return TypedResults.Created($"/v1/invoices/{made.Id}", InvoiceResponse.From(made));
    }

    private static async Task<Ok<Page<InvoiceResponse>>> ListInvoices(
        ClaimsPrincipal user, InvoiceService service, CancellationToken cancellation,
        [Range(1, 100)] int limit = 20, [StringLength(Cursor.MaxLength), Pattern(Rules.Cursor)] string? after = null) =>
        TypedResults.Ok(Page<InvoiceResponse>.From(await service.ListAsync(user.Subject(), Cursor.Decode(after), limit, cancellation), InvoiceResponse.From));

    private static async Task<Ok<InvoiceResponse>> GetInvoice(HttpContext http, Guid id, InvoiceService service, CancellationToken cancellation)
    {
        var found = await service.GetAsync(id.ToString(), http.User.Subject(), cancellation);
        http.Response.Headers.ETag = EntityTag.Of(found.Version);
        return TypedResults.Ok(InvoiceResponse.From(found));
    }

    private static async Task<Ok<InvoiceResponse>> UpdateInvoice(
        HttpContext http, Guid id, InvoiceRequest body, [FromHeader(Name = "If-Match"), StringLength(100)] string? ifMatch, InvoiceService service, CancellationToken cancellation)
    {
        var changed = await service.UpdateAsync(id.ToString(), http.User.Subject(), body.Name, EntityTag.Version(Seen(ifMatch)), cancellation);
        http.Response.Headers.ETag = EntityTag.Of(changed.Version);
        return TypedResults.Ok(InvoiceResponse.From(changed));
    }

    private static async Task<NoContent> DeleteInvoice(
        ClaimsPrincipal user, Guid id, [FromHeader(Name = "If-Match"), StringLength(100)] string? ifMatch, InvoiceService service, CancellationToken cancellation)
    {
        await service.DeleteAsync(id.ToString(), user.Subject(), EntityTag.Version(Seen(ifMatch)), cancellation);
        return TypedResults.NoContent();
    }

    private static string Seen(string? ifMatch) => ifMatch ?? throw new OperationalException(Failure.VersionMissing, "Send the ETag that you have read as If-Match.");
}
