using System.Text.Json;
using Microsoft.Extensions.Configuration;
using Storefront.Entry;
using Storefront.Utilities;

namespace Unit;

public class UtilityTests
{
    private static readonly JsonSerializerOptions Clean = new() { Converters = { new CleanStringConverter() } };

    [Theory]
    [InlineData("\"7\"", 7L)]
    [InlineData("\"0\"", 0L)]
    [InlineData("7", null)]
    [InlineData("W/\"7\"", null)] // If-Match compares strongly
    [InlineData("\"7\", \"8\"", null)]
    [InlineData("\"-7\"", null)]
    [InlineData("\"\"", null)]
    [InlineData("*", null)]
    public void If_Match_is_one_strong_tag_of_ours_or_matches_nothing(string field, long? version) =>
        EntityTag.Version(field).Should().Be(version);

    [Theory]
    [InlineData("\"7\"", true)]
    [InlineData("W/\"7\"", true)]
    [InlineData("\"6\", \"7\"", true)]
    [InlineData("*", true)]
    [InlineData("\"8\"", false)]
    [InlineData(null, false)]
    public void If_None_Match_is_a_list_compared_weakly(string? field, bool among) =>
        EntityTag.IsAmong(EntityTag.Of(7), field).Should().Be(among);

    [Fact]
    public void A_fingerprint_tells_apart_what_differs_only_in_where_a_part_ends() =>
        Fingerprint.Of(["a", "bc"]).Should().NotBe(Fingerprint.Of(["ab", "c"])).And.HaveLength(64);

    [Theory]
    [Trait("Readiness", "7")]
    [InlineData("""  "\u0000"  """)]
    [InlineData("""  "a\u0000b"  """)]
    [InlineData("""  "\ud800"  """)]
    [InlineData("""  "\udc00\ud800"  """)]
    public void What_no_database_can_store_is_no_string(string json) =>
        FluentActions.Invoking(() => JsonSerializer.Deserialize<string>(json, Clean)).Should().Throw<JsonException>();

    [Theory]
    [Trait("Readiness", "21")]
    [InlineData("127.0.0.1", true)]
    [InlineData("127.9.9.9:5432", true)]
    [InlineData("::1", true)]
    [InlineData("[::1]:5432", true)]
    [InlineData("localhost", true)]
    [InlineData("LOCALHOST:5432", true)]
    [InlineData("/run/postgresql", true)]
    [InlineData("@abstract", true)]
    [InlineData("10.0.0.1", false)]
    [InlineData("[2001:db8::1]:5432", false)]
    [InlineData("0.0.0.0", false)]
    [InlineData("localhost.evil.test", false)]
    [InlineData("127.0.0.1.evil.test", false)]
    [InlineData("", false)]
    public void Only_addresses_of_loopback_and_sockets_stay_on_the_machine(string host, bool stays) =>
        Settings.IsLoopback(host).Should().Be(stays);

    [Theory]
    [InlineData("Limits:Burst", "-7")]
    [InlineData("Limits:Burst", "secret-value")]
    [InlineData("Limits:RequestSeconds", "99999")]
    public void A_setting_out_of_range_is_refused_by_its_key_and_without_its_value(string key, string value)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([new(key, value)]).Build();

        var refused = FluentActions.Invoking(() => configuration.Read<LimitSettings>("Limits")).Should().Throw<OperationalException>().Which;

        refused.Message.Should().Contain(key.Replace(":", "__", StringComparison.Ordinal)).And.NotContain(value);
    }

    [Fact]
    public void Settings_that_are_not_given_have_their_defaults() =>
        new ConfigurationBuilder().Build().Read<LimitSettings>("Limits").Should().Be(new LimitSettings());
}
