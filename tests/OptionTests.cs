using System.Text.RegularExpressions;

namespace TemplateTests;

/// <summary>What an option leaves out is gone without a trace, and what is left builds, is formatted and passes its tests.</summary>
public partial class OptionTests(TemplatePackage package)
{
    /// <summary>Each value that leaves something out: the files that go, and the words that go with them.</summary>
    private static readonly Dictionary<string, (string Files, string Words)> Off = new()
    {
        ["--ci none"] = (@"^\.github/|/WorkflowTests\.cs$", @"github\.com|\.github|workflow|dependabot|\bactions/"),
        ["--deploy none"] = (@"^deploy/kubernetes/|^deploy/rollout$|/deploy\.yml$|/(Manifest|Rollout)Tests\.cs$", "kubernetes|kubectl|kustomize|rollout|staging"),
    };

    /// <summary>Every set of options that leave something out.</summary>
    private static IEnumerable<string[]> Sets() =>
        Enumerable.Range(0, 1 << Off.Count).Select(set => Off.Keys.Where((_, number) => (set >> number & 1) == 1).ToArray());

    [Fact]
    public async Task What_is_off_leaves_no_file_no_package_and_no_word_behind()
    {
        var all = Tree.Names(await package.NewShopAsync());
        foreach (var set in Sets())
        {
            var shop = await package.NewShopAsync(Words(set));

            Tree.Names(shop).Should().Equal(all.Where(file => !set.Any(option => Regex.IsMatch(file, Off[option].Files))), "{0} is off", string.Join(", ", set));
            set.SelectMany(option => Tree.Match(shop, Off[option].Words)).Where(line => !IsRecord().IsMatch(line)).Should().BeEmpty();
        }
    }

    [Fact]
    public async Task Every_combination_is_text_as_if_it_had_been_written_so()
    {
        foreach (var set in Sets())
        {
            var shop = await package.NewShopAsync(Words(set));

            Tree.Match(shop, @": *(#|//|<!--) ?#?(if|else|elif|elseif|endif)\b.*[(-]|RECORD_").Should().BeEmpty();
            foreach (var file in Tree.Names(shop).Where(file => !file.EndsWith(".png", StringComparison.Ordinal)))
            {
                var text = await File.ReadAllTextAsync(Path.Combine(shop, file), TestContext.Current.CancellationToken);
                text.Should().NotContain("\n\n\n", file).And.NotEndWith("\n\n", file).And.NotStartWith("\n", file);
                BlankBeforeEnd().IsMatch(text).Should().BeFalse(file);
            }
        }
    }

    /// <summary>All that can be off; by TEMPLATE_TESTS=full, every combination.</summary>
    [Fact]
    public async Task What_is_left_builds_without_a_warning_is_formatted_and_passes_its_unit_tests()
    {
        foreach (var set in Environment.GetEnvironmentVariable("TEMPLATE_TESTS") == "full" ? Sets() : [[.. Off.Keys]])
        {
            var shop = await package.NewShopAsync(Words(set));

            (await Command.RunAsync(shop, "dotnet build -warnaserror")).MustSucceed();
            (await Command.RunAsync(shop, "dotnet format --verify-no-changes --no-restore")).MustSucceed();
            (await Command.RunAsync(shop, "dotnet test tests/Unit --no-build")).MustSucceed();
        }
    }

    [Fact]
    public async Task The_help_says_what_each_value_leaves_out()
    {
        var help = (await package.NewAsync(package.NewFolder(), "-h")).MustSucceed().Output;

        foreach (var option in Off.Keys)
            Regex.Match(help, $@"{option.Split(' ')[0]} .*?(?=\n  --|\z)", RegexOptions.Singleline).Value.Should().MatchRegex(@"none\s+Leaves out ", option).And.Contain("Default: ");
    }

    private static string[] Words(string[] set) => [.. set.SelectMany(option => option.Split(' '))];

    /// <summary>What says which options were chosen.</summary>
    [GeneratedRegex(@"^\.prodapi\.json: ")]
    private static partial Regex IsRecord();

    [GeneratedRegex(@"\{\n\n|\n\n\s*\}")]
    private static partial Regex BlankBeforeEnd();
}
