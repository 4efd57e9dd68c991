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
        //#if (jobs != "none")
        ["jobs", ..] => await JobVerbs.RunAsync(app.Services, args),
        //#endif
        ["check", ..] => await Checklist.RunAsync(app, args),
        ["health", ..] => await HealthAsync(app.Configuration),
        _ => throw Unknown(),
    };

    public static OperationalException Unknown() => new(Failure.Invalid, "The verbs are: migrate, jobs [list], jobs replay <id>|all, check [--json], health; none serves.");

    private static async Task<int> MigrateAsync(Migrator migrator)
    {
        await migrator.MigrateAsync(CancellationToken.None);
        Console.WriteLine("The schema is current.");
        return 0;
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
