using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace EndToEnd.Faults;

/// <summary>A connection string that leads nowhere, or not yet.</summary>
public sealed class AddressFaultTests
{
    [Theory, Trait("Readiness", "33"), Trait("Readiness", "35")]
    [InlineData("Password=s3cret-Quartz-7", "Password=s3cret-wrong", "user or the password")]
    [InlineData("Password=s3cret-Quartz-7", "", "No password")]
    [InlineData("Host=127.0.0.1", "SSL Mode=VerifyFull;Host=no-such-host.invalid", "host that does not exist")]
    [InlineData("Host=127.0.0.1", "SSL Mode=VerifyFull;Host=127.0.0.1", "SSL")]
    [InlineData("Database=postgres", "Database=none", "no database of the name")]
    [InlineData("Port=", "Port=1;Application Name=", "ConnectionRefused")]
    public async Task The_service_lives_is_not_ready_and_says_in_one_line_what_is_wrong(string right, string wrong, string reason)
    {
        await using var site = await Site.CreateAsync(schema: false);
        await using var server = new PostgresServer("s3cret-Quartz-7");
        await server.StartAsync();

        await using var service = await site.ServeAsync("ConnectionStrings__Database=" + server.ConnectionString.Replace(right, wrong, StringComparison.Ordinal));

        using var http = site.Client(service);
        using var live = await http.GetAsync("/health/live");
        using var ready = await http.GetAsync("/health/ready");
        using var call = await http.GetAsync(Operations.Path);
        live.StatusCode.Should().Be(HttpStatusCode.OK);
        ready.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        ready.Content.Headers.ContentType!.MediaType.Should().Be("application/problem+json");
        (await ready.Content.ReadFromJsonAsync<JsonElement>()).Text("detail").Should().StartWith("database:").And.NotContainAny("127.0.0.1", "Password", "Username", "no-such-host");
        call.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        call.Headers.Contains("Retry-After").Should().BeTrue();
        service.Log.Should().ContainSingle(line => line.Is("NotYet")).Which.Text("message").Should().Contain(reason).And.Contain("ConnectionStrings__Database");
        service.Log.Where(line => line.Text("level") is "Error" or "Critical").Should().BeEmpty();
        string.Concat(service.Lines).Should().NotContain("s3cret");
    }

    [Theory]
    [InlineData("Host=127.0.0.1;Colour=s3cret")]
    [InlineData("Host=127.0.0.1;Port=s3cret")]
    [InlineData("Host=127.0.0.1;Password")]
    public async Task A_connection_string_that_cannot_be_read_ends_the_program(string text)
    {
        await using var site = await Site.CreateAsync(schema: false);

        await site.RefusesAsync($"ConnectionStrings__Database={text}", "ConnectionStrings__Database");
        await site.RefusesAsync($"ConnectionStrings__Database={text}", "ConnectionStrings__Database", "migrate");
    }

    [Fact, Trait("Readiness", "35")]
    public async Task The_service_and_its_migration_may_start_before_the_database()
    {
        await using var site = await Site.CreateAsync(schema: false);
        await using var server = new PostgresServer();
        await using var service = await site.ServeAsync($"ConnectionStrings__Database={server.ConnectionString}");
        await using var migration = site.Start(["migrate"], $"ConnectionStrings__Database={server.ConnectionString}");
        await migration.LineAsync(line => line.Text("message")!.StartsWith("The migration waits", StringComparison.Ordinal));
        using var http = site.Client(service);
        (await http.GetAsync("/health/ready")).StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);

        await server.StartAsync();

        await Eventually.TrueAsync(async () => (await http.GetAsync("/health/ready")).IsSuccessStatusCode);
        await http.WorkAsync();
    }

    /// <summary>It waits for 30 s, as long as a server may need to come up.</summary>
    [Fact, Trait("Readiness", "35")]
    public async Task A_migration_without_a_database_ends_in_one_line()
    {
        await using var site = await Site.CreateAsync(schema: false);

        await site.RefusesAsync($"ConnectionStrings__Database={site.Database.ConnectionString};Database=none", "no database of the name", "migrate");
    }
}
