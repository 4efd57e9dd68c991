using System.ComponentModel.DataAnnotations;
//#if (auth == "jwt")
using Microsoft.AspNetCore.Authorization;
//#endif
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Storefront.Controllers;
using Storefront.Repositories;
using Storefront.Utilities;

namespace Integration;

public sealed record Part(string Code, int Count);

public sealed record Thing(string Name, IReadOnlyList<Part> Parts);

/// <summary>The operations of this service: what the tests of all operations call, and how.</summary>
internal static partial class Api
{
    /// <summary>What a caller with the scope may read.</summary>
    public const string Path = "/v1/ping";
    //#if (auth == "jwt")
    public const string Scope = "ping:read";
    //#endif

    /// <summary>As no operation takes a body yet, one that only tests have.</summary>
    public const string Things = "/v1/test/things";
    public const string Thing = """{"name":"a","parts":[{"code":"A","count":1}]}""";

    /// <summary>What it needs in Production besides what any service does.</summary>
    public static readonly (string Key, string Value)[] Production = [];

    public static readonly (string Key, string Value)[] Patient = [];

    /// <summary>What is open to everybody.</summary>
    public static readonly string[] Open = [];

    //#if (jobs != "none")
    public static readonly string[] Engines = ["database", "cache", "jobs"];
    //#endif
    //#if (jobs == "none")
    public static readonly string[] Engines = ["database", "cache"];
    //#endif

    /// <summary>How to get the answers that only some operations give.</summary>
    public static readonly Dictionary<int, Func<HttpClient, Task<HttpResponseMessage>>> Answers = new()
    {
        [400] = client => client.SendAsync(Post("{}")),
        [413] = client =>
        {
            var thing = Post(new string(' ', 65 * 1024));
            thing.Headers.ExpectContinue = true; // else the service closes the connection while the client still sends
            return client.SendAsync(thing);
        },
        [415] = client =>
        {
            var thing = Post();
            thing.Content!.Headers.ContentType = new("text/plain");
            return client.SendAsync(thing);
        },
    };

    /// <summary>What is read by way of <see cref="HookReads"/>.</summary>
    public static TheoryData<string> Hooked => [Path];

    /// <summary>Requests whose answer says what is left of a hundred.</summary>
    public static TheoryData<string, string, int, int> Costs => new()
    {
        { "GET", Path, 200, 99 },
        { "GET", "/v1/nowhere", 404, 99 },
        { "GET", Path + "?a=%00", 400, 99 },
        { "POST", Things, 200, 95 },
    };

    /// <summary>A request that costs as much as five others.</summary>
    public static HttpRequestMessage Costly() => Post();

    public static HttpRequestMessage Post(string body = Thing, string query = "") => new(HttpMethod.Post, Things + query) { Content = Json(body) };

    /// <summary>A path with values in the place of its parameters.</summary>
    public static string Fill(string path, string? id = null) => path.Replace("{id}", id ?? Guid.NewGuid().ToString(), StringComparison.Ordinal);

    /// <summary>A path of ours with what a caller makes up.</summary>
    public static string Invented(string name, int number) => $"{Path}?{name}={number}";

    public static IServiceCollection AddTestEndpoints(this IServiceCollection services) => services
        .AddTestEndpoint("/test/throws", _ => throw new InvalidOperationException("SELECT secret FROM vault"), new AllowAnonymousAttribute())
        .AddTestEndpoint("/test/missing", _ => throw new OperationalException(Failure.NotFound, "There is none."), new AllowAnonymousAttribute())
        .AddTestEndpoint("/test/unavailable", _ => throw new OperationalException(Failure.Unavailable, "Host=secret"), new AllowAnonymousAttribute())
        .AddSingleton(provider =>
        {
            var routes = new Routes(provider);
            routes.MapPost(Things, (Thing body, [Range(1, 100)] int limit = 20) => TypedResults.Ok(body)).AllowAnonymous().WithMetadata(new RequestCost(5));
            return (RouteEndpoint)routes.DataSources.Single().Endpoints.Single();
        });

    //#if (jobs != "none")
    /// <summary>Makes a job, and returns when it is done with.</summary>
    public static async Task WorkAsync(TestHost host)
    {
        var id = Testing.NewName();
        await host.Database.ExecuteAsync("INSERT INTO outbox (id, type, body, available_at, created_at) VALUES (@id, 'unheard-of', @body, 0, 0)", new { id, body = "{}"u8.ToArray() });
        await Testing.EventuallyAsync(async () => await host.Database.CountAsync("outbox", "id = @id AND state = 1", new { id }) == 1, "nobody can do the job");
    }

    //#endif
    /// <summary>Values that a document cannot tell.</summary>
    public static Task<Dictionary<string, string[]>> ExamplesAsync(HttpClient client) =>
        Task.FromResult(new Dictionary<string, string[]> { ["If-Match"] = ["\"1\"", "\"2\"", "\"3\"", "W/\"1\"", "*"] });

    /// <summary>Calls the hook before each query.</summary>
    public static void HookReads(this IServiceCollection services, Func<CancellationToken, Task> onQuery)
    {
        var below = services.Single(service => service.ServiceType == typeof(IPingRepository));
        services.Remove(below);
        services.AddSingleton<IPingRepository>(provider => new HookedPings((IPingRepository)ActivatorUtilities.CreateInstance(provider, below.ImplementationType!), onQuery));
    }

    private sealed class HookedPings(IPingRepository inner, Func<CancellationToken, Task> onQuery) : IPingRepository
    {
        public async Task<DateTimeOffset> ClockAsync(CancellationToken cancellation)
        {
            await onQuery(cancellation);
            return await inner.ClockAsync(cancellation);
        }
    }

    private sealed class Routes(IServiceProvider services) : IEndpointRouteBuilder
    {
        public IServiceProvider ServiceProvider => services;

        public ICollection<EndpointDataSource> DataSources { get; } = [];

        public IApplicationBuilder CreateApplicationBuilder() => new ApplicationBuilder(services);
    }
}
