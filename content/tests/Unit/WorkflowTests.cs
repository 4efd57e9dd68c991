using System.Text.RegularExpressions;

namespace Unit;

/// <summary>The workflows, which call the steps of the local script.</summary>
public sealed partial class WorkflowTests : IDisposable
{
    private static readonly string[] Workflows = Directory.GetFiles(Path.Combine(Repository.Root, ".github", "workflows"));

    private readonly Scripts _scripts = new();

    [Fact, Trait("Readiness", "62")]
    public void The_workflow_runs_the_steps_of_the_local_script_in_their_order()
    {
        var steps = _scripts.Run("ci", "--list").Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Calls(Path.Combine(Repository.Root, ".github", "workflows", "ci.yml")).Should().Equal(steps);
        Workflows.SelectMany(Calls).Should().BeSubsetOf(steps);

        static IEnumerable<string> Calls(string workflow) => StepCall().Matches(File.ReadAllText(workflow)).Select(call => call.Groups[1].Value);
    }

    [Fact, Trait("Readiness", "62")]
    public void Workflows_have_few_rights_and_use_exact_versions()
    {
        foreach (var file in Workflows)
        {
            var text = File.ReadAllText(file);
            var yaml = Scripts.Yaml(text);
            yaml["permissions"].Should().Match(rights => rights.ToString() == "" || ((IDictionary<object, object>)rights).All(right => Equals(right.Key, "contents") && Equals(right.Value, "read")), file);
            text.Should().NotContain("pull_request_target").And.NotContain("write-all");
            var uses = Use().Matches(text).Select(use => use.Groups[1].Value).ToList();
            uses.Should().NotBeEmpty().And.OnlyContain(use => ExactUse().IsMatch(use));
            Regex.Count(text, "actions/checkout@").Should().Be(Regex.Count(text, "persist-credentials: false"), "a token on the disk is anybody's");
        }
    }

    [Fact, Trait("Readiness", "62")]
    public void Tags_of_actions_are_turned_into_commits()
    {
        var copy = _scripts.Copy(["Dockerfile", "compose.yaml", "ci", "deploy/pin", .. Workflows.Select(file => Path.GetRelativePath(Repository.Root, file))]);
        _scripts.Fake("git", "echo \"$(printf %040d 1)\trefs/tags/x\"");
        _scripts.Fake("docker", "echo sha256:$(printf %064d 2)");

        var (exitCode, output) = _scripts.Run(Path.Combine(copy, "deploy/pin"));

        exitCode.Should().Be(0, output);
        Use().Matches(File.ReadAllText(Path.Combine(copy, ".github/workflows/ci.yml"))).Select(use => use.Groups[1].Value).Should().NotBeEmpty().And.OnlyContain(use => PinnedUse().IsMatch(use));
    }

    public void Dispose() => _scripts.Dispose();

    [GeneratedRegex(@"run: \./ci (\w+)")]
    private static partial Regex StepCall();

    [GeneratedRegex(@"uses: (.+)")]
    private static partial Regex Use();

    [GeneratedRegex(@"@0{39}1 # v\d+\.\d+\.\d+$")]
    private static partial Regex PinnedUse();

    [GeneratedRegex(@"@(v\d+\.\d+\.\d+|[0-9a-f]{40} # v\d+\.\d+\.\d+)$")]
    private static partial Regex ExactUse();
}
