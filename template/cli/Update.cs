using NuGet.Versioning;
using Spectre.Console;

namespace ProductionTemplate.Cli;

/// <summary>
/// The update as git knows it: what the old version writes is the base, what the new one writes the change, and the change is picked
/// onto the user's branch. Renames are followed, conflicts are git's own, and `git cherry-pick --abort` takes all back.
/// </summary>
internal static class Update
{
    /// <summary>How the subject of a commit begins that changes answers and nothing else of the record.</summary>
    public const string ChangeOptions = "Change options of ";

    /// <returns>The exit code: 0 done, 1 there are conflicts to resolve.</returns>
    public static async Task<int> RunAsync(string folder, NuGetVersion? to, IReadOnlyDictionary<string, string> answers, Packages packages, IAnsiConsole console, CancellationToken cancellation)
    {
        var record = Record.Read(folder);
        var repository = await Repository.OpenAsync(folder, cancellation);
        await repository.GuardAsync(record);
        var next = record with { Version = to ?? await packages.LatestAsync(record), Options = new Dictionary<string, string>([.. record.Options.ExceptBy(answers.Keys, option => option.Key), .. answers]) };
        if (next.Version < record.Version)
            throw new Refusal($"This service has version {record.Version}, and {next.Version} is older. To go back, take the commit back that brought the newer one: git revert COMMIT.");
        if (next.Version == record.Version && next.HasAnswersOf(record))
        {
            console.WriteLine($"Nothing to do: this service has version {record.Version} already.");
            return 0;
        }

        return await InWorkFolderAsync(async work =>
        {
            var (@base, target) = ("", "");
            await console.Status().StartAsync($"Writing {record.Version} and {next.Version} …", async status =>
            {
                var (old, @new) = (Path.Combine(work, "old"), Path.Combine(work, "new"));
                await Task.WhenAll(packages.GenerateAsync(record, record.Version, old), packages.GenerateAsync(next, record.Version, @new));
                status.Status("Comparing …");
                @base = await repository.CommitAsync(await repository.StoreAsync(old, record.Keep), $"{record.Package} {record.Version}");
                target = await repository.CommitAsync(await repository.StoreAsync(@new, record.Keep), Subject(record, next), @base);
            });
            var picked = await repository.CherryPickAsync(target);
            await TellAsync(repository, console, @base, target, picked);
            return picked.Conflicts.Count == 0 ? 0 : 1;
        });
    }

    /// <summary>What the service has that its version of the template did not write, and the other way round, as git shows it.</summary>
    public static async Task<string> DiffAsync(string folder, Packages packages, string[] arguments, CancellationToken cancellation)
    {
        var record = Record.Read(folder);
        var repository = await Repository.OpenAsync(folder, cancellation);
        return await InWorkFolderAsync(async work =>
        {
            await packages.GenerateAsync(record, record.Version, Path.Combine(work, "old"));
            return await repository.GitAsync(["diff", .. arguments, await repository.StoreAsync(Path.Combine(work, "old"), []), "--", repository.Below]);
        });
    }

    /// <summary>Writes the record of a service that has none.</summary>
    public static async Task LinkAsync(string folder, Record record, Packages packages)
    {
        if (File.Exists(Path.Combine(folder, Record.File)))
            throw new Refusal($"There is a {Record.File} already.");
        await InWorkFolderAsync(async work =>
        {
            await packages.GenerateAsync(record, record.Version, Path.Combine(work, "old"));
            File.Copy(Path.Combine(work, "old", Record.File), Path.Combine(folder, Record.File));
            return 0;
        });
    }

    private static async Task<T> InWorkFolderAsync<T>(Func<string, Task<T>> work)
    {
        var folder = Directory.CreateTempSubdirectory("prodapi-").FullName;
        try
        {
            return await work(folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Subject(Record record, Record next)
    {
        var answers = string.Join(", ", next.Options.Except(record.Options).Select(option => $"{option.Key}={option.Value}"));
        return next.Version == record.Version ? $"{ChangeOptions}{record.Package}: {answers}" : $"Update {record.Package} from {record.Version} to {next.Version}{(answers.Length > 0 ? $", with {answers}" : "")}";
    }

    private static async Task TellAsync(Repository repository, IAnsiConsole console, string @base, string target, Picked picked)
    {
        var ours = await repository.NamesAsync("diff", "--name-only", "-z", "--no-renames", "--diff-filter=MDT", @base, picked.Conflicts.Count == 0 ? "HEAD^" : "HEAD", "--", repository.Below);
        var theirs = await repository.NamesAsync("diff", "--name-only", "-z", "--no-renames", @base, target);
        var open = picked.Conflicts.Concat(picked.Deleted);
        foreach (var (files, what) in new[]
        {
            (theirs.Except(ours).Except(open), "taken from the template"),
            (theirs.Intersect(ours).Except(open), "merged: changed by you and by the template"),
            (ours.Except(theirs).Except(open), "left alone: changed by you alone"),
            (picked.Deleted, "left deleted: deleted by you, changed by the template"),
            (picked.Conflicts, "in conflict: changed by both in one place"),
        }.Where(row => row.Item1.Any()))
        {
            console.MarkupLine($"[bold]{files.Count(),5}[/]  {what}");
        }
        foreach (var file in open)
            Console.WriteLine($"       {file}");
        Console.WriteLine(picked.Conflicts.Count == 0 // not by Spectre, which would break a command in two
            ? "It is one commit on your branch. Next: build it, and run its tests. To take it back: git reset --hard HEAD^"
            : "Resolve them (git mergetool, or in your editor), then: git add -A && git cherry-pick --continue. To take all back: git cherry-pick --abort");
    }
}
