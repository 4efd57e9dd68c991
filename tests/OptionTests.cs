using System.Globalization;
using System.IO.Enumeration;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace TemplateTests;

/// <summary>What an option leaves out is gone without a trace, and what is left builds, is formatted and passes its tests.</summary>
public partial class OptionTests(TemplatePackage package)
{
    /// <summary>Each value that leaves something out, and the words that go with it. The files that go are in Approved/files.txt.</summary>
    internal static readonly Dictionary<string, string> Off = new()
    {
        ["--sample false"] = @"\borders\b|\border(id|item|job|line|s?_|service|settings|status|tests?|repository|controller|request|response)|\b(an|each|every|one|first|place\w*|your|another|cancel\w*) order\b(?! (of|in|by))|\bsku|\bproducts?\b|product(s_|id|body|service|tests|repository|controller|request|response)|payment|receipt|charg(e|ing)|money|storefront/?sample|\bTEA-|coffee|FILTER-100|grinder|sandbox|\bcents\b|minor units|(?<!con)currency|polly:|\bretries, timeouts",
        ["--database postgres"] = @"sqlite|data source|\.db\b",
        ["--cache memory"] = "redis(?!patch)",
        ["--jobs database"] = @"rabbit|amqp|broker|relay|quorum|(?<!ActivityKind\.)consum",
        ["--jobs none"] = @"rabbit|amqp|broker|relay|quorum|(?<!ActivityKind\.)consum|outbox|inbox|\bworkers?\b|-worker|Process__Roles|JobScheduler|JobSettings|JobRunner|IJobHandler|TestJob|Jobs__|jobs_(ready|dead|oldest|duration|confirm)|\bjobs\.\w|\bjobs (list|replay)\b|\b(dead|these|what|the|all|of|no) jobs\b|\b(?<!the )job that (?!migrates)|\ba job\b|\bbackground (work|job)",
        ["--auth none"] = @"jwt|bearer|(the|an|another|token) issuer|_issuer|audience|(?<!\.)\b401\b|\bUnauthorized\b|Unauthenticated|(?<!Security\.)\bAuthentication\b|RequireAuthorization|AllowAnonymous|ClaimsPrincipal|\bScopes\.|its scope|:(read|write)\b|\bsub\b|userId|UserSecrets",
        ["--deploy none"] = "kubernetes|kubectl|kustomize|rollout|staging",
        ["--ci none"] = @"github\.com|\.github|workflow|dependabot|\bactions/",
    };

    /// <summary>Files that serve two options: where both are off they go.</summary>
    private static readonly (string File, string[] Options)[] OfBoth =
    [
        ("tests/EndToEnd/Provider.cs", ["--jobs none", "--auth none"]),
        .. from file in (string[])["tests/Engines/OtherServers.cs", "tests/Engines/NoOtherServers.cs"] from jobs in (string[])["--jobs database", "--jobs none"] select (file, (string[])["--cache memory", jobs]),
    ];

    /// <summary>Values that are refused without another.</summary>
    private static readonly Dictionary<string, string> Needs = new() { ["--jobs none"] = "--sample false" };

    private static readonly Dictionary<string, string> Built = [];

    [Fact]
    public async Task The_files_are_the_approved_ones_and_those_of_a_combination_lack_what_each_of_its_values_leaves_out()
    {
        var all = Tree.Names(await package.NewShopAsync());
        var approved = new StringBuilder(string.Join('\n', all) + "\n");
        var (gone, added) = (new Dictionary<string, IEnumerable<string>>(), new Dictionary<string, IEnumerable<string>>());
        foreach (var option in Off.Keys)
        {
            string[] needed = Needs.TryGetValue(option, out var other) ? [other] : [];
            var before = Tree.Names(await package.NewShopAsync(Arguments(needed)));
            var after = Tree.Names(await package.NewShopAsync(Arguments([.. needed, option])));
            (gone[option], added[option]) = ([.. before.Except(after)], [.. after.Except(before)]);
            approved.Append(CultureInfo.InvariantCulture, $"\n{string.Join(' ', needed.Append(option))}\n").AppendJoin("", gone[option].Select(file => $"- {file}\n")).AppendJoin("", added[option].Select(file => $"+ {file}\n"));
        }
        await Approved.ShouldBeAsync("files.txt", approved.ToString());
        foreach (var set in Sets())
        {
            var shop = Tree.Names(await package.NewShopAsync(Arguments(set)));
            shop.Should().BeEquivalentTo(all.Union(set.SelectMany(option => added[option])).Except(set.SelectMany(option => gone[option])).Except(OfBoth.Where(each => each.Options.All(set.Contains)).Select(each => each.File)), string.Join(' ', set));
        }
    }

