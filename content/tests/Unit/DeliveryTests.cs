using System.Diagnostics;
using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.Serialization;

namespace Unit;

/// <summary>What builds, ships and starts the service: Dockerfile, compose.yaml, the workflows, and the scripts that they call.</summary>
public sealed partial class DeliveryTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("storefront-delivery-").FullName;

    [Fact, Trait("Readiness", "62")]
    public void The_workflow_runs_the_steps_of_the_local_script_in_their_order()
    {
        var steps = Run("ci", "--list").Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Calls(Workflow("ci.yml")).Should().Equal(steps);
        Calls(Workflow("deploy.yml")).Should().BeSubsetOf(steps);
        steps.Should().StartWith(["restore", "build"], "a restore from the lock files comes first");

        static IEnumerable<string> Calls(string workflow) => StepCall().Matches(workflow).Select(call => call.Groups[1].Value);
    }

    [Fact, Trait("Readiness", "62")]
    public void Workflows_have_few_rights_and_use_exact_versions()
    {
        foreach (var file in Directory.GetFiles(Path.Combine(Repository.Root, ".github", "workflows")))
        {
            var text = File.ReadAllText(file);
            var yaml = Yaml(text);
            yaml["permissions"].Should().Match(rights => rights.ToString() == "" || ((IDictionary<object, object>)rights).All(right => Equals(right.Key, "contents") && Equals(right.Value, "read")), file);
            text.Should().NotContain("pull_request_target").And.NotContain("write-all");
            var uses = Use().Matches(text).Select(use => use.Groups[1].Value).ToList();
            uses.Should().NotBeEmpty().And.OnlyContain(use => ExactUse().IsMatch(use));
            Regex.Count(text, "actions/checkout@").Should().Be(Regex.Count(text, "persist-credentials: false"), "a token on the disk is anybody's");
        }
        var restore = File.ReadAllLines(Path.Combine(Repository.Root, "ci")).Single(line => line.StartsWith("restore()", StringComparison.Ordinal));
        restore.Should().Contain("--locked-mode").And.Contain("-p:WarningsNotAsErrors=", "advisories are errors there");
    }

    [Fact, Trait("Readiness", "60")]
    public void The_image_is_built_from_the_lock_file_on_a_chiseled_base_and_runs_as_nobody()
    {
        var lines = File.ReadAllText(Path.Combine(Repository.Root, "Dockerfile")).Replace("\\\n", "", StringComparison.Ordinal).Split('\n');
        var last = lines.Skip(Array.FindLastIndex(lines, line => line.StartsWith("FROM ", StringComparison.Ordinal))).ToList();

        lines.Single(line => line.StartsWith("ARG RUNTIME=", StringComparison.Ordinal)).Should().MatchRegex(@"aspnet:\d+\.\d+\.\d+-\w+-chiseled(@sha256:[0-9a-f]{64})?$");
        lines.Single(line => line.StartsWith("ARG SDK=", StringComparison.Ordinal)).Should().MatchRegex(@"sdk:\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$");
        lines.Should().Contain(line => line.StartsWith("RUN dotnet restore", StringComparison.Ordinal) && line.Contains("--locked-mode")).And.NotContain(line => line.StartsWith("ADD ", StringComparison.Ordinal));
        last[0].Should().Be("FROM ${RUNTIME}");
        last.Should().NotContain(line => line.StartsWith("RUN ", StringComparison.Ordinal), "there is no shell");
        last.Single(line => line.StartsWith("USER ", StringComparison.Ordinal)).Should().MatchRegex("^USER [1-9][0-9]*$");
        last.Should().Contain(line => line.StartsWith("HEALTHCHECK ", StringComparison.Ordinal) && line.EndsWith("CMD [\"dotnet\", \"Storefront.dll\", \"health\"]", StringComparison.Ordinal));
        last.Should().Contain("ENTRYPOINT [\"dotnet\", \"Storefront.dll\"]").And.Contain(line => line.Contains("org.opencontainers.image.revision"));
        File.ReadLines(Path.Combine(Repository.Root, ".dockerignore")).First(line => !line.StartsWith('#')).Should().Be("*", "what is not named stays out");
    }

    [Fact, Trait("Readiness", "60")]
    public void Compose_publishes_the_proxy_alone_and_hardens_every_container()
    {
        var services = (IDictionary<object, object>)Yaml(File.ReadAllText(Path.Combine(Repository.Root, "compose.yaml")))["services"];

        services.Where(service => Field(service, "ports") is not null).Select(service => service.Key).Should().Equal("proxy");
        services.Where(service => !Has(service, "cap_drop", "ALL") || !Has(service, "security_opt", "no-new-privileges:true") || Field(service, "mem_limit") is null).Select(service => service.Key).Should().BeEmpty();
        services.Where(service => IsOurs(service) && Equals(Field(service, "read_only"), "true") && Equals(Field(service, "stop_grace_period"), "45s")).Should().HaveCount(4);
        services.Where(service => !IsOurs(service) && (Field(service, "healthcheck") is null || !ExactTag().IsMatch((string)Field(service, "image")!))).Select(service => service.Key).Should().BeEmpty();
        File.ReadAllText(Path.Combine(Repository.Root, "compose.yaml")).Should().NotMatchRegex(@"\$\{\w*PASSWORD(?!:\?)", "one that is missing is said, not left out");

        static object? Field(KeyValuePair<object, object> service, string name) => ((IDictionary<object, object>)service.Value).TryGetValue(name, out var value) ? value : null;
        static bool Has(KeyValuePair<object, object> service, string name, string value) => Field(service, name) is IList<object> list && list.Contains(value);
        static bool IsOurs(KeyValuePair<object, object> service) => Equals(Field(service, "image"), "storefront");
    }

    [Fact, Trait("Readiness", "62")]
    public void Tags_are_turned_into_what_cannot_be_moved()
    {
        var copy = Directory.CreateDirectory(Path.Combine(_folder, "copy")).FullName;
        string[] files = ["Dockerfile", "compose.yaml", "ci", "deploy/pin", .. Directory.GetFiles(Path.Combine(Repository.Root, ".github", "workflows")).Select(file => $".github/workflows/{Path.GetFileName(file)}")];
        foreach (var file in files)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(copy, file))!);
            File.Copy(Path.Combine(Repository.Root, file), Path.Combine(copy, file));
        }
        Fake("git", "echo \"$(printf %040d 1)\trefs/tags/x\"");
        Fake("docker", "echo sha256:$(printf %064d 2)");

        var (exitCode, output) = Run(Path.Combine(copy, "deploy/pin"));

        exitCode.Should().Be(0, output);
        Use().Matches(File.ReadAllText(Path.Combine(copy, ".github/workflows/ci.yml"))).Select(use => use.Groups[1].Value).Should().OnlyContain(use => Regex.IsMatch(use, @"@0{39}1 # v\d+\.\d+\.\d+$"));
        File.ReadAllText(Path.Combine(copy, "Dockerfile")).Should().MatchRegex(@"ARG RUNTIME=.*-chiseled@sha256:0+2\n");
        Regex.Matches(File.ReadAllText(Path.Combine(copy, "compose.yaml")), "image: .*:.*").Should().OnlyContain(image => image.Value.EndsWith('2') && image.Value.Contains("@sha256:"));
        File.ReadLines(Path.Combine(copy, "ci")).Where(line => line.StartsWith("trivy=", StringComparison.Ordinal)).Should().OnlyContain(line => line.Contains("@sha256:"));
    }

    [Theory, Trait("Readiness", "62")]
    [InlineData("production", "", "complete", 0, "apply notin, wait, apply in, rollout status api, rollout status worker")]
    [InlineData("production", "HighErrors", "complete", 1, "apply notin, wait, apply in, rollout status api, rollout status worker, rollout undo api, rollout undo worker")]
    [InlineData("canary", "", "complete", 0, "apply notin, wait, apply in, rollout status canary")]
    [InlineData("canary", "HighErrors", "complete", 1, "apply notin, wait, apply in, rollout status canary, delete canary")]
    [InlineData("staging", "", "failed", 1, "apply notin, wait")]
    public void A_rollout_migrates_first_and_is_taken_back_when_an_alert_fires(string stage, string alert, string migration, int exitCode, string calls)
    {
        Fake("curl", $"echo '{{\"data\":{{\"result\":[{(alert == "" ? "" : $"{{\"metric\":{{\"alertname\":\"{alert}\"}}}}")}]}}}}'");
        Fake("kubectl", $$"""
            case "$*" in
              kustomize*) echo "image: registry/storefront:0.0.0" ;;
              *apply*) cat >>"$0.applied"; case "$*" in *notin*) echo "apply notin" ;; *) echo "apply in" ;; esac >>"$0.calls" ;;
              *wait*) echo wait >>"$0.calls"; [ {{migration}} = complete ] ;;
              *"rollout "*) sed -E 's|.*(rollout [a-z]+) deployment/storefront-([a-z]+).*|\1 \2|' <<<"$*" >>"$0.calls" ;;
              *"delete deployment"*) echo "delete canary" >>"$0.calls" ;;
            esac
            """);
        var image = $"registry.test/storefront@sha256:{new string('0', 64)}";

        var result = Run("deploy/rollout", stage, image);

        result.ExitCode.Should().Be(exitCode, result.Output);
        string.Join(", ", File.ReadLines(Path.Combine(_folder, "kubectl.calls"))).Should().Be(calls);
        File.ReadLines(Path.Combine(_folder, "kubectl.applied")).Should().OnlyContain(line => line == $"image: {image}");
        result.Output.Contains(alert, StringComparison.Ordinal).Should().BeTrue();
    }

    [Fact, Trait("Readiness", "62")]
    public void A_rollout_takes_no_image_whose_tag_can_be_moved() => Run("deploy/rollout", "production", "registry.test/storefront:1.0.0").ExitCode.Should().Be(2);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>A program that comes before the real one.</summary>
    private void Fake(string name, string script)
    {
        var file = Path.Combine(_folder, name);
        File.WriteAllText(file, "#!/usr/bin/env bash\n" + script + "\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private (int ExitCode, string Output) Run(string script, params string[] arguments)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Not tested: the scripts, which need bash.");
        var start = new ProcessStartInfo("bash", [Path.Combine(Repository.Root, script), .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = _folder };
        start.Environment["PATH"] = $"{_folder}:{start.Environment["PATH"]}";
        start.Environment["PROMETHEUS_URL"] = "http://localhost:9090";
        start.Environment["WATCH_SECONDS"] = start.Environment["WATCH_PAUSE"] = "0";
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }

    private static string Workflow(string name) => File.ReadAllText(Path.Combine(Repository.Root, ".github", "workflows", name));

    private static Dictionary<string, object> Yaml(string text) => new DeserializerBuilder().Build().Deserialize<Dictionary<string, object>>(new MergingParser(new Parser(new StringReader(text))));

    [GeneratedRegex(@"run: \./ci (\w+)")]
    private static partial Regex StepCall();

    [GeneratedRegex(@"uses: (.+)")]
    private static partial Regex Use();

    [GeneratedRegex(@"@(v\d+\.\d+\.\d+|[0-9a-f]{40} # v\d+\.\d+\.\d+)$")]
    private static partial Regex ExactUse();

    [GeneratedRegex(@":v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$")]
    private static partial Regex ExactTag();
}
