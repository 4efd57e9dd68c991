using System.Net;
using System.Runtime.CompilerServices;
using Npgsql;

namespace EndToEnd.Faults;

public sealed class SchemaFaultTests
{
    //#if (jobs != "none")
    [Fact, Trait("Readiness", "49")]
    public async Task Of_three_migrations_at_once_one_does_it_and_the_others_find_it_done()
    {
        await using var site = await Site.CreateAsync(schema: false);
        await site.ExecuteAsync("""
            CREATE FUNCTION linger() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); END $$;
            CREATE EVENT TRIGGER linger ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION linger();
            """); // so that they surely meet

        var runs = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => site.RunAsync(["migrate"])));

        runs.Should().OnlyContain(run => run.ExitCode == 0);
        runs.Count(run => run.Output.Contains("Applied migration")).Should().Be(1);
        (await site.ValueAsync<string>("SELECT string_agg(scriptname, ' ' ORDER BY schemaversionsid) FROM schemaversions"))
            .Should().Be(string.Join(' ', Site.Scripts)).And.StartWith(string.Join(' ', Operations.Scripts));
    }

    //#endif
    [Fact, Trait("Readiness", "49")]
    public async Task One_role_migrates_and_the_service_runs_as_another_that_cannot()
    {
        await using var site = await Site.CreateAsync(schema: false);
        await using var server = new PostgresServer(); // roles are those of a server
        await server.StartAsync();
        await PostgresDatabases.ExecuteAsync(server.ConnectionString, await File.ReadAllTextAsync(RolesFile()));
        string As(string role) => $"ConnectionStrings__Database={server.ConnectionString};Username={role}";

        //#if (jobs != "none")
        await site.RefusesAsync(As("storefront"), "permission denied", "migrate");
        //#endif
        (await site.RunAsync(["migrate"], As("storefront_owner"))).ExitCode.Should().Be(0);
        await PostgresDatabases.ExecuteAsync($"{server.ConnectionString};Username=storefront_owner", "CREATE TABLE things (id INT)");
        (await site.RunAsync(["migrate"], As("storefront"))).ExitCode.Should().Be(0, "there is nothing to do");
        await using var service = await site.ServeAsync(As("storefront"));
        using var http = site.Client(service);
        await http.WorkAsync();

        foreach (var sql in (string[])["CREATE TABLE other (id INT)", "DROP TABLE things", "ALTER TABLE things ADD COLUMN other TEXT", "TRUNCATE things", "CREATE ROLE other"])
        {
            var act = () => PostgresDatabases.ExecuteAsync($"{server.ConnectionString};Username=storefront", sql);
            (await act.Should().ThrowAsync<PostgresException>()).Which.SqlState.Should().Be("42501", sql);
        }
        service.Lines.Should().NotContain(line => line.Contains("lacks a right"));
    }

    [Theory, Trait("Readiness", "49")]
    [InlineData("statement_timeout")]
    [InlineData("lock_timeout")]
    public async Task What_the_server_lets_take_no_longer_is_refused_for_now(string limit)
    {
        await using var site = await Site.CreateAsync();
        await site.ExecuteAsync($"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {limit} = ''200ms''', current_database()); END $$");
        await using var service = await site.ServeAsync("Process__Roles=api");
        using var http = site.Client(service);
        await using var held = await site.LockReadsAsync();

        using var answer = await http.GetAsync(Operations.Path);

        answer.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        answer.Headers.Contains("Retry-After").Should().BeTrue();
    }

    /// <summary>As in a rolling update: the next build has migrated, and this one still serves.</summary>
    [Fact, Trait("Readiness", "50")]
    public async Task A_schema_that_a_later_build_has_expanded_is_served_by_this_one()
    {
        await using var site = await Site.CreateAsync();
        await using var before = await site.ServeAsync();
        using var old = site.Client(before);
        await old.WorkAsync();
        //#if (jobs != "none")
        await site.DoneAsync(await site.BeginAsync(old));
        //#endif

        await site.ExecuteAsync("""
            DO $$ DECLARE name TEXT; BEGIN
              FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schemaversions' LOOP
                EXECUTE format('ALTER TABLE %I ADD COLUMN later TEXT NULL', name);
              END LOOP;
            END $$;
            CREATE TABLE later (id BIGINT PRIMARY KEY);
            INSERT INTO schemaversions (scriptname, applied) VALUES ('9999_later.sql', now());
            """);

        await using var after = await site.ServeAsync();
        using var fresh = site.Client(after);
        foreach (var http in (HttpClient[])[old, fresh])
        {
            (await http.GetAsync("/health/ready")).StatusCode.Should().Be(HttpStatusCode.OK);
            //#if (sample)
            await http.PutProductAsync($"TEA-{http.BaseAddress!.Port}");
            (await http.GetAsync($"/v1/products/TEA-{http.BaseAddress.Port}")).StatusCode.Should().Be(HttpStatusCode.OK);
            (await http.GetAsync("/v1/products")).StatusCode.Should().Be(HttpStatusCode.OK);
            //#endif
            await http.WorkAsync();
            //#if (jobs != "none")
            await site.DoneAsync(await site.BeginAsync(http));
            //#endif
            (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
        }
        (await site.RunAsync(["migrate"])).ExitCode.Should().Be(0);
        before.Log.Concat(after.Log).Should().NotContain(line => line.Text("level") == "Error");
    }

    /// <summary>What is asked often is prepared, and the server refuses a plan whose columns have changed since (0A000).</summary>
    [Fact, Trait("Readiness", "50")]
    public async Task What_was_prepared_before_a_migration_is_prepared_again()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        await http.WorkAsync();
        async Task AskAsync()
        {
            for (var time = 0; time < 10; time++)
                (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
        }
        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => AskAsync())); // over more connections than one call is repeated on

        await site.ExecuteAsync("""
            DO $$ DECLARE col RECORD; BEGIN
              FOR col IN SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'text' AND column_name NOT LIKE '%id' LOOP
                EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE VARCHAR(2000)', col.table_name, col.column_name);
              END LOOP;
            END $$
            """);

        await AskAsync();
        service.Log.Should().NotContain(line => line.Text("level") == "Error");
    }

    private static string RolesFile([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "../../../src/Storefront/Repositories/roles.sql");
}
