using System.Security.Cryptography;
using System.Text.RegularExpressions;

namespace TemplateTests;

/// <summary>A folder as a value: the names of its files, with '/' between folders, and what is in them.</summary>
internal static class Tree
{
    public static IReadOnlyList<string> Names(string folder) =>
        [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(folder, file).Replace(Path.DirectorySeparatorChar, '/'))
            .Order(StringComparer.Ordinal)];

    /// <summary>A line per file: two trees are the same when these lists are.</summary>
    public static IReadOnlyList<string> Hashes(string folder) =>
        [.. Names(folder).Select(name => $"{name} {Hash(Path.Combine(folder, name))}")];

    public static string Hash(string file) => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)));

    /// <summary>The lines in which a word is found, in whatever case, in a name or in a text.</summary>
    public static IReadOnlyList<string> Find(string folder, string word) => Match(folder, Regex.Escape(word));

    /// <summary>The same for a pattern; each line comes after the name of its file.</summary>
    public static IReadOnlyList<string> Match(string folder, string pattern) =>
        [.. Names(folder)
            .SelectMany(name => File.ReadLines(Path.Combine(folder, name)).Prepend(name).Select(line => $"{name}: {line}"))
            .Where(line => Regex.IsMatch(line, pattern, RegexOptions.IgnoreCase))];

    public static void Copy(string file, string target)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        File.Copy(file, target);
    }
}
