using System.Reflection.PortableExecutable;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace TemplateTests;

/// <summary>What the owner of a fresh service does first: build it, format it, run its tests.</summary>
public class BuildTests(TemplatePackage package)
{
    /// <summary>By the commands that make its image. With its tests, by TEMPLATE_TESTS=full; in Debug FeatureTests and OptionTests build them in the same way.</summary>
    [Fact]
    public async Task Is_published_without_a_warning_and_compiled_ahead()
    {
        var (shop, published) = (await package.NewRestoredAsync(), package.NewFolder());
        var commands = File.ReadLines(Path.Combine(shop, "Dockerfile")).Where(line => line.StartsWith("RUN dotnet ", StringComparison.Ordinal)).ToList();

        foreach (var command in commands)
            (await Command.RunAsync(shop, command["RUN ".Length..].Replace("${TARGETARCH}", "amd64").Replace("/app", published), "--os", "linux", "-warnaserror")).MustSucceed();

        if (OptionTests.IsFull)
            (await Command.RunAsync(shop, "dotnet build --configuration Release -warnaserror")).MustSucceed();
        commands.Should().HaveCount(2);
        using var program = new PEReader(File.OpenRead(Path.Combine(published, "Shop.dll")));
        program.PEHeaders.CorHeader!.ManagedNativeHeaderDirectory.Size.Should().BePositive("else it holds no code of a machine");
    }

    /// <summary>Under a name that sorts before those of the packages; FeatureTests and OptionTests look at one that comes after most.</summary>
    [Fact]
    public async Task Is_formatted() =>
        (await Command.RunAsync(await package.NewRestoredAsync("Acme"), "dotnet format --verify-no-changes")).MustSucceed();

    [Fact]
    public async Task Passes_its_own_tests()
    {
        // .ci/run counts the tests of the service together with these.
        var results = Environment.GetEnvironmentVariable("TEMPLATE_TESTS_RESULTS") ?? package.NewFolder();

        var test = await Command.RunAsync(await package.NewRestoredAsync(), Commands.Test, "--logger", "trx;LogFilePrefix=service", "--results-directory", results);

        test.MustSucceed();
        var passed = Directory.GetFiles(results, "service*.trx")
            .Select(file => XDocument.Load(file).Descendants().ToLookup(element => element.Name.LocalName))
            .Where(run => (int?)run["Counters"].Single().Attribute("passed") > 0)
            .Select(run => Path.GetFileName((string?)run["UnitTest"].First().Attribute("storage")));
        string[] embedded = ["unit.dll", "integration.dll", .. OperatingSystem.IsWindows() ? (string[])[] : ["endtoend.dll"]];
        if (OperatingSystem.IsWindows() || (Environment.GetEnvironmentVariable("TEST_DATABASE") is null && !Directory.Exists("/usr/lib/rabbitmq") && !File.Exists("/var/run/docker.sock")))
        {
            passed.Should().BeEquivalentTo(embedded);
            test.Output.Should().Contain("Not tested: PostgreSQL, Redis and RabbitMQ.", Exactly.Once());
        }
        else
        {
            passed.Should().BeEquivalentTo([.. embedded, "servers.dll"]);
            test.Output.Should().NotContain("Not tested");
        }
    }

    /// <summary>Of this repository, not of the service: nothing else notices when the service changes under them.</summary>
    [Fact]
    public async Task The_programs_that_measure_it_and_its_tests_fit_it()
    {
        var checkout = package.NewFolder();
        await TemplatePackage.CheckOutAsync(checkout);
        foreach (var program in Directory.GetFiles(Path.Combine(checkout, "tests", "Performance"), "*.cs"))
            (await Command.RunAsync(checkout, "dotnet build", program)).MustSucceed();
        (await Command.RunAsync(checkout, "dotnet build tests/Performance/peers/minimal")).MustSucceed();
        (await Command.RunAsync(checkout, "dotnet run tests/Mutation/mutate.cs --check")).MustSucceed();
    }

    [Fact]
    public async Task Does_not_build_with_SQL_that_input_gets_into()
    {
        var shop = await package.NewRestoredAsync();
        await File.WriteAllTextAsync(
            Path.Combine(shop, "src", "Shop", "Repositories", "Hole.cs"),
            """
            namespace Shop.Repositories;

            internal static class Hole
            {
                public static Task<int> Interpolated(Session session, string sku) => session.ExecuteAsync($"DELETE FROM products WHERE sku = '{sku}'");
                public static Task<int> Concatenated(Database database, string sku) => database.ExecuteAsync("DELETE FROM products WHERE sku = '" + sku + "'", null, default);
                public static Task<IReadOnlyList<long>> Handed(Session session, string sql) => session.QueryAsync<long>(sql);
                public static Task<int> Right(Session session, string sku) => session.ExecuteAsync("DELETE FROM products WHERE sku = @sku", new { sku });
            }
            """,
            TestContext.Current.CancellationToken);

        var build = await Command.RunAsync(shop, "dotnet build src/Shop");

        build.ExitCode.Should().NotBe(0);
        Regex.Matches(build.Output, @"Hole\.cs\((\d+),\d+\): error CA1857").Select(error => error.Groups[1].Value).Distinct().Should().BeEquivalentTo("5", "6", "7");
    }
}
