using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Reflection;
using System.Security.Cryptography;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Storefront.Repositories;

namespace Storefront.Entry;

/// <summary>/status, for whoever develops: what this process knows of itself, with no other program. In Development alone: it is open to all who reach it.</summary>
internal static class StatusPage
{
    public static void AddStatusPage(this WebApplicationBuilder builder)
    {
        if (builder.Environment.IsDevelopment())
            builder.Services.AddSingleton<Recorder>().AddSingleton<ILoggerProvider>(provider => provider.GetRequiredService<Recorder>());
    }

    public static void MapStatusPage(this WebApplication app)
    {
        if (!app.Environment.IsDevelopment())
            return;
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream("status.html")!);
        var page = reader.ReadToEnd();
        app.MapGet("/status", (HttpContext http) =>
        {
            var nonce = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
            http.Response.Headers.ContentSecurityPolicy =
                $"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
            return Results.Content(page.Replace("{nonce}", nonce, StringComparison.Ordinal), "text/html; charset=utf-8");
        }).AllowAnonymous().ExcludeFromDescription().DisableHttpMetrics();
        app.MapGet("/status/data", async (Recorder recorder, HealthCheckService health, IEnumerable<Engine> engines, CancellationToken cancellation) =>
        {
            var report = await health.CheckHealthAsync(cancellation);
            return Results.Json(new
            {
                version = JsonLines.Version,
                engines = engines.ToDictionary(engine => engine.Part, engine => engine.Name),
                health = report.Entries.ToDictionary(check => check.Key, check => new { status = $"{check.Value.Status}".ToLowerInvariant(), check.Value.Description }),
                requests = recorder.Requests(),
                //#if (jobs != "none")
                jobs = recorder.Gauges(),
                //#endif
                lines = recorder.Lines(),
            });
        }).AllowAnonymous().ExcludeFromDescription().DisableHttpMetrics();
    }
}

/// <summary>Keeps the last minute of requests and the last lines of the log that are warnings or worse.</summary>
internal sealed class Recorder : ILoggerProvider
{
    private const int MaxRequests = 10_000, MaxLines = 20;

    private readonly ConcurrentQueue<(long Time, string Route, int Status, double Seconds)> _requests = new();
    private readonly ConcurrentQueue<Line> _lines = new();
    //#if (jobs != "none")
    private readonly ConcurrentDictionary<string, double> _gauges = new();
    //#endif
    private readonly MeterListener _listener = new();
    private readonly TimeProvider _clock;

    public Recorder(TimeProvider clock)
    {
        _clock = clock;
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Name == "http.server.request.duration" || instrument.Name.StartsWith("jobs.", StringComparison.Ordinal))
                listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<double>(Measured);
        //#if (jobs != "none")
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, state) => Measured(instrument, value, tags, state));
        _listener.SetMeasurementEventCallback<int>((instrument, value, tags, state) => Measured(instrument, value, tags, state));
        //#endif
        _listener.Start();
    }

    public sealed record Line(DateTimeOffset Time, string Level, string Category, string Message, string? TraceId);

    public IEnumerable<Line> Lines() => _lines.Reverse();

    //#if (jobs != "none")
    public IReadOnlyDictionary<string, double> Gauges()
    {
        _listener.RecordObservableInstruments();
        return _gauges;
    }

    //#endif
    /// <summary>By route, of the last minute.</summary>
    public IEnumerable<object> Requests() =>
        from request in _requests.Where(request => _clock.GetElapsedTime(request.Time) < TimeSpan.FromMinutes(1))
        group request by request.Route into route
        orderby route.Count() descending
        select new { route = route.Key, perMinute = route.Count(), errors = route.Count(request => request.Status >= 500), meanMilliseconds = Math.Round(route.Average(request => request.Seconds) * 1000, 1) };

    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    public void Dispose() => _listener.Dispose();

    private void Measured(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        //#if (jobs != "none")
        if (instrument.IsObservable)
            _gauges[instrument.Name] = value;
        //#endif
        if (instrument.Name != "http.server.request.duration")
            return;
        var (method, route, status) = ("", "(none)", 0);
        foreach (var (name, tag) in tags)
            (method, route, status) = name switch
            {
                "http.request.method" => ($"{tag}", route, status),
                "http.route" => (method, $"{tag}", status),
                "http.response.status_code" => (method, route, (int)tag!),
                _ => (method, route, status),
            };
        Keep(_requests, (_clock.GetTimestamp(), $"{method} {route}", status, value), MaxRequests);
    }

    private static void Keep<T>(ConcurrentQueue<T> queue, T item, int most)
    {
        queue.Enqueue(item);
        while (queue.Count > most)
            queue.TryDequeue(out _);
    }

    private sealed class Logger(Recorder recorder, string category) : ILogger
    {
        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                Keep(recorder._lines, new(recorder._clock.GetUtcNow(), $"{logLevel}", category, formatter(state, exception), Activity.Current?.TraceId.ToHexString()), MaxLines);
        }
    }
}
