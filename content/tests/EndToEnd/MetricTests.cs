using System.Text.RegularExpressions;

namespace EndToEnd;

/// <summary>What the alerts of deploy/monitoring need to be there.</summary>
public sealed partial class MetricTests
{
    [Fact, Trait("Readiness", "58")]
    public async Task A_process_shows_its_checks_its_age_its_memory_and_the_end_of_its_certificate()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);

        await Eventually.TrueAsync(async () => Value(await http.GetStringAsync("/metrics"), "health_status", "check=\"database\"") == 1);

        var metrics = await http.GetStringAsync("/metrics");
        Value(metrics, "health_status", "check=\"shutdown\"").Should().Be(1);
        Value(metrics, "process_uptime_seconds").Should().BeInRange(1, 3600);
        Value(metrics, "process_memory_limit_bytes").Should().BeGreaterThan(Value(metrics, "dotnet_process_memory_working_set_bytes"));
        TimeSpan.FromSeconds(Value(metrics, "tls_certificate_remaining_seconds")).Should().BeCloseTo(site.Certificates.Server.NotAfter - DateTime.Now, TimeSpan.FromMinutes(5));
        var (certificate, key) = site.Certificates.Issue("renewed", days: 50);
        File.Copy(certificate, site.Certificates.ServerFile, overwrite: true);
        File.Copy(key, site.Certificates.KeyFile, overwrite: true);
        await Eventually.TrueAsync(async () => Value(await http.GetStringAsync("/metrics"), "tls_certificate_remaining_seconds") > TimeSpan.FromDays(45).TotalSeconds);
    }

    [Fact, Trait("Readiness", "56")]
    public async Task Times_are_counted_in_buckets_that_fit_them_and_lead_to_a_trace()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        var trace = Guid.NewGuid().ToString("N");
        http.DefaultRequestHeaders.Add("traceparent", $"00-{trace}-00f067aa0ba902b7-01");
        await site.DoneAsync(await site.BeginAsync(http));
        http.DefaultRequestHeaders.Add("Accept", "application/openmetrics-text; version=1.0.0");

        var metrics = "";
        await Eventually.TrueAsync(async () => (metrics = await http.GetStringAsync("/metrics")).Contains("jobs_duration_seconds_bucket", StringComparison.Ordinal));

        //#if (jobs != "none")
        Buckets(metrics, "jobs_duration_seconds").Should().Equal(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60);
        //#endif
        Buckets(metrics, "http_server_request_duration_seconds").Should().Contain([0.1, 0.25, 0.5, 1], "the objectives are among them");
        metrics.Should().MatchRegex($"http_server_request_duration_seconds_bucket.* # {{.*trace_id=\"{trace}\"").And.MatchRegex($"jobs_duration_seconds_bucket.* # {{.*trace_id=\"{trace}\"");
    }

    private static double Value(string metrics, string name, string label = "") =>
        Line().Matches(metrics).Where(line => line.Groups[1].Value == name && line.Groups[2].Value.Contains(label, StringComparison.Ordinal)).Select(line => double.Parse(line.Groups[3].Value, null)).FirstOrDefault(double.NaN);

    private static IEnumerable<double> Buckets(string metrics, string name) => Line().Matches(metrics).Where(line => line.Groups[1].Value == name + "_bucket")
        .Select(line => Bound().Match(line.Groups[2].Value).Groups[1].Value).Where(bound => bound.Length > 0).Select(bound => double.Parse(bound, null)).Distinct();

    [GeneratedRegex(@"^(\w+)(\{.*?\})? ([0-9.eE+-]+)", RegexOptions.Multiline)]
    private static partial Regex Line();

    [GeneratedRegex("le=\"([0-9.]+)\"")]
    private static partial Regex Bound();
}
