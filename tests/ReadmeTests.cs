namespace TemplateTests;

public class ReadmeTests
{
    [Fact]
    public void Shows_the_commands_that_are_tested_and_no_other()
    {
        var readme = File.ReadAllLines(Path.Combine(Repository.Root, "README.md"));
        var fenced = new List<string>();
        var inFence = false;
        foreach (var line in readme)
        {
            inFence ^= line.StartsWith("```", StringComparison.Ordinal);
            if (inFence)
            {
                fenced.AddRange(line.Split('#')[0].Split("&&", StringSplitOptions.TrimEntries));
            }
        }

        fenced.Where(command => command.StartsWith("dotnet ", StringComparison.Ordinal)).Distinct().Should().BeEquivalentTo(Commands.All);
    }

    [Fact]
    public void The_build_script_calls_commands_of_the_readme()
    {
        var script = File.ReadAllText(Path.Combine(Repository.Root, "build.ps1")).Replace("\"", "").Replace("$PSScriptRoot/", "");

        var commands = script.Split('{', '}').Select(part => part.Trim()).Where(part => part.StartsWith("dotnet ", StringComparison.Ordinal));
        commands.Should().NotBeEmpty().And.BeSubsetOf(Commands.All);
    }

    [Fact]
    public async Task No_file_names_a_package_registry()
    {
        // In two parts, or this file would be the first to name them.
        string[] registries = ["nuget" + ".org", "npmjs" + ".org", "npmjs" + ".com", "deb" + ".debian", "pkgs" + ".dev.azure", "pypi" + ".org"];

        var found =
            from file in await Repository.FilesAsync()
            let text = File.ReadAllText(Path.Combine(Repository.Root, file))
            from registry in registries
            where text.Contains(registry, StringComparison.OrdinalIgnoreCase)
            select $"{file}: {registry}";
        found.Should().BeEmpty();
    }
}
