using System.Data.Common;
using System.Net.Sockets;
using System.Reflection;
using System.Security.Authentication;
using Dapper;
using DbUp;
using DbUp.Builder;
using DbUp.Postgresql;
using Npgsql;
using static Npgsql.PostgresErrorCodes;

namespace Storefront.Repositories;

/// <summary>
/// PostgreSQL on one host or several: of several, one takes the writes and the others, its standbys, answer reads that may
/// lag. Which is which is asked again every few seconds, so a standby that was promoted is written to without a restart.
/// </summary>
public sealed class PostgresDatabase : Database, IAsyncDisposable
{
    /// <summary>
    /// What the connection string does not say itself. A pool holds as many connections as 2 cores can use; nothing waits for longer
    /// than a caller would; what is asked again and again is prepared, and so planned once.
    /// </summary>
    private const string Defaults =
        "Maximum Pool Size=20;Max Auto Prepare=50;Timeout=5;Command Timeout=15;Keepalive=30;Tcp Keepalive=true;GSS Encryption Mode=Disable;Host Recheck Seconds=5;";

    private readonly NpgsqlDataSource _source;
    private readonly Dictionary<Access, NpgsqlDataSource>? _hosts;
    private readonly int _poolSize;
    private readonly int _instances;

    /// <param name="instances">How many processes may hold a pool at a time.</param>
    internal PostgresDatabase(NpgsqlConnectionStringBuilder settings, int instances, ILoggerFactory loggers)
    {
        var service = Assembly.GetExecutingAssembly().GetName();
        settings.ApplicationName ??= $"{service.Name} {service.Version!.ToString(3)}"; // in pg_stat_activity
        (_poolSize, _instances) = (settings.MaxPoolSize, instances);
        Description = $"PostgreSQL {settings.Host}/{settings.Database}";
        var builder = new NpgsqlDataSourceBuilder(settings.ToString()) { Name = "database" }.UseLoggerFactory(loggers)
            .ConfigureTracing(traces => traces.EnablePhysicalOpenTracing(false).ConfigureCommandFilter(_ => Activity.Current is not null)); // what workers ask every second is no trace
        if (!settings.Host!.Contains(',', StringComparison.Ordinal))
        {
            _source = builder.Build();
            return;
        }
        var hosts = builder.BuildMultiHost();
        _source = hosts;
        _hosts = new()
        {
            [Access.Write] = hosts.WithTargetSession(TargetSessionAttributes.Primary),
            [Access.Read] = hosts.WithTargetSession(TargetSessionAttributes.PreferPrimary),
            [Access.LaggingRead] = hosts.WithTargetSession(TargetSessionAttributes.PreferStandby),
        };
    }

    public override string Description { get; }

    public override bool MayComeLater => true;

    public async ValueTask DisposeAsync() => await _source.DisposeAsync();

    public override async Task<string?> ReviewAsync(CancellationToken cancellation)
    {
        const string Free = "SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint";
        var free = (await QueryAsync<long>(Free, null, cancellation)).Single();
        return _poolSize * _instances <= free
            ? null
            : $"{_instances} instances with {_poolSize} connections each are more than the {free} that PostgreSQL has: lower Maximum Pool Size in ConnectionStrings__Database "
            + "or Process__Instances, raise max_connections, or put PgBouncer between.";
    }

    internal static void Add(WebApplicationBuilder builder, string connection)
    {
        var (settings, instances) = (Parse(connection), builder.Configuration.Read<ProcessSettings>("Process").Instances);
        builder.Services.ReviewConnection("ConnectionStrings:Database", "add SSL Mode=VerifyFull", settings.SslMode == SslMode.VerifyFull, settings.Host!.Split(','), settings.Password);
        builder.Services.AddSingleton<Database>(provider => new PostgresDatabase(settings, instances, provider.GetRequiredService<ILoggerFactory>()));
        if (settings.Host!.Contains(',', StringComparison.Ordinal))
            builder.Services.AddSingleton<Standby>();
    }

