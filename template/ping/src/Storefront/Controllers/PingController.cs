using Microsoft.AspNetCore.Http.HttpResults;
using Storefront.Services;

namespace Storefront.Controllers;

public sealed record PingResponse(DateTimeOffset DatabaseTime);

//#if (auth == "jwt")
public static partial class Scopes
{
    public const string PingRead = "ping:read";
}

//#endif
public sealed class PingController : IController
{
    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("/ping", GetPing).WithTags("Ping").RequireAuthorization(Scopes.PingRead).Operation(nameof(GetPing), "Ask the database for its clock");

    private static async Task<Ok<PingResponse>> GetPing(PingService pings, CancellationToken cancellation) =>
        TypedResults.Ok(new PingResponse(await pings.AskAsync(cancellation)));
}
