using System.Buffers;
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

    public override void Write<TState>(in LogEntry<TState> entry, IExternalScopeProvider? scopes, TextWriter textWriter)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer))
        {
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
            var written = new HashSet<string>(Reserved);
            WriteFields(json, entry.State, written);
            scopes?.ForEachScope((scope, writer) => WriteFields(writer, scope, written), json);
            json.WriteEndObject();
        }
        textWriter.WriteLine(Encoding.UTF8.GetString(buffer.WrittenSpan));
    }

    private static void WriteFields(Utf8JsonWriter json, object? state, HashSet<string> written)
    {
        foreach (var (name, value) in state as IEnumerable<KeyValuePair<string, object?>> ?? [])
        {
            var key = JsonNamingPolicy.CamelCase.ConvertName(name);
            if (!written.Add(key))
                continue; // one name, one value: a duplicate key is not JSON to everyone
            json.WritePropertyName(key);
            JsonSerializer.Serialize(json, value is null or bool or int or long ? value : value is double number && double.IsFinite(number) ? number : value.ToString());
        }
    }
}
