using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Storefront.Repositories;

namespace Integration;

/// <summary>The calls that many tests make, and what every answer must have.</summary>
internal static class Api
{
    public const string Coffee = """{"items":[{"sku":"COFFEE-1KG","quantity":2}]}""";
    public const string Product = """{"name":"Mug","price":{"amount":100,"currency":"EUR"}}""";

    public const string ContentSecurityPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

    public static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

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

    public static async Task<JsonObject> JsonAsync(this HttpResponseMessage answer) => (await answer.Content.ReadFromJsonAsync<JsonObject>())!;

    public static async Task<string> StatusAsync(this HttpClient client, JsonNode order) =>
        (string)(await client.GetFromJsonAsync<JsonObject>($"/v1/orders/{order["id"]}"))!["status"]!;

    public static Task BecomesAsync(this HttpClient client, JsonNode order, string status) =>
        Testing.EventuallyAsync(async () => await client.StatusAsync(order) == status, $"the order is {status}");

    /// <summary>A problem of the one shape that all errors have.</summary>
    public static async Task<JsonObject> ShouldBeProblemAsync(this HttpResponseMessage answer, int status)
    {
        var text = await answer.Content.ReadAsStringAsync();
        ((int)answer.StatusCode).Should().Be(status, text);
        answer.Content.Headers.ContentType!.ToString().Should().Be("application/problem+json");
        answer.ShouldHaveTheHeaderSet("no-store");
        var problem = JsonNode.Parse(text)!.AsObject();
        ((int)problem["status"]!).Should().Be(status);
        ((string)problem["title"]!).Should().NotBeEmpty();
        ((string)problem["traceId"]!).Should().MatchRegex("^[0-9a-f]{32}$");
        return problem;
    }

    public static async Task ShouldNameAsync(this HttpResponseMessage answer, string path) =>
        (await answer.ShouldBeProblemAsync(400))["errors"]!.AsObject().Select(error => error.Key).Should().Contain(path);

    public static void ShouldHaveTheHeaderSet(this HttpResponseMessage answer, string cacheControl)
    {
        var headers = answer.Headers.Concat(answer.Content.Headers).ToDictionary(header => header.Key, header => string.Join(", ", header.Value));
        foreach (var other in (string[])["Date", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Allow", "WWW-Authenticate", "Retry-After", "ETag", "Location", "RateLimit", "RateLimit-Policy"])
        {
            headers.Remove(other);
        }
        headers.Should().Equal(new Dictionary<string, string>
        {
            ["Cache-Control"] = cacheControl,
            ["Content-Security-Policy"] = ContentSecurityPolicy,
            ["Cross-Origin-Resource-Policy"] = "same-origin",
            ["Referrer-Policy"] = "no-referrer",
            ["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains",
            ["X-Content-Type-Options"] = "nosniff",
            ["X-Frame-Options"] = "DENY",
            ["X-Permitted-Cross-Domain-Policies"] = "none",
        });
    }

    /// <summary>Calls the hook before each query for a product, below the cache.</summary>
    public static void HookProducts(this IServiceCollection services, Func<CancellationToken, Task> onQuery)
    {
        var below = services.Single(service => service.IsKeyedService && service.ServiceType == typeof(IProductRepository));
        services.Remove(below);
        services.AddKeyedSingleton<IProductRepository>(below.ServiceKey, (provider, _) =>
            new HookedProducts((IProductRepository)ActivatorUtilities.CreateInstance(provider, below.KeyedImplementationType!), onQuery));
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
