using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace TemplateTests;

/// <summary>build.ps1, run by PowerShell's own engine, which needs no PowerShell on the machine.</summary>
public class BuildScriptTests(TemplatePackage package)
{
    [Fact]
    public async Task Pack_writes_the_package_to_artifacts()
    {
        var (succeeded, output) = await RunAsync("pack");

        succeeded.Should().BeTrue(output);
        Directory.GetFiles(Path.Combine(package.Checkout, "artifacts")).Select(Path.GetFileName).Should().Equal(Path.GetFileName(package.Nupkg));
    }

    [Fact]
    public async Task An_unknown_verb_is_refused_with_the_known_ones()
    {
        var (succeeded, output) = await RunAsync("deploy");

        succeeded.Should().BeFalse();
        output.Should().Contain("\"run,test,pack,tool,matrix,bench\"");
    }

    [Fact]
    public async Task Fails_when_its_command_fails()
    {
        var project = Path.Combine(package.Checkout, "template/ProductionTemplate.csproj");
        File.Move(project, project + ".away");
        try
        {
            (await RunAsync("pack")).Succeeded.Should().BeFalse();
        }
        finally
        {
            File.Move(project + ".away", project);
        }
    }

    private async Task<(bool Succeeded, string Output)> RunAsync(string verb)
    {
        using var runspace = RunspaceFactory.CreateRunspace(InitialSessionState.CreateDefault2());
        runspace.Open();
        using var powerShell = PowerShell.Create(runspace);
        powerShell.AddScript($"& '{Path.Combine(package.Checkout, "build.ps1")}' {verb}; $succeeded = $?");
        var output = await powerShell.InvokeAsync();
        return ((bool)runspace.SessionStateProxy.GetVariable("succeeded"), string.Join('\n', [.. output, .. powerShell.Streams.Error]));
    }
}
