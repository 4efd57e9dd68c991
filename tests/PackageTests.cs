using System.IO.Compression;
using System.Text.Json;

namespace TemplateTests;

public class PackageTests(TemplatePackage package)
{
    [Fact]
    public async Task Holds_the_tracked_files_of_content_and_little_else()
    {
        string[] folders = ["content/", "template/feature/", "template/ping/", "template/postgres/"];
        var tracked = (await Repository.FilesAsync()).Where(file => folders.Any(folder => file.StartsWith(folder, StringComparison.Ordinal)));
        await using var zip = await ZipFile.OpenReadAsync(package.Nupkg, TestContext.Current.CancellationToken);

        zip.Entries.Select(entry => entry.FullName).Should().BeEquivalentTo(
        [
            .. tracked,
            ".template.config/template.json", ".template.config/dotnetcli.host.json", ".template.config/ide.host.json",
            "options.json", "README.md", "LICENSE", "ProductionTemplate.nuspec",
            // Every NuGet package has these.
            "[Content_Types].xml", "_rels/.rels", "package/services/metadata/core-properties/nuget.psmdcp",
        ]);
    }

    [Fact]
    public async Task Is_the_same_byte_by_byte_when_packed_again()
    {
        File.SetLastWriteTimeUtc(Path.Combine(package.Checkout, "README.md"), DateTime.UtcNow.AddDays(-1));

        var again = await package.PackAsync();

        Tree.Hash(again).Should().Be(Tree.Hash(package.Nupkg));
    }

    [Fact]
    public async Task Can_be_installed_taken_away_and_installed_again()
    {
        var hive = package.NewFolder();
        for (var time = 0; time < 2; time++)
        {
            (await RunAsync("install", package.Nupkg)).MustSucceed();
            (await RunAsync("install", package.Nupkg, "--force")).MustSucceed();
            (await RunAsync("prodapi", "-h")).MustSucceed();

            (await RunAsync("uninstall", "ProductionTemplate")).MustSucceed();

            (await RunAsync("prodapi", "-n", "Shop")).MustFail(103, "No templates or subcommands found matching: 'prodapi'");
            (await RunAsync("prodapi-feature", "-n", "Invoice")).MustFail(103, "No templates or subcommands found matching: 'prodapi-feature'");
        }

        Task<Command> RunAsync(params string[] arguments) => Command.RunAsync(hive, "dotnet new", [.. arguments, "--debug:custom-hive", hive]);
    }

    [Fact]
    public async Task Has_the_version_that_a_generated_service_records()
    {
        var shop = await package.NewShopAsync();
        using var record = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(shop, ".prodapi.json"), TestContext.Current.CancellationToken));

        Path.GetFileName(package.Nupkg).Should().Be($"ProductionTemplate.{record.RootElement.GetProperty("version")}.nupkg");
    }

    [Theory]
    [InlineData("-p:Version=9.9.9")]
    [InlineData("-p:PackageVersion=9.9.9")]
    public async Task Cannot_be_packed_with_a_version_that_a_generated_service_would_not_record(string version)
    {
        var output = package.NewFolder();

        var pack = await Command.RunAsync(package.Checkout, "dotnet pack template --output", output, version);

        pack.MustFail(1, "Change the value of templateVersion in .template.config/template.json.");
        Directory.GetFiles(output).Should().BeEmpty();
    }
}
