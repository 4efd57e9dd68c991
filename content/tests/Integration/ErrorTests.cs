using System.Net;
using FluentAssertions.Execution;
//#if (auth == "jwt")
using Microsoft.AspNetCore.Authorization;
//#endif
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Integration;

public class ErrorTests(SharedHost shared)
{
    private static readonly string[] Verbs = ["TRACE", "DELETE", "PATCH", "OPTIONS", "POST", "PUT", "FOO"];

    public static TheoryData<int> Statuses => [200, 401, 403, 404, 405, 406, 429, 500, 503, 504, .. Api.Answers.Keys];

    [Theory]
    [MemberData(nameof(Statuses))]
    [Trait("Readiness", "9")]
    [Trait("Readiness", "17")]
    public async Task Every_answer_has_the_header_set_and_every_error_is_a_problem(int status)
    {
        await using var host = await TestHost.StartAsync(
            services => services.AddTestEndpoints().AddTestEndpoint("/test/slow", http => Task.Delay(Timeout.Infinite, http.RequestAborted), new AllowAnonymousAttribute()),
            settings: [.. Api.Patient, .. status == 504 ? [("Limits:RequestSeconds", "0.2")] : Array.Empty<(string, string)>(),
                .. status == 429 ? [("Limits:Burst", "1"), ("Limits:RequestsPerSecond", "1")] : Array.Empty<(string, string)>()]);
        var client = host.Client("u");

        using var answer = status switch
        {
            200 => await client.GetAsync(Api.Path),
            //#if (auth == "jwt")
            401 => await host.Client().GetAsync(Api.Path),
            403 => await host.Client("u", "none").GetAsync(Api.Path),
            //#endif
            404 => await client.GetAsync("/nowhere"),
            405 => await client.DeleteAsync(Api.Path),
            406 => await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, Api.Path) { Headers = { { "Accept", "text/html" } } }),
            429 => (await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => client.GetAsync(Api.Path)))).First(each => each.StatusCode == HttpStatusCode.TooManyRequests),
            500 => await client.GetAsync("/test/throws"),
            503 => await client.GetAsync("/test/unavailable"),
            504 => await client.GetAsync("/test/slow"),
            _ => await Api.Answers[status](client),
        };

        if (status >= 400)
            await answer.ShouldBeProblemAsync(status);
        ((int)answer.StatusCode).Should().Be(status);
        answer.ShouldHaveTheHeaderSet(status == 304 ? "no-cache" : "no-store");
        answer.Headers.Contains("RateLimit").Should().BeTrue();
        (answer.Content.Headers.Allow.Count > 0).Should().Be(status == 405);
        (answer.Headers.RetryAfter is not null).Should().Be(status is 429 or 503);
    }

    [Fact]
    [Trait("Readiness", "10")]
    [Trait("Readiness", "11")]
    public async Task A_fault_of_ours_tells_the_caller_nothing_and_the_log_all()
    {
        using var answer = await shared.Host.Client().GetAsync("/test/throws");
        var problem = await answer.ShouldBeProblemAsync(500);

        problem.ToJsonString().Should().NotContainAny("Exception", "SELECT", "vault", " at ");
        var logged = shared.Host.Log.Entries.Where(entry => entry.TraceId == (string)problem["traceId"]!).ToList();
        logged.Should().ContainSingle(entry => entry.Level == LogLevel.Error).Which.Exception!.ToString().Should().Contain("SELECT secret FROM vault").And.Contain(nameof(Api.AddTestEndpoints));
        using var next = await shared.Host.Client("u").GetAsync(Api.Path);
        next.StatusCode.Should().Be(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("/test/missing", 404)]
    [InlineData("/test/unavailable", 503)]
    [Trait("Readiness", "11")]
    public async Task What_goes_wrong_now_and_then_is_a_warning_and_no_error(string path, int status)
    {
        using var answer = await shared.Host.Client().GetAsync(path);
        var problem = await answer.ShouldBeProblemAsync(status);

        problem.ToJsonString().Should().NotContain("Host=");
        var logged = shared.Host.Log.Entries.Where(entry => entry.TraceId == (string)problem["traceId"]!).ToList();
        logged.Should().ContainSingle(entry => entry.Level == LogLevel.Warning).And.NotContain(entry => entry.Level > LogLevel.Warning);
    }

    [Fact]
    [Trait("Readiness", "14")]
    public async Task A_verb_that_a_path_does_not_list_is_refused_with_those_that_it_does()
    {
        var paths = shared.Host.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .GroupBy(endpoint => endpoint.RoutePattern.RawText!, endpoint => endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? []);
        using var all = new AssertionScope();
        foreach (var path in paths.Where(path => !path.Key.StartsWith("/docs", StringComparison.Ordinal)))
        {
            var allowed = path.SelectMany(verbs => verbs).ToHashSet();
            var address = Api.Fill(path.Key).Replace("{documentName}", "v1", StringComparison.Ordinal);
            foreach (var verb in Verbs.Except(allowed))
            {
                using var answer = await shared.Host.Client("u").SendAsync(new HttpRequestMessage(new HttpMethod(verb), address));
                ((int)answer.StatusCode).Should().Be(405, $"{verb} {address}");
                answer.Content.Headers.Allow.Should().BeEquivalentTo(allowed, $"{verb} {address}");
            }
        }
    }

    [Theory]
    [InlineData("evil.test")]
    [InlineData("localhost.evil.test")]
    [InlineData("169.254.169.254")]
    [Trait("Readiness", "23")]
    public async Task A_host_that_is_not_ours_is_refused(string name)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Api.Path) { Headers = { Host = name } };

        using var answer = await shared.Host.Client().SendAsync(request);

        await answer.ShouldBeProblemAsync(400);
    }
}
