using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using Dapper;
using Npgsql;

namespace EndToEnd.Faults;

/// <summary>The servers of one class of tests. A test may break them, and leaves them whole.</summary>
public sealed partial class FleetServers : IAsyncDisposable
{
    private const string Template = "migrated";

    private PostgresServer? _postgres;

    internal PostgresServer Postgres => _postgres!;

    /// <summary>Its jobs run in the process that finds them in the table.</summary>
    internal async Task<Fleet> TableFleetAsync() => await Fleet.CreateAsync(await NewDatabaseAsync());

    public async ValueTask DisposeAsync()
    {
        if (_postgres is not null)
            await _postgres.DisposeAsync();
        //#if (jobs == "rabbitmq")
        if (_rabbit is not null)
            await _rabbit.DisposeAsync();
        //#endif
    }

    private async Task<string> NewDatabaseAsync()
    {
        if (_postgres is null)
        {
            await (_postgres = new PostgresServer()).StartAsync();
            await using var fleet = await Fleet.CreateAsync(await _postgres.CreateDatabaseAsync(Template));
            await fleet.MigrateAsync();
        }
        var name = $"fleet-{Guid.NewGuid():n}";
        await PostgresDatabases.ExecuteAsync(Postgres.ConnectionString, $"CREATE DATABASE \"{name}\" TEMPLATE {Template}");
        return Postgres.To(name);
    }
}

/// <summary>Several processes of the service on one database of the test's own.</summary>
internal sealed partial class Fleet : IAsyncDisposable
{
    private readonly NpgsqlDataSource _source;

    private Fleet(Site site, string database)
    {
        (Site, Database) = (site, database);
        _source = NpgsqlDataSource.Create(database + ";Maximum Pool Size=5");
    }

    public Site Site { get; }

    /// <summary>The connection string.</summary>
    public string Database { get; }

    public string Name { get; } = $"{Guid.NewGuid():n}";

    public static async Task<Fleet> CreateAsync(string database) => new(await Site.CreateAsync(schema: false), database);

    /// <summary>With one product to order.</summary>
    public async Task MigrateAsync()
    {
        (await RunAsync("migrate")).ExitCode.Should().Be(0);
        Execute("INSERT INTO products (sku, name, amount, currency, version) VALUES ('TEA-1', 'Tea', 1250, 'EUR', 1)");
    }

    public Task<(int ExitCode, string Output)> RunAsync(params string[] arguments) => Site.RunAsync(arguments, Settings());

    /// <summary>A process of both roles, unless the settings say another.</summary>
    public Task<ServiceProcess> ServeAsync(params string[] settings) => Site.ServeAsync(Settings(settings));

    public Task<ServiceProcess> ServeApiAsync(params string[] settings) => ServeAsync(["Process__Roles=api", .. settings]);

    public Task<ServiceProcess> ServeWorkerAsync(params string[] settings) => ServeAsync(["Process__Roles=worker", .. settings]);

    public async Task<IReadOnlyList<string>> PlaceAsync(ServiceProcess api, int count)
    {
        using var http = Site.Client(api);
        var orders = new List<string>();
        while (orders.Count < count)
            orders.AddRange(await Task.WhenAll(Enumerable.Range(0, Math.Min(8, count - orders.Count)).Select(_ => http.PlaceOrderAsync())));
        return orders;
    }

    /// <summary>Holds the answers of the payment provider until so many jobs wait for one: the fault hits all of them in the middle.</summary>
    public async Task WhileChargingAsync(int jobs, Action fault)
    {
        var (answer, waiting) = (new TaskCompletionSource(), 0);
        Site.Provider.Charging = Provider.ApproveAfter(() =>
        {
            Interlocked.Increment(ref waiting);
            return answer.Task;
        });
        await Eventually.TrueAsync(() => Volatile.Read(ref waiting) >= jobs);
        fault();
        Site.Provider.Charging = Provider.Approve;
        answer.SetResult();
    }

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
        Site.Provider.Charges.Select(charge => charge.Key).Distinct().Should().BeEquivalentTo(all);
    }

    public Task DeadAsync(int count) => Eventually.TrueAsync(() => Value<long>("SELECT count(*) FROM outbox WHERE state = 1") == count);

    /// <summary>The sum of a metric over its series, of those with the text in their labels.</summary>
    public async Task<double> MetricAsync(ServiceProcess service, string name, string label = "")
    {
        using var http = Site.Client(service);
        return Regex.Matches(await http.GetStringAsync("/metrics"), $@"^{name}(\{{.*\}})? ([0-9.]+)", RegexOptions.Multiline)
            .Where(line => line.Groups[1].Value.Contains(label, StringComparison.Ordinal)).Sum(line => double.Parse(line.Groups[2].Value, CultureInfo.InvariantCulture));
    }

    /// <summary>The status of the probe `ready`, and what it says.</summary>
    public async Task<(HttpStatusCode Status, string Body)> ReadyAsync(ServiceProcess service)
    {
        using var http = Site.Client(service);
        using var answer = await http.GetAsync("/health/ready");
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    public Task DegradedAsync(ServiceProcess service) => Eventually.TrueAsync(async () => await ReadyAsync(service) is (HttpStatusCode.OK, var body) && body.Contains("degraded", StringComparison.Ordinal));

    public IReadOnlyList<T> Query<T>(string sql)
    {
        using var connection = _source.OpenConnection();
        return connection.Query<T>(sql).AsList();
    }

    public T Value<T>(string sql) => Query<T>(sql).Single();

    public int Execute(string sql, object? parameters = null)
    {
        using var connection = _source.OpenConnection();
        return connection.Execute(sql, parameters);
    }

    /// <summary>Connections to a server that was killed are of no use to the one that was started again.</summary>
    public void Reconnect() => _source.Clear();

    public async ValueTask DisposeAsync()
    {
        await _source.DisposeAsync();
        await Site.DisposeAsync();
    }

    public string[] Settings(params string[] settings) =>
    [
        $"ConnectionStrings__Database={Database}",
        //#if (cache == "redis")
        "ConnectionStrings__Redis",
        //#endif
        //#if (jobs == "rabbitmq")
        _rabbit is null ? "ConnectionStrings__RabbitMq" : $"ConnectionStrings__RabbitMq={_rabbit.ConnectionString}", $"Jobs__Queue={Queue}",
        //#endif
        "Jobs__Concurrency=8", "Limits__RequestsPerSecond=100000", "Limits__Burst=100000",
        "Jobs__TimeoutSeconds=300", "Payments__TimeoutSeconds=120", "Payments__TryTimeoutSeconds=60", .. settings, // a provider that the test holds is not given up meanwhile
    ];
}
