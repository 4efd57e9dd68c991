using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using NuGet.Versioning;

namespace ProductionTemplate.Cli;

/// <summary>Where versions of the template come from: a folder of packages, or the feeds that NuGet is set up for.</summary>
internal sealed class Packages(string? source, CancellationToken cancellation)
{
    /// <summary>All there are of the package, oldest first.</summary>
    public async Task<IReadOnlyList<NuGetVersion>> VersionsAsync(string package)
    {
        if (source is not null && Directory.Exists(source))
        {
            return [.. Directory.GetFiles(source, $"{package}.*.nupkg").Select(Path.GetFileNameWithoutExtension)
                .Select(name => NuGetVersion.TryParse(name![(package.Length + 1)..], out var version) ? version : null).OfType<NuGetVersion>().Order()];
        }
        string[] from = source is null ? [] : ["--source", source];
        var (exitCode, output, error) = await Shell.RunAsync(".", "dotnet", ["package", "search", package, "--exact-match", "--prerelease", "--format", "json", .. from], cancellation: cancellation);
        try
        {
            var found = JsonNode.Parse(output[output.IndexOf('{')..])!["searchResult"]!.AsArray().SelectMany(feed => feed!["packages"]?.AsArray() ?? [])
                .Select(each => NuGetVersion.Parse(each!["version"]!.ToString())).Distinct().Order().ToList();
            return found.Count > 0 ? found : throw new Refusal($"No feed has {package}. Name a folder that has it: --source FOLDER.");
        }
        catch (Exception e) when (e is JsonException or ArgumentOutOfRangeException or NullReferenceException)
        {
            throw new Refusal($"The feeds of NuGet cannot be asked ({(error + output).Trim().Split('\n')[0]}). Try again, or name a folder of packages: --source FOLDER.");
        }
    }

    /// <summary>Writes what a version makes of the answers into a folder, by a hive of its own. No script of the template runs.</summary>
    /// <param name="since">The version that the answers were given to: options that were renamed or dropped since are translated.</param>
    public async Task GenerateAsync(Record record, NuGetVersion since, string folder)
    {
        var hive = Directory.CreateTempSubdirectory("prodapi-hive-").FullName;
        try
        {
            var file = source is null ? null : Path.Combine(Path.GetFullPath(source), $"{record.Package}.{record.Version}.nupkg");
            string[] what = file is not null && File.Exists(file) ? [file] : [$"{record.Package}@{record.Version}", .. source is null ? (string[])[] : ["--add-source", source]];
            var installed = await Shell.RunAsync(".", "dotnet", ["new", "install", .. what, "--force", "--debug:custom-hive", hive], cancellation: cancellation);
            if (installed.ExitCode != 0)
                throw new Refusal($"{record.Package} {record.Version} cannot be had: {FirstLine(installed)}. Name a folder that has it: --source FOLDER.");
            var options = Translate(record.Options, since, record.Version, Directory.GetFiles(hive, "*.nupkg", SearchOption.AllDirectories).Single());
            var made = await Shell.RunAsync(".", "dotnet",
                ["new", record.Template, "-n", record.Name, "-o", folder, "--no-restore", "--allow-scripts", "No", .. options.SelectMany(option => (string[])[$"--{option.Key}", option.Value]), "--debug:custom-hive", hive], cancellation: cancellation);
            if (made.ExitCode != 0)
                throw new Refusal($"{record.Package} {record.Version} does not take the answers in {Record.File}: {FirstLine(made)}.");
        }
        finally
        {
            Directory.Delete(hive, recursive: true);
        }
    }

    /// <summary>By a table in the package, never by a script: options.json lists since which version an option, with a value or any, stands as others or as none.</summary>
    private static SortedDictionary<string, string> Translate(SortedDictionary<string, string> options, NuGetVersion from, NuGetVersion to, string package)
    {
        using var zip = ZipFile.OpenRead(package);
        if (zip.GetEntry("options.json") is not { } entry)
            return options;
        using var stream = entry.Open();
        var translated = new SortedDictionary<string, string>(options, StringComparer.Ordinal);
        foreach (var change in JsonSerializer.Deserialize<List<Change>>(stream, JsonSerializerOptions.Web)!.Where(change => NuGetVersion.Parse(change.Since) is var since && since > from && since <= to))
        {
            if (!translated.TryGetValue(change.Option, out var value) || (change.Value is not null && change.Value != value))
                continue;
            translated.Remove(change.Option);
            foreach (var (option, other) in change.Becomes)
                translated[option] = other.Replace("{value}", value, StringComparison.Ordinal);
        }
        return translated;
    }

    private sealed record Change(string Since, string Option, string? Value, Dictionary<string, string> Becomes);

    private static string FirstLine((int, string Output, string Error) run) => (run.Error + '\n' + run.Output).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).FirstOrDefault("it said nothing").TrimEnd('.');
}
