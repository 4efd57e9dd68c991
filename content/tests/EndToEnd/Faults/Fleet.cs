using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using Dapper;
using Npgsql;
using RabbitMQ.Client;

namespace EndToEnd.Faults;

/// <summary>The servers of one class of tests. A test may break them, and leaves them whole.</summary>
public sealed class FleetServers : IAsyncDisposable
{
    private const string Template = "migrated";

    private PostgresServer? _postgres;
    private RabbitServer? _rabbit;

    internal PostgresServer Postgres => _postgres!;

    internal RabbitServer Rabbit => _rabbit!;

    /// <param name="broker">Without one, jobs run in the process that finds them in the table.</param>
    internal async Task<Fleet> FleetAsync(bool broker = true)
    {
        await StartAsync(broker);
        return await FleetAsync(broker ? _rabbit : null);
    }

    internal async Task<Fleet> FleetAsync(RabbitServer? rabbit)
    {
        await StartAsync(broker: false);
        var name = $"fleet-{Guid.NewGuid():n}";
        await PostgresDatabases.ExecuteAsync(Postgres.ConnectionString, $"CREATE DATABASE \"{name}\" TEMPLATE {Template}");
        return await Fleet.CreateAsync(Postgres.To(name), rabbit);
    }

    private async Task StartAsync(bool broker)
    {
        if (broker && _rabbit is null)
            await (_rabbit = new RabbitServer()).StartAsync();
        if (_postgres is not null)
            return;
        await (_postgres = new PostgresServer()).StartAsync();
        await using var fleet = await Fleet.CreateAsync(await _postgres.CreateDatabaseAsync(Template));
        await fleet.MigrateAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in (Server?[])[_rabbit, _postgres])
        {
            if (server is not null)
                await server.DisposeAsync();
        }
    }
}

/// <summary>Several processes of the service on one PostgreSQL database and one RabbitMQ queue, both of the test's own.</summary>
internal sealed partial class Fleet : IAsyncDisposable
{
    private readonly NpgsqlDataSource _source;
    private readonly RabbitServer? _rabbit;

    private Fleet(Site site, string database, RabbitServer? rabbit)
    {
        (Site, Database, _rabbit) = (site, database, rabbit);
        _source = NpgsqlDataSource.Create(database + ";Maximum Pool Size=5");
    }

    public Site Site { get; }

    /// <summary>The connection string.</summary>
    public string Database { get; }

    public string Queue { get; } = $"jobs-{Guid.NewGuid():n}";

    public static async Task<Fleet> CreateAsync(string database, RabbitServer? rabbit = null) => new(await Site.CreateAsync(schema: false), database, rabbit);

    public Task<(int ExitCode, string Output)> RunAsync(params string[] arguments) => Site.RunAsync(arguments, Settings());

    /// <summary>A process of both roles, unless the settings say another.</summary>
    public Task<ServiceProcess> ServeAsync(params string[] settings) => Site.ServeAsync(Settings(settings));

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

    /// <summary>Those in the queue that no worker has yet. Not by rabbitmqctl, whose figures are up to 5 s old.</summary>
    public async Task<uint> MessagesAsync()
    {
        await using var connection = await ConnectAsync();
        await using var channel = await connection.CreateChannelAsync();
        return (await channel.QueueDeclarePassiveAsync(Queue)).MessageCount;
    }

    /// <summary>A connection of the test itself.</summary>
    public Task<IConnection> ConnectAsync() => new ConnectionFactory { Uri = new Uri(_rabbit!.ConnectionString) }.CreateConnectionAsync();

    /// <summary>Puts messages into the queue, as anybody may; returns when they are in it.</summary>
    public async Task PublishAsync(IEnumerable<(BasicProperties Properties, byte[] Body)> messages)
    {
        await using var connection = await ConnectAsync();
        await using var channel = await connection.CreateChannelAsync(new(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
        await Task.WhenAll(messages.Select(message => channel.BasicPublishAsync("", Queue, mandatory: true, message.Properties, message.Body).AsTask()));
    }

    public async Task ConsumingAsync(ServiceProcess worker) => await Eventually.TrueAsync(async () => await MetricAsync(worker, "jobs_consumer_connected") == 1);

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
        $"ConnectionStrings__Database={Database}", _rabbit is null ? "ConnectionStrings__RabbitMq" : $"ConnectionStrings__RabbitMq={_rabbit.ConnectionString}", "ConnectionStrings__Redis", $"Jobs__Queue={Queue}",
        "Jobs__Concurrency=8", "Limits__RequestsPerSecond=100000", "Limits__Burst=100000",
        "Jobs__TimeoutSeconds=300", .. Patient, .. settings,
    ];
}
