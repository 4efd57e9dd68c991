// Whose the CPU is that the service takes more than the bare API: dotnet run tests/Performance/profile.cs
// Each sample counts for the innermost part on its stack that is known below; what a part calls of the runtime is its own.
// Needs wrk, taskset and perf, a PostgreSQL server that TEST_DATABASE names, and the right to look at processes (root, or kernel.perf_event_paranoid at 1).
#:project Lab/Lab.csproj
#:property TargetFramework=net10.0
#:property PublishAot=false

using System.Globalization;
using Lab;
using static Lab.Laboratory;

var (seconds, warmUp) = (Number("SECONDS", 20), Number("WARMUP", 120));

// In this order: a frame belongs to the first whose text is in it.
(string Part, string[] Texts)[] parts =
[
    ("log", ["Storefront.Entry.JsonLines", "Storefront.Entry.AccessLog", "Microsoft.Extensions.Logging", "Microsoft.Extensions.Telemetry"]),
    ("limits, shedding", ["Storefront.Entry.Limits", "CallerLimiter", "MemoryPressure", "RateLimiting", "Storefront.Entry.CallerShare"]),
    ("tokens", ["Storefront.Entry.TokenCache", "Storefront.Entry.Authentication", "Microsoft.IdentityModel", "AspNetCore.Authentication", "Caching.Memory"]),
    ("authorization", ["AspNetCore.Authorization", "System.Security.Claims"]),
    ("metrics, traces", ["OpenTelemetry", "System.Diagnostics.Metrics", "System.Diagnostics.Activity", "System.Diagnostics.DiagnosticSource", "Hosting.HostingApplicationDiagnostics", "Hosting.HostingMetrics", "KestrelMetrics"]),
    ("time limits", ["Http.Timeouts", "RequestTimeouts"]),
    ("headers of security", ["Storefront.Entry.SecurityHeaders"]),
    ("input and errors", ["Storefront.Entry.InputGuard", "AspNetCore.Diagnostics", "Storefront.Entry.Errors", "Microsoft.Extensions.Validation", "HostFiltering"]),
    ("other middleware", ["Storefront.Entry"]),
    ("repositories", ["Storefront.Repositories", "Polly"]),
    ("services and controllers", ["Storefront.Services", "Storefront.Controllers", "Storefront.Utilities"]),
    ("handlers", ["Program", "OrderBody", "ProductBody"]), // of the bare one
    ("Dapper", ["Dapper."]),
    ("Npgsql", ["Npgsql."]),
    ("TLS", ["System.Net.Security", "libssl", "libcrypto", "Interop+Ssl", "libSystem.Security"]),
    ("JSON", ["System.Text.Json"]),
    ("routing", ["AspNetCore.Routing"]),
    ("Kestrel", ["AspNetCore.Server", "System.IO.Pipelines"]),
    ("host and HTTP", ["Microsoft.AspNetCore", "Microsoft.Extensions"]),
    ("compiler", ["libclrjit"]),
    ("collector", ["libclrgc", "WKS::", "SVR::", "gc_heap"]),
];

// The last, as perf finds the names of compiled code only in memory that is no file.
string[] named = [.. OneCore, "DOTNET_PerfMapEnabled=1", "DOTNET_EnableWriteXorExecute=0"];

await using var laboratory = await OpenAsync("perf");
var (minimal, service) = (await laboratory.PublishAsync(Beside("peers/minimal"), "minimal"), await laboratory.PublishServiceAsync("service"));
await laboratory.FillAsync(service);
Peer[] peers =
[
    new("bare", "dotnet", minimal, [.. laboratory.Kestrel, .. named, $"DATABASE={laboratory.Database.ConnectionString}"]),
    new("prodapi", "dotnet", service, [.. laboratory.Service, .. named]),
];
var works = Work.Of(laboratory);
Console.WriteLine(laboratory.Title($"64 callers, {seconds} s after {warmUp} s to warm up, sampled"));
foreach (var peer in peers)
{
    await peer.StartAsync();
    await peer.WarmUpAsync(works, warmUp, laboratory.Folder);
}
foreach (var work in works)
{
    var found = new List<Dictionary<string, double>>();
    foreach (var peer in peers)
    {
        var data = Path.Combine(laboratory.Folder, "perf.data");
        var record = RunAsync("taskset", ["-c", "0", "perf", "record", "-q", "-F", "499", "-g", "-p", $"{peer.Id}", "-o", data, "--", "sleep", $"{seconds - 1}"]);
        var cost = await Peer.MeasureAsync([peer], work, 64, seconds, laboratory.Folder);
        await record;
        found.Add(ByPart(await RunAsync("perf", ["script", "-F", "ip,sym,dso", "-i", data]), cost[0].Cpu));
    }
    Console.WriteLine($"| {work.Name}, µs of CPU a request | bare | prodapi | more |\n|---|---|---|---|");
    foreach (var part in found.SelectMany(of => of.Keys).Distinct().OrderByDescending(part => Of(1, part) - Of(0, part)))
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {part} | {Of(0, part):0.0} | {Of(1, part):0.0} | {Of(1, part) - Of(0, part):0.0} |"));
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| **all** | {found[0].Values.Sum():0} | {found[1].Values.Sum():0} | {found[1].Values.Sum() / found[0].Values.Sum():0.00} times |\n"));

    double Of(int peer, string part) => found[peer].GetValueOrDefault(part);
}
foreach (var peer in peers)
    File.Delete($"/tmp/perf-{peer.Id}.map");

// A sample is some lines, a frame each, the innermost first, and an empty line.
Dictionary<string, double> ByPart(string samples, double cpu)
{
    var stacks = samples.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
    return stacks
        .Select(stack => stack.Split('\n').Select(frame => parts.FirstOrDefault(part => part.Texts.Any(frame.Contains)).Part).FirstOrDefault(part => part is not null) ?? "thread pool, runtime")
        .GroupBy(part => part)
        .ToDictionary(part => part.Key, part => part.Count() * cpu / stacks.Length);
}
