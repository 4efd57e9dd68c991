using System.Text.RegularExpressions;

namespace Unit;

/// <summary>README.md promises nothing without a test: each line of its table names the files that keep it and test classes that carry the number of the line.</summary>
public partial class ChecklistTests
{
    [Fact]
    public void Every_promise_of_the_readme_has_its_tests()
    {
        var tests = Directory.GetFiles(Path.Combine(Repository.Root, "tests"), "*Tests.cs", SearchOption.AllDirectories).ToLookup(file => Path.GetFileNameWithoutExtension(file));
        var promises = Promise().Matches(File.ReadAllText(Path.Combine(Repository.Root, "README.md")));

        var without = from promise in promises
                      from name in promise.Groups[3].Value.Split(',', StringSplitOptions.TrimEntries)
                      let marks = new[] { $"\"Readiness\", \"{promise.Groups[1].Value}\"", $"(\"{promise.Groups[1].Value}\", " } // the second is a row of a table
                      where !tests[name].Any(file => marks.Any(File.ReadAllText(file).Contains))
                      select promise.Value;

        var sources = Directory.GetFiles(Path.Combine(Repository.Root, "src"), "*.cs", SearchOption.AllDirectories).Select(file => Path.GetFileNameWithoutExtension(file)).ToHashSet();
        promises.Should().NotBeEmpty();
        without.Should().BeEmpty();
        promises.SelectMany(promise => promise.Groups[2].Value.Split(',', StringSplitOptions.TrimEntries)).Where(name => name != "–").Should().BeSubsetOf(sources);
    }

    [GeneratedRegex(@"^\| (\d+) \| .* \| ([\w, –]+) \| ([\w, ]+) \|\r?$", RegexOptions.Multiline)]
    private static partial Regex Promise();
}
