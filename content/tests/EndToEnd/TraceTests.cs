namespace EndToEnd;

public sealed class TraceTests
{
    /// <summary>Over HTTP, the outbox, the broker and SQL where they are servers, the provider, and what follows.</summary>
    [Fact, Trait("Readiness", "55")]
    public async Task A_request_and_all_that_follows_from_it_are_one_trace()
    {
        const string Caller = "00f067aa0ba902b7";
        await using var site = await Site.CreateAsync();
        await using var collector = await Collector.StartAsync();
        await using var service = await site.ServeAsync(collector.Settings);
        using var http = site.Client(service);
        await site.DoneAsync(await site.BeginAsync(http));
        var trace = Guid.NewGuid().ToString("N");
        http.DefaultRequestHeaders.Add("traceparent", $"00-{trace}-{Caller}-01");
        var key = await site.BeginAsync(http);
        http.DefaultRequestHeaders.Remove("traceparent");
        //#if (jobs != "none")
        await site.DoneAsync(key);
        //#endif

        await Eventually.TrueAsync(() => Operations.Spans.All(Names().Contains));

        if (TestDatabase.IsServer)
            Sources().Should().Contain("Npgsql");
        //#if (jobs == "rabbitmq")
        if (site.Database.Settings.Any(setting => setting.Key == "ConnectionStrings:RabbitMq"))
            Sources().Should().Contain("Storefront.JobBroker");
        //#endif
        var all = Spans();
        all.Select(span => span.Parent).Should().BeSubsetOf([Caller, .. all.Select(span => span.Id)], "each span has its parent in the trace");
        //#if (jobs != "none")
        all.Single(span => span.Name == "POST").Parent.Should().Be(all.Single(span => span.Name == Operations.Job).Id, "the call of the provider belongs to the job");
        //#endif
        service.Log.Where(line => line.Text("traceId") == trace && line.Is("Request")).Should().ContainSingle();
        collector.Spans.Should().OnlyContain(span => span.Parent.Length > 0 || span.Name.Contains(" /", StringComparison.Ordinal), "what nobody asked for is no trace");

        List<Span> Spans() => [.. collector.Spans.Where(span => span.Trace == trace)];
        IEnumerable<string> Names() => Spans().Select(span => span.Name);
        IEnumerable<string> Sources() => Spans().Select(span => span.Source);
    }

    [Theory, Trait("Readiness", "55")]
    [InlineData("OTEL_TRACES_SAMPLER=always_off", false)]
    [InlineData("OTEL_TRACES_SAMPLER=always_on", true)]
    public async Task How_much_is_traced_is_a_setting(string sampler, bool traced)
    {
        await using var site = await Site.CreateAsync();
        await using var collector = await Collector.StartAsync();
        await using var service = await site.ServeAsync([.. collector.Settings, sampler]);
        using var http = site.Client(service);

        await http.GetAsync(Operations.Path);
        service.Terminate();
        await service.ExitAsync();

        collector.Spans.Any().Should().Be(traced);
        collector.Texts("/v1/logs").Should().NotBeEmpty("the rest is exported still");
    }
}
