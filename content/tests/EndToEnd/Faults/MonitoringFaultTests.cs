using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Npgsql;

namespace EndToEnd.Faults;

/// <summary>
/// What deploy/monitoring ships, in a real Prometheus and a real Alertmanager, on the real service while it is broken. Places are others,
/// and durations: what takes days to be said is said in seconds. Expressions and thresholds are those that are shipped.
/// </summary>
[Trait("Readiness", "58")]
public sealed class MonitoringFaultTests : IAsyncDisposable
{
    /// <summary>The lives of one instance: the last one runs.</summary>
    private readonly List<ServiceProcess> _lives = [];

    private Task _restarting = Task.CompletedTask;

    [Fact]
    public async Task Each_fault_fires_its_alerts_which_reach_whom_they_are_for_and_each_panel_shows_data()
    {
        await using var watch = await Watch.CreateAsync();
        await using var postgres = new PostgresServer();
        await postgres.StartAsync();
        //#if (cache == "redis")
        await using var redis = new RedisServer();
        await redis.StartAsync();
        //#endif
        //#if (jobs == "rabbitmq")
        await using var rabbit = new RabbitServer();
        await rabbit.StartAsync();
        //#endif
        await using var fleet = await Fleet.CreateAsync(await postgres.CreateDatabaseAsync("shop"), rabbit);
        await fleet.MigrateAsync();
        await using var standby = await postgres.StandbyAsync();
        string[] engines =
        [
            //#if (cache == "redis")
            $"ConnectionStrings__Redis={redis.ConnectionString}",
            //#endif
            $"ConnectionStrings__Database=Host=127.0.0.1:{postgres.Port},127.0.0.1:{standby.Port};Username=app;Database=shop;Timeout=1",
        ];
        await using var api = await fleet.ServeApiAsync([.. engines, engines[^1] + ";Maximum Pool Size=2", .. Certificate("soon", days: 10)]);
        await using var worker = await fleet.ServeWorkerAsync([.. engines, "Jobs__MaxAttempts=1", "Jobs__Concurrency=16", "DOTNET_gcServer=0", "DOTNET_GCgen0size=0x400000"]); // a small heap: what the connections take shows
        // Another instance, at one address in all its lives.
        string[] place = [.. Certificate("today", days: 1), $"ASPNETCORE_URLS=https://127.0.0.1:{Server.FreePort()}", "DOTNET_GCHeapHardLimit=0x6000000"];
        _lives.Add(await fleet.ServeApiAsync(place));
        await watch.StartAsync(fleet.Site, [api.Address, _lives[0].Address], [worker.Address]);

        // Callers of all kinds, and a payment provider that fails.
        fleet.Site.Provider.Answering = Provider.Fail;
        await PostgresDatabases.ExecuteAsync(standby.ConnectionString, "SELECT pg_wal_replay_pause()");
        var (callers, stop) = (new List<Task>(), new CancellationTokenSource());
        using var http = fleet.Site.Client(api);
        foreach (var call in (Func<Task<HttpResponseMessage>>[])[() => http.GetAsync("/v1/products"), () => http.GetAsync("/v1/products/TEA-1"), () => http.GetAsync("/v1/products?limit=no"), .. Enumerable.Repeat(() => http.TryOrderAsync(), 8)])
            callers.Add(Task.Run(() => RepeatAsync(call, stop.Token)));
        await watch.FiredAsync("CertificateExpiresSoon", "CertificateExpires", "MemoryNearLimit");

        // An instance that starts again and again, on a database without a schema.
        _restarting = Task.Run(async () =>
        {
            var empty = $"ConnectionStrings__Database={await postgres.CreateDatabaseAsync("empty")}";
            for (var age = 3; !watch.Has("RestartLoop"); age++)
            {
                await watch.TrueAsync($"process_uptime_seconds{{instance='{_lives[0].Address.Authority}'}} > {age}");
                _lives[^1].Kill();
                await _lives[^1].ExitAsync();
                _lives.Add(await fleet.ServeApiAsync([.. place, empty]));
            }
        });
        await watch.FiredAsync("JobsFailing", "DeadJobs", "SecurityEventBurst");
        fleet.Site.Provider.Answering = Provider.Approve;

        // Statements that wait for a lock hold all connections, while the standby lies behind.
        await using (var locking = new NpgsqlConnection(fleet.Database))
        {
            await locking.OpenAsync();
            await using var command = new NpgsqlCommand("BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE", locking);
            await command.ExecuteNonQueryAsync();
            command.CommandText = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            await Eventually.TrueAsync(async () => await command.ExecuteScalarAsync() is true); // a statement that failed
            await watch.FiredAsync("PoolExhausted", "BudgetBurnsFast availability", "BudgetBurnsFast latency", "BudgetBurns availability", "BudgetBurns latency");
        }
        await watch.FiredAsync("ReplicaLags");
        await _restarting;
        await watch.FiredAsync("InstanceNotReady");

        // Callers that keep their connections; and of the servers one after the other ends.
        var idle = new List<IDisposable>();
        while (idle.Count < 1900)
            idle.AddRange(await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => fleet.Site.ConnectAsync(worker))));
        standby.Kill();
        //#if (cache == "redis")
        redis.Kill();
        //#endif
        //#if (jobs == "rabbitmq")
        rabbit.Kill();
        //#endif
        await watch.FiredAsync("RedisDown", "LimiterFallback", "ReplicaGone", "BrokerDown", "ConsumerGone");
        fleet.Site.Provider.Answering = Provider.Hang;
        fleet.Execute("UPDATE outbox SET available_at = 1");
        await watch.FiredAsync("OutboxOld", "MemoryGrowing");
        idle.ForEach(connection => connection.Dispose());
        postgres.Kill();
        await watch.FiredAsync("DatabaseDown");

        await stop.CancelAsync();
        await Task.WhenAll(callers);
        _lives[^1].Kill();
        await watch.FiredAsync("InstanceDown");
        api.Kill();
        await watch.FiredAsync("ServiceDown");

        await watch.ShouldBeSilencedAsync("storefront-api", but: "ServiceDown");
        await watch.ShouldHaveHeardAllAsync();
        (await watch.WithoutDataAsync()).Should().BeEmpty("each panel and each recorded series was to show data");

        string[] Certificate(string name, int days) => fleet.Site.Certificates.Issue(name, days: days) is var (certificate, key)
            ? [$"Kestrel__Certificates__Default__Path={certificate}", $"Kestrel__Certificates__Default__KeyPath={key}"] : [];
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAny(_restarting);
        foreach (var life in _lives)
            await life.DisposeAsync();
    }

    private static async Task RepeatAsync(Func<Task<HttpResponseMessage>> call, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            using var answer = await call();
            await Task.Delay(200, CancellationToken.None);
        }
    }
}

