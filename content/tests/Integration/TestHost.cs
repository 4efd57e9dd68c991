using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Dapper;
//#if (auth == "jwt")
using Microsoft.AspNetCore.Authorization;
//#endif
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;

[assembly: AssemblyFixture(typeof(Integration.SharedHost))]

namespace Integration;

/// <summary>
/// The service as Program.cs builds it, in this process: Kestrel with HTTPS on a free port, a database of its own, its log
/// in memory. Settings are those of Development unless a test gives others.
/// </summary>
public sealed class TestHost : IAsyncDisposable
{
    private readonly Factory _factory;
    private readonly HttpMessageHandler _handler = new SocketsHttpHandler
    {
        SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = AnyCertificate },
        UseCookies = false,
        AllowAutoRedirect = false,
        Expect100ContinueTimeout = TimeSpan.FromSeconds(30), // who asks before a large body waits for the answer, however busy the machine is
    };

    private readonly bool _ownsDatabase;

    private TestHost(Factory factory, TestDatabase database, bool ownsDatabase, LogSink log) => (_factory, Database, _ownsDatabase, Log) = (factory, database, ownsDatabase, log);

    public TestDatabase Database { get; }

    public LogSink Log { get; }

    public IServiceProvider Services => _factory.Services;

    public Uri Address { get; private set; } = null!;

    /// <param name="shared">The database of another host, of which this one is a second instance.</param>
    public static async Task<TestHost> StartAsync(
        Action<IServiceCollection>? services = null, string environment = "Development", TestDatabase? shared = null, params (string Key, string Value)[] settings)
    {
        var (database, log) = (shared ?? await TestDatabase.CreateAsync(), new LogSink());
        var factory = new Factory(environment, database, log, services, settings);
        var host = new TestHost(factory, database, shared is null, log);
        factory.UseKestrel();
        await Task.Run(factory.StartServer);
        host.Address = new Uri(host.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        return host;
    }

    //#if (auth == "jwt")
    /// <summary>A client with a token for the user, or with none.</summary>
    public HttpClient Client(string? user = null, params object[] scopes) => WithToken(user is null ? null : Tokens.Of(user, scopes));

    public HttpClient WithToken(string? token)
    {
        var client = new HttpClient(_handler, disposeHandler: false) { BaseAddress = Address, Timeout = TimeSpan.FromSeconds(60) };
        if (token is not null)
        {
            client.DefaultRequestHeaders.Authorization = new("Bearer", token);
        }
        return client;
    }
    ////#else
    //// Each caller that has a name has an address of its own: the limits tell callers apart by it.
    //public HttpClient Client(string? caller = null)
    //{
    //    var client = new HttpClient(_handler, disposeHandler: false) { BaseAddress = Address, Timeout = TimeSpan.FromSeconds(60) };
    //    if (caller is not null)
    //    {
    //        client.DefaultRequestHeaders.Add("X-Forwarded-For", $"{new System.Net.IPAddress((uint)caller.GetHashCode(StringComparison.Ordinal))}");
    //    }
    //    return client;
    //}
    //#endif

    /// <summary>A connection of bytes, for what no HTTP client would send.</summary>
    public async Task<SslStream> ConnectAsync()
    {
        var tcp = new TcpClient();
        await tcp.ConnectAsync(Address.Host, Address.Port);
        var stream = new SslStream(tcp.GetStream(), leaveInnerStreamOpen: false, AnyCertificate);
        await stream.AuthenticateAsClientAsync(Address.Host);
        return stream;
    }

    public async ValueTask DisposeAsync()
    {
        await _factory.DisposeAsync();
        _handler.Dispose();
        if (_ownsDatabase)
        {
            await Database.DisposeAsync();
        }
    }

    /// <summary>Without a development certificate the service makes its own, which nobody trusts.</summary>
    private static bool AnyCertificate(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors) => certificate is not null;

    private sealed class Factory(string environment, TestDatabase database, LogSink log, Action<IServiceCollection>? services, (string Key, string Value)[] settings)
        : WebApplicationFactory<Program>
    {
        protected override void ConfigureWebHost(IWebHostBuilder builder)
        {
            builder.UseEnvironment(environment);
            (string, string)[] defaults =
            [
                ("urls", "https://127.0.0.1:0"),
                .. database.Settings,
                ("Limits:RequestsPerSecond", "1000000"),
                ("Limits:Burst", "1000000"),
                ("Limits:ConcurrentRequests", "10000"),
                //#if (auth == "jwt")
                .. environment == "Development"
                    ? [($"{Tokens.Settings}:0:Issuer", Tokens.Issuer), ($"{Tokens.Settings}:0:Value", Convert.ToBase64String(Tokens.Key))]
                    : Array.Empty<(string, string)>(),
                ////#else
                //("Proxy:TrustedNetworks:0", "127.0.0.0/8"),
                //#endif
                .. settings,
            ];
            foreach (var (key, value) in defaults)
            {
                builder.UseSetting(key, value);
            }
            builder.ConfigureTestServices(collection =>
            {
                collection.Remove(collection.Single(service => service.ImplementationInstance?.GetType().Name == "JsonLines"));
                collection.AddSingleton<ILoggerProvider>(log);
                collection.AddSingleton<IStartupFilter, TestEndpoints>();
                // A host shows its own figures, and none of the tests beside it: those fall when such a test ends.
                collection.ConfigureOpenTelemetryMeterProvider((provider, metrics) => metrics.AddView(
                    instrument => instrument.Meter.Scope is IMeterFactory owner && owner != provider.GetRequiredService<IMeterFactory>() ? MetricStreamConfiguration.Drop : null));
                services?.Invoke(collection);
            });
        }
    }
}

