//#if (jobs != "none")
using System.Collections.Concurrent;
//#endif
using System.Net;
//#if (jobs != "none")
using Dapper;
//#endif

namespace EndToEnd.Faults;

//#if (jobs != "none")
/// <summary>What the processes of a fleet have to do: the job that only tests have.</summary>
//#endif
internal sealed partial class Fleet
{
    //#if (jobs != "none")
    /// <summary>How many jobs follow from one that is placed.</summary>
    public const int JobsEach = 1;

    /// <summary>The body of a job as it is placed.</summary>
    public const string Body = """{"name":"any"}""";

    /// <summary>The setting with which what is placed waits.</summary>
    public static readonly string[] Later = [];

    /// <summary>A provider that the test holds is not given up meanwhile.</summary>
    private static readonly string[] Patient = [];

    private readonly ConcurrentQueue<string> _placed = new();

    //#endif
    public async Task MigrateAsync()
    {
        (await RunAsync("migrate")).ExitCode.Should().Be(0);
        //#if (jobs != "none")
        Execute(TestJob.Table);
        //#endif
    }
    //#if (jobs != "none")

    public Task<IReadOnlyList<string>> PlaceAsync(ServiceProcess api, int count) => PlaceAsync(count, at: 0);

    /// <summary>What is placed here waits.</summary>
    public Task<IReadOnlyList<string>> PlaceLaterAsync(ServiceProcess api, int count) => PlaceAsync(count, at: long.MaxValue / 2);

    private async Task<IReadOnlyList<string>> PlaceAsync(int count, long at)
    {
        var keys = Enumerable.Range(0, count).Select(_ => Guid.NewGuid().ToString()).ToList();
        await using var connection = await _source.OpenConnectionAsync();
        foreach (var key in keys)
        {
            await connection.ExecuteAsync(TestJob.Insert, new { key, body = TestJob.Body, trace = (string?)null, at });
            _placed.Enqueue(key);
        }
        return keys;
    }

    /// <returns>The keys of the jobs whose effect is in the database.</returns>
    public IReadOnlyList<string> Done() => Query<string>("SELECT key FROM effects");

    /// <summary>Waits until every job is done, and nothing waits anywhere: then each must have happened once.</summary>
    /// <param name="keys">All there must be; null for all that were placed.</param>
    public async Task SettledOnceAsync(IEnumerable<string>? keys)
    {
        var all = (keys ?? _placed).ToList();
        await Eventually.TrueAsync(() => Value<long>("SELECT count(*) FROM effects") >= all.Count && Value<long>("SELECT count(*) FROM outbox") == 0);
        //#if (jobs == "rabbitmq")
        if (_rabbit is not null)
            await Eventually.TrueAsync(async () => await MessagesAsync() == 0); // also those that come twice
        //#endif
        Done().Should().BeEquivalentTo(all, "a job that counts twice has two effects");
        Value<long>("SELECT count(*) FROM inbox").Should().Be(all.Count);
        Site.Provider.Calls.Select(call => call.Key).Distinct().Should().BeEquivalentTo(all);
    }

    /// <summary>What <see cref="Reads.Caller"/> does makes no job.</summary>
    public Task SettledOnceAsync() => SettledOnceAsync(null);
    //#endif
}

internal static class Reads
{
    /// <summary>No read gets its answer until what is returned ends: from here on the clock of the database, which is what is read, waits for a table.</summary>
    public static async Task<IAsyncDisposable> LockReadsAsync(this Site site)
    {
        await site.ExecuteAsync("""
            CREATE TABLE gate (id INT);
            CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 FROM public.gate; RETURN pg_catalog.clock_timestamp(); END $$;
            """);
        return await site.LockAsync("gate");
    }

    /// <summary>What a caller does without a pause.</summary>
    /// <returns>What went wrong, or null.</returns>
    public static Func<int, Task<string?>> Caller(this Fleet _, HttpClient http) => async number =>
    {
        using var answer = await http.GetAsync(Operations.Path, CancellationToken.None); // what was begun is finished
        return answer.StatusCode == HttpStatusCode.OK ? null : $"{(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(CancellationToken.None)}";
    };
}
