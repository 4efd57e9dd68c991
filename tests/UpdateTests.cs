namespace TemplateTests;

/// <summary>
/// What users do to a service between two versions of the template, and what an update then makes of both. The results of a few are built
/// and tested here, with TEMPLATE_TESTS=full those of all.
/// </summary>
[Collection(nameof(TemplateVersions))]
public class UpdateTests(TemplatePackage package, TemplateVersions versions)
{
    private const string Mine = "A line of mine.";

    [Fact]
    public async Task Without_a_change_the_service_is_what_the_new_version_writes()
    {
        var user = await versions.NewAsync(options: ["--https-port", "7001", "--ci", "none"]);
        var fresh = await versions.GenerateAsync("2.0.0", package.NewFolder(), "--port", "7001", "--ci", "none");

        var update = await user.UpdateAsync("--to", "2.0.0");

        user.Hashes.Should().Equal(Tree.Hashes(fresh));
        (await user.GitAsync("log", "-1", "--format=%s%n%an")).Should().Be("Update ProductionTemplate from 1.0.0 to 2.0.0\nAnn");
        update.Output.Should().MatchRegex("\\d+ +taken from the template").And.NotContain("conflict").And.NotContain("merged");
        Directory.GetFileSystemEntries(user.Temporary, "prodapi-*").Should().BeEmpty();
        await BuildAsync(user, always: true);
    }

    [Fact]
    public async Task A_file_that_was_renamed_and_changed_gets_the_change_where_it_is_now()
    {
        var user = await versions.NewAsync();
        await user.GitAsync("config", "merge.renames", "false"); // their git may be told not to look
        await user.GitAsync("mv", "src/Shop/Services/ProductService.cs", "src/Shop/Services/Catalogue.cs");
        user.Append("src/Shop/Services/Catalogue.cs", $"// {Mine}");
        await user.CommitAsync("Rename");

        var update = await user.UpdateAsync("--to", "2.0.0");

        user.Read("src/Shop/Services/Catalogue.cs").Should().NotContain(TemplateVersions.OldLine).And.Contain(Mine);
        File.Exists(user.PathOf("src/Shop/Services/ProductService.cs")).Should().BeFalse();
        (await File.ReadAllTextAsync(Path.Combine(Repository.Root, "README.md"), TestContext.Current.CancellationToken)).Should().Contain(update.Output, "it shows what an update prints");
        await BuildAsync(user);
    }

    [Fact]
    public async Task A_file_that_the_template_renames_takes_the_change_of_the_user_along()
    {
        var user = await versions.NewAsync();
        user.Append("src/Shop/Utilities/Part.cs", $"// {Mine}");
        await user.CommitAsync("Change");

        await user.UpdateAsync("--to", "2.0.0");

        user.Read("src/Shop/Utilities/Slice.cs").Should().EndWith($"// {Mine}\n");
        File.Exists(user.PathOf("src/Shop/Utilities/Part.cs")).Should().BeFalse();
        await BuildAsync(user);
    }

    [Fact]
    public async Task What_was_deleted_stays_deleted_and_what_the_template_gave_up_goes()
    {
        var user = await versions.NewAsync();
        await user.GitAsync("rm", "--quiet", "SECURITY.md", "deploy/runbook.md");
        await user.CommitAsync("Delete");

        var update = await user.UpdateAsync("--to", "2.0.0");

        File.Exists(user.PathOf("SECURITY.md")).Should().BeFalse();
        File.Exists(user.PathOf("deploy/old.md")).Should().BeFalse();
        File.Exists(user.PathOf("deploy/haproxy.cfg")).Should().BeTrue("it is new");
        update.Output.Should().MatchRegex("2 +left deleted").And.Contain("SECURITY.md").And.Contain("deploy/runbook.md");
        await BuildAsync(user, tests: "tests/Integration"); // the unit tests ask for these documents
    }

