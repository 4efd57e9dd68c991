namespace Engines;

/// <summary>Keeps every write that it has answered.</summary>
internal sealed class RedisServer(params string[] arguments) : Server(Available, "redis-server is not on this machine: install the package redis-server.")
{
    private static readonly string? Program = Environment.GetEnvironmentVariable("PATH")!.Split(':').Select(folder => Path.Combine(folder, "redis-server")).FirstOrDefault(File.Exists);

    public static bool Available => OperatingSystem.IsLinux() && Program is not null;

    public override string ConnectionString => $"127.0.0.1:{Port}";

    public override string TlsConnectionString => $"127.0.0.1:{TlsPort},ssl=true";

    /// <summary>One command as one would type it, and the start of its answer.</summary>
    public Task<string> CommandAsync(string command) => AskAsync(command + "\r\n");

    protected override string[] Command => [Program!, "--bind", "127.0.0.1", "--port", $"{Port}", "--save", "", "--appendonly", "yes", "--appendfsync", "no", .. Encryption, .. arguments];

    private string[] Encryption => Certificate is null ? [] : ["--tls-port", $"{TlsPort}", "--tls-cert-file", "tls.crt", "--tls-key-file", "tls.key", "--tls-ca-cert-file", "tls.crt", "--tls-auth-clients", "no"];

    protected override Task PrepareAsync() => Task.CompletedTask;

    protected override async Task<bool> AnswersAsync() => await CommandAsync("PING") is ['+', ..] or ['-', 'N', 'O', 'A', ..]; // PONG, or a password is wanted
}
