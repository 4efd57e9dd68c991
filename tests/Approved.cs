namespace TemplateTests;

/// <summary>Texts that somebody has read and found right. `TEMPLATE_TESTS=approve dotnet test tests` writes what comes out now in their place, to be read in the diff.</summary>
internal static class Approved
{
    public static async Task ShouldBeAsync(string name, string text)
    {
        var file = Path.Combine(Repository.Root, "tests/Approved", name);
        if (Environment.GetEnvironmentVariable("TEMPLATE_TESTS") == "approve")
            await File.WriteAllTextAsync(file, text);
        (await File.ReadAllTextAsync(file)).Should().Be(text, $"tests/Approved/{name} is what was approved; TEMPLATE_TESTS=approve writes it anew");
    }
}
