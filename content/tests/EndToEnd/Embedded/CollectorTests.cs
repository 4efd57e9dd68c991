using System.Net;
using Microsoft.AspNetCore.Http;

namespace EndToEnd.Embedded;

public sealed class CollectorTests
{
    [Theory, Trait("Readiness", "57")]
    [InlineData("refuses")]
    [InlineData("hangs")]
    [InlineData("is not there")]
    public async Task A_collector_that_fails_costs_no_answer_and_no_memory(string how)
    {
        await using var site = await Site.CreateAsync();
        await using var collector = await Collector.StartAsync();
        collector.Answering = how == "hangs" ? http => Task.Delay(Timeout.Infinite, http.RequestAborted) : http => Task.FromResult(http.Response.StatusCode = StatusCodes.Status503ServiceUnavailable);
        await using var service = await site.ServeAsync([.. collector.Settings, .. how == "is not there" ? ["OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"] : Array.Empty<string>(), "Limits__RequestsPerSecond=1000000", "Limits__Burst=1000000"]);
        using var http = site.Client(service);
        await AskAsync(2000); // fills the queues of what waits to be sent
        var before = service.ResidentSize;

        await AskAsync(20_000);

        (service.ResidentSize - before).Should().BeLessThan(60 * 1024, "a span and a line for each would take more");
        (how == "is not there" || !collector.Received.IsEmpty).Should().BeTrue("else nothing was tried");
        service.Terminate();
        (await service.ExitAsync()).Should().Be(0);

        async Task AskAsync(int count) => await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (_, cancellation) =>
            (await http.GetAsync(Operations.Path, cancellation)).StatusCode.Should().Be(HttpStatusCode.OK));
    }
}