    [Fact]
    public async Task The_help_is_the_approved_one_and_says_what_each_value_leaves_out()
    {
        var help = (await package.NewAsync(package.NewFolder(), "-h")).MustSucceed().Output;

        await Approved.ShouldBeAsync("help.txt", help[help.IndexOf("Template options:", StringComparison.Ordinal)..].TrimEnd() + "\n");
        foreach (var option in Off.Keys.Select(option => option.Split(' ')))
            Regex.Match(help, $@"{option[0]} .*?(?=\n  --|\z)", RegexOptions.Singleline).Value.Should().MatchRegex($@"{option[1]}\s+(L|l)eaves (them )?out\b").And.Contain("Default: ");
    }

    [Fact]
    public async Task Each_option_has_a_name_for_the_command_line_and_for_an_IDE()
    {
        var options = (await ReadAsync("template.json"))["symbols"]!.AsObject().Where(symbol => (string?)symbol.Value!["type"] == "parameter" && !((string)symbol.Value["description"]!).StartsWith("Never given", StringComparison.Ordinal)).Select(symbol => symbol.Key).ToList();

        (await ReadAsync("dotnetcli.host.json"))["symbolInfo"]!.AsObject().Where(symbol => (string?)symbol.Value!["isHidden"] != "true").Select(symbol => symbol.Key).Should().Equal(options);
        (await ReadAsync("ide.host.json"))["symbolInfo"]!.AsArray().Select(symbol => (string)symbol!["id"]!).Should().Equal(options);
    }

    [Fact]
    public async Task What_is_off_leaves_no_package_and_no_word_behind_and_the_text_is_as_if_it_had_been_written_so()
    {
        foreach (var set in Sets())
        {
            var shop = await package.NewShopAsync(Arguments(set));

            set.SelectMany(option => Tree.Match(shop, Off[option])).Where(line => !IsRecord().IsMatch(line)).Should().BeEmpty(string.Join(' ', set));
            Tree.Match(shop, @": *(#|//|--|<!--) ?#?(if|else|elif|elseif|endif)\b.*[(-]|RECORD_").Should().BeEmpty();
            foreach (var file in Tree.Names(shop).Where(file => !file.EndsWith(".png", StringComparison.Ordinal)))
            {
                var text = await File.ReadAllTextAsync(Path.Combine(shop, file), TestContext.Current.CancellationToken);
                text.Should().NotContain("\n\n\n", file).And.NotEndWith("\n\n", file).And.NotStartWith("\n", file);
                BlankBeforeEnd().IsMatch(text).Should().BeFalse(file);
            }
        }
    }

    [Fact]
    public async Task Each_text_that_an_option_replaces_is_there()
    {
        foreach (var (files, special) in (await ReadAsync("template.json"))["SpecialCustomOperations"]!.AsObject())
        {
            string[] sources = ["content", "template/ping"];
            var texts = sources.Select(source => Path.Combine(package.Checkout, source))
                .SelectMany(source => Tree.Names(source).Where(name => FileSystemName.MatchesSimpleExpression(files.AsSpan(3), Path.GetFileName(name))).Select(name => File.ReadAllText(Path.Combine(source, name)))).ToList();

            var replaced = special!["operations"]!.AsArray().Where(operation => (string?)operation!["type"] == "replacement").Select(operation => (string)operation!["configuration"]!["original"]!);
            replaced.Where(text => !texts.Exists(content => content.Contains(text, StringComparison.Ordinal))).Should().BeEmpty(files);
        }
    }

