namespace Engines;

/// <summary>What watches the service. It reads its configuration at the start, when the ports of all others are known.</summary>
internal abstract class MonitorServer(string? program, string package, string file) : Server(program is not null, $"{package}'s program is not on this machine, so what deploy/monitoring ships is not tested: install the package {package}.")
{
    public override string ConnectionString => $"http://127.0.0.1:{Port}";

    public override string TlsConnectionString => throw new NotSupportedException();

    protected override string[] Command => [program!, $"--config.file={file}", $"--web.listen-address=127.0.0.1:{Port}", "--log.level=warn"];

    protected override Task PrepareAsync() => Task.CompletedTask;

    protected override async Task<bool> AnswersAsync() => (await AskAsync("GET /-/ready HTTP/1.0\r\n\r\n")).Contains(" 200 ", StringComparison.Ordinal);

    protected static string? Find(params string[] names) =>
        (from folder in Environment.GetEnvironmentVariable("PATH")!.Split(':') from name in names select Path.Combine(folder, name)).FirstOrDefault(File.Exists);
}

internal sealed class PrometheusServer(string file) : MonitorServer(Find("prometheus"), "prometheus", file)
{
    protected override string[] Command => [.. base.Command, "--storage.tsdb.path=data"];
}

internal sealed class AlertmanagerServer(string file) : MonitorServer(Find("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager", file)
{
    protected override string[] Command => [.. base.Command, "--storage.path=data", "--cluster.listen-address="];
}
