using System.Text.RegularExpressions;

namespace TemplateTests;

/// <summary>Whatever a folder can be called, a service of that name is generated, and builds with its analyzers on.</summary>
public partial class NamesTests(TemplatePackage package)
{
    [Theory]
    // Not an identifier as it stands.
    [InlineData("1shop")]
    [InlineData("a b")]
    [InlineData(".lead")]
    [InlineData("a..b")]
    [InlineData("---")]
    [InlineData("O'Neil")]
    [InlineData("my_shop.2nd")]
    // Means something in XML, in MSBuild or to a shell.
    [InlineData("a&b")]
    [InlineData("a;b")]
    [InlineData("$(x)")]
    // Keywords of C#.
    [InlineData("class")]
    [InlineData("my.class.api")]
    // Types and namespaces of the framework, of packages, and of the service itself.
    [InlineData("System")]
    [InlineData("Acme.System")]
    [InlineData("Microsoft.Shop")]
    [InlineData("Task")]
    [InlineData("Program")]
    [InlineData("WebApplication")]
    [InlineData("Environment")]
    [InlineData("Dapper")]
    [InlineData("Order")]
    [InlineData("OrderService")]
    [InlineData("Acme.Product.Api")]
    [InlineData("Services")]
    [InlineData("Unit")]
    // Letters beyond ASCII.
    [InlineData("Ünïcode")]
    [InlineData("日本")]
    // The template's own name, a usual one, and a long one.
    [InlineData("ProdApi")]
    [InlineData("My-Shop.Api")]
    [InlineData("AnEightyLetterNameThatGoesOnAndOnUntilSomeFileSystemOrSomeToolSaysThatItIsEnough")]
    public async Task Build(string name)
    {
        var directory = package.NewFolder();
        (await package.NewAsync(directory, "-n", name, "--no-restore")).MustSucceed();
        var service = Directory.GetDirectories(directory).Single();
        Path.GetFileName(service).Should().Be(name);

        // Whole solutions would take most of the time of all tests together.
        var whole = Environment.GetEnvironmentVariable("TEMPLATE_TESTS") == "full";
        var project = Directory.GetFiles(Path.Combine(service, "src"), "*.csproj", SearchOption.AllDirectories).Single();
        (await Command.RunAsync(service, "dotnet build", whole ? [] : [project])).MustSucceed();

        // Containers and Kubernetes take lower-case ASCII, and not much of it.
        var slug = Secrets().Match(await File.ReadAllTextAsync(project, TestContext.Current.CancellationToken)).Groups[1].Value;
        slug.Should().MatchRegex("^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$");
    }

    [Fact]
    public async Task No_service_is_named_like_one_of_its_own_types()
    {
        var types = package.Types();
        var template = await File.ReadAllTextAsync(Path.Combine(package.Checkout, ".template.config/template.json"), TestContext.Current.CancellationToken);

        // A list of all types would be long. Only these can be what someone calls a service.
        types.Should().NotBeEmpty();
        types.Where(name => OneWord().IsMatch(name)).Where(name => !Regex.IsMatch(template, $@"[(|]{name}[)|]"))
            .Should().BeEmpty("the last step of serviceName in template.json lists them");
    }

    [GeneratedRegex("^[A-Z][a-z]*$|Service$")]
    private static partial Regex OneWord();

    [GeneratedRegex("<UserSecretsId>(.*)-secrets</UserSecretsId>")]
    private static partial Regex Secrets();
}
