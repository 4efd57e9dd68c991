using System.Data.Common;
using System.Text.RegularExpressions;
using DbUp;
using DbUp.Builder;
using DbUp.Engine;
using Microsoft.Data.Sqlite;

namespace Storefront.Repositories;

/// <summary>
/// SQLite in one file: readers beside one writer (WAL). Transactions are immediate: one that begins by reading and then
/// writes would be refused with SQLITE_BUSY at once, without the waiting that `Default Timeout` sets.
/// </summary>
public sealed partial class SqliteDatabase : Database, IDisposable
{
    private readonly SemaphoreSlim _writer = new(1); // waiting here is asynchronous; waiting in SQLite blocks a thread
    private readonly string _connectionString;
    private readonly string _file;

    public SqliteDatabase(string connectionString, string contentRoot)
    {
        var settings = new SqliteConnectionStringBuilder(connectionString) { ForeignKeys = true };
        if (!connectionString.Contains("Timeout", StringComparison.OrdinalIgnoreCase))
            settings.DefaultTimeout = 5;
        _file = settings.DataSource = Path.GetFullPath(settings.DataSource, contentRoot);
        _connectionString = settings.ToString();
    }

    public override string Description => $"SQLite {_file}";

    public override async Task<T> WriteAsync<T>(Func<Session, Task<T>> work, CancellationToken cancellation)
    {
        await _writer.WaitAsync(cancellation);
        try
        {
            return await base.WriteAsync(work, cancellation);
        }
        finally
        {
            _writer.Release();
        }
    }

    public void Dispose()
    {
        _writer.Dispose();
        SqliteConnection.ClearPool(new SqliteConnection(_connectionString));
    }

    internal override UpgradeEngineBuilder Migrations() => DeployChanges.To.SqliteDatabase(_connectionString).WithTransaction().WithPreprocessor(new Rewriter(this));

    protected override async Task<DbConnection> OpenAsync(bool mayLag, CancellationToken cancellation)
    {
        CreateFolder();
        var connection = new SqliteConnection(_connectionString);
        try
        {
            await connection.OpenAsync(cancellation);
            await using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL";
            await command.ExecuteNonQueryAsync(cancellation);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    protected override string Rewrite(string sql) =>
        AnyOf().Replace(sql, "IN $1")
            .Replace(" BYTEA ", " BLOB ", StringComparison.Ordinal)
            .Replace("clock_ms()", "CAST(unixepoch('subsec') * 1000 AS INTEGER)", StringComparison.Ordinal)
            .Replace("FOR UPDATE SKIP LOCKED", "", StringComparison.Ordinal);

    /// <summary>Result codes: sqlite.org/rescode.html.</summary>
    protected override OperationalException? Explain(DbException exception) =>
        exception is not SqliteException e ? null : e.SqliteErrorCode switch
        {
            SQLitePCL.raw.SQLITE_BUSY or SQLitePCL.raw.SQLITE_LOCKED =>
                Unavailable($"The database file {_file} is locked by another process. Stop that process, or wait until it is done.", e),
            SQLitePCL.raw.SQLITE_CANTOPEN or SQLitePCL.raw.SQLITE_READONLY or SQLitePCL.raw.SQLITE_PERM =>
                Unavailable($"The database file {_file} cannot be opened for writing. Check the folder and its rights, or set ConnectionStrings__Database.", e),
            SQLitePCL.raw.SQLITE_NOTADB or SQLitePCL.raw.SQLITE_CORRUPT =>
                Unavailable($"The file {_file} is damaged or not a database. Nothing was changed; restore a backup or name another file in ConnectionStrings__Database.", e),
            SQLitePCL.raw.SQLITE_FULL or SQLitePCL.raw.SQLITE_IOERR =>
                Unavailable($"The disk of the database file {_file} is full or failing.", e),
            _ => null,
        };

    private void CreateFolder()
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_file)!);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unavailable($"The folder of the database file {_file} cannot be created. Check its rights, or set ConnectionStrings__Database.", e);
        }
    }

    private static OperationalException Unavailable(string message, Exception inner) => new(Failure.Unavailable, message, inner);

    private sealed class Rewriter(SqliteDatabase database) : IScriptPreprocessor
    {
        public string Process(string contents) => database.Rewrite(contents);
    }

    [GeneratedRegex(@"= ANY\((@\w+)\)")]
    private static partial Regex AnyOf();
}
