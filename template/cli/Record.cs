using System.Text.Json;
using System.Text.Json.Nodes;
using NuGet.Versioning;

namespace ProductionTemplate.Cli;

/// <summary>.prodapi.json: the version of the template and the answers that were given, from which the same tree is generated again.</summary>
internal sealed record Record(string Package, string Template, NuGetVersion Version, string Name, SortedDictionary<string, string> Options, IReadOnlyList<string> Keep)
{
    public const string File = ".prodapi.json";

    /// <exception cref="Refusal">There is none, or it is not one.</exception>
    public static Record Read(string folder)
    {
        var path = Path.Combine(folder, File);
        if (!System.IO.File.Exists(path))
            throw new Refusal($"There is no {File} in {folder}. Go to the folder of a service that `dotnet new prodapi` wrote, or write one: prodapi link --version VERSION.");
        return Parse(System.IO.File.ReadAllText(path));
    }

    public static Record Parse(string text)
    {
        try
        {
            var json = JsonNode.Parse(text, documentOptions: new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true })!.AsObject();
            string Text(string name) => json[name] is JsonValue value && value.TryGetValue<string>(out var found) ? found : throw new Refusal($"{File} has no text \"{name}\": take it from the history of the file.");
            if (!NuGetVersion.TryParse(Text("version"), out var version))
                throw new Refusal($"{File}: \"{Text("version")}\" is no version.");
            var options = json["options"]?.AsObject().ToDictionary(option => option.Key, option => option.Value!.ToString()) ?? throw new Refusal($"{File} has no \"options\": take them from the history of the file.");
            return new(Text("package"), Text("template"), version, Text("name"), new(options, StringComparer.Ordinal), [.. json["keep"]?.AsArray().Select(each => each!.ToString()) ?? []]);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException)
        {
            throw new Refusal($"{File} is no JSON of the form that the template writes: {e.Message}");
        }
    }
}