/// <summary>One host for all tests that need no settings of their own.</summary>
public sealed class SharedHost : IAsyncLifetime
{
    public TestHost Host { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Host = await TestHost.StartAsync(
        services => services.AddTestEndpoints()
            //#if (auth == "jwt")
            .AddTestEndpoint("/test/without-policy", http => http.Response.WriteAsync("open"))
            .AddTestEndpoint("/test/open-in-a-guarded-group", http => http.Response.WriteAsync("open"), new AuthorizeAttribute(), new AllowAnonymousAttribute())
            //#endif
            .AddTestEndpoint("/test/body", http => http.Request.Body.CopyToAsync(Stream.Null, http.RequestAborted), new AllowAnonymousAttribute()),
        settings: Api.Patient);

    public ValueTask DisposeAsync() => Host.DisposeAsync();
}

/// <summary>Endpoints that only tests have. They are chosen before routing, which leaves a chosen endpoint alone; all else is as for any other.</summary>
internal sealed class TestEndpoints(IEnumerable<RouteEndpoint> endpoints) : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use((http, rest) =>
        {
            if (endpoints.FirstOrDefault(endpoint => http.Request.Path == endpoint.RoutePattern.RawText) is { } chosen)
            {
                http.SetEndpoint(chosen);
            }
            return rest(http);
        });
        next(app);
    };
}

internal static class Testing
{
    public static IServiceCollection AddTestEndpoint(this IServiceCollection services, string path, RequestDelegate handler, params object[] metadata) =>
        services.AddSingleton(new RouteEndpoint(handler, RoutePatternFactory.Parse(path), 0, new EndpointMetadataCollection(metadata), path));

    /// <summary>Asks until it is so; a test waits for what it expects and for nothing else.</summary>
    public static async Task EventuallyAsync(Func<Task<bool>> isSo, string what, int seconds = 30)
    {
        for (var watch = Stopwatch.StartNew(); !await isSo(); await Task.Delay(25))
        {
            watch.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(seconds), "by now {0}", what);
        }
    }

    public static Task EventuallyAsync(Func<bool> isSo, string what) => EventuallyAsync(() => Task.FromResult(isSo()), what);

    public static async Task<long> CountAsync(this TestDatabase database, string table, string where = "1 = 1", object? parameters = null)
    {
        await using var connection = await database.OpenAsync();
        return await connection.ExecuteScalarAsync<long>($"SELECT count(*) FROM {table} WHERE {where}", parameters);
    }

    public static async Task ExecuteAsync(this TestDatabase database, string sql, object? parameters = null)
    {
        await using var connection = await database.OpenAsync();
        await connection.ExecuteAsync(sql, parameters);
    }

    public static string NewName() => Guid.NewGuid().ToString("N");
}

internal sealed class ShiftedClock : TimeProvider
{
    public TimeSpan Shift { get; set; }

    public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Shift;
}

public sealed record LogEntry(LogLevel Level, string Category, string Message, Exception? Exception, string? TraceId, string Fields);

public sealed class LogSink : ILoggerProvider
{
    private readonly ConcurrentQueue<LogEntry> _entries = new();

    public IReadOnlyCollection<LogEntry> Entries => _entries;

    public ILogger CreateLogger(string categoryName) => new Logger(categoryName, _entries);

    public void Dispose()
    {
    }

    private sealed class Logger(string category, ConcurrentQueue<LogEntry> entries) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            entries.Enqueue(new LogEntry(
                logLevel, category, formatter(state, exception), exception, Activity.Current?.TraceId.ToHexString(),
                string.Join(", ", state as IEnumerable<KeyValuePair<string, object?>> ?? [])));
    }
}
