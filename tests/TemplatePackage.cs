using System.Text.RegularExpressions;

[assembly: AssemblyFixture(typeof(TemplateTests.TemplatePackage))]
// Most tests start builds, which take all cores by themselves.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace TemplateTests;

/// <summary>
/// The package under test: packed from the tracked files and installed for these tests alone.
/// Everything lives in a temporary folder, since the template engine would take any template.json below the repository for a template.
/// </summary>
public sealed partial class TemplatePackage : IAsyncLifetime
{
    private readonly string folder = Directory.CreateTempSubdirectory("template-tests-").FullName;

    /// <summary>The tracked files, with what building and running content/ in place leaves behind.</summary>
    public string Checkout => Path.Combine(folder, "checkout");

    public string Nupkg { get; private set; } = "";

    private string Hive => Path.Combine(folder, "hive");

    public async ValueTask InitializeAsync()
    {
        await CheckOutAsync(Checkout);
        foreach (var leftOver in new[] { "bin/Debug/a.dll", "obj/a.cache", "data/a.db", "packages.lock.json", "TestResults/a.trx", "a.csproj.user" })
        {
            var file = Path.Combine(Checkout, "content/src/Storefront", leftOver);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            await File.WriteAllTextAsync(file, "not for the package");
        }

        Nupkg = await PackAsync();
        var install = await Command.RunAsync(folder, $"dotnet new install {Nupkg} --debug:custom-hive {Hive}");
        // A broken template is reported and left out, and the exit code is 0 all the same.
        install.MustSucceed().Output.Should().MatchRegex(@"\bprodapi +\[").And.MatchRegex(@"\bprodapi-feature\b");
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    /// <summary>An empty folder outside of the repository, for one test.</summary>
    public string NewFolder() => Directory.CreateDirectory(Path.Combine(folder, Guid.NewGuid().ToString("N"))).FullName;

    /// <summary>The environment of a user who exists for one test.</summary>
    public Dictionary<string, string> NewHome()
    {
        var home = NewFolder();
        return new() { ["HOME"] = home, ["USERPROFILE"] = home, ["APPDATA"] = home, ["DOTNET_CLI_HOME"] = home, ["DOTNET_GENERATE_ASPNET_CERTIFICATE"] = "false" };
    }

    /// <summary>Copies the tracked files to this folder.</summary>
    internal static async Task CheckOutAsync(string target)
    {
        foreach (var file in await Repository.FilesAsync())
        {
            Tree.Copy(Path.Combine(Repository.Root, file), Path.Combine(target, file));
        }
    }

    /// <summary>Packs the checkout and gives the path of the package.</summary>
    internal async Task<string> PackAsync()
    {
        var output = NewFolder();
        var pack = await Command.RunAsync(
            Checkout, new Dictionary<string, string> { ["SOURCE_DATE_EPOCH"] = "1767225600" }, "dotnet pack template --output", output);
        pack.MustSucceed();
        return Directory.GetFiles(output).Single();
    }

    /// <summary>Runs `dotnet new prodapi` with these arguments in this folder.</summary>
    internal Task<Command> NewAsync(string directory, params string[] arguments) =>
        Command.RunAsync(directory, "dotnet new prodapi --debug:custom-hive", [Hive, .. arguments]);

    /// <summary>The same, restored: what a command on it needs.</summary>
    internal async Task<string> NewRestoredAsync(string name = "Shop", params string[] arguments)
    {
        var directory = NewFolder();
        (await NewAsync(directory, ["-n", name, .. arguments])).MustSucceed();
        return Path.Combine(directory, name);
    }

    /// <summary>The types of the service, but for those within others.</summary>
    internal IReadOnlyList<string> Types() =>
        [.. ((string[])["content/src", "template/ping/src"]).SelectMany(folder => Directory.GetFiles(Path.Combine(Checkout, folder), "*.cs", SearchOption.AllDirectories))
            .SelectMany(File.ReadLines).Select(line => Declaration().Match(line).Groups[1].Value).Where(name => name.Length > 0)];

    /// <summary>Runs `dotnet new prodapi-feature` with these arguments in this folder.</summary>
    internal Task<Command> NewFeatureAsync(string directory, params string[] arguments) =>
        Command.RunAsync(directory, "dotnet new prodapi-feature --debug:custom-hive", [Hive, .. arguments]);

    /// <summary>The service `dotnet new prodapi -n Shop --no-restore` writes: as generated, nothing built.</summary>
    internal async Task<string> NewShopAsync(params string[] arguments)
    {
        var directory = NewFolder();
        (await NewAsync(directory, ["-n", "Shop", "--no-restore", .. arguments])).MustSucceed();
        return Path.Combine(directory, "Shop");
    }

    [GeneratedRegex(@"^(?:[a-z]+ )*(?:class|record|struct|interface|enum) (\w+)")]
    private static partial Regex Declaration();
}
