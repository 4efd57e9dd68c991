using Storefront.Repositories;

namespace Storefront.Entry;

/// <summary>What must be right before the service listens. A message names the key, never the value.</summary>
internal static partial class StartupChecks
{
    /// <summary>Secrets from files beside those from the environment: /run/secrets/ConnectionStrings__Database is the setting ConnectionStrings:Database.</summary>
    public static void AddSecrets(this WebApplicationBuilder builder) => builder.Configuration.AddKeyPerFile("/run/secrets", optional: true);

    /// <exception cref="OperationalException">A setting is missing or out of the question.</exception>
    public static async Task CheckAsync(this WebApplication app)
    {
        foreach (var item in Checklist.OfSettings(app).Where(item => item.Idle is null))
            await item.Judge(CancellationToken.None);

        var (migrator, database, logger) = (app.Services.GetRequiredService<Migrator>(), app.Services.GetRequiredService<Database>(), app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Storefront"));
        try
        {
            await (app.Environment.IsDevelopment()
                ? migrator.MigrateAsync(CancellationToken.None)
                : migrator.PendingAsync(CancellationToken.None)); // a file that is no database is found now, not by the first request
            if (await database.ReviewAsync(CancellationToken.None) is { } warning)
                Doubtful(logger, warning);
        }
        catch (OperationalException e) when (database.MayComeLater && !app.Environment.IsDevelopment())
        {
            NotYet(logger, e.Message); // and not ready; ending here would only make a loop of restarts
        }

        if (Plain(app) is { Count: > 0 } plain && !app.Environment.IsDevelopment())
            Trusting(logger, Keys(plain)); // or the checks would have ended this
        var engines = string.Join(", ", app.Services.GetServices<Engine>().Select(engine => $"{engine.Part}: {engine.Name}"));
        Starting(logger, app.Environment.EnvironmentName, engines);
    }

    /// <exception cref="OperationalException">Outside Development: a connection that others can read or answer, with no mesh to prevent it.</exception>
    public static string CheckConnections(this WebApplication app)
    {
        var plain = Plain(app);
        if (plain.Count == 0 || app.Environment.IsDevelopment())
            return "every connection that leaves this machine is verified";
        return app.Configuration.Read<TlsSettings>("Tls").Mesh
            ? $"left to the mesh (Tls__Mesh): {Keys(plain)}"
            : throw Settings.Refused(plain[0].Key, $"leaves this machine without TLS that verifies the server: {plain[0].Remedy}, or set Tls__Mesh=true where a service mesh encrypts");
    }

    /// <exception cref="OperationalException">One that others can guess, for a server that more than this machine can reach.</exception>
    public static string CheckPasswords(this WebApplication app) => app.Services.GetServices<RemoteConnection>().FirstOrDefault(each => each.Guessable) is { } connection
        ? throw Settings.Refused(connection.Key, "holds a password that is common, a placeholder, or shorter than 12 characters")
        : "none that is short or common";

    private static List<RemoteConnection> Plain(WebApplication app) => [.. app.Services.GetServices<RemoteConnection>().Where(each => each.Remedy is not null)];

    private static string Keys(IEnumerable<RemoteConnection> connections) => string.Join(", ", connections.Select(each => each.Key.Replace(":", "__", StringComparison.Ordinal)));

    /// <summary>Set, and not a placeholder somebody forgot.</summary>
    public static bool IsGiven(this IConfiguration configuration, string key) =>
        configuration[key] is { Length: > 0 } value && !Placeholders.Any(placeholder => value.Contains(placeholder, StringComparison.OrdinalIgnoreCase));

    public static bool IsHttps(this IConfiguration configuration, string key) =>
        configuration.IsGiven(key) && Uri.TryCreate(configuration[key], UriKind.Absolute, out var uri) && uri.Scheme == Uri.UriSchemeHttps;

    private static readonly string[] Placeholders = ["changeme", "change-me", "change_me", "placeholder", "your-", "your_", "example."];

    [LoggerMessage(7, LogLevel.Warning, "{Warning}")]
    private static partial void Doubtful(ILogger logger, string warning);

    [LoggerMessage(9, LogLevel.Warning, "Tls__Mesh is set: nothing but the mesh encrypts {Connections}")]
    private static partial void Trusting(ILogger logger, string connections);

    [LoggerMessage(6, LogLevel.Warning, "Starting without the database: {Reason}")]
    private static partial void NotYet(ILogger logger, string reason);

    [LoggerMessage(4, LogLevel.Information, "Starting in {Environment}; {Engines}")]
    private static partial void Starting(ILogger logger, string environment, string engines);
}
