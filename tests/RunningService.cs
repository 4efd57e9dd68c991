using System.Diagnostics;
using System.Text.Json;

namespace TemplateTests;

/// <summary>A service started by `dotnet run`, and stopped with all its processes.</summary>
internal sealed class RunningService : IAsyncDisposable
{
    private const string Listening = "Now listening on: ";
    private static readonly TimeSpan StartLimit = TimeSpan.FromMinutes(1);

    private readonly Process process;
    private readonly List<string> log = [];

    private RunningService(Process process) => this.process = process;

    public HttpClient Client { get; private set; } = null!;

    /// <summary>What it wrote until now.</summary>
    public string Log
    {
        get
        {
            lock (log)
            {
                return string.Join('\n', log);
            }
        }
    }

    public static async Task<RunningService> StartAsync(string directory, IReadOnlyDictionary<string, string> environment, string line, params string[] arguments)
    {
        var service = new RunningService(Command.Start(directory, environment, line, ["--no-build", .. arguments]));
        try
        {
            // It makes its own certificate, which no one on this machine trusts.
            service.Client = new HttpClient(new HttpClientHandler { ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator })
            {
                BaseAddress = await service.AddressAsync(),
            };
            return service;
        }
        catch
        {
            await service.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Client?.Dispose();
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync();
        process.Dispose();
    }

    /// <summary>Reads the log, JSON line by JSON line, up to the one with the address; and all of it from then on, or the service would block.</summary>
    private async Task<Uri> AddressAsync()
    {
        var address = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
        process.OutputDataReceived += (_, line) => Take(line.Data);
        process.ErrorDataReceived += (_, line) => Take(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();

        var first = await Task.WhenAny(address.Task, process.WaitForExitAsync(), Task.Delay(StartLimit, TestContext.Current.CancellationToken));
        lock (log)
        {
            Assert.True(first == address.Task, $"The service did not start:\n{string.Join('\n', log)}");
        }

        return await address.Task;

        void Take(string? line)
        {
            if (line is null)
            {
                return;
            }

            lock (log)
            {
                log.Add(line);
            }

            if (line.StartsWith('{') && line.Contains(Listening, StringComparison.Ordinal))
            {
                var message = JsonSerializer.Deserialize<LogEntry>(line, JsonSerializerOptions.Web)!.Message;
                address.TrySetResult(new Uri(message[Listening.Length..]));
            }
        }
    }

    private sealed record LogEntry(string Message);
}
