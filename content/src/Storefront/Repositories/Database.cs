using System.Collections.Concurrent;
using System.Data.Common;
using Dapper;
using DbUp.Builder;

namespace Storefront.Repositories;

/// <summary>
/// The database behind all repositories, one subclass per engine. SQL is written once, for PostgreSQL; what an engine says
/// differently it translates in <see cref="Rewrite"/>. The text is constant, so a translation is made once.
/// </summary>
public abstract class Database
{
    private readonly ConcurrentDictionary<string, string> _translations = new();

    /// <summary>For the startup line: the engine and where it is, without secrets.</summary>
    public abstract string Description { get; }

    /// <summary>Reads with no transaction. With <paramref name="mayLag"/> a replica may answer, which misses the latest writes.</summary>
    public Task<T> ReadAsync<T>(Func<Session, Task<T>> work, CancellationToken cancellation, bool mayLag = false) => ExplainAsync(async () =>
    {
        await using var connection = await OpenAsync(mayLag, cancellation);
        return await work(new Session(this, connection, null, cancellation));
    });

    /// <summary>Runs the work in one transaction: all of it is kept or none. The commit is not cancelled half-way.</summary>
    public virtual Task<T> WriteAsync<T>(Func<Session, Task<T>> work, CancellationToken cancellation) => ExplainAsync(async () =>
    {
        await using var connection = await OpenAsync(mayLag: false, cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var session = new Session(this, connection, transaction, cancellation);
        var result = await work(session);
        await transaction.CommitAsync(CancellationToken.None);
        session.Committed();
        return result;
    });

    internal Task<IReadOnlyList<T>> QueryAsync<T>(string sql, object? parameters, CancellationToken cancellation, bool mayLag = false) =>
        ReadAsync(session => session.QueryAsync<T>(sql, parameters), cancellation, mayLag);

    /// <returns>The number of rows.</returns>
    internal Task<int> ExecuteAsync(string sql, object? parameters, CancellationToken cancellation) =>
        WriteAsync(session => session.ExecuteAsync(sql, parameters), cancellation);

    /// <exception cref="OperationalException">The database cannot be used as it is; the message says what to do.</exception>
    public Task CheckAsync(CancellationToken cancellation) => QueryAsync<long>("SELECT 1", null, cancellation);

    internal string Translate(string sql) => _translations.GetOrAdd(sql, Rewrite);

    /// <summary>How DbUp reaches this engine, all scripts in one transaction that holds the lock of the migration.</summary>
    internal abstract UpgradeEngineBuilder Migrations();

    protected abstract Task<DbConnection> OpenAsync(bool mayLag, CancellationToken cancellation);

    protected abstract string Rewrite(string sql);

    /// <returns>What the caller can act on, or null for a fault of ours.</returns>
    protected abstract OperationalException? Explain(DbException exception);

    private async Task<T> ExplainAsync<T>(Func<Task<T>> work)
    {
        try
        {
            return await work();
        }
        catch (DbException e) when (Explain(e) is { } failure)
        {
            throw failure;
        }
    }
}

/// <summary>One connection, with or without a transaction: services hand it on, repositories speak SQL on it.</summary>
public sealed class Session(Database database, DbConnection connection, DbTransaction? transaction, CancellationToken cancellation)
{
    private Action? _committed;

    /// <summary>Runs once the transaction is durable; not at all if it is rolled back.</summary>
    internal void OnCommitted(Action action) => _committed += action;

    internal void Committed() => _committed?.Invoke();

    internal Task<int> ExecuteAsync(string sql, object? parameters = null) => connection.ExecuteAsync(Command(sql, parameters));

    internal async Task<IReadOnlyList<T>> QueryAsync<T>(string sql, object? parameters = null) =>
        (await connection.QueryAsync<T>(Command(sql, parameters))).AsList();

    private CommandDefinition Command(string sql, object? parameters) =>
        new(database.Translate(sql), parameters, transaction, cancellationToken: cancellation);
}
