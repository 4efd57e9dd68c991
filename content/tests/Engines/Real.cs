using System.Collections.Concurrent;
using System.Data.Common;
using Dapper;
using DotNet.Testcontainers.Containers;
using Npgsql;
using Testcontainers.PostgreSql;

[assembly: AssemblyFixture(typeof(Engines.RealEngines))]

namespace Engines;

/// <summary>
/// The servers that all tests of a run share: those of the TEST_ variables, else this machine's programs, else containers.
/// What is started here ends with the run.
/// </summary>
public sealed class RealEngines : IAsyncDisposable
{
    private static readonly Lazy<Task<string>> PostgresAddress = Find(
        "TEST_DATABASE", PostgresServer.Available, () => new PostgresServer(null, "max_connections=300"),
        () => new PostgreSqlBuilder("postgres:18-alpine").WithCommand("-c", "max_connections=300", "-c", "fsync=off").Build(), container => container.GetConnectionString());

    private static readonly ConcurrentBag<Server> Started = [];

    public static Task<string> Postgres => PostgresAddress.Value;

    public async ValueTask DisposeAsync()
    {
        await TestDatabase.DropTemplateAsync();
        foreach (var server in Started)
            await server.DisposeAsync();
    }

    internal static Lazy<Task<string>> Find<T>(string variable, bool isHere, Func<Server> program, Func<T> build, Func<T, string> address)
        where T : IContainer => new(async () =>
        {
            if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } given)
                return given;
            if (isHere)
            {
                var server = program();
                Started.Add(server);
                await server.StartAsync();
                return server.ConnectionString;
            }
            var container = build();
            await container.StartAsync();
            return address(container);
        });
}

/// <summary>What one service of a test keeps its data in. In this set of tests: what is its own on servers that others use, too.</summary>
public sealed class TestDatabase : IAsyncDisposable
{
    private static string? _template;
    private static readonly SemaphoreSlim Migrating = new(1);
    private readonly string _name = $"test_{Guid.NewGuid():N}";
    private readonly string _server;

    private TestDatabase(string server) => _server = server;

    public static bool IsServer => true;

    public string ConnectionString => new NpgsqlConnectionStringBuilder(_server) { Database = _name, MaxPoolSize = 10 }.ToString();

    /// <summary>For the service.</summary>
    public (string Key, string Value)[] Settings =>
    [
        ("ConnectionStrings:Database", ConnectionString),
        //#if (cache == "redis" || jobs == "rabbitmq")
        .. OtherServers.Settings(_name),
        //#endif
    ];

    /// <summary>For a role that can change rows and nothing else, as `check` wants it; <see cref="Settings"/> are for a superuser.</summary>
    public async Task<string> RunnerAsync()
    {
        var server = new NpgsqlConnectionStringBuilder(ConnectionString);
        await using var connection = await OpenAsync();
        await connection.ExecuteAsync($"""
            DO $$ BEGIN CREATE ROLE {_name} LOGIN PASSWORD '{server.Password}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {_name};
            """);
        server.Username = _name;
        return server.ToString();
    }

    /// <param name="migrate">Where given, the database has the schema that this makes. It is called once in a run.</param>
    public static async Task<TestDatabase> CreateAsync(Func<TestDatabase, Task>? migrate = null)
    {
        var database = new TestDatabase(await RealEngines.Postgres);
        //#if (cache == "redis" || jobs == "rabbitmq")
        await OtherServers.StartAsync();
        //#endif
        if (migrate is null)
            await PostgresDatabases.CreateAsync(database._server, database._name);
        else
            await database.ExecuteAsync($"CREATE DATABASE {database._name} TEMPLATE {await TemplateAsync(migrate)}");
        return database;
    }

    public async Task<DbConnection> OpenAsync()
    {
        var connection = new NpgsqlConnection(ConnectionString + ";Pooling=false");
        await connection.OpenAsync();
        return connection;
    }

    /// <summary>From here on nothing can connect, until <see cref="RepairAsync"/>.</summary>
    public Task BreakAsync() => ExecuteAsync($"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_name}'; ALTER DATABASE {_name} RENAME TO {_name}_away");

    public Task RepairAsync() => ExecuteAsync($"ALTER DATABASE {_name}_away RENAME TO {_name}");

    //#if (jobs != "none")
    /// <summary>Nothing is written until what is returned ends.</summary>
    public async Task<IAsyncDisposable> HoldWritesAsync()
    {
        var connection = await OpenAsync();
        await connection.ExecuteAsync("BEGIN; LOCK TABLE outbox, inbox IN EXCLUSIVE MODE");
        return connection;
    }

    //#endif
    public async ValueTask DisposeAsync()
    {
        await ExecuteAsync($"DROP DATABASE IF EXISTS {_name} WITH (FORCE)");
        await ExecuteAsync($"DROP ROLE IF EXISTS {_name}");
        //#if (jobs == "rabbitmq")
        await OtherServers.ForgetAsync(_name);
        //#endif
    }

    internal static async ValueTask DropTemplateAsync()
    {
        if (_template is not null)
            await PostgresDatabases.ExecuteAsync(await RealEngines.Postgres, $"DROP DATABASE {_template} WITH (FORCE)");
    }

    private static async Task<string> TemplateAsync(Func<TestDatabase, Task> migrate)
    {
        await Migrating.WaitAsync();
        try
        {
            if (_template is null)
            {
                var database = await CreateAsync();
                await migrate(database);
                _template = database._name;
            }
        }
        finally
        {
            Migrating.Release();
        }
        return _template;
    }

    private Task ExecuteAsync(string sql) => PostgresDatabases.ExecuteAsync(_server, sql);
}
