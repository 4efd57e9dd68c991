namespace Unit;

/// <summary>deploy/rollout, against a cluster and a Prometheus that only say what they were asked.</summary>
public sealed class RolloutTests : IDisposable
{
    private readonly Scripts _scripts = new();

    [Theory, Trait("Readiness", "61")]
    [InlineData("production", "", "complete", 0, "apply notin, wait, apply in, rollout status api, rollout status worker")]
    [InlineData("production", "HighErrors", "complete", 1, "apply notin, wait, apply in, rollout status api, rollout status worker, rollout undo api, rollout undo worker")]
    [InlineData("canary", "", "complete", 0, "apply notin, wait, apply in, rollout status canary")]
    [InlineData("canary", "HighErrors", "complete", 1, "apply notin, wait, apply in, rollout status canary, delete canary")]
    [InlineData("staging", "", "failed", 1, "apply notin, wait")]
    public void A_rollout_migrates_first_and_is_taken_back_when_an_alert_fires(string stage, string alert, string migration, int exitCode, string calls)
    {
        _scripts.Fake("curl", $"echo '{{\"data\":{{\"result\":[{(alert == "" ? "" : $"{{\"metric\":{{\"alertname\":\"{alert}\"}}}}")}]}}}}'");
        _scripts.Fake("kubectl", $$"""
            case "$*" in
              kustomize*) echo "image: registry/storefront:0.0.0" ;;
              *apply*) cat >>"$0.applied"; case "$*" in *notin*) echo "apply notin" ;; *) echo "apply in" ;; esac >>"$0.calls" ;;
              *wait*) echo wait >>"$0.calls"; [ {{migration}} = complete ] ;;
              *"rollout "*) sed -E 's|.*(rollout [a-z]+) deployment/storefront-([a-z]+).*|\1 \2|' <<<"$*" >>"$0.calls" ;;
              *"delete deployment"*) echo "delete canary" >>"$0.calls" ;;
            esac
            """);
        var image = $"registry.test/storefront@sha256:{new string('0', 64)}";

        var result = _scripts.Run("deploy/rollout", stage, image);

        result.ExitCode.Should().Be(exitCode, result.Output);
        string.Join(", ", File.ReadLines(Path.Combine(_scripts.Folder, "kubectl.calls"))).Should().Be(calls);
        File.ReadLines(Path.Combine(_scripts.Folder, "kubectl.applied")).Should().OnlyContain(line => line == $"image: {image}");
        result.Output.Contains(alert, StringComparison.Ordinal).Should().BeTrue();
    }

    [Fact, Trait("Readiness", "61")]
    public void A_rollout_takes_no_image_whose_tag_can_be_moved() => _scripts.Run("deploy/rollout", "production", "registry.test/storefront:1.0.0").ExitCode.Should().Be(2);

    public void Dispose() => _scripts.Dispose();
}
