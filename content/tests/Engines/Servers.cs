using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Npgsql;

namespace Engines;

/// <summary>
/// An engine of a test's own, from this machine's packages, on a free port of loopback: one that a test may kill and freeze.
/// All of its processes work in its folder: by that they are found, whoever their parent is.
/// </summary>
internal abstract class Server : IAsyncDisposable
{
    private const int Kills = 9, Stops = 19, Continues = 18;

    // Outlives the test process by a moment, however that ends, and leaves nothing behind.
    private const string Guard = """
        trap '' INT TERM HUP; cat >/dev/null
        while found=; for p in /proc/[0-9]*; do case $(readlink $p/cwd) in "$0"|"$0"/*) kill -9 ${p#/proc/} && found=1;; esac; done; [ $found ]; do sleep 0.01; done
        rm -rf "$0"
        """;

    private static readonly HashSet<int> Taken = [];
    private readonly Process _guard;
    private Process? _process;

    protected Server(bool available, string reason)
    {
        Assert.SkipUnless(available, reason);
        Folder = Directory.CreateTempSubdirectory("storefront-server-").FullName;
        var start = new ProcessStartInfo("sh", ["-c", Guard, Folder]) { RedirectStandardInput = true, RedirectStandardError = true };
        _guard = Process.Start(start)!;
        Port = FreePort();
    }

    public int Port { get; }

    protected int TlsPort { get; } = FreePort();

    public abstract string ConnectionString { get; }

    public abstract string TlsConnectionString { get; }

    /// <summary>PEM files of a certificate and its key: with them it speaks TLS as well. A change counts from the next start on.</summary>
    public (string Certificate, string Key)? Certificate { get; set; }

    /// <summary>What it wrote since it was created.</summary>
    public string Log => File.ReadAllText(Path.Combine(Folder, "server.log"));

    protected string Folder { get; }

    /// <summary>Returns when it answers. After a <see cref="Kill"/> or <see cref="StopAsync"/>: on the same port, with the same data.</summary>
    public async Task StartAsync()
    {
        await PrepareAsync();
        if (Certificate is var (certificate, key))
        {
            File.Copy(certificate, Path.Combine(Folder, "tls.crt"), overwrite: true);
            File.Copy(key, Path.Combine(Folder, "tls.key"), overwrite: true);
            await RunAsync("chmod", "600", "tls.key");
            await RunAsync("chown", "--reference", ".", "tls.crt", "tls.key");
        }
        _process = Launch(Command);
        for (var watch = Stopwatch.StartNew(); !await AnswersAsync(); await Task.Delay(20))
        {
            if (_process.HasExited || watch.Elapsed > TimeSpan.FromSeconds(120)) // far away: a busy machine takes its time
                throw new InvalidOperationException($"{GetType().Name} did not start:\n{Log}");
        }
    }

    /// <summary>As a machine that loses its power: no process of it is left when this returns.</summary>
    public void Kill() => Signal(Kills, until: () => !Processes().Any());

    /// <summary>As a machine that hangs: connections stay open and can be opened, and nothing answers.</summary>
    public void Freeze() => Signal(Stops, until: () => Processes().All(id => State(id) == 'T'));

    public void Thaw() => Signal(Continues, until: () => Processes().All(id => State(id) != 'T'));

    /// <summary>As an operator stops it: open connections are told.</summary>
    public async Task StopAsync()
    {
        _ = SendSignal(_process!.Id, StopSignal);
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await _process.WaitForExitAsync(deadline.Token);
        Kill();
    }

    public async ValueTask DisposeAsync()
    {
        _guard.StandardInput.Close();
        await _guard.WaitForExitAsync();
        _guard.Dispose();
        _process?.Dispose();
    }

    protected abstract string[] Command { get; }

    /// <summary>SIGTERM, unless a server wants another.</summary>
    protected virtual int StopSignal => 15;

    protected virtual IReadOnlyDictionary<string, string> Variables => new Dictionary<string, string>();

    protected abstract Task PrepareAsync();

    protected abstract Task<bool> AnswersAsync();

    protected Process Launch(params string[] command)
    {
        var start = new ProcessStartInfo("sh", ["-c", "exec \"$@\" >>server.log 2>&1 </dev/null", "sh", .. command]) { WorkingDirectory = Folder };
        foreach (var (name, value) in Variables)
            start.Environment[name] = value;
        return Process.Start(start)!;
    }

    protected async Task RunAsync(params string[] command)
    {
        using var process = Launch(command);
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{string.Join(' ', command)} ended with {process.ExitCode}:\n{Log}");
    }

