using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Unit;

/// <summary>The files of deploy/monitoring by themselves; that they fit the service is for MonitoringFaultTests.</summary>
[Trait("Readiness", "58")]
public partial class MonitoringTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "deploy", "monitoring");

    [Theory]
    [InlineData("promtool", "check config --syntax-only prometheus.yml")]
    [InlineData("promtool", "check rules rules/objectives.yml rules/failures.yml")]
    [InlineData("promtool", "test rules tests/objectives.yml tests/failures.yml")]
    [InlineData("amtool", "check-config alertmanager.yml")]
    public async Task Their_own_tools_find_nothing_wrong(string tool, string arguments)
    {
        var program = Environment.GetEnvironmentVariable("PATH")!.Split(Path.PathSeparator).Select(folder => Path.Combine(folder, tool)).FirstOrDefault(File.Exists);
        Assert.SkipWhen(program is null, $"{tool} is not on this machine, so what it judges of deploy/monitoring is not tested: install the package {(tool == "amtool" ? "prometheus-alertmanager" : "prometheus")}.");
        var file = Path.GetTempFileName();
        if (tool == "amtool") // before 0.26 it knows no url_file
            await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(Path.Combine(Folder, "alertmanager.yml"))).Replace("url_file: ", "url: http://localhost", StringComparison.Ordinal));

        using var process = Process.Start(new ProcessStartInfo(program!, arguments.Replace("alertmanager.yml", file, StringComparison.Ordinal)) { WorkingDirectory = Folder, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var output = await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        File.Delete(file);

        process.ExitCode.Should().Be(0, string.Concat(output));
    }

    [Fact]
    public void Each_alert_says_how_grave_it_is_and_what_to_do_and_has_a_case_that_fires_and_one_that_does_not()
    {
        var alerts = Read("rules").SelectMany(text => text.Split("- alert: ")[1..]).ToDictionary(text => Word().Match(text).Value);
        var cases = Read("tests").SelectMany(text => text.Split("  - name: ")[1..]).ToList();

        alerts.Should().NotBeEmpty();
        alerts.Values.Should().OnlyContain(text => Complete().IsMatch(text));
        alerts.Keys.Where(alert => !cases.Exists(text => text.Contains($"alertname=\"{alert}\", alertstate=\"firing\"", StringComparison.Ordinal) && text.Contains("exp_samples: []", StringComparison.Ordinal))).Should().BeEmpty();
    }

    [Fact]
    public void Each_panel_has_a_title_a_unit_and_a_name_for_each_of_its_lines()
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Folder, "grafana", "dashboards")))
        {
            var panels = JsonElement.Parse(File.ReadAllText(file), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip }).GetProperty("panels").EnumerateArray().ToList();
            panels.Should().NotBeEmpty();
            panels.Select(panel => panel.GetProperty("id").GetInt32()).Should().OnlyHaveUniqueItems();
            panels.Select(panel => panel.GetProperty("title").GetString()).Should().OnlyHaveUniqueItems().And.NotContain("");
            panels.Should().OnlyContain(panel => panel.GetProperty("fieldConfig").GetProperty("defaults").GetProperty("unit").GetString()!.Length > 0);
            panels.SelectMany(panel => panel.GetProperty("targets").EnumerateArray()).Should().OnlyContain(target => target.GetProperty("legendFormat").GetString()!.Length > 0 && target.GetProperty("expr").GetString()!.Length > 0);
        }
    }

    private static IEnumerable<string> Read(string folder) => Directory.EnumerateFiles(Path.Combine(Folder, folder), "*.yml").Select(File.ReadAllText);

    [GeneratedRegex(@"^\w+")]
    private static partial Regex Word();

    [GeneratedRegex(@"labels: \{ severity: (page|ticket) \}\s+annotations:\s+summary: '.+'\s+description: '.+'\s+runbook: '.{40,}'")]
    private static partial Regex Complete();
}
