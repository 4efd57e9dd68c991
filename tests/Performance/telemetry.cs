// What logs, metrics and traces cost a request: dotnet run tests/Performance/telemetry.cs
// Builds of the service with and without; in turns, as the machine is never quiet.
#:property TargetFramework=net10.0
#:property PublishAot=false

using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;

const int Rounds = 7, Requests = 10_000, Callers = 8;
const string Kept = "app.MapStatusPage();"; // beside which the figure of allocated bytes is shown, in all builds
string[] logs = ["app.UseAccessLog();", "app.UseUserInLog();"], telemetry = ["builder.AddTelemetry();", "app.MapMetrics();"];

var folder = Directory.CreateTempSubdirectory("telemetry-").FullName;
var (all, onlyLogs, onlyTelemetry, none) = (await BuildAsync("all", []), await BuildAsync("logs", telemetry), await BuildAsync("telemetry", logs), await BuildAsync("none", [.. logs, .. telemetry]));
Variant[] variants =
[
    new("none", none, []),
    new("logs", onlyLogs, []),
    new("metrics", onlyTelemetry, ["OTEL_TRACES_SAMPLER=always_off"]),
    new("metrics and traces", onlyTelemetry, []),
    new("all, a tenth of the requests traced", all, ["OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1"]),
    new("all, every request traced", all, []),
];
foreach (var variant in variants)
    await variant.StartAsync(folder);
for (var round = 0; round <= Rounds; round++)
{
    foreach (var variant in variants)
        await variant.AskAsync(Requests, Callers, warmUp: round == 0);
}

Console.WriteLine($"GET of a product in the cache, without a token, over TLS; {Environment.ProcessorCount} cores, {Rounds} rounds of {Requests:N0}, medians");
Console.WriteLine();
Console.WriteLine("| | CPU, µs a request | ratio | bytes a request |");
Console.WriteLine("|---|---|---|---|");
foreach (var variant in variants)
{
    // A round against its own neighbours: what slowed the machine slowed both.
    var ratio = Median(variant.Cpu.Zip(variants[0].Cpu, (mine, bare) => mine / bare));
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {variant.Name} | {Median(variant.Cpu):0.0} | {ratio:0.00} | {Median(variant.Bytes):N0} |"));
    variant.Stop();
}
Directory.Delete(folder, recursive: true);

async Task<string> BuildAsync(string name, string[] leftOut)
{
    var target = Path.Combine(folder, name);
    var source = Path.GetFullPath("../../content", Path.GetDirectoryName(Here())!);
    foreach (var file in Directory.GetFiles(source, "*", SearchOption.AllDirectories).Where(file => !file.Contains("/bin/") && !file.Contains("/obj/") && !file.Contains("/tests/")))
    {
        var copy = Path.Combine(target, Path.GetRelativePath(source, file));
        Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
        File.Copy(file, copy);
    }
    var pipeline = Directory.GetFiles(target, "Pipeline.cs", SearchOption.AllDirectories).Single();
    var text = File.ReadAllText(pipeline);
    foreach (var line in leftOut)
        text = Once(text, line, "");
    File.WriteAllText(pipeline, Once(text, Kept, Kept + "\n        app.MapGet(\"/allocated\", () => GC.GetTotalAllocatedBytes(precise: true)).AllowAnonymous().DisableHttpMetrics();"));
    var project = Directory.GetFiles(Path.Combine(target, "src"), "*.csproj", SearchOption.AllDirectories).Single();
    using var build = Process.Start("dotnet", ["publish", project, "-c", "Release", "-o", Path.Combine(target, "out"), "-v", "q", "-p:TreatWarningsAsErrors=false", "-p:EnforceCodeStyleInBuild=false"]);
    await build.WaitForExitAsync();
    return build.ExitCode == 0 ? Path.Combine(target, "out", Path.GetFileNameWithoutExtension(project) + ".dll") : throw new InvalidOperationException("It does not build.");
}

static string Once(string text, string old, string other) => text.Split(old).Length == 2 ? text.Replace(old, other) : throw new InvalidOperationException($"Pipeline.cs must have this once: {old}");

static string Here([CallerFilePath] string path = "") => path;

static double Median(IEnumerable<double> figures) => figures.Order().ElementAt(Rounds / 2);

internal sealed class Variant(string name, string program, string[] settings)
{
    private Process _process = null!;
    private HttpClient _http = null!;

    public string Name => name;

    public List<double> Cpu { get; } = [];

    public List<double> Bytes { get; } = [];

    public async Task StartAsync(string folder)
    {
        var home = Directory.CreateDirectory(Path.Combine(folder, name)).FullName;
        // Its log goes nowhere, but is written.
        var start = new ProcessStartInfo("sh", ["-c", $"exec dotnet {program} > /dev/null"]) { WorkingDirectory = Path.GetDirectoryName(program) };
        var port = Random.Shared.Next(10_000, 30_000);
        foreach (var setting in (string[])["ASPNETCORE_ENVIRONMENT=Development", $"ASPNETCORE_URLS=https://127.0.0.1:{port}", $"ConnectionStrings__Database=Data Source={home}/data.db", $"HOME={home}", "Limits__RequestsPerSecond=1000000", "Limits__Burst=1000000", .. settings])
            start.Environment[setting.Split('=')[0]] = setting.Split('=', 2)[1];
        _process = Process.Start(start)!;
        _http = new HttpClient(new SocketsHttpHandler { SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true }, ActivityHeadersPropagator = null }) { BaseAddress = new Uri($"https://127.0.0.1:{port}") };
        for (var tries = 0; ; tries++)
        {
            try
            {
                (await _http.GetAsync("/v1/products/COFFEE-1KG")).EnsureSuccessStatusCode();
                return;
            }
            catch (HttpRequestException) when (tries < 100)
            {
                await Task.Delay(200);
            }
        }
    }

    public async Task AskAsync(int requests, int callers, bool warmUp)
    {
        var (cpu, bytes) = (_process.TotalProcessorTime, long.Parse(await _http.GetStringAsync("/allocated")));
        await Parallel.ForAsync(0, requests, new ParallelOptions { MaxDegreeOfParallelism = callers }, async (_, _) => (await _http.GetAsync("/v1/products/COFFEE-1KG")).EnsureSuccessStatusCode());
        _process.Refresh();
        if (warmUp)
            return;
        Bytes.Add((long.Parse(await _http.GetStringAsync("/allocated")) - bytes) / (double)requests);
        Cpu.Add((_process.TotalProcessorTime - cpu).TotalMicroseconds / requests);
    }

    public void Stop() => _process.Kill();
}
