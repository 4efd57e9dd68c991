using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Storefront.Repositories;
using Storefront.Utilities;

namespace Integration;

public class OrderTests(SharedHost shared)
{
    [Fact]
    public async Task An_order_is_priced_with_what_the_products_cost_now()
    {
        var client = shared.Host.Client(Testing.NewName());
        using var answer = await client.SendAsync(Api.Order("""{"items":[{"sku":"FILTER-100","quantity":3},{"sku":"COFFEE-1KG","quantity":2}]}"""));
        var order = await answer.JsonAsync();

        answer.StatusCode.Should().Be(HttpStatusCode.Created);
        answer.Headers.Location!.ToString().Should().Be($"/v1/orders/{order["id"]}");
        order["total"]!.ToJsonString().Should().Be("""{"amount":6150,"currency":"EUR"}""");
        order["items"]!.ToJsonString().Should().Be(
            """[{"sku":"FILTER-100","quantity":3,"price":{"amount":390,"currency":"EUR"}},{"sku":"COFFEE-1KG","quantity":2,"price":{"amount":2490,"currency":"EUR"}}]""");
        order["status"]!.ToString().Should().Be("pending");
        (await client.GetFromJsonAsync<JsonObject>(answer.Headers.Location))!.ToJsonString().Should().Be(order.ToJsonString());
    }

    [Fact]
    public async Task What_cannot_be_sold_together_or_at_all_is_refused()
    {
        var dollars = await shared.Host.CreateProductAsync("""{"name":"Mug","price":{"amount":100,"currency":"USD"}}""");
        foreach (var sku in (string[])["NONE", dollars])
        {
            var key = Testing.NewName();
            using var answer = await shared.Host.Client("u").SendAsync(Api.Order($$"""{"items":[{"sku":"COFFEE-1KG","quantity":1},{"sku":"{{sku}}","quantity":1}]}""", key));

            await answer.ShouldBeProblemAsync(422);
            (await shared.Host.Database.CountAsync("orders", "idempotency_key = @key", new { key })).Should().Be(0);
        }
    }

    [Fact]
    public async Task A_list_shows_each_order_once_newest_first()
    {
        await using var host = await TestHost.StartAsync();
        var client = host.Client("u");
        var placed = new List<string>();
        for (var i = 0; i < 25; i++)
        {
            placed.Add((await client.PlaceAsync())["id"]!.ToString());
        }
        var (listed, sizes) = (new List<string>(), new List<int>());
        for (var next = ""; next is not null;)
        {
            var page = (await client.GetFromJsonAsync<JsonObject>($"/v1/orders?limit=10{next}"))!;
            var ids = page["items"]!.AsArray().Select(order => order!["id"]!.ToString()).ToList();
            listed.AddRange(ids);
            sizes.Add(ids.Count);
            next = page["next"] is { } cursor ? $"&after={cursor}" : null;
            await client.PlaceAsync(); // what comes in between moves no page
        }

        sizes.Should().Equal(10, 10, 5);
        listed.Should().BeEquivalentTo(placed).And.OnlyHaveUniqueItems();
        var newestFirst = await client.GetFromJsonAsync<JsonObject>("/v1/orders?limit=100");
        newestFirst!["items"]!.AsArray().Select(order => (DateTimeOffset)order!["createdAt"]!).Should().BeInDescendingOrder();
    }

    [Fact]
    public async Task An_order_can_be_cancelled_once_before_it_is_charged()
    {
        await using var host = await TestHost.StartAsync(settings: ("Orders:CancelWindowSeconds", "3600"));
        var client = host.Client("u");
        var (kept, cancelled) = (await client.PlaceAsync(), await client.PlaceAsync());

        using var first = await client.PostAsync($"/v1/orders/{cancelled["id"]}/cancel", null);
        using var second = await client.PostAsync($"/v1/orders/{cancelled["id"]}/cancel", null);

        (await first.JsonAsync())["status"]!.ToString().Should().Be("cancelled");
        await second.ShouldBeProblemAsync(409);
        foreach (var (status, order) in new[] { ("pending", kept), ("cancelled", cancelled) })
        {
            var list = await client.GetFromJsonAsync<JsonObject>($"/v1/orders?status={status}");
            list!["items"]!.AsArray().Select(each => each!["id"]!.ToString()).Should().Equal(order["id"]!.ToString());
        }
    }

    [Fact]
    [Trait("Readiness", "43")]
    public async Task An_order_is_paid_in_the_background_and_the_first_answer_stays()
    {
        await using var host = await TestHost.StartAsync(settings: ("Orders:CancelWindowSeconds", "0"));
        var client = host.Client(Testing.NewName());
        using var first = await client.SendAsync(Api.Order(key: "k"));
        var order = await first.JsonAsync();
        await client.BecomesAsync(order, "paid");

        using var cancel = await client.PostAsync($"/v1/orders/{order["id"]}/cancel", null);
        using var again = await client.SendAsync(Api.Order(key: "k"));
        using var other = await client.SendAsync(Api.Order("""{"items":[{"sku":"COFFEE-1KG","quantity":3}]}""", "k"));

        await cancel.ShouldBeProblemAsync(409);
        again.StatusCode.Should().Be(HttpStatusCode.Created);
        (await again.Content.ReadAsStringAsync()).Should().Be(await first.Content.ReadAsStringAsync());
        await other.ShouldBeProblemAsync(422);
        await Testing.EventuallyAsync(async () => await host.Database.CountAsync("receipts") == 1, "the receipt is filed");
    }

