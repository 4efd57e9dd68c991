using System.CommandLine;
using System.Text.Json;
using NuGet.Versioning;
using ProductionTemplate.Cli;
using Spectre.Console;

// Exit codes: 0 done or nothing to do; 1 conflicts to resolve; 2 an update exists (status); 3 refused, with nothing changed; 130 stopped by Ctrl-C, with nothing changed.
var source = new Option<string?>("--source") { Description = "A folder of packages, or a feed, instead of the feeds that NuGet is set up for." };
var set = new Option<string[]>("--set") { Description = "OPTION=VALUE: another answer to an option of the template." };
var json = new Option<bool>("--json") { Description = "For programs." };
var to = new Option<string?>("--to") { Description = "The version to update to; the newest where none is given." };
var version = new Option<string>("--version") { Description = "The version of the template that wrote the service.", Required = true };
var name = new Option<string?>("--name") { Description = "The name that the service was given; that of its folder where none is given." };
var arguments = new Argument<string[]>("arguments") { Description = "For git diff, behind --: for example --stat.", Arity = ArgumentArity.ZeroOrMore };
var folder = Directory.GetCurrentDirectory();

var status = new Command("status", "Whether there is an update.") { source, json };
status.SetAction((parsed, cancellation) => TellAsync(async () =>
{
    var record = Record.Read(folder);
    var latest = (await new Packages(parsed.GetValue(source), cancellation).VersionsAsync(record.Package)).LastOrDefault(each => !each.IsPrerelease || record.Version.IsPrerelease) ?? record.Version;
    var isUpdate = latest > record.Version;
    Console.WriteLine(parsed.GetValue(json)
        ? JsonSerializer.Serialize(new { package = record.Package, version = $"{record.Version}", latest = $"{latest}", update = isUpdate })
        : isUpdate ? $"{record.Package} {record.Version}: {latest} is there. Take it: prodapi update" : $"{record.Package} {record.Version}: there is no newer one.");
    return isUpdate ? 2 : 0;
}));

var diff = new Command("diff", "What you have changed since the template wrote the service.") { source, arguments };
diff.SetAction((parsed, cancellation) => TellAsync(async () =>
{
    Console.Write(await Update.DiffAsync(folder, new Packages(parsed.GetValue(source), cancellation), parsed.GetValue(arguments)!, cancellation));
    return 0;
}));

var update = new Command("update", "Merges a newer version of the template, or other answers, into the service, as one commit.") { to, set, source };
update.SetAction((parsed, cancellation) => TellAsync(() =>
    Update.RunAsync(folder, Version(parsed.GetValue(to)), Answers(parsed.GetValue(set)!), new Packages(parsed.GetValue(source), cancellation), AnsiConsole.Console, cancellation)));

var link = new Command("link", "Writes the record of a service that has none.") { version, name, set, source };
link.SetAction((parsed, cancellation) => TellAsync(async () =>
{
    if (File.Exists(Path.Combine(folder, Record.File)))
        throw new Refusal($"There is a {Record.File} already.");
    var record = new Record("ProductionTemplate", "prodapi", Version(parsed.GetValue(version))!, parsed.GetValue(name) ?? Path.GetFileName(folder), new(Answers(parsed.GetValue(set)!).ToDictionary(), StringComparer.Ordinal), []);
    var work = Directory.CreateTempSubdirectory("prodapi-").FullName;
    try
    {
        await new Packages(parsed.GetValue(source), cancellation).GenerateAsync(record, record.Version, Path.Combine(work, "new"));
        File.Copy(Path.Combine(work, "new", Record.File), Path.Combine(folder, Record.File));
    }
    finally
    {
        Directory.Delete(work, recursive: true);
    }
    Console.WriteLine($"{Record.File} is written. Look whether its answers are right (prodapi diff -- --stat), and commit it.");
    return 0;
}));

return await new RootCommand("Keeps services that `dotnet new prodapi` wrote current.") { status, diff, update, link }.Parse(args).InvokeAsync();

static async Task<int> TellAsync(Func<Task<int>> work)
{
    try
    {
        return await work();
    }
    catch (Refusal refusal)
    {
        Console.Error.WriteLine(refusal.Message);
        return 3;
    }
    catch (OperationCanceledException)
    {
        Console.Error.WriteLine("Stopped. Nothing was changed.");
        return 130;
    }
}

static NuGetVersion? Version(string? text) => text is null ? null : NuGetVersion.TryParse(text, out var version) ? version : throw new Refusal($"{text} is no version: write one like 1.2.0.");

static Dictionary<string, string> Answers(string[] texts) => texts
    .Select(text => text.Split('=', 2) is [{ Length: > 0 } option, var value] ? (option, value) : throw new Refusal($"{text} is no answer: write OPTION=VALUE, as cache=memory."))
    .ToDictionary(answer => answer.option, answer => answer.value);
