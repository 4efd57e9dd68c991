// What the service takes of memory, and of time to start, built and set in different ways: dotnet run tests/Performance/footprint.cs
// Needs wrk and taskset, a PostgreSQL server that TEST_DATABASE names, and root: the processes stand in control groups of 256 MB, as in a container.
#:project Lab/Lab.csproj
#:property TargetFramework=net10.0
#:property PublishAot=false

using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Lab;
using static Lab.Laboratory;

var (rounds, seconds, warmUp, connections) = (Number("ROUNDS", 5), Number("SECONDS", 10), Number("WARMUP", 30), Number("CONNECTIONS", 10_000));
await using var laboratory = await OpenAsync();
// It takes 2,000 connections and no more; what ten thousand would cost is asked below.
(string, string)[] edits = [("MaxConcurrentConnections = 2000", "MaxConcurrentConnections = 20_000")];
var shipped = await laboratory.PublishServiceAsync("shipped", edits);
var uncompiled = await laboratory.PublishServiceAsync("uncompiled", edits, "-p:PublishReadyToRun=false");
var minimal = await laboratory.PublishAsync(Beside("peers/minimal"), "minimal");
await laboratory.FillAsync(shipped);

// On both cores, which a server's collector needs to be one.
Peer[] peers =
[
    new("minimal API, bare", "dotnet", minimal, [.. laboratory.Kestrel, $"DATABASE={laboratory.Database.ConnectionString}"]) { Cores = "0,1", Group = Limit("bare") },
    Variant("as it is", shipped),
    Variant("not compiled ahead", uncompiled),
    Variant("workstation collector", shipped, "DOTNET_gcServer=0"),
    Variant("server collector of a fixed size", shipped, "DOTNET_GCDynamicAdaptationMode=0"),
    Variant("no concurrent collection", shipped, "DOTNET_gcConcurrent=0"),
    Variant("no dynamic PGO", shipped, "DOTNET_TieredPGO=0"),
];

var (starts, idle) = (peers.ToDictionary(peer => peer, _ => new List<double>()), new Dictionary<Peer, double>());
for (var round = 0; round <= rounds; round++)
{
    foreach (var peer in peers)
    {
        var took = await peer.StartAsync();
        if (round > 0)
            starts[peer].Add(took);
        idle[peer] = peer.Memory();
    }
}
var work = Work.Of(laboratory).Single(work => work.Name == "order by key");
foreach (var peer in peers)
    await peer.WarmUpAsync([work], warmUp, laboratory.Folder);
var costs = peers.Zip(await Peer.MeasureAsync(peers, work, 64, seconds, laboratory.Folder)).ToDictionary(of => of.First, of => of.Second.Cpu);
Console.WriteLine(laboratory.Title($"control groups of 256 MB, starts by {rounds} rounds, medians, CPU over {seconds} s of each in turns of 0.2 s"));
Console.WriteLine("| | start to the first answer, ms | ratio | RSS then, MB | RSS after load, MB | ratio | CPU, µs an order by key | ratio |\n|---|---|---|---|---|---|---|---|");
foreach (var peer in peers)
{
    var start = Median(starts[peer].Zip(starts[peers[0]], (mine, bare) => mine / bare));
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"| {peer.Name} | {Median(starts[peer]):0} | {start:0.00} | {idle[peer]:0} | {peer.Memory():0} | {peer.Memory() / peers[0].Memory():0.00} | {costs[peer]:0} | {costs[peer] / costs[peers[0]]:0.00} |"));
}
foreach (var peer in peers)
    peer.Dispose();

Console.WriteLine($"\n| | RSS before, MB | with {connections:N0} idle connections | KB a connection |\n|---|---|---|---|");
foreach (var peer in (Peer[])[new(peers[0].Name, "dotnet", minimal, [.. laboratory.Kestrel, $"DATABASE={laboratory.Database.ConnectionString}"]), new("as it is", "dotnet", shipped, laboratory.Service)])
{
    await peer.StartAsync();
    await HoldAsync(peer, 100); // what the first ones cost is not the connection's
    var before = peer.Memory();
    var held = await HoldAsync(peer, connections);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {peer.Name} | {before:0} | {held:0} | {(held - before) * 1024 / connections:0.0} |"));
    peer.Dispose();
}
foreach (var group in Directory.GetDirectories(Groups(), "lab-*"))
    Directory.Delete(group);

Peer Variant(string name, string program, params string[] settings) => new(name, "dotnet", program, [.. laboratory.Service, .. settings]) { Cores = "0,1", Group = Limit(name) };

// The memory controller stands in a folder of its own (cgroup v1), or in that of all (v2).
static string Groups() => Directory.Exists("/sys/fs/cgroup/memory") ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";

static string Limit(string name)
{
    var group = Directory.CreateDirectory(Path.Combine(Groups(), "lab-" + name.Replace(' ', '-').Replace(",", ""))).FullName;
    File.WriteAllText(Path.Combine(group, Groups().EndsWith("memory", StringComparison.Ordinal) ? "memory.limit_in_bytes" : "memory.max"), "268435456");
    return Path.Combine(group, "cgroup.procs");
}

// Each has had an answer, and waits.
static async Task<double> HoldAsync(Peer peer, int count)
{
    var held = new List<SslStream>();
    await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (_, stop) =>
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, peer.Port, stop);
        var stream = new SslStream(new NetworkStream(socket, ownsSocket: true), leaveInnerStreamOpen: false, (_, _, _, _) => true);
        lock (held)
            held.Add(stream);
        await stream.AuthenticateAsClientAsync("127.0.0.1");
        await AskAsync(stream);
    });
    await AskAsync(held[0]); // it is still there
    var memory = peer.Memory();
    foreach (var stream in held)
        await stream.DisposeAsync();
    return memory;
}

static async Task AskAsync(SslStream stream)
{
    await stream.WriteAsync("GET /v1/empty HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"u8.ToArray());
    var answer = new byte[2048];
    var length = await stream.ReadAsync(answer);
    if (!answer.AsSpan(0, length).StartsWith("HTTP/1.1 2"u8))
        throw new InvalidOperationException("An idle connection got no answer.");
}
