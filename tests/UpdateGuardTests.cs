using System.Text.Json;

namespace TemplateTests;

/// <summary>What the tool says, and what it will not do: one line, exit code 3, and nothing has changed.</summary>
[Collection(nameof(TemplateVersions))]
public class UpdateGuardTests(TemplatePackage package, TemplateVersions versions)
{
    [Fact]
    public async Task The_state_is_told_to_people_and_to_programs()
    {
        var user = await versions.NewAsync();

        (await user.RunAsync("status")).MustFail(2, "ProductionTemplate 1.0.0: there is 3.0.0. Take it: prodapi update.");
        var told = await user.RunAsync("status", "--json");
        told.ExitCode.Should().Be(2);
        JsonElement.Parse(told.Output).ToString().Should().Be("""{"package":"ProductionTemplate","version":"1.0.0","latest":"3.0.0","update":true}""");

        await user.UpdateAsync();

        (await user.RunAsync("status")).MustSucceed().Output.Should().Be("ProductionTemplate 3.0.0: there is no newer one.\n");
        (await user.RunAsync("update")).MustSucceed().Output.Should().Contain("Nothing to do: this service has version 3.0.0 already.");
    }

    [Fact]
    public async Task What_was_changed_since_is_shown_as_git_shows_it()
    {
        var user = await versions.NewAsync("services/shop");
        (await user.RunAsync("diff")).MustSucceed().Output.Should().BeEmpty();
        user.Append("README.md", "A line of mine.");
        await user.GitAsync("rm", "--quiet", "SECURITY.md");

        (await user.RunAsync("diff")).MustSucceed().Output.Should().Contain("+A line of mine.").And.Contain("deleted file mode 100644");
        (await user.RunAsync("diff", "--", "--name-status")).MustSucceed().Output.Should().Be("M\tservices/shop/README.md\nD\tservices/shop/SECURITY.md\n");
    }

    [Fact]
    public async Task A_service_without_a_record_gets_one()
    {
        var user = await versions.NewAsync(options: ["--cache", "memory"]);
        var record = user.Read(".prodapi.json");
        await user.GitAsync("rm", "--quiet", ".prodapi.json");
        await user.CommitAsync("Lose it");
        (await user.RunAsync("update")).MustFail(3, "There is no .prodapi.json in ");

        (await user.RunAsync("link", "--version", "1.0.0", "--name", "Shop", "--set", "cache=memory")).MustSucceed();

        user.Read(".prodapi.json").Should().Be(record);
        (await user.RunAsync("update")).MustFail(3, ".prodapi.json is not committed.");
        await user.CommitAsync("Link");
        await user.UpdateAsync();
        (await user.RunAsync("link", "--version", "1.0.0")).MustFail(3, "There is a .prodapi.json already.");
    }

