using Storefront.Repositories;

namespace Storefront.Entry;

/// <summary>What the program does besides serving: `migrate`, `jobs`, `check`, `health`.</summary>
internal static class Verbs
{
    /// <summary>Runs the verb that the command line begins with.</summary>
    /// <returns>The exit code, or null where there is no verb: then the program serves.</returns>
    /// <exception cref="OperationalException">There is no such verb, or no schema to work on.</exception>
    public static async Task<int?> RunAsync(WebApplication app, string[] args)
    {
        if (args is ["migrate" or "jobs", ..])
            app.CheckConnections(); // before a password goes over one
        return await VerbAsync(app, args);
    }

    private static async Task<int?> VerbAsync(WebApplication app, string[] args) => args switch
    {
        [] or [['-' or '/', ..], ..] => null,
        ["migrate", ..] => await MigrateAsync(app.Services.GetRequiredService<Migrator>()),
        ["jobs", ..] when (await app.Services.GetRequiredService<Migrator>().PendingAsync(CancellationToken.None)) is [var script, ..] =>
            throw new OperationalException(Failure.Unavailable, $"The schema lacks {script}: run the verb migrate first, or check ConnectionStrings__Database."),
        ["jobs"] or ["jobs", "list", ..] or ["jobs", ['-', ..], ..] => await ListAsync(app.Services.GetRequiredService<Outbox>()),
        ["jobs", "replay", var id, ..] => await ReplayAsync(app.Services.GetRequiredService<Outbox>(), id),
        ["check", ..] => await Checklist.RunAsync(app, args),
        ["health", ..] => await HealthAsync(app.Configuration),
        _ => throw new OperationalException(Failure.Invalid, "The verbs are: migrate, jobs [list], jobs replay <id>|all, check [--json], health; none serves."),
    };

    private static async Task<int> MigrateAsync(Migrator migrator)
    {
        await migrator.MigrateAsync(CancellationToken.None);
        Console.WriteLine("The schema is current.");
        return 0;
    }

    private static async Task<int> ListAsync(Outbox outbox)
    {
        var dead = await outbox.ListDeadAsync(limit: 100, CancellationToken.None);
        foreach (var job in dead)
        {
            var since = DateTimeOffset.FromUnixTimeMilliseconds(job.CreatedAt);
            Console.WriteLine($"{job.Id}  {job.Type,-20}  {since:u}  {job.Attempt} attempts  {job.LastError?.ReplaceLineEndings(" ")}");
        }
        Console.WriteLine(dead.Count == 0 ? "No job is dead." : "Replay them: jobs replay <id>|all");
        return 0;
    }

    private static async Task<int> ReplayAsync(Outbox outbox, string id)
    {
        var replayed = await outbox.ReplayAsync(id == "all" ? null : id, CancellationToken.None);
        Console.WriteLine($"{replayed} replayed.");
        return replayed > 0 || id == "all" ? 0 : 1;
    }

    /// <summary>For containers without a shell. The certificate is not checked: the request does not leave the machine.</summary>
    private static async Task<int> HealthAsync(IConfiguration configuration)
    {
        var port = configuration.ManagementPort() ?? BindingAddress.Parse(configuration[WebHostDefaults.ServerUrlsKey]!.Split(';')[0]).Port;
        using var handler = new HttpClientHandler { ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator };
        using var http = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(3) };
        try
        {
            using var answer = await http.GetAsync(new Uri($"https://localhost:{port}/health/ready"));
            Console.WriteLine(await answer.Content.ReadAsStringAsync());
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            throw new OperationalException(Failure.Unavailable, $"There is no answer on port {port}: {e.Message}", e);
        }
    }
}
