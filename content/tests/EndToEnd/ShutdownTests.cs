using System.Net;
//#if (sample)
using System.Net.Security;
//#endif
using System.Net.Sockets;

namespace EndToEnd;

public sealed class ShutdownTests
{
    //#if (sample)
    [Fact, Trait("Readiness", "36")]
    public async Task On_SIGTERM_it_is_not_ready_at_once_serves_on_for_the_drain_finishes_what_runs_and_exits_with_0()
    {
        const string Ready = "GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        const string Body = "{\"items\":[{\"sku\":\"TEA-1\",\"quantity\":1}]}";
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("Shutdown__DrainSeconds=4");
        using var http = site.Client(service);
        await http.PutProductAsync();
        await using var keptAlive = await site.ConnectAsync(service);
        await keptAlive.SendAsync(Ready);
        (await keptAlive.ReceiveAsync("\r\n0\r\n\r\n")).Should().StartWith("HTTP/1.1 200").And.NotContain("Connection: close");
        await using var slow = await BeginAsync("1");
        await using var slower = await BeginAsync("2");

        service.Terminate();
        await service.LineAsync(line => line.Is("Draining"));

        await slow.SendAsync(Body);
        (await slow.ReceiveAsync("\r\n\r\n")).Should().StartWith("HTTP/1.1 201").And.Contain("Connection: close", "it began before the signal");

        await keptAlive.SendAsync(Ready);
        (await keptAlive.ReceiveAsync("\r\n\r\n")).Should().StartWith("HTTP/1.1 503").And.Contain("Connection: close");
        using (var fresh = site.Client(service))
        using (var ready = await fresh.GetAsync("/health/ready"))
        {
            ready.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        }
        using (var served = await http.GetAsync("/v1/products/TEA-1"))
        {
            served.StatusCode.Should().Be(HttpStatusCode.OK);
            served.Headers.ConnectionClose.Should().BeTrue();
        }
        await Eventually.TrueAsync(() => !Listens(service.Address.Port));
        await slower.SendAsync(Body);
        (await slower.ReceiveAsync("\r\n")).Should().StartWith("HTTP/1.1 201");
        (await service.ExitAsync()).Should().Be(0);

        async Task<SslStream> BeginAsync(string key)
        {
            var connection = await site.ConnectAsync(service);
            await connection.SendAsync($"POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {http.DefaultRequestHeaders.Authorization}\r\nIdempotency-Key: {key}\r\n"
                + $"Content-Type: application/json\r\nContent-Length: {Body.Length}\r\nExpect: 100-continue\r\n\r\n");
            (await connection.ReceiveAsync("\r\n\r\n")).Should().StartWith("HTTP/1.1 100", "the handler waits for the body now");
            return connection;
        }
    }

    //#endif
    [Fact, Trait("Readiness", "36")]
    public async Task On_SIGTERM_a_job_that_runs_is_finished_and_none_is_begun()
    {
        var answer = new TaskCompletionSource();
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = async (call, http) =>
        {
            await answer.Task;
            await Provider.Approve(call, http);
        };
        await using var service = await site.ServeAsync("Jobs__Concurrency=1");
        using var http = site.Client(service);
        var first = await site.BeginAsync(http);
        await Eventually.TrueAsync(() => !site.Provider.Calls.IsEmpty);
        var second = await site.BeginAsync(http);
        var held = await site.Database.HoldWritesAsync(); // the job gets its answer, but cannot write it yet
        answer.SetResult();

        service.Terminate();
        await Eventually.TrueAsync(() => !Listens(service.Address.Port));
        await Task.Delay(1000); // in which a process that does not wait for its job would end
        await held.DisposeAsync();

        (await service.ExitAsync()).Should().Be(0);
        (await site.EffectsAsync()).Should().Equal(first);
        (await site.ValueAsync<int>("SELECT count(*) FROM inbox")).Should().Be(1);
        site.Provider.Calls.Should().HaveCount(1);
        await using var next = await site.ServeAsync();
        await site.QuietAsync(effects: 2);
        site.Provider.Calls.Select(call => call.Key).Should().Equal(first, second);
    }

    [Fact, Trait("Readiness", "36")]
    public async Task While_it_drains_no_job_is_begun()
    {
        var answer = new TaskCompletionSource();
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = Provider.ApproveAfter(() => answer.Task);
        await using var service = await site.ServeAsync("Jobs__Concurrency=1", "Shutdown__DrainSeconds=5"); // longer than the pause between two looks for jobs
        using var http = site.Client(service);
        var first = await site.BeginAsync(http);
        await Eventually.TrueAsync(() => !site.Provider.Calls.IsEmpty);
        await site.BeginAsync(http);

        service.Terminate();
        await service.LineAsync(line => line.Is("Draining"));
        answer.SetResult();

        (await service.ExitAsync()).Should().Be(0);
        (await site.EffectsAsync()).Should().Equal(first);
        (await site.ValueAsync<int>("SELECT count(*) FROM inbox")).Should().Be(1);
        site.Provider.Calls.Should().HaveCount(1);
    }

    private static bool Listens(int port)
    {
        using var tcp = new TcpClient();
        try
        {
            tcp.Connect(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
