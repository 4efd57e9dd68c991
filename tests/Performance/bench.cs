// What everything together costs, beside what people would pick instead: dotnet run tests/Performance/bench.cs
// The bare minimal API, the generated service with everything on, Express (one process, and a cluster) and Fastify with the same duties: on one database, in turns.
// Needs wrk, taskset, node and npm, and a PostgreSQL server that TEST_DATABASE names. ROUNDS and SECONDS say how long it takes; gnuplot draws the picture.
#:sdk Microsoft.NET.Sdk.Web
#:package Npgsql
#:property TargetFramework=net10.0
#:property PublishAot=false

using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Npgsql;

const string Audience = "https://bench.test";
var (rounds, seconds) = (Number("ROUNDS", 5), Number("SECONDS", 2));
var here = Path.GetDirectoryName(Here())!;
var folder = Directory.CreateTempSubdirectory("bench-").FullName;
foreach (var tool in (string[])["wrk", "taskset", "node", "npm"])
    await RunAsync("sh", ["-c", $"command -v {tool} >/dev/null || {{ echo '{tool} is missing: install it, then run this again.' >&2; exit 1; }}"]);

// --- The issuer of tokens, and one certificate for all --------------------------------------------------------------

using var key = RSA.Create(2048);
var (certificate, certificateFile, keyFile) = MakeCertificate(folder);
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.ClearProviders();
builder.WebHost.UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(certificate)));
await using var issuer = builder.Build();
issuer.MapGet("/.well-known/openid-configuration", () => new { issuer = issuer.Urls.Single(), jwks_uri = issuer.Urls.Single() + "/keys" });
issuer.MapGet("/keys", () => new { keys = new[] { new { kty = "RSA", use = "sig", alg = "RS256", kid = "1", n = Base64(key.ExportParameters(false).Modulus!), e = Base64(key.ExportParameters(false).Exponent!) } } });
await issuer.StartAsync();
var token = Token(key, issuer.Urls.Single());
File.WriteAllText(Path.Combine(folder, "public.pem"), key.ExportSubjectPublicKeyInfoPem());

// --- What is compared ----------------------------------------------------------------------------------------------

var minimal = await PublishAsync(Path.Combine(here, "peers", "minimal"), "minimal");
var service = await PublishAsync(await CopyServiceAsync(), "Storefront");
var node = Path.Combine(folder, "node");
Directory.CreateDirectory(node);
foreach (var file in Directory.GetFiles(Path.Combine(here, "peers", "node")))
    File.Copy(file, Path.Combine(node, Path.GetFileName(file)));
await RunAsync("npm", ["install", "--prefix", node, "--no-package-lock", "--no-audit", "--no-fund", "--silent"]);

await using var database = await Database.CreateAsync();
string[] kestrel = [$"Kestrel__Certificates__Default__Path={certificateFile}", $"Kestrel__Certificates__Default__KeyPath={keyFile}"];
string[] serviceSettings =
[
    .. kestrel,
    "ASPNETCORE_ENVIRONMENT=Production", $"HOME={folder}", $"SSL_CERT_FILE={certificateFile}", "AllowedHosts=127.0.0.1", $"ConnectionStrings__Database={database.ConnectionString};Maximum Pool Size=20",
    $"Authentication__Schemes__Bearer__Authority={issuer.Urls.Single()}", $"Authentication__Schemes__Bearer__ValidAudiences__0={Audience}", $"Payments__BaseUrl={issuer.Urls.Single()}",
    "Process__Roles=api", "Limits__RequestsPerSecond=1000000", "Limits__Burst=1000000", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1",
];
string[] nodeSettings = [$"DATABASE={database.Address}", $"PUBLIC_KEY={folder}/public.pem", $"ISSUER={issuer.Urls.Single()}", $"AUDIENCE={Audience}", $"CERTIFICATE={certificateFile}", $"KEY={keyFile}", "NODE_ENV=production"];
await RunAsync("dotnet", [service, "migrate"], [.. serviceSettings, "ASPNETCORE_URLS=https://127.0.0.1:0"]);
var order = await database.FillAsync();

// Over TLS, all of them: the service speaks nothing else.
Peer[] peers =
[
    new("minimal API, bare", ["dotnet", minimal], [.. kestrel, $"DATABASE={database.ConnectionString}"]),
    new("**prodapi**", ["dotnet", service], serviceSettings),
    new("Fastify", ["node", Path.Combine(node, "fastify.js")], nodeSettings),
    new("Express", ["node", Path.Combine(node, "express.js")], nodeSettings),
    new("Express, cluster of 2", ["node", Path.Combine(node, "express.js")], [.. nodeSettings, "WORKERS=2"]),
];