    private async Task<JsonNode> ReadAsync(string file) => JsonNode.Parse(
        await File.ReadAllTextAsync(Path.Combine(package.Checkout, ".template.config", file), TestContext.Current.CancellationToken), documentOptions: new() { CommentHandling = JsonCommentHandling.Skip })!;

    [Theory]
    [MemberData(nameof(Compiled))]
    public async Task What_is_left_builds_without_a_warning_and_passes_its_unit_tests_with_a_resource_added_to_it(string set)
    {
        var shop = await BuildAsync(set);

        (await Command.RunAsync(shop, "dotnet test tests/Unit --no-build")).MustSucceed();
    }

    [Theory]
    [MemberData(nameof(Run))]
    public async Task What_is_left_is_formatted_serves_without_a_trace_of_what_is_off_and_passes_its_tests(string set)
    {
        var shop = await BuildAsync(set);

        (await Command.RunAsync(shop, "dotnet format --verify-no-changes --no-restore")).MustSucceed();
        await ServesAsync(shop, Options(set));
        if (!IsFull)
        {
            (await Command.RunAsync(shop, FeatureTests.OfAllOperations + "|FullyQualifiedName~LimitTests")).MustSucceed();
            return;
        }
        (await Command.RunAsync(shop, "dotnet test tests/Integration --no-build")).MustSucceed();
        (await Command.RunAsync(shop, "dotnet test tests/EndToEnd --no-build")).MustSucceed();
        (await Command.RunAsync(shop, "dotnet test tests/Servers --no-build --filter FullyQualifiedName~.Faults.")).MustSucceed();
    }

    /// <summary>As little as there can be; by TEMPLATE_TESTS=full, every combination of what is compiled.</summary>
    public static TheoryData<string> Compiled()
    {
        // Of Kubernetes and GitHub only tests/Unit has code, and of each a file: each of the others has one of their four combinations, that which Run has or another in turn.
        static bool IsApart(string option) => option.StartsWith("--deploy", StringComparison.Ordinal) || option.StartsWith("--ci", StringComparison.Ordinal);
        var run = Run().Select(row => row.Data).ToHashSet();
        var every = Sets().GroupBy(set => string.Join(' ', set.Where(option => !IsApart(option))))
            .Select((group, number) => group.Select(set => string.Join(' ', set)).FirstOrDefault(run.Contains) ?? string.Join(' ', group.ElementAt(number % group.Count())));
        return [.. IsFull ? every : [Least()]];
    }

    /// <summary>The same; by TEMPLATE_TESTS=full, each pair of values. Of the set with all defaults all tests run anyway.</summary>
    public static TheoryData<string> Run() => [.. IsFull ? Sets(everyPair: true).Where(set => set.Length > 0).Select(set => string.Join(' ', set)) : [Least()]];