    /// <summary>Sends a first message; the start of the answer, or nothing where there is none.</summary>
    protected async Task<string> AskAsync(string message, int? port = null)
    {
        try
        {
            using var tcp = new TcpClient { ReceiveTimeout = 5000 };
            await tcp.ConnectAsync(IPAddress.Loopback, port ?? Port);
            await tcp.GetStream().WriteAsync(Encoding.Latin1.GetBytes(message));
            var answer = new byte[512];
            return Encoding.Latin1.GetString(answer, 0, tcp.GetStream().Read(answer));
        }
        catch (Exception error) when (error is SocketException or IOException)
        {
            return "";
        }
    }

    /// <summary>Below the range of outgoing connections: no socket of another program takes it between two starts.</summary>
    public static int FreePort()
    {
        while (true)
        {
            var port = Random.Shared.Next(10_000, 32_000);
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                lock (Taken)
                {
                    if (Taken.Add(port))
                        return port;
                }
            }
            catch (SocketException) // in use: another
            {
            }
        }
    }

    /// <summary>The newest of the folders that have the file.</summary>
    protected static string? Find(string parent, string below, string file) => !Directory.Exists(parent) ? null : Directory.GetDirectories(parent)
        .Select(folder => Path.Combine(folder, below)).Where(folder => File.Exists(Path.Combine(folder, file)))
        .OrderBy(folder => folder.Length).ThenBy(folder => folder, StringComparer.Ordinal).LastOrDefault();

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int SendSignal(int process, int signal);

    private IEnumerable<int> Processes() => Directory.GetDirectories("/proc").Select(Path.GetFileName)
        .Where(name => char.IsDigit(name![0]) && Within(name)).Select(name => int.Parse(name!, null));

    private bool Within(string process)
    {
        try
        {
            return new FileInfo($"/proc/{process}/cwd").LinkTarget is { } folder && (folder + "/").StartsWith(Folder + "/", StringComparison.Ordinal);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) // ended meanwhile, or of another user
        {
            return false;
        }
    }

    private static char State(int process)
    {
        try
        {
            var line = File.ReadAllText($"/proc/{process}/stat");
            return line[line.LastIndexOf(')') + 2];
        }
        catch (IOException)
        {
            return ' ';
        }
    }

    /// <summary>Again, as long as there are new ones: a server forks while it is looked at.</summary>
    private void Signal(int signal, Func<bool> until)
    {
        for (var watch = Stopwatch.StartNew(); ; Thread.Sleep(1))
        {
            foreach (var id in Processes())
                _ = SendSignal(id, signal);
            if (until())
                return;
            if (watch.Elapsed > TimeSpan.FromSeconds(10))
                throw new TimeoutException($"Signal {signal} did not reach every process of {GetType().Name}.");
        }
    }
}

/// <param name="password">Without one it trusts every connection.</param>
internal sealed class PostgresServer(string? password = null, params string[] settings) : Server(Available, "PostgreSQL's programs are not on this machine: install the package postgresql.")
{
    private static readonly string? Programs = Find("/usr/lib/postgresql", "bin", "postgres");

    // It refuses to run as root.
    private static readonly string[] User = Environment.IsPrivilegedProcess ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"] : [];

    private PostgresServer? _primary;

    public static bool Available => Programs is not null;

    /// <summary>As of the command line, `name=value`; a change counts from the next start on.</summary>
    public List<string> Settings { get; } = [.. settings];

    /// <summary>That of a superuser.</summary>
    public override string ConnectionString => To("postgres");

    public override string TlsConnectionString => ConnectionString + ";SSL Mode=VerifyFull";

    public string To(string database) => $"Host=127.0.0.1;Port={Port};Username=app;Database={database}" + (password is null ? "" : $";Password={password}");

    /// <returns>Its connection string.</returns>
    public async Task<string> CreateDatabaseAsync(string name)
    {
        await PostgresDatabases.CreateAsync(ConnectionString, name);
        return To(name);
    }

    /// <summary>A running standby that streams from this one; not a synchronous one.</summary>
    public async Task<PostgresServer> StandbyAsync()
    {
        var standby = new PostgresServer(password, [.. Settings]) { _primary = this };
        await standby.StartAsync();
        return standby;
    }

    /// <summary>Makes a standby a primary. It does not ask whether the old one is gone.</summary>
    public Task PromoteAsync() => PostgresDatabases.ExecuteAsync(ConnectionString, "SELECT pg_promote()");

