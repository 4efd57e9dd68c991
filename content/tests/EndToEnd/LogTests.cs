using System.Globalization;
using System.Net;
using System.Text.Json;

namespace EndToEnd;

public sealed class LogTests
{
    [Fact, Trait("Readiness", "54")]
    public async Task Each_line_from_start_to_end_is_one_JSON_object_in_UTC_with_level_service_and_version()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        await http.WorkAsync();
        //#if (jobs != "none")
        await site.DoneAsync(await site.BeginAsync(http));
        //#endif
        service.Terminate();
        (await service.ExitAsync()).Should().Be(0);

        service.Lines.Should().HaveCountGreaterThan(5);
        foreach (var line in service.Log)
        {
            DateTimeOffset.ParseExact(line.Text("timestamp")!, "yyyy-MM-ddTHH:mm:ss.FFFFFFFK", CultureInfo.InvariantCulture).Offset.Should().Be(TimeSpan.Zero);
            line.Text("timestamp").Should().EndWith("Z");
            line.Text("level").Should().BeOneOf("Information", "Warning");
            line.Text("message").Should().NotBeNullOrEmpty();
            line.Text("service").Should().Be("Storefront");
            line.Text("version").Should().MatchRegex(@"^\d+\.\d+\.\d+$");
        }
    }

    [Fact, Trait("Readiness", "55")]
    public async Task A_request_is_one_line_with_route_template_status_time_user_and_the_callers_trace()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        var trace = Guid.NewGuid().ToString("N");
        http.DefaultRequestHeaders.Add("traceparent", $"00-{trace}-00f067aa0ba902b7-01");

        await http.GetAsync("/health/live");
        await http.GetAsync(Operations.Path + "?q=1");

        var line = await service.LineAsync(line => line.Is("Request"));
        line.Text("method").Should().Be("GET");
        line.Text("route")!.TrimEnd('/').Should().Be(Operations.Path);
        line.GetProperty("status").GetInt32().Should().Be(200);
        line.GetProperty("milliseconds").GetDouble().Should().BePositive();
        //#if (auth == "jwt")
        line.Text("userId").Should().Be("ann");
        //#endif
        line.Text("client").Should().Be("127.0.0.1");
        line.Text("traceId").Should().Be(trace);
        service.Log.Count(line => line.Is("Request")).Should().Be(1, "probes are not logged");
        service.Lines.Should().NotContain(text => text.Contains("q=1", StringComparison.Ordinal) || text.Contains("requestPath", StringComparison.Ordinal));
    }

    //#if (sample)
    [Fact, Trait("Readiness", "54")]
    public async Task Every_line_of_a_request_says_whose_it_is_and_which()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);

        await http.GetAsync($"/v1/orders/{Guid.NewGuid()}");

        await service.LineAsync(line => line.Is("Request"));
        var lines = service.Log.Where(line => line.Is("Refused") || line.Is("Request")).ToList();
        lines.Should().HaveCount(2).And.OnlyContain(line => line.Text("userId") == "ann" && line.Text("instance") == Environment.MachineName);
        lines.Select(line => (line.Text("traceId"), line.Text("spanId"), line.Text("requestId"))).Distinct().Should().ContainSingle().Which.Item3.Should().NotBeNullOrEmpty();
    }

    //#endif
    [Fact, Trait("Readiness", "54")]
    public async Task Lines_of_requests_at_once_are_whole_and_none_is_missing()
    {
        const int Requests = 200;
        await using var site = await Site.CreateAsync();
        site.Launcher = ["bash", "-c", "exec \"$@\" > >(dd bs=4 2> /dev/null)", "bash"]; // a slow reader, so that a line waits within itself
        await using var service = await site.ServeAsync("Limits__RequestsPerSecond=1000", "Limits__Burst=1000");
        using var http = site.Client(service, site.Provider.Token(new string('a', 3000))); // longer than a pipe takes at once

        await Parallel.ForAsync(0, Requests, new ParallelOptions { MaxDegreeOfParallelism = 32 }, async (_, stop) => (await http.GetAsync(Operations.Path, stop)).EnsureSuccessStatusCode());
        service.Terminate();
        await service.ExitAsync();

        service.Log.Where(line => line.Is("Request")).Select(line => line.Text("requestId")).Distinct().Should().HaveCount(Requests);
    }

    [Fact, Trait("Readiness", "54")]
    public async Task A_full_disk_under_the_log_is_no_fault_of_the_service()
    {
        await using var site = await Site.CreateAsync(schema: false);
        site.Launcher = ["sh", "-c", "exec \"$@\" > /dev/full", "sh"];

        (await site.RunAsync([], "Limits__Burst=many")).Should().Be((1, ""), "it ends for the setting, in its own way");
    }

    [Fact, Trait("Readiness", "54")]
    public async Task What_is_logged_can_be_changed_without_a_restart()
    {
        await using var site = await Site.CreateAsync();
        var settings = Path.Combine(site.Folder, "appsettings.json");
        File.Copy(Path.Combine(AppContext.BaseDirectory, "appsettings.json"), settings);
        await using var service = await site.ServeAsync($"ASPNETCORE_CONTENTROOT={site.Folder}");
        using var http = site.Client(service);
        await http.GetAsync(Operations.Path);
        service.Log.Should().NotContain(line => line.Text("level") == "Debug");

        await File.WriteAllTextAsync(settings, (await File.ReadAllTextAsync(settings)).Replace("\"Microsoft.AspNetCore\": \"Warning\"", "\"Microsoft.AspNetCore\": \"Debug\"", StringComparison.Ordinal));

        await Eventually.TrueAsync(async () => (await http.GetAsync(Operations.Path)).IsSuccessStatusCode && service.Log.Any(line => line.Text("level") == "Debug"));
    }

    /// <summary>The fault comes from <see cref="StartupHook"/>, which the runtime loads into the service.</summary>
    [Fact, Trait("Readiness", "54")]
    public async Task A_fault_where_nobody_waits_is_a_line_with_its_stack_and_one_of_a_thread_ends_the_process()
    {
        await using var site = await Site.CreateAsync();
        var signal = Path.Combine(site.Folder, "signal");
        await using var service = await site.ServeAsync($"DOTNET_STARTUP_HOOKS={typeof(LogTests).Assembly.Location}", $"{StartupHook.Signal}={signal}");

        await File.WriteAllTextAsync(signal, "task");
        var dropped = await service.LineAsync(line => line.Is("Dropped"));
        await File.WriteAllTextAsync(signal, "thread");
        var crash = await service.LineAsync(line => line.Is("Crash"));

        (dropped.Text("level"), crash.Text("level")).Should().Be(("Error", "Critical"));
        dropped.Text("exception").Should().Contain("of a task").And.Contain(nameof(StartupHook));
        crash.Text("exception").Should().Contain("of a thread").And.Contain(nameof(StartupHook));
        (await service.EndAsync()).Should().NotBe(0);
    }

    //#if (jobs != "none")
    /// <summary>Over the outbox and, where there is one, the broker.</summary>
    [Fact, Trait("Readiness", "55")]
    public async Task A_job_goes_on_in_the_trace_of_the_request_that_made_it()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = Provider.Fail;
        await using var service = await site.ServeAsync("Jobs__MaxAttempts=2", "Jobs__BackoffSeconds=0.05");
        using var http = site.Client(service);
        var trace = Guid.NewGuid().ToString("N");
        http.DefaultRequestHeaders.Add("traceparent", $"00-{trace}-00f067aa0ba902b7-01");

        await site.BeginAsync(http);

        (await service.LineAsync(line => line.Is("Failed"))).Text("traceId").Should().Be(trace);
        (await service.LineAsync(line => line.Is("Died"))).Text("traceId").Should().Be(trace);
    }

    //#endif
    [Fact, Trait("Readiness", "32")]
    public async Task Nothing_that_callers_send_ends_a_line_or_begins_another()
    {
        const string Forged = "\r\n{\"event\":\"Forged\"}\n\u001b[31m\u2028\"'\\";
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("Proxy__TrustedNetworks__0=127.0.0.0/8");
        using var http = site.Client(service, site.Provider.Token("eve" + Forged));
        var escaped = Uri.EscapeDataString(Forged);

        await http.GetAsync($"{Operations.Path}/{escaped}?after={escaped}&{escaped}=1");
        await http.GetAsync($"/{escaped}");
        await http.PutAsync(Operations.Path, new StringContent(JsonSerializer.Serialize(new Dictionary<string, string> { ["name" + Forged] = Forged }), new System.Net.Http.Headers.MediaTypeHeaderValue("application/json")));
        await using (var wire = await site.ConnectAsync(service))
        {
            await wire.SendAsync("GET " + Operations.Path + "?q=%00 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \"}\u001b[31m\r\nUser-Agent: {\"event\":\"Forged\"}\u001b[31m\r\n"
                + "X-Forwarded-For: \"}{\"event\":\"Forged\"}\r\ntraceparent: 00-\"}{\r\nConnection: close\r\n\r\n");
            (await wire.ReceiveAsync("\r\n")).Should().StartWith("HTTP/1.1 4");
        }
        //#if (jobs != "none")
        await site.AddJobAsync("1", "no\r\n{\"event\":\"Forged\"}");
        //#endif

        //#if (jobs != "none")
        (await service.LineAsync(line => line.Is("Died"))).Text("jobType").Should().Be("no\r\n{\"event\":\"Forged\"}");
        //#endif
        //#if (auth == "jwt")
        (await service.LineAsync(line => line.Is("Request"))).Text("userId").Should().Be("eve" + Forged);
        //#endif
        await Eventually.TrueAsync(() => service.Log.Count(line => line.Is("Request")) == 4);
        service.Log.Should().OnlyContain(line => line.ValueKind == JsonValueKind.Object && line.Text("event") != "Forged");
        string.Concat(service.Lines).Should().NotContain("\u001b");
    }

    [Theory, Trait("Readiness", "22")]
    [InlineData("", "127.0.0.1")]
    [InlineData("Proxy__TrustedNetworks__0=10.0.0.0/8", "127.0.0.1")]
    [InlineData("Proxy__TrustedNetworks__0=127.0.0.0/8", "6.6.6.6")]
    public async Task A_forwarded_address_counts_from_a_trusted_network_alone(string setting, string client)
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync([.. new[] { setting }.Where(text => text.Length > 0), "ASPNETCORE_FORWARDEDHEADERS_ENABLED=true"]);
        using var http = site.Client(service);
        http.DefaultRequestHeaders.Add("X-Forwarded-For", "6.6.6.6");

        using var answer = await http.GetAsync(Operations.Path);

        answer.StatusCode.Should().Be(HttpStatusCode.OK);
        (await service.LineAsync(line => line.Is("Request"))).Text("client").Should().Be(client);
    }
}
