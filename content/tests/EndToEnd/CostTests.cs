using System.Net.Http.Json;

namespace EndToEnd;

/// <summary>What a call may cost. Bytes and statements do not depend on the machine, as times do: who goes beyond a bound has made the call dearer.</summary>
public sealed class CostTests
{
    private const int Calls = 500;

    /// <summary>Kilobytes that a Debug build allocates by itself and with servers, and an eighth more; statements.</summary>
    public static TheoryData<string, int, int, int> Bounds() => new()
    {
        { "a probe", 6, 6, 0 },
        { "a product in the cache", 7, 14, 0 },
        { "an order by its key", 16, 23, 1 },
        { "a list of orders", 19, 27, 1 },
        { "an order is placed", 42, 52, 5 }, // the products, the order, its two lines, the job
    };

    [Theory]
    [MemberData(nameof(Bounds))]
    public async Task A_call_takes_no_more_memory_and_no_more_statements_than_it_did(string call, int alone, int withServers, int statements)
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("Process__Roles=api", "Limits__RequestsPerSecond=1000000", "Limits__Burst=1000000", "Orders__CancelWindowSeconds=3600", "Logging__LogLevel__Npgsql.Command=Information");
        using var http = site.Client(service);
        foreach (var sku in (string[])["TEA-1", "TEA-2"])
            await http.PutProductAsync(sku);
        var order = await http.PlaceOrderAsync();
        await RunAsync();
        var before = await http.MetricAsync("dotnet_gc_heap_total_allocated_bytes_total");

        await RunAsync();
        var bytes = (await http.MetricAsync("dotnet_gc_heap_total_allocated_bytes_total") - before) / Calls;
        var (measured, after) = (Guid.NewGuid().ToString("N"), Guid.NewGuid().ToString("N"));
        Trace(measured);
        await CallAsync();
        Trace(after);
        (await http.GetAsync("/v1/products/TEA-1")).EnsureSuccessStatusCode();
        await service.LineAsync(line => line.Is("Request") && line.Text("traceId") == after); // then all lines of the call before it are here

        (bytes / 1024).Should().BeLessThan(TestDatabase.IsServer ? withServers : alone);
        if (TestDatabase.IsServer) // which says what it is asked
            service.Log.Where(line => line.Text("category") == "Npgsql.Command" && line.Text("traceId") == measured).Should().HaveCount(statements);

        void Trace(string id)
        {
            http.DefaultRequestHeaders.Remove("traceparent");
            http.DefaultRequestHeaders.Add("traceparent", $"00-{id}-00f067aa0ba902b7-01");
        }

        async Task RunAsync()
        {
            for (var time = 0; time < Calls; time++)
                await CallAsync();
        }

        async Task CallAsync()
        {
            using var request = call switch
            {
                "a probe" => new(HttpMethod.Get, "/health/live"),
                "a product in the cache" => new(HttpMethod.Get, "/v1/products/TEA-1"),
                "an order by its key" => new(HttpMethod.Get, $"/v1/orders/{order}"),
                "a list of orders" => new(HttpMethod.Get, "/v1/orders?limit=1"),
                _ => new HttpRequestMessage(HttpMethod.Post, "/v1/orders")
                {
                    Headers = { { "Idempotency-Key", Guid.NewGuid().ToString() } },
                    Content = JsonContent.Create(new { items = new[] { new { sku = "TEA-1", quantity = 1 }, new { sku = "TEA-2", quantity = 1 } } }),
                },
            };
            using var answer = await http.SendAsync(request);
            answer.EnsureSuccessStatusCode();
        }
    }
}
