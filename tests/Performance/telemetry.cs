// What logs, metrics and traces cost a request: dotnet run tests/Performance/telemetry.cs
// Builds of the service with and without; in turns, as the machine is never quiet. Needs wrk and taskset, and a PostgreSQL server that TEST_DATABASE names.
#:project Lab/Lab.csproj
#:property TargetFramework=net10.0
#:property PublishAot=false

using System.Globalization;
using Lab;
using static Lab.Laboratory;

const int Rounds = 7, Callers = 8, WarmUp = 20;
string[] logs = ["app.UseAccessLog();", "app.UseUserInLog();"], telemetry = ["builder.AddTelemetry();", "app.MapMetrics();"];

await using var laboratory = await OpenAsync();
var (all, onlyLogs, onlyTelemetry, none) = (await PublishAsync("all", []), await PublishAsync("logs", telemetry), await PublishAsync("telemetry", logs), await PublishAsync("none", [.. logs, .. telemetry]));
await laboratory.FillAsync(all);
Peer[] variants =
[
    Variant("none", none),
    Variant("logs", onlyLogs),
    Variant("metrics", onlyTelemetry, "OTEL_TRACES_SAMPLER=always_off"),
    Variant("metrics and traces", onlyTelemetry, "OTEL_TRACES_SAMPLER=parentbased_always_on"),
    Variant("all, a tenth of the requests traced", all),
    Variant("all, every request traced", all, "OTEL_TRACES_SAMPLER=parentbased_always_on"),
];
var work = Work.Of(laboratory).Single(work => work.Name == "product in the cache");
foreach (var variant in variants)
{
    await variant.StartAsync();
    await variant.WarmUpAsync([work], WarmUp, laboratory.Folder);
}
for (var round = 0; round < Rounds; round++)
{
    foreach (var variant in variants)
        await variant.MeasureAsync(work, Callers, 2, laboratory.Folder);
}

Console.WriteLine(laboratory.Title($"{work.Name}, without a token, over TLS; {Rounds} rounds, medians"));
Console.WriteLine("| | CPU, µs a request | ratio | bytes a request |\n|---|---|---|---|");
foreach (var variant in variants)
{
    // A round against its own neighbours: what slowed the machine slowed both.
    var ratio = Median(variant.Figures.Zip(variants[0].Figures, (mine, bare) => mine.Cpu / bare.Cpu));
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {variant.Name} | {Median(variant.Figures.Select(figure => figure.Cpu)):0.0} | {ratio:0.00} | {Median(variant.Figures.Select(figure => figure.Bytes!.Value)):N0} |"));
    variant.Dispose();
}

Task<string> PublishAsync(string name, string[] leftOut) => laboratory.PublishServiceAsync(name, [.. leftOut.Select(line => (line, ""))]);

Peer Variant(string name, string program, params string[] settings) => new(name, "dotnet", program, [.. laboratory.Service, OneCore, .. settings]);
