using System.Net;

namespace EndToEnd;

public sealed class DrainTests
{
    [Fact, Trait("Readiness", "36")]
    public async Task On_SIGTERM_it_is_not_ready_at_once_serves_on_for_the_drain_and_exits_with_0()
    {
        const string Ready = "GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("Shutdown__DrainSeconds=4");
        using var http = site.Client(service);
        await using var keptAlive = await site.ConnectAsync(service);
        await keptAlive.SendAsync(Ready);
        (await keptAlive.ReceiveAsync("\r\n0\r\n\r\n")).Should().StartWith("HTTP/1.1 200").And.NotContain("Connection: close");
        await using var slow = await site.ConnectAsync(service);
        await slow.SendAsync($"GET {Operations.Path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");

        service.Terminate();
        await service.LineAsync(line => line.Is("Draining"));

        await slow.SendAsync($"Authorization: {http.DefaultRequestHeaders.Authorization}\r\n\r\n");
        (await slow.ReceiveAsync("\r\n\r\n")).Should().StartWith("HTTP/1.1 200").And.Contain("Connection: close", "it began before the signal");
        await keptAlive.SendAsync(Ready);
        (await keptAlive.ReceiveAsync("\r\n\r\n")).Should().StartWith("HTTP/1.1 503").And.Contain("Connection: close");
        using (var fresh = site.Client(service))
        using (var ready = await fresh.GetAsync("/health/ready"))
        {
            ready.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        }
        using (var served = await http.GetAsync(Operations.Path))
        {
            served.StatusCode.Should().Be(HttpStatusCode.OK);
            served.Headers.ConnectionClose.Should().BeTrue();
        }
        (await service.ExitAsync()).Should().Be(0);
    }
}
