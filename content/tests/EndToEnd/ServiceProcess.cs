using System.Diagnostics;
using System.Text.Json;

namespace EndToEnd;

/// <summary>One run of the program, with nothing of this machine's environment but what is given.</summary>
internal sealed class ServiceProcess : IAsyncDisposable
{
    private static readonly string[] Inherited = ["PATH", "DOTNET_ROOT"];
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly Process _process;
    private readonly List<string> _lines = [];
    private readonly Task _reading;
    private readonly Task<string> _errors;

    /// <param name="command">That starts the program, and ends with the arguments to it.</param>
    public ServiceProcess(IReadOnlyDictionary<string, string> environment, params string[] command)
    {
        var start = new ProcessStartInfo(command[0], command[1..])
        {
            WorkingDirectory = AppContext.BaseDirectory, // with the appsettings.json
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Except(Inherited).ToList())
            start.Environment.Remove(name);
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        _process = Process.Start(start)!;
        _reading = ReadAsync();
        _errors = _process.StandardError.ReadToEndAsync();
    }

    /// <summary>Where it listens.</summary>
    public Uri Address { get; private set; } = null!;

    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (_lines)
            {
                return [.. _lines];
            }
        }
    }

    /// <summary>The log: each line must be one JSON object, and have no name twice.</summary>
    public IEnumerable<JsonElement> Log => Lines.Select(line => JsonElement.Parse(line, Strict));

    public async Task ListenAsync()
    {
        var line = await LineAsync(line => line.Is("ListeningOnAddress"));
        Address = new Uri(line.GetProperty("address").GetString()!);
    }

    /// <summary>The first line that fits, as soon as it is written.</summary>
    public async Task<JsonElement> LineAsync(Func<JsonElement, bool> fits)
    {
        await Eventually.TrueAsync(() =>
        {
            var ended = _reading.IsCompleted; // asked first: it may end between the two, right after the line
            return Log.Any(fits) || (ended ? throw new InvalidOperationException($"It ended first:\n{string.Join('\n', Lines)}") : false);
        });
        return Log.First(fits);
    }

    /// <summary>In KiB, what it has in memory.</summary>
    public long ResidentSize => long.Parse(File.ReadLines($"/proc/{_process.Id}/status").First(line => line.StartsWith("VmRSS", StringComparison.Ordinal)).Split(' ')[^2], null);

    public void Kill() => _process.Kill();

    public void Terminate() => Signal("TERM");

    public void Freeze() => Signal("STOP");

    public void Thaw() => Signal("CONT");

    /// <summary>Waits until the program has ended by itself.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> ExitAsync()
    {
        var exitCode = await EndAsync();
        (await _errors).Should().BeEmpty();
        return exitCode;
    }

    /// <summary>The same where the runtime, too, has something to say about it.</summary>
    public async Task<int> EndAsync()
    {
        using var deadline = new CancellationTokenSource(Eventually.Deadline);
        await _process.WaitForExitAsync(deadline.Token);
        await _reading;
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        await _reading;
        _process.Dispose();
    }

    private void Signal(string name)
    {
        using var kill = Process.Start("sh", ["-c", $"kill -{name} {_process.Id}"]);
        kill.WaitForExit();
    }

    private async Task ReadAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            lock (_lines)
            {
                _lines.Add(line);
            }
        }
    }
}

internal static class Eventually
{
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    public static Task TrueAsync(Func<bool> condition) => TrueAsync(() => Task.FromResult(condition()));

    /// <summary>Asks until the answer is yes. The deadline is far away: it only ends a test that has failed.</summary>
    public static async Task TrueAsync(Func<Task<bool>> condition)
    {
        var started = Stopwatch.GetTimestamp();
        while (!await condition())
        {
            if (Stopwatch.GetElapsedTime(started) > Deadline)
                throw new TimeoutException("It never happened.");
            await Task.Delay(20);
        }
    }
}

internal static class LogLine
{
    public static bool Is(this JsonElement line, string name) => line.Text("event") == name;

    public static string? Text(this JsonElement line, string name) => line.TryGetProperty(name, out var value) ? value.ToString() : null;
}
