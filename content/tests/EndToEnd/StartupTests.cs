using System.Net;
//#if (jobs != "none")
using System.Net.Http.Json;
//#endif
using System.Net.Sockets;
//#if (jobs != "none")
using System.Text.Json;
//#endif

namespace EndToEnd;

public sealed class StartupTests
{
    //#if (auth == "jwt")
    private const string Bearer = "Authentication__Schemes__Bearer__";

    //#endif
    [Theory, Trait("Readiness", "29")]
    [InlineData("ConnectionStrings__Database")]
    //#if (database == "both")
    [InlineData("ConnectionStrings__Database=Data Source=changeme")]
    //#endif
    [InlineData("ConnectionStrings__Database=Server=s3cret")]
    //#if (sample)
    [InlineData("Payments__BaseUrl")]
    [InlineData("Payments__BaseUrl=http://s3cret.internal")]
    [InlineData("Payments__BaseUrl=https://payments.example.com")]
    [InlineData("Payments__TimeoutSeconds=1")]
    //#endif
    //#if (auth == "jwt")
    [InlineData(Bearer + "Authority")]
    [InlineData(Bearer + "Authority=http://s3cret.internal")]
    [InlineData(Bearer + "Authority=https://your-issuer")]
    [InlineData(Bearer + "ValidAudiences__0")]
    [InlineData(Bearer + "ValidAudiences__0=changeme")]
    [InlineData(Bearer + "SigningKeys__0__Value=s3cret")]
    //#endif
    [InlineData("AllowedHosts=")]
    [InlineData("AllowedHosts=*")]
    [InlineData("AllowedHosts=s3cret;0.0.0.0")]
    [InlineData("Kestrel__Certificates__Default__Path")]
    [InlineData("Kestrel__Certificates__Default__Path=/nowhere/s3cret.pem")]
    [InlineData("Kestrel__Certificates__Default__Path=appsettings.json")]
    [InlineData("Management__Port=s3cret")]
    //#if (jobs != "none")
    [InlineData("Process__Roles=api,s3cret")]
    [InlineData("Jobs__MaxAttempts=0")]
    [InlineData("Jobs__MaxAttempts=abc")]
    [InlineData("Jobs__MaxAttempts=s3cret:abc")]
    //#endif
    [InlineData("Limits__BodyBytes=1")]
    [InlineData("Proxy__TrustedNetworks__0=s3cret")]
    //#if (cache == "redis")
    [InlineData("ConnectionStrings__Redis=redis://s3cret:6379")]
    [InlineData("ConnectionStrings__Redis=password=s3cret")]
    [InlineData("ConnectionStrings__Redis=redis:6379,s3cret=1")]
    [InlineData("ConnectionStrings__Redis=redis:6379,ssl=s3cret")]
    //#endif
    public async Task Production_with_a_setting_missing_or_wrong_does_not_start(string setting)
    {
        await using var site = await Site.CreateAsync();

        await site.RefusesAsync(setting, setting.Split('=')[0].Split("__0")[0]);
    }

    [Theory, Trait("Readiness", "21"), Trait("Readiness", "29")]
    [InlineData("ConnectionStrings__Database=Host=192.0.2.1;Password=s3cret", "SSL Mode=VerifyFull")]
    [InlineData("ConnectionStrings__Database=Host=127.0.0.1:1,s3cret.internal:1;SSL Mode=VerifyCA", "SSL Mode=VerifyFull")]
    //#if (cache == "redis")
    [InlineData("ConnectionStrings__Redis=192.0.2.1:6379,password=s3cret", "ssl=true")]
    [InlineData("ConnectionStrings__Redis=127.0.0.1:6379,s3cret.internal:6379", "ssl=true")]
    //#endif
    //#if (jobs == "rabbitmq")
    [InlineData("ConnectionStrings__RabbitMq=amqp://app:s3cret@192.0.2.1", "amqps://")]
    //#endif
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://192.0.2.1:4317", "https://")]
    [InlineData("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://s3cret.internal:4317", "https://")]
    public async Task A_connection_off_the_machine_that_is_not_verified_is_refused(string setting, string remedy)
    {
        await using var site = await Site.CreateAsync();
        var key = setting.Split('=')[0];
        var (start, end) = ($"Setting {key} leaves this machine without TLS that verifies the server: ", $"{remedy}, or set Tls__Mesh=true");

        await using var service = site.Start([], setting);

        (await service.ExitAsync()).Should().NotBe(0);
        var crash = service.Log.Should().ContainSingle("a password is not sent before").Subject;
        crash.Text("message").Should().StartWith(start).And.Contain(end);
        string.Concat(service.Lines).Should().NotContain("s3cret");
    }

    [Theory, Trait("Readiness", "21")]
    [InlineData("migrate")]
    //#if (jobs != "none")
    [InlineData("jobs")]
    //#endif
    public async Task Nor_does_a_verb_use_one(string verb)
    {
        await using var site = await Site.CreateAsync();

        await site.RefusesAsync("ConnectionStrings__Database=Host=192.0.2.1;Password=s3cret", "SSL Mode=VerifyFull", verb);
    }

