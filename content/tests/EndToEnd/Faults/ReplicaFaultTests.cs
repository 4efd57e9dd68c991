using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;
using Dapper;
using Npgsql;

namespace EndToEnd.Faults;

/// <summary>A primary and a standby that streams from it, under one connection string.</summary>
[Trait("Readiness", "48")]
public sealed class ReplicaFaultTests : IAsyncLifetime
{
    private Site _site = null!;
    private PostgresServer _primary = null!;
    private PostgresServer _standby = null!;
    private ServiceProcess _service = null!;
    private HttpClient _http = null!;

    /// <summary>The standby has what is in these: one product, and one order that is paid.</summary>
    private string _paid = null!;

    private string Both => $"ConnectionStrings__Database=Host=127.0.0.1:{_standby.Port},127.0.0.1:{_primary.Port};Username=app;Database=postgres";

    public async ValueTask InitializeAsync()
    {
        _site = await Site.CreateAsync(schema: false);
        _primary = new PostgresServer();
        await _primary.StartAsync();
        _standby = await _primary.StandbyAsync();
        // Who is told that an order is placed is told so once the standby has it.
        await PostgresDatabases.ExecuteAsync(_primary.ConnectionString, "ALTER SYSTEM SET synchronous_standby_names = '*'");
        await PostgresDatabases.ExecuteAsync(_primary.ConnectionString, "SELECT pg_reload_conf()");
        (await _site.RunAsync(["migrate"], Both)).ExitCode.Should().Be(0);
        _service = await _site.ServeAsync(Both, "ConnectionStrings__RabbitMq", "Orders__CancelWindowSeconds=1", "Jobs__TimeoutSeconds=1", "Limits__RequestsPerSecond=100000", "Limits__Burst=100000");
        _http = _site.Client(_service);
        await _http.PutProductAsync("TEA-1");
        await _http.PutProductAsync("TEA-2");
        _paid = await _http.PlaceOrderAsync();
        await _http.SettledAsync(_paid, "paid");
        await ReplayedAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _service.DisposeAsync();
        await _standby.DisposeAsync();
        await _primary.DisposeAsync();
        await _site.DisposeAsync();
    }

    [Fact]
    public async Task What_may_be_old_comes_from_the_standby_and_ones_own_writes_from_the_primary()
    {
        await PauseAsync();
        await PostgresDatabases.ExecuteAsync(_primary.ConnectionString, "UPDATE products SET name = 'New'; UPDATE orders SET amount = 1");

        (await NamesAsync()).Should().OnlyContain(name => name == "Tea", "lists come from the standby");
        (await TotalAsync($"/v1/orders/{_paid}")).Should().Be(2500, "an order that is paid comes from the standby");
        (await _http.GetFromJsonAsync<JsonElement>("/v1/products/TEA-2")).Text("name").Should().Be("New", "the cache keeps what the primary has");
        (await _http.GetFromJsonAsync<JsonElement>("/v1/orders")).GetProperty("items")[0].GetProperty("total").Text("amount").Should().Be("1", "one's own orders come from the primary");
        for (var number = 0; number < 50; number++)
        {
            var order = await _http.PlaceOrderAsync("TEA-2");
            (await _http.StatusAsync(order)).Should().BeOneOf("pending", "paid");
            (await _http.GetFromJsonAsync<JsonElement>("/v1/orders?limit=1")).GetProperty("items")[0].Text("id").Should().Be(order);
        }
        var last = await _http.PlaceOrderAsync();
        await _http.SettledAsync(last, "paid"); // which the standby does not even know
    }

    /// <summary>The standby has the order, but as it was.</summary>
    [Fact]
    public async Task An_order_that_is_pending_on_the_standby_is_asked_for_on_the_primary()
    {
        await using var api = await _site.ServeAsync(Both, "Process__Roles=api", "Orders__CancelWindowSeconds=3600");
        using var http = _site.Client(api);
        var order = await http.PlaceOrderAsync();
        await ReplayedAsync();
        await PauseAsync();

        using var cancel = await http.PostAsync($"/v1/orders/{order}/cancel", null);

        cancel.StatusCode.Should().Be(HttpStatusCode.OK);
        (await http.StatusAsync(order)).Should().Be("cancelled");
    }

