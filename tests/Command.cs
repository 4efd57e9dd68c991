using System.Diagnostics;

namespace TemplateTests;

/// <summary>One program run to its end: without a shell, without input, and not for longer than its time limit.</summary>
internal sealed record Command(string Line, int ExitCode, string Output, string Errors)
{
    private static readonly TimeSpan TimeLimit = TimeSpan.FromHours(1);

    /// <param name="directory">Where it runs.</param>
    /// <param name="line">The command as README.md has it, split at its spaces.</param>
    /// <param name="arguments">More arguments, taken as they are.</param>
    public static Task<Command> RunAsync(string directory, string line, params string[] arguments) =>
        RunAsync(directory, new Dictionary<string, string>(), line, arguments);

    public static async Task<Command> RunAsync(
        string directory, IReadOnlyDictionary<string, string> environment, string line, params string[] arguments)
    {
        using var process = Start(directory, environment, line, arguments);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeLimit);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(limit.Token);
            var errors = process.StandardError.ReadToEndAsync(limit.Token);
            await process.WaitForExitAsync(limit.Token);
            return new Command(string.Join(' ', [line, .. arguments]), process.ExitCode, await output, await errors);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
    }

    public static Process Start(string directory, IReadOnlyDictionary<string, string> environment, string line, params string[] arguments)
    {
        var words = line.Split(' ');
        var start = new ProcessStartInfo(words[0], [.. words[1..], .. arguments])
        {
            WorkingDirectory = directory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };

        // What the `dotnet test` around this process sets for itself would steer the builds below it.
        foreach (var name in start.Environment.Keys.Where(n => n.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToList())
        {
            start.Environment.Remove(name);
        }

        // Nothing outlives its command: no build nodes, and no compiler but one that whoever runs the tests has named, and stops.
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0";
        start.Environment["UseSharedCompilation"] = start.Environment.ContainsKey("SharedCompilationId") ? "true" : "false";
        // The tests read what the commands print.
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        start.Environment["DOTNET_NOLOGO"] = "1";
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        var process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }

    /// <summary>Fails with all that was printed, unless the command succeeded and had nothing to complain about.</summary>
    public Command MustSucceed()
    {
        Assert.True(ExitCode == 0 && string.IsNullOrWhiteSpace(Errors), $"{Line}: exit code {ExitCode}\n{Output}\n{Errors}");
        return this;
    }

    /// <summary>Fails unless the command refused, with this exit code and these words among its lines.</summary>
    public void MustFail(int exitCode, string words)
    {
        ExitCode.Should().Be(exitCode, "{0} printed {1}{2}", Line, Output, Errors);
        (Output + Errors).Should().Contain(words);
    }
}
