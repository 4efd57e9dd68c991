using Storefront.Repositories;

namespace Storefront.Entry;

/// <summary>What an operator does with jobs that failed in all their attempts.</summary>
internal static class JobVerbs
{
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(IServiceProvider services, string[] args)
    {
        if (await services.GetRequiredService<Migrator>().PendingAsync(CancellationToken.None) is [var script, ..])
            throw new OperationalException(Failure.Unavailable, $"The schema lacks {script}: run the verb migrate first, or check ConnectionStrings__Database.");
        var outbox = services.GetRequiredService<Outbox>();
        return args switch
        {
            ["jobs"] or ["jobs", "list", ..] or ["jobs", ['-', ..], ..] => await ListAsync(outbox),
            ["jobs", "replay", var id, ..] => await ReplayAsync(outbox, id),
            _ => throw Verbs.Unknown(),
        };
    }

    private static async Task<int> ListAsync(Outbox outbox)
    {
        var dead = await outbox.ListDeadAsync(limit: 100, CancellationToken.None);
        foreach (var job in dead)
        {
            var since = DateTimeOffset.FromUnixTimeMilliseconds(job.CreatedAt);
            Console.WriteLine($"{job.Id}  {job.Type,-20}  {since:u}  {job.Attempt} attempts  {job.LastError?.ReplaceLineEndings(" ")}");
        }
        Console.WriteLine(dead.Count == 0 ? "No job is dead." : "Replay them: jobs replay <id>|all");
        return 0;
    }

    private static async Task<int> ReplayAsync(Outbox outbox, string id)
    {
        var replayed = await outbox.ReplayAsync(id == "all" ? null : id, CancellationToken.None);
        Console.WriteLine($"{replayed} replayed.");
        return replayed > 0 || id == "all" ? 0 : 1;
    }
}
