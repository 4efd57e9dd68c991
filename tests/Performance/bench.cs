// What everything together costs, beside what people would pick instead: dotnet run tests/Performance/bench.cs
// The bare minimal API, the generated service with everything on, Express (one process, and a cluster) and Fastify with the same duties: on one database, in turns.
// Needs wrk, taskset, node and npm, and a PostgreSQL server that TEST_DATABASE names; gnuplot draws the picture. SECONDS, ROUNDS, STARTS and WARMUP say how long it takes;
// with ONLY=ratios it compares the costs of the first three with 64 connections, and no more.
#:project Lab/Lab.csproj
#:property TargetFramework=net10.0
#:property PublishAot=false

using System.Diagnostics;
using System.Globalization;
using System.Text;
using Lab;
using static Lab.Laboratory;

var whole = Environment.GetEnvironmentVariable("ONLY") != "ratios";
var (seconds, rounds, starts, warmUp) = (Number("SECONDS", 3), Number("ROUNDS", whole ? 6 : 15), Number("STARTS", 3), Number("WARMUP", 90));
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
    new("minimal API, bare", "dotnet", minimal, [.. laboratory.Kestrel, .. OneCore, $"DATABASE={laboratory.Database.ConnectionString}"]),
    new("**prodapi**", "dotnet", service, [.. laboratory.Service, .. OneCore]),
    new("Fastify", "node", Path.Combine(node, "fastify.js"), nodeSettings),
    new("Express", "node", Path.Combine(node, "express.js"), nodeSettings),
    new("Express, cluster of 2", "node", Path.Combine(node, "express.js"), [.. nodeSettings, "WORKERS=2"]) { Cores = "0,1" },
];

// --- The figures ---------------------------------------------------------------------------------------------------

Console.WriteLine(laboratory.Title($"node {(await RunAsync("node", ["--version"])).Trim()}, {starts} starts, {rounds} rounds of {seconds} s of each in turns of 0.2 s, medians"));
if (OperatingSystem.IsLinux())
    Process.GetCurrentProcess().ProcessorAffinity = 1; // the load on one core, what is measured on another
if (!whole)
    peers = peers[..3];
var works = Work.Of(laboratory);
var read = works.Single(work => work.Name == "order by key");
var loads = (whole ? (int[])[64, 1] : [64]).SelectMany(callers => works.Select(work => (Work: work, Callers: callers))).ToList();
var (costs, alone) = (loads.ToDictionary(load => load, _ => new List<Figure[]>()), loads.ToDictionary(load => load, _ => new List<Figure[]>()));
for (var round = 0; round < rounds; round++)
{
    // What the runtime makes of the same code differs from one process to the next: they are begun anew, so that a ratio is not that of one pair.
    if (round * starts % rounds < starts)
    {
        foreach (var peer in peers)
        {
            await peer.StartAsync();
            await peer.WarmUpAsync(works, warmUp, folder);
        }
    }
    await laboratory.Database.MoveAsync();
    foreach (var load in loads)
    {
        costs[load].Add(await Peer.MeasureAsync(peers, load.Work, load.Callers, seconds, folder));
        var each = new List<Figure>();
        foreach (var peer in whole ? peers : [])
            each.AddRange(await Peer.MeasureAsync([peer], load.Work, load.Callers, 1, folder));
        alone[load].Add([.. each]);
    }
}
foreach (var load in loads)
    Print($"{load.Work.Name}, {load.Callers} {(load.Callers == 1 ? "connection" : "connections")}", costs[load], alone[load]);
if (whole)
{
    await OpenLoopAsync(peers[..4], read, [.. peers.Select((_, peer) => Median(alone[(read, 64)].Select(figures => figures[peer].Rate)))]);
    await PrintStartsAsync();
}

