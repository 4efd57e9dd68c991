using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using FluentAssertions.Execution;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Integration;

public class AccessTests(SharedHost shared)
{
    /// <summary>All that is open to everybody.</summary>
    private static readonly string[] Anonymous =
        ["/health/live", "/health/ready", "/health/startup", "/metrics", "/openapi/{documentName}.json", "/v1/products/", "/v1/products/{sku}"];

    private static readonly byte[] ForeignKey = [.. Tokens.Key.Select(each => (byte)~each)];

    [Theory]
    [InlineData("garbage")]
    [InlineData("alg none")]
    [InlineData("no signature")]
    [InlineData("expired")]
    [InlineData("not yet valid")]
    [InlineData("wrong audience")]
    [InlineData("wrong issuer")]
    [InlineData("foreign key")]
    [Trait("Readiness", "25")]
    public async Task A_token_that_is_not_ours_is_refused(string token)
    {
        var client = shared.Host.WithToken(token switch
        {
            "alg none" => Unsigned("none"),
            "no signature" => Unsigned("HS256"),
            "expired" => Tokens.Make(Claims(), validFrom: -7200, validTo: -3600),
            "not yet valid" => Tokens.Make(Claims(), validFrom: 3600, validTo: 7200),
            "wrong audience" => Tokens.Make(Claims(), audience: "https://elsewhere"),
            "wrong issuer" => Tokens.Make(Claims(), issuer: "elsewhere"),
            "foreign key" => Tokens.Make(Claims(), key: ForeignKey),
            _ => token,
        });

        using var answer = await client.GetAsync("/v1/orders");

        await answer.ShouldBeProblemAsync(401);
        answer.Headers.WwwAuthenticate.ToString().Should().StartWith("Bearer");
    }

    [Fact]
    [Trait("Readiness", "25")]
    public async Task Scopes_count_in_one_claim_or_in_many_and_only_whole()
    {
        using var all = new AssertionScope();
        foreach (var (scopes, status) in new (object[], int)[]
        {
            (["orders:read"], 200),
            (["orders:write orders:read"], 200),
            (["orders:write", "orders:read"], 200),
            (["orders:write"], 403),
            (["orders:read2"], 403),
            (["ORDERS:READ"], 403),
            ([""], 403),
        })
        {
            using var answer = await shared.Host.Client("u", scopes).GetAsync("/v1/orders");
            ((int)answer.StatusCode).Should().Be(status, string.Join(" + ", scopes));
        }
        using var nobody = await shared.Host.WithToken(Tokens.Make(new() { ["scope"] = "orders:read" })).GetAsync("/v1/orders");
        await nobody.ShouldBeProblemAsync(403);
    }

    [Fact]
    [Trait("Readiness", "24")]
    public void Every_endpoint_has_a_policy_of_its_own_or_is_known_to_be_open()
    {
        var open = new List<string>();
        foreach (var endpoint in Endpoints())
        {
            if (endpoint.Metadata.GetMetadata<IAllowAnonymous>() is not null)
            {
                open.Add(endpoint.RoutePattern.RawText!);
                continue;
            }
            endpoint.Metadata.GetOrderedMetadata<IAuthorizeData>().Should().Contain(data => data.Policy != null, endpoint.RoutePattern.RawText);
        }
        open.Where(path => !path.StartsWith("/docs", StringComparison.Ordinal)).Should().BeEquivalentTo(Anonymous);
    }

    [Fact]
    [Trait("Readiness", "24")]
    public async Task Every_route_that_is_not_open_wants_a_token_and_its_scope()
    {
        var guarded = Endpoints().Where(endpoint => endpoint.Metadata.GetMetadata<IAllowAnonymous>() is null).ToList();
        guarded.Should().HaveCountGreaterThan(4);
        foreach (var endpoint in guarded)
        {
            var path = endpoint.RoutePattern.RawText!.Replace("{id}", Guid.NewGuid().ToString(), StringComparison.Ordinal).Replace("{sku}", "A", StringComparison.Ordinal);
            var verb = new HttpMethod(endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()!.HttpMethods.Single());

            using var anonymous = await shared.Host.Client().SendAsync(new HttpRequestMessage(verb, path));
            using var powerless = await shared.Host.Client("u", "none").SendAsync(new HttpRequestMessage(verb, path));

            await anonymous.ShouldBeProblemAsync(401);
            await powerless.ShouldBeProblemAsync(403);
        }
    }

    [Fact]
    [Trait("Readiness", "24")]
    public async Task An_endpoint_that_says_nothing_about_access_is_closed()
    {
        using var anonymous = await shared.Host.Client().GetAsync("/test/without-policy");
        using var user = await shared.Host.Client("u").GetAsync("/test/without-policy");

        await anonymous.ShouldBeProblemAsync(401);
        user.StatusCode.Should().Be(HttpStatusCode.OK);
    }

    [Fact]
    [Trait("Readiness", "26")]
    public async Task A_user_finds_nothing_of_anothers()
    {
        var (mine, other) = (shared.Host.Client(Testing.NewName()), shared.Host.Client(Testing.NewName()));
        var order = await mine.PlaceAsync();

        using var read = await other.GetAsync($"/v1/orders/{order["id"]}");
        using var cancel = await other.PostAsync($"/v1/orders/{order["id"]}/cancel", null);
        var list = await other.GetFromJsonAsync<JsonObject>("/v1/orders");

        await read.ShouldBeProblemAsync(404);
        await cancel.ShouldBeProblemAsync(404);
        list!["items"]!.AsArray().Should().BeEmpty();
        (await mine.StatusAsync(order)).Should().Be("pending");
    }

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
        using var get = new HttpRequestMessage(HttpMethod.Get, "/v1/products");
        using var missing = new HttpRequestMessage(HttpMethod.Get, "/v1/products/NONE");
        using var preflight = new HttpRequestMessage(HttpMethod.Options, "/v1/orders") { Headers = { { "Access-Control-Request-Method", "POST" } } };

        foreach (var request in (HttpRequestMessage[])[get, missing, preflight])
        {
            request.Headers.Add("Origin", origin);
            using var answer = await host.Client().SendAsync(request);
            answer.Headers.TryGetValues("Access-Control-Allow-Origin", out var allowed);
            (allowed ?? []).Should().Equal(listed ? [origin] : [], $"{request.Method} {request.RequestUri}");
            answer.Headers.Contains("Access-Control-Allow-Credentials").Should().BeFalse();
        }
    }

    private static Dictionary<string, object> Claims() => new() { ["sub"] = "u", ["scope"] = "orders:read" };

    private static string Unsigned(string algorithm)
    {
        var body = Tokens.Make(Claims()).Split('.')[1];
        return $"{System.Buffers.Text.Base64Url.EncodeToString(Encoding.UTF8.GetBytes($$"""{"alg":"{{algorithm}}","typ":"JWT"}"""))}.{body}.";
    }

    private IEnumerable<RouteEndpoint> Endpoints() => shared.Host.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>();
}
