using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace EndToEnd;

/// <summary>What the service exports telemetry to, by OTLP over HTTP.</summary>
internal sealed class Collector : IAsyncDisposable
{
    private readonly WebApplication _app;

    private Collector()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        _app = builder.Build();
        _app.Run(async http =>
        {
            using var body = new MemoryStream();
            await http.Request.Body.CopyToAsync(body);
            Received.Enqueue((http.Request.Path, body.ToArray()));
            await Answering(http);
        });
    }

    /// <summary>For the service.</summary>
    public string[] Settings => [$"OTEL_EXPORTER_OTLP_ENDPOINT={_app.Urls.Single()}", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=200", "OTEL_METRIC_EXPORT_INTERVAL=500"];

    public ConcurrentQueue<(string Path, byte[] Body)> Received { get; } = new();

    public Func<HttpContext, Task> Answering { get; set; } = _ => Task.CompletedTask;

    /// <summary>As they are on the wire: what is text in them can be read.</summary>
    public IEnumerable<string> Texts(string path) => Received.Where(each => each.Path == path).Select(each => Encoding.Latin1.GetString(each.Body));

    public IReadOnlyList<Span> Spans =>
    [
        .. from request in Received.Where(each => each.Path == "/v1/traces")
           from resource in Fields(request.Body, 1)
           from scope in Fields(resource, 2)
           from span in Fields(scope, 2)
           select new Span(Text(scope, 1, 1), Id(span, 1), Id(span, 2), Id(span, 4), Text(span, 5)),
    ];

    public static async Task<Collector> StartAsync()
    {
        var collector = new Collector();
        await collector._app.StartAsync();
        return collector;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private static string Id(ReadOnlyMemory<byte> message, int field) => Convert.ToHexStringLower(Fields(message, field).FirstOrDefault().Span);

    private static string Text(ReadOnlyMemory<byte> message, params int[] path) =>
        Encoding.UTF8.GetString(path.Aggregate(message, (inner, field) => Fields(inner, field).FirstOrDefault()).Span);

    /// <summary>The contents of a field with a length (protobuf.dev/programming-guides/encoding), of all with that number.</summary>
    private static List<ReadOnlyMemory<byte>> Fields(ReadOnlyMemory<byte> message, int number)
    {
        var (found, at) = (new List<ReadOnlyMemory<byte>>(), 0);
        while (at < message.Length)
        {
            var tag = Varint();
            var length = (tag & 7) switch { 0 => Skip(), 1 => 8, 5 => 4, _ => (int)Varint() };
            if (tag >> 3 == (ulong)number && (tag & 7) == 2)
                found.Add(message.Slice(at, length));
            at += length;
        }
        return found;

        int Skip()
        {
            Varint();
            return 0;
        }

        ulong Varint()
        {
            var (value, shift) = (0ul, 0);
            byte next;
            do
            {
                next = message.Span[at++];
                value |= (ulong)(next & 0x7F) << shift;
                shift += 7;
            }
            while (next >= 0x80);
            return value;
        }
    }
}

/// <param name="Source">Who made it: the name of its instrumentation.</param>
/// <param name="Parent">Empty where it has none.</param>
internal sealed record Span(string Source, string Trace, string Id, string Parent, string Name);