/// <summary>Prometheus and Alertmanager on a copy of deploy/monitoring, and the one whom they call.</summary>
internal sealed partial class Watch : IAsyncDisposable
{
    /// <summary>What counts as long. A window that looks for repetitions takes them all in; the others end soon.</summary>
    private static readonly Dictionary<string, string> Durations = new()
    {
        ["1m"] = "4s",
        ["5m"] = "8s",
        ["30m"] = "3m",
        ["1h"] = "10s",
        ["2h"] = "12s",
        ["6h"] = "8s",
        ["1d"] = "60s",
        ["3d"] = "90s",
    };

    private readonly string _folder;
    private readonly WebApplication _onCall;
    private readonly AlertmanagerServer _alertmanager;
    private readonly PrometheusServer _prometheus;
    private readonly HttpClient _http = new();
    private readonly ConcurrentDictionary<(string Receiver, string Name, string Objective), (JsonElement Alert, long At)> _calls = new();
    private DateTimeOffset _started;

    private Watch(WebApplication onCall)
    {
        (_onCall, _folder) = (onCall, Directory.CreateTempSubdirectory("storefront-watch-").FullName);
        _alertmanager = new AlertmanagerServer(Path.Combine(_folder, "alertmanager.yml"));
        _prometheus = new PrometheusServer(Path.Combine(_folder, "prometheus.yml"));
    }

