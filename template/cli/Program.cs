using System.CommandLine;
using System.Text.Json;
using NuGet.Versioning;
using ProductionTemplate.Cli;
using Spectre.Console;

// Exit codes: 0 done, or nothing to do; 1 conflicts to resolve; 2 there is an update (status); 3 refused, and nothing changed; 130 Ctrl-C, and nothing changed.
var source = new Option<string?>("--source") { Description = "A folder of packages, or the address of a feed, in place of the feeds that NuGet is set up for." };
var set = new Option<string[]>("--set") { Description = "OPTION=VALUE: another answer to an option of the template." };
var json = new Option<bool>("--json") { Description = "For programs." };
var to = new Option<string?>("--to") { Description = "The version to update to, in place of the newest." };
var version = new Option<string>("--version") { Description = "The version of the template that wrote the service.", Required = true };
var name = new Option<string?>("--name") { Description = "The name that the service was given, in place of that of its folder." };
var arguments = new Argument<string[]>("arguments") { Description = "For git diff, after --: for example -- --stat." };
var folder = Directory.GetCurrentDirectory();

var status = new Command("status", "Says whether there is an update: exit code 2.") { source, json };
status.SetAction((parsed, cancellation) => RunAsync(async () =>
{
    var record = Record.Read(folder);
    var latest = await new Packages(parsed.GetValue(source), cancellation).LatestAsync(record);
    var isUpdate = latest > record.Version;
    Console.WriteLine(parsed.GetValue(json)
        ? JsonSerializer.Serialize(new { package = record.Package, version = $"{record.Version}", latest = $"{latest}", update = isUpdate })
        : $"{record.Package} {record.Version}: {(isUpdate ? $"there is {latest}. Take it: prodapi update" : "there is no newer one")}.");
    return isUpdate ? 2 : 0;
}));

var diff = new Command("diff", "Shows what was changed since the template wrote the service.") { source, arguments };
diff.SetAction((parsed, cancellation) => RunAsync(async () =>
{
    Console.Write(await Update.DiffAsync(folder, new Packages(parsed.GetValue(source), cancellation), parsed.GetValue(arguments)!, cancellation));
    return 0;
}));

var update = new Command("update", "Merges a newer version of the template, or other answers, into the service: one commit.") { to, set, source };
update.SetAction((parsed, cancellation) => RunAsync(() =>
    Update.RunAsync(folder, Version(parsed.GetValue(to)), Answers(parsed.GetValue(set)!), new Packages(parsed.GetValue(source), cancellation), AnsiConsole.Console, cancellation)));

var link = new Command("link", "Writes the record of a service that has none.") { version, name, set, source };
link.SetAction((parsed, cancellation) => RunAsync(async () =>
{
    var record = new Record("ProductionTemplate", "prodapi", Version(parsed.GetValue(version))!, parsed.GetValue(name) ?? Path.GetFileName(folder), Answers(parsed.GetValue(set)!), []);
    await Update.LinkAsync(folder, record, new Packages(parsed.GetValue(source), cancellation));
    Console.WriteLine($"{Record.File} is written. Look whether its answers are right (prodapi diff -- --stat shows little then), and commit it.");
    return 0;
}));

var command = new RootCommand("Keeps services that `dotnet new prodapi` wrote current.") { status, diff, update, link }.Parse(args);
var exitCode = await command.InvokeAsync(new() { ProcessTerminationTimeout = TimeSpan.FromMinutes(1) }); // what Ctrl-C stops is taken back first
return command.Errors.Count > 0 ? 3 : exitCode;

static async Task<int> RunAsync(Func<Task<int>> work)
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
        Console.Error.WriteLine("Stopped: nothing was changed.");
        return 130;
    }
}

static NuGetVersion? Version(string? text) => text is null ? null : NuGetVersion.TryParse(text, out var version) ? version : throw new Refusal($"{text} is no version: write one like 1.2.0.");

static Dictionary<string, string> Answers(string[] texts) => texts
    .Select(text => text.Split('=', 2) is [{ Length: > 0 } option, var value] ? (option, value) : throw new Refusal($"{text} is no answer: write OPTION=VALUE, as in --set cache=memory."))
    .DistinctBy(answer => answer.option).ToDictionary(answer => answer.option, answer => answer.value);
