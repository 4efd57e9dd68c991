using System.Diagnostics;

namespace TemplateTests;

/// <summary>A user's git repository with a generated service in it.</summary>
internal sealed class UserRepository(TemplatePackage package, TemplateVersions versions, string root, string folder)
{
    private readonly Dictionary<string, string> _environment = new(package.NewHome()) { ["GIT_CONFIG_NOSYSTEM"] = "1", ["TMPDIR"] = package.NewFolder() };

    public IReadOnlyDictionary<string, string> Environment => _environment;

    public string Root => root;

    public string Folder => folder;

    /// <summary>Where the tool and what it calls keep their temporary files.</summary>
    public string Temporary => _environment["TMPDIR"];

    /// <summary>Where a user's own templates are.</summary>
    public string Home => _environment["HOME"];

    /// <summary>What is in the folder of the service, git's own files aside: a line per file.</summary>
    public IReadOnlyList<string> Hashes => [.. Tree.Hashes(folder).Where(line => !line.StartsWith(".git/", StringComparison.Ordinal))];

    public string PathOf(string file) => Path.Combine(folder, file);

    public string Read(string file) => File.ReadAllText(PathOf(file));

    public void Write(string file, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(file))!);
        File.WriteAllText(PathOf(file), text);
    }

    /// <summary>Adds a line to the end of a file.</summary>
    public void Append(string file, string line) => Write(file, Read(file) + line + "\n");

    /// <summary>Gives what git prints; it must succeed.</summary>
    public async Task<string> GitAsync(params string[] arguments)
    {
        var git = await RunGitAsync(arguments);
        git.ExitCode.Should().Be(0, "{0}: {1}{2}", git.Line, git.Output, git.Errors);
        return git.Output.Trim();
    }

    public Task<Command> RunGitAsync(params string[] arguments) => Command.RunAsync(Directory.Exists(folder) ? folder : root, _environment, "git", arguments);

    public async Task CommitAsync(string message)
    {
        await GitAsync("add", "--all", root);
        await GitAsync("commit", "--quiet", "-m", message);
    }

    /// <summary>Runs the tool in the folder of the service, on the packages of these tests.</summary>
    public Task<Command> RunAsync(params string[] arguments) => Command.RunAsync(folder, _environment, versions.Tool, [arguments[0], "--source", versions.Feed, .. arguments[1..]]);

    public Task<Command> RunWithoutSourceAsync(params string[] arguments) => Command.RunAsync(folder, _environment, versions.Tool, arguments);

    /// <summary>The same in a session of its own, as in a terminal whose Ctrl-C all that run in it are given, even if who started the tests ignores it.</summary>
    public Process Start(params string[] arguments) => Command.Start(folder, _environment, "env --default-signal=INT setsid", [versions.Tool, arguments[0], "--source", versions.Feed, .. arguments[1..]]);

    /// <summary>Updates, and holds it to what an update without a conflict is: one commit, on the branch, of which nothing is left over.</summary>
    public async Task<Command> UpdateAsync(params string[] arguments)
    {
        var before = await GitAsync("rev-parse", "HEAD");
        var update = await RunAsync(["update", .. arguments]);
        update.ExitCode.Should().Be(0, "{0}{1}", update.Output, update.Errors);
        (await GitAsync("rev-parse", "HEAD^")).Should().Be(before);
        (await GitAsync("status", "--porcelain")).Should().BeEmpty();
        return update;
    }

    /// <summary>All that an update must leave alone if it does not take place.</summary>
    public async Task<string> StateAsync() => string.Join('\n',
    [
        (await RunGitAsync("rev-parse", "HEAD")).Output, (await RunGitAsync("status", "--porcelain", "--ignored")).Output, (await RunGitAsync("stash", "list")).Output,
        .. Directory.EnumerateFiles(Path.Combine(root, ".git"), "*_HEAD").Select(Path.GetFileName).Where(name => name != "ORIG_HEAD" && name != "FETCH_HEAD"), .. Directory.EnumerateFiles(Path.Combine(root, ".git"), "*.lock"),
        .. Hashes,
    ]);

    /// <summary>What an update may be trusted for: the service builds without a warning, and its unit tests pass.</summary>
    public async Task MustBuildAsync(string service = "src/Shop", string tests = "tests/Unit")
    {
        (await Command.RunAsync(folder, "dotnet build -warnaserror", service)).MustSucceed();
        (await Command.RunAsync(folder, "dotnet test", tests)).MustSucceed();
    }
}
