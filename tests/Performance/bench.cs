// What everything together costs, beside what people would pick instead: dotnet run tests/Performance/bench.cs
// The bare minimal API, the generated service with everything on, Express (one process, and a cluster) and Fastify with the same duties: on one database, in turns.
// Needs wrk, taskset, node and npm, and a PostgreSQL server that TEST_DATABASE names. ROUNDS, SECONDS and WARMUP say how long it takes; gnuplot draws the picture.
#:project Lab/Lab.csproj
#:property TargetFramework=net10.0
#:property PublishAot=false

using System.Diagnostics;
using System.Globalization;
using System.Text;
using Lab;
using static Lab.Laboratory;

var (rounds, seconds, warmUp) = (Number("ROUNDS", 5), Number("SECONDS", 2), Number("WARMUP", 16));
await using var laboratory = await OpenAsync("node", "npm");
var folder = laboratory.Folder;

// --- What is compared ----------------------------------------------------------------------------------------------

var minimal = await laboratory.PublishAsync(Beside("peers/minimal"), "minimal");
var service = await laboratory.PublishServiceAsync("service");
var node = Path.Combine(folder, "node");
Directory.CreateDirectory(node);
foreach (var file in Directory.GetFiles(Beside("peers/node")))
    File.Copy(file, Path.Combine(node, Path.GetFileName(file)));
await RunAsync("npm", ["install", "--prefix", node, "--no-package-lock", "--no-audit", "--no-fund", "--silent"]);
await laboratory.FillAsync(service);

// Over TLS, all of them: the service speaks nothing else.
string[] nodeSettings =
[
    $"DATABASE={laboratory.Database.Address}", $"PUBLIC_KEY={laboratory.PublicKeyFile}", $"ISSUER={laboratory.Issuer}", $"AUDIENCE={Audience}",
    $"CERTIFICATE={laboratory.CertificateFile}", $"KEY={laboratory.KeyFile}", "NODE_ENV=production",
];
Peer[] peers =
[
    new("minimal API, bare", "dotnet", minimal, [.. laboratory.Kestrel, OneCore, $"DATABASE={laboratory.Database.ConnectionString}"]),
    new("**prodapi**", "dotnet", service, [.. laboratory.Service, OneCore]),
    new("Fastify", "node", Path.Combine(node, "fastify.js"), nodeSettings),
    new("Express", "node", Path.Combine(node, "express.js"), nodeSettings),
    new("Express, cluster of 2", "node", Path.Combine(node, "express.js"), [.. nodeSettings, "WORKERS=2"]) { Cores = "0,1" },
];

// --- The figures ---------------------------------------------------------------------------------------------------

Console.WriteLine(laboratory.Title($"node {(await RunAsync("node", ["--version"])).Trim()}, {rounds} rounds of {seconds} s, medians"));
if (OperatingSystem.IsLinux())
    Process.GetCurrentProcess().ProcessorAffinity = 1; // the load on one core, what is measured on another
foreach (var peer in peers)
    await peer.StartAsync();
foreach (var callers in (int[])[64, 1])
{
    foreach (var work in Work.Of(laboratory))
    {
        for (var round = 0; round <= rounds; round++) // the first one warms up, which takes the runtime of .NET long
        {
            foreach (var peer in peers)
                await peer.MeasureAsync(work, callers, round == 0 && callers > 1 ? warmUp : seconds, folder, keep: round > 0);
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
    peer.Dispose();

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
    await RunAsync("sh", ["-c", "command -v gnuplot >/dev/null || exit 0; gnuplot -e \"$0\"", $"set terminal svg size 800,450 background '#ffffff'; set output '{Beside("bench.svg")}'; set logscale y; set xlabel 'requests a second'; set ylabel 'p99, ms'; set key top left; set grid; plot {lines}"]);
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
