using System.Diagnostics.Metrics;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Security.Authentication;
using System.Text;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using RabbitMQ.Client.Exceptions;

namespace Storefront.Repositories;

public sealed record QueueSettings
{
    /// <summary>
    /// The name of the queue, and with `.dead` that of its dead letters. RabbitMQ never changes the arguments of a queue that is
    /// there: other arguments need another name.
    /// </summary>
    [Pattern("^[a-z0-9.-]{1,200}$")]
    public string Queue { get; init; } = "storefront.jobs";
}

/// <summary>
/// The way of a job from the outbox to any worker, by RabbitMQ. What it promises is little: a job that was confirmed comes at
/// least once. Connections are made anew by our own loops: the client's recovery can leave a consumer that receives nothing.
/// </summary>
public sealed class JobBroker : IAsyncDisposable
{
    /// <summary>So often a job may end the process that works on it; then RabbitMQ gives it up.</summary>
    private const int DeliveryLimit = 20;

    private const string AttemptHeader = "x-attempt";
    private const string CreatedHeader = "x-created-at";
    private const string TraceHeader = "traceparent";

    private static readonly ActivitySource Traces = new("Storefront.JobBroker");

    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ConfirmTimeout = TimeSpan.FromSeconds(10);

    private readonly ConnectionFactory _factory;
    private readonly string _queue;
    private readonly TimeProvider _clock;
    private readonly Histogram<double> _confirmed;
    private IConnection? _publisher;
    private IChannel? _channel;
    private SemaphoreSlim? _slots;
    private int _consumers;

    public JobBroker(Uri address, QueueSettings settings, IMeterFactory meters, TimeProvider clock)
    {
        _factory = new ConnectionFactory
        {
            Uri = address,
            Ssl = { ServerName = address.DnsSafeHost, AcceptablePolicyErrors = SslPolicyErrors.None }, // with amqps:// the client would take a certificate of any host
            AutomaticRecoveryEnabled = false,
            TopologyRecoveryEnabled = false,
            RequestedHeartbeat = TimeSpan.FromSeconds(15),
            RequestedConnectionTimeout = ConnectTimeout,
            HandshakeContinuationTimeout = ConnectTimeout,
            ContinuationTimeout = ConfirmTimeout,
        };
        (_queue, _clock) = (settings.Queue, clock);
        Description = $"RabbitMQ {address.Host}, queue {_queue}";
        var meter = meters.Create("Storefront.JobBroker");
        _confirmed = meter.CreateHistogram<double>("jobs.confirm.duration", "s", "Time until RabbitMQ had confirmed a batch of jobs.");
        meter.CreateObservableGauge("jobs.consumer.connected", () => _consumers, description: "1 while this process receives jobs from RabbitMQ.");
    }

    public string Description { get; }

    /// <summary>Why the last attempt to reach RabbitMQ failed; null if it did not.</summary>
    public string? Problem { get; private set; }

    /// <summary>Sends jobs; for one caller at a time.</summary>
    /// <returns>Those that RabbitMQ has on disk. Of the others nothing is known: sent again, they may come twice.</returns>
    /// <exception cref="OperationalException">RabbitMQ cannot be reached.</exception>
    public async Task<IReadOnlyList<Job>> PublishAsync(IReadOnlyList<Job> jobs, CancellationToken cancellation)
    {
        var started = _clock.GetTimestamp();
        var channel = await ChannelAsync(cancellation);
        var sending = jobs.Select(job => SendAsync(channel, job)).ToList();
        try
        {
            await Task.WhenAll(sending).WaitAsync(ConfirmTimeout, _clock, CancellationToken.None);
        }
        catch (TimeoutException) // a call of the client may hang for ever (rabbitmq-dotnet-client#1930)
        {
        }
        var sent = jobs.Where((_, index) => sending[index] is { IsCompletedSuccessfully: true, Result: null }).ToList();
        _confirmed.Record(_clock.GetElapsedTime(started).TotalSeconds);
        if (sent.Count < jobs.Count)
        {
            var failure = sending.FirstOrDefault(each => each is { IsCompletedSuccessfully: true, Result: not null });
            Problem = failure is null ? "RabbitMQ did not confirm in time." : Explain((await failure)!).Message;
            Drop(); // whatever it was, a new channel declares the queue again
        }
        return sent;
    }

