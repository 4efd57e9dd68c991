using System.Diagnostics;
using Npgsql;

namespace EndToEnd.Faults;

public sealed class RestoreFaultTests(FleetServers servers) : IClassFixture<FleetServers>
{
    /// <summary>As deploy/runbook.md says it.</summary>
    [Fact, Trait("Readiness", "50")]
    public async Task A_backup_that_is_restored_serves_again_with_what_was_kept()
    {
        await using var fleet = await servers.TableFleetAsync();
        var dump = Path.Combine(fleet.Site.Folder, "storefront.dump");
        fleet.Execute("CREATE TABLE kept (id INT); INSERT INTO kept VALUES (1)");
        await RunAsync("pg_dump", "--format=custom", $"--file={dump}", Uri(fleet.Database));
        fleet.Execute("INSERT INTO kept VALUES (2)"); // lost
        var restored = await servers.Postgres.CreateDatabaseAsync($"restored-{Guid.NewGuid():n}");

        await RunAsync("pg_restore", "--exit-on-error", "--no-owner", "--role=app", $"--dbname={Uri(restored)}", dump);

        await using var after = await Fleet.CreateAsync(restored);
        (await after.RunAsync("migrate")).Output.Should().NotContain("Applied", "the schema came with the rows");
        await using var service = await after.ServeAsync();
        using var http = after.Site.Client(service);
        await http.WorkAsync();
        after.Query<int>("SELECT id FROM kept").Should().Equal(1);
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
