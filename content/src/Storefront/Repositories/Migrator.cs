using System.Reflection;
using DbUp.Engine;

namespace Storefront.Repositories;

/// <summary>The scripts in Migrations/, applied once each, in the order of their names.</summary>
public sealed partial class Migrator(Database database, IHostEnvironment environment, ILogger<Migrator> logger)
{
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

    /// <summary>Applies what is missing: all of it or, on an error, nothing.</summary>
    public async Task MigrateAsync(CancellationToken cancellation)
    {
        await database.CheckAsync(cancellation);
        var result = Engine().PerformUpgrade();
        if (!result.Successful)
            throw new OperationalException(Failure.Unavailable, $"Script {result.ErrorScript?.Name} failed and was rolled back: {result.Error.Message}", result.Error);
        foreach (var script in result.Scripts)
            Applied(script.Name);
        _current = true;
    }

    private UpgradeEngine Engine() =>
        database.Migrations().WithScriptsEmbeddedInAssembly(Assembly.GetExecutingAssembly(), IsOurs).WithVariablesDisabled().LogToNowhere().Build();

    private bool IsOurs(string script) =>
        script.EndsWith(".sql", StringComparison.Ordinal)
        && (environment.IsDevelopment() || !script.StartsWith("Development/", StringComparison.Ordinal));

    [LoggerMessage(100, LogLevel.Information, "Applied migration {Script}")]
    private partial void Applied(string script);
}
