using System.Text.RegularExpressions;

namespace TemplateTests;

/// <summary>
/// The tool, installed as a user has it, and three versions of the template in a folder: what is tracked here as 2.0.0;
/// 1.0.0, which differs from it in each way that a version can; and 3.0.0, which differs in a few lines.
/// </summary>
public sealed class TemplateVersions(TemplatePackage package) : IAsyncLifetime
{
    /// <summary>The first line of what 1.0.0 writes where 2.0.0 writes another.</summary>
    public const string OldLine = "The service of version 1.0.0.";

    private readonly Dictionary<string, string> _generated = [];

    public string Feed { get; } = package.NewFolder();

    /// <summary>The path of the command.</summary>
    public string Tool { get; private set; } = "";

    public async ValueTask InitializeAsync()
    {
        await PackAsync("1.0.0", AsItWas);
        await PackAsync("2.0.0", AsItIs);
        await PackAsync("3.0.0", checkout =>
        {
            AsItIs(checkout);
            Edit(checkout, "content/README.md", "# Storefront", "# Storefront, version 3.0.0");
        });

        var checkout = package.NewFolder();
        await TemplatePackage.CheckOutAsync(checkout);
        var packages = package.NewFolder();
        (await Command.RunAsync(checkout, "dotnet pack template/cli --output", packages)).MustSucceed();
        var tools = package.NewFolder();
        (await Command.RunAsync(checkout, package.NewHome(), "dotnet tool install ProductionTemplate.Cli --tool-path", tools, "--add-source", packages)).MustSucceed();
        Tool = Path.Combine(tools, "prodapi");
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask; // the folders are the package's

    /// <summary>A service in a git repository of its own, or in a folder of a larger one, as this version writes it; all is committed.</summary>
    internal async Task<UserRepository> NewAsync(string prefix = "", string version = "1.0.0", params string[] options)
    {
        var root = package.NewFolder();
        var user = new UserRepository(package, this, root, Path.Combine(root, prefix));
        await user.GitAsync("init", "--quiet", "--initial-branch=main");
        await user.GitAsync("config", "user.name", "Ann");
        await user.GitAsync("config", "user.email", "ann@example.com");
        if (prefix.Length > 0)
            await File.WriteAllTextAsync(Path.Combine(root, "other.txt"), "another service\n");
        await GenerateAsync(version, user.Folder, options);
        await user.CommitAsync("Start");
        return user;
    }

    /// <summary>What a version writes, by a hive of its own. Each is generated once, and copied.</summary>
    internal async Task<string> GenerateAsync(string version, string folder, params string[] options)
    {
        var key = string.Join(' ', [version, .. options]);
        if (!_generated.TryGetValue(key, out var generated))
        {
            var hive = package.NewFolder();
            generated = _generated[key] = package.NewFolder();
            (await Command.RunAsync(hive, $"dotnet new install {Feed}/ProductionTemplate.{version}.nupkg --debug:custom-hive {hive}")).MustSucceed();
            (await Command.RunAsync(hive, $"dotnet new prodapi -n Shop --no-restore --debug:custom-hive {hive} -o", [generated, .. options])).MustSucceed();
        }
        foreach (var file in Tree.Names(generated))
            Tree.Copy(Path.Combine(generated, file), Path.Combine(folder, file));
        return folder;
    }

    private async Task PackAsync(string version, Action<string> change)
    {
        var checkout = package.NewFolder();
        await TemplatePackage.CheckOutAsync(checkout);
        var template = Path.Combine(checkout, ".template.config/template.json");
        await File.WriteAllTextAsync(template, new Regex(@"(""templateVersion"".*?""value"": "")[^""]+", RegexOptions.Singleline).Replace(await File.ReadAllTextAsync(template), "${1}" + version, 1));
        change(checkout);
        (await Command.RunAsync(checkout, "dotnet pack template --output", Feed)).MustSucceed();
    }

    private static void AsItIs(string checkout)
    {
        File.WriteAllText(Path.Combine(checkout, "options.json"), """[ { "since": "2.0.0", "option": "https-port", "becomes": { "port": "{value}" } }, { "since": "2.0.0", "option": "colour", "value": "red", "becomes": {} } ]""");
        File.WriteAllBytes(Path.Combine(checkout, "content/logo.png"), [137, 80, 78, 71, 0, 2, 13, 10, 2]);
    }

    private static void AsItWas(string checkout)
    {
        // Options: another name, and one that is no more.
        Edit(checkout, ".template.config/template.json", "\"port\": {", "\"https-port\": {");
        Edit(checkout, ".template.config/template.json", "port < 1024 || port > 65535", "https-port == 0");
        Edit(checkout, ".template.config/template.json", "\"symbols\": {", "\"symbols\": { \"colour\": { \"type\": \"parameter\", \"datatype\": \"text\", \"defaultValue\": \"red\", \"replaces\": \"RECORD_COLOUR\" },");
        Edit(checkout, ".template.config/dotnetcli.host.json", "\"port\": { \"longName\": \"port\"", "\"https-port\": { \"longName\": \"https-port\"");
        Edit(checkout, "content/.prodapi.json", "\"port\":", "\"colour\": \"RECORD_COLOUR\",\n    \"https-port\":");
        // Files: one that is no more, one that is new, one of another name, one that may not be run yet, one of bytes; and lines that are others.
        File.WriteAllText(Path.Combine(checkout, "content/deploy/old.md"), OldLine + "\n");
        File.Delete(Path.Combine(checkout, "content/deploy/haproxy.cfg"));
        File.Move(Path.Combine(checkout, "content/src/Storefront/Utilities/Slice.cs"), Path.Combine(checkout, "content/src/Storefront/Utilities/Part.cs"));
        Edit(checkout, ".template.config/template.json", "\"ci\", \"deploy/pin\",", "\"ci\",");
        File.WriteAllBytes(Path.Combine(checkout, "content/logo.png"), [137, 80, 78, 71, 0, 1, 13, 10, 1]);
        foreach (var file in (string[])["README.md", "SECURITY.md", "deploy/runbook.md"])
            File.WriteAllText(Path.Combine(checkout, "content", file), OldLine + "\n" + File.ReadAllText(Path.Combine(checkout, "content", file)));
        Edit(checkout, "content/src/Storefront/Services/ProductService.cs", "namespace ", $"// {OldLine}\nnamespace ");
        Edit(checkout, "content/src/Storefront/Repositories/Registration.cs", "namespace ", $"// {OldLine}\nnamespace ");
    }

    private static void Edit(string checkout, string file, string from, string to)
    {
        var path = Path.Combine(checkout, file);
        var text = File.ReadAllText(path);
        text.Should().Contain(from, "{0} is changed there", file);
        File.WriteAllText(path, new Regex(Regex.Escape(from)).Replace(text, to.Replace("$", "$$", StringComparison.Ordinal), 1));
    }
}

[CollectionDefinition(nameof(TemplateVersions))]
public sealed class UpdateTestsFixture : ICollectionFixture<TemplateVersions>;
