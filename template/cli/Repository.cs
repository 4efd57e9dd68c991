using System.Text;

namespace ProductionTemplate.Cli;

/// <summary>The user's own git repository, or the part of it that the service has.</summary>
internal sealed class Repository
{
    private readonly CancellationToken _cancellation;
    private readonly string _root;

    private Repository(string root, string prefix, CancellationToken cancellation) => (_root, Prefix, _cancellation) = (root, prefix, cancellation);

    /// <summary>The folder of the service in the repository, with a slash at its end, or nothing.</summary>
    public string Prefix { get; }

    public static async Task<Repository> OpenAsync(string folder, CancellationToken cancellation)
    {
        var (exitCode, output, _) = await Shell.RunAsync(folder, "git", ["rev-parse", "--show-toplevel", "--show-prefix"], cancellation: cancellation);
        if (exitCode != 0)
            throw new Refusal($"{folder} is in no git repository. Make one first, so that an update can be taken back: git init && git add -A && git commit.");
        var lines = output.Split('\n');
        return new(lines[0], lines[1], cancellation);
    }

    /// <summary>An update is a commit on a branch whose work is all committed: then nothing can be lost.</summary>
    public async Task GuardAsync()
    {
        if ((await TryAsync("rev-parse", "--verify", "--quiet", "HEAD")).ExitCode != 0)
            throw new Refusal("The branch has no commit yet. Commit what you have first: git add -A && git commit.");
        if ((await TryAsync("symbolic-ref", "--quiet", "HEAD")).ExitCode != 0)
            throw new Refusal("HEAD is detached. Go to a branch first: git switch BRANCH.");
        foreach (var (state, what) in new[] { ("CHERRY_PICK_HEAD", "cherry-pick"), ("MERGE_HEAD", "merge"), ("REVERT_HEAD", "revert"), ("rebase-merge", "rebase"), ("rebase-apply", "rebase") })
        {
            var path = Path.Combine(_root, (await GitAsync("rev-parse", "--git-path", state)).Trim());
            if (Path.Exists(path))
                throw new Refusal($"A {what} is under way. Finish it, or give it up: git {what} --abort.");
        }
        if ((await GitAsync("status", "--porcelain", "--untracked-files=no")) is { Length: > 0 } changes)
            throw new Refusal($"There are changes that are not committed ({changes.TrimEnd().Split('\n').Length} files). Commit them, or put them aside: git stash.");
    }

    /// <summary>Stores the files of a folder under the prefix as this repository would: its attributes say how lines end. Neither the index nor the working tree changes.</summary>
    /// <param name="keep">Patterns of files that are the user's own.</param>
    /// <returns>The id of the tree.</returns>
    public async Task<string> StoreAsync(string folder, IReadOnlyList<string> keep)
    {
        var entries = new StringBuilder();
        foreach (var file in Directory.GetFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }).Order(StringComparer.Ordinal))
        {
            var path = Prefix + Path.GetRelativePath(folder, file).Replace('\\', '/');
            var id = (await GitAsync("hash-object", "-w", "--path", path, file)).Trim();
            entries.Append(await IsExecutableAsync(file, path) ? "100755 " : "100644 ").Append(id).Append('\t').Append(path).Append('\0');
        }
        var index = new Dictionary<string, string> { ["GIT_INDEX_FILE"] = Path.Combine(folder, "..", Path.GetRandomFileName()) };
        await RunAsync(["update-index", "-z", "--index-info"], index, entries.ToString());
        if (keep.Count > 0)
            await RunAsync(["rm", "-r", "--quiet", "--cached", "--ignore-unmatch", "--", .. keep.Select(pattern => $":(top,glob){Prefix}{pattern}")], index);
        return (await RunAsync(["write-tree"], index)).Trim();
    }

    public async Task<string> CommitAsync(string tree, string message, string? parent = null) =>
        (await GitAsync(["commit-tree", tree, .. parent is null ? (string[])[] : ["-p", parent], "-m", message])).Trim();

    /// <returns>The files in conflict; none where the commit is made. Null where nothing was left to change.</returns>
    public async Task<IReadOnlyList<string>?> CherryPickAsync(string commit)
    {
        var before = (await GitAsync("rev-parse", "HEAD")).Trim();
        try
        {
            var (exitCode, output, error) = await TryAsync("-c", "merge.directoryRenames=true", "-c", "merge.renameLimit=5000", "cherry-pick", commit);
            if (exitCode == 0)
                return [];
            var conflicts = await NamesAsync("diff", "--name-only", "-z", "--diff-filter=U");
            if (conflicts.Count > 0)
                return conflicts;
            var isEmpty = (await GitAsync("status", "--porcelain", "--untracked-files=no")).Length == 0;
            await TryAsync("cherry-pick", "--abort");
            return isEmpty && (output + error).Contains("empty", StringComparison.Ordinal) ? null : throw new Refusal($"git cannot apply the update, and nothing was changed: {error.Trim()}");
        }
        catch (OperationCanceledException)
        {
            await Shell.RunAsync(_root, "git", ["cherry-pick", "--quit"], cancellation: CancellationToken.None);
            await Shell.RunAsync(_root, "git", ["reset", "--hard", "--quiet", before], cancellation: CancellationToken.None);
            throw;
        }
    }

    /// <summary>Of what git prints with -z.</summary>
    public async Task<IReadOnlyList<string>> NamesAsync(params string[] arguments) => (await GitAsync(arguments)).Split('\0', StringSplitOptions.RemoveEmptyEntries);

    /// <exception cref="InvalidOperationException">It fails.</exception>
    public Task<string> GitAsync(params string[] arguments) => RunAsync(arguments);

    /// <summary>Windows has no such bit: there a file keeps the one that it has in the repository.</summary>
    private async Task<bool> IsExecutableAsync(string file, string path) => OperatingSystem.IsWindows()
        ? (await GitAsync("ls-tree", "HEAD", "--", path)).StartsWith("100755", StringComparison.Ordinal)
        : System.IO.File.GetUnixFileMode(file).HasFlag(UnixFileMode.UserExecute);

    private Task<(int ExitCode, string Output, string Error)> TryAsync(params string[] arguments) => Shell.RunAsync(_root, "git", arguments, cancellation: _cancellation);

    private async Task<string> RunAsync(string[] arguments, IReadOnlyDictionary<string, string>? environment = null, string? input = null)
    {
        var (exitCode, output, error) = await Shell.RunAsync(_root, "git", arguments, environment, input, _cancellation);
        return exitCode == 0 ? output : throw new InvalidOperationException($"git {string.Join(' ', arguments)}: {error.Trim()}");
    }
}