Work[] works =
[
    new("empty request", "GET", "/v1/empty", null),
    new("product in the cache", "GET", "/v1/products/SKU-7", null),
    new("order by key", "GET", $"/v1/orders/{order}", token),
    new("list of 20 orders", "GET", "/v1/orders", token),
    new("place an order", "POST", "/v1/orders", token),
];

// --- The figures ---------------------------------------------------------------------------------------------------

Console.WriteLine($"{Environment.ProcessorCount} cores, .NET {Environment.Version}, node {(await RunAsync("node", ["--version"])).Trim()}, PostgreSQL {database.Version}, {DateTime.UtcNow:yyyy-MM-dd}; {rounds} rounds of {seconds} s, medians\n");
if (OperatingSystem.IsLinux())
    Process.GetCurrentProcess().ProcessorAffinity = 1; // the load on one core, what is measured on another
foreach (var peer in peers)
    await peer.StartAsync();
foreach (var callers in (int[])[64, 1])
{
    foreach (var work in works)
    {
        for (var round = 0; round <= rounds; round++) // the first one warms up
        {
            foreach (var peer in peers)
                await peer.MeasureAsync(work, callers, seconds, folder, keep: round > 0);
        }
        Print($"{work.Name}, {callers} {(callers == 1 ? "connection" : "connections")}");
        if (work.Name == "order by key" && callers == 64)
            await OpenLoopAsync(peers[..4], work);
    }
    if (callers == 64)
    {
        Console.WriteLine("| after that load | RSS, MB | to the first answer, ms |\n|---|---|---|");
        foreach (var peer in peers)
        {
            var (memory, starts) = (peer.Memory(), new List<double>());
            for (var start = 0; start < 5; start++)
                starts.Add(await peer.StartAsync());
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {peer.Name} | {memory:0} | {Median(starts):0} |"));
        }
        Console.WriteLine();
    }
}
foreach (var peer in peers)
    peer.Stop();
Directory.Delete(folder, recursive: true);

// Requests come by the clock, whether or not those before are answered: so the waiting is counted that a closed loop hides.
async Task OpenLoopAsync(Peer[] peers, Work work)
{
    var table = new StringBuilder($"| {work.Name}, by the clock | of its own most | asked/s | answered/s | p50, ms | p99, ms |\n|---|---|---|---|---|---|\n");
    var plot = new StringBuilder();
    foreach (var peer in peers)
    {
        var most = Median(peer.Figures.TakeLast(rounds).Select(figure => figure.Rate));
        foreach (var share in (double[])[0.25, 0.5, 0.75, 1, 1.25, 1.5])
        {
            var (answered, p50, p99) = await peer.AskByTheClockAsync(work, most * share, 3 * seconds);
            table.AppendLine(CultureInfo.InvariantCulture, $"| {peer.Name} | {share:0%} | {most * share:0} | {answered:0} | {p50:0.0} | {p99:0.0} |");
            plot.AppendLine(CultureInfo.InvariantCulture, $"{most * share:0} {p99:0.0}");
        }
        plot.AppendLine().AppendLine();
    }
    Console.WriteLine(table);
    var data = Path.Combine(folder, "open.dat");
    File.WriteAllText(data, plot.ToString());
    var lines = string.Join(", ", peers.Select((peer, index) => $"'{data}' index {index} with linespoints lw 2 title '{peer.Name.Trim('*')}'"));
    await RunAsync("sh", ["-c", "command -v gnuplot >/dev/null || exit 0; gnuplot -e \"$0\"", $"set terminal svg size 800,450 background '#ffffff'; set output '{Path.Combine(here, "bench.svg")}'; set logscale y; set xlabel 'requests a second'; set ylabel 'p99, ms'; set key top left; set grid; plot {lines}"]);
}

