using System.Text.RegularExpressions;

namespace TemplateTests;

/// <summary>Whatever a folder can be called, a service of that name is generated, and builds with its analyzers on.</summary>
public partial class NamesTests(TemplatePackage package)
{
    private static readonly string[][] Kinds =
    [
        // Not an identifier as it stands.
        ["1shop", "a b", ".lead", "a..b", "---", "O'Neil", "my_shop.2nd"],
        // Means something in XML, in MSBuild or to a shell.
        ["$(x)", "a&b", "a;b"],
        // Keywords of C#.
        ["my.class.api", "class"],
        // Types and namespaces of the framework, of packages, and of the service itself.
        ["Acme.System", "System", "Microsoft.Shop", "Task", "Program", "WebApplication", "Environment", "Dapper"],
        ["Order", "OrderService", "Acme.Product.Api", "Services", "Unit"],
        // Letters beyond ASCII.
        ["日本", "Ünïcode"],
        // A usual one, the template's own name, and a long one.
        ["My-Shop.Api", "ProdApi", "AnEightyLetterNameThatGoesOnAndOnUntilSomeFileSystemOrSomeToolSaysThatItIsEnough"],
    ];

    /// <summary>One of each kind, each with other options; by TEMPLATE_TESTS=full all.</summary>
    public static TheoryData<string, string> Names()
    {
        var sets = OptionTests.Sets(everyPair: true);
        return [.. Kinds.SelectMany(names => OptionTests.IsFull ? names : names[..1]).Select((name, number) => (name, string.Join(' ', sets[number % sets.Count])))];
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Build(string name, string options)
    {
        var directory = package.NewFolder();
        (await package.NewAsync(directory, ["-n", name, "--no-restore", .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries)])).MustSucceed();
        var service = Directory.GetDirectories(directory).Single();
        Path.GetFileName(service).Should().Be(name);

        // Whole solutions would take most of the time of all tests together.
        var project = Directory.GetFiles(Path.Combine(service, "src"), "*.csproj", SearchOption.AllDirectories).Single();
        (await Command.RunAsync(service, "dotnet build", OptionTests.IsFull ? [] : [project])).MustSucceed();

        // Containers and Kubernetes take lower-case ASCII, and not much of it.
        var slug = Slug().Match(await File.ReadAllTextAsync(Path.Combine(service, "compose.yaml"), TestContext.Current.CancellationToken)).Groups[1].Value;
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

    [GeneratedRegex("^name: (.*)$", RegexOptions.Multiline)]
    private static partial Regex Slug();
}