    [Fact]
    public async Task How_far_the_standby_is_behind_is_measured_and_one_that_is_away_is_said()
    {
        await Eventually.TrueAsync(async () => await LagAsync() == 0);

        await PauseAsync();
        await PostgresDatabases.ExecuteAsync(_primary.ConnectionString, "SET synchronous_commit = off; UPDATE products SET name = 'New'");
        await Eventually.TrueAsync(async () => await LagAsync() > 1);
        await PostgresDatabases.ExecuteAsync(_standby.ConnectionString, "SELECT pg_wal_replay_resume()");
        await Eventually.TrueAsync(async () => await LagAsync() == 0);
        (await _http.GetStringAsync("/health/ready")).Should().Contain("\"standby\":\"healthy\"");

        _standby.Kill();
        await Eventually.TrueAsync(async () => (await _http.GetStringAsync("/health/ready")).Contains("No standby answers", StringComparison.Ordinal));
        await Eventually.TrueAsync(async () => await LagAsync() is null); // the figures of a moment ago are shown again

        async Task<double?> LagAsync() => (await _http.GetStringAsync("/health/ready"), await _http.GetStringAsync("/metrics")) is var (_, metrics) // each probe measures
            && Regex.Match(metrics, "^db_replica_lag_seconds(?:{.*})? ([0-9.]+)", RegexOptions.Multiline) is { Success: true } line ? double.Parse(line.Groups[1].Value, null) : null;
    }

    [Fact]
    public async Task A_standby_that_hangs_holds_an_answer_up_and_does_not_prevent_it()
    {
        await using var api = await _site.ServeAsync($"{Both};Timeout=2;Command Timeout=2", "Process__Roles=api");
        using var http = _site.Client(api);
        (await http.GetStringAsync("/v1/products")).Should().Contain("TEA-2");

        _standby.Freeze();
        for (var times = 0; times < 3; times++)
        {
            (await http.GetStringAsync("/v1/products")).Should().Contain("TEA-2");
            (await http.StatusAsync(_paid)).Should().Be("paid");
        }
        _standby.Thaw();
    }

