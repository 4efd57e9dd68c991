using Npgsql;

namespace Lab;

/// <summary>Of this run alone.</summary>
public sealed class Database(NpgsqlConnectionStringBuilder server) : IAsyncDisposable
{
    private readonly string _name = $"lab_{Guid.NewGuid():N}";

    public string ConnectionString => new NpgsqlConnectionStringBuilder(server.ConnectionString) { Database = _name, MaxAutoPrepare = 20, MaxPoolSize = 20 }.ToString();

    public string Address => $"postgres://{server.Username}:{server.Password}@{server.Host}:{server.Port}/{_name}";

    public string Version { get; private set; } = "";

    public static async Task<Database> CreateAsync()
    {
        var server = new NpgsqlConnectionStringBuilder(Environment.GetEnvironmentVariable("TEST_DATABASE") ?? throw new InvalidOperationException("Set TEST_DATABASE to the connection string of a PostgreSQL server that may get a database."));
        var database = new Database(server);
        await AskAsync(server.ConnectionString, $"CREATE DATABASE {database._name}");
        database.Version = (string)(await AskAsync(server.ConnectionString, "SHOW server_version"))!;
        return database;
    }

    /// <returns>The id of an order of ann, which has two lines.</returns>
    public async Task<string> FillAsync() =>
        (string)(await AskAsync(
            ConnectionString,
            """
            INSERT INTO products SELECT 'SKU-' || n, 'Product ' || n, n * 10, 'EUR', 1 FROM generate_series(1, 1000) n;
            INSERT INTO orders SELECT gen_random_uuid(), 'ann', 'seed-' || n, '', 'pending', 0, 300, 'EUR', n FROM generate_series(1, 1000) n;
            INSERT INTO order_items SELECT id, line, 'SKU-' || line, 1, line * 10 FROM orders, generate_series(1, 2) line;
            SELECT id FROM orders LIMIT 1
            """))!;

    /// <summary>To the core of the load, where it is on this machine: what is measured has another for itself. In a container its processes have other numbers, which are not touched.</summary>
    public async Task MoveAsync()
    {
        if (server.Host is not ("127.0.0.1" or "localhost"))
            return;
        var processes = (string)(await AskAsync(ConnectionString, "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE datname = current_database()"))!;
        await Laboratory.RunAsync("sh", ["-c", $"for process in {processes}; do grep -qsx postgres /proc/$process/comm && taskset -cp 0 $process; done; true"]); // one may have ended meanwhile
    }

    public async ValueTask DisposeAsync()
    {
        NpgsqlConnection.ClearAllPools();
        await AskAsync(server.ConnectionString, $"DROP DATABASE {_name} WITH (FORCE)");
    }

    private static async Task<object?> AskAsync(string on, string sql)
    {
        await using var connection = new NpgsqlConnection(on);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }
}
