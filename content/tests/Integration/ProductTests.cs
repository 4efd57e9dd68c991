using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Integration;

public class ProductTests(SharedHost shared)
{
    [Theory]
    [InlineData("/v1/products")]
    [InlineData("/v1/products/COFFEE-1KG")]
    [Trait("Readiness", "17")]
    [Trait("Readiness", "19")]
    public async Task An_answer_may_be_kept_if_one_asks_each_time_whether_it_is_still_right(string path)
    {
        using var first = await shared.Host.Client().GetAsync(path);
        first.StatusCode.Should().Be(HttpStatusCode.OK);
        first.ShouldHaveTheHeaderSet("no-cache");
        var tag = first.Headers.ETag!;

        foreach (var (ifNoneMatch, status) in new[] { ($"{tag}", 304), ($"W/{tag}", 304), ($"\"x\", {tag}", 304), ("*", 304), ("\"x\"", 200) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            request.Headers.TryAddWithoutValidation("If-None-Match", ifNoneMatch);
            using var answer = await shared.Host.Client().SendAsync(request);
            ((int)answer.StatusCode).Should().Be(status, ifNoneMatch);
            answer.ShouldHaveTheHeaderSet("no-cache");
            answer.Headers.ETag.Should().Be(tag);
            (await answer.Content.ReadAsStringAsync()).Length.Should().Match(length => status == 200 ? length > 0 : length == 0);
        }
    }

    [Fact]
    [Trait("Readiness", "19")]
    public async Task The_tag_of_a_list_changes_with_each_product_on_it()
    {
        await using var host = await TestHost.StartAsync();
        var client = host.Client("admin");
        var tags = new HashSet<EntityTagHeaderValue>();
        foreach (var change in (HttpRequestMessage?[])[null, Api.Put("MUG", create: true), Api.Put("MUG", ifMatch: "\"1\""), Api.Put("COFFEE-1KG", ifMatch: "\"1\"")])
        {
            if (change is not null)
            {
                (await client.SendAsync(change)).EnsureSuccessStatusCode();
            }
            tags.Add((await client.GetAsync("/v1/products")).Headers.ETag!).Should().BeTrue();
        }
    }

    [Fact]
    [Trait("Readiness", "19")]
    public async Task Other_answers_are_not_kept()
    {
        using var answer = await shared.Host.Client("u").GetAsync("/v1/orders");

        answer.StatusCode.Should().Be(HttpStatusCode.OK);
        answer.ShouldHaveTheHeaderSet("no-store");
    }

    [Fact]
    [Trait("Readiness", "52")]
    public async Task Of_thirty_updates_at_once_none_is_lost()
    {
        var sku = await shared.Host.CreateProductAsync("""{"name":"0","price":{"amount":0,"currency":"EUR"}}""");
        var client = shared.Host.Client("admin");

        await Task.WhenAll(Enumerable.Range(0, 30).Select(_ => Testing.EventuallyAsync(
            async () =>
            {
                using var read = await client.GetAsync($"/v1/products/{sku}");
                var amount = (long)(await read.JsonAsync())["price"]!["amount"]!;
                using var written = await client.SendAsync(Api.Put(sku, $$$"""{"name":"{{{amount + 1}}}","price":{"amount":{{{amount + 1}}},"currency":"EUR"}}""", $"{read.Headers.ETag}"));
                written.StatusCode.Should().BeOneOf(HttpStatusCode.OK, HttpStatusCode.PreconditionFailed);
                return written.IsSuccessStatusCode;
            },
            "the update is in",
            seconds: 60)));

        using var last = await client.GetAsync($"/v1/products/{sku}");
        last.Headers.ETag!.Tag.Should().Be("\"31\"");
        (await last.JsonAsync())["price"]!["amount"]!.ToString().Should().Be("30");
    }

    [Fact]
    [Trait("Readiness", "52")]
    public async Task A_write_says_what_it_has_seen()
    {
        var sku = Testing.NewName().ToUpperInvariant();
        var client = shared.Host.Client("admin");
        foreach (var (ifMatch, create, status) in new (string?, bool, int)[]
        {
            ("\"1\"", false, 412), // there is none yet
            (null, false, 428),
            (null, true, 201),
            (null, true, 412),
            (null, false, 428),
            ("\"2\"", false, 412),
            ("W/\"1\"", false, 412),
            ("\"1\"", false, 200),
            ("\"1\"", false, 412),
        })
        {
            using var answer = await client.SendAsync(Api.Put(sku, ifMatch: ifMatch, create: create));
            ((int)answer.StatusCode).Should().Be(status, $"If-Match {ifMatch}, create {create}");
        }
    }

    [Fact]
    [Trait("Readiness", "51")]
    public async Task A_hundred_readers_of_one_product_make_one_query()
    {
        var (queries, first, gate) = (0, new TaskCompletionSource(), new TaskCompletionSource());
        await using var host = await TestHost.StartAsync(services => services.HookReads(_ =>
        {
            Interlocked.Increment(ref queries);
            first.TrySetResult();
            return gate.Task;
        }));

        var readers = Enumerable.Range(0, 100).Select(_ => host.Client().GetStringAsync("/v1/products/COFFEE-1KG")).ToList();
        await first.Task.WaitAsync(TimeSpan.FromSeconds(30));
        gate.SetResult();
        (await Task.WhenAll(readers)).Distinct().Should().ContainSingle();
        await host.Client().GetStringAsync("/v1/products/COFFEE-1KG");

        queries.Should().Be(1);
    }

    [Fact]
    [Trait("Readiness", "51")]
    public async Task A_write_is_seen_at_once()
    {
        var sku = await shared.Host.CreateProductAsync();
        var client = shared.Host.Client("admin");
        for (var version = 1; version < 10; version++)
        {
            (await client.GetAsync($"/v1/products/{sku}")).Headers.ETag!.Tag.Should().Be($"\"{version}\"");
            (await client.SendAsync(Api.Put(sku, ifMatch: $"\"{version}\""))).EnsureSuccessStatusCode();
        }
    }

    [Fact]
    public async Task A_product_that_comes_into_being_is_found_though_it_was_asked_for_before()
    {
        var sku = Testing.NewName().ToUpperInvariant();
        var client = shared.Host.Client("admin");
        using var before = await client.GetAsync($"/v1/products/{sku}");
        await before.ShouldBeProblemAsync(404);

        (await client.SendAsync(Api.Put(sku, create: true))).EnsureSuccessStatusCode();

        (await client.GetFromJsonAsync<JsonObject>($"/v1/products/{sku}"))!["sku"]!.ToString().Should().Be(sku);
    }

    [Fact]
    public async Task A_list_of_products_is_paged_by_their_keys()
    {
        await using var host = await TestHost.StartAsync();
        var skus = new List<string>();
        for (var next = ""; next is not null;)
        {
            var page = (await host.Client().GetFromJsonAsync<JsonObject>($"/v1/products?limit=1{next}"))!;
            skus.Add(page["items"]!.AsArray().Single()!["sku"]!.ToString());
            next = page["next"] is { } cursor ? $"&after={cursor}" : null;
        }

        skus.Should().Equal("COFFEE-1KG", "FILTER-100", "GRINDER-01");
    }
}
