using System.Diagnostics.Metrics;
using System.Net;
using System.Security.Authentication;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;
using StackExchange.Redis;

namespace Storefront.Repositories;

public sealed record RedisSettings
{
    /// <summary>Begins every key and channel, so that services and environments can share one server.</summary>
    [Pattern("^[A-Za-z0-9_:.-]{1,100}$")]
    public string Prefix { get; init; } = "storefront";
}

/// <summary>
/// What instances share and each can do without. A call takes a quarter of a second at the most, after a few failures none is made
/// for ten seconds, and no failure reaches the caller: each user of this class says what it does instead.
/// </summary>
public sealed partial class Redis : IDisposable
{
    private readonly string _prefix;
    private readonly Task<ConnectionMultiplexer> _connection;
    private readonly ResiliencePipeline _calls;
    private readonly Counter<long> _failures;
    private readonly ILogger<Redis> _logger;
    private readonly bool _tls;

    private string? _cause;
    private bool _reported;
    private bool _away;

    public Redis(ConfigurationOptions options, RedisSettings settings, TimeProvider clock, IMeterFactory meters, ILogger<Redis> logger)
    {
        (_prefix, _logger, _tls) = (settings.Prefix, logger, options.Ssl);
        Description = $"Redis at {string.Join(", ", options.EndPoints.Select(Address))}";
        _failures = meters.Create("Storefront.Redis").CreateCounter<long>("redis.failures", description: "Calls that the service did without, by reason (timeout, error, or skipped while Redis is away).");
        _calls = new ResiliencePipelineBuilder { TimeProvider = clock }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                MinimumThroughput = 5,
                FailureRatio = 0.5,
                SamplingDuration = TimeSpan.FromSeconds(2), // short, or the many calls that went well before would hide a failure for as long
                BreakDuration = TimeSpan.FromSeconds(10),
            })
            .AddTimeout(TimeSpan.FromMilliseconds(250))
            .Build();
        _connection = Task.Run(() => ConnectionMultiplexer.ConnectAsync(options)); // the start does not wait for it
        Settled = ReportAsync();
    }

    /// <summary>For the startup line, and what a message calls it.</summary>
    public string Description { get; }

    /// <summary>Ends once it is known whether Redis answers: after two or three seconds at the most.</summary>
    public Task Settled { get; }

    /// <returns>What is wrong, or null if Redis answers.</returns>
    public async Task<string?> CheckAsync(CancellationToken cancellation) =>
        await PingAsync(cancellation) ? null : $"{Description} {Trouble}. Check ConnectionStrings__Redis.";

    public void Dispose() =>
        _connection.ContinueWith(connection => connection.Result.Dispose(), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);

    internal static void Add(WebApplicationBuilder builder, string connection)
    {
        var services = builder.Services;
        var options = Parse(connection);
        var settings = builder.Configuration.Read<RedisSettings>("Redis");
        services.ReviewConnection("ConnectionStrings:Redis", "add ssl=true", options.Ssl, options.EndPoints.Select(Address), options.Password);
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<Redis>(provider, options, settings));
        services.AddSingleton<SharedLimit>();
        services.AddStackExchangeRedisCache(_ => { });
        services.AddOptions<RedisCacheOptions>().Configure<Redis>((cache, redis) =>
        {
            cache.ConnectionMultiplexerFactory = async () => await redis._connection;
            cache.InstanceName = redis.Name("cache:");
        });
        services.Decorate<IDistributedCache, SecondLevelCache>();
        services.AddSingleton(provider => new Engine("cache", provider.GetRequiredService<Redis>().Description));
    }

    internal string Name(string key) => $"{_prefix}:{key}";

    /// <returns>What Redis answers, or the alternative if it does not.</returns>
    internal async Task<T> TryAsync<T>(Func<IDatabase, Task<T>> call, T otherwise, CancellationToken cancellation)
    {
        try
        {
            var answer = await _calls.ExecuteAsync(
                async token => await call((await _connection.WaitAsync(token)).GetDatabase()).WithinAsync(Timeout.InfiniteTimeSpan, token), cancellation);
            if (_away && Interlocked.Exchange(ref _away, false))
                Back(Description);
            return answer;
        }
        catch (Exception) when (cancellation.IsCancellationRequested)
        {
            return otherwise; // the work that asked ends by itself
        }
        catch (Exception e) // of whatever kind: it is none of the caller's
        {
            Failed(e);
            return otherwise;
        }
    }

    /// <summary>Once is enough: the library subscribes again whenever it connects. What is sent in between is lost.</summary>
    internal async Task SubscribeAsync(RedisChannel channel, Action<string> received)
    {
        try
        {
            await (await _connection).GetSubscriber().SubscribeAsync(channel, (_, message) => received($"{message}"));
        }
        catch (Exception e)
        {
            Failed(e);
        }
    }

    private static string Address(EndPoint endpoint) => endpoint is DnsEndPoint dns ? $"{dns.Host}:{dns.Port}" : $"{endpoint}";

    private static ConfigurationOptions Parse(string connection)
    {
        try
        {
            var options = ConfigurationOptions.Parse($"connectTimeout=1000,connectRetry=1,syncTimeout=1000,asyncTimeout=1000,keepAlive=15,{connection}"); // the last value counts
            options.AbortOnConnectFail = false;
            options.BacklogPolicy = BacklogPolicy.FailFast; // else calls wait for a connection until they time out
            options.SetDefaultPorts();
            if (options.EndPoints.Count > 0 && !connection.Contains("://", StringComparison.Ordinal))
                return options;
        }
        catch (Exception e) when (e is ArgumentException or FormatException or OverflowException) // whose message may hold a part of the text
        {
        }
        throw Settings.Refused("ConnectionStrings:Redis", "cannot be read: it must be like 'host:6379,password=...,ssl=true'");
    }

    private Task<bool> PingAsync(CancellationToken cancellation) => TryAsync(async database => await database.PingAsync() >= TimeSpan.Zero, false, cancellation);

    /// <summary>
    /// A wrong password is found at the start, not by the first request. The library connects in the background, and only some
    /// of its failures say why: this waits a second for one that does.
    /// </summary>
    private async Task ReportAsync()
    {
        await Task.WhenAny(_connection);
        _cause = null; // what came too early for an answer tells nothing
        for (var tries = 0; !await PingAsync(CancellationToken.None) && _cause is null && tries < 4; tries++)
            await Task.Delay(TimeSpan.FromMilliseconds(200));
        _reported = true;
        await PingAsync(CancellationToken.None);
    }

    private void Failed(Exception exception)
    {
        var (skipped, late) = (exception is BrokenCircuitException, exception is TimeoutRejectedException or TimeoutException);
        _failures.Add(1, new KeyValuePair<string, object?>("reason", skipped ? "skipped" : late ? "timeout" : "error"));
        if (!skipped)
            _cause = late ? (_tls ? "does not answer in time over TLS" : "does not answer in time") : Explain(exception) ?? (_reported && !_away ? null : _cause); // what was known goes on for as long as it is away
        if (_reported && !late && !Interlocked.Exchange(ref _away, true)) // one late answer is no outage
            Away(Description, Trouble);
    }

    private string Trouble => _cause ?? (_tls ? "cannot be reached over TLS" : "cannot be reached");

    /// <summary>A message of the library may hold a part of the settings; this one holds none.</summary>
    private static string? Explain(Exception exception)
    {
        var story = exception.ToString();
        bool Tells(string what) => story.Contains(what, StringComparison.Ordinal);
        return Tells(nameof(AuthenticationException)) ? "has no certificate that is trusted here, or no TLS"
            : Tells("NOAUTH") || Tells("WRONGPASS") ? "refuses the user or the password"
            : exception is RedisServerException ? $"refuses commands ({exception.Message.Split(' ')[0]})"
            : null;
    }

    [LoggerMessage(110, LogLevel.Warning, "{Server} {Trouble}. Until it answers, this process caches and limits on its own. Check ConnectionStrings__Redis")]
    private partial void Away(string server, string trouble);

    [LoggerMessage(111, LogLevel.Information, "{Server} answers again")]
    private partial void Back(string server);
}
