using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
//#if (auth == "jwt")
using Microsoft.AspNetCore.Authorization;
//#endif
using Microsoft.Extensions.DependencyInjection;
using Storefront.Repositories;
using Storefront.Utilities;

namespace Integration;

/// <summary>The operations of this service: what the tests of all operations call, and how.</summary>
internal static partial class Api
{
    /// <summary>What a caller with the scope may read.</summary>
    public const string Path = "/v1/orders";
    //#if (auth == "jwt")
    public const string Scope = "orders:read";
    //#endif

    public const string Coffee = """{"items":[{"sku":"COFFEE-1KG","quantity":2}]}""";
    public const string Product = """{"name":"Mug","price":{"amount":100,"currency":"EUR"}}""";

    /// <summary>Orders stay pending.</summary>
    public static readonly (string Key, string Value)[] Patient = [("Orders:CancelWindowSeconds", "3600")];

    /// <summary>What it needs in Production besides what any service does.</summary>
    public static readonly (string Key, string Value)[] Production = [("Payments:BaseUrl", "https://payments.test")];

    /// <summary>What is open to everybody.</summary>
    public static readonly string[] Open = ["/v1/products/", "/v1/products/{sku}"];

    public static readonly string[] Engines = ["database", "cache", "jobs", "payments"];

    /// <summary>How to get the answers that only some operations give.</summary>
    public static readonly Dictionary<int, Func<HttpClient, Task<HttpResponseMessage>>> Answers = new()
    {
        [201] = client => client.SendAsync(Order()),
        [304] = client => client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/v1/products") { Headers = { { "If-None-Match", "*" } } }),
        [400] = client => client.SendAsync(Order("{}")),
        [409] = CancelTwiceAsync,
        [412] = client => client.SendAsync(Put("COFFEE-1KG", ifMatch: "\"99\"")),
        [413] = client =>
        {
            var order = Order(new string(' ', 65 * 1024));
            order.Headers.ExpectContinue = true; // else the service closes the connection while the client still sends
            return client.SendAsync(order);
        },
        [415] = client =>
        {
            var order = Order();
            order.Content!.Headers.ContentType = new("text/plain");
            return client.SendAsync(order);
        },
        [422] = client => client.SendAsync(Order("""{"items":[{"sku":"NONE","quantity":1}]}""")),
        [428] = client => client.SendAsync(Put("COFFEE-1KG")),
    };

    /// <summary>What is read by way of <see cref="HookReads"/>.</summary>
    public static TheoryData<string> Hooked => ["/v1/products", "/v1/products/COFFEE-1KG"];

    /// <summary>Requests whose answer says what is left of a hundred.</summary>
    public static TheoryData<string, string, int, int> Costs => new()
    {
        { "GET", "/v1/orders", 200, 99 },
        { "GET", "/v1/products/NONE", 404, 99 },
        { "GET", "/v1/products?limit=0", 400, 99 },
        { "POST", "/v1/orders", 201, 95 },
    };

    /// <summary>A request that costs as much as five others.</summary>
    public static HttpRequestMessage Costly() => Order();

    /// <summary>A path with values in the place of its parameters.</summary>
    public static string Fill(string path, string? id = null) =>
        path.Replace("{id}", id ?? Guid.NewGuid().ToString(), StringComparison.Ordinal).Replace("{sku}", "COFFEE-1KG", StringComparison.Ordinal);

    /// <summary>A path of ours with what a caller makes up.</summary>
    public static string Invented(string name, int number) => $"/v1/products/{name.ToUpperInvariant()}{number}?q={number}";

    public static IServiceCollection AddTestEndpoints(this IServiceCollection services) => services
        .AddTestEndpoint("/test/throws", _ => throw new InvalidOperationException("SELECT secret FROM vault"), new AllowAnonymousAttribute())
        .AddTestEndpoint("/test/missing", _ => throw new OperationalException(Failure.NotFound, "There is none."), new AllowAnonymousAttribute())
        .AddTestEndpoint("/test/unavailable", _ => throw new OperationalException(Failure.Unavailable, "Host=secret"), new AllowAnonymousAttribute());

    /// <summary>Makes a job, and returns when it is done.</summary>
    public static async Task WorkAsync(TestHost host)
    {
        var client = host.Client(Testing.NewName());
        await client.BecomesAsync(await client.PlaceAsync(), "paid");
    }

