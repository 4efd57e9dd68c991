namespace TemplateTests;

/// <summary>The checkout that these tests belong to. It is only read: what is packed, built or generated lives in a temporary folder.</summary>
internal static class Repository
{
    public static string Root { get; } = Find(AppContext.BaseDirectory);

    /// <summary>The files git tracks, or would after `git add`, with '/' between folders.</summary>
    public static async Task<IReadOnlyList<string>> FilesAsync()
    {
        var git = await Command.RunAsync(Root, "git ls-files -z --cached --others --exclude-standard");
        return [.. git.MustSucceed().Output
            .Split('\0', StringSplitOptions.RemoveEmptyEntries)
            .Where(file => File.Exists(Path.Combine(Root, file)))
            .Order(StringComparer.Ordinal)];
    }

    private static string Find(string folder) =>
        File.Exists(Path.Combine(folder, "ProductionTemplate.nuspec"))
            ? folder
            : Find(Path.GetDirectoryName(folder.TrimEnd(Path.DirectorySeparatorChar))!);
}