async Task PrintStartsAsync()
{
    Console.WriteLine("| after that load | RSS, MB | to the first answer, ms |\n|---|---|---|");
    var (memory, starts) = (peers.Select(peer => peer.Memory()).ToList(), peers.Select(_ => new List<double>()).ToList());
    for (var round = 0; round < rounds; round++)
    {
        for (var peer = 0; peer < peers.Length; peer++)
            starts[peer].Add(await peers[peer].StartAsync());
    }
    for (var peer = 0; peer < peers.Length; peer++)
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {peers[peer].Name} | {memory[peer]:0} | {Median(starts[peer]):0} |"));
}

// Requests come by the clock, whether or not those before are answered: so the waiting is counted that a closed loop hides.
async Task OpenLoopAsync(Peer[] peers, Work work, double[] most)
{
    var table = new StringBuilder($"| {work.Name}, by the clock | of its own most | asked/s | answered/s | p50, ms | p99, ms |\n|---|---|---|---|---|---|\n");
    var plots = peers.Select(_ => new StringBuilder()).ToList();
    foreach (var share in (double[])[0.25, 0.5, 0.75, 1, 1.25, 1.5])
    {
        var found = peers.Select(_ => new List<(double Answered, double P50, double P99)>()).ToList();
        // Half of the load has an aim, and one pause of the machine is the p99 of its round.
        for (var round = 0; round < (share == 0.5 ? 5 * rounds : rounds); round++)
        {
            for (var peer = 0; peer < peers.Length; peer++)
                found[peer].Add(await peers[peer].AskByTheClockAsync(work, share * most[peer], 2));
        }
        for (var peer = 0; peer < peers.Length; peer++)
        {
            var p99 = Median(found[peer].Select(one => one.P99));
            table.AppendLine(CultureInfo.InvariantCulture, $"| {peers[peer].Name} | {share:0%} | {share * most[peer]:0} | {Median(found[peer].Select(one => one.Answered)):0} | {Median(found[peer].Select(one => one.P50)):0.0} | {p99:0.0} |");
            plots[peer].AppendLine(CultureInfo.InvariantCulture, $"{share * most[peer]:0} {p99:0.0}");
        }
    }
    Console.WriteLine(table);
    var data = Path.Combine(folder, "open.dat");
    File.WriteAllText(data, string.Join("\n\n", plots));
    var lines = string.Join(", ", peers.Select((peer, index) => $"'{data}' index {index} with linespoints lw 2 title '{peer.Name.Trim('*')}'"));
    await RunAsync("sh", ["-c", "command -v gnuplot >/dev/null || exit 0; gnuplot -e \"$0\"", $"set terminal svg size 800,450 background '#ffffff'; set output '{Beside("bench.svg")}'; set logscale y; set xlabel 'requests a second'; set ylabel 'p99, ms'; set key top left; set grid; plot {lines}"]);
}

void Print(string title, List<Figure[]> costs, List<Figure[]> alone)
{
    Console.WriteLine($"| {title} | CPU, µs a request | ratio (quartiles) | to prodapi | bytes a request | requests/s | p50, ms | p99, ms |\n|---|---|---|---|---|---|---|---|");
    for (var peer = 0; peer < peers.Length; peer++)
    {
        var ratios = costs.Select(round => round[peer].Cpu / round[0].Cpu).Order().ToList();
        var spread = peer == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" ({ratios[ratios.Count / 4]:0.00} to {ratios[ratios.Count * 3 / 4]:0.00})");
        var bytes = costs[0][peer].Bytes is null ? "" : $"{Typical(costs, figure => figure.Bytes!.Value):N0}";
        var times = whole ? $"{Typical(alone, figure => figure.Rate):0} | {Typical(alone, figure => figure.P50):0.00} | {Typical(alone, figure => figure.P99):0.00}" : "| |";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {peers[peer].Name} | {Typical(costs, figure => figure.Cpu):0.0} | {Median(ratios):0.00}{spread} | {Median(costs.Select(round => round[peer].Cpu / round[1].Cpu)):0.00} | {bytes} | {times} |"));

        double Typical(List<Figure[]> rounds, Func<Figure, double> of) => Median(rounds.Select(round => of(round[peer])));
    }
    Console.WriteLine();
}
