using System.Diagnostics;
using System.Net;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Integration;

public class LimitTests(SharedHost shared)
{
    [Fact]
    [Trait("Readiness", "28")]
    public async Task A_caller_who_asks_too_often_waits_and_nobody_else()
    {
        await using var host = await TestHost.StartAsync(settings: [("Limits:Burst", "5"), ("Limits:RequestsPerSecond", "1")]);
        var watch = Stopwatch.StartNew();

        var answers = await Task.WhenAll(Enumerable.Range(0, 30).Select(_ => host.Client("greedy").GetAsync("/v1/orders")));

        var accepted = answers.Count(answer => answer.StatusCode == HttpStatusCode.OK);
        accepted.Should().BeInRange(5, 6 + (int)watch.Elapsed.TotalSeconds);
        foreach (var refused in answers.Where(answer => answer.StatusCode != HttpStatusCode.OK))
        {
            await refused.ShouldBeProblemAsync(429);
            refused.Headers.RetryAfter!.Delta.Should().BeGreaterThanOrEqualTo(TimeSpan.FromSeconds(1));
        }
        foreach (var (client, path) in new[] { (host.Client("modest"), "/v1/orders"), (host.Client(), "/v1/products") })
        {
            using var other = await client.GetAsync(path);
            other.StatusCode.Should().Be(HttpStatusCode.OK);
        }
        for (var probe = 0; probe < 20; probe++)
        {
            using var health = await host.Client("greedy").GetAsync("/health/live");
            health.StatusCode.Should().Be(HttpStatusCode.OK);
        }
    }

    [Fact]
    [Trait("Readiness", "28")]
    public async Task A_service_that_is_full_says_so_and_its_probes_answer()
    {
        var gate = new TaskCompletionSource();
        await using var host = await TestHost.StartAsync(services => services.HookProducts(_ => gate.Task), settings: ("Limits:ConcurrentRequests", "1"));

        var requests = Enumerable.Range(0, 3).Select(_ => host.Client().GetAsync("/v1/products")).ToList(); // one is worked on, none waits
        while (requests.Count(request => request.IsCompleted) < 2) // or the last could come when the first is done
            await Task.WhenAny(requests.Where(request => !request.IsCompleted)).WaitAsync(TimeSpan.FromSeconds(30));
        using var full = await requests.First(request => request.IsCompleted);
        using var health = await host.Client().GetAsync("/health/ready");
        gate.SetResult();
        var answers = await Task.WhenAll(requests);

        await full.ShouldBeProblemAsync(503);
        full.Headers.RetryAfter.Should().NotBeNull();
        health.StatusCode.Should().Be(HttpStatusCode.OK);
        answers.Count(answer => answer.StatusCode == HttpStatusCode.OK).Should().Be(1);
    }

    [Theory]
    [InlineData("/v1/products")]
    [InlineData("/v1/products/COFFEE-1KG")]
    [Trait("Readiness", "13")]
    public async Task Work_that_takes_too_long_is_cancelled_and_the_caller_told(string path)
    {
        var cancelled = new TaskCompletionSource();
        await using var host = await TestHost.StartAsync(services => services.HookProducts(token => UntilCancelledAsync(cancelled, token)), settings: ("Limits:RequestSeconds", "0.5"));

        using var answer = await host.Client().GetAsync(path);

        await answer.ShouldBeProblemAsync(504);
        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(30));
        host.Log.Entries.Should().NotContain(entry => entry.Level >= LogLevel.Error);
    }

    [Theory]
    [InlineData("/v1/products")]
    [InlineData("/v1/products/COFFEE-1KG")]
    [Trait("Readiness", "12")]
    public async Task Work_for_a_caller_who_went_away_is_cancelled_and_no_error(string path)
    {
        var (started, cancelled) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var host = await TestHost.StartAsync(services => services.HookProducts(token =>
        {
            started.TrySetResult();
            return UntilCancelledAsync(cancelled, token);
        }));
        using var leave = new CancellationTokenSource();

        var request = host.Client().GetAsync(path, leave.Token);
        await started.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await leave.CancelAsync();

        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await request.Awaiting(each => each).Should().ThrowAsync<OperationCanceledException>();
        await Testing.EventuallyAsync(() => host.Log.Entries.Any(entry => entry.Category == "Storefront.Access" && entry.Message.Contains(" 499 ", StringComparison.Ordinal)), "the request is logged");
        host.Log.Entries.Should().NotContain(entry => entry.Level >= LogLevel.Warning && entry.Category != "Storefront");
    }

    [Theory]
    [InlineData("GET /v1/products HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "x")]
    [InlineData("POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\nIdempotency-Key: k\r\nAuthorization: Bearer {0}\r\n\r\n", " ")]
    [Trait("Readiness", "13")]
    public async Task What_is_sent_slowly_is_cut_off(string beginning, string more)
    {
        await using var stream = await shared.Host.ConnectAsync();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(beginning.Replace("{0}", Tokens.Of("slow"), StringComparison.Ordinal)));
        var end = ReadToEndAsync(stream);
        await Testing.EventuallyAsync(
            async () =>
            {
                if (!end.IsCompleted)
                {
                    await stream.WriteAsync(Encoding.ASCII.GetBytes(more)).AsTask().ContinueWith(_ => { }, TaskScheduler.Default); // it may be cut in between
                }
                return end.IsCompleted;
            },
            "the connection is closed",
            seconds: 60);

        (await end).Should().StartWith("HTTP/1.1 408 ");
    }

    private static async Task<string> ReadToEndAsync(Stream stream)
    {
        var (text, buffer) = (new StringBuilder(), new byte[4096]);
        try
        {
            for (int read; (read = await stream.ReadAsync(buffer)) > 0;)
            {
                text.Append(Encoding.ASCII.GetString(buffer, 0, read));
            }
        }
        catch (IOException) // a reset is an end too
        {
        }
        return text.ToString();
    }

    private static async Task UntilCancelledAsync(TaskCompletionSource cancelled, CancellationToken token)
    {
        await using var registration = token.Register(() => cancelled.TrySetResult());
        await Task.Delay(Timeout.Infinite, token);
    }
}
