using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Storefront.Repositories;
//#if (jobs != "none")
using Storefront.Services;
//#endif

namespace Storefront.Entry;

/// <summary>
/// `live` asks nobody: a restart mends no dependency. `ready` is 503 while draining, on a schema that lacks a script, and
/// when the database has been away for 10 s, so that a balancer goes round an instance that cannot reach it.
/// </summary>
internal static class Health
{
    public static void AddHealth(this WebApplicationBuilder builder)
    {
        var shutdown = builder.Configuration.Read<ShutdownSettings>("Shutdown");
        builder.Services.AddSingleton(shutdown);
        builder.Services.AddSingleton<Drain>();
        builder.Services.AddHostedService(provider => provider.GetRequiredService<Drain>());
        builder.Services.Decorate<IConnectionListenerFactory, LingeringTransport>();
        var work = builder.Configuration.Read<LimitSettings>("Limits").RequestSeconds;
        //#if (jobs != "none")
        work = Math.Max(work, builder.Configuration.Read<JobSettings>("Jobs").TimeoutSeconds);
        //#endif
        builder.Services.Configure<HostOptions>(host => (host.ShutdownTimeout, host.ServicesStopConcurrently) = (TimeSpan.FromSeconds(shutdown.DrainSeconds + work + 5), true));
        builder.Services.AddSingleton<DatabaseHealth>();
        builder.Services.AddSingleton<IHealthCheckPublisher, HealthMetrics>();
        builder.Services.Configure<HealthCheckPublisherOptions>(publisher => (publisher.Delay, publisher.Period) = (TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10)));
        var checks = builder.Services.AddHealthChecks()
            .AddCheck<Drain>("shutdown", tags: ["ready"])
            .AddCheck<DatabaseHealth>("database", tags: ["ready", "startup"]);
        checks.AddDispensable<Standby>("standby", (standby, cancellation) => standby.CheckAsync(cancellation));
        //#if (cache == "redis")
        checks.AddDispensable<Redis>("redis", (redis, cancellation) => redis.CheckAsync(cancellation));
        //#endif
        //#if (jobs == "rabbitmq")
        if (builder.Configuration.Has("worker"))
            checks.AddDispensable<JobBroker>("rabbitmq", (broker, _) => Task.FromResult(broker.Problem is null ? null : "RabbitMQ cannot be used; the log has the reason."));
        //#endif
    }

    /// <summary>Without these the service does worse, but it does: an instance is not taken away for them.</summary>
    /// <param name="check">Says what is wrong, or null.</param>
    private static void AddDispensable<T>(this IHealthChecksBuilder checks, string name, Func<T, CancellationToken, Task<string?>> check)
        where T : class
    {
        if (checks.Services.Any(service => service.ServiceType == typeof(T)))
            checks.Add(new(name, provider => new Dispensable(cancellation => check(provider.GetRequiredService<T>(), cancellation)), null, ["ready"]));
    }

    /// <summary>With Management:Port set, health and metrics answer on that port alone, and nothing else does there.</summary>
    public static void UseManagementPort(this WebApplication app)
    {
        if (app.Configuration.ManagementPort() is { } port)
            app.UseWhen(http => http.IsProbe() != (http.Connection.LocalPort == port), other => other.Run(http => http.WriteProblemAsync(StatusCodes.Status404NotFound)));
    }

    public static int? ManagementPort(this IConfiguration configuration) => configuration.Read<ManagementSettings>("Management").Port is > 0 and var port ? port : null;

    public static void MapHealth(this WebApplication app)
    {
        foreach (var probe in (string[])["live", "ready", "startup"])
        {
            // AllowCachingResponses: else the framework writes cache fields of its own; ours forbid caching.
            var options = new HealthCheckOptions { Predicate = check => check.Tags.Contains(probe), ResponseWriter = WriteAsync, AllowCachingResponses = true };
            app.MapHealthChecks($"/health/{probe}", options).AsProbe();
        }
    }

    private static Task WriteAsync(HttpContext http, HealthReport report) => report.Status == HealthStatus.Unhealthy
        ? http.WriteProblemAsync(
            StatusCodes.Status503ServiceUnavailable,
            string.Join(" ", report.Entries.Where(check => check.Value.Status == HealthStatus.Unhealthy).Select(check => $"{check.Key}: {check.Value.Description}")))
        : http.Response.WriteAsJsonAsync(new { status = $"{report.Status}".ToLowerInvariant(), checks = report.Entries.ToDictionary(check => check.Key, check => check.Value.Description ?? "healthy") });
}