void Print(string title)
{
    Console.WriteLine($"| {title} | CPU, µs a request | ratio | requests/s | p50, ms | p99, ms | bytes a request |\n|---|---|---|---|---|---|---|");
    foreach (var peer in peers)
    {
        // A round against its own neighbours: what slowed the machine slowed both.
        var mine = peer.Figures.TakeLast(rounds).ToList();
        var ratio = Median(mine.Zip(peers[0].Figures.TakeLast(rounds), (one, bare) => one.Cpu / bare.Cpu));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {peer.Name} | {Median(mine.Select(figure => figure.Cpu)):0} | {ratio:0.00} | {Median(mine.Select(figure => figure.Rate)):0} | {Median(mine.Select(figure => figure.P50)):0.00} | {Median(mine.Select(figure => figure.P99)):0.00} | {(mine[0].Bytes is null ? "" : $"{Median(mine.Select(figure => figure.Bytes!.Value)):N0}")} |"));
    }
    Console.WriteLine();
}

// The service as it stands, with an endpoint that does nothing, and the figure of allocated bytes.
async Task<string> CopyServiceAsync()
{
    var (source, target) = (Path.GetFullPath("../../content", here), Path.Combine(folder, "service"));
    foreach (var file in Directory.GetFiles(source, "*", SearchOption.AllDirectories).Where(file => !file.Contains("/bin/") && !file.Contains("/obj/") && !file.Contains("/tests/")))
    {
        var copy = Path.Combine(target, Path.GetRelativePath(source, file));
        Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
        File.Copy(file, copy);
    }
    var project = Path.Combine(target, "src", "Storefront");
    await File.WriteAllTextAsync(
        Path.Combine(project, "Controllers", "BenchController.cs"),
        """
        namespace Storefront.Controllers;

        public sealed class BenchController : IController
        {
            public static void Map(IEndpointRouteBuilder routes)
            {
                routes.MapGet("/empty", () => TypedResults.NoContent()).AllowAnonymous();
                routes.MapGet("/allocated", () => GC.GetTotalAllocatedBytes(precise: true)).AllowAnonymous();
            }
        }
        """);
    return project;
}

async Task<string> PublishAsync(string project, string name)
{
    var target = Path.Combine(folder, "out", name);
    await RunAsync("dotnet", ["publish", project, "-c", "Release", "-o", target, "-v", "q"]);
    return Path.Combine(target, name + ".dll");
}

static (X509Certificate2, string, string) MakeCertificate(string folder)
{
    using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    var request = new CertificateRequest("CN=bench", key, HashAlgorithmName.SHA256);
    var names = new SubjectAlternativeNameBuilder();
    names.AddIpAddress(IPAddress.Loopback);
    request.CertificateExtensions.Add(names.Build());
    var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
    var (file, keyFile) = (Path.Combine(folder, "bench.pem"), Path.Combine(folder, "bench.key"));
    File.WriteAllText(file, certificate.ExportCertificatePem());
    File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
    return (X509Certificate2.CreateFromPemFile(file, keyFile), file, keyFile);
}

