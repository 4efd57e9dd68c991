using System.Text.RegularExpressions;

namespace Unit;

/// <summary>What builds, ships and starts the service: Dockerfile, compose.yaml and the scripts beside them.</summary>
public sealed partial class DeliveryTests : IDisposable
{
    private readonly Scripts _scripts = new();

    [Fact, Trait("Readiness", "60")]
    public void The_image_is_built_from_the_lock_file_on_a_chiseled_base_and_runs_as_nobody()
    {
        var lines = File.ReadAllText(Path.Combine(Repository.Root, "Dockerfile")).Replace("\\\n", "", StringComparison.Ordinal).Split('\n');
        var last = lines.Skip(Array.FindLastIndex(lines, line => line.StartsWith("FROM ", StringComparison.Ordinal))).ToList();

        lines.Single(line => line.StartsWith("ARG RUNTIME=", StringComparison.Ordinal)).Should().MatchRegex(@"aspnet:\d+\.\d+\.\d+-\w+-chiseled(@sha256:[0-9a-f]{64})?$");
        lines.Single(line => line.StartsWith("ARG SDK=", StringComparison.Ordinal)).Should().MatchRegex(@"sdk:\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$");
        lines.Should().Contain(line => line.StartsWith("RUN dotnet restore", StringComparison.Ordinal) && line.Contains("--locked-mode")).And.NotContain(line => line.StartsWith("ADD ", StringComparison.Ordinal));
        lines.Where(line => line.Contains("dotnet restore ") || line.Contains("dotnet publish ")).Should().HaveCount(2).And.OnlyContain(line => line.Contains("--arch ${TARGETARCH}"), "without an architecture nothing is compiled ahead");
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
        var services = (IDictionary<object, object>)Scripts.Yaml(File.ReadAllText(Path.Combine(Repository.Root, "compose.yaml")))["services"];

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
    public void Tags_of_images_are_turned_into_digests()
    {
        var copy = _scripts.Copy("Dockerfile", "compose.yaml", "ci", "deploy/pin");
        _scripts.Fake("docker", "echo sha256:$(printf %064d 2)");

        var (exitCode, output) = _scripts.Run(Path.Combine(copy, "deploy/pin"));

        exitCode.Should().Be(0, output);
        File.ReadAllText(Path.Combine(copy, "Dockerfile")).Should().MatchRegex(@"ARG RUNTIME=.*-chiseled@sha256:0+2\n");
        Regex.Matches(File.ReadAllText(Path.Combine(copy, "compose.yaml")), "image: .*:.*").Should().OnlyContain(image => image.Value.EndsWith('2') && image.Value.Contains("@sha256:"));
        File.ReadLines(Path.Combine(copy, "ci")).Where(line => line.StartsWith("trivy=", StringComparison.Ordinal)).Should().OnlyContain(line => line.Contains("@sha256:"));
    }

    [Fact, Trait("Readiness", "62")]
    public void A_build_for_release_is_from_the_lock_files_and_stops_at_an_advisory()
    {
        _scripts.Run("ci", "--list").Output.Should().StartWith("restore\nbuild\n");
        File.ReadAllLines(Path.Combine(Repository.Root, "ci")).Single(line => line.StartsWith("restore()", StringComparison.Ordinal)).Should().Contain("--locked-mode").And.Contain("-p:WarningsNotAsErrors=", "advisories are errors there");
    }

    public void Dispose() => _scripts.Dispose();

    [GeneratedRegex(@":v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$")]
    private static partial Regex ExactTag();
}