/// <summary>A single failed probe is not an outage: the balancer would take away all instances at once.</summary>
internal sealed partial class DatabaseHealth(Migrator migrator, Database database, TimeProvider clock, ILogger<DatabaseHealth> logger) : IHealthCheck
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private DateTimeOffset _lastAnswer;
    private string? _lastReason;

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            await database.CheckAsync(cancellationToken);
            var pending = await migrator.PendingAsync(cancellationToken);
            (_lastAnswer, _lastReason) = (clock.GetUtcNow(), null);
            return pending.Count == 0
                ? HealthCheckResult.Healthy()
                : HealthCheckResult.Unhealthy($"The schema lacks {string.Join(", ", pending)}. Run the verb migrate.");
        }
        catch (OperationalException e)
        {
            if (_lastReason != e.Message) // once, not with every probe
                Away(_lastReason = e.Message);
            return clock.GetUtcNow() - _lastAnswer < Patience
                ? HealthCheckResult.Degraded("does not answer")
                : HealthCheckResult.Unhealthy("The database does not answer; the log has the reason.");
        }
    }

    [LoggerMessage(8, LogLevel.Warning, "The database cannot be used: {Reason}")]
    private partial void Away(string reason);
}

internal sealed class Dispensable(Func<CancellationToken, Task<string?>> check) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        await check(cancellationToken) is { } trouble ? HealthCheckResult.Degraded(trouble) : HealthCheckResult.Healthy();
}

public sealed record ManagementSettings
{
    /// <summary>0: health and metrics answer where everything does.</summary>
    [Range(0, 65535)]
    public int Port { get; init; }
}

public sealed record ShutdownSettings
{
    /// <summary>Between SIGTERM and the end of listening: as long as balancers need to send their requests elsewhere.</summary>
    [Range(0, 20)]
    public int DrainSeconds { get; init; } = 5;
}

/// <summary>
/// On SIGTERM: not ready at once, but serving for a while, and asking keep-alive clients to go elsewhere, because proxies
/// send requests over the connections that they hold.
/// </summary>
internal sealed partial class Drain(IHostApplicationLifetime lifetime, ShutdownSettings settings, TimeProvider clock, ILogger<Drain> logger)
    : IHostedLifecycleService, IHealthCheck
{
    public bool IsDraining => lifetime.ApplicationStopping.IsCancellationRequested;

    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        Draining(settings.DrainSeconds);
        return Task.Delay(TimeSpan.FromSeconds(settings.DrainSeconds), clock, cancellationToken);
    }

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(IsDraining ? HealthCheckResult.Unhealthy("The instance is shutting down.") : HealthCheckResult.Healthy());

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(5, LogLevel.Information, "Draining for {Seconds} s")]
    private partial void Draining(int seconds);
}

/// <summary>
/// Kestrel ends its connections in the moment in which it no longer listens, also those whose first request is on its way: a proxy that
/// sent it can only answer 502. So between the two it is given time to arrive; who connects anew is refused, and goes elsewhere.
/// </summary>
internal sealed class LingeringTransport(IConnectionListenerFactory inner, ShutdownSettings settings, TimeProvider clock) : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    public bool CanBind(EndPoint endpoint) => inner is not IConnectionListenerFactorySelector selector || selector.CanBind(endpoint);

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        new Listener(await inner.BindAsync(endpoint, cancellationToken), TimeSpan.FromSeconds(Math.Min(settings.DrainSeconds, 2)), clock);

    private sealed class Listener(IConnectionListener inner, TimeSpan linger, TimeProvider clock) : IConnectionListener
    {
        public EndPoint EndPoint => inner.EndPoint;

        public ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) => inner.AcceptAsync(cancellationToken);

        public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            await inner.UnbindAsync(cancellationToken);
            await Task.Delay(linger, clock, cancellationToken);
        }

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
