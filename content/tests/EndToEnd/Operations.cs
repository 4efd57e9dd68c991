using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;

namespace EndToEnd;

/// <summary>The operations and jobs of this service, as the tests of what holds for all use them.</summary>
internal static class Operations
{
    /// <summary>What any caller with a token may read.</summary>
    public const string Path = "/v1/orders";

    /// <summary>The first of its migrations.</summary>
    public static readonly string[] Scripts = ["0001_products.sql", "0002_orders.sql", "0003_jobs.sql"];

    /// <summary>The first job that an order makes, and what it fails with where the provider does.</summary>
    public const string Job = "charge-payment";
    public const string Failure = "The payment provider answered 500.";

    /// <summary>What a trace has of a call and all that follows from it.</summary>
    public static readonly string[] Spans = ["POST /v1/orders/", Job, "POST", "send-receipt"];

    /// <summary>The names of the settings that name a provider.</summary>
    public static readonly string[] ProviderSettings = ["Payments__BaseUrl"];

    public static (string Key, string Value)[] Settings(Provider provider) => [("Payments__BaseUrl", provider.Address), ("Orders__CancelWindowSeconds", "0")];

    /// <summary>All that it does for a caller, up to the end of the jobs.</summary>
    public static async Task WorkAsync(this HttpClient http)
    {
        using (var found = await http.GetAsync("/v1/products/TEA-1"))
        {
            if (found.StatusCode == HttpStatusCode.NotFound)
                await http.PutProductAsync();
        }
        await http.SettledAsync(await http.PlaceOrderAsync(), "paid");
    }

    /// <summary>Makes a job that asks the provider.</summary>
    /// <returns>The key under which it asks.</returns>
    public static async Task<string> BeginAsync(this Site site, HttpClient http)
    {
        if (await site.ValueAsync<int>("SELECT count(*) FROM products WHERE sku = 'TEA-1'") == 0)
            await http.PutProductAsync();
        return await http.PlaceOrderAsync();
    }

    /// <returns>The keys of the jobs whose effect is in the database.</returns>
    public static Task<IReadOnlyList<string>> EffectsAsync(this Site site) => site.QueryAsync<string>("SELECT id FROM orders WHERE status = 'paid'");

    public static Task DoneAsync(this Site site, string key) => Eventually.TrueAsync(async () => (await site.EffectsAsync()).Contains(key));

    /// <summary>Waits until so many receipts are filed, one for each order that is paid, and no job waits in the database: without the first, one may still be in a queue.</summary>
    public static async Task QuietAsync(this Site site, int effects)
    {
        await Eventually.TrueAsync(async () => await site.ValueAsync<int>("SELECT count(*) FROM receipts") >= effects && await site.ValueAsync<int>("SELECT count(*) FROM outbox") == 0);
        (await site.QueryAsync<string>("SELECT order_id FROM receipts")).Should().BeEquivalentTo(await site.EffectsAsync());
    }