    public static TheoryData<string, string[], string[][]> Refusals => new()
    {
        { "There are changes that are not committed (1 files).", ["update"], [["rm", "--quiet", "README.md"]] },
        { "HEAD is detached.", ["update"], [["switch", "--quiet", "--detach"]] },
        { "The branch has no commit yet.", ["update"], [["switch", "--quiet", "--orphan", "other"], ["checkout", "main", "--", "."]] },
        { "A cherry-pick is under way.", ["update"], [["switch", "--quiet", "--create", "other"], ["commit", "--quiet", "--allow-empty", "-m", "empty"], ["switch", "--quiet", "main"], ["update-ref", "CHERRY_PICK_HEAD", "other"]] },
        { "has no ProductionTemplate 7.0.0, but 1.0.0, 2.0.0, 3.0.0.", ["update", "--to", "7.0.0"], [] },
        { "This service has version 1.0.0, and 0.5.0 is older.", ["update", "--to", "0.5.0"], [] },
        { "newest is no version: write one like 1.2.0.", ["update", "--to", "newest"], [] },
        { "does not take the answers: Error: Invalid option(s): --taste", ["update", "--set", "taste=sweet"], [] },
        { "does not take the answers: Error: Invalid option(s): --cache disk 'disk' is not a valid value for --cache.", ["update", "--set", "cache=disk"], [] },
        { "cache is no answer: write OPTION=VALUE", ["update", "--set", "cache"], [] },
        { "Unrecognized command or argument '--force'.", ["update", "--force"], [] },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task Is_refused(string line, string[] arguments, string[][] before)
    {
        var user = await versions.NewAsync();
        foreach (var command in before)
            await user.GitAsync(command);
        var state = await user.StateAsync();

        (await user.RunAsync(arguments)).MustFail(3, line);

        (await user.StateAsync()).Should().Be(state);
        Directory.GetFileSystemEntries(user.Temporary, "prodapi-*").Should().BeEmpty();
    }

    [Theory]
    [InlineData("\"cache\": \"redis\"", "\"cache\": \"memory\"", "The answers in .prodapi.json were changed by hand in ")]
    [InlineData("\"name\": \"Shop\"", "\"name\": \"Store\"", "The answers in .prodapi.json were changed by hand in ")]
    [InlineData("\"version\": \"1.0.0\"", "\"version\": \"one\"", ".prodapi.json is not as the template writes it: \"one\" is no version.")]
    [InlineData("\"package\"", "\"parcel\"", ".prodapi.json is not as the template writes it: there is no \"package\".")]
    [InlineData("\"options\": {", "\"options\": [", ".prodapi.json is not as the template writes it: ")]
    public async Task Answers_that_nobody_generated_by_are_refused(string from, string to, string line)
    {
        var user = await versions.NewAsync();
        user.Write(".prodapi.json", user.Read(".prodapi.json").Replace(from, to, StringComparison.Ordinal));
        await user.CommitAsync("By hand");
        user.Append("README.md", "And other work.");
        await user.CommitAsync("Work");
        var state = await user.StateAsync();

        (await user.RunAsync("update")).MustFail(3, line);

        (await user.StateAsync()).Should().Be(state);
    }

    [Fact]
    public async Task Without_a_repository_or_a_network_nothing_is_done()
    {
        var folder = await versions.GenerateAsync("1.0.0", package.NewFolder());
        var user = new UserRepository(package, versions, folder, folder);
        var before = Tree.Hashes(folder);

        (await user.RunAsync("update")).MustFail(3, "is in no git repository.");
        (await user.RunWithoutSourceAsync("status", "--source", "http://127.0.0.1:1/index.json")).MustFail(3, "Is there a network? Else name a folder that has its packages: --source FOLDER.");
        (await user.RunWithoutSourceAsync("status", "--source", "no/such/folder")).MustFail(3, "There is no folder no/such/folder.");

        Tree.Hashes(folder).Should().Equal(before);
    }

    [Fact]
    public async Task A_file_in_the_way_that_git_does_not_know_is_not_lost()
    {
        var user = await versions.NewAsync();
        user.Write("deploy/haproxy.cfg", "mine");
        var state = await user.StateAsync();

        (await user.RunAsync("update", "--to", "2.0.0")).MustFail(3, "deploy/haproxy.cfg");

        (await user.StateAsync()).Should().Be(state);
    }

    /// <param name="moment">What it prints just before; or where git stands: in the middle of writing files, or with all written and no commit made.</param>
    [Theory]
    [InlineData("Writing 1.0.0 and 2.0.0")]
    [InlineData("Comparing")]
    [InlineData("files")]
    [InlineData("commit")]
    public async Task After_Ctrl_C_all_is_as_it_was(string moment)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows() || OperatingSystem.IsMacOS(), "setsid, which stands for the terminal, is Linux's");
        var user = await versions.NewAsync();
        user.Append("README.md", "A line of mine.");
        user.Write(".gitattributes", "Slice.cs filter=wait\n");
        await user.CommitAsync("Change");
        var folder = package.NewFolder();
        var (reached, wait, hook) = (Path.Combine(folder, "reached"), Path.Combine(folder, "wait"), Path.Combine(user.Root, ".git/hooks/prepare-commit-msg"));
        await File.WriteAllTextAsync(wait, $"#!/bin/sh\ntouch '{reached}'\nexec sleep 600\n", TestContext.Current.CancellationToken);
        (await Command.RunAsync(folder, "chmod +x", wait)).MustSucceed();
        if (moment == "files")
            await user.GitAsync("config", "filter.wait.smudge", wait);
        if (moment == "commit")
            File.Copy(wait, hook);
        var state = await user.StateAsync();
        using var update = user.Start("update", "--to", "2.0.0");
        if (moment is "files" or "commit")
        {
            for (var tries = 0; !File.Exists(reached); tries++)
            {
                tries.Should().BeLessThan(6000, "git comes there in the end");
                await Task.Delay(20, TestContext.Current.CancellationToken);
            }
            File.Exists(user.PathOf("deploy/haproxy.cfg")).Should().BeTrue("it stands in the middle");
        }
        else
        {
            while (await update.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is { } line && !line.Contains(moment, StringComparison.Ordinal))
                continue;
        }

        (await Command.RunAsync(user.Root, $"kill -INT -- -{update.Id}")).MustSucceed();
        await update.WaitForExitAsync(TestContext.Current.CancellationToken);

        (update.ExitCode, await update.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken)).Should().Be((130, "Stopped: nothing was changed.\n"));
        (await user.StateAsync()).Should().Be(state);
        Directory.GetFileSystemEntries(user.Temporary, "prodapi-*").Should().BeEmpty();
    }
}
