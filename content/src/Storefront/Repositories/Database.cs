using System.Collections.Concurrent;
using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using Dapper;
using DbUp.Builder;
using DbUp.Engine;

namespace Storefront.Repositories;

/// <summary>
/// The database behind all repositories, one subclass per engine. SQL is written once, for PostgreSQL; what an engine says
/// differently it translates in <see cref="Rewrite"/>. The text is constant, so a translation is made once, and no input gets into it:
/// SQL put together at run time does not build (CA1857).
/// </summary>
public abstract class Database
{
    private const int Repetitions = 2;

    private readonly ConcurrentDictionary<string, string> _translations = new();

    /// <summary>For the startup line: the engine and where it is, without secrets.</summary>
    public abstract string Description { get; }

    /// <summary>A server may come up after this process, so it is waited for; a file is there or wrong.</summary>
    public virtual bool MayComeLater => false;

    /// <summary>Reads with no transaction, from the primary or, while it is away, from a standby.</summary>
    /// <param name="mayLag">Where given, a standby is asked first, and its answer counts if this says that it suffices: it may miss the latest writes.</param>
    public Task<T> ReadAsync<T>(Func<Session, Task<T>> work, CancellationToken cancellation, Func<T, bool>? mayLag = null) =>
        RunAsync(work, writes: false, mayLag, cancellation);

    /// <summary>
    /// Runs the work in one transaction: all of it is kept or none. The commit is not cancelled half-way. Where the engine is sure
    /// that nothing was kept it may run the work again, so the work has no effect but in this database.
    /// </summary>
    public Task<T> WriteAsync<T>(Func<Session, Task<T>> work, CancellationToken cancellation) => RunAsync(work, writes: true, null, cancellation);

    internal Task<IReadOnlyList<T>> QueryAsync<T>([ConstantExpected] string sql, object? parameters, CancellationToken cancellation, Func<IReadOnlyList<T>, bool>? mayLag = null) =>
        ReadAsync(session => session.QueryAsync<T>(sql, parameters), cancellation, mayLag);

    /// <returns>The number of rows.</returns>
    internal Task<int> ExecuteAsync([ConstantExpected] string sql, object? parameters, CancellationToken cancellation) =>
        WriteAsync(session => session.ExecuteAsync(sql, parameters), cancellation);

    /// <exception cref="OperationalException">The database cannot be used as it is; the message says what to do.</exception>
    public Task CheckAsync(CancellationToken cancellation) => QueryAsync<long>("SELECT 1", null, cancellation);

    /// <returns>What may go wrong later with the engine as it is set up, or null.</returns>
    public virtual Task<string?> ReviewAsync(CancellationToken cancellation) => Task.FromResult<string?>(null);

    /// <returns>What the user may do though the service never does it, or null.</returns>
    public virtual Task<string?> ExcessAsync(CancellationToken cancellation) => Task.FromResult<string?>(null);

    public async Task<DateTimeOffset> ClockAsync(CancellationToken cancellation) =>
        DateTimeOffset.FromUnixTimeMilliseconds((await QueryAsync<long>("SELECT clock_ms()", null, cancellation)).Single());

    internal string Translate(string sql) => _translations.GetOrAdd(sql, Rewrite);

    /// <summary>How DbUp reaches this engine, all scripts in one transaction that holds the lock of the migration.</summary>
    internal abstract UpgradeEngineBuilder Migrations();

    /// <summary>Waits until no other process migrates; the end of what is returned lets the next one go on.</summary>
    internal virtual Task<IAsyncDisposable?> LockMigrationsAsync(CancellationToken cancellation) => Task.FromResult<IAsyncDisposable?>(null);

    protected abstract Task<DbConnection> OpenAsync(Access access, CancellationToken cancellation);

    protected virtual Task<T> AskAsync<T>(Func<Session, Task<T>> work, Func<T, bool>? mayLag, CancellationToken cancellation) => AskAsync(work, Access.Read, cancellation);

    protected async Task<T> AskAsync<T>(Func<Session, Task<T>> work, Access access, CancellationToken cancellation)
    {
        await using var connection = await OpenAsync(access, cancellation);
        return await work(new Session(this, connection, null, cancellation));
    }

    protected virtual async Task<T> TransactAsync<T>(Func<Session, Task<T>> work, CancellationToken cancellation)
    {
        await using var connection = await OpenAsync(Access.Write, cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var session = new Session(this, connection, transaction, cancellation);
        var result = await work(session);
        await CommitAsync(transaction);
        session.Committed();
        return result;
    }

    protected virtual Task CommitAsync(DbTransaction transaction) => transaction.CommitAsync(CancellationToken.None);

    protected abstract string Rewrite(string sql);

    /// <summary>Whether surely nothing was kept, and once more may succeed.</summary>
    protected virtual bool MayRepeat(DbException exception) => false;

    /// <returns>What the caller can act on, or null for a fault of ours.</returns>
    protected abstract OperationalException? Explain(DbException exception);

    protected sealed class Translator(Database database) : IScriptPreprocessor
    {
        public string Process(string contents) => database.Translate(contents);
    }

    /// <summary>An engine of one file has one answer to all three.</summary>
    protected enum Access
    {
        Write,

        /// <summary>Sees every write, unless the primary is away.</summary>
        Read,

        /// <summary>A standby first.</summary>
        LaggingRead,
    }

    protected static OperationalException Unavailable(string message, Exception inner) => new(Failure.Unavailable, message, inner);

    private async Task<T> RunAsync<T>(Func<Session, Task<T>> work, bool writes, Func<T, bool>? mayLag, CancellationToken cancellation)
    {
        for (var left = Repetitions; ; left--)
        {
            try
            {
                return await (writes ? TransactAsync(work, cancellation) : AskAsync(work, mayLag, cancellation));
            }
            catch (DbException e) when (MayRepeat(e) && left > 0)
            {
                await Task.Delay(Random.Shared.Next(50, 250), cancellation);
            }
            catch (DbException e) when (Explain(e) is { } failure)
            {
                throw failure;
            }
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

    internal Task<int> ExecuteAsync([ConstantExpected] string sql, object? parameters = null) => connection.ExecuteAsync(Command(sql, parameters));

    internal async Task<IReadOnlyList<T>> QueryAsync<T>([ConstantExpected] string sql, object? parameters = null) =>
        (await connection.QueryAsync<T>(Command(sql, parameters))).AsList();

    private CommandDefinition Command(string sql, object? parameters) =>
        new(database.Translate(sql), parameters, transaction, cancellationToken: cancellation);
}