    /// <summary>The canary in every place that a request has. A caller may read the names of its own members again, and nobody else.</summary>
    public static IEnumerable<HttpRequestMessage> Requests(string canary)
    {
        var escaped = Uri.EscapeDataString(canary);
        foreach (var path in (string[])[$"/{escaped}", $"/v1/products/{escaped}", $"/v1/products/{escaped.ToUpperInvariant()}", $"/v1/orders/{escaped}", $"/v1/products?after={escaped}", $"/v1/products?limit={escaped}", $"/v1/products?q={escaped}&q={escaped}", $"/v1/products?{escaped}=1", $"/v1/orders?status={escaped}"])
            yield return new(HttpMethod.Get, path);
        foreach (var name in (string[])["Authorization", "Cookie", "Accept", "Idempotency-Key", "If-None-Match", "User-Agent", "Referer", "Origin", "X-Forwarded-For", "X-Api-Key", "traceparent", "baggage"])
            yield return With(new(HttpMethod.Get, "/v1/orders"), name, name == "baggage" ? $"user={escaped}" : canary);
        //#if (auth == "jwt")
        foreach (var scheme in (string[])["Bearer ", "Basic "])
            yield return With(new(HttpMethod.Get, "/v1/orders"), "Authorization", scheme + canary);
        //#endif
        foreach (var (name, amount, currency) in ((string, string, string)[])[($"\"{canary}\"", "1", "EUR"), ("1", "1", "EUR"), ($"\"{canary}\"", $"\"{canary}\"", "EUR"), ("\"Tea\"", "1", canary), ($"\"{canary}", "1", "EUR"), (canary, "1", "EUR")])
            yield return With(Put($$$"""{"name":{{{name}}},"price":{"amount":{{{amount}}},"currency":"{{{currency}}}"}}"""), "If-None-Match", "*");
        yield return With(Put("{}"), "If-Match", $"\"{canary}\"");
        yield return With(Put("{}", "text/" + escaped.Replace('%', 'x')), "If-None-Match", "*");
        yield return With(Post("""{"items":[{"sku":"TEA-1","quantity":1}]}"""), "Idempotency-Key", canary);
        yield return With(Post("""{"items":[{"sku":"TEA-1","quantity":2}]}"""), "Idempotency-Key", canary);
        yield return With(Post("""{"items":[{"sku":"TEA-1","quantity":2}]}"""), "Idempotency-Key", canary + " and more");
        yield return With(Post($$"""{"items":[{"sku":"{{canary.ToUpperInvariant()}}","quantity":1}]}"""), "Idempotency-Key", "1");
        var named = Post($$"""{"{{canary}}":1}""");
        named.Options.Set(new("echo"), true);
        yield return With(named, "Idempotency-Key", "1");

        static HttpRequestMessage With(HttpRequestMessage request, string name, string value)
        {
            request.Headers.TryAddWithoutValidation(name, value);
            return request;
        }

        static HttpRequestMessage Put(string body, string type = "application/json") => new(HttpMethod.Put, "/v1/products/" + Guid.NewGuid().ToString("N").ToUpperInvariant()) { Content = Body(body, type) };
        static HttpRequestMessage Post(string body) => new(HttpMethod.Post, "/v1/orders") { Content = Body(body, "application/json") };
        static StringContent Body(string body, string type) => new(body, new MediaTypeHeaderValue(type));
    }

    public static async Task PutProductAsync(this HttpClient http, string sku = "TEA-1", long amount = 1250)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/v1/products/{sku}")
        {
            Headers = { { "If-None-Match", "*" } },
            Content = JsonContent.Create(new { name = "Tea", price = new { amount, currency = "EUR" } }),
        };
        using var answer = await http.SendAsync(request);
        answer.StatusCode.Should().Be(HttpStatusCode.Created);
    }

    /// <returns>The id of the order.</returns>
    public static async Task<string> PlaceOrderAsync(this HttpClient http, string sku = "TEA-1")
    {
        using var answer = await http.TryOrderAsync(sku);
        answer.StatusCode.Should().Be(HttpStatusCode.Created);
        return await answer.OrderIdAsync();
    }

    /// <summary>Whatever the answer is.</summary>
    public static async Task<HttpResponseMessage> TryOrderAsync(this HttpClient http, string sku = "TEA-1")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/orders")
        {
            Headers = { { "Idempotency-Key", Guid.NewGuid().ToString() } },
            Content = JsonContent.Create(new { items = new[] { new { sku, quantity = 2 } } }),
        };
        return await http.SendAsync(request);
    }

    public static async Task<string> OrderIdAsync(this HttpResponseMessage answer) => (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("id").GetString()!;

    public static async Task<string> StatusAsync(this HttpClient http, string orderId) =>
        (await http.GetFromJsonAsync<JsonElement>($"/v1/orders/{orderId}")).GetProperty("status").GetString()!;

    public static Task SettledAsync(this HttpClient http, string orderId, string status) =>
        Eventually.TrueAsync(async () => await http.StatusAsync(orderId) == status);

    public static Task<HttpResponseMessage> PutAsync(this HttpClient http, string sku, string name, string? ifMatch = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Put, $"/v1/products/{sku}") { Content = JsonContent.Create(new { name, price = new { amount = 1250, currency = "EUR" } }) };
        request.Headers.Add(ifMatch is null ? "If-None-Match" : "If-Match", ifMatch ?? "*");
        return http.SendAsync(request);
    }
}
