using System.Net;
using System.Text.RegularExpressions;

namespace EndToEnd;

public sealed partial class OrderTests
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
        site.Provider.Charges.Should().ContainSingle().Which.Should().Match<Charge>(charge => charge.Path == "/charges" && charge.Key == order);
        await site.QuietAsync(receipts: 1);
        (await site.QueryAsync<string>("SELECT order_id FROM receipts")).Should().Equal(order);
    }

    [Fact]
    public async Task An_order_that_the_provider_declines_is_declined()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Charging = (_, http) => Microsoft.AspNetCore.Http.HttpResponseJsonExtensions.WriteAsJsonAsync(http.Response, new { status = "declined" });
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        await http.PutProductAsync();

        await http.SettledAsync(await http.PlaceOrderAsync(), "declined");

        site.Provider.Charges.Should().HaveCount(1);
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

        site.Provider.Charges.Should().BeEmpty();
        service.Log.Single(line => line.Is("Starting")).Text("message").Should().Contain("Development").And.Contain("payments: sandbox: no money moves");
    }

    /// <summary>For the collector this machine is full from the first percent on, and what it gives to this process is little.</summary>
    [Fact, Trait("Readiness", "46")]
    public async Task At_the_end_of_its_memory_it_refuses_work_and_lives()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("DOTNET_GCHighMemPercent=1", "DOTNET_GCHeapHardLimit=0x8000000");
        using var http = site.Client(service);

        await Eventually.TrueAsync(async () => (await http.GetAsync("/v1/products")).StatusCode == HttpStatusCode.ServiceUnavailable);

        (await http.GetAsync("/health/live")).StatusCode.Should().Be(HttpStatusCode.OK);
        (await service.LineAsync(line => line.Text("message")?.Contains("Short of memory", StringComparison.Ordinal) is true)).Text("level").Should().Be("Warning");
    }

    /// <summary>The machine is full from the first percent on, and most of it is free for this process.</summary>
    [Fact, Trait("Readiness", "46")]
    public async Task While_others_fill_the_machine_it_goes_on()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("DOTNET_GCHighMemPercent=1", "DOTNET_GCgen0size=0x100000", "Limits__RequestsPerSecond=1000", "Limits__Burst=1000");
        using var http = site.Client(service);

        await Eventually.TrueAsync(async () =>
        {
            (await http.GetAsync("/v1/products")).StatusCode.Should().Be(HttpStatusCode.OK);
            return CollectionsAfterTheFirst().IsMatch(await http.GetStringAsync("/metrics"));
        });

        service.Lines.Should().NotContain(line => line.Contains("Short of memory", StringComparison.Ordinal));
    }

    [GeneratedRegex(@"^dotnet_gc_collections_total\{.*gen0.*\} ([5-9]|\d\d+)", RegexOptions.Multiline)]
    private static partial Regex CollectionsAfterTheFirst();
}