    [Fact]
    public async Task While_the_standby_is_away_the_primary_answers_for_it_and_then_it_is_asked_again()
    {
        await PostgresDatabases.ExecuteAsync(_primary.ConnectionString, "ALTER SYSTEM RESET synchronous_standby_names");
        await PostgresDatabases.ExecuteAsync(_primary.ConnectionString, "SELECT pg_reload_conf()");
        await using var readers = new Callers(_http, [.. Enumerable.Repeat<string[]>(["/v1/products", $"/v1/orders/{_paid}", "/v1/orders"], 2).SelectMany(paths => paths)]);
        await readers.AfterAsync(30);

        _standby.Kill();
        await readers.AfterAsync(100);
        await _http.PutProductAsync("TEA-3");
        (await NamesAsync()).Should().HaveCount(3);
        await _standby.StartAsync();
        await Eventually.TrueAsync(async () => await ReadersAsync(_standby) > 0);

        AllShouldBeRead(readers);
        (await readers.StopAsync()).Should().BeLessThan(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task While_the_primary_is_away_reads_go_on_and_once_the_standby_is_promoted_writes_do_and_nothing_is_lost()
    {
        await using var readers = new Callers(_http, ["/v1/products", "/v1/products/TEA-1", $"/v1/orders/{_paid}", "/v1/orders", "/health/live"]);
        await using var buyers = new Callers(_http, ["/v1/orders", "/v1/orders"], isOrder: true);
        await buyers.AfterAsync(20);

        _primary.Kill();
        await Eventually.TrueAsync(() => buyers.Answers.Any(answer => answer.Status != HttpStatusCode.Created));
        await readers.AfterAsync(100);
        await buyers.AfterAsync(2);
        AllShouldBeRead(readers);
        using (var answer = await _http.PutAsync("TEA-4", "Tea"))
        {
            answer.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
            answer.Headers.Contains("Retry-After").Should().BeTrue();
        }

        var placed = buyers.Answers.Count(answer => answer.Status == HttpStatusCode.Created);
        await _standby.PromoteAsync();
        var promoted = Stopwatch.StartNew();
        await Eventually.TrueAsync(() => buyers.Answers.Count(answer => answer.Status == HttpStatusCode.Created) >= placed + 10);
        promoted.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(15));

        await readers.StopAsync();
        await buyers.StopAsync();
        AllShouldBeRead(readers);
        buyers.Answers.Should().OnlyContain(answer => answer.Status == HttpStatusCode.Created || (answer.Status == HttpStatusCode.ServiceUnavailable && answer.Text == "5"));
        var orders = buyers.Answers.Where(answer => answer.Status == HttpStatusCode.Created).Select(answer => answer.Text).ToList();
        orders.Should().OnlyHaveUniqueItems();
        await Eventually.TrueAsync(async () => await ValueAsync<long>(_standby, "SELECT count(*) FROM outbox") == 0);
        var states = await ValueAsync<string>(_standby, $"SELECT string_agg(DISTINCT o.status || ' ' || (SELECT count(*) FROM receipts r WHERE r.order_id = o.id), ',') FROM orders o");
        states.Should().Be("paid 1", "every order is paid and has one receipt");
        foreach (var order in orders)
            (await _http.StatusAsync(order)).Should().Be("paid");
    }

    private void AllShouldBeRead(Callers readers) => readers.Answers.Where(answer => answer.Status != HttpStatusCode.OK).Should()
        .BeEmpty("reads go on; the log: {0}", string.Join('\n', _service.Log.Where(line => line.Text("level") is "Warning" or "Error").Select(line => $"{line.Text("message")} {line.Text("exception")}")));

    private async Task<IEnumerable<string?>> NamesAsync() =>
        [.. (await _http.GetFromJsonAsync<JsonElement>("/v1/products")).GetProperty("items").EnumerateArray().Select(product => product.Text("name"))];

    private async Task<int> TotalAsync(string order) => (await _http.GetFromJsonAsync<JsonElement>(order)).GetProperty("total").GetProperty("amount").GetInt32();

    private async Task ReplayedAsync()
    {
        var written = await ValueAsync<string>(_primary, "SELECT pg_current_wal_lsn()::text");
        await Eventually.TrueAsync(() => ValueAsync<bool>(_standby, $"SELECT pg_last_wal_replay_lsn() >= '{written}'"));
    }

    /// <summary>From here on the standby shows what it has now.</summary>
    private async Task PauseAsync()
    {
        await PostgresDatabases.ExecuteAsync(_standby.ConnectionString, "SELECT pg_wal_replay_pause()");
        await Eventually.TrueAsync(() => ValueAsync<bool>(_standby, "SELECT pg_get_wal_replay_pause_state() = 'paused'"));
    }

    private static async Task<T> ValueAsync<T>(PostgresServer server, string sql)
    {
        await using var connection = new NpgsqlConnection(server.ConnectionString + ";Pooling=false");
        return (await connection.ExecuteScalarAsync<T>(sql))!;
    }

    /// <returns>How many connections have last asked for products.</returns>
    private static Task<long> ReadersAsync(PostgresServer server) =>
        ValueAsync<long>(server, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT sku%' AND pid <> pg_backend_pid()");
}

/// <summary>Callers that never rest, one for each path.</summary>
internal sealed class Callers : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<(HttpStatusCode Status, string Text, TimeSpan Time)> _answers = [];
    private readonly Task _calling;

    public Callers(HttpClient http, string[] paths, bool isOrder = false) => _calling = Task.WhenAll(paths.Select(path => Task.Run(() => CallAsync(http, path, isOrder))));

    /// <summary>With the id of an order, or what Retry-After says.</summary>
    public IReadOnlyList<(HttpStatusCode Status, string Text, TimeSpan Time)> Answers
    {
        get
        {
            lock (_answers)
            {
                return [.. _answers];
            }
        }
    }

    /// <summary>Waits for more answers.</summary>
    public async Task AfterAsync(int more)
    {
        var before = Answers.Count;
        await Eventually.TrueAsync(() => Answers.Count >= before + more || _calling.IsFaulted);
    }

    /// <returns>The time of the slowest answer.</returns>
    public async Task<TimeSpan> StopAsync()
    {
        await _stop.CancelAsync();
        await _calling;
        return Answers.Max(answer => answer.Time);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stop.Dispose();
    }

    private async Task CallAsync(HttpClient http, string path, bool isOrder)
    {
        while (!_stop.IsCancellationRequested)
        {
            var watch = Stopwatch.StartNew();
            using var request = new HttpRequestMessage(isOrder ? HttpMethod.Post : HttpMethod.Get, path);
            if (isOrder)
            {
                request.Headers.Add("Idempotency-Key", Guid.NewGuid().ToString());
                request.Content = JsonContent.Create(new { items = new[] { new { sku = "TEA-1", quantity = 1 } } });
            }
            using var answer = await http.SendAsync(request);
            var text = isOrder && answer.IsSuccessStatusCode ? (await answer.Content.ReadFromJsonAsync<JsonElement>()).Text("id")! : answer.Headers.RetryAfter?.ToString() ?? "";
            lock (_answers)
            {
                _answers.Add((answer.StatusCode, text, watch.Elapsed));
            }
            await Task.Delay(10);
        }
    }
}