    /// <summary>With a resource that was added to it. Built once for all tests here.</summary>
    private async Task<string> BuildAsync(string set)
    {
        if (Built.TryGetValue(set, out var built))
            return built;
        var shop = await package.NewRestoredAsync("Shop", set.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        (await package.NewFeatureAsync(shop, "-o", "src/Shop", "-n", "Invoice")).MustSucceed();
        (await Command.RunAsync(shop, "dotnet build -warnaserror")).MustSucceed();
        return Built[set] = shop;
    }

    /// <summary>What any client of it may rely on, whatever was left out. It says nothing of what was: not in its log, its document, its metrics or its status.</summary>
    private async Task ServesAsync(string shop, string[] set)
    {
        var (needsServer, isOpen) = (set.Contains("--database postgres"), set.Contains("--auth none"));
        await using var database = needsServer ? await Database.CreateAsync() : null;
        if (needsServer && database is null)
        {
            TestContext.Current.AddWarning($"Not tested: that it serves, with {string.Join(' ', set)}. Set TEST_DATABASE.");
            return;
        }
        var environment = package.NewHome();
        environment["ASPNETCORE_ENVIRONMENT"] = "Development";
        if (database is not null)
            environment["ConnectionStrings__Database"] = database.ConnectionString;
        await using var service = await RunningService.StartAsync(shop, environment, "dotnet run --project src/Shop --no-launch-profile", "--urls", "https://127.0.0.1:0");

        (await StatusAsync("/health/ready")).Should().Be(HttpStatusCode.OK);
        (await StatusAsync("/v1/nothing-of-ours")).Should().Be(HttpStatusCode.NotFound);
        (await StatusAsync(set.Contains("--sample false") ? "/v1/ping" : "/v1/orders")).Should().Be(isOpen ? HttpStatusCode.OK : HttpStatusCode.Unauthorized);
        using var bad = await service.Client.PostAsync("/v1/invoices", new StringContent("{", Encoding.UTF8, "application/json"), TestContext.Current.CancellationToken);
        bad.StatusCode.Should().Be(isOpen ? HttpStatusCode.BadRequest : HttpStatusCode.Unauthorized);
        bad.Content.Headers.ContentType!.MediaType.Should().Be("application/problem+json");
        bad.Headers.Should().ContainKeys("X-Content-Type-Options", "Content-Security-Policy");
        foreach (var path in (string[])["/openapi/v1.json", "/metrics", "/status/data"])
        {
            var text = await service.Client.GetStringAsync(path, TestContext.Current.CancellationToken);
            set.SelectMany(option => Regex.Matches(text, Off[option], RegexOptions.IgnoreCase)).Should().BeEmpty("{0} of {1}: {2}", path, string.Join(' ', set), text);
        }
        set.SelectMany(option => Regex.Matches(service.Log, Off[option], RegexOptions.IgnoreCase)).Should().BeEmpty(service.Log);

        async Task<HttpStatusCode> StatusAsync(string path)
        {
            using var answer = await service.Client.GetAsync(path, TestContext.Current.CancellationToken);
            return answer.StatusCode;
        }
    }

    internal static bool IsFull => Environment.GetEnvironmentVariable("TEMPLATE_TESTS") == "full";

    private static bool IsRefused(string[] set) => set.Any(option => Needs.TryGetValue(option, out var needed) && !set.Contains(needed));

    /// <summary>The last value of each option, which leaves out most.</summary>
    private static string Least() => string.Join(' ', Off.Keys.GroupBy(option => option.Split(' ')[0]).Select(values => values.Last()));

    /// <summary>Each with its value.</summary>
    private static string[] Options(string set) => [.. set.Split(' ').Chunk(2).Select(pair => string.Join(' ', pair))];

    /// <summary>Every combination of values; unless TEMPLATE_TESTS=full, as few as have each pair of values once. The first has all defaults.</summary>
    internal static IReadOnlyList<string[]> Sets(bool everyPair = false)
    {
        var options = Off.Keys.GroupBy(option => option.Split(' ')[0]).Select(values => values.Prepend("").ToArray()).ToList();
        IEnumerable<string[]> all = [[]];
        foreach (var values in options)
            all = all.SelectMany(set => values.Select(value => (string[])[.. set, value])); // by position, "" for the default
        var left = all.Where(set => !IsRefused(set)).ToList();
        if (everyPair || !IsFull)
        {
            static IEnumerable<(string, string, int, int)> Pairs(string[] set) =>
                from one in Enumerable.Range(0, set.Length) from two in Enumerable.Range(0, one) select (set[one], set[two], one, two);
            var (chosen, missing) = (new List<string[]>(), left.SelectMany(Pairs).ToHashSet());
            while (missing.Count > 0)
            {
                chosen.Add(left.MaxBy(set => Pairs(set).Count(missing.Contains))!);
                missing.ExceptWith(Pairs(chosen[^1]));
            }
            left = chosen;
        }
        return [.. left.Select(set => set.Where(value => value.Length > 0).ToArray())];
    }

    private static string[] Arguments(string[] set) => [.. set.SelectMany(option => option.Split(' '))];

    /// <summary>What says which options were chosen.</summary>
    [GeneratedRegex(@"^\.prodapi\.json: ")]
    private static partial Regex IsRecord();

    [GeneratedRegex(@"\{\n\n|\n\n\s*\}")]
    private static partial Regex BlankBeforeEnd();
}
