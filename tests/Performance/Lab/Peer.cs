using System.Diagnostics;
using System.Globalization;
using System.Net.NetworkInformation;
using System.Runtime.InteropServices;
using static Lab.Laboratory;

namespace Lab;

/// <param name="Cpu">Microseconds of the process for a request.</param>
/// <param name="Bytes">Allocated for a request; null where the peer does not say.</param>
/// <param name="Rate">Requests a second: as the times in milliseconds, only of one that was measured alone.</param>
public sealed record Figure(double Cpu, double? Bytes, double Rate, double P50, double P99);

public sealed record Work(string Name, string Method, string Path, string? Token)
{
    /// <summary>What is asked of a service with orders.</summary>
    public static Work[] Of(Laboratory laboratory) =>
    [
        new("empty request", "GET", "/v1/empty", null),
        new("product in the cache", "GET", "/v1/products/SKU-7", null),
        new("order by key", "GET", $"/v1/orders/{laboratory.OrderId}", laboratory.Token),
        new("list of 20 orders", "GET", "/v1/orders", laboratory.Token),
        new("place an order", "POST", "/v1/orders", laboratory.Token),
    ];

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

/// <summary>A server that is measured, in a process of its own; its log goes nowhere, but is written.</summary>
/// <param name="runtime">What runs the program: dotnet or node.</param>
public sealed class Peer(string name, string runtime, string program, string[] settings) : IDisposable
{
    private static readonly HttpClient Http = new(new SocketsHttpHandler { SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true }, ActivityHeadersPropagator = null }) { Timeout = TimeSpan.FromSeconds(10) };
    private const int Continue = 18, Stop = 19;

    /// <summary>Those that run: the laboratory stops them, whatever ended the program.</summary>
    internal static readonly HashSet<Peer> Running = [];

    private Process? _process;

    public string Name => name;

    /// <summary>Of the machine, as taskset names them. The load comes from core 0.</summary>
    public string Cores { get; init; } = "1";

    /// <summary>The file of a control group to which it adds itself.</summary>
    public string? Group { get; init; }

    public int Port { get; private set; }

    public int Id => _process!.Id;

    private string Address => $"https://127.0.0.1:{Port}";

    /// <returns>The milliseconds to its first answer. A process that ran is stopped.</returns>
    public async Task<double> StartAsync()
    {
        Dispose();
        Port = FreePort();
        var join = Group is null ? "" : $"echo $$ > {Group}; ";
        var start = new ProcessStartInfo("sh", ["-c", $"{join}exec taskset -c {Cores} {runtime} {program} > /dev/null"]) { WorkingDirectory = Path.GetDirectoryName(program) };
        foreach (var setting in (string[])[$"PORT={Port}", $"ASPNETCORE_URLS={Address}", .. settings])
            start.Environment[setting.Split('=')[0]] = setting.Split('=', 2)[1];
        var watch = Stopwatch.StartNew();
        _process = Process.Start(start)!;
        Running.Add(this);
        while (true)
        {
            try
            {
                using var answer = await Http.GetAsync(Address + "/v1/empty");
                return answer.IsSuccessStatusCode ? watch.Elapsed.TotalMilliseconds : throw new InvalidOperationException($"{name} answered {answer.StatusCode}.");
            }
            catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException)
            {
                if (_process.HasExited || watch.Elapsed > TimeSpan.FromSeconds(30))
                    throw new InvalidOperationException($"{name} does not answer at {Address}: its errors, if it wrote any, are above.", exception);
                await Task.Delay(5);
            }
        }
    }

    /// <summary>All the work in turns, so that soon nothing new is called: only then does the runtime of .NET compile well what is called often. That of node takes a sixth of the time.</summary>
    public async Task WarmUpAsync(Work[] works, int seconds, string folder)
    {
        const int Each = 2;
        for (var spent = 0; spent < (runtime == "dotnet" ? seconds : seconds / 6); spent += Each * works.Length)
        {
            foreach (var work in works)
                await MeasureAsync([this], work, 64, Each, folder);
        }
    }

    /// <summary>Loads them in turns of a fifth of a second: what else the machine does strikes all alike, and the ratio of their costs is one of the same minute.</summary>
    /// <param name="seconds">Of each.</param>
    public static async Task<Figure[]> MeasureAsync(Peer[] peers, Work work, int callers, int seconds, string folder)
    {
        var before = await Task.WhenAll(peers.Select(peer => peer.SpentAsync()));
        var loads = peers.Select(peer => peer.BeginLoad(work, callers, seconds * peers.Length, folder)).ToArray();
        while (Array.FindAll(loads, load => !load.HasExited) is { Length: > 0 } left)
        {
            foreach (var load in left)
            {
                _ = Signal(load.Id, Continue);
                if (!load.WaitForExit(200) && left.Length > 1)
                    _ = Signal(load.Id, Stop);
            }
        }
        var after = await Task.WhenAll(peers.Select(peer => peer.SpentAsync()));
        var figures = new Figure[peers.Length];
        for (var index = 0; index < peers.Length; index++)
        {
            using var load = loads[index];
            var said = await load.StandardOutput.ReadToEndAsync();
            var found = said.Split("figures ") is [_, var line] ? line.Split(' ').Select(figure => double.Parse(figure, CultureInfo.InvariantCulture)).ToArray() : throw new InvalidOperationException($"wrk failed with {load.ExitCode}: {said}");
            if (found[2] > 0)
                throw new InvalidOperationException($"{peers[index].Name} failed {found[2]} of {found[0]} requests: {work.Name}.");
            figures[index] = new((after[index].Cpu - before[index].Cpu) / found[0], (after[index].Bytes - before[index].Bytes) / found[0], found[0] / found[1] * 1e6, found[3] / 1e3, found[4] / 1e3);
        }
        return figures;
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

    public void Dispose()
    {
        Running.Remove(this);
        _process?.Kill(entireProcessTree: true);
        _process?.WaitForExit();
        _process?.Dispose();
        _process = null;
    }

    /// <returns>One below the range of outgoing connections, on which nobody listens.</returns>
    private static int FreePort()
    {
        var taken = IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Select(listener => listener.Port);
        return Random.Shared.GetItems([.. Enumerable.Range(10_000, 20_000).Except(taken)], 1)[0];
    }

    /// <returns>wrk, stopped before it has connected.</returns>
    private Process BeginLoad(Work work, int callers, int seconds, string folder)
    {
        var script = Path.Combine(folder, $"{Port}.lua");
        File.WriteAllText(script, work.Script(Guid.NewGuid().ToString("N")));
        var load = Process.Start(new ProcessStartInfo("taskset", ["-c", "0", "wrk", "-t1", $"-c{callers}", $"-d{seconds}s", "--timeout", "30s", "-s", script, Address + work.Path]) { RedirectStandardOutput = true })!;
        _ = Signal(load.Id, Stop);
        return load;
    }

    private async Task<(double Cpu, double? Bytes)> SpentAsync() =>
        (Cpu(), runtime == "dotnet" ? double.Parse(await Http.GetStringAsync(Address + "/v1/allocated"), CultureInfo.InvariantCulture) : null);

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

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Signal(int process, int signal);
}