static string Token(RSA key, string issuer)
{
    var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
    var text = Base64(JsonSerializer.SerializeToUtf8Bytes(new { alg = "RS256", typ = "JWT", kid = "1" })) + '.'
        + Base64(JsonSerializer.SerializeToUtf8Bytes(new { iss = issuer, aud = Audience, sub = "ann", scope = "orders:read orders:write", iat = now, nbf = now, exp = now + 86_400 }));
    return text + '.' + Base64(key.SignData(Encoding.ASCII.GetBytes(text), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
}

static string Base64(byte[] bytes) => System.Buffers.Text.Base64Url.EncodeToString(bytes);

static int Number(string variable, int other) => int.TryParse(Environment.GetEnvironmentVariable(variable), out var given) ? given : other;

static double Median(IEnumerable<double> figures) => figures.Order().ToList() is var all ? all[all.Count / 2] : 0;

static string Here([CallerFilePath] string path = "") => path;

static async Task<string> RunAsync(string program, string[] arguments, params string[] settings)
{
    var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true };
    foreach (var setting in settings)
        start.Environment[setting.Split('=')[0]] = setting.Split('=', 2)[1];
    using var process = Process.Start(start)!;
    var output = await process.StandardOutput.ReadToEndAsync();
    await process.WaitForExitAsync();
    return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {output}");
}

/// <param name="Cpu">Microseconds of the process for a request: the figure that other load on the machine leaves alone.</param>
/// <param name="Bytes">Allocated for a request; null where the peer does not say.</param>
internal sealed record Figure(double Cpu, double Rate, double P50, double P99, double? Bytes);

internal sealed record Work(string Name, string Method, string Path, string? Token)
{
    /// <summary>For wrk: each order has a key of its own, and what is not a success fails the run.</summary>
    public string Script(string run) =>
        $$"""
        local n = 0
        wrk.method = "{{Method}}"
        {{(Token is null ? "" : $"wrk.headers['Authorization'] = 'Bearer {Token}'")}}
        {{(Method == "POST" ? """wrk.headers["Content-Type"] = "application/json"; wrk.body = '{"items":[{"sku":"SKU-7","quantity":2}]}'""" : "")}}
        request = function()
          n = n + 1
          wrk.headers["Idempotency-Key"] = "{{run}}-" .. n
          return wrk.format()
        end
        done = function(summary, latency)
          local errors = summary.errors
          io.write(string.format("\nfigures %d %d %d %f %f\n", summary.requests, summary.duration, errors.status + errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
        end
        """;
}

internal sealed class Peer(string name, string[] command, string[] settings)
{
    private static readonly HttpClient Http = new(new SocketsHttpHandler { SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true }, ActivityHeadersPropagator = null });
    private Process? _process;

    public string Name => name;

    public string Address { get; private set; } = "";

    public List<Figure> Figures { get; } = [];

    /// <returns>The milliseconds to its first answer. A process that ran is stopped.</returns>
    public async Task<double> StartAsync()
    {
        Stop();
        var port = Random.Shared.Next(10_000, 30_000);
        Address = $"https://127.0.0.1:{port}";
        // On one core, the load on the other; its log goes nowhere, but is written.
        var start = new ProcessStartInfo("sh", ["-c", $"exec taskset -c {(settings.Contains("WORKERS=2") ? "0,1" : "1")} \"$@\" > /dev/null", "sh", .. command]) { WorkingDirectory = Path.GetDirectoryName(command[1]) };
        foreach (var setting in (string[])[$"PORT={port}", $"ASPNETCORE_URLS={Address}", .. settings])
            start.Environment[setting.Split('=')[0]] = setting.Split('=', 2)[1];
        var watch = Stopwatch.StartNew();
        _process = Process.Start(start)!;
        while (true)
        {
            try
            {
                using var answer = await Http.GetAsync(Address + "/v1/empty");
                return answer.IsSuccessStatusCode ? watch.Elapsed.TotalMilliseconds : throw new InvalidOperationException($"{name} answered {answer.StatusCode}.");
            }
            catch (HttpRequestException) when (watch.Elapsed < TimeSpan.FromSeconds(30) && !_process.HasExited)
            {
                await Task.Delay(5);
            }
        }
    }

    public async Task MeasureAsync(Work work, int callers, int seconds, string folder, bool keep)
    {
        var script = Path.Combine(folder, "work.lua");
        await File.WriteAllTextAsync(script, work.Script(Guid.NewGuid().ToString("N")));
        var (cpu, bytes) = (Cpu(), await AllocatedAsync());
        var start = new ProcessStartInfo("taskset", ["-c", "0", "wrk", "-t1", $"-c{callers}", $"-d{seconds}s", "-s", script, Address + work.Path]) { RedirectStandardOutput = true };
        using var wrk = Process.Start(start)!;
        var output = await wrk.StandardOutput.ReadToEndAsync();
        await wrk.WaitForExitAsync();
        var figures = output.Split("figures ") is [_, var line] ? line.Split(' ').Select(figure => double.Parse(figure, CultureInfo.InvariantCulture)).ToArray() : throw new InvalidOperationException($"wrk failed: {output}");
        if (figures[2] > 0)
            throw new InvalidOperationException($"{name} failed {figures[2]} of {figures[0]} requests: {work.Name}.");
        if (keep)
            Figures.Add(new((Cpu() - cpu) / figures[0], figures[0] / figures[1] * 1e6, figures[3] / 1e3, figures[4] / 1e3, (await AllocatedAsync() - bytes) / figures[0]));
    }

    /// <summary>Requests at their times over 64 connections, whether or not those before are answered. A time counts from when its request was due.</summary>
    public async Task<(double Rate, double P50, double P99)> AskByTheClockAsync(Work work, double rate, int seconds)
    {
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 64, SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true }, ActivityHeadersPropagator = null });
        http.DefaultRequestHeaders.Authorization = work.Token is null ? null : new("Bearer", work.Token);
        await Task.WhenAll(Enumerable.Range(0, 64).Select(_ => http.GetAsync(Address + work.Path)));
        var (times, due, watch) = (new double[(int)(rate * seconds)], 0, Stopwatch.StartNew());
        var answers = new List<Task>(times.Length);
        while (due < times.Length)
        {
            for (; due < times.Length && due / rate <= watch.Elapsed.TotalSeconds; due++)
                answers.Add(AskAsync(due));
            await Task.Delay(1);
        }
        await Task.WhenAll(answers);
        var took = watch.Elapsed.TotalSeconds;
        Array.Sort(times);
        return (times.Length / took, times[times.Length / 2], times[times.Length * 99 / 100]);

        async Task AskAsync(int number)
        {
            using var answer = await http.GetAsync(Address + work.Path);
            answer.EnsureSuccessStatusCode();
            times[number] = (watch.Elapsed.TotalSeconds - number / rate) * 1000;
        }
    }

    /// <summary>Megabytes in use, of all its processes.</summary>
    public double Memory() => Tree().Sum(id => File.ReadLines($"/proc/{id}/status").Where(line => line.StartsWith("VmRSS", StringComparison.Ordinal)).Sum(line => double.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture))) / 1024;

    public void Stop() => _process?.Kill(entireProcessTree: true);

    private async Task<double?> AllocatedAsync() => command[0] == "dotnet" ? double.Parse(await Http.GetStringAsync(Address + "/v1/allocated"), CultureInfo.InvariantCulture) : null;

    /// <summary>Microseconds until now, of all its processes.</summary>
    private double Cpu() => Tree().Sum(id => Fields(id) is var fields ? double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture) : 0) * 10_000;

    private IEnumerable<int> Tree()
    {
        var parents = Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(process => int.TryParse(process, out _)).Select(process => int.Parse(process!, CultureInfo.InvariantCulture))
            .Select(id => (Id: id, Parent: Fields(id) is [_, var parent, ..] ? int.Parse(parent, CultureInfo.InvariantCulture) : 0)).ToList();
        return parents.Where(process => process.Id == _process!.Id || process.Parent == _process.Id).Select(process => process.Id);
    }

    /// <summary>Of /proc/[pid]/stat, from the state on, which follows the name in brackets.</summary>
    private static string[] Fields(int id)
    {
        try
        {
            return File.ReadAllText($"/proc/{id}/stat").Split(") ")[^1].Split(' ');
        }
        catch (IOException) // it has ended meanwhile
        {
            return [];
        }
    }
}