    [Fact]
    public async Task A_folder_that_was_moved_gets_the_new_files_too()
    {
        var user = await versions.NewAsync();
        Directory.CreateDirectory(user.PathOf("operations"));
        foreach (var path in Directory.GetFileSystemEntries(user.PathOf("deploy")))
            await user.GitAsync("mv", path, "operations");
        await user.CommitAsync("Move");

        await user.UpdateAsync("--to", "2.0.0");

        File.Exists(user.PathOf("operations/haproxy.cfg")).Should().BeTrue();
        File.Exists(user.PathOf("operations/old.md")).Should().BeFalse();
        (await user.GitAsync("ls-files", "deploy")).Should().BeEmpty();
        await BuildAsync(user, tests: "tests/Integration"); // the unit tests ask for that folder
    }

    [Fact]
    public async Task A_line_that_both_changed_is_a_conflict_of_git_which_its_own_commands_end()
    {
        var user = await versions.NewAsync();
        user.Write("README.md", user.Read("README.md").Replace(TemplateVersions.OldLine, Mine, StringComparison.Ordinal));
        await user.CommitAsync("Change");

        var update = await user.RunAsync("update", "--to", "2.0.0");

        update.MustFail(1, "git cherry-pick --continue");
        update.Output.Should().MatchRegex("1 +in conflict").And.MatchRegex("(?m)^ +README.md$");
        user.Read("README.md").Should().Contain("<<<<<<< ");
        user.Write("README.md", Mine + "\n");
        await user.GitAsync("add", "--all");
        await user.GitAsync("-c", "core.editor=true", "cherry-pick", "--continue");
        (await user.GitAsync("log", "--format=%s")).Should().Be("Update ProductionTemplate from 1.0.0 to 2.0.0\nChange\nStart");
        (await user.RunAsync("status")).MustFail(2, "ProductionTemplate 2.0.0: there is 3.0.0.");
        await BuildAsync(user, tests: "tests/Integration"); // README's table is a matter of the unit tests
    }

    [Fact]
    public async Task An_abort_brings_back_all_as_it_was()
    {
        var user = await versions.NewAsync();
        user.Write("README.md", user.Read("README.md").Replace(TemplateVersions.OldLine, Mine, StringComparison.Ordinal));
        await user.GitAsync("rm", "--quiet", "SECURITY.md");
        await user.CommitAsync("Change");
        user.Write("notes.txt", "not tracked");
        var before = await user.StateAsync();
        (await user.RunAsync("update", "--to", "2.0.0")).ExitCode.Should().Be(1);

        await user.GitAsync("cherry-pick", "--abort");

        (await user.StateAsync()).Should().Be(before);
    }

    [Fact]
    public async Task A_resource_that_was_added_stands()
    {
        var user = await versions.NewAsync();
        (await Command.RunAsync(user.Folder, "dotnet restore src/Shop")).MustSucceed(); // where the template of a resource looks for its project
        (await package.NewFeatureAsync(user.Folder, "-n", "Invoice", "-o", "src/Shop")).MustSucceed();
        await user.CommitAsync("Add invoices");
        var invoices = await user.GitAsync("show", "--name-only", "--format=");

        await user.UpdateAsync("--to", "2.0.0");

        (await user.GitAsync("diff", "HEAD^", "--name-only")).Split('\n').Should().NotIntersectWith(invoices.Split('\n'));
        await BuildAsync(user, always: true);
    }

    [Fact]
    public async Task Another_answer_is_the_same_merge()
    {
        var user = await versions.NewAsync(version: "2.0.0");
        var fresh = await versions.GenerateAsync("2.0.0", package.NewFolder(), "--cache", "memory", "--deploy", "none");

        await user.UpdateAsync("--to", "2.0.0", "--set", "cache=memory", "--set", "deploy=none");

        user.Hashes.Should().Equal(Tree.Hashes(fresh));
        (await user.GitAsync("log", "-1", "--format=%s")).Should().Be("Change options of ProductionTemplate: cache=memory, deploy=none");
        await user.UpdateAsync(); // the answers are right: they were not changed by hand
        await BuildAsync(user);
    }

