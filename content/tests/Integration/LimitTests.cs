using System.Diagnostics;
using System.Net;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Storefront.Entry;

namespace Integration;

public class LimitTests(SharedHost shared)
{
    [Fact]
    [Trait("Readiness", "28")]
    public async Task A_caller_who_asks_too_often_waits_and_nobody_else()
    {
        await using var host = await TestHost.StartAsync(settings: [("Limits:Burst", "5"), ("Limits:RequestsPerSecond", "1")]);
        var watch = Stopwatch.StartNew();

        var answers = await Task.WhenAll(Enumerable.Range(0, 30).Select(_ => host.Client("greedy").GetAsync(Api.Path)));

        var accepted = answers.Count(answer => answer.StatusCode == HttpStatusCode.OK);
        accepted.Should().BeInRange(5, 11 + (int)watch.Elapsed.TotalSeconds); // twice the burst where a busy machine counts the share anew
        foreach (var refused in answers.Where(answer => answer.StatusCode != HttpStatusCode.OK))
        {
            await refused.ShouldBeProblemAsync(429);
            refused.Headers.RetryAfter!.Delta.Should().BeGreaterThanOrEqualTo(TimeSpan.FromSeconds(1));
        }
        foreach (var (client, status) in new[] { (host.Client("modest"), HttpStatusCode.OK), (host.Client(), HttpStatusCode.Unauthorized) })
        {
            using var other = await client.GetAsync(Api.Path);
            other.StatusCode.Should().Be(status);
        }
        for (var probe = 0; probe < 20; probe++)
        {
            using var health = await host.Client("greedy").GetAsync("/health/live");
            health.StatusCode.Should().Be(HttpStatusCode.OK);
        }
    }

    [Theory]
    [MemberData(nameof(Api.Costs), MemberType = typeof(Api))]
    [Trait("Readiness", "28")]
    public async Task Every_answer_says_what_is_left_to_its_caller_and_a_costly_route_takes_more(string verb, string path, int status, int left)
    {
        await using var host = await TestHost.StartAsync(services => services.AddTestEndpoints(), settings: [("Limits:Burst", "100"), ("Limits:RequestsPerSecond", "2")]);
        using var request = verb == "POST" ? Api.Costly() : new HttpRequestMessage(new HttpMethod(verb), path);

        using var answer = await host.Client("u").SendAsync(request);
        using var probe = await host.Client("u").GetAsync("/health/live");

        ((int)answer.StatusCode).Should().Be(status);
        answer.Headers.GetValues("RateLimit-Policy").Should().Equal("\"default\";q=100;w=50");
        answer.Headers.GetValues("RateLimit").Should().Equal($"\"default\";r={left};t={Math.Ceiling((100 - left) / 2.0)}");
        probe.Headers.Contains("RateLimit").Should().BeFalse();
    }

