using System.Text.Json;
using System.Text.RegularExpressions;

namespace TemplateTests;

public partial class GenerationTests(TemplatePackage package)
{
    [Fact]
    public async Task Writes_the_files_of_content_under_the_name_of_the_service()
    {
        var shop = await package.NewShopAsync();

        var content = (await Repository.FilesAsync())
            .Where(file => file.StartsWith("content/", StringComparison.Ordinal))
            .Select(file => file["content/".Length..].Replace("Storefront", "Shop").Replace("storefront", "shop"));
        Tree.Names(shop).Should().BeEquivalentTo(content);
    }

    [Fact]
    public async Task Writes_the_text_of_content_as_it_is()
    {
        var directory = package.NewFolder();
        (await package.NewAsync(directory, "-n", "Storefront", "--no-restore")).MustSucceed();

        var content = (await Repository.FilesAsync()).Where(file => file.StartsWith("content/", StringComparison.Ordinal));
        var changed = content.Where(file => file.EndsWith(".png", StringComparison.Ordinal)
            ? Tree.Hash(Path.Combine(Repository.Root, file)) != Tree.Hash(Path.Combine(directory, "Storefront", file["content/".Length..]))
            : Directive().Replace(File.ReadAllText(Path.Combine(Repository.Root, file)), "") != File.ReadAllText(Path.Combine(directory, "Storefront", file["content/".Length..])));
        changed.Should().Equal("content/.prodapi.json");
    }

    [Fact]
    public async Task Leaves_no_trace_of_the_template_or_of_the_machine()
    {
        var shop = await package.NewShopAsync("--port", "5111");

        string[] traces = ["storefront", "7443", "RECORD_", Repository.Root, Path.GetTempPath(), "TemplateTests"];
        traces.SelectMany(trace => Tree.Find(shop, trace)).Should().BeEmpty();
    }

    /// <summary>Its scripts, too: the unit tests run them.</summary>
    [Fact]
    public async Task Builds_in_a_folder_of_any_name()
    {
        var shop = Path.Combine(package.NewFolder(), "Müller & söhne 日本 (1)");

        (await package.NewAsync(package.NewFolder(), "-n", "Shop", "-o", shop)).MustSucceed();

        (await Command.RunAsync(shop, "dotnet test tests/Unit")).MustSucceed();
    }

    [Fact]
    public void Has_no_path_that_Windows_would_not_take()
    {
        // With no option, and what each option adds.
        var names = File.ReadLines(Path.Combine(Repository.Root, "tests/Approved/files.txt")).Where(line => line.Length > 0 && line[0] != '-').Select(line => line.TrimStart('+', ' ')).Distinct().ToList();

        names.Should().Contain("src/Shop/Program.cs").And.OnlyHaveUniqueItems(name => name.ToUpperInvariant());
        names.SelectMany(name => name.Split('/')).Should().NotContain(part => ForeignToWindows().IsMatch(part));
        names.Should().OnlyContain(name => name.Length <= 100); // of 260, with the folder before it and "obj/" within
    }

    [Fact]
    public async Task Puts_the_port_wherever_content_has_its_own()
    {
        var content = Path.Combine(package.Checkout, "content");
        // As a part of another number, 7443 would be replaced there, too.
        Tree.Find(content, "7443").Should().NotBeEmpty().And.OnlyContain(line => LoneNumber().IsMatch(line));

        var shop = await package.NewShopAsync("--port", "5111");

        Tree.Find(shop, "5111").Should().HaveSameCount(Tree.Find(await package.NewShopAsync(), "7443"));
    }

    [Fact]
    public async Task Scripts_can_be_run_as_they_come_out_of_the_package()
    {
        var shop = await package.NewShopAsync();

        var scripts = Tree.Names(shop).Where(name => File.ReadLines(Path.Combine(shop, name)).FirstOrDefault()?.StartsWith("#!/", StringComparison.Ordinal) == true).ToList();
        scripts.Should().Contain("ci").And.OnlyContain(name => OperatingSystem.IsWindows() || File.GetUnixFileMode(Path.Combine(shop, name)).HasFlag(UnixFileMode.UserExecute));
    }

    [Fact]
    public async Task Restores_unless_told_not_to()
    {
        var directory = package.NewFolder();

        (await package.NewAsync(directory, "-n", "Restored")).MustSucceed().Output.Should().Contain("Restore succeeded.");
        (await package.NewAsync(directory, "-n", "Bare", "--no-restore")).MustSucceed().Output.Should().NotContain("estore");

        File.Exists(Path.Combine(directory, "Restored/src/Restored/obj/project.assets.json")).Should().BeTrue();
        Directory.Exists(Path.Combine(directory, "Bare/src/Bare/obj")).Should().BeFalse();
    }