    [Fact]
    public async Task In_a_repository_of_many_services_one_is_updated()
    {
        var user = await versions.NewAsync("services/shop");
        await versions.GenerateAsync("1.0.0", Path.Combine(user.Root, "services/other"));
        await user.CommitAsync("Another");

        await user.UpdateAsync("--to", "2.0.0");

        (await user.GitAsync("diff", "HEAD^", "--name-only")).Split('\n').Should().OnlyContain(file => file.StartsWith("services/shop/", StringComparison.Ordinal)).And.HaveCountGreaterThan(5);
        await BuildAsync(user);
    }

    [Fact]
    public async Task A_service_that_is_a_submodule_and_has_one_is_updated()
    {
        var library = await versions.NewAsync();
        var service = await versions.NewAsync();
        await service.GitAsync("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library.Root, "library");
        await service.CommitAsync("Take a library");
        var root = package.NewFolder();
        var user = new UserRepository(package, versions, root, Path.Combine(root, "shop"));
        await user.GitAsync("init", "--quiet", "--initial-branch=main");
        await user.GitAsync("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", service.Root, "shop");
        foreach (var (name, value) in new[] { ("user.name", "Ann"), ("user.email", "ann@example.com") })
            await user.GitAsync("config", name, value);

        await user.UpdateAsync("--to", "2.0.0");

        user.Read("README.md").Should().NotContain(TemplateVersions.OldLine);
        (await user.GitAsync("ls-files", "--stage", "library")).Should().StartWith("160000");
        await BuildAsync(user);
    }

    [Theory]
    [InlineData("*.cs text eol=crlf\n*.md text eol=crlf\n")] // stored with LF
    [InlineData("* -text\n")] // stored as it is
    public async Task Lines_that_end_with_CRLF_go_on_doing_so(string attributes)
    {
        var user = await versions.NewAsync();
        user.Write(".gitattributes", attributes);
        foreach (var file in Directory.GetFiles(user.Folder, "*.*", SearchOption.AllDirectories).Where(file => Path.GetExtension(file) is ".cs" or ".md"))
            await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken)).ReplaceLineEndings("\r\n"), TestContext.Current.CancellationToken);
        user.Write("README.md", user.Read("README.md") + Mine + "\r\n");
        await user.CommitAsync("To Windows");

        await user.UpdateAsync("--to", "2.0.0");

        foreach (var file in (string[])["README.md", "SECURITY.md", "src/Shop/Services/ProductService.cs", "src/Shop/Utilities/Slice.cs"])
            user.Read(file).Replace("\r\n", "", StringComparison.Ordinal).Should().NotContain("\n", file).And.NotContain(TemplateVersions.OldLine);
        user.Read("README.md").Should().EndWith(Mine + "\r\n");
        await BuildAsync(user);
    }

    [Fact]
    public async Task What_the_attributes_of_the_repository_make_of_a_file_is_what_is_compared()
    {
        var user = await versions.NewAsync();
        user.Write(".gitattributes", "*.md filter=shout\n");
        await user.GitAsync("config", "filter.shout.clean", "tr a-z A-Z");
        await user.GitAsync("add", "--renormalize", ".");
        await user.CommitAsync("Shout");

        await user.UpdateAsync("--to", "2.0.0");

        (await user.GitAsync("show", "HEAD:SECURITY.md")).Should().MatchRegex("^[^a-z]+$").And.NotContainEquivalentOf(TemplateVersions.OldLine);
    }

    [Fact]
    public async Task After_an_update_that_was_squashed_the_next_starts_from_it()
    {
        var user = await versions.NewAsync();
        user.Append("README.md", Mine);
        await user.CommitAsync("Change");
        await user.GitAsync("switch", "--quiet", "--create", "update");
        await user.UpdateAsync("--to", "2.0.0");
        user.Append("SECURITY.md", Mine);
        await user.CommitAsync("Resolve");
        await user.GitAsync("switch", "--quiet", "main");
        await user.GitAsync("merge", "--squash", "--quiet", "update");
        await user.GitAsync("commit", "--quiet", "-m", "Squashed");

        await user.UpdateAsync();

        user.Read("README.md").Should().StartWith("# Shop, version 3.0.0\n").And.EndWith(Mine + "\n");
        user.Read("SECURITY.md").Should().EndWith(Mine + "\n");
        await BuildAsync(user);
    }

    [Fact]
    public async Task Two_updates_in_a_row_are_as_one()
    {
        var (user, other) = (await versions.NewAsync(), await versions.NewAsync());
        foreach (var each in (UserRepository[])[user, other])
        {
            each.Append("src/Shop/Services/ProductService.cs", $"// {Mine}");
            await each.CommitAsync("Change");
        }

        await user.UpdateAsync("--to", "2.0.0");
        await user.UpdateAsync("--to", "3.0.0");
        await other.UpdateAsync();

        (await user.GitAsync("rev-parse", "HEAD^{tree}")).Should().Be(await other.GitAsync("rev-parse", "HEAD^{tree}"));
        await BuildAsync(user);
    }

    [Fact]
    public async Task Files_of_ones_own_are_left_alone()
    {
        var user = await versions.NewAsync();
        user.Write(".prodapi.json", user.Read(".prodapi.json").Replace("\"keep\": []", "\"keep\": [ \"README.md\", \"deploy/**\" ]", StringComparison.Ordinal));
        user.Write("README.md", Mine);
        await user.CommitAsync("Mine");

        await user.UpdateAsync("--to", "2.0.0");

        user.Read("README.md").Should().Be(Mine);
        File.Exists(user.PathOf("deploy/old.md")).Should().BeTrue();
        File.Exists(user.PathOf("deploy/haproxy.cfg")).Should().BeFalse();
        user.Read("SECURITY.md").Should().NotContain(TemplateVersions.OldLine);
        user.Read(".prodapi.json").Should().Contain("\"keep\": [ \"README.md\", \"deploy/**\" ]").And.Contain("\"version\": \"2.0.0\"");
        await BuildAsync(user, tests: "tests/Integration"); // the unit tests ask for more of that README
    }

    [Fact]
    public async Task Bytes_and_the_right_to_run_are_taken_too_and_bytes_that_both_changed_are_a_conflict()
    {
        var user = await versions.NewAsync();
        (await user.GitAsync("ls-files", "--stage", "deploy/pin")).Should().StartWith("100644");

        await user.UpdateAsync("--to", "2.0.0");

        (await File.ReadAllBytesAsync(user.PathOf("logo.png"), TestContext.Current.CancellationToken)).Should().EndWith([2]);
        await BuildAsync(user);
        (await user.GitAsync("ls-files", "--stage", "deploy/pin")).Should().StartWith(OperatingSystem.IsWindows() ? "100644" : "100755");

        await user.GitAsync("reset", "--quiet", "--hard", "HEAD^");
        byte[] mine = [137, 80, 78, 71, 0, 3];
        await File.WriteAllBytesAsync(user.PathOf("logo.png"), mine, TestContext.Current.CancellationToken);
        await user.CommitAsync("Mine");
        (await user.RunAsync("update", "--to", "2.0.0")).MustFail(1, "logo.png");
        (await File.ReadAllBytesAsync(user.PathOf("logo.png"), TestContext.Current.CancellationToken)).Should().Equal(mine);
    }

    [Fact]
    public async Task Nothing_of_the_users_own_templates_changes()
    {
        var user = await versions.NewAsync();
        var hive = Path.Combine(user.Home, ".templateengine");
        (await user.RunWithoutSourceAsync("status")).ExitCode.Should().Be(3, "no feed has it");
        Directory.CreateDirectory(hive);
        await File.WriteAllTextAsync(Path.Combine(hive, "packages.json"), "{}", TestContext.Current.CancellationToken);
        var before = Tree.Hashes(hive);

        await user.UpdateAsync();

        Tree.Hashes(hive).Should().Equal(before);
    }

    private static Task BuildAsync(UserRepository user, bool always = false, string tests = "tests/Unit") =>
        always || OptionTests.IsFull ? user.MustBuildAsync(tests: tests) : Task.CompletedTask;
}
