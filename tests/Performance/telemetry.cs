// What logs, metrics and traces cost a request: dotnet run tests/Performance/telemetry.cs
// Builds of the service with and without; in turns, as the machine is never quiet. Needs wrk and taskset, and a PostgreSQL server that TEST_DATABASE names.
#:project Lab/Lab.csproj
#:property TargetFramework=net10.0
#:property PublishAot=false

using System.Globalization;
using Lab;
using static Lab.Laboratory;

const int Seconds = 15, Callers = 8, WarmUp = 20;
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
var costs = await Peer.MeasureAsync(variants, work, Callers, Seconds, laboratory.Folder);

Console.WriteLine(laboratory.Title($"{work.Name}, without a token, over TLS; {Seconds} s of each in turns of 0.2 s"));
Console.WriteLine("| | CPU, µs a request | ratio | bytes a request |\n|---|---|---|---|");
foreach (var (variant, cost) in variants.Zip(costs))
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {variant.Name} | {cost.Cpu:0.0} | {cost.Cpu / costs[0].Cpu:0.00} | {cost.Bytes:N0} |"));

Task<string> PublishAsync(string name, string[] leftOut) => laboratory.PublishServiceAsync(name, [.. leftOut.Select(line => (line, ""))]);

Peer Variant(string name, string program, params string[] settings) => new(name, "dotnet", program, [.. laboratory.Service, .. OneCore, .. settings]);
