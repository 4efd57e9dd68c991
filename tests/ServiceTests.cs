using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace TemplateTests;

/// <summary>The service as its user meets it: over HTTPS, in a process of its own.</summary>
public class ServiceTests(TemplatePackage package)
{
    /// <summary>The session that a README shows, pasted as it stands into a shell.</summary>
    [Theory]
    [InlineData("this repository", "## The first order")]
    [InlineData("the service", "## First order")]
    public async Task The_first_order_of_the_readme_is_placed_and_paid(string readmeOf, string title) =>
        Regex.Matches(await SessionAsync(readmeOf, title), "\"status\":\"([a-z]+)\"").Select(status => status.Groups[1].Value).Should().Equal("pending", "paid");

    [Fact]
    public async Task Without_the_sample_the_first_call_of_the_readme_is_answered_with_the_time() =>
        (await SessionAsync("the service", "## First call", "--sample", "false")).Should().MatchRegex(@"^\{""databaseTime"":""\d{4}-\d\d-\d\dT[^""]+""\}\n$");

    /// <returns>What the session printed.</returns>
    private async Task<string> SessionAsync(string readmeOf, string title, params string[] arguments)
    {
        var directory = package.NewFolder();
        var port = FreePort();
        (await package.NewAsync(directory, ["-n", "Shop", "--port", port, .. arguments])).MustSucceed();
        var shop = Path.Combine(directory, "Shop");
        (await Command.RunAsync(shop, "dotnet build src/Shop")).MustSucceed();
        // The signing key of the tokens goes to the user's secrets: here to those of a user who exists for this test only.
        var user = package.NewHome();
        var readme = await File.ReadAllTextAsync(Path.Combine(readmeOf == "the service" ? shop : Repository.Root, "README.md"), TestContext.Current.CancellationToken);
        var session = readme.Split(title)[1].Split("```bash")[1].Split("```")[0].Replace("7443", port);

        await using var service = await RunningService.StartAsync(shop, user, Commands.Run);
        service.Client.BaseAddress!.Port.ToString(CultureInfo.InvariantCulture).Should().Be(port);
        return (await Command.RunAsync(shop, user, "bash -e -c", session)).MustSucceed().Output;
    }

    [Fact]
    public async Task The_service_in_content_runs_as_it_stands()
    {
        var checkout = package.NewFolder();
        await TemplatePackage.CheckOutAsync(checkout);
        (await Command.RunAsync(checkout, "dotnet build content/src/Storefront")).MustSucceed();

        await using var service = await RunningService.StartAsync(checkout, package.NewHome(), Commands.RunContent, "--urls", "https://127.0.0.1:0");

        var products = await service.Client.GetAsync("/v1/products", TestContext.Current.CancellationToken);
        products.StatusCode.Should().Be(HttpStatusCode.OK);
    }

    private static string FreePort()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port.ToString(CultureInfo.InvariantCulture);
    }
}
