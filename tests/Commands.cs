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
    // These two run the tests that would have to run them.
    public const string TestTemplate = "dotnet test tests";
    public const string TestAll = "dotnet test tests --environment TEMPLATE_TESTS=full";

    public const string Bench = "dotnet run tests/Performance/bench.cs"; // BuildTests builds it

    public static readonly string[] All = [Install, New, Run, Test, RunContent, Pack, TestTemplate, TestAll, Bench];
}
