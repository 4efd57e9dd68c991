using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace TemplateTests;

/// <summary>build.ps1, run by PowerShell's own engine, which needs no PowerShell on the machine.</summary>
public class BuildScriptTests(TemplatePackage package)
{
    [Fact]
    public async Task Pack_writes_the_package_to_artifacts()
    {
        var (exitCode, output) = await RunAsync("pack");

        exitCode.Should().Be(0, output);
        Directory.GetFiles(Path.Combine(package.Checkout, "artifacts")).Select(Path.GetFileName).Should().Equal(Path.GetFileName(package.Nupkg));
    }

    [Fact]
    public async Task An_unknown_verb_is_refused_with_the_known_ones()
    {
        var run = () => RunAsync("deploy");

        (await run.Should().ThrowAsync<ParameterBindingException>()).Which.Message.Should().Contain("\"run,test,pack,matrix\"");
    }

    [Fact]
    public async Task The_exit_code_is_that_of_the_command()
    {
        Directory.CreateDirectory(Path.Combine(package.Checkout, "artifacts"));
        var template = Path.Combine(package.Checkout, "template/ProductionTemplate.csproj");
        File.Move(template, template + ".away");
        try
        {
            (await RunAsync("pack")).ExitCode.Should().Be(1);
        }
        finally
        {
            File.Move(template + ".away", template);
        }
    }

    private async Task<(int ExitCode, string Output)> RunAsync(string verb)
    {
        using var runspace = RunspaceFactory.CreateRunspace(InitialSessionState.CreateDefault2());
        runspace.Open();
        using var powerShell = PowerShell.Create(runspace);
        powerShell.AddCommand(Path.Combine(package.Checkout, "build.ps1")).AddParameter("Verb", verb);
        var output = await powerShell.InvokeAsync();
        return ((int)runspace.SessionStateProxy.GetVariable("LASTEXITCODE"), string.Join('\n', output));
    }
}
