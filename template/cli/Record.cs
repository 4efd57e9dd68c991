using System.Text.Json;
using System.Text.Json.Nodes;
using NuGet.Versioning;

namespace ProductionTemplate.Cli;

/// <summary>.prodapi.json: the version of the template and the answers that were given, from which the same tree is generated again.</summary>
/// <param name="Keep">Patterns of files that are the user's own, as git's `:(glob)` has them: no update touches them.</param>
internal sealed record Record(string Package, string Template, NuGetVersion Version, string Name, IReadOnlyDictionary<string, string> Options, IReadOnlyList<string> Keep)
{
    public const string File = ".prodapi.json";

    private static readonly JsonDocumentOptions Lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <exception cref="Refusal">There is none, or it is not one.</exception>
    public static Record Read(string folder)
    {
        var path = Path.Combine(folder, File);
        return System.IO.File.Exists(path)
            ? Parse(System.IO.File.ReadAllText(path))
            : throw new Refusal($"There is no {File} in {folder}. Go to the folder of a service that `dotnet new prodapi` wrote, or write one: prodapi link --version VERSION.");
    }

    /// <exception cref="Refusal">It is no record.</exception>
    public static Record Parse(string text)
    {
        try
        {
            var json = JsonNode.Parse(text, documentOptions: Lenient)!.AsObject();
            string Text(string name) => json[name]?.GetValue<string>() ?? throw new FormatException($"there is no \"{name}\"");
            var version = NuGetVersion.TryParse(Text("version"), out var parsed) ? parsed : throw new FormatException($"\"{Text("version")}\" is no version");
            var options = json["options"]?.AsObject().ToDictionary(option => option.Key, option => $"{option.Value}") ?? throw new FormatException("there are no \"options\"");
            return new(Text("package"), Text("template"), version, Text("name"), options, [.. json["keep"]?.AsArray().Select(pattern => pattern!.GetValue<string>()) ?? []]);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or FormatException)
        {
            throw new Refusal($"{File} is not as the template writes it: {e.Message.TrimEnd('.')}. Take it from its history: git log -- {File}.");
        }
    }

    /// <summary>Whether both say the same about what was generated.</summary>
    public bool HasAnswersOf(Record other) => Name == other.Name && Options.Count == other.Options.Count && !Options.Except(other.Options).Any();
}