    [Theory]
    [InlineData(5)]
    [InlineData(3)] // less than one costs: then one takes all
    [Trait("Readiness", "28")]
    public async Task A_costly_call_too_many_is_told_when_to_come_back(int burst)
    {
        await using var host = await TestHost.StartAsync(services => services.AddTestEndpoints(), settings: [("Limits:Burst", $"{burst}"), ("Limits:RequestsPerSecond", "1")]);

        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => host.Client("greedy").SendAsync(Api.Costly())));

        answers.Should().Contain(answer => answer.IsSuccessStatusCode);
        var refused = answers.First(answer => !answer.IsSuccessStatusCode);
        await refused.ShouldBeProblemAsync(429);
        refused.Headers.RetryAfter!.Delta.Should().BeGreaterThanOrEqualTo(TimeSpan.FromSeconds(1)).And.BeLessThanOrEqualTo(TimeSpan.FromSeconds(burst));
        refused.Headers.GetValues("RateLimit").Single().Should().MatchRegex($"^\"default\";r=[0-{burst - 1}];t={refused.Headers.RetryAfter.Delta!.Value.TotalSeconds}$");
    }

    /// <summary>Of twenty calls of one caller, one at most is the first that the bucket sees.</summary>
    [Theory]
    //#if (auth == "jwt")
    [InlineData("", "6.6.6.{0}", true)] // nobody is trusted: the address is that of the connection, whatever the field says
    //#endif
    [InlineData("10.0.0.0/8", "6.6.6.{0}", true)]
    [InlineData("127.0.0.0/8", "6.6.6.{0}", false)]
    [InlineData("127.0.0.0/8", "6.6.6.6", true)]
    [InlineData("127.0.0.0/8", "7.7.7.{0}, 6.6.6.6", true)] // the caller wrote all but the last
    [InlineData("127.0.0.0/8", "::ffff:6.6.6.6", true)]
    [InlineData("127.0.0.0/8", "2001:db8:1:1::{0}", true)]
    [InlineData("127.0.0.0/8", "2001:db8:1:{0}::1", false)]
    [Trait("Readiness", "22")]
    [Trait("Readiness", "28")]
    public async Task A_caller_without_a_token_is_an_address_that_a_trusted_proxy_has_seen(string trusted, string forwarded, bool one)
    {
        await using var host = await TestHost.StartAsync(settings:
            [("Limits:Burst", "1000"), ("Limits:RequestsPerSecond", "1"), .. trusted.Length > 0 ? [("Proxy:TrustedNetworks:0", trusted)] : Array.Empty<(string, string)>()]);

        var answers = await Task.WhenAll(Enumerable.Range(1, 20).Select(number =>
        {
            var request = new HttpRequestMessage(HttpMethod.Get, Api.Path) { Headers = { { "X-Forwarded-For", string.Format(System.Globalization.CultureInfo.InvariantCulture, forwarded, number) } } };
            return host.Client().SendAsync(request);
        }));

        answers.All(answer => answer.Headers.GetValues("RateLimit").Single() == "\"default\";r=999;t=1").Should().Be(!one);
    }

    //#if (auth == "jwt")
    /// <summary>Else who guesses tokens could guess on for ever, and each guess costs the check of a signature.</summary>
    [Fact]
    [Trait("Readiness", "28")]
    public async Task Wrong_tokens_however_many_are_of_one_address_and_take_nothing_from_users_there()
    {
        await using var host = await TestHost.StartAsync(settings: [("Limits:Burst", "20"), ("Limits:RequestsPerSecond", "1")]);
        var watch = Stopwatch.StartNew();

        var answers = await Task.WhenAll(Enumerable.Range(0, 80).Select(number =>
            host.WithToken(number % 2 == 0 ? $"guess-{number}" : Tokens.Make(new() { ["sub"] = $"guess-{number}" }, key: new byte[64])).GetAsync(Api.Path)));

        answers.Count(answer => answer.StatusCode == HttpStatusCode.Unauthorized).Should().BeInRange(20, 41 + (int)watch.Elapsed.TotalSeconds); // twice the burst where a busy machine counts the share anew
        foreach (var refused in answers.Where(answer => answer.StatusCode != HttpStatusCode.Unauthorized))
            await refused.ShouldBeProblemAsync(429);
        using var user = await host.Client("user").GetAsync(Api.Path);
        user.StatusCode.Should().Be(HttpStatusCode.OK);
    }

    //#endif
    [Fact]
    [Trait("Readiness", "46")]
    public async Task Short_of_memory_the_service_takes_on_nothing_more_until_that_is_over()
    {
        await using var host = await TestHost.StartAsync(services => services.AddSingleton<MemoryPressure, Memory>());
        var answer = new HttpResponseMessage();
        Task BecomesAsync(HttpStatusCode status) =>
            Testing.EventuallyAsync(async () => (answer = await host.Client("u").GetAsync(Api.Path)).StatusCode == status, $"the answer is {status}");
        await BecomesAsync(HttpStatusCode.OK);

        Memory.High = true;
        await BecomesAsync(HttpStatusCode.ServiceUnavailable);
        await answer.ShouldBeProblemAsync(503);
        answer.Headers.RetryAfter.Should().NotBeNull();
        foreach (var path in (string[])["/health/live", "/health/ready", "/metrics"])
        {
            (await host.Client().GetAsync(path)).StatusCode.Should().Be(HttpStatusCode.OK, path);
        }
        Memory.High = false;
        await BecomesAsync(HttpStatusCode.OK);
        host.Log.Entries.Should().ContainSingle(entry => entry.Message.Contains("Short of memory", StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Readiness", "28")]
    public async Task A_service_that_is_full_says_so_and_its_probes_answer()
    {
        var gate = new TaskCompletionSource();
        await using var host = await TestHost.StartAsync(services => services.HookReads(_ => gate.Task), settings: ("Limits:ConcurrentRequests", "1"));

        var requests = Enumerable.Range(0, 3).Select(_ => host.Client("u").GetAsync(Api.Hooked.First().Data)).ToList(); // one is worked on, none waits
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
    [MemberData(nameof(Api.Hooked), MemberType = typeof(Api))]
    [Trait("Readiness", "13")]
    public async Task Work_that_takes_too_long_is_cancelled_and_the_caller_told(string path)
    {
        var cancelled = new TaskCompletionSource();
        await using var host = await TestHost.StartAsync(services => services.HookReads(token => UntilCancelledAsync(cancelled, token)), settings: ("Limits:RequestSeconds", "0.5"));

        using var answer = await host.Client("u").GetAsync(path);

        await answer.ShouldBeProblemAsync(504);
        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(30));
        host.Log.Entries.Should().NotContain(entry => entry.Level >= LogLevel.Error);
    }

    [Theory]
    [MemberData(nameof(Api.Hooked), MemberType = typeof(Api))]
    [Trait("Readiness", "12")]
    public async Task Work_for_a_caller_who_went_away_is_cancelled_and_no_error(string path)
    {
        var (started, cancelled) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var host = await TestHost.StartAsync(services => services.HookReads(token =>
        {
            started.TrySetResult();
            return UntilCancelledAsync(cancelled, token);
        }));
        using var leave = new CancellationTokenSource();

        var request = host.Client("u").GetAsync(path, leave.Token);
        await started.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await leave.CancelAsync();

        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await request.Awaiting(each => each).Should().ThrowAsync<OperationCanceledException>();
        await Testing.EventuallyAsync(() => host.Log.Entries.Any(entry => entry.Category == "Storefront.Access" && entry.Message.Contains(" 499 ", StringComparison.Ordinal)), "the request is logged");
        host.Log.Entries.Should().NotContain(entry => entry.Level >= LogLevel.Warning && entry.Category != "Storefront");
    }

    [Theory]
    [InlineData("GET " + Api.Path + " HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "x")]
    [InlineData("POST /test/body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n", " ")]
    [Trait("Readiness", "13")]
    public async Task What_is_sent_slowly_is_cut_off(string beginning, string more)
    {
        await using var stream = await shared.Host.ConnectAsync();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(beginning));
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

    private sealed class Memory(ILogger<MemoryPressure> logger) : MemoryPressure(logger)
    {
        public static volatile bool High;

        protected override bool Measure() => High;
    }
}