    [Fact]
    [Trait("Readiness", "43")]
    public async Task The_first_answer_stays_though_its_products_cannot_be_sold_together_any_more()
    {
        var (client, sku, key) = (shared.Host.Client("u"), await shared.Host.CreateProductAsync("""{"name":"Mug","price":{"amount":100,"currency":"EUR"}}"""), Testing.NewName());
        var both = $$"""{"items":[{"sku":"COFFEE-1KG","quantity":1},{"sku":"{{sku}}","quantity":1}]}""";
        var order = await client.PlaceAsync(both, key);
        using var changed = await shared.Host.Client("u").SendAsync(Api.Put(sku, """{"name":"Mug","price":{"amount":100,"currency":"USD"}}""", "\"1\""));
        changed.EnsureSuccessStatusCode();

        var again = await client.PlaceAsync(both, key);
        using var other = await client.SendAsync(Api.Order(both, Testing.NewName()));

        again.ToJsonString().Should().Be(order.ToJsonString());
        await other.ShouldBeProblemAsync(422);
    }

    [Fact]
    public async Task What_the_provider_declines_is_declined()
    {
        await using var host = await TestHost.StartAsync(settings: ("Orders:CancelWindowSeconds", "0"));
        var client = host.Client(Testing.NewName());

        var order = await client.PlaceAsync("""{"items":[{"sku":"GRINDER-01","quantity":1000}]}""");

        await client.BecomesAsync(order, "declined");
    }

    [Fact]
    public async Task An_order_that_is_being_charged_cannot_be_cancelled()
    {
        var (asked, answer) = (new TaskCompletionSource(), new TaskCompletionSource<bool>());
        await using var host = await TestHost.StartAsync(
            services => services.AddSingleton<IPaymentGateway>(new FakeGateway((_, _) =>
            {
                asked.TrySetResult();
                return answer.Task;
            })),
            settings: ("Orders:CancelWindowSeconds", "0"));
        var client = host.Client(Testing.NewName());
        var order = await client.PlaceAsync();
        await asked.Task.WaitAsync(TimeSpan.FromSeconds(30));

        using var cancel = await client.PostAsync($"/v1/orders/{order["id"]}/cancel", null);

        await cancel.ShouldBeProblemAsync(409);
        answer.SetResult(true);
        await client.BecomesAsync(order, "paid");
    }

    [Fact]
    [Trait("Readiness", "38")]
    public async Task An_order_whose_jobs_are_delivered_twice_is_charged_once_and_has_one_receipt()
    {
        var charges = 0;
        await using var host = await TestHost.StartAsync(
            services => services.AddSingleton<IPaymentGateway>(new FakeGateway((_, _) => Task.FromResult(Interlocked.Increment(ref charges) > 0))),
            settings: ("Orders:CancelWindowSeconds", "0"));
        var order = await host.Client("u").PlaceAsync();
        await Testing.EventuallyAsync(async () => await host.Database.CountAsync("receipts") == 1, "the receipt is filed");
        await Testing.EventuallyAsync(async () => await host.Database.CountAsync("outbox") == 0, "nothing waits");

        await host.Database.ExecuteAsync(
            "INSERT INTO outbox (id, type, body, available_at, created_at) SELECT message_id, CASE WHEN EXISTS (SELECT 1 FROM receipts WHERE id = message_id) THEN 'send-receipt' ELSE 'charge-payment' END, @body, 0, 0 FROM inbox",
            new { body = System.Text.Encoding.UTF8.GetBytes($$"""{"orderId":"{{order["id"]}}"}""") });

        await Testing.EventuallyAsync(async () => await host.Database.CountAsync("outbox") == 0, "both are done again");
        (await host.Database.CountAsync("receipts")).Should().Be(1);
        charges.Should().Be(1);
    }

    [Fact]
    [Trait("Readiness", "43")]
    public async Task The_same_key_twenty_times_at_once_makes_one_order()
    {
        var key = Testing.NewName();
        var client = shared.Host.Client("u");

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => client.SendAsync(Api.Order(key: key))));

        answers.Should().OnlyContain(answer => answer.StatusCode == HttpStatusCode.Created);
        (await Task.WhenAll(answers.Select(answer => answer.Content.ReadAsStringAsync()))).Distinct().Should().ContainSingle();
        answers.Select(answer => answer.Headers.Location).Distinct().Should().ContainSingle();
        (await shared.Host.Database.CountAsync("orders", "idempotency_key = @key", new { key })).Should().Be(1);
        //#if (auth == "jwt")
        var other = shared.Host.Client(Testing.NewName());
        var theirs = (await other.PlaceAsync(key: key))["id"]!.ToString();
        theirs.Should().NotBe((await answers[0].JsonAsync())["id"]!.ToString(), "the key is one of another user");
        (await other.PlaceAsync(key: key))["id"]!.ToString().Should().Be(theirs, "each user's key finds that user's order");
        //#endif
    }
}

internal sealed class FakeGateway(Func<string, Money, Task<bool>> charge) : IPaymentGateway
{
    public Task<bool> ChargeAsync(string orderId, Money total, CancellationToken cancellation) => charge(orderId, total);
}