    /// <summary>That one holds none is for its own SecretTests to say; a service of the same name shares the folder of user secrets, whose keys are the developer's own.</summary>
    [Fact]
    public async Task Two_services_share_nothing_that_looks_like_a_secret()
    {
        var (shop, market) = (await package.NewShopAsync(), Path.Combine(package.NewFolder(), "Market"));
        (await package.NewAsync(Path.GetDirectoryName(market)!, "-n", "Market", "--no-restore")).MustSucceed();

        var shared = Randoms(shop).Intersect(Randoms(market)).ToList();

        shared.Should().BeSubsetOf(["00000000-0000-0000-0000-000000000000", "01a2044a-583f-7537-a1ff-5862a3149d01"], "these ids stand in tests as examples");
        Tree.Find(market, "<UserSecretsId>").Should().ContainSingle().Which.Should().Contain(">market-secrets<");

        static IEnumerable<string> Randoms(string folder) => Tree.Names(folder).Where(name => !name.EndsWith("packages.lock.json", StringComparison.Ordinal))
            .SelectMany(name => RandomWord().Matches(File.ReadAllText(Path.Combine(folder, name)))).Select(match => match.Value);
    }

    [Theory]
    [InlineData("true", 126, 3900)]
    [InlineData("false", 115, 3450)]
    public async Task Stays_small(string sample, int mostFiles, int mostLines)
    {
        var shop = await package.NewShopAsync("--sample", sample);

        var files = Tree.Names(shop);
        var code = files.Where(file => file.StartsWith("src/", StringComparison.Ordinal) && file.EndsWith(".cs", StringComparison.Ordinal));
        files.Count(file => !file.StartsWith("tests/", StringComparison.Ordinal)).Should().BeLessThanOrEqualTo(mostFiles);
        code.SelectMany(Lines).Count(IsCode).Should().BeLessThanOrEqualTo(mostLines);
        Lines("src/Shop/Program.cs").Should().HaveCountLessThanOrEqualTo(40);

        IEnumerable<string> Lines(string file) => File.ReadLines(Path.Combine(shop, file)).Select(line => line.Trim());
        static bool IsCode(string line) => line.Length > 0 && !line.StartsWith("//", StringComparison.Ordinal);
    }

    [Fact]
    public async Task Writes_the_same_from_a_checkout_as_from_the_package()
    {
        var directory = package.NewFolder();
        var hive = package.NewFolder();

        var install = await Command.RunAsync(package.Checkout, Commands.Install, "--debug:custom-hive", hive);
        var create = await Command.RunAsync(Directory.CreateDirectory(Path.Combine(directory, "checkout")).FullName, Commands.New, "--no-restore", "--debug:custom-hive", hive);

        install.MustSucceed().Output.Should().MatchRegex(@"\bprodapi +\[").And.MatchRegex(@"\bprodapi-feature\b");
        create.MustSucceed();
        Tree.Hashes(Path.Combine(directory, "Shop")).Should().Equal(Tree.Hashes(await package.NewShopAsync()));
    }

    [Theory]
    [InlineData("My-Shop.Api", "5111")]
    [InlineData("a \"quoted\" name", "7443")]
    public async Task Records_what_is_needed_to_write_the_same_again(string name, string port)
    {
        var (first, second) = (package.NewFolder(), package.NewFolder());
        (await package.NewAsync(first, "-n", name, "--port", port, "--no-restore", "-o", first)).MustSucceed();

        using var record = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(first, ".prodapi.json"), TestContext.Current.CancellationToken));
        var options = record.RootElement.GetProperty("options").EnumerateObject().SelectMany(option => new[] { $"--{option.Name}", option.Value.ToString() });
        record.RootElement.GetProperty("name").GetString().Should().Be(name);
        (await package.NewAsync(second, ["-n", name, "--no-restore", "-o", second, .. options])).MustSucceed();

        Tree.Hashes(second).Should().Equal(Tree.Hashes(first));
    }

    /// <summary>A GUID, a long hexadecimal number, or letters of both kinds between many digits.</summary>
    [GeneratedRegex(@"\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[0-9a-f]{32,}\b|\b(?=(?:[A-Za-z+/]*[0-9]){4})(?=[^\s""]*[A-Z])(?=[^\s""]*[a-z])[A-Za-z0-9+/]{32,}")]
    private static partial Regex RandomWord();

    [GeneratedRegex(@"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)|[<>:""|?*\\\x00-\x1f]|[. ]$", RegexOptions.IgnoreCase)]
    private static partial Regex ForeignToWindows();

    /// <summary>A line that says which option the lines below it belong to. With all options as they are, those lines stay; what is written for others is commented out, and goes.</summary>
    [GeneratedRegex(@"^ *<!--#if \(.*\)\n(?:.*\n)*? *#endif -->\n|^ *////#else\n(?: *//.*\n)*?(?= *//#endif\n)|^ *(//|<!--|)#(if \(.*\)|endif)( -->)?\n", RegexOptions.Multiline)]
    private static partial Regex Directive();

    [GeneratedRegex(@"\b7443\b")]
    private static partial Regex LoneNumber();
}
