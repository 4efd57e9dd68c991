using System.Buffers;
using System.Collections.Concurrent;
using System.Reflection;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace Storefront.Entry;

/// <summary>One JSON object a line on stdout, for whatever happens: also the first line and the crash.</summary>
internal static partial class Logs
{
    /// <param name="quiet">Of a verb whose output says all.</param>
    public static void AddLogs(this WebApplicationBuilder builder, bool quiet)
    {
        builder.Logging.ClearProviders().EnableRedaction();
        builder.Services.AddRedaction(); // what is [Confidential] is erased
        if (!quiet)
            builder.Logging.AddJsonLines();
    }

    /// <summary>The last line of a process that could not go on. What an operator can mend needs no stack.</summary>
    /// <returns>The exit code.</returns>
    public static int Crash(Exception exception)
    {
        using var factory = LoggerFactory.Create(logging => logging.AddJsonLines());
        var mendable = exception is OperationalException or IOException;
        Crashed(
            factory.CreateLogger("Storefront"),
            mendable ? null : exception,
            mendable ? exception.Message : $"The process ends on a fault of its own: {exception.GetType().Name}");
        return 1;
    }

    /// <summary>What fails where nobody waits for it: a task that was dropped goes on, a thread of its own takes the process with it.</summary>
    public static void WatchFaults(this WebApplication app)
    {
        var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Storefront");
        EventHandler<UnobservedTaskExceptionEventArgs> dropped = (_, task) => Dropped(logger, task.Exception);
        TaskScheduler.UnobservedTaskException += dropped;
        app.Lifetime.ApplicationStopped.Register(() => TaskScheduler.UnobservedTaskException -= dropped);
        AppDomain.CurrentDomain.UnhandledException += (_, thread) => Crash((Exception)thread.ExceptionObject);
    }

    private static ILoggingBuilder AddJsonLines(this ILoggingBuilder logging) =>
        logging.AddConsole(console => console.FormatterName = JsonLineFormatter.FormatterName)
            .AddConsoleFormatter<JsonLineFormatter, ConsoleFormatterOptions>();

    [LoggerMessage(13, LogLevel.Error, "A task failed that nobody waited for")]
    private static partial void Dropped(ILogger logger, Exception exception);

    [LoggerMessage(1, LogLevel.Critical, "{Reason}", EventName = "Crash")]
    private static partial void Crashed(ILogger logger, Exception? exception, string reason);
}

/// <summary>Every text is escaped, so that no input can end a line or begin another.</summary>
internal sealed class JsonLineFormatter() : ConsoleFormatter(FormatterName)
{
    public const string FormatterName = "json-line";

    /// <summary>Names that a field of a message must not take, and the raw path, which the framework adds to every line.</summary>
    private static readonly HashSet<string> Reserved =
        ["timestamp", "level", "category", "eventId", "event", "message", "traceId", "spanId", "service", "version", "instance", "exception", "{OriginalFormat}", "requestPath"];

    private static readonly AssemblyName Service = Assembly.GetExecutingAssembly().GetName();
    public static readonly string Version = Service.Version!.ToString(3);

    /// <summary>As many as the messages of the program have fields.</summary>
    private static readonly ConcurrentDictionary<string, string> Names = new();

    /// <summary>Used again for the next line of the thread: a line for each request is too many to begin anew.</summary>
    [ThreadStatic]
    private static Line? _spare;

    public override void Write<TState>(in LogEntry<TState> entry, IExternalScopeProvider? scopes, TextWriter textWriter)
    {
        var line = _spare ?? new Line();
        _spare = null; // a value that logs while it is written takes another
        var json = line.Json;
        json.WriteStartObject();
        json.WriteString("timestamp", DateTime.UtcNow);
        json.WriteString("level", entry.LogLevel.ToString());
        json.WriteString("category", entry.Category);
        json.WriteNumber("eventId", entry.EventId.Id);
        json.WriteString("event", entry.EventId.Name);
        json.WriteString("message", entry.Formatter(entry.State, null));
        if (Activity.Current is { } activity)
        {
            json.WriteString("traceId", activity.TraceId.ToHexString());
            json.WriteString("spanId", activity.SpanId.ToHexString());
        }
        json.WriteString("service", Service.Name);
        json.WriteString("version", Version);
        json.WriteString("instance", Environment.MachineName);
        if (entry.Exception is { } exception)
            json.WriteString("exception", exception.ToString());
        line.WriteFields(entry.State);
        scopes?.ForEachScope(static (scope, line) => line.WriteFields(scope), line);
        json.WriteEndObject();
        json.Flush();
        textWriter.WriteLine(line.Text);
        line.Clear();
        _spare = line;
    }

    private sealed class Line
    {
        private readonly ArrayBufferWriter<byte> _buffer = new(1024);
        private readonly HashSet<string> _written = [];

        public Line() => Json = new(_buffer);

        public Utf8JsonWriter Json { get; }

        public string Text => Encoding.UTF8.GetString(_buffer.WrittenSpan);

        public void Clear()
        {
            _buffer.ResetWrittenCount();
            Json.Reset();
            _written.Clear();
        }

        public void WriteFields(object? state)
        {
            if (state is IReadOnlyList<KeyValuePair<string, object?>> list) // which makes no enumerator
            {
                for (var index = 0; index < list.Count; index++)
                    Write(list[index]);
            }
            else
            {
                foreach (var field in state as IEnumerable<KeyValuePair<string, object?>> ?? [])
                    Write(field);
            }
        }

        private void Write(KeyValuePair<string, object?> field)
        {
            var name = Names.GetOrAdd(field.Key, JsonNamingPolicy.CamelCase.ConvertName);
            if (Reserved.Contains(name) || !_written.Add(name))
                return; // one name, one value: a duplicate key is not JSON to everyone
            Json.WritePropertyName(name);
            if (field.Value is null or bool or int or long || (field.Value is double number && double.IsFinite(number)))
                JsonSerializer.Serialize(Json, field.Value);
            else
                Json.WriteStringValue(field.Value.ToString());
        }
    }
}
