using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using NuGet.Versioning;

namespace ProductionTemplate.Cli;

/// <summary>Where versions of the template come from.</summary>
/// <param name="source">A folder of packages or the address of a feed; null for the feeds that NuGet is set up for.</param>
internal sealed class Packages(string? source, CancellationToken cancellation)
{
    /// <summary>What a template calls the action to run a program after it has written its files.</summary>
    private const string RunScript = "3A7C4B45-1F5D-4A30-959A-51B88E82B5D2";

    private readonly bool _isFolder = source is not null && (Directory.Exists(source) || !source.Contains("://", StringComparison.Ordinal));

    /// <summary>The newest; a prerelease only for who has one.</summary>
    public async Task<NuGetVersion> LatestAsync(Record record) =>
        (_isFolder ? VersionsInFolder(record.Package) : await VersionsInFeedsAsync(record.Package)).Where(version => !version.IsPrerelease || record.Version.IsPrerelease).Append(record.Version).Max()!;

    private IEnumerable<NuGetVersion> VersionsInFolder(string package) => !Directory.Exists(source)
        ? throw new Refusal($"There is no folder {source}.")
        : Directory.GetFiles(source, $"{package}.*.nupkg").Select(file => NuGetVersion.TryParse(Path.GetFileNameWithoutExtension(file)[(package.Length + 1)..], out var version) ? version : null).OfType<NuGetVersion>();

    private async Task<IEnumerable<NuGetVersion>> VersionsInFeedsAsync(string package)
    {
        var (_, output, error) = await Shell.RunAsync(".", "dotnet",
            ["package", "search", package, "--exact-match", "--prerelease", "--format", "json", .. source is null ? (string[])[] : ["--source", source]], cancellation);
        try
        {
            var feeds = JsonNode.Parse(output[output.IndexOf('{', StringComparison.Ordinal)..])!["searchResult"]!.AsArray();
            var found = feeds.SelectMany(feed => feed!["packages"]?.AsArray() ?? []).Select(each => NuGetVersion.Parse($"{each!["version"]}")).ToList();
            return found.Count > 0 ? found : throw new Refusal($"No feed answers with a version of {package}. Is there a network? Else name a folder that has its packages: --source FOLDER.");
        }
        catch (Exception e) when (e is JsonException or ArgumentOutOfRangeException or NullReferenceException)
        {
            throw new Refusal($"The feeds of NuGet cannot be asked: {Short(error + '\n' + output)}. Name a folder of packages instead: --source FOLDER.");
        }
    }

    /// <summary>Writes what a version makes of the answers into a folder, by a hive of its own. Nothing that is in the package runs.</summary>
    /// <param name="since">The version that the answers were given to: options that were renamed or dropped since are translated.</param>
    public async Task GenerateAsync(Record record, NuGetVersion since, string folder)
    {
        var hive = folder + ".hive";
        var package = $"{record.Package}@{record.Version}";
        if (_isFolder && !File.Exists(package = Path.Combine(Path.GetFullPath(source!), $"{record.Package}.{record.Version}.nupkg")))
            throw new Refusal($"{source} has no {record.Package} {record.Version}, but {string.Join(", ", VersionsInFolder(record.Package).Order())}. An update takes two versions: the one that wrote the service and the one that it goes to.");
        await NewAsync(["install", package, .. source is null || _isFolder ? (string[])[] : ["--add-source", source]], $"{record.Package} {record.Version} cannot be had");
        using var zip = ZipFile.OpenRead(Directory.GetFiles(hive, "*.nupkg", SearchOption.AllDirectories).Single());
        var options = Translate(record.Options, since, record.Version, zip).SelectMany(option => (string[])[$"--{option.Key}", option.Value]);
        string[] noScripts = Text(zip, ".template.config/template.json")?.Contains(RunScript, StringComparison.OrdinalIgnoreCase) == true ? ["--allow-scripts", "No"] : []; // an option that only such a template has
        await NewAsync(
            [record.Template, "-n", record.Name, "-o", folder, "--no-restore", "--no-update-check", .. noScripts, .. options],
            $"{record.Package} {record.Version} does not take the answers");

        async Task NewAsync(string[] arguments, string failure)
        {
            var (exitCode, output, error) = await Shell.RunAsync(".", "dotnet", ["new", .. arguments, "--debug:custom-hive", hive], cancellation);
            if (exitCode != 0)
                throw new Refusal($"{failure}: {Short(error + '\n' + output)}.");
        }
    }

    /// <summary>By data in the package, never by a script: options.json lists as what an option of older versions, or one value of it, stands since a version; as nothing where it was dropped.</summary>
    private static SortedDictionary<string, string> Translate(IReadOnlyDictionary<string, string> options, NuGetVersion from, NuGetVersion to, ZipArchive package)
    {
        var translated = new SortedDictionary<string, string>(options.ToDictionary(), StringComparer.Ordinal);
        var changes = JsonSerializer.Deserialize<List<Change>>(Text(package, "options.json") ?? "[]", JsonSerializerOptions.Web)!;
        foreach (var change in changes.Where(change => NuGetVersion.Parse(change.Since) is var since && since > from && since <= to))
        {
            if (!translated.TryGetValue(change.Option, out var value) || (change.Value ?? value) != value)
                continue;
            translated.Remove(change.Option);
            foreach (var (option, other) in change.Becomes)
                translated.TryAdd(option, other.Replace("{value}", value, StringComparison.Ordinal)); // unless it is given under its new name
        }
        return translated;
    }

    private static string? Text(ZipArchive package, string file)
    {
        if (package.GetEntry(file) is not { } entry)
            return null;
        using var reader = new StreamReader(entry.Open());
        return reader.ReadToEnd();
    }

    private static string Short(string text) =>
        string.Join(' ', text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).TakeWhile(line => !line.StartsWith("For ", StringComparison.Ordinal)).Take(5)).TrimEnd('.', ':');

    private sealed record Change(string Since, string Option, string? Value, Dictionary<string, string> Becomes);
}
