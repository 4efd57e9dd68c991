using System.Text.RegularExpressions;

namespace Unit;

/// <summary>What is in these files is in the image and with everybody who has the repository.</summary>
public partial class SecretTests
{
    private static readonly string[] Skipped = ["bin", "obj", ".git", ".vs", "data", "node_modules", "TestResults"];

    [Fact, Trait("Readiness", "30")]
    public void No_file_holds_a_key_a_token_or_a_password()
    {
        var found = from file in Directory.EnumerateFiles(Repository.Root, "*", SearchOption.AllDirectories)
                    let path = Path.GetRelativePath(Repository.Root, file)
                    where !path.Split(Path.DirectorySeparatorChar).Any(Skipped.Contains) && Path.GetFileName(file) != "packages.lock.json" // hashes of packages
                    from line in File.ReadLines(file)
                    where Key().IsMatch(line) || (!path.StartsWith("tests", StringComparison.Ordinal) && Password().IsMatch(line)) || Random().Matches(line).Any(word => IsRandom(word.Value))
                    select $"{path}: {line.Trim()}";

        found.Should().BeEmpty();
    }

    [Theory, Trait("Readiness", "30")]
    [InlineData("-----BEGIN EC PRIVATE " + "KEY-----")]
    [InlineData("Host=db;Password=" + "hunter2")]
    [InlineData("mysql://user:" + "hunter2@host")]
    [InlineData("\"key\": \"" + "q83vEjRWeJCrze8S" + "NFZ4kKvN7xI0VniQ" + "\"")]
    [InlineData("key: " + "d41d8cd98f00b204" + "e9800998ecf8427e")]
    [InlineData("token = " + "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiJ1In0" + ".dBjftJeZ4CVP")]
    public void One_would_be_found(string line) =>
        (Key().IsMatch(line) || Password().IsMatch(line) || Random().Matches(line).Any(word => IsRandom(word.Value))).Should().BeTrue();

    [GeneratedRegex(@"BEGIN [A-Z ]*PRIVATE KEY|\beyJ[\w-]{10,}\.eyJ")]
    private static partial Regex Key();

    [GeneratedRegex(@"\b(Password|Pwd|Secret|ApiKey)""?\s*[=:]\s*""?(?!null\b|\\|\.\.\.|…|""|\$|\{|\w+\()[^\s""`,;]{4,}|://\w+:(?!password@)[^\s/@""{]+@", RegexOptions.IgnoreCase)]
    private static partial Regex Password();

    [GeneratedRegex(@"[A-Za-z0-9+/_=-]{24,}")]
    private static partial Regex Random();

    /// <summary>Words are long, too, but change seldom between small letters, capitals and digits.</summary>
    private static bool IsRandom(string text)
    {
        static int Kind(char sign) => char.IsAsciiDigit(sign) ? 0 : char.IsAsciiLetterUpper(sign) ? 1 : char.IsAsciiLetterLower(sign) ? 2 : 3;
        var changes = text.Zip(text[1..], (one, next) => Kind(one) != Kind(next) && Kind(one) != 3 && Kind(next) != 3 ? 1 : 0).Sum();
        return text.Any(char.IsAsciiDigit) && (changes > 0.42 * text.Length || (text.Length >= 32 && text.All(char.IsAsciiHexDigitLower)));
    }
}
