using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;

namespace TemplateTests;

/// <summary>The service as its user meets it: over HTTPS, in a process of its own.</summary>
public class ServiceTests(TemplatePackage package)
{
    private static readonly TimeSpan PaymentLimit = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_generated_service_takes_an_order_and_has_it_paid()
    {
        var directory = package.NewFolder();
        (await package.NewAsync(directory, "-n", "Shop")).MustSucceed();
        (await Command.RunAsync(directory, "dotnet build Shop/src/Shop")).MustSucceed();
        // The signing key of the tokens goes to the user's secrets: here to those of a user who exists for this test only.
        var user = OwnHome();
        var token = await Command.RunAsync(
            directory, user, "dotnet user-jwts create --project Shop/src/Shop --name alice --scope orders:write --scope orders:read --scope products:write -o token");

        await using var service = await RunningService.StartAsync(directory, user, Commands.Run);
        service.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token.MustSucceed().Output.Trim());

        var products = await service.Client.GetFromJsonAsync<JsonElement>("/v1/products", TestContext.Current.CancellationToken);
        var sku = products.GetProperty("items")[0].GetProperty("sku").GetString();
        var order = await OrderAsync(service.Client, sku!);
        await PaidAsync(service.Client, order);
    }

    [Fact]
    public async Task The_service_in_content_runs_as_it_stands()
    {
        var checkout = package.NewFolder();
        await TemplatePackage.CheckOutAsync(checkout);
        (await Command.RunAsync(checkout, "dotnet build content/src/Storefront")).MustSucceed();

        await using var service = await RunningService.StartAsync(checkout, OwnHome(), Commands.RunContent);

        var products = await service.Client.GetAsync("/v1/products", TestContext.Current.CancellationToken);
        products.StatusCode.Should().Be(HttpStatusCode.OK);
    }

    private static async Task<string> OrderAsync(HttpClient client, string sku)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/orders");
        request.Headers.Add("Idempotency-Key", Guid.NewGuid().ToString());
        request.Content = JsonContent.Create(new { items = new[] { new { sku, quantity = 1 } } });

        using var response = await client.SendAsync(request, TestContext.Current.CancellationToken);

        var body = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        response.StatusCode.Should().Be(HttpStatusCode.Created, body);
        return JsonDocument.Parse(body).RootElement.GetProperty("id").GetString()!;
    }

    private static async Task PaidAsync(HttpClient client, string order)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(PaymentLimit);
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        string? status;
        do
        {
            await again.WaitForNextTickAsync(limit.Token);
            status = (await client.GetFromJsonAsync<JsonElement>($"/v1/orders/{order}", limit.Token)).GetProperty("status").GetString();
        }
        while (status == "pending");
        status.Should().Be("paid");
    }

    private Dictionary<string, string> OwnHome()
    {
        var home = package.NewFolder();
        return new() { ["HOME"] = home, ["USERPROFILE"] = home, ["APPDATA"] = home, ["DOTNET_CLI_HOME"] = home, ["DOTNET_GENERATE_ASPNET_CERTIFICATE"] = "false" };
    }
}
