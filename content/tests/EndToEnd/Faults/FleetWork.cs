using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace EndToEnd.Faults;

/// <summary>What the processes of a fleet have to do: orders.</summary>
internal sealed partial class Fleet
{
    /// <summary>How many jobs follow from one order.</summary>
    public const int JobsEach = 2;

    /// <summary>The body of a job as it is placed, of no order that there is.</summary>
    public const string Body = """{"orderId":"none"}""";

    /// <summary>The setting with which what is placed waits.</summary>
    public static readonly string[] Later = ["Orders__CancelWindowSeconds=3600"];

    /// <summary>A provider that the test holds is not given up meanwhile.</summary>
    private static readonly string[] Patient = ["Payments__TimeoutSeconds=120", "Payments__TryTimeoutSeconds=60"];

    /// <summary>Those that <see cref="Caller"/> was told are placed.</summary>
    private readonly ConcurrentBag<string> _accepted = [];

    /// <summary>With one product to order.</summary>
    public async Task MigrateAsync()
    {
        (await RunAsync("migrate")).ExitCode.Should().Be(0);
        Execute("INSERT INTO products (sku, name, amount, currency, version) VALUES ('TEA-1', 'Tea', 1250, 'EUR', 1)");
    }

    public async Task<IReadOnlyList<string>> PlaceAsync(ServiceProcess api, int count)
    {
        using var http = Site.Client(api);
        var orders = new List<string>();
        while (orders.Count < count)
            orders.AddRange(await Task.WhenAll(Enumerable.Range(0, Math.Min(8, count - orders.Count)).Select(_ => http.PlaceOrderAsync())));
        return orders;
    }

    /// <summary>What is placed here waits, as the process has the setting for it.</summary>
    public Task<IReadOnlyList<string>> PlaceLaterAsync(ServiceProcess api, int count) => PlaceAsync(api, count);

    /// <returns>The orders that are through.</returns>
    public IReadOnlyList<string> Done() => Query<string>("SELECT order_id FROM receipts");

    /// <summary>Waits until every order is paid and has its receipt, and nothing waits anywhere: then each must have happened once.</summary>
    /// <param name="orders">All there must be; null where an answer was lost, so that only the database knows.</param>
    public async Task SettledOnceAsync(IEnumerable<string>? orders)
    {
        await Eventually.TrueAsync(() => Value<long>(
            "SELECT (SELECT count(*) FROM orders WHERE status <> 'paid') + (SELECT count(*) FROM orders) - (SELECT count(*) FROM receipts) + (SELECT count(*) FROM outbox)") <= 0);
        //#if (jobs == "rabbitmq")
        if (_rabbit is not null)
            await Eventually.TrueAsync(async () => await MessagesAsync() == 0); // also those that come twice
        //#endif
        var all = Query<string>("SELECT id FROM orders WHERE status = 'paid'");
        if (orders is not null)
            all.Should().BeEquivalentTo(orders);
        Query<string>("SELECT order_id FROM receipts").Should().BeEquivalentTo(all, "a charge that counts twice has two receipts");
        Value<long>("SELECT count(*) FROM inbox").Should().Be(2 * all.Count);
        Value<long>("SELECT count(*) FROM outbox").Should().Be(0);
        Site.Provider.Calls.Select(charge => charge.Key).Distinct().Should().BeEquivalentTo(all);
    }

    /// <summary>Waits for the same of what <see cref="Caller"/> placed.</summary>
    public Task SettledOnceAsync() => SettledOnceAsync(_accepted);

    /// <summary>What a caller does without a pause: one order, which is a job, too; a fourth that ask for its answer once more; the rest is refused at once, so that many are on their way.</summary>
    /// <returns>What went wrong, or null.</returns>
    public Func<int, Task<string?>> Caller(HttpClient http)
    {
        var (key, order) = ("", "");
        return async number =>
        {
            var (isNew, isAgain) = (number % 20 == 0, number % 4 == 1);
            key = isNew ? Guid.NewGuid().ToString() : key;
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/orders")
            {
                Headers = { { "Idempotency-Key", key } },
                Content = JsonContent.Create(new { items = new[] { new { sku = "TEA-1", quantity = isNew || isAgain ? 2 : 0 } } }),
            };
            using var answer = await http.SendAsync(request, CancellationToken.None); // what was begun is finished
            var text = await answer.Content.ReadAsStringAsync(CancellationToken.None);
            if (isNew && answer.StatusCode == HttpStatusCode.Created)
                _accepted.Add(order = JsonElement.Parse(text).Text("id")!);
            var isRight = isNew || isAgain ? answer.StatusCode == HttpStatusCode.Created && text.Contains(order, StringComparison.Ordinal) : text.Contains("items[0].quantity", StringComparison.Ordinal);
            return isRight ? null : $"{(int)answer.StatusCode} {text}";
        };
    }
}

internal static class Reads
{
    /// <summary>No read gets its answer until what is returned ends.</summary>
    public static Task<IAsyncDisposable> LockReadsAsync(this Site site) => site.LockAsync("orders");
}
