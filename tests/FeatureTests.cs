using System.Text.RegularExpressions;

namespace TemplateTests;

/// <summary>A resource is added by one command, and all tests of the service hold for it.</summary>
public partial class FeatureTests(TemplatePackage package)
{
    /// <summary>Those of a resource, and those that walk over all that there are.</summary>
    internal const string OfAllOperations = "dotnet test tests/Integration --no-build --filter FullyQualifiedName~.AccessTests|FullyQualifiedName~ContractTests|FullyQualifiedName~ErrorTests|FullyQualifiedName~FuzzTests"
        + "|FullyQualifiedName~.InvoiceTests|FullyQualifiedName~.OrderLineTests|FullyQualifiedName~.PersonTests|FullyQualifiedName~.PermissionTests";

    [Fact]
    public async Task Adds_resources_that_build_are_formatted_and_pass_the_tests_of_all_operations()
    {
        var shop = await package.NewRestoredAsync();
        var before = Tree.Hashes(shop);

        foreach (var name in (string[])["Invoice", "order-line", "Person --plural People", "Permission"])
            (await package.NewFeatureAsync(shop, ["-o", "src/Shop", "-n", .. name.Split(' ')])).MustSucceed();

        Tree.Hashes(shop).Should().Contain(before, "no other file is edited");
        Tree.Match(shop, "storefront|STAMP_|invoices_table|\\(invoices\\)").Should().BeEmpty();
        (await Command.RunAsync(shop, "dotnet build -warnaserror")).MustSucceed();
        (await Command.RunAsync(shop, "dotnet format --verify-no-changes --no-restore")).MustSucceed();
        (await Command.RunAsync(shop, "dotnet test tests/Unit --no-build")).MustSucceed();
        (await Command.RunAsync(shop, OfAllOperations)).MustSucceed();
        (await Command.RunAsync(shop, "dotnet test tests/EndToEnd --no-build --filter FullyQualifiedName~.InvoiceTests|FullyQualifiedName~VerbTests")).MustSucceed();
        // On PostgreSQL, where there is one: else this says that it ran nothing.
        (await Command.RunAsync(shop, "dotnet test tests/Servers --no-build --filter FullyQualifiedName~.InvoiceTests|FullyQualifiedName~.OrderLineTests|FullyQualifiedName~.SchemaFaultTests")).MustSucceed();
    }

    /// <summary>Which has nothing else to write, so all that the template needs of the service is seen to be there.</summary>
    [Fact]
    public async Task Adds_a_resource_to_a_service_without_the_sample()
    {
        var shop = await package.NewRestoredAsync("Shop", "--sample", "false");

        (await package.NewFeatureAsync(shop, "-o", "src/Shop", "-n", "Invoice")).MustSucceed();

        (await Command.RunAsync(shop, "dotnet build -warnaserror")).MustSucceed();
        (await Command.RunAsync(shop, OfAllOperations)).MustSucceed();
    }

    [Theory]
    [InlineData("Invoice", "Invoice", "invoices")]
    [InlineData("order-line", "OrderLine", "order_lines")]
    [InlineData("Category", "Category", "categories")]
    [InlineData("Key", "Key", "keys")]
    [InlineData("Address", "Address", "addresses")]
    [InlineData("Batch", "Batch", "batches")]
    [InlineData("Series", "Series", "series")]
    [InlineData("1st thing", "Item1StThing", "item_1_st_things")]
    [InlineData("o'neil", "ONeil", "o_neils")]
    [InlineData("$(x)", "X", "xes")]
    [InlineData("---", "Item", "items")]
    [InlineData("Task", "TaskItem", "task_items")]
    [InlineData("class", "ClassItem", "class_items")]
    [InlineData("Reference", "ReferenceItem", "reference_items")]
    [InlineData("日本", "日本", "日本s")]
    public async Task Names_become_types_tables_and_routes(string name, string type, string table)
    {
        var shop = await ProjectAsync();

        (await package.NewFeatureAsync(shop, "-n", name, "-o", "src/Shop")).MustSucceed();

        Tree.Names(shop).Should().Contain([$"src/Shop/Controllers/{type}Controller.cs", $"src/Shop/Services/{type}Service.cs", $"src/Shop/Repositories/{type}Repository.cs", $"tests/Integration/{type}Tests.cs"])
            .And.ContainSingle(file => Regex.IsMatch(file, $@"^src/Shop/Repositories/Migrations/\d{{14}}_{table}\.sql$"));
        Tree.Find(shop, $"/{table.Replace('_', '-')}\"").Should().NotBeEmpty();
    }