    /// <summary>Values that a document cannot tell.</summary>
    public static async Task<Dictionary<string, string[]>> ExamplesAsync(HttpClient client)
    {
        for (var order = 0; order < 10; order++)
        {
            await client.PlaceAsync();
        }
        var orders = (await client.GetFromJsonAsync<JsonObject>("/v1/orders?limit=9"))!;
        var products = (await client.GetFromJsonAsync<JsonObject>("/v1/products?limit=1"))!;
        return new()
        {
            ["id"] = [.. orders["items"]!.AsArray().Select(order => (string)order!["id"]!)],
            ["sku"] = [(string)products["items"]![0]!["sku"]!, "COFFEE-1KG"],
            ["after"] = [(string)products["next"]!, (string)orders["next"]!],
            ["If-Match"] = ["\"1\"", "\"2\"", "\"3\"", "W/\"1\"", "*"],
        };
    }

    public static HttpRequestMessage Order(string body = Coffee, string? key = null) =>
        new(HttpMethod.Post, "/v1/orders") { Content = Json(body), Headers = { { "Idempotency-Key", key ?? Testing.NewName() } } };

    public static HttpRequestMessage Put(string sku, string body = Product, string? ifMatch = null, bool create = false)
    {
        var request = new HttpRequestMessage(HttpMethod.Put, $"/v1/products/{sku}") { Content = Json(body) };
        if (ifMatch is not null)
        {
            request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        }
        if (create)
        {
            request.Headers.IfNoneMatch.Add(EntityTagHeaderValue.Any);
        }
        return request;
    }

    public static async Task<JsonObject> PlaceAsync(this HttpClient client, string body = Coffee, string? key = null)
    {
        using var answer = await client.SendAsync(Order(body, key));
        answer.StatusCode.Should().Be(HttpStatusCode.Created);
        return await answer.JsonAsync();
    }

    public static async Task<string> CreateProductAsync(this TestHost host, string body = Product)
    {
        var sku = Testing.NewName().ToUpperInvariant();
        using var answer = await host.Client("admin").SendAsync(Put(sku, body, create: true));
        answer.StatusCode.Should().Be(HttpStatusCode.Created);
        return sku;
    }

    public static async Task<string> StatusAsync(this HttpClient client, JsonNode order) =>
        (string)(await client.GetFromJsonAsync<JsonObject>($"/v1/orders/{order["id"]}"))!["status"]!;

    public static Task BecomesAsync(this HttpClient client, JsonNode order, string status) =>
        Testing.EventuallyAsync(async () => await client.StatusAsync(order) == status, $"the order is {status}");

    /// <summary>Calls the hook before each query for a product, below the cache.</summary>
    public static void HookReads(this IServiceCollection services, Func<CancellationToken, Task> onQuery)
    {
        var below = services.Single(service => service.IsKeyedService && service.ServiceType == typeof(IProductRepository));
        services.Remove(below);
        services.AddKeyedSingleton<IProductRepository>(below.ServiceKey, (provider, _) =>
            new HookedProducts((IProductRepository)ActivatorUtilities.CreateInstance(provider, below.KeyedImplementationType!), onQuery));
    }

    private static async Task<HttpResponseMessage> CancelTwiceAsync(HttpClient client)
    {
        var order = await client.PlaceAsync();
        (await client.PostAsync($"/v1/orders/{order["id"]}/cancel", null)).Dispose();
        return await client.PostAsync($"/v1/orders/{order["id"]}/cancel", null);
    }

    private sealed class HookedProducts(IProductRepository inner, Func<CancellationToken, Task> onQuery) : IProductRepository
    {
        public async Task<Product?> FindAsync(string sku, CancellationToken cancellation)
        {
            await onQuery(cancellation);
            return await inner.FindAsync(sku, cancellation);
        }

        public async Task<IReadOnlyList<Product>> ListAsync(string? after, int limit, CancellationToken cancellation)
        {
            await onQuery(cancellation);
            return await inner.ListAsync(after, limit, cancellation);
        }

        public Task<IReadOnlyList<Product>> FindAllAsync(Session session, string[] skus) => inner.FindAllAsync(session, skus);

        public Task<bool> AddAsync(Product product, CancellationToken cancellation) => inner.AddAsync(product, cancellation);

        public Task<bool> UpdateAsync(Product product, CancellationToken cancellation) => inner.UpdateAsync(product, cancellation);
    }
}
