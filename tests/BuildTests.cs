using System.Xml.Linq;

namespace TemplateTests;

/// <summary>What the owner of a fresh service does first: build it, format it, run its tests.</summary>
public class BuildTests(TemplatePackage package)
{
    [Fact]
    public async Task Builds_without_a_warning() =>
        (await Command.RunAsync(await NewAsync(), "dotnet build --configuration Release -warnaserror")).MustSucceed();

    [Fact]
    public async Task Is_formatted() =>
        (await Command.RunAsync(await NewAsync(), "dotnet format --verify-no-changes")).MustSucceed();

    [Fact]
    public async Task Passes_its_own_tests()
    {
        // .ci/run counts the tests of the service together with these.
        var results = Environment.GetEnvironmentVariable("TEMPLATE_TESTS_RESULTS") ?? package.NewFolder();

        var test = await Command.RunAsync(await NewAsync(), Commands.Test, "--logger", "trx;LogFilePrefix=service", "--results-directory", results);

        test.MustSucceed();
        var passed = Directory.GetFiles(results, "service*.trx")
            .Select(file => XDocument.Load(file).Descendants().ToLookup(element => element.Name.LocalName))
            .Where(run => (int?)run["Counters"].Single().Attribute("passed") > 0)
            .Select(run => Path.GetFileName((string?)run["UnitTest"].First().Attribute("storage")));
        string[] embedded = ["unit.dll", "integration.dll", "endtoend.dll"];
        if (Environment.GetEnvironmentVariable("TEST_DATABASE") is null && !Directory.Exists("/usr/lib/rabbitmq") && !File.Exists("/var/run/docker.sock"))
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

    private async Task<string> NewAsync()
    {
        var directory = package.NewFolder();
        (await package.NewAsync(directory, "-n", "Shop")).MustSucceed();
        return Path.Combine(directory, "Shop");
    }
}