    protected override string[] Command => Postgres("postgres",
        [
            "-D", "data", "-p", $"{Port}",
            .. ((string[])["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "wal_keep_size=512MB", .. Encryption, .. Settings]).SelectMany(setting => (string[])["-c", setting]),
        ]);

    private string[] Encryption => Certificate is null ? [] : ["ssl=on", "ssl_cert_file=../tls.crt", "ssl_key_file=../tls.key"];

    protected override int StopSignal => 2; // "fast": SIGTERM would wait for the clients

    protected override IReadOnlyDictionary<string, string> Variables => new Dictionary<string, string> { ["PGPASSWORD"] = password ?? "", ["LC_ALL"] = "C.UTF-8" };

    protected override async Task PrepareAsync()
    {
        if (File.Exists(Path.Combine(Folder, "data", "PG_VERSION")))
            return;
        await File.WriteAllTextAsync(Path.Combine(Folder, "password"), password);
        if (User is not [])
            await RunAsync("chown", "-R", "postgres:", Folder);
        string[] secret = password is null ? ["-A", "trust"] : ["-A", "scram-sha-256", "--pwfile=password"];
        await RunAsync(_primary is null
            ? Postgres("initdb", ["-D", "data", "-U", "app", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", .. secret])
            : Postgres("pg_basebackup", "-D", "data", "-h", "127.0.0.1", "-p", $"{_primary.Port}", "-U", "app", "-R", "-X", "stream", "-c", "fast", "--no-sync"));
    }

    protected override async Task<bool> AnswersAsync()
    {
        try
        {
            await PostgresDatabases.ExecuteAsync(ConnectionString + ";Timeout=5", "SELECT 1");
            return true;
        }
        catch (NpgsqlException)
        {
            return false;
        }
    }

    /// <summary>Of its own version: an older pg_dump refuses a newer server.</summary>
    public static string Program(string name) => Path.Combine(Programs!, name);

    private static string[] Postgres(string program, params string[] arguments) => [.. User, Program(program), .. arguments];
}

/// <summary>Databases of a test's own on any server.</summary>
internal static class PostgresDatabases
{
    /// <summary>Sorted as people sort, where the server can: hyphens do not count, digits come last. SQL that relies on the order of bytes shows itself.</summary>
    public static async Task CreateAsync(string server, string name)
    {
        try
        {
            await ExecuteAsync(server, $"CREATE DATABASE \"{name}\" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US-u-ka-shifted-kr-latn-digit'");
        }
        catch (PostgresException error) when (error.SqlState is "42601" or "0A000" or "22023") // before version 15, or without ICU
        {
            await ExecuteAsync(server, $"CREATE DATABASE \"{name}\"");
        }
    }

    public static async Task ExecuteAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}

/// <summary>A way to a server that a test can cut and stall.</summary>
internal sealed class FaultyNetwork : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private volatile CancellationTokenSource _cut = new();

    public FaultyNetwork(int target)
    {
        _listener.Start();
        _ = AcceptAsync(target);
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>While it is, no byte is lost and none arrives.</summary>
    public bool Stalled { get; set; }

    /// <summary>Resets every connection, and each new one, until <see cref="Heal"/>.</summary>
    public void Cut() => _cut.Cancel();

    public void Heal() => _cut = new CancellationTokenSource();

    public void Dispose()
    {
        _listener.Dispose();
        Cut();
    }

    private async Task AcceptAsync(int target)
    {
        while (true)
            _ = ForwardAsync(await _listener.AcceptTcpClientAsync(), target, _cut.Token);
    }

    private async Task ForwardAsync(TcpClient near, int target, CancellationToken cut)
    {
        using var far = new TcpClient();
        try
        {
            await far.ConnectAsync(IPAddress.Loopback, target, cut);
            await await Task.WhenAny(CopyAsync(near.GetStream(), far.GetStream(), cut), CopyAsync(far.GetStream(), near.GetStream(), cut));
        }
        catch (Exception error) when (error is SocketException or IOException or OperationCanceledException) // as it was wanted, or one side is gone
        {
        }
        near.Client.Close(0);
    }

    private async Task CopyAsync(NetworkStream from, NetworkStream to, CancellationToken cut)
    {
        for (var buffer = new byte[64 * 1024]; await from.ReadAsync(buffer, cut) is var count and > 0; await to.WriteAsync(buffer.AsMemory(0, count), cut))
        {
            while (Stalled)
                await Task.Delay(5, cut);
        }
    }
}
