using System.Text.RegularExpressions;

namespace TemplateTests;

/// <summary>The workflow that updates a service each week: its script, run here, on the feeds that NuGet is set up for.</summary>
[Collection(nameof(TemplateVersions))]
public partial class UpdateWorkflowTests(TemplatePackage package, TemplateVersions versions)
{
    [Fact]
    public async Task A_newer_version_becomes_a_pull_request_and_where_there_is_none_nothing_happens()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the workflow runs on Linux");
        var user = await versions.NewAsync();
        var origin = package.NewFolder();
        await user.GitAsync("init", "--quiet", "--bare", origin);
        await user.GitAsync("remote", "add", "origin", origin);
        var config = Directory.CreateDirectory(Path.Combine(user.Home, ".nuget/NuGet")).FullName;
        await File.WriteAllTextAsync(Path.Combine(config, "NuGet.Config"), $"""<configuration><packageSources><clear /><add key="feed" value="{versions.Feed}" /></packageSources></configuration>""", TestContext.Current.CancellationToken);
        var calls = Path.Combine(package.NewFolder(), "calls");
        var gh = Path.Combine(Path.GetDirectoryName(calls)!, "gh");
        await File.WriteAllTextAsync(gh, $"#!/bin/sh\necho \"$@\" >>'{calls}'\n", TestContext.Current.CancellationToken);
        (await Command.RunAsync(user.Root, "chmod +x", gh)).MustSucceed();

        await RunAsync();

        (await File.ReadAllLinesAsync(calls, TestContext.Current.CancellationToken)).Should().Equal("auth setup-git", "pr create --fill --head template-update");
        await user.GitAsync("fetch", "--quiet", "origin");
        (await user.GitAsync("log", "--format=%s", "origin/template-update")).Should().Be("Update ProductionTemplate from 1.0.0 to 3.0.0\nStart");

        File.Delete(calls);
        await user.GitAsync("switch", "--quiet", "main");
        await user.GitAsync("merge", "--quiet", "--ff-only", "origin/template-update");
        await user.GitAsync("branch", "--quiet", "--delete", "template-update");
        await RunAsync();

        File.Exists(calls).Should().BeFalse();

        async Task RunAsync()
        {
            var script = Script().Match(user.Read(".github/workflows/update.yml")).Groups[1].Value;
            var path = $"{Path.GetDirectoryName(gh)}:{Path.GetDirectoryName(versions.Tool)}:{Environment.GetEnvironmentVariable("PATH")}";
            var run = await Command.RunAsync(user.Folder, new Dictionary<string, string>(user.Environment) { ["PATH"] = path }, "bash -e -c", Regex.Replace(script, "(?m)^ {10}", ""));
            run.ExitCode.Should().Be(0, "{0}{1}", run.Output, run.Errors);
        }
    }

    [GeneratedRegex(@"run: \|\n((?: {10}.*\n)+)")]
    private static partial Regex Script();
}
