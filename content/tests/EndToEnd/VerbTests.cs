namespace EndToEnd;

public sealed class VerbTests
{
    [Fact, Trait("Readiness", "49")]
    public async Task Migrations_that_run_at_once_or_again_apply_each_script_once()
    {
        await using var site = await Site.CreateAsync(schema: false);

        var atOnce = await Task.WhenAll(site.RunAsync(["migrate"]), site.RunAsync(["migrate"]), site.RunAsync(["migrate"]));
        var again = await site.RunAsync(["migrate"]);

        atOnce.Append(again).Should().OnlyContain(run => run.ExitCode == 0);
        Site.Scripts.Where(script => atOnce.Count(run => run.Output.Contains($"Applied migration {script}", StringComparison.Ordinal)) != 1).Should().BeEmpty();
        again.Output.Should().NotContain("Applied migration");
        //#if (jobs != "none")
        (await site.QueryAsync<string>("SELECT ScriptName FROM SchemaVersions ORDER BY ScriptName")).Should().Equal(Site.Scripts).And.StartWith(Operations.Scripts);
        //#endif
    }

    [Fact]
    public async Task Health_asks_the_running_service()
    {
        await using var site = await Site.CreateAsync(schema: false);
        await using var service = await site.ServeAsync();
        var url = $"ASPNETCORE_URLS={service.Address}";

        //#if (jobs != "none")
        (await site.RunAsync(["health"], url)).ExitCode.Should().Be(1, "the schema is missing");
        //#endif
        (await site.RunAsync(["migrate"])).ExitCode.Should().Be(0);
        (await site.RunAsync(["health"], url)).ExitCode.Should().Be(0);
        service.Kill();
        await Eventually.TrueAsync(async () => (await site.RunAsync(["health"], url)).ExitCode == 1);
    }

    //#if (jobs != "none")
    [Fact]
    public async Task Jobs_of_a_database_without_a_schema_are_asked_for_in_vain()
    {
        await using var site = await Site.CreateAsync(schema: false);

        await site.RefusesAsync("", "migrate", "jobs");
    }

    //#endif
    [Theory]
    [InlineData("migrat")]
    //#if (jobs != "none")
    [InlineData("jobs", "reply")]
    [InlineData("jobs", "replay")]
    //#endif
    public async Task An_unknown_verb_is_refused_with_the_list_of_verbs(params string[] arguments)
    {
        await using var site = await Site.CreateAsync();

        await site.RefusesAsync("", "migrate, jobs", arguments);
    }
}
