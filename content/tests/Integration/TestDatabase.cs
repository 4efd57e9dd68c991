using System.Data.Common;
using Dapper;
using Microsoft.Data.Sqlite;

namespace Integration;

/// <summary>An empty database for one host: the one place that knows which engine the tests run on.</summary>
public sealed class TestDatabase : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("storefront-").FullName;

    public string ConnectionString => $"Data Source={File}";

    private string File => Path.Combine(_folder, "test.db");

    public async Task<DbConnection> OpenAsync()
    {
        var connection = new SqliteConnection($"{ConnectionString};Pooling=False;Default Timeout=30");
        await connection.OpenAsync();
        return connection;
    }

    public async Task<long> CountAsync(string table, string where = "1 = 1", object? parameters = null)
    {
        await using var connection = await OpenAsync();
        return await connection.ExecuteScalarAsync<long>($"SELECT count(*) FROM {table} WHERE {where}", parameters);
    }

    public async Task ExecuteAsync(string sql, object? parameters = null)
    {
        await using var connection = await OpenAsync();
        await connection.ExecuteAsync(sql, parameters);
    }

    /// <summary>From here on nothing can connect, until <see cref="Repair"/>.</summary>
    public void Break()
    {
        SqliteConnection.ClearAllPools();
        Directory.Move(_folder, _folder + ".away");
        System.IO.File.WriteAllText(_folder, "a file where the folder should be");
    }

    public void Repair()
    {
        System.IO.File.Delete(_folder);
        Directory.Move(_folder + ".away", _folder);
    }

    public void Dispose()
    {
        SqliteConnection.ClearPool(new SqliteConnection(ConnectionString));
        try
        {
            Directory.Delete(_folder, recursive: true);
        }
        catch (IOException) // Windows keeps an open file: the temporary folder is emptied by the system
        {
        }
    }
}