    [Fact]
    public async Task In_a_service_without_authentication_it_has_none()
    {
        var shop = await ProjectAsync();

        (await package.NewFeatureAsync(shop, "-n", "Invoice", "-o", "src/Shop")).MustSucceed();

        Tree.Match(shop, $"{OptionTests.Off["--auth none"]}|#(if|endif)").Where(line => !line.Contains("/obj/", StringComparison.Ordinal)).Should().BeEmpty();
        Tree.Find(shop, "IController.Everybody").Should().HaveCount(5);
    }

    [Fact]
    public async Task Refuses_what_would_lose_something_or_has_no_place()
    {
        var (nowhere, shop) = (package.NewFolder(), await ProjectAsync());
        var unrestored = await package.NewShopAsync();

        (await package.NewFeatureAsync(nowhere, "-n", "Invoice")).MustFail(100, "No project was found");
        (await package.NewFeatureAsync(unrestored, "-n", "Invoice", "-o", "src/Shop")).MustFail(100, "is not restored");
        (await package.NewFeatureAsync(shop, "-n", "Invoice", "-o", "src/Shop")).MustSucceed();
        var written = Tree.Hashes(shop);
        (await package.NewFeatureAsync(shop, "-n", "Invoice", "-o", "src/Shop")).MustFail(73, "InvoiceController.cs");

        Tree.Names(nowhere).Should().BeEmpty();
        Tree.Hashes(shop).Should().Equal(written);
    }

    [Fact]
    public void Stays_small()
    {
        var files = Directory.GetFiles(Path.Combine(package.Checkout, "template/feature/src"), "*", SearchOption.AllDirectories);

        files.Should().HaveCount(4);
        files.Sum(file => File.ReadLines(file).Count()).Should().BeLessThanOrEqualTo(250);
    }

    [Fact]
    public async Task No_resource_hides_a_type_of_the_service()
    {
        var template = await File.ReadAllTextAsync(Path.Combine(package.Checkout, "template/feature/.template.config/template.json"), TestContext.Current.CancellationToken);
        var types = package.Types();

        // Of Order and Product the files are there already, which is refused.
        types.Should().NotBeEmpty();
        types.Except(["Order", "Product"]).Select(name => Border().Replace(name, "-").ToLowerInvariant())
            .Where(name => !name.StartsWith("i-", StringComparison.Ordinal) && !Regex.IsMatch(template, $@"[(|]{name}[)|]")).Should().BeEmpty("a step of \"one\" in template.json lists them");
    }

    /// <summary>As little of a service as the template looks at, without authentication.</summary>
    private async Task<string> ProjectAsync()
    {
        var folder = package.NewFolder();
        var project = Directory.CreateDirectory(Path.Combine(folder, "src", "Shop")).FullName;
        await File.WriteAllTextAsync(Path.Combine(project, "Shop.csproj"), "<Project Sdk=\"Microsoft.NET.Sdk\"><PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup></Project>", TestContext.Current.CancellationToken);
        (await Command.RunAsync(folder, "dotnet restore src/Shop")).MustSucceed();
        return folder;
    }

    [GeneratedRegex("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")]
    private static partial Regex Border();
}
