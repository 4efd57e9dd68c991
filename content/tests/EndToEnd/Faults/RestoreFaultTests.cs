using System.Diagnostics;
using Npgsql;

namespace EndToEnd.Faults;

public sealed class RestoreFaultTests(FleetServers servers) : IClassFixture<FleetServers>
{
    /// <summary>As deploy/runbook.md says it.</summary>
    [Fact, Trait("Readiness", "50")]
    public async Task A_backup_that_is_restored_serves_again_and_finishes_what_was_begun()
    {
        await using var fleet = await servers.TableFleetAsync();
        var dump = Path.Combine(fleet.Site.Folder, "storefront.dump");
        IReadOnlyList<string> keys;
        await using (var before = await fleet.ServeApiAsync()) // with no worker: the jobs wait in the backup
        {
            keys = await fleet.PlaceAsync(before, 5);
            await RunAsync("pg_dump", "--format=custom", $"--file={dump}", Uri(fleet.Database));
            await fleet.PlaceAsync(before, 2); // lost
        }
        var restored = await servers.Postgres.CreateDatabaseAsync($"restored-{Guid.NewGuid():n}");

        await RunAsync("pg_restore", "--exit-on-error", "--no-owner", "--role=app", $"--dbname={Uri(restored)}", dump);

        await using var after = await Fleet.CreateAsync(restored);
        (await after.RunAsync("migrate")).Output.Should().NotContain("Applied", "the schema came with the rows");
        await using var service = await after.ServeAsync();
        await after.SettledOnceAsync(keys);
        await after.PlaceAsync(service, 1);
    }

    private static string Uri(string connectionString)
    {
        var server = new NpgsqlConnectionStringBuilder(connectionString);
        return $"postgresql://{server.Username}@{server.Host}:{server.Port}/{server.Database}";
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(PostgresServer.Program(program), arguments) { RedirectStandardError = true })!;
        var errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        process.ExitCode.Should().Be(0, errors);
    }
}
