using System.Net;

namespace Integration;

public class PingTests(SharedHost shared)
{
    [Fact]
    [Trait("Readiness", "17")]
    [Trait("Readiness", "19")]
    public async Task The_answer_comes_from_the_database_and_is_not_kept()
    {
        using var answer = await shared.Host.Client("u").GetAsync(Api.Path);

        answer.StatusCode.Should().Be(HttpStatusCode.OK);
        answer.ShouldHaveTheHeaderSet("no-store");
        DateTimeOffset.Parse($"{(await answer.JsonAsync())["databaseTime"]}", null).Should().BeCloseTo(DateTimeOffset.UtcNow, TimeSpan.FromSeconds(5));
    }
}
