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
        using var get = new HttpRequestMessage(HttpMethod.Get, Api.Path);
        using var missing = new HttpRequestMessage(HttpMethod.Get, "/v1/nowhere");
        using var preflight = new HttpRequestMessage(HttpMethod.Options, Api.Path) { Headers = { { "Access-Control-Request-Method", "GET" } } };

        foreach (var request in (HttpRequestMessage[])[get, missing, preflight])
        {
            request.Headers.Add("Origin", origin);
            using var answer = await host.Client("u").SendAsync(request);
            answer.Headers.TryGetValues("Access-Control-Allow-Origin", out var allowed);
            (allowed ?? []).Should().Equal(listed ? [origin] : [], $"{request.Method} {request.RequestUri}");
            answer.Headers.Contains("Access-Control-Allow-Credentials").Should().BeFalse();
        }
    }
}