    /// <summary>Receives jobs until the connection ends, or until it is stopped: then what runs is finished first.</summary>
    /// <param name="work">Runs a job to its end; where it throws, the job comes again.</param>
    /// <param name="bury">What to do with a job that RabbitMQ has given up, and the reason.</param>
    /// <exception cref="OperationalException">RabbitMQ cannot be reached, or cannot be any more.</exception>
    public async Task ConsumeAsync(int concurrency, Func<Job, Task> work, Func<Job, string, Task> bury, CancellationToken stopping)
    {
        var ended = new TaskCompletionSource<Exception?>(TaskCreationOptions.RunContinuationsAsynchronously); // a result: an end that comes before or after anybody waits for it is no fault that nobody saw
        _slots ??= new SemaphoreSlim(concurrency); // kept over connections: jobs of one that broke may still run
        var connection = await ConnectAsync("consumer", stopping);
        try
        {
            var channel = await connection.CreateChannelAsync(new(false, false, null, (ushort)concurrency), stopping).WithinAsync(ConfirmTimeout, stopping);
            await DeclareAsync(channel, stopping);
            await channel.BasicQosAsync(0, (ushort)concurrency, global: false, stopping); // what waits, waits in RabbitMQ, not in this process
            connection.ConnectionShutdownAsync += (_, reason) => EndAsync(reason.ReplyText);
            channel.ChannelShutdownAsync += (_, reason) => EndAsync(reason.ReplyText);
            await ReceiveAsync(_queue, (job, _) => work(job));
            await ReceiveAsync(_queue + ".dead", (job, properties) => bury(job, Reason(properties)));
            (Problem, _consumers) = (null, 1);
            await using (stopping.Register(() => ended.TrySetResult(null)))
            {
                if (await ended.Task is { } reason)
                    ExceptionDispatchInfo.Throw(reason);
            }
            for (var finished = 0; finished < concurrency; finished++)
                await _slots.WaitAsync(CancellationToken.None);
            await connection.CloseAsync(CancellationToken.None).WaitAsync(ConnectTimeout, CancellationToken.None); // after the last acknowledgement

            Task EndAsync(string reason)
            {
                ended.TrySetResult(Unavailable($"The connection to RabbitMQ ended: {reason}", null));
                return Task.CompletedTask;
            }

            async Task ReceiveAsync(string queue, Func<Job, IReadOnlyBasicProperties, Task> handle)
            {
                var consumer = new AsyncEventingBasicConsumer(channel);
                consumer.UnregisteredAsync += (_, _) => EndAsync("the queue was deleted."); // silent otherwise: the connection stays
                consumer.ReceivedAsync += async (_, delivery) =>
                {
                    var job = Read(delivery);
                    await _slots.WaitAsync(CancellationToken.None);
                    try
                    {
                        stopping.ThrowIfCancellationRequested();
                        await handle(job, delivery.BasicProperties);
                        await channel.BasicAckAsync(delivery.DeliveryTag, multiple: false, CancellationToken.None); // after the commit
                    }
                    catch (Exception e) when (e is OperationCanceledException || IsOfTheBroker(e))
                    {
                        // Not acknowledged: it comes again, and the inbox knows whether it was done.
                    }
                    catch (Exception e)
                    {
                        ended.TrySetResult(e);
                    }
                    finally
                    {
                        _slots.Release();
                    }
                };
                await channel.BasicConsumeAsync(queue, autoAck: false, consumer, stopping);
            }
        }
        catch (Exception e) when (IsOfTheBroker(e))
        {
            throw Failed(e);
        }
        catch (OperationalException e)
        {
            Problem = e.Message;
            throw;
        }
        finally
        {
            _consumers = 0;
            Abandon(connection);
        }
    }

    /// <summary>Connects, and compares the queue with the one that <see cref="DeclareAsync"/> makes; makes none.</summary>
    /// <returns>False where there is no queue yet.</returns>
    /// <exception cref="OperationalException">RabbitMQ cannot be reached, or the queue is another.</exception>
    public async Task<bool> CheckAsync(CancellationToken cancellation)
    {
        var connection = await ConnectAsync("check", cancellation);
        try
        {
            var channel = await connection.CreateChannelAsync(cancellationToken: cancellation);
            await channel.QueueDeclarePassiveAsync(_queue, cancellation); // which looks at the name alone
            await DeclareAsync(channel, cancellation);
            return true;
        }
        catch (OperationInterruptedException e) when (e.ShutdownReason?.ReplyCode == 404)
        {
            return false;
        }
        catch (Exception e) when (IsOfTheBroker(e))
        {
            throw Failed(e);
        }
        finally
        {
            Abandon(connection);
        }
    }

