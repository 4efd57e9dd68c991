#:project Lab/Lab.csproj
#:property TargetFramework=net10.0
#:property PublishAot=false
using System.Globalization;
using Lab;
using static Lab.Laboratory;
var rounds = Number("ROUNDS", 9);
await using var laboratory = await OpenAsync();
var minimal = await laboratory.PublishAsync(Beside("peers/minimal"), "minimal");
var shipped = await laboratory.PublishServiceAsync("shipped");
var rdg = await laboratory.PublishServiceAsync("rdg", null, "-p:EnableRequestDelegateGenerator=true");
await laboratory.FillAsync(shipped);
Peer[] peers = [
  new("bare", "dotnet", minimal, [.. laboratory.Kestrel, OneCore, $"DATABASE={laboratory.Database.ConnectionString}"]),
  new("shipped", "dotnet", shipped, [.. laboratory.Service, OneCore]),
  new("rdg", "dotnet", rdg, [.. laboratory.Service, OneCore]),
  new("bare nopgo", "dotnet", minimal, [.. laboratory.Kestrel, OneCore,"DOTNET_TieredPGO=0", $"DATABASE={laboratory.Database.ConnectionString}"]),
  new("shipped nopgo", "dotnet", shipped, [.. laboratory.Service, OneCore, "DOTNET_TieredPGO=0"]),
  new("shipped2", "dotnet", shipped, [.. laboratory.Service]) { Cores = "0,1" },
  new("bare2", "dotnet", minimal, [.. laboratory.Kestrel,$"DATABASE={laboratory.Database.ConnectionString}"]) { Cores = "0,1" },
];
var starts = peers.ToDictionary(p => p, _ => new List<double>());
for (var round = 0; round <= rounds; round++)
    foreach (var peer in peers) { var t = await peer.StartAsync(); if (round > 0) starts[peer].Add(t); peer.Dispose(); }
foreach (var peer in peers)
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{peer.Name} {Median(starts[peer]):0} {Median(starts[peer].Zip(starts[peers[0]], (a, b) => a / b)):0.00}"));
Console.WriteLine("sleeping"); Console.Out.Flush();
if (Environment.GetEnvironmentVariable("HOLD") is { } hold) { File.Copy("/dev/null", "/tmp/held", true); File.WriteAllText("/tmp/held", laboratory.Folder + "\n" + string.Join("\n", laboratory.Service)); await Task.Delay(int.Parse(hold) * 1000); }
