using System.Data.Common;
using System.Text.RegularExpressions;
using Dapper;
using DbUp;
using DbUp.Builder;
using Microsoft.Data.Sqlite;
using static SQLitePCL.raw;

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
        SqliteConnectionStringBuilder settings;
        try
        {
            settings = new SqliteConnectionStringBuilder(connectionString) { ForeignKeys = true };
        }
        catch (Exception e) when (e is ArgumentException or FormatException)
        {
            throw Settings.Refused("ConnectionStrings:Database", "has a keyword or a value that Microsoft.Data.Sqlite does not know");
        }
        if (!connectionString.Contains("Timeout", StringComparison.OrdinalIgnoreCase))
            settings.DefaultTimeout = 5;
        _file = settings.DataSource = Path.GetFullPath(settings.DataSource, contentRoot);
        _connectionString = settings.ToString();
    }

    public override string Description => $"SQLite {_file}";

    public void Dispose() => _writer.Dispose();

    internal override UpgradeEngineBuilder Migrations() => DeployChanges.To.SqliteDatabase(_connectionString).WithTransaction().WithPreprocessor(new Translator(this));

    protected override async Task<T> TransactAsync<T>(Func<Session, Task<T>> work, CancellationToken cancellation)
    {
        await _writer.WaitAsync(cancellation);
        try
        {
            return await base.TransactAsync(work, cancellation);
        }
        finally
        {
            _writer.Release();
        }
    }

    protected override async Task<DbConnection> OpenAsync(Access access, CancellationToken cancellation)
    {
        var connection = new SqliteConnection(_connectionString);
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_file)!);
            await connection.OpenAsync(cancellation);
            await connection.ExecuteAsync("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
            return connection;
        }
        catch (Exception e)
        {
            await connection.DisposeAsync();
            throw e is IOException or UnauthorizedAccessException ? Unavailable(CannotOpen, e) : e;
        }
    }

    protected override string Rewrite(string sql) =>
        StorageOptions().Replace(AnyOf().Replace(sql, "IN $1"), "")
            .Replace(" BYTEA ", " BLOB ", StringComparison.Ordinal)
            .Replace(" COLLATE \"C\"", "", StringComparison.Ordinal) // SQLite compares bytes anyway
            .Replace("clock_ms()", "CAST(unixepoch('subsec') * 1000 AS INTEGER)", StringComparison.Ordinal)
            .Replace("FOR UPDATE SKIP LOCKED", "", StringComparison.Ordinal);

    /// <summary>Result codes: sqlite.org/rescode.html.</summary>
    protected override OperationalException? Explain(DbException exception) =>
        exception is not SqliteException e ? null : e.SqliteErrorCode switch
        {
            SQLITE_BUSY or SQLITE_LOCKED =>
                Unavailable($"The database file {_file} is locked by another process. Stop that process, or wait until it is done.", e),
            SQLITE_CANTOPEN or SQLITE_READONLY or SQLITE_PERM => Unavailable(CannotOpen, e),
            SQLITE_NOTADB or SQLITE_CORRUPT =>
                Unavailable($"The file {_file} is damaged or not a database. Nothing was changed; restore a backup or name another file in ConnectionStrings__Database.", e),
            SQLITE_FULL or SQLITE_IOERR =>
                Unavailable($"The disk of the database file {_file} is full or failing.", e),
            _ => null,
        };

    private string CannotOpen => $"The database file {_file} cannot be opened for writing. Check the folder and its rights, or set ConnectionStrings__Database.";

    [GeneratedRegex(@"= ANY\((@\w+)\)")]
    private static partial Regex AnyOf();

    [GeneratedRegex(@" WITH \([^)]*\)(?=;)")]
    private static partial Regex StorageOptions();
}