    public ValueTask DisposeAsync()
    {
        Drop();
        _slots?.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <exception cref="OperationalException">The connection string cannot be read.</exception>
    internal static void Add(WebApplicationBuilder builder, string connection)
    {
        var address = Uri.TryCreate(connection, UriKind.Absolute, out var uri) && uri.Scheme is "amqp" or "amqps"
            ? uri
            : throw Settings.Refused("ConnectionStrings:RabbitMq", "must be an address like amqps://user:password@host:5671/vhost");
        builder.Services.ReviewConnection("ConnectionStrings:RabbitMq", "write amqps://", address.Scheme == "amqps", [address.Host], Password(address));
        builder.Services.AddSingleton(builder.Configuration.Read<QueueSettings>("Jobs"));
        builder.Services.AddSingleton(provider => ActivatorUtilities.CreateInstance<JobBroker>(provider, address));
        builder.Services.AddSingleton(provider => new Engine("jobs", provider.GetRequiredService<JobBroker>().Description));
    }

    private static string Password(Uri address) => address.UserInfo.Split(':', 2) is [_, var password] ? Uri.UnescapeDataString(password) : "guest"; // the client's default

    private async Task<IChannel> ChannelAsync(CancellationToken cancellation)
    {
        if (_channel is { IsOpen: true })
            return _channel;
        Drop();
        _publisher = await ConnectAsync("publisher", cancellation); // of its own: an alarm stops connections that publish
        try
        {
            _channel = await _publisher.CreateChannelAsync(new(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true), cancellation).WithinAsync(ConfirmTimeout, cancellation);
            await DeclareAsync(_channel, cancellation);
            Problem = null;
            return _channel;
        }
        catch (Exception e) when (IsOfTheBroker(e))
        {
            Drop();
            throw Failed(e);
        }
    }

    private async Task<IConnection> ConnectAsync(string purpose, CancellationToken cancellation)
    {
        var connecting = _factory.CreateConnectionAsync($"storefront {purpose}", cancellation);
        try
        {
            return await connecting.WithinAsync(ConfirmTimeout, cancellation);
        }
        catch (Exception e) when (IsOfTheBroker(e))
        {
            _ = connecting.ContinueWith(late => Abandon(late.Result), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default); // a server that was frozen
            throw Failed(e);
        }
    }

    /// <summary>Quorum queues: every job is on the disks of most nodes before it is confirmed.</summary>
    private async Task DeclareAsync(IChannel channel, CancellationToken cancellation)
    {
        var arguments = new Dictionary<string, object?> { ["x-queue-type"] = "quorum" };
        await channel.QueueDeclareAsync(_queue + ".dead", durable: true, exclusive: false, autoDelete: false, arguments, cancellationToken: cancellation);
        arguments = new(arguments)
        {
            ["x-delivery-limit"] = DeliveryLimit,
            ["x-dead-letter-exchange"] = "",
            ["x-dead-letter-routing-key"] = _queue + ".dead",
            ["x-dead-letter-strategy"] = "at-least-once",
            ["x-overflow"] = "reject-publish",
        };
        await channel.QueueDeclareAsync(_queue, durable: true, exclusive: false, autoDelete: false, arguments, cancellationToken: cancellation);
    }

    /// <returns>Null once the job is confirmed, else what went wrong.</returns>
    private async Task<Exception?> SendAsync(IChannel channel, Job job)
    {
        var properties = new BasicProperties
        {
            MessageId = job.Id,
            Type = job.Type,
            Persistent = true,
            ContentType = "application/json",
            Headers = new Dictionary<string, object?> { [AttemptHeader] = job.Attempt, [CreatedHeader] = job.CreatedAt, [TraceHeader] = job.Trace },
        };
        using var activity = Traces.StartActivity("publish", ActivityKind.Producer, parentId: job.Trace, tags: [new("messaging.system", "rabbitmq"), new("messaging.destination.name", _queue), new("messaging.message.id", job.Id)]);
        try
        {
            await channel.BasicPublishAsync("", _queue, mandatory: true, properties, job.Body);
            return null;
        }
        catch (Exception e) when (IsOfTheBroker(e))
        {
            activity?.SetStatus(ActivityStatusCode.Error);
            return e;
        }
    }

    /// <summary>Whatever somebody has put into the queue: what is no job of ours is one of no known type.</summary>
    private static Job Read(BasicDeliverEventArgs delivery)
    {
        var properties = delivery.BasicProperties;
        var headers = properties.Headers ?? new Dictionary<string, object?>();
        var body = delivery.Body.ToArray(); // the buffer is the client's, and used again
        return new Job(
            Text(properties.MessageId) is { Length: > 0 } id ? id : Fingerprint.Of([Convert.ToBase64String(body)]), Text(properties.Type), body,
            headers.TryGetValue(TraceHeader, out var trace) && trace is byte[] text ? Text(Encoding.UTF8.GetString(text)) : null,
            Number(AttemptHeader, 1, int.MaxValue), null, Number(CreatedHeader, 0, DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()));

        static string Text(string? given) => given?.Replace("\0", "", StringComparison.Ordinal) ?? ""; // PostgreSQL refuses U+0000: the job could not be recorded, and held for ever
        long Number(string name, long least, long most) => headers.TryGetValue(name, out var value) && value is long number ? Math.Clamp(number, least, most) : least;
    }

    private static string Reason(IReadOnlyBasicProperties properties) =>
        properties.Headers?.TryGetValue("x-first-death-reason", out var reason) is true && reason is byte[] text && Encoding.UTF8.GetString(text) is var why && why != "delivery_limit"
            ? $"RabbitMQ gave it up: {why}."
            : "The process ended in more deliveries of this job than RabbitMQ allows: it may be what kills it.";

    private OperationalException Failed(Exception exception)
    {
        var failure = Explain(exception);
        Problem = failure.Message;
        return failure;
    }

    private OperationalException Explain(Exception exception)
    {
        var causes = new List<Exception>();
        for (var cause = exception; cause is not null; cause = cause is AggregateException many ? many.InnerExceptions[0] : cause.InnerException)
            causes.Add(cause);
        var interrupted = causes.OfType<OperationInterruptedException>().FirstOrDefault()?.ShutdownReason;
        return Unavailable(
            causes.Exists(cause => cause is AuthenticationFailureException) || interrupted?.ReplyCode == 403 ? "RabbitMQ refuses the user or the password in ConnectionStrings__RabbitMq, or a right on the queue."
            : causes.Exists(cause => cause is AuthenticationException) ? "RabbitMQ in ConnectionStrings__RabbitMq shows no certificate that is trusted for this host, or speaks no TLS on this port."
            : interrupted?.ReplyCode == 530 ? "RabbitMQ has no virtual host of the name in ConnectionStrings__RabbitMq, or the user may not use it."
            : interrupted?.ReplyCode == 406 ? $"The queue {_queue} exists with other arguments: delete it once it is empty, or set Jobs__Queue to another name."
            : exception is PublishException { IsReturn: true } ? $"The queue {_queue} is gone; it is declared again."
            : exception is PublishException ? $"RabbitMQ takes no more jobs into the queue {_queue}."
            : causes.OfType<SocketException>().FirstOrDefault() is { } socket ? $"RabbitMQ at the address in ConnectionStrings__RabbitMq cannot be reached: {socket.SocketErrorCode}."
            : "RabbitMQ at the address in ConnectionStrings__RabbitMq does not answer.",
            exception);
    }

    private static bool IsOfTheBroker(Exception exception) =>
        exception is RabbitMQClientException or IOException or SocketException or TimeoutException or ObjectDisposedException or AuthenticationException or TaskCanceledException { InnerException: TimeoutException };

    private static OperationalException Unavailable(string message, Exception? inner) => new(Failure.Unavailable, message, inner);

    private void Drop()
    {
        Abandon(_publisher);
        (_publisher, _channel) = (null, null);
    }

    /// <summary>On a task of its own: closing waits for a server that may have gone silent.</summary>
    private static void Abandon(IConnection? connection)
    {
        if (connection is not null)
        {
            _ = Task.Run(async () =>
            {
                await connection.AbortAsync(ConnectTimeout);
                await connection.DisposeAsync();
            }).ContinueWith(task => task.Exception, TaskScheduler.Default);
        }
    }
}
