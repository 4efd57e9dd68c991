using System.Net;
using FluentAssertions.Execution;
//#if (auth == "jwt")
using Microsoft.AspNetCore.Authorization;
//#endif
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Storefront.Utilities;

namespace Integration;

public class ErrorTests(SharedHost shared)
{
    private static readonly string[] Verbs = ["TRACE", "DELETE", "PATCH", "OPTIONS", "POST", "PUT", "FOO"];

    [Theory]
    [InlineData(200)]
    [InlineData(201)]
    [InlineData(304)]
    [InlineData(400)]
    //#if (auth == "jwt")
    [InlineData(401)]
    [InlineData(403)]
    //#endif
    [InlineData(404)]
    [InlineData(405)]
    [InlineData(406)]
    [InlineData(409)]
    [InlineData(412)]
    [InlineData(413)]
    [InlineData(415)]
    [InlineData(422)]
    [InlineData(428)]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(504)]
    [Trait("Readiness", "9")]
    [Trait("Readiness", "17")]
    public async Task Every_answer_has_the_header_set_and_every_error_is_a_problem(int status)
    {
        await using var host = await TestHost.StartAsync(
            services =>
            {
                services.AddTestEndpoint("/test/throws", _ => throw new InvalidOperationException("no"), new AllowAnonymousAttribute());
                services.AddTestEndpoint("/test/unavailable", _ => throw new OperationalException(Failure.Unavailable, "no"), new AllowAnonymousAttribute());
                services.AddTestEndpoint("/test/slow", http => Task.Delay(Timeout.Infinite, http.RequestAborted), new AllowAnonymousAttribute());
            },
            settings: [("Orders:CancelWindowSeconds", "3600"), .. status == 504 ? [("Limits:RequestSeconds", "0.2")] : Array.Empty<(string, string)>(),
                .. status == 429 ? [("Limits:Burst", "1"), ("Limits:RequestsPerSecond", "1")] : Array.Empty<(string, string)>()]);
        var client = host.Client("u");
        using var text = Api.Order();
        text.Content!.Headers.ContentType = new("text/plain");

        using var answer = status switch
        {
            200 => await client.GetAsync("/v1/orders"),
            201 => await client.SendAsync(Api.Order()),
            304 => await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/v1/products") { Headers = { { "If-None-Match", "*" } } }),
            400 => await client.SendAsync(Api.Order("{}")),
            //#if (auth == "jwt")
            401 => await host.Client().GetAsync("/v1/orders"),
            403 => await host.Client("u", "none").GetAsync("/v1/orders"),
            //#endif
            404 => await client.GetAsync("/nowhere"),
            405 => await client.DeleteAsync("/v1/orders"),
            406 => await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/v1/products") { Headers = { { "Accept", "text/html" } } }),
            409 => await CancelTwiceAsync(client),
            412 => await client.SendAsync(Api.Put("COFFEE-1KG", ifMatch: "\"99\"")),
            413 => await client.SendAsync(TooLarge()),
            415 => await client.SendAsync(text),
            422 => await client.SendAsync(Api.Order("""{"items":[{"sku":"NONE","quantity":1}]}""")),
            428 => await client.SendAsync(Api.Put("COFFEE-1KG")),
            429 => (await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => client.GetAsync("/v1/products")))).First(each => each.StatusCode == HttpStatusCode.TooManyRequests),
            500 => await client.GetAsync("/test/throws"),
            503 => await client.GetAsync("/test/unavailable"),
            504 => await client.GetAsync("/test/slow"),
            _ => throw new ArgumentOutOfRangeException(nameof(status)),
        };

        static HttpRequestMessage TooLarge()
        {
            var order = Api.Order(new string(' ', 65 * 1024));
            order.Headers.ExpectContinue = true; // else the service closes the connection while the client still sends
            return order;
        }

        if (status >= 400)
            await answer.ShouldBeProblemAsync(status);
        ((int)answer.StatusCode).Should().Be(status);
        answer.ShouldHaveTheHeaderSet(status == 304 ? "no-cache" : "no-store");
        answer.Headers.Contains("RateLimit").Should().BeTrue();
        answer.Content.Headers.Allow.Should().HaveCount(status == 405 ? 2 : 0);
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
        logged.Should().ContainSingle(entry => entry.Level == LogLevel.Error).Which.Exception!.ToString().Should().Contain("SELECT secret FROM vault").And.Contain(nameof(SharedHost));
        using var next = await shared.Host.Client().GetAsync("/v1/products");
        next.StatusCode.Should().Be(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("/v1/products/NONE", 404)]
    [InlineData("/test/unavailable", 503)]
    [Trait("Readiness", "11")]
    public async Task What_goes_wrong_now_and_then_is_a_warning_and_no_error(string path, int status)
    {
        using var answer = await shared.Host.Client().GetAsync(path);
        var problem = await answer.ShouldBeProblemAsync(status);

        problem.ToJsonString().Should().NotContain("Data Source");
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
            var address = path.Key.Replace("{id}", Guid.NewGuid().ToString(), StringComparison.Ordinal).Replace("{sku}", "A", StringComparison.Ordinal)
                .Replace("{documentName}", "v1", StringComparison.Ordinal);
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
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/products") { Headers = { Host = name } };

        using var answer = await shared.Host.Client().SendAsync(request);

        await answer.ShouldBeProblemAsync(400);
    }

    private static async Task<HttpResponseMessage> CancelTwiceAsync(HttpClient client)
    {
        var order = await client.PlaceAsync();
        (await client.PostAsync($"/v1/orders/{order["id"]}/cancel", null)).Dispose();
        return await client.PostAsync($"/v1/orders/{order["id"]}/cancel", null);
    }
}
