using System.Diagnostics;

namespace ProductionTemplate.Cli;

/// <summary>A program that is run to its end, with nothing to answer it.</summary>
internal static class Shell
{
    /// <exception cref="OperationCanceledException">It was stopped: by us, or by the Ctrl-C that the terminal gives to all of its programs.</exception>
    public static async Task<(int ExitCode, string Output, string Error)> RunAsync(
        string folder, string program, IEnumerable<string> arguments, CancellationToken cancellation, IReadOnlyDictionary<string, string>? environment = null, string? input = null)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (key, value) in environment ?? new Dictionary<string, string>())
            start.Environment[key] = value;
        using var process = Process.Start(start)!;
        await using var kill = cancellation.Register(() => process.Kill(entireProcessTree: true));
        var (output, error) = (process.StandardOutput.ReadToEndAsync(CancellationToken.None), process.StandardError.ReadToEndAsync(CancellationToken.None));
        if (input is not null)
            await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        await process.WaitForExitAsync(CancellationToken.None);
        cancellation.ThrowIfCancellationRequested();
        return process.ExitCode == 130 ? throw new OperationCanceledException() : (process.ExitCode, await output, await error);
    }
}
