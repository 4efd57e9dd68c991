using System.Net;
using Dapper;
using Npgsql;

namespace EndToEnd.Faults;

/// <summary>The servers of one class of tests. A test may break them, and leaves them whole.</summary>
public sealed partial class FleetServers : IAsyncDisposable
{
    private const string Template = "migrated";

    private PostgresServer? _postgres;

    internal PostgresServer Postgres => _postgres!;

    //#if (jobs != "none")
    /// <summary>Its jobs run in the process that finds them in the table.</summary>
    //#endif
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

    public Task<(int ExitCode, string Output)> RunAsync(params string[] arguments) => Site.RunAsync(arguments, Settings());

    //#if (jobs != "none")
    /// <summary>A process of both roles, unless the settings say another.</summary>
    //#endif
    public Task<ServiceProcess> ServeAsync(params string[] settings) => Site.ServeAsync(Settings(settings));

    //#if (jobs != "none")
    public Task<ServiceProcess> ServeApiAsync(params string[] settings) => ServeAsync(["Process__Roles=api", .. settings]);

    public Task<ServiceProcess> ServeWorkerAsync(params string[] settings) => ServeAsync(["Process__Roles=worker", .. settings]);

    /// <summary>Holds the answers of the provider until so many jobs wait for one: the fault hits all of them in the middle.</summary>
    public async Task WhileAskingAsync(int jobs, Action fault)
    {
        var (answer, waiting) = (new TaskCompletionSource(), 0);
        Site.Provider.Answering = Provider.ApproveAfter(() =>
        {
            Interlocked.Increment(ref waiting);
            return answer.Task;
        });
        await Eventually.TrueAsync(() => Volatile.Read(ref waiting) >= jobs);
        fault();
        Site.Provider.Answering = Provider.Approve;
        answer.SetResult();
    }

    public Task DeadAsync(int count) => Eventually.TrueAsync(() => Value<long>("SELECT count(*) FROM outbox WHERE state = 1") == count);

    //#endif
    public async Task<double> MetricAsync(ServiceProcess service, string name, string label = "")
    {
        using var http = Site.Client(service);
        return await http.MetricAsync(name, label);
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
        "Jobs__TimeoutSeconds=300", .. Patient, .. settings,
    ];
}
