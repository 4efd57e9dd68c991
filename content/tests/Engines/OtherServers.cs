//#if (jobs == "rabbitmq")
using RabbitMQ.Client;
using Testcontainers.RabbitMq;
//#endif
//#if (cache == "redis")
using Testcontainers.Redis;
//#endif

namespace Engines;

/// <summary>The servers beside the database that the tests of a run share, and what on them is one test's own.</summary>
internal static class OtherServers
{
    //#if (cache == "redis")
    private static readonly Lazy<Task<string>> RedisAddress = RealEngines.Find(
        "TEST_REDIS", RedisServer.Available, () => new RedisServer(), () => new RedisBuilder("redis:8-alpine").Build(), container => container.GetConnectionString());

    //#endif
    //#if (jobs == "rabbitmq")
    private static readonly Lazy<Task<string>> RabbitAddress = RealEngines.Find(
        "TEST_RABBITMQ", RabbitServer.Available, () => new RabbitServer(), () => new RabbitMqBuilder("rabbitmq:4-alpine").Build(), container => container.GetConnectionString());

    //#endif
    //#if (cache == "redis")
    public static Task<string> Redis => RedisAddress.Value;

    //#endif
    public static async Task StartAsync()
    {
        //#if (cache == "redis")
        await Redis;
        //#endif
        //#if (jobs == "rabbitmq")
        await RabbitAddress.Value;
        //#endif
    }

    /// <summary>For the service, once the servers are started.</summary>
    public static IEnumerable<(string Key, string Value)> Settings(string test) =>
    [
        //#if (cache == "redis")
        ("ConnectionStrings:Redis", Redis.Result),
        ("Redis:Prefix", test),
        //#endif
        //#if (jobs == "rabbitmq")
        ("ConnectionStrings:RabbitMq", RabbitAddress.Value.Result),
        ("Jobs:Queue", Queue(test)),
        //#endif
    ];
    //#if (jobs == "rabbitmq")

    public static async Task ForgetAsync(string test)
    {
        await using var connection = await new ConnectionFactory { Uri = new Uri(await RabbitAddress.Value) }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        foreach (var queue in (string[])[Queue(test), Queue(test) + ".dead"])
            await channel.QueueDeleteAsync(queue);
    }

    private static string Queue(string test) => test.Replace('_', '.');
    //#endif
}