    [Fact, Trait("Readiness", "21")]
    public async Task One_switch_says_that_a_mesh_encrypts_and_a_warning_repeats_what_it_is_trusted_with()
    {
        await using var site = await Site.CreateAsync();

        await using var service = await site.ServeAsync(
            //#if (cache == "redis")
            "ConnectionStrings__Redis=192.0.2.1",
            //#endif
            //#if (jobs == "rabbitmq")
            "ConnectionStrings__RabbitMq=amqp://shop:s3cret-Quartz-7@192.0.2.1",
            //#endif
            "Tls__Mesh=true", "ConnectionStrings__Database=Host=192.0.2.1;Password=s3cret-Quartz-7;Timeout=1", "OTEL_EXPORTER_OTLP_ENDPOINT=http://192.0.2.1");

        service.Log.Should().ContainSingle(line => line.Is("Trusting")).Which.Text("message").Should()
            .EndWith("ConnectionStrings__Database, ConnectionStrings__Redis, ConnectionStrings__RabbitMq, OTEL_EXPORTER_OTLP_ENDPOINT");
        string.Concat(service.Lines).Should().NotContain("s3cret");
    }

    [Fact, Trait("Readiness", "21")]
    public async Task What_is_verified_or_stays_on_the_machine_needs_no_switch()
    {
        await using var site = await Site.CreateAsync();

        await using var service = await site.ServeAsync(
            //#if (cache == "redis")
            "ConnectionStrings__Redis=192.0.2.1,ssl=true",
            //#endif
            //#if (jobs == "rabbitmq")
            "ConnectionStrings__RabbitMq=amqp://localhost:1",
            //#endif
            "ConnectionStrings__Database=Host=192.0.2.1;SSL Mode=VerifyFull;Timeout=1");

        service.Log.Should().NotContain(line => line.Is("Trusting"));
    }

    [Fact]
    public async Task Development_is_free_to_use_plain_text()
    {
        await using var site = await Site.CreateAsync();

        await using var service = await site.ServeAsync([.. site.Development, "OTEL_EXPORTER_OTLP_ENDPOINT=http://192.0.2.1"]);

        service.Log.Should().NotContain(line => line.Is("Trusting"));
    }

    [Fact]
    public async Task A_name_that_looks_like_a_note_is_no_placeholder()
    {
        await using var site = await Site.CreateAsync();

        await using var service = await site.ServeAsync(Bearer + "ValidAudiences__0=todo-api", "AllowedHosts=todo.shop.test;127.0.0.1");

        service.Address.Port.Should().BePositive();
    }

    [Fact]
    public async Task With_a_management_port_health_and_metrics_answer_there_and_nowhere_else()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync($"Management__Port={FreePort()}");
        using var http = site.Client(service);
        await service.LineAsync(line => line.Text("message")?.StartsWith("Application started", StringComparison.Ordinal) == true);
        var addresses = service.Log.Where(line => line.Is("ListeningOnAddress")).Select(line => new Uri(line.Text("address")!.Replace("[::]", "127.0.0.1", StringComparison.Ordinal))).ToList();
        addresses.Should().HaveCount(2);

        foreach (var path in (string[])["/health/live", "/health/ready/", "/HEALTH/startup", "/metrics", "/metrics/", Operations.Path])
        {
            var isProbe = !path.StartsWith("/v1", StringComparison.Ordinal);
            (await http.GetAsync(new Uri(addresses[0], path))).StatusCode.Should().Be(isProbe ? HttpStatusCode.NotFound : HttpStatusCode.OK, path);
            (await http.GetAsync(new Uri(addresses[1], path))).StatusCode.Should().Be(isProbe ? HttpStatusCode.OK : HttpStatusCode.NotFound, path);
        }
    }

    private static int FreePort()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    [Fact]
    public async Task A_port_in_use_is_said_in_one_line()
    {
        await using var site = await Site.CreateAsync();
        using var holder = new TcpListener(IPAddress.Loopback, 0);
        holder.Start();

        await site.RefusesAsync($"ASPNETCORE_URLS=https://{holder.LocalEndpoint}", "address already in use");
    }
    //#if (jobs != "none")

    [Fact, Trait("Readiness", "49")]
    public async Task On_an_old_schema_the_service_lives_but_is_ready_only_once_another_process_has_migrated()
    {
        await using var site = await Site.CreateAsync(schema: false);
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);

        using (var live = await http.GetAsync("/health/live"))
        using (var ready = await http.GetAsync("/health/ready"))
        {
            live.StatusCode.Should().Be(HttpStatusCode.OK);
            ready.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
            (await ready.Content.ReadFromJsonAsync<JsonElement>()).Text("detail").Should().Contain(Site.Scripts[0]).And.Contain("migrate");
        }

        (await site.RunAsync(["migrate"])).ExitCode.Should().Be(0);

        await Eventually.TrueAsync(async () => (await http.GetAsync("/health/ready")).IsSuccessStatusCode);
        await http.WorkAsync();
    }
    //#endif
}

internal static class Refusals
{
    /// <summary>The program ends before it listens, with one line that tells the reason and no value, and no stack.</summary>
    public static async Task RefusesAsync(this Site site, string setting, string reason, params string[] arguments)
    {
        await using var service = site.Start(arguments, [.. new[] { setting }.Where(text => text.Length > 0)]);

        (await service.ExitAsync()).Should().NotBe(0);

        var crash = service.Log.Should().ContainSingle(line => line.Text("level") == "Critical").Subject;
        crash.Text("message").Should().Contain(reason);
        crash.Text("exception").Should().BeNull();
        string.Concat(service.Lines).Should().NotContain("s3cret");
        service.Log.Should().NotContain(line => line.Is("ListeningOnAddress"));
    }
}
