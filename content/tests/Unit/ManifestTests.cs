using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using k8s;
using k8s.Models;

namespace Unit;

/// <summary>What deploy/kubernetes comes to: read strictly, so that a field which Kubernetes does not know fails, too.</summary>
[Trait("Readiness", "61")]
public sealed class ManifestTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "deploy", "kubernetes", "overlays");

    [Theory]
    [InlineData("staging")]
    [InlineData("production")]
    [InlineData("canary")]
    public void Keeps_every_rule(string overlay) => Violations(Render(overlay)).Should().BeEmpty();

    [Fact]
    public void A_canary_is_one_more_pod_behind_the_same_service()
    {
        var canary = Read(Render("canary"));
        var production = Read(Render("production"));

        canary.Select(each => each.Kind).Should().BeEquivalentTo("ConfigMap", "Deployment");
        var pod = canary.OfType<V1Deployment>().Single();
        pod.Spec.Replicas.Should().Be(1);
        production.OfType<V1Service>().Single().Spec.Selector.Should().BeSubsetOf(pod.Spec.Template.Metadata.Labels);
        production.OfType<V1Deployment>().Should().NotContain(stable => stable.Spec.Selector.MatchLabels.All(pod.Spec.Template.Metadata.Labels.Contains), "its pods would be taken for its own");
        pod.Spec.Template.Spec.Containers.Single().Name.Should().Be(production.OfType<V1Deployment>().First().Spec.Template.Spec.Containers.Single().Name);
    }

    [Theory]
    [InlineData("image", ":0.0.0", ":latest")]
    [InlineData("image", ":0.0.0", "")]
    [InlineData("limits", "            memory: 512Mi\n", "")]
    [InlineData("limits", "            cpu: 250m\n", "")]
    [InlineData("probes", "path: /health/live", "path: /health/ready")]
    [InlineData("probes", "scheme: HTTPS", "scheme: HTTP")]
    [InlineData("restricted", "runAsNonRoot: true", "runAsNonRoot: false")]
    [InlineData("restricted", "type: RuntimeDefault", "type: Unconfined")]
    [InlineData("restricted", "- ALL", "- CHOWN")]
    [InlineData("restricted", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")]
    [InlineData("restricted", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true")]
    [InlineData("restricted", "enforce: restricted", "enforce: baseline")]
    [InlineData("token", "automountServiceAccountToken: false", "automountServiceAccountToken: true")]
    [InlineData("rollout", "maxUnavailable: 0", "maxUnavailable: 1")]
    [InlineData("rollout", "minReplicas: 3", "minReplicas: 1")]
    [InlineData("grace", "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 39")]
    [InlineData("spread", "topologyKey: kubernetes.io/hostname", "topologyKey: topology.kubernetes.io/zone")]
    [InlineData("disruption", "      track: stable\n  unhealthyPodEvictionPolicy", "      track: other\n  unhealthyPodEvictionPolicy")]
    [InlineData("scaling", "    kind: Deployment\n    name: storefront-api", "    kind: Deployment\n    name: other")]
    [InlineData("scaling", "name: cpu", "name: memory")]
    [InlineData("scaling", "Process__Instances: \"14\"", "Process__Instances: \"12\"")]
    [InlineData("network", "podSelector: {}\n  policyTypes:\n  - Ingress\n  - Egress", "podSelector: {}\n  policyTypes:\n  - Ingress")]
    [InlineData("migration", "        - migrate\n", "        - health\n")]
    [InlineData("migration", "        - check\n", "        - health\n")]
    [InlineData("secrets", "- configMapRef:", "- secretRef:")]
    public void Each_rule_finds_what_breaks_it(string rule, params string[] changes)
    {
        var text = Render("production");
        var broken = text;
        for (var change = 0; change < changes.Length; change += 2)
            broken = broken.Replace(changes[change], changes[change + 1], StringComparison.Ordinal);

        broken.Should().NotBe(text);
        Violations(broken).Should().Contain(violation => violation.StartsWith(rule));
    }

    [Theory]
    [InlineData("maxSurge:", "maxSurges:")]
    [InlineData("periodSeconds: 2", "periodSeconds: two")]
    [InlineData("kind: Service\n", "kind: Servant\n")]
    public void What_Kubernetes_does_not_know_fails(string text, string other)
    {
        var broken = Render("production").Replace(text, other, StringComparison.Ordinal);

        ((Action)(() => Read(broken))).Should().Throw<Exception>();
    }

    private static List<string> Violations(string manifests)
    {
        var found = new List<string>();
        var all = Read(manifests);
        var settings = all.OfType<V1ConfigMap>().Single().Data;
        var deployments = all.OfType<V1Deployment>().ToList();
        foreach (var deployment in deployments)
        {
            var (pod, name) = (deployment.Spec.Template, deployment.Metadata.Name);
            Judge(pod.Spec, name);
            Demand(deployment.Spec.Strategy.RollingUpdate is { MaxUnavailable.Value: "0" }, "rollout", $"{name}: maxUnavailable is not 0");
            Demand(pod.Spec.TerminationGracePeriodSeconds >= Grace(settings), "grace", $"{name} is killed before {Grace(settings)} s, the drain, the longest work and 5 s");
            Demand((pod.Spec.TopologySpreadConstraints ?? []).Select(each => each.TopologyKey).Distinct().Count() >= 2, "spread", $"{name} may run on one node, or in one zone");
            foreach (var container in pod.Spec.Containers)
            {
                foreach (var (kind, probe) in new[] { ("startup", container.StartupProbe), ("ready", container.ReadinessProbe), ("live", container.LivenessProbe) })
                    Demand(probe?.HttpGet is { Scheme: "HTTPS" } get && get.Path == $"/health/{kind}", "probes", $"{name} has no probe {kind} over HTTPS");
            }
            if (pod.Metadata.Labels["track"] != "stable")
                continue;
            Demand(all.OfType<V1PodDisruptionBudget>().Count(each => each.Spec.Selector.MatchLabels.All(pod.Metadata.Labels.Contains)) == 1, "disruption", $"{name} has no budget");
            var scaler = all.OfType<V2HorizontalPodAutoscaler>().SingleOrDefault(each => each.Spec.ScaleTargetRef.Name == name);
            Demand(scaler?.Spec.Metrics.Any(each => each.Resource?.Name == "cpu") == true && scaler.Spec.Metrics.Any(each => each.Pods is not null || each.External is not null), "scaling", $"{name} does not scale by CPU and by load");
            Demand((scaler?.Spec.MinReplicas ?? deployment.Spec.Replicas) >= 2, "rollout", $"{name} may be a single pod");
        }
        foreach (var job in all.OfType<V1Job>())
            Judge(job.Spec.Template.Spec, job.Metadata.Name);
        Demand(!all.OfType<V1Secret>().Any(), "secrets", "One is in the repository");
        if (!all.OfType<V1Namespace>().Any()) // a canary: the rest is production's
            return found;

        var most = all.OfType<V2HorizontalPodAutoscaler>().Sum(each => each.Spec.MaxReplicas) + deployments.Count + 1;
        Demand(int.Parse(settings["Process__Instances"], null) >= most, "scaling", $"Process__Instances is less than {most}, which a rollout with its canary can come to");
        Demand(all.OfType<V1Namespace>().Single().Metadata.Labels["pod-security.kubernetes.io/enforce"] == "restricted", "restricted", "The namespace lets others in");
        Demand(all.OfType<V1NetworkPolicy>().Any(each => each.Spec is { PodSelector: { MatchLabels: null, MatchExpressions: null }, PolicyTypes.Count: 2, Ingress: null, Egress: null }), "network", "Nothing is denied by default");
        var migration = all.OfType<V1Job>().SingleOrDefault()?.Spec.Template.Spec;
        Demand(migration is { InitContainers: [{ Args: ["migrate"] }], Containers: [{ Args: ["check"] }] }, "migration", "No job migrates, then checks");
        return found;

        void Judge(V1PodSpec pod, string name)
        {
            Demand(pod.AutomountServiceAccountToken == false, "token", $"{name} has a token of the cluster");
            Demand(pod is { SecurityContext: { RunAsNonRoot: true, RunAsUser: > 0, SeccompProfile.Type: "RuntimeDefault" }, HostNetwork: not true, HostPID: not true, HostIPC: not true }, "restricted", name);
            Demand(pod.Volumes.All(volume => volume.HostPath is null), "restricted", $"{name} sees files of the node");
            foreach (var container in pod.Containers.Concat(pod.InitContainers ?? []))
            {
                Demand(Regex.IsMatch(container.Image, @"@sha256:[0-9a-f]{64}$|:(?!latest$)[\w.-]+$"), "image", $"{name} runs {container.Image}");
                Demand(new[] { container.Resources.Requests, container.Resources.Limits }.All(each => each is not null && each.ContainsKey("cpu") && each.ContainsKey("memory")), "limits", name);
                Demand(container.SecurityContext is { AllowPrivilegeEscalation: false, ReadOnlyRootFilesystem: true, Privileged: not true, Capabilities: { Drop: ["ALL"], Add: null } }, "restricted", $"{name}/{container.Name}");
                Demand((container.Env ?? []).All(each => each.ValueFrom?.SecretKeyRef is null) && (container.EnvFrom ?? []).All(each => each.SecretRef is null), "secrets", $"{name} has one in its environment");
            }
        }

        void Demand(bool met, string rule, string what)
        {
            if (!met)
                found.Add($"{rule}: {what}");
        }
    }

    /// <summary>As the service itself counts it.</summary>
    private static double Grace(IDictionary<string, string> settings)
    {
        var defaults = JsonElement.Parse(File.ReadAllText(Path.Combine(Repository.Root, "src", "Storefront", "appsettings.json")), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip });
        return Seconds("Shutdown", "DrainSeconds") + Math.Max(Seconds("Limits", "RequestSeconds"), Seconds("Jobs", "TimeoutSeconds")) + 5;

        double Seconds(string section, string key) => settings.TryGetValue($"{section}__{key}", out var text) ? double.Parse(text, null) : defaults.GetProperty(section).GetProperty(key).GetDouble();
    }

    private static List<IKubernetesObject<V1ObjectMeta>> Read(string manifests) => [.. KubernetesYaml.LoadAllFromString(manifests, strict: true).Cast<IKubernetesObject<V1ObjectMeta>>()];

    private static string Render(string overlay)
    {
        var kubectl = Environment.GetEnvironmentVariable("PATH")!.Split(Path.PathSeparator).SelectMany(folder => new[] { Path.Combine(folder, "kubectl"), Path.Combine(folder, "kubectl.exe") }).FirstOrDefault(File.Exists);
        Assert.SkipUnless(kubectl is not null, "Not tested: deploy/kubernetes. Install kubectl.");
        using var process = Process.Start(new ProcessStartInfo(kubectl!, ["kustomize", Path.Combine(Folder, overlay)]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        errors.Result.Should().BeEmpty("warnings of what goes out of use come here, too");
        return text;
    }
}
