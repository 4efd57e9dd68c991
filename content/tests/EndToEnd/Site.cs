using System.Globalization;
//#if (auth == "jwt")
using System.Net.Http.Headers;
//#endif
using System.Net.Security;
using System.Net.Sockets;
//#if (auth == "jwt")
using System.Security.Cryptography;
//#endif
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Dapper;
//#if (auth == "jwt")
using Microsoft.IdentityModel.Tokens;
//#endif

namespace EndToEnd;

/// <summary>What one test runs the service in: a folder, a database, certificates, an issuer of tokens and a provider.</summary>
internal sealed class Site : IAsyncDisposable
{
    //#if (auth == "jwt")
    public const string Audience = "https://localhost:7443";

    private readonly SymmetricSecurityKey _developmentKey = new(RandomNumberGenerator.GetBytes(32));

    //#endif
    private Site()
    {
        Folder = Directory.CreateTempSubdirectory("storefront-e2e-").FullName;
        Certificates = new Certificates(Folder);
    }

    public string Folder { get; }

    public TestDatabase Database { get; private set; } = null!;

    public Certificates Certificates { get; }

    //#if (auth == "jwt" || jobs != "none")
    public Provider Provider { get; private set; } = null!;

    //#endif
    /// <summary>The migrations of the program, in their order, without those of Development.</summary>
    public static readonly string[] Scripts =
        [.. typeof(Storefront.Controllers.IController).Assembly.GetManifestResourceNames().Where(name => name.EndsWith(".sql", StringComparison.Ordinal) && !name.StartsWith("Development/", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    /// <summary>A command that starts the program which it finds in its arguments.</summary>
    public string[] Launcher { get; set; } = [];

    /// <param name="schema">Whether the database is migrated already.</param>
    public static async Task<Site> CreateAsync(bool schema = true)
    {
        var site = new Site();
        //#if (auth == "jwt" || jobs != "none")
        site.Provider = await Provider.StartAsync(site.Certificates);
        //#endif
        site.Database = await TestDatabase.CreateAsync(schema ? MigrateAsync : null);
        return site;
    }

    /// <summary>Starts the program in Production. A setting is `Key=value`; a key alone takes away the one that is set here.</summary>
    public ServiceProcess Start(string[] arguments, params string[] settings)
    {
        var environment = new Dictionary<string, string>
        {
            ["HOME"] = Folder,
            ["TMPDIR"] = Folder,
            ["SSL_CERT_FILE"] = Certificates.AuthorityFile,
            ["ASPNETCORE_ENVIRONMENT"] = "Production",
            ["ASPNETCORE_URLS"] = "https://127.0.0.1:0",
            ["Kestrel__Certificates__Default__Path"] = Certificates.ServerFile,
            ["Kestrel__Certificates__Default__KeyPath"] = Certificates.KeyFile,
            //#if (auth == "jwt")
            ["Authentication__Schemes__Bearer__Authority"] = Provider.Address,
            ["Authentication__Schemes__Bearer__ValidAudiences__0"] = Audience,
            //#endif
            ["AllowedHosts"] = "127.0.0.1",
            ["Shutdown__DrainSeconds"] = "0",
        };
        foreach (var (key, value) in Database.Settings.Concat(Operations.Settings(Provider)))
            environment[key.Replace(":", "__", StringComparison.Ordinal)] = value;
        foreach (var setting in settings)
        {
            var (key, value) = setting.Split('=', 2) is [var name, var text] ? (name, text) : (setting, null);
            environment.Remove(key);
            if (value is not null)
                environment[key] = value;
        }
        return new ServiceProcess(environment, [.. Launcher, "dotnet", "Storefront.dll", .. arguments]);
    }

    /// <summary>In Development, with no provider, and with keys as `dotnet user-jwts` makes them.</summary>
    public string[] Development =>
    [
        "ASPNETCORE_ENVIRONMENT=Development", .. Operations.ProviderSettings,
        //#if (auth == "jwt")
        "Authentication__Schemes__Bearer__Authority",
        "Authentication__Schemes__Bearer__SigningKeys__0__Issuer=dotnet-user-jwts",
        $"Authentication__Schemes__Bearer__SigningKeys__0__Value={Convert.ToBase64String(_developmentKey.Key)}",
        //#endif
    ];

    //#if (auth == "jwt")
    public string DevelopmentToken(string subject) => Provider.Token(subject, "dotnet-user-jwts", new SigningCredentials(_developmentKey, SecurityAlgorithms.HmacSha256));

    //#endif
    /// <summary>Starts the service and waits until it listens.</summary>
    public async Task<ServiceProcess> ServeAsync(params string[] settings)
    {
        var service = Start([], settings);
        await service.ListenAsync();
        return service;
    }

    /// <summary>Runs the program to its end.</summary>
    public async Task<(int ExitCode, string Output)> RunAsync(string[] arguments, params string[] settings)
    {
        await using var process = Start(arguments, settings);
        var exitCode = await process.ExitAsync();
        return (exitCode, string.Join('\n', process.Lines));
    }

    //#if (auth == "jwt")
    /// <param name="token">That of the user ann where none is given.</param>
    //#endif
    public HttpClient Client(ServiceProcess service, string? token = null)
    {
        var http = new HttpClient(new SocketsHttpHandler { SslOptions = Certificates.Client(), ActivityHeadersPropagator = null }) { BaseAddress = service.Address };
        //#if (auth == "jwt")
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token ?? Provider.Token("ann"));
        //#endif
        return http;
    }

    /// <summary>A connection that shows each byte.</summary>
    public async Task<SslStream> ConnectAsync(ServiceProcess service)
    {
        var tcp = new TcpClient();
        await tcp.ConnectAsync(service.Address.Host, service.Address.Port);
        var tls = new SslStream(tcp.GetStream());
        await tls.AuthenticateAsClientAsync(Certificates.Client());
        return tls;
    }

    public async Task<IReadOnlyList<T>> QueryAsync<T>(string sql)
    {
        await using var connection = await Database.OpenAsync();
        return (await connection.QueryAsync<T>(sql)).AsList();
    }

    public async Task<T> ValueAsync<T>(string sql) => (await QueryAsync<T>(sql)).Single();

    public async Task ExecuteAsync(string sql, object? parameters = null)
    {
        await using var connection = await Database.OpenAsync();
        await connection.ExecuteAsync(sql, parameters);
    }

    //#if (jobs != "none")
    public Task AddJobAsync(string id, string type) =>
        ExecuteAsync("INSERT INTO outbox (id, type, body, available_at, created_at) VALUES (@id, @type, @body, 0, 0)", new { id, type, body = "{}"u8.ToArray() });

    //#endif
    public async ValueTask DisposeAsync()
    {
        await Database.DisposeAsync();
        //#if (auth == "jwt" || jobs != "none")
        await Provider.DisposeAsync();
        //#endif
        Certificates.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private static async Task MigrateAsync(TestDatabase database)
    {
        await using var site = await CreateAsync(schema: false);
        (await site.RunAsync(["migrate"], $"ConnectionStrings__Database={database.ConnectionString}")).ExitCode.Should().Be(0);
    }
}

internal static class Calls
{
    public static Task SendAsync(this Stream stream, string text) => stream.WriteAsync(Encoding.Latin1.GetBytes(text)).AsTask();

    /// <summary>The sum of a metric over its series, of those with the text in their labels.</summary>
    public static async Task<double> MetricAsync(this HttpClient http, string name, string label = "") =>
        Regex.Matches(await http.GetStringAsync("/metrics"), $@"^{name}(\{{.*\}})? ([0-9.]+)", RegexOptions.Multiline)
            .Where(line => line.Groups[1].Value.Contains(label, StringComparison.Ordinal)).Sum(line => double.Parse(line.Groups[2].Value, CultureInfo.InvariantCulture));

    /// <summary>What comes up to the given end, or all where the other side closes first.</summary>
    public static async Task<string> ReceiveAsync(this Stream stream, string end)
    {
        using var deadline = new CancellationTokenSource(Eventually.Deadline);
        var (text, one) = (new StringBuilder(), new byte[1]);
        while (!text.ToString().EndsWith(end, StringComparison.Ordinal) && await stream.ReadAsync(one, deadline.Token) == 1)
        {
            text.Append((char)one[0]);
        }
        return text.ToString();
    }
}

internal static class CheckVerb
{
    public static async Task<(int ExitCode, string Output)> RunCheckAsync(this Site site, string[] options, params string[] settings) =>
        await site.RunAsync(["check", .. options], [$"ConnectionStrings__Database={await site.Database.RunnerAsync()}", .. settings]);

    /// <summary>The result of each item.</summary>
    public static async Task<IReadOnlyDictionary<string, string>> CheckAsync(this Site site, params string[] settings)
    {
        var (exitCode, output) = await site.RunCheckAsync(["--json"], settings);
        output.Should().NotContain("s3cret");
        var items = JsonElement.Parse(output).EnumerateArray().ToDictionary(item => item.Text("item")!, item => item.Text("result")!);
        items.Values.Should().OnlyContain(result => result == "pass" || result == "fail" || result == "not applicable");
        exitCode.Should().Be(items.ContainsValue("fail") ? 1 : 0, output);
        JsonElement.Parse(output).EnumerateArray().Should().OnlyContain(item => item.Text("reason")!.Length > 0).And.NotContain(item => item.Text("reason")!.Contains("   at ", StringComparison.Ordinal));
        return items;
    }

    public static async Task FailsAsync(this Site site, string items, params string[] settings)
    {
        var results = await site.CheckAsync(settings);
        results.Where(item => item.Value == "fail").Select(item => item.Key).Should().Equal(items.Split(", "));
    }
}