/// <summary>Of this run alone.</summary>
internal sealed class Database(NpgsqlConnectionStringBuilder server) : IAsyncDisposable
{
    private readonly string name = $"bench_{Guid.NewGuid():N}";

    public string ConnectionString => new NpgsqlConnectionStringBuilder(server.ConnectionString) { Database = name, MaxAutoPrepare = 20 }.ToString();

    public string Address => $"postgres://{server.Username}:{server.Password}@{server.Host}:{server.Port}/{name}";

    public string Version { get; private set; } = "";

    public static async Task<Database> CreateAsync()
    {
        var server = new NpgsqlConnectionStringBuilder(Environment.GetEnvironmentVariable("TEST_DATABASE") ?? throw new InvalidOperationException("Set TEST_DATABASE to the connection string of a PostgreSQL server that may get a database."));
        var database = new Database(server);
        await ExecuteAsync(server.ConnectionString, $"CREATE DATABASE {database.name}");
        return database;
    }

    /// <returns>The id of an order of ann, which has two lines.</returns>
    public async Task<string> FillAsync()
    {
        await ExecuteAsync(
            ConnectionString,
            """
            INSERT INTO products SELECT 'SKU-' || n, 'Product ' || n, n * 10, 'EUR', 1 FROM generate_series(1, 1000) n;
            INSERT INTO orders SELECT gen_random_uuid(), 'ann', 'seed-' || n, '', 'pending', 0, 300, 'EUR', n FROM generate_series(1, 1000) n;
            INSERT INTO order_items SELECT id, line, 'SKU-' || line, 1, line * 10 FROM orders, generate_series(1, 2) line;
            """);
        await using var connection = new NpgsqlConnection(ConnectionString);
        await connection.OpenAsync();
        Version = connection.PostgreSqlVersion.ToString();
        await using var one = new NpgsqlCommand("SELECT id FROM orders LIMIT 1", connection);
        return (string)(await one.ExecuteScalarAsync())!;
    }

    public async ValueTask DisposeAsync()
    {
        NpgsqlConnection.ClearAllPools();
        await ExecuteAsync(server.ConnectionString, $"DROP DATABASE {name} WITH (FORCE)");
    }

    private static async Task ExecuteAsync(string on, string sql)
    {
        await using var connection = new NpgsqlConnection(on);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}
