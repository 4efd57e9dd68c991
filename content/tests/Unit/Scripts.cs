using System.Diagnostics;
using YamlDotNet.Core;
using YamlDotNet.Serialization;

namespace Unit;

/// <summary>Runs a script of the repository in a folder of its own, where programs stand in for those that it calls.</summary>
internal sealed class Scripts : IDisposable
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("storefront-scripts-").FullName;

    /// <summary>A program that comes before the real one.</summary>
    public void Fake(string name, string script)
    {
        var file = Path.Combine(Folder, name);
        File.WriteAllText(file, "#!/usr/bin/env bash\n" + script.ReplaceLineEndings("\n") + "\n"); // a source file may have others
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Copies files, for a script that writes.</summary>
    /// <returns>The folder that stands for the repository.</returns>
    public string Copy(params IEnumerable<string> files)
    {
        var copy = Directory.CreateDirectory(Path.Combine(Folder, "copy")).FullName;
        foreach (var file in files)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(copy, file))!);
            File.Copy(Path.Combine(Repository.Root, file), Path.Combine(copy, file));
        }
        return copy;
    }

    public (int ExitCode, string Output) Run(string script, params string[] arguments)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Not tested: the scripts, which need bash.");
        var start = new ProcessStartInfo("bash", [Path.Combine(Repository.Root, script), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Folder };
        start.Environment["PATH"] = $"{Folder}:{start.Environment["PATH"]}";
        start.Environment["PROMETHEUS_URL"] = "http://localhost:9090";
        start.Environment["WATCH_SECONDS"] = start.Environment["WATCH_PAUSE"] = "0";
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }

    public static Dictionary<string, object> Yaml(string text) => new DeserializerBuilder().Build().Deserialize<Dictionary<string, object>>(new MergingParser(new Parser(new StringReader(text))));

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
