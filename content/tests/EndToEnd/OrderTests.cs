using System.Net;

namespace EndToEnd;

public sealed class OrderTests
{
    [Fact]
    public async Task An_order_is_placed_then_charged_in_the_background_once_and_has_one_receipt()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        await http.PutProductAsync();

        var order = await http.PlaceOrderAsync();

        await http.SettledAsync(order, "paid");
        site.Provider.Calls.Should().ContainSingle().Which.Should().Match<Call>(charge => charge.Path == "/charges" && charge.Key == order);
        await site.QuietAsync(effects: 1);
        (await site.QueryAsync<string>("SELECT order_id FROM receipts")).Should().Equal(order);
    }

    [Fact]
    public async Task An_order_that_the_provider_declines_is_declined()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = (_, http) => Microsoft.AspNetCore.Http.HttpResponseJsonExtensions.WriteAsJsonAsync(http.Response, new { status = "declined" });
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        await http.PutProductAsync();

        await http.SettledAsync(await http.PlaceOrderAsync(), "declined");

        site.Provider.Calls.Should().HaveCount(1);
    }

    [Fact]
    public async Task An_order_that_one_process_takes_is_charged_by_another()
    {
        await using var site = await Site.CreateAsync();
        await using var api = await site.ServeAsync("Process__Roles=api");
        await using var worker = await site.ServeAsync("Process__Roles=worker");
        using var http = site.Client(api);
        await http.PutProductAsync();

        await http.SettledAsync(await http.PlaceOrderAsync(), "paid");

        using var other = site.Client(worker);
        using var answer = await other.GetAsync("/v1/products");
        answer.StatusCode.Should().Be(HttpStatusCode.NotFound, "it has no API");
    }

    [Fact]
    public async Task In_Development_a_sandbox_charges_and_the_first_line_says_so()
    {
        await using var site = await Site.CreateAsync(schema: false);
        await using var service = await site.ServeAsync(site.Development);
        using var http = site.Client(service, site.DevelopmentToken("ann"));
        await http.PutProductAsync("LUXURY", 1_000_000);

        await http.SettledAsync(await http.PlaceOrderAsync("COFFEE-1KG"), "paid");
        await http.SettledAsync(await http.PlaceOrderAsync("LUXURY"), "declined");

        site.Provider.Calls.Should().BeEmpty();
        service.Log.Single(line => line.Is("Starting")).Text("message").Should().Contain("Development").And.Contain("payments: sandbox: no money moves");
    }
}
