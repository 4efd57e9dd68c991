//#if (auth == "jwt")
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.Extensions.Options;
//#endif
using Storefront.Repositories;

namespace Storefront.Entry;

/// <param name="Judge">Says what is there, or throws an <see cref="OperationalException"/> that says what is wrong.</param>
/// <param name="Idle">Why there is nothing to judge, if so.</param>
internal sealed record ChecklistItem(string Name, Func<CancellationToken, Task<string>> Judge, string? Idle = null)
{
    public ChecklistItem(string name, Func<string> judge, string? idle = null)
        : this(name, _ => Task.FromResult(judge()), idle)
    {
    }
}

/// <summary>What must hold before the service is let loose. No line tells the value of a secret.</summary>
internal static class Checklist
{
    //#if (auth == "jwt")
    private const string Issuer = $"{Authentication.Section}:Authority";
    private const string Audience = $"{Authentication.Section}:ValidAudiences:0";
    private const string Keys = $"{Authentication.Section}:SigningKeys";
    //#endif
    //#if (sample)
    private const string Provider = "Payments:BaseUrl";
    //#endif
    private const string Telemetry = "OTEL_EXPORTER_OTLP_ENDPOINT";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Judged at each start, too, where the first that fails ends the process: they ask nobody.</summary>
    public static IEnumerable<ChecklistItem> OfSettings(WebApplication app)
    {
        var settings = app.Configuration;
        var development = app.Environment.IsDevelopment() ? "not in Development" : null;
        return
        [
            new("addresses", () => Tls.CheckAddresses(settings)),
            new("certificate", () => $"ends {Tls.CheckCertificate(settings, Now(app)):u}", IsSet(settings, Tls.CertificateKey) ? null : development),
            //#if (auth == "jwt")
            new("token issuer", () => Demand(settings.IsHttps(Issuer), Issuer, "must be the https:// address of the issuer of tokens, and no placeholder"), development),
            new("token audience", () => Demand(settings.IsGiven(Audience), Audience, "must be the name that tokens for this service carry, and no placeholder"), development),
            new("token keys", () => Demand(!settings.GetSection(Keys).GetChildren().Any(), Keys, "is for Development: outside, keys come from the issuer", "from the issuer alone"), development),
            //#endif
            new("database setting", () => Demand(settings.IsGiven("ConnectionStrings:Database"), "ConnectionStrings:Database", "is missing or a placeholder: 'Host=...' for PostgreSQL, 'Data Source=file' for SQLite"), development),
            //#if (sample)
            new("payment provider", () => Demand(settings.IsHttps(Provider), Provider, "must be the https:// address of the payment provider, and no placeholder"), development),
            //#endif
            new("hosts", () => Demand(settings.IsGiven("AllowedHosts") && !settings["AllowedHosts"]!.Split(';', StringSplitOptions.TrimEntries).Any(host => host is "*" or "0.0.0.0" or "[::]"), "AllowedHosts", "must list the names that the service is called by, separated by ';', and no placeholder", settings["AllowedHosts"]!), development),
            new("proxies", () => Demand(Pipeline.TrustedNetworks(settings).All(network => network.PrefixLength > 0), "Proxy:TrustedNetworks", "must not trust the whole Internet", $"{Pipeline.TrustedNetworks(settings).Length} trusted networks"), development),
            new("encryption", app.CheckConnections, development),
            new("passwords", app.CheckPasswords, development),
            new("telemetry", () => Demand(Uri.TryCreate(settings[Telemetry], UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https", Telemetry, "must be an http:// or https:// address"), IsSet(settings, Telemetry) ? null : "no export is set up"),
        ];
    }

    /// <summary>What others must answer. The service starts without them and waits.</summary>
    private static IEnumerable<ChecklistItem> OfSurroundings(WebApplication app)
    {
        var (settings, services) = (app.Configuration, app.Services);
        var development = app.Environment.IsDevelopment() ? "not in Development" : null;
        return
        [
            new("certificate lifetime", () => Tls.CheckCertificate(settings, Now(app)) - Now(app) is { TotalDays: > 14 } left ? $"{left.Days} days" : throw Settings.Refused(Tls.CertificateKey, "names a certificate that ends within 14 days"), IsSet(settings, Tls.CertificateKey) ? null : development),
            //#if (auth == "jwt")
            new("issuer answers", AskIssuerAsync, IsSet(settings, Issuer) ? null : development),
            //#endif
            //#if (sample)
            new("provider answers", AskProviderAsync, IsSet(settings, Provider) ? null : development),
            //#endif
            new("database answers", async cancellation =>
            {
                await Database().CheckAsync(cancellation);
                return Database().Description;
            }),
            new("database role", async cancellation => await Database().ExcessAsync(cancellation) is { } excess ? throw Unfit(excess) : "no more rights than it needs", development),
            new("schema", async cancellation => await services.GetRequiredService<Migrator>().PendingAsync(cancellation) is [_, ..] pending ? throw Unfit($"It lacks {string.Join(", ", pending)}: run the verb migrate.") : "current", development),
            new("connections", async cancellation => await Database().ReviewAsync(cancellation) is { } warning ? throw Unfit(warning) : "enough for all instances"),
            new("clock", AskClockAsync),
            //#if (cache == "redis")
            new("redis", AskRedisAsync, IsSet(settings, "ConnectionStrings:Redis") ? null : "ConnectionStrings__Redis is not set"),
            //#endif
            //#if (jobs == "rabbitmq")
            new("queue", async cancellation => await services.GetRequiredService<JobBroker>().CheckAsync(cancellation) ? "as the service declares it" : "not there yet: a worker declares it", IsSet(settings, "ConnectionStrings:RabbitMq") ? null : "ConnectionStrings__RabbitMq is not set"),
            //#endif
        ];

        Database Database() => services.GetRequiredService<Database>();

        //#if (auth == "jwt")
        async Task<string> AskIssuerAsync(CancellationToken cancellation) =>
            await Authentication.NeedIssuerAsync(services.GetRequiredService<IOptionsMonitor<JwtBearerOptions>>().Get(JwtBearerDefaults.AuthenticationScheme), cancellation) is > 0 and var keys
                ? $"{keys} keys"
                : throw Unfit("The issuer of tokens has no keys.");

        //#endif
        //#if (sample)
        async Task<string> AskProviderAsync(CancellationToken cancellation)
        {
            using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false });
            try
            {
                using var request = new HttpRequestMessage(HttpMethod.Head, settings[Provider]);
                using var answer = await http.SendAsync(request, cancellation);
                return $"over TLS, with {(int)answer.StatusCode}";
            }
            catch (HttpRequestException e)
            {
                throw Unfit($"The payment provider at Payments__BaseUrl cannot be reached: {e.HttpRequestError}.");
            }
        }

        //#endif
        async Task<string> AskClockAsync(CancellationToken cancellation)
        {
            await Database().CheckAsync(cancellation); // the next call waits for no connection
            var before = Now(app);
            var theirs = await Database().ClockAsync(cancellation);
            var apart = theirs < before ? before - theirs : theirs > Now(app) ? theirs - Now(app) : TimeSpan.Zero;
            return apart < TimeSpan.FromSeconds(5) ? "as the database's" : throw Unfit($"The clocks of this machine and of the database are {apart.TotalSeconds:0} s apart: tokens, leases and expiries go wrong.");
        }
        //#if (cache == "redis")

        async Task<string> AskRedisAsync(CancellationToken cancellation)
        {
            var redis = services.GetRequiredService<Redis>();
            await redis.Settled.WaitAsync(cancellation);
            return await redis.CheckAsync(cancellation) is { } trouble ? throw Unfit(trouble) : redis.Description;
        }
        //#endif
    }

    /// <returns>The exit code: 1 if any item fails.</returns>
    public static async Task<int> RunAsync(WebApplication app, string[] args)
    {
        ChecklistItem configuration = new("configuration", () => $"read for {app.Environment.EnvironmentName}");
        return Print(await Task.WhenAll(OfSettings(app).Prepend(configuration).Concat(OfSurroundings(app)).Select(JudgeAsync)), args);
    }

    public static int Print(IReadOnlyList<Verdict> verdicts, string[] args)
    {
        Console.WriteLine(args.Contains("--json")
            ? JsonSerializer.Serialize(verdicts, JsonSerializerOptions.Web)
            : string.Join(Environment.NewLine, verdicts.Select(verdict => $"{verdict.Result,-14}  {verdict.Item,-20}  {verdict.Reason.ReplaceLineEndings(" ")}")));
        return verdicts.Any(verdict => verdict.Result == "fail") ? 1 : 0;
    }

    public sealed record Verdict(string Item, string Result, string Reason);

    private static async Task<Verdict> JudgeAsync(ChecklistItem item)
    {
        if (item.Idle is not null)
            return new(item.Name, "not applicable", item.Idle);
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            return new(item.Name, "pass", await item.Judge(patience.Token).WaitAsync(patience.Token));
        }
        catch (Exception e)
        {
            return new(item.Name, "fail", e is OperationalException ? e.Message : e is OperationCanceledException ? "There is no answer in time." : $"It cannot be judged: {e.GetType().Name}."); // the message of another may hold anything
        }
    }

    private static string Demand(bool met, string key, string otherwise, string found = "given") => met ? found : throw Settings.Refused(key, otherwise);

    private static DateTimeOffset Now(WebApplication app) => app.Services.GetRequiredService<TimeProvider>().GetUtcNow();

    private static OperationalException Unfit(string why) => new(Failure.Unavailable, why);

    private static bool IsSet(IConfiguration settings, string key) => !string.IsNullOrEmpty(settings[key]);
}