    public override async Task<string?> ExcessAsync(CancellationToken cancellation)
    {
        const string Most =
            """
            SELECT CASE
                WHEN rolsuper THEN 'is a superuser'
                WHEN has_schema_privilege(current_schema(), 'CREATE') THEN 'may create tables'
                WHEN EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND pg_has_role(relowner, 'USAGE')) THEN 'owns tables'
            END FROM pg_roles WHERE rolname = current_user
            """;
        return (await QueryAsync<string?>(Most, null, cancellation)).Single() is { } excess
            ? $"The user in ConnectionStrings__Database {excess}: whoever takes over the service could change the schema. Make a role as Repositories/roles.sql does."
            : null;
    }

    internal override UpgradeEngineBuilder Migrations() => DeployChanges.To
        .PostgresqlDatabase(new PostgresqlConnectionManager(Source(Access.Write)))
        .WithTransaction().WithExecutionTimeout(TimeSpan.FromHours(1)).WithPreprocessor(new Translator(this));

    /// <summary>A lock of a transaction, not of a session: it holds behind PgBouncer too, and ends with the process.</summary>
    internal override async Task<IAsyncDisposable?> LockMigrationsAsync(CancellationToken cancellation)
    {
        var connection = await OpenAsync(Access.Write, cancellation);
        try
        {
            await connection.BeginTransactionAsync(cancellation);
            await connection.ExecuteAsync(new CommandDefinition("SELECT pg_advisory_xact_lock(hashtext('storefront migrations'))", commandTimeout: 3600, cancellationToken: cancellation));
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private static NpgsqlConnectionStringBuilder Parse(string connection)
    {
        try
        {
            var settings = new NpgsqlConnectionStringBuilder(Defaults + connection);
            if (!string.IsNullOrEmpty(settings.Host))
                return settings;
        }
        catch (Exception e) when (e is ArgumentException or FormatException)
        {
        }
        throw Settings.Refused("ConnectionStrings:Database", "has no host, or a keyword or a value that Npgsql does not know");
    }

    protected override Task<T> AskAsync<T>(Func<Session, Task<T>> work, Func<T, bool>? mayLag, CancellationToken cancellation) =>
        _hosts is null || mayLag is null ? AskAsync(work, Access.Read, cancellation) : AskStandbyAsync(work, mayLag, cancellation);

    private async Task<T> AskStandbyAsync<T>(Func<Session, Task<T>> work, Func<T, bool> mayLag, CancellationToken cancellation)
    {
        try
        {
            if (await AskAsync(work, Access.LaggingRead, cancellation) is var lagging && mayLag(lagging))
                return lagging;
        }
        catch (Exception e) when (e is NpgsqlException or OperationalException { Failure: Failure.Unavailable })
        {
            ForgetOldPlans(e); // A standby that is frozen or full is no reason to give no answer.
        }
        return await AskAsync(work, Access.Read, cancellation);
    }

    /// <summary>A connection that breaks during the commit leaves open whether it happened: repeating it could do the work twice.</summary>
    protected override async Task CommitAsync(DbTransaction transaction)
    {
        try
        {
            await base.CommitAsync(transaction);
        }
        catch (NpgsqlException e) when (IsConnectionLost(e))
        {
            throw Unavailable("The connection to PostgreSQL broke during a commit: whether it happened is not known here.", e);
        }
    }

    protected override async Task<DbConnection> OpenAsync(Access access, CancellationToken cancellation)
    {
        try
        {
            return await Source(access).OpenConnectionAsync(cancellation);
        }
        catch (Exception e) when (e is SocketException or NpgsqlException { SqlState: null })
        {
            throw Unavailable(Unreachable(e), e); // nothing was sent, yet it is not repeated: all hosts were tried, for as long as a caller waits
        }
    }

    private NpgsqlDataSource Source(Access access) => _hosts?[access] ?? _source;

    protected override string Rewrite(string sql) =>
        sql.Replace("clock_ms()", "(extract(epoch FROM clock_timestamp()) * 1000)::bigint", StringComparison.Ordinal); // not now(): that is when the transaction began

    /// <summary>SQLSTATE: postgresql.org/docs/current/errcodes-appendix.html.</summary>
    protected override OperationalException? Explain(DbException exception)
    {
        if (exception.SqlState is ReadOnlySqlTransaction)
            _source.Clear(); // connections to a primary that is a standby now
        return exception.SqlState switch
        {
            UniqueViolation => new(Failure.Conflict, "This exists already.", exception),
            ForeignKeyViolation => new(Failure.Refused, "This refers to something that does not exist.", exception),
            CheckViolation or StringDataRightTruncation or NumericValueOutOfRange or InvalidTextRepresentation or CharacterNotInRepertoire or UntranslatableCharacter =>
                new(Failure.Invalid, "A value is none that can be stored.", exception),
            InvalidPassword or InvalidAuthorizationSpecification => Unavailable("PostgreSQL refuses the user or the password in ConnectionStrings__Database.", exception),
            InvalidCatalogName => Unavailable("PostgreSQL has no database of the name in ConnectionStrings__Database: create it, or correct the name.", exception),
            InsufficientPrivilege => Unavailable("The user in ConnectionStrings__Database lacks a right: see Repositories/roles.sql.", exception),
            QueryCanceled => Unavailable("PostgreSQL took longer than a statement may take.", exception),
            ReadOnlySqlTransaction => Unavailable("PostgreSQL takes no writes: this host is a standby now.", exception),
            FeatureNotSupported => Unavailable("A statement was prepared before the last migration.", exception),
            TooManyConnections => Unavailable("PostgreSQL has no connection left: see Maximum Pool Size and Process__Instances.", exception),
            DiskFull => Unavailable("The disk of PostgreSQL is full.", exception),
            null => Unavailable(exception.InnerException is TimeoutException ? "PostgreSQL did not answer in time." : "The connection to PostgreSQL broke.", exception),
            var state when exception.IsTransient => Unavailable($"PostgreSQL cannot serve now (SQLSTATE {state}).", exception),
            _ => null,
        };
    }

    /// <summary>
    /// What the server took back (a deadlock, a conflict, an old plan), or a connection that was lost before the commit. Not what took
    /// too long: a repetition would only add to the load.
    /// </summary>
    protected override bool MayRepeat(DbException exception)
    {
        ForgetOldPlans(exception);
        return exception is NpgsqlException e && (e.SqlState is SerializationFailure or DeadlockDetected or FeatureNotSupported || IsConnectionLost(e));
    }

    private void ForgetOldPlans(Exception exception)
    {
        if (exception is PostgresException { SqlState: FeatureNotSupported })
            _source.Clear(); // connections with plans from before a migration: new ones are right
    }

    private static bool IsConnectionLost(NpgsqlException exception) => exception is PostgresException
        ? exception.SqlState is AdminShutdown or CrashShutdown or ConnectionException or ConnectionFailure or ConnectionDoesNotExist
        : exception.InnerException is IOException or SocketException;

    private string Unreachable(Exception exception)
    {
        var reasons = exception is { InnerException: AggregateException many } ? many.Flatten().InnerExceptions : (IEnumerable<Exception>)[exception];
        var reason = reasons.Select(each => each is SocketException or PostgresException ? each : each.InnerException ?? each).FirstOrDefault();
        return reason switch
        {
            SocketException { SocketErrorCode: SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoData } => "ConnectionStrings__Database names a host that does not exist.",
            SocketException socket => $"PostgreSQL at the address in ConnectionStrings__Database cannot be reached: {socket.SocketErrorCode}.",
            AuthenticationException => "PostgreSQL shows no certificate that is trusted for this host: see Root Certificate and SSL Mode in ConnectionStrings__Database.",
            TimeoutException => "No connection to PostgreSQL came free in time: all of the pool are in use, or the server does not answer.",
            PostgresException refused when Explain(refused) is { } explained => explained.Message,
            NpgsqlException when _hosts is null || reason != exception => $"PostgreSQL at the address in ConnectionStrings__Database did not let us in: {reason.Message}",
            _ => "No host in ConnectionStrings__Database can do this now: there is no primary among those that answer.",
        };
    }
}
