namespace TemplateTests;

/// <summary>The commands README.md shows, as the tests run them. ReadmeTests holds README.md and build.ps1 to this list.</summary>
internal static class Commands
{
    public const string Install = "dotnet new install . --force";
    public const string New = "dotnet new prodapi -n Shop -o ../Shop";
    public const string Run = "dotnet run --project ../Shop/src/Shop";
    public const string Test = "dotnet test ../Shop";

    public const string RunContent = "dotnet run --project content/src/Storefront";
    public const string Pack = "dotnet pack template --output artifacts";
    public const string PackTool = "dotnet pack template/cli --output artifacts"; // as TemplateVersions does, elsewhere
    public const string InstallTool = "dotnet tool install --global ProductionTemplate.Cli"; // from a feed: TemplateVersions installs it from a folder
    // These two run the tests that would have to run them.
    public const string TestTemplate = "dotnet test tests";
    public const string TestAll = "dotnet test tests --environment TEMPLATE_TESTS=full";

    public const string Bench = "dotnet run tests/Performance/bench.cs"; // BuildTests builds it

    public static readonly string[] All = [Install, New, Run, Test, RunContent, Pack, PackTool, InstallTool, TestTemplate, TestAll, Bench];
}
