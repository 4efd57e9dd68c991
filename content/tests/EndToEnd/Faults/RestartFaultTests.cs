using System.Collections.Concurrent;
using System.Net;
//#if (auth == "jwt")
using System.Net.Http.Headers;
//#endif

namespace EndToEnd.Faults;

/// <summary>Two instances behind a proxy of deploy/, which restart one after the other, three times over, while calls come without a pause.</summary>
[Trait("Readiness", "37")]
public sealed class RestartFaultTests(FleetServers servers) : IClassFixture<FleetServers>
{
    private const int Enough = 25_000;

    [Fact]
    public Task Behind_nginx_no_request_is_lost() => NoRequestIsLostAsync(instances => new NginxServer(instances) { AuthorityFile = _authority });

    [Fact]
    public Task Behind_HAProxy_no_request_is_lost() => NoRequestIsLostAsync(instances => new HaproxyServer(instances) { AuthorityFile = _authority });

    private string _authority = "";

    private async Task NoRequestIsLostAsync(Func<int[], Proxy> create)
    {
        await using var fleet = await servers.TableFleetAsync();
        _authority = fleet.Site.Certificates.AuthorityFile;
        var shown = fleet.Site.Certificates.Issue("instance", Proxy.Instance);
        await using var first = new Instance(fleet, shown);
        await using var second = new Instance(fleet, shown);
        await using var proxy = create([first.Port, second.Port]);
        proxy.Certificate = (fleet.Site.Certificates.ServerFile, fleet.Site.Certificates.KeyFile);
        await Task.WhenAll(first.StartAsync(), second.StartAsync());
        await proxy.StartAsync();
        using var end = new CancellationTokenSource();
        var load = new Load(fleet, new Uri(proxy.ConnectionString));
        var clients = Enumerable.Range(0, 32).Select(number => load.RunAsync(number % 2 == 0 ? HttpVersion.Version20 : HttpVersion.Version11, end.Token)).ToList();

        for (var round = 0; round < 3; round++)
        {
            await first.RestartAsync();
            await second.RestartAsync();
        }
        await Eventually.TrueAsync(() => load.Answered >= Enough || !load.Failures.IsEmpty);
        await end.CancelAsync();
        await Task.WhenAll(clients);

        load.Failures.Take(3).Should().BeEmpty($"of {load.Answered} requests none may fail, and {load.Failures.Count} did:\n{proxy.Log}");
        //#if (jobs != "none")
        await fleet.SettledOnceAsync();
        //#endif
    }

    /// <summary>A place to which a process comes back.</summary>
    private sealed class Instance(Fleet fleet, (string Certificate, string Key) shown) : IAsyncDisposable
    {
        private ServiceProcess? _process;

        public int Port { get; } = Server.FreePort();

        public async Task StartAsync() => _process = await fleet.ServeAsync(
            $"ASPNETCORE_URLS=https://127.0.0.1:{Port}", "Shutdown__DrainSeconds=5", "Proxy__TrustedNetworks__0=127.0.0.0/8",
            $"Kestrel__Certificates__Default__Path={shown.Certificate}", $"Kestrel__Certificates__Default__KeyPath={shown.Key}");

        /// <summary>Returns when the proxy knows that it is back.</summary>
        public async Task RestartAsync()
        {
            _process!.Terminate();
            (await _process.ExitAsync()).Should().Be(0);
            await StartAsync();
            await _process.LineAsync(line => line.Is("Request"));
        }

        public ValueTask DisposeAsync() => _process?.DisposeAsync() ?? default;
    }

    /// <summary>Each client has one connection, calls as soon as the one before is answered, and never sends one again that failed.</summary>
    private sealed class Load(Fleet fleet, Uri address)
    {
        // About 800 requests a second: many, but not all that the machine can do, or an instance would need minutes to start.
        private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(40);

        private int _answered;

        public int Answered => Volatile.Read(ref _answered);

        public ConcurrentQueue<string> Failures { get; } = [];

        public async Task RunAsync(Version version, CancellationToken end)
        {
            using var http = new HttpClient(new SocketsHttpHandler { SslOptions = fleet.Site.Certificates.Client(), ActivityHeadersPropagator = null, MaxConnectionsPerServer = 1 })
            {
                BaseAddress = address,
                DefaultRequestVersion = version,
                DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
            };
            //#if (auth == "jwt")
            http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", fleet.Site.Provider.Token("ann"));
            //#endif
            var call = fleet.Caller(http);
            for (var number = 0; !end.IsCancellationRequested; number++)
            {
                try
                {
                    if (await call(number) is { } failure)
                        Failures.Enqueue(failure);
                }
                catch (HttpRequestException error)
                {
                    Failures.Enqueue(error.ToString());
                }
                Interlocked.Increment(ref _answered);
                await Task.Delay(Pause, CancellationToken.None);
            }
        }
    }
}
