using System.Data.Common;
//#if (jobs != "none")
using Dapper;
//#endif
using Microsoft.Data.Sqlite;

namespace Engines;

/// <summary>What one service of a test keeps its data in. In this set of tests: a SQLite file, and the memory of its process.</summary>
public sealed class TestDatabase : IAsyncDisposable
{
    private static byte[]? _migrated;
    private static readonly SemaphoreSlim Migrating = new(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("storefront-").FullName;

    private TestDatabase()
    {
    }

    public static bool IsServer => false;

    public string ConnectionString => $"Data Source={File}";

    public string File => Path.Combine(_folder, "test.db");

    /// <summary>For the service.</summary>
    public (string Key, string Value)[] Settings => [("ConnectionStrings:Database", ConnectionString)];

    /// <summary>A file has no roles.</summary>
    public Task<string> RunnerAsync() => Task.FromResult(ConnectionString);

    /// <param name="migrate">Where given, the database has the schema that this makes. It is called once in a run.</param>
    public static async Task<TestDatabase> CreateAsync(Func<TestDatabase, Task>? migrate = null)
    {
        var database = new TestDatabase();
        if (migrate is null)
            return database;
        await Migrating.WaitAsync();
        try
        {
            if (_migrated is null)
            {
                await migrate(database);
                _migrated = await System.IO.File.ReadAllBytesAsync(database.File);
            }
        }
        finally
        {
            Migrating.Release();
        }
        await System.IO.File.WriteAllBytesAsync(database.File, _migrated);
        return database;
    }

    public async Task<DbConnection> OpenAsync()
    {
        var connection = new SqliteConnection($"{ConnectionString};Pooling=False;Default Timeout=30");
        await connection.OpenAsync();
        return connection;
    }

    /// <summary>From here on nothing can connect, until <see cref="RepairAsync"/>.</summary>
    public async Task BreakAsync()
    {
        SqliteConnection.ClearAllPools();
        Directory.Move(_folder, _folder + ".away");
        while (!System.IO.File.Exists(_folder))
        {
            try
            {
                await System.IO.File.WriteAllTextAsync(_folder, "a file where the folder should be");
            }
            catch (UnauthorizedAccessException) // the service was faster, and made the folder anew
            {
                Directory.Delete(_folder, recursive: true);
            }
        }
    }

    public Task RepairAsync()
    {
        System.IO.File.Delete(_folder);
        Directory.Move(_folder + ".away", _folder);
        return Task.CompletedTask;
    }

    //#if (jobs != "none")
    /// <summary>Nothing is written until what is returned ends.</summary>
    public async Task<IAsyncDisposable> HoldWritesAsync()
    {
        var connection = await OpenAsync();
        await connection.ExecuteAsync("BEGIN IMMEDIATE");
        return connection;
    }

    //#endif
    public ValueTask DisposeAsync()
    {
        SqliteConnection.ClearPool(new SqliteConnection(ConnectionString));
        try
        {
            Directory.Delete(_folder, recursive: true);
        }
        catch (IOException) // Windows keeps an open file: the temporary folder is emptied by the system
        {
        }
        return ValueTask.CompletedTask;
    }
}
