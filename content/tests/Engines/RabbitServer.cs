namespace Engines;

/// <summary>
/// Starts in four to five seconds. A quorum queue outlives a kill from three seconds after its declaration on: so long Debian's
/// RabbitMQ 3.10 keeps its name in memory alone.
/// </summary>
internal sealed class RabbitServer() : Server(Available, "RabbitMQ's programs are not on this machine: install the package rabbitmq-server.")
{
    private static readonly string? Programs = Find("/usr/lib/rabbitmq/lib", "sbin", "rabbitmq-server");
    private readonly int _distribution = FreePort();
    private readonly int _names = FreePort();

    public static bool Available => Programs is not null;

    public override string ConnectionString => $"amqp://guest:guest@127.0.0.1:{Port}";

    public override string TlsConnectionString => $"amqps://guest:guest@127.0.0.1:{TlsPort}";

    /// <summary>Runs rabbitmqctl: a third of a second.</summary>
    /// <returns>What it printed.</returns>
    public async Task<string> CtlAsync(params string[] arguments)
    {
        var before = Log.Length;
        await RunAsync([Path.Combine(Programs!, "rabbitmqctl"), "-q", .. arguments]);
        return Log[before..];
    }

    protected override string[] Command => [Path.Combine(Programs!, "rabbitmq-server")];

    protected override IReadOnlyDictionary<string, string> Variables => new Dictionary<string, string>
    {
        ["HOME"] = Folder, // with the cookie
        ["LANG"] = "C.UTF-8",
        ["ERL_EPMD_ADDRESS"] = "127.0.0.1",
        ["ERL_EPMD_PORT"] = $"{_names}",
        ["RABBITMQ_NODENAME"] = $"test{Port}@localhost",
        ["RABBITMQ_NODE_IP_ADDRESS"] = "127.0.0.1",
        ["RABBITMQ_NODE_PORT"] = $"{Port}",
        ["RABBITMQ_DIST_PORT"] = $"{_distribution}",
        ["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = "-kernel inet_dist_use_interface {127,0,0,1}",
        ["RABBITMQ_MNESIA_BASE"] = Path.Combine(Folder, "data"),
        ["RABBITMQ_LOG_BASE"] = Path.Combine(Folder, "log"),
        ["RABBITMQ_CONFIG_FILE"] = Path.Combine(Folder, "rabbitmq"),
        ["RABBITMQ_ENABLED_PLUGINS_FILE"] = Path.Combine(Folder, "plugins"),
        ["RUNNING_UNDER_SYSTEMD"] = "true", // else a shell stands between, which answers a signal by rabbitmqctl
    };

    protected override async Task PrepareAsync()
    {
        await File.WriteAllTextAsync(Path.Combine(Folder, "plugins"), "[].");
        await File.WriteAllTextAsync(Path.Combine(Folder, "rabbitmq.conf"), "vm_memory_high_watermark.absolute = 1GiB\ndisk_free_limit.absolute = 50MB\n"
            + (Certificate is null ? "" : $"listeners.ssl.1 = 127.0.0.1:{TlsPort}\nssl_options.certfile = {Folder}/tls.crt\nssl_options.keyfile = {Folder}/tls.key\nssl_options.verify = verify_none\n"));
        // A child of ours: the one that Erlang starts leaves the folder, and would outlive the server.
        Launch("epmd", "-address", "127.0.0.1", "-port", $"{_names}").Dispose();
    }

    protected override async Task<bool> AnswersAsync() => (await AskAsync(Header)).StartsWith('\u0001') // Connection.Start: listeners come last
        && (Certificate is null || (await AskAsync(Header, TlsPort)).Length > 0); // an alert

    private const string Header = "AMQP\0\0\u0009\u0001";
}
