using System.Buffers;
using System.Collections.Concurrent;
using System.Reflection;

namespace Storefront.Entry;

/// <summary>Every text is escaped, so that no input can end a line or begin another.</summary>
internal sealed class JsonLines : ILoggerProvider, ISupportExternalScope
{
    private static readonly AssemblyName Service = Assembly.GetExecutingAssembly().GetName();
    private static readonly string Instance = Environment.MachineName;
    private static readonly Stream Output = Stream.Synchronized(Console.OpenStandardOutput());
    public static readonly string Version = Service.Version!.ToString(3);

    /// <summary>Names that a field of a message must not take, and the raw path, which the framework adds to every line.</summary>
    private static readonly HashSet<string> Reserved =
        ["timestamp", "level", "category", "eventId", "event", "message", "traceId", "spanId", "service", "version", "instance", "exception", "{OriginalFormat}", "requestPath"];

    /// <summary>As many as the messages of the program have fields; null for one that is left out.</summary>
    private static readonly ConcurrentDictionary<string, JsonEncodedText?> Names = new();

    /// <summary>Used again for the next line of the thread: a line for each request is too many to begin anew.</summary>
    [ThreadStatic]
    private static Line? _spare;

    private IExternalScopeProvider _scopes = new LoggerExternalScopeProvider();

    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    public void SetScopeProvider(IExternalScopeProvider scopeProvider) => _scopes = scopeProvider;

    public void Dispose()
    {
    }

    private static JsonEncodedText? NameOf(string field)
    {
        var name = JsonNamingPolicy.CamelCase.ConvertName(field);
        return Reserved.Contains(name) ? null : JsonEncodedText.Encode(name);
    }

    private sealed class Logger(JsonLines lines, string category) : ILogger
    {
        public bool IsEnabled(LogLevel logLevel) => logLevel is not LogLevel.None;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => lines._scopes.Push(state);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var line = _spare ?? new Line();
            _spare = null; // a value that logs while it is written takes another
            var json = line.Json;
            json.WriteStartObject();
            json.WriteString("timestamp"u8, DateTime.UtcNow);
            json.WriteString("level"u8, logLevel.ToString());
            json.WriteString("category"u8, category);
            json.WriteNumber("eventId"u8, eventId.Id);
            json.WriteString("event"u8, eventId.Name);
            json.WriteString("message"u8, formatter(state, null));
            if (Activity.Current is { } activity)
            {
                json.WriteString("traceId"u8, activity.TraceId.ToHexString());
                json.WriteString("spanId"u8, activity.SpanId.ToHexString());
            }
            json.WriteString("service"u8, Service.Name);
            json.WriteString("version"u8, Version);
            json.WriteString("instance"u8, Instance);
            if (exception is not null)
                json.WriteString("exception"u8, exception.ToString());
            line.WriteFields(state);
            lines._scopes.ForEachScope(static (scope, line) => line.WriteFields(scope), line);
            json.WriteEndObject();
            line.Print();
            _spare = line;
        }
    }

    private sealed class Line
    {
        private readonly ArrayBufferWriter<byte> _buffer = new(1024);
        private readonly HashSet<JsonEncodedText> _written = [];

        public Line() => Json = new(_buffer);

        public Utf8JsonWriter Json { get; }

        /// <summary>By the caller, not by a thread behind it: what was logged is out, however the process ends.</summary>
        public void Print()
        {
            Json.Flush();
            _buffer.Write("\n"u8);
            try
            {
                Output.Write(_buffer.WrittenSpan);
            }
            catch (IOException) // a full disk: the service goes on without its log
            {
            }
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
            if (Names.GetOrAdd(field.Key, NameOf) is not { } name || !_written.Add(name))
                return; // one name, one value: a duplicate key is not JSON to everyone
            switch (field.Value)
            {
                case int number:
                    Json.WriteNumber(name, number);
                    break;
                case long number:
                    Json.WriteNumber(name, number);
                    break;
                case double number when double.IsFinite(number):
                    Json.WriteNumber(name, number);
                    break;
                case bool truth:
                    Json.WriteBoolean(name, truth);
                    break;
                default:
                    Json.WriteString(name, field.Value?.ToString());
                    break;
            }
        }
    }
}
