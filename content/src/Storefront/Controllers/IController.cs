using System.Reflection;
//#if (auth == "jwt")
using System.Security.Claims;
//#endif

namespace Storefront.Controllers;

/// <summary>A file in this folder that maps its own routes: found by this interface, with no list to keep.</summary>
public interface IController
{
    static abstract void Map(IEndpointRouteBuilder routes);
}

/// <param name="Requests">How many of the caller's share one call takes.</param>
public sealed record RequestCost(int Requests);

public static class ControllerExtensions
{
    /// <summary>Maps all controllers under /v1.</summary>
    public static RouteGroupBuilder MapApi(this IEndpointRouteBuilder app)
    {
        var group = app.MapGroup("/v1");
        var map = typeof(ControllerExtensions).GetMethod(nameof(Map), BindingFlags.NonPublic | BindingFlags.Static)!;
        foreach (var controller in typeof(IController).Assembly.GetTypes().Where(type => type is { IsInterface: false } && type.IsAssignableTo(typeof(IController))))
            map.MakeGenericMethod(controller).Invoke(null, [group]);
        return group;
    }

    /// <summary>Names the operation after its method and says which errors it answers besides those of every operation.</summary>
    internal static RouteHandlerBuilder Operation(this RouteHandlerBuilder route, string id, string summary, params int[] problems)
    {
        foreach (var status in problems)
            route.ProducesProblem(status);
        return route.WithName(id).WithSummary(summary);
    }

    /// <summary>For what costs the service more than a read: it takes as much of the caller's share (Limits) as so many requests.</summary>
    internal static RouteHandlerBuilder Costs(this RouteHandlerBuilder route, int requests) => route.WithMetadata(new RequestCost(requests));

    //#if (auth == "jwt")
    /// <summary>The caller, whose objects these are: `sub`, without which no token is accepted.</summary>
    internal static string Subject(this ClaimsPrincipal user) => user.FindFirstValue("sub")!;

    //#endif
    private static void Map<T>(IEndpointRouteBuilder routes)
        where T : IController => T.Map(routes);
}
