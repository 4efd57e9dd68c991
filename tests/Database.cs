using Npgsql;

namespace TemplateTests;

/// <summary>A database of one test's own on the PostgreSQL of TEST_DATABASE.</summary>
internal sealed class Database : IAsyncDisposable
{
    private readonly string server;
    private readonly string name = $"template_tests_{Guid.NewGuid():N}";

    private Database(string server) => this.server = server;

    public string ConnectionString => new NpgsqlConnectionStringBuilder(server) { Database = name }.ToString();

    /// <returns>Null where TEST_DATABASE names no server.</returns>
    public static async Task<Database?> CreateAsync()
    {
        if (Environment.GetEnvironmentVariable("TEST_DATABASE") is not { Length: > 0 } server)
            return null;
        var database = new Database(server);
        await database.ExecuteAsync($"CREATE DATABASE {database.name}");
        return database;
    }

    public async ValueTask DisposeAsync() => await ExecuteAsync($"DROP DATABASE {name} WITH (FORCE)");

    private async Task ExecuteAsync(string sql)
    {
        await using var connection = NpgsqlDataSource.Create(server);
        await using var command = connection.CreateCommand(sql);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }
}
