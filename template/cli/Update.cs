using NuGet.Versioning;
using Spectre.Console;

namespace ProductionTemplate.Cli;

/// <summary>
/// The update as git knows it: what the old version writes is the base, what the new one writes the change, and the change is picked
/// onto the user's branch. Renames are followed, conflicts are git's own, and `git cherry-pick --abort` takes all back.
/// </summary>
internal static class Update
{
    /// <returns>The exit code: 0 done, 1 there are conflicts to resolve.</returns>
    public static async Task<int> RunAsync(string folder, NuGetVersion? to, IReadOnlyDictionary<string, string> answers, Packages packages, IAnsiConsole console, CancellationToken cancellation)
    {
        var record = Record.Read(folder);
        var repository = await Repository.OpenAsync(folder, cancellation);
        await repository.GuardAsync();
        to ??= (await packages.VersionsAsync(record.Package)).LastOrDefault(version => !version.IsPrerelease || record.Version.IsPrerelease) ?? record.Version;
        if (to < record.Version)
            throw new Refusal($"This service has version {record.Version} already. An older one is no update: take the commit back that brought it.");
        var options = new SortedDictionary<string, string>(record.Options, StringComparer.Ordinal);
        foreach (var (option, value) in answers)
            options[option] = value;
        if (to == record.Version && options.SequenceEqual(record.Options))
        {
            console.WriteLine($"Nothing to do: this service has version {to} already.");
            return 0;
        }

        var work = Directory.CreateTempSubdirectory("prodapi-").FullName;
        try
        {
            var (old, @new) = (Path.Combine(work, "old"), Path.Combine(work, "new"));
            string @base = "", target = "";
            await console.Status().StartAsync($"Writing {record.Version} …", async status =>
            {
                await packages.GenerateAsync(record, record.Version, old);
                status.Status($"Writing {to} …");
                await packages.GenerateAsync(record with { Version = to, Options = options }, record.Version, @new);
                status.Status("Comparing …");
                @base = await repository.CommitAsync(await repository.StoreAsync(old, record.Keep), $"{record.Package} {record.Version}");
                target = await repository.CommitAsync(await repository.StoreAsync(@new, record.Keep), Message(record, to, answers), @base);
            });
            var conflicts = await repository.CherryPickAsync(target);
            if (conflicts is null)
            {
                console.WriteLine("Nothing to do: the service has all of it already.");
                return 0;
            }
            await SayAsync(repository, console, @base, target, conflicts, record, to);
            return conflicts.Count == 0 ? 0 : 1;
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    /// <summary>What the service has that its version of the template did not write, and the other way round.</summary>
    public static async Task<string> DiffAsync(string folder, Packages packages, string[] arguments, CancellationToken cancellation)
    {
        var record = Record.Read(folder);
        var repository = await Repository.OpenAsync(folder, cancellation);
        var work = Directory.CreateTempSubdirectory("prodapi-").FullName;
        try
        {
            var old = Path.Combine(work, "old");
            await packages.GenerateAsync(record, record.Version, old);
            return await repository.GitAsync(["diff", .. arguments, await repository.StoreAsync(old, record.Keep), "HEAD", "--", $":(top){repository.Prefix}"]);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    private static string Message(Record record, NuGetVersion to, IReadOnlyDictionary<string, string> answers) =>
        (to == record.Version ? $"Change options of {record.Package} {to}" : $"Update {record.Package} from {record.Version} to {to}")
        + (answers.Count == 0 ? "" : "\n\n" + string.Join('\n', answers.Select(answer => $"{answer.Key}: {answer.Value}")));

    private static async Task SayAsync(Repository repository, IAnsiConsole console, string @base, string target, IReadOnlyList<string> conflicts, Record record, NuGetVersion to)
    {
        var theirs = await repository.NamesAsync("diff", "--name-only", "-z", "--no-renames", @base, target);
        var ours = await repository.NamesAsync("diff", "--name-only", "-z", "--no-renames", "--diff-filter=MDT", @base, "HEAD" + (conflicts.Count == 0 ? "~" : ""), "--", $":(top){repository.Prefix}");
        var table = new Table().Border(TableBorder.None).HideHeaders().AddColumns("files", "what").Expand();
        void Row(IEnumerable<string> files, string what)
        {
            if (files.Count() is > 0 and var count)
                table.AddRow($"{count}", Markup.Escape(what));
        }
        Row(theirs.Except(ours).Except(conflicts), "taken from the template");
        Row(theirs.Intersect(ours).Except(conflicts), "merged: changed by you and by the template");
        Row(conflicts, "in conflict: changed by both in the same place");
        Row(ours.Except(theirs), "left alone: changed by you alone");
        console.MarkupLine(record.Version == to ? "The options are changed." : $"[bold]{record.Version} → {to}[/]");
        console.Write(table);
        foreach (var file in conflicts)
            console.WriteLine($"  {file}");
        console.WriteLine(conflicts.Count == 0
            ? "It is one commit on your branch. Next: build it and run its tests. To take it back: git reset --hard HEAD~"
            : "Resolve them (git mergetool, or your editor), then: git add -A && git cherry-pick --continue. To take all back: git cherry-pick --abort");
    }
}