    public static async Task<Watch> CreateAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var watch = new Watch(builder.Build());
        watch._onCall.Run(async http =>
        {
            foreach (var alert in (await http.Request.ReadFromJsonAsync<JsonElement>()).GetProperty("alerts").EnumerateArray().Where(alert => alert.Text("status") == "firing"))
                watch._calls[(http.Request.Path.Value!.Trim('/'), alert.GetProperty("labels").Text("alertname")!, alert.GetProperty("labels").Text("objective") ?? "")] = (alert, Stopwatch.GetTimestamp());
        });
        await watch._onCall.StartAsync();
        return watch;
    }

    public async Task StartAsync(Site site, Uri[] apis, Uri[] workers)
    {
        var shipped = Shipped();
        foreach (var file in Directory.EnumerateFiles(shipped, "*.yml", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(_folder, Path.GetRelativePath(shipped, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            await File.WriteAllTextAsync(copy, Moved(await File.ReadAllTextAsync(file)));
        }
        await Task.WhenAll(_alertmanager.StartAsync(), _prometheus.StartAsync());
        _started = DateTimeOffset.UtcNow;

        string Moved(string text)
        {
            text = Window().Replace(text, duration => Durations[duration.Value]);
            text = Patience().Replace(text, "2s");
            text = Interval().Replace(text, "1s");
            text = Regex.Replace(text, @"url_file: /run/secrets/(page|ticket)-url", $"url: {_onCall.Urls.Single()}/$1");
            text = text.Replace("/run/secrets/ca.pem", site.Certificates.AuthorityFile, StringComparison.Ordinal).Replace("alertmanager:9093", $"127.0.0.1:{_alertmanager.Port}", StringComparison.Ordinal);
            text = Regex.Replace(text, "server_name: [a-z0-9-]+", "server_name: localhost");
            return Regex.Replace(text, @"dns_sd_configs: .*-(api|worker)\b.*", names =>
                $"static_configs: [{{ targets: [{string.Join(", ", (names.Groups[1].Value == "api" ? apis : workers).Select(address => $"'{address.Authority}'"))}] }}]");
        }
    }

    /// <param name="alert">Its name, and that of the objective where it has one.</param>
    public bool Has(string alert, long since = 0) => _calls.Any(call => $"{call.Key.Name} {call.Key.Objective}".TrimEnd() == alert && call.Value.At > since);

    /// <summary>Waits until somebody is called for these, from now on: what fires is told again and again.</summary>
    public async Task FiredAsync(params string[] alerts)
    {
        var since = Stopwatch.GetTimestamp();
        try
        {
            await Eventually.TrueAsync(() => alerts.All(alert => Has(alert, since)));
        }
        catch (TimeoutException)
        {
            var known = (await AskAsync("/api/v1/alerts")).GetProperty("alerts").EnumerateArray().Select(alert => $"{alert.Text("state")} {alert.Text("labels")} {alert.Text("value")}");
            throw new TimeoutException($"{string.Join(", ", alerts.Where(alert => !Has(alert, since)))} never came. Known are:\n{string.Join('\n', known)}\n{_prometheus.Log}\n{_alertmanager.Log}");
        }
    }

    /// <summary>Waits until an expression has a result.</summary>
    public Task TrueAsync(string expression) =>
        Eventually.TrueAsync(async () => (await AskAsync($"/api/v1/query?query={Uri.EscapeDataString(expression)}")).GetProperty("result").GetArrayLength() > 0);

    /// <summary>Every alert of this job, but one, is known and told to nobody.</summary>
    public Task ShouldBeSilencedAsync(string job, string but) => Eventually.TrueAsync(async () =>
    {
        var alerts = (await _http.GetFromJsonAsync<JsonElement>(_alertmanager.ConnectionString + "/api/v2/alerts")).EnumerateArray().Where(alert => alert.GetProperty("labels").Text("job") == job).ToList();
        return alerts.Count > 1 && alerts.All(alert => alert.GetProperty("status").Text("state") == (alert.GetProperty("labels").Text("alertname") == but ? "active" : "suppressed"));
    });

    public async Task ShouldHaveHeardAllAsync()
    {
        var rules = await RulesAsync("alert");
        _calls.Keys.Select(call => (call.Name, call.Receiver)).Distinct().Should().BeEquivalentTo(rules.Select(rule => (rule.Text("name")!, rule.GetProperty("labels").Text("severity")!)), "each goes to whom its severity says");
        _calls.Values.SelectMany(call => call.Alert.GetProperty("annotations").EnumerateObject()).Select(annotation => annotation.Value.ToString())
            .Should().NotContain(text => text.Contains("<error", StringComparison.Ordinal) || text.Contains("<no value>", StringComparison.Ordinal) || text.Contains("  ", StringComparison.Ordinal), "a label that is not there leaves a gap");
    }

    /// <returns>The expressions that had no result in all the time.</returns>
    public async Task<IReadOnlyList<string>> WithoutDataAsync()
    {
        var recorded = (await RulesAsync("record")).Select(rule => rule.Text("name")!);
        var shown = from file in Directory.EnumerateFiles(Path.Combine(Shipped(), "grafana", "dashboards"), "*.json")
                    from panel in JsonElement.Parse(File.ReadAllText(file), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip }).GetProperty("panels").EnumerateArray()
                    from target in panel.GetProperty("targets").EnumerateArray()
                    select target.Text("expr")!.Replace("$job", ".+", StringComparison.Ordinal).Replace("$instance", ".+", StringComparison.Ordinal).Replace("$__rate_interval", "5s", StringComparison.Ordinal);
        var without = new List<string>();
        foreach (var expression in recorded.Concat(shown))
        {
            var range = string.Create(CultureInfo.InvariantCulture, $"&start={_started.ToUnixTimeSeconds()}&end={DateTimeOffset.UtcNow.ToUnixTimeSeconds()}&step=1");
            var series = (await AskAsync($"/api/v1/query_range?query={Uri.EscapeDataString(expression)}{range}")).GetProperty("result").EnumerateArray();
            if (!series.SelectMany(each => each.GetProperty("values").EnumerateArray()).Any(value => value[1].GetString() != "NaN"))
                without.Add(expression);
        }
        return without;
    }

    public async ValueTask DisposeAsync()
    {
        await _prometheus.DisposeAsync();
        await _alertmanager.DisposeAsync();
        await _onCall.DisposeAsync();
        _http.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static string Shipped()
    {
        var root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "global.json")))
            root = Path.GetDirectoryName(root)!;
        return Path.Combine(root, "deploy", "monitoring");
    }

    private async Task<IReadOnlyList<JsonElement>> RulesAsync(string type) =>
        [.. (await AskAsync($"/api/v1/rules?type={type}")).GetProperty("groups").EnumerateArray().SelectMany(group => group.GetProperty("rules").EnumerateArray())];

    private async Task<JsonElement> AskAsync(string path)
    {
        using var answer = await _http.GetAsync(_prometheus.ConnectionString + path);
        var body = await answer.Content.ReadFromJsonAsync<JsonElement>();
        return answer.IsSuccessStatusCode ? body.GetProperty("data") : throw new InvalidOperationException($"{path}: {body.Text("error")}");
    }

    [GeneratedRegex(@"(?<=\[|offset )\d+[mhd](?=[\])\s])")]
    private static partial Regex Window();

    [GeneratedRegex(@"(?<=\bfor: )\d+[mhd]")]
    private static partial Regex Patience();

    [GeneratedRegex(@"(?<=(scrape|evaluation|group|repeat)_(interval|wait): )\d+[hms]")]
    private static partial Regex Interval();
}
