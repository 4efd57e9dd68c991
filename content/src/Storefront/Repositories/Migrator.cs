using System.Reflection;
using DbUp.Engine;

namespace Storefront.Repositories;

/// <summary>The scripts in Migrations/, applied once each, in the order of their names.</summary>
public sealed partial class Migrator(Database database, IHostEnvironment environment, TimeProvider clock, ILogger<Migrator> logger)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private bool _current;

    /// <returns>The scripts that the database lacks; asked until there is none, as this process knows no newer ones.</returns>
    public async Task<IReadOnlyList<string>> PendingAsync(CancellationToken cancellation)
    {
        if (_current)
            return [];
        await database.CheckAsync(cancellation);
        var pending = Engine().GetScriptsToExecute().ConvertAll(script => script.Name);
        _current = pending.Count == 0;
        return pending;
    }

    /// <summary>Applies what is missing: all of it or, on an error, nothing. Of several processes at once, one does it and the others find it done.</summary>
    public async Task MigrateAsync(CancellationToken cancellation)
    {
        await WaitAsync(cancellation);
        await using var held = await database.LockMigrationsAsync(cancellation);
        var result = Engine().PerformUpgrade();
        if (!result.Successful)
            throw new OperationalException(Failure.Unavailable, $"Script {result.ErrorScript?.Name} failed and was rolled back: {result.Error.Message}", result.Error);
        foreach (var script in result.Scripts)
            Applied(script.Name);
        _current = true;
    }

    /// <summary>Things start in any order: a server is given time to come up.</summary>
    private async Task WaitAsync(CancellationToken cancellation)
    {
        var started = clock.GetTimestamp();
        for (var pause = TimeSpan.FromSeconds(0.5); ; pause *= 1.5)
        {
            try
            {
                await database.CheckAsync(cancellation);
                return;
            }
            catch (OperationalException e) when (database.MayComeLater && clock.GetElapsedTime(started) + pause < Patience)
            {
                Waiting(pause.TotalSeconds, e.Message);
                await Task.Delay(pause, clock, cancellation);
            }
        }
    }

    private UpgradeEngine Engine() =>
        database.Migrations().WithScriptsEmbeddedInAssembly(Assembly.GetExecutingAssembly(), IsOurs).WithVariablesDisabled().LogToNowhere().Build();

    private bool IsOurs(string script) =>
        script.EndsWith(".sql", StringComparison.Ordinal)
        && (environment.IsDevelopment() || !script.StartsWith("Development/", StringComparison.Ordinal));

    [LoggerMessage(101, LogLevel.Warning, "The migration waits {Seconds:0.0} s: {Reason}")]
    private partial void Waiting(double seconds, string reason);

    [LoggerMessage(100, LogLevel.Information, "Applied migration {Script}")]
    private partial void Applied(string script);
}
