namespace Integration;

public class OriginTests
{
    [Theory]
    [InlineData("https://shop.test", true)]
    [InlineData("https://evil.test", false)]
    [InlineData("https://shop.test.evil.test", false)]
    [InlineData("http://shop.test", false)]
    [InlineData("null", false)]
    [Trait("Readiness", "27")]
    public async Task Only_a_listed_origin_may_read_answers(string origin, bool listed)
    {
        await using var host = await TestHost.StartAsync(settings: ("Cors:Origins:0", "https://shop.test"));

        foreach (var answer in await AskAsync(host, origin))
        {
            Allowed(answer, "Origin").Should().Equal(listed ? [origin] : [], $"{answer.RequestMessage}");
            Allowed(answer, "Credentials").Should().BeEmpty();
        }
    }

    [Fact]
    [Trait("Readiness", "27")]
    public async Task None_may_where_no_origin_is_listed()
    {
        await using var host = await TestHost.StartAsync();

        var answers = await AskAsync(host, "https://shop.test");

        answers.SelectMany(answer => Allowed(answer, "Origin")).Should().BeEmpty();
        answers.Select(answer => (int)answer.StatusCode).Should().Equal(200, 404, 405);
    }

    /// <summary>The answers to a call, to one of a path that does not exist, and to the question of a browser whether it may call.</summary>
    private static async Task<List<HttpResponseMessage>> AskAsync(TestHost host, string origin)
    {
        HttpRequestMessage[] requests =
        [
            new(HttpMethod.Get, Api.Path),
            new(HttpMethod.Get, "/v1/nowhere"),
            new(HttpMethod.Options, Api.Path) { Headers = { { "Access-Control-Request-Method", "GET" } } },
        ];
        var answers = new List<HttpResponseMessage>();
        foreach (var request in requests)
        {
            request.Headers.Add("Origin", origin);
            answers.Add(await host.Client("u").SendAsync(request));
        }
        return answers;
    }

    private static IEnumerable<string> Allowed(HttpResponseMessage answer, string what) =>
        answer.Headers.TryGetValues($"Access-Control-Allow-{what}", out var values) ? values : [];
}
