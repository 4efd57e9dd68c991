using RabbitMQ.Client;

namespace EndToEnd.Faults;

public sealed partial class FleetServers
{
    private RabbitServer? _rabbit;

    internal RabbitServer Rabbit => _rabbit!;

    internal async Task<Fleet> FleetAsync()
    {
        if (_rabbit is null)
            await (_rabbit = new RabbitServer()).StartAsync();
        return await FleetAsync(_rabbit);
    }

    internal async Task<Fleet> FleetAsync(RabbitServer rabbit) => await Fleet.CreateAsync(await NewDatabaseAsync(), rabbit);
}

/// <summary>With a queue of the test's own.</summary>
internal sealed partial class Fleet
{
    private RabbitServer? _rabbit;

    public string Queue => $"jobs-{Name}";

    public static async Task<Fleet> CreateAsync(string database, RabbitServer rabbit)
    {
        var fleet = await CreateAsync(database);
        fleet._rabbit = rabbit;
        return fleet;
    }

    /// <summary>Those in the queue that no worker has yet. Not by rabbitmqctl, whose figures are up to 5 s old.</summary>
    public async Task<uint> MessagesAsync()
    {
        await using var connection = await ConnectAsync();
        await using var channel = await connection.CreateChannelAsync();
        return (await channel.QueueDeclarePassiveAsync(Queue)).MessageCount;
    }

    /// <summary>A connection of the test itself.</summary>
    public Task<IConnection> ConnectAsync() => new ConnectionFactory { Uri = new Uri(_rabbit!.ConnectionString) }.CreateConnectionAsync();

    /// <summary>Puts messages into the queue, as anybody may; returns when they are in it.</summary>
    public async Task PublishAsync(IEnumerable<(BasicProperties Properties, byte[] Body)> messages)
    {
        await using var connection = await ConnectAsync();
        await using var channel = await connection.CreateChannelAsync(new(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
        await Task.WhenAll(messages.Select(message => channel.BasicPublishAsync("", Queue, mandatory: true, message.Properties, message.Body).AsTask()));
    }

    public async Task ConsumingAsync(ServiceProcess worker) => await Eventually.TrueAsync(async () => await MetricAsync(worker, "jobs_consumer_connected") == 1);
}
