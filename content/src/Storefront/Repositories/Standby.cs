using System.Diagnostics.Metrics;

namespace Storefront.Repositories;

/// <summary>
/// The standby that answers reads which may lag: how long it takes until it has passed the place where the primary wrote. By one
/// clock, ours, and also right while nothing is written.
/// </summary>
public sealed class Standby
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Database _database;
    private readonly TimeProvider _clock;
    private (long Place, long Time) _mark;
    private TimeSpan? _lag;

    public Standby(Database database, IMeterFactory meters, TimeProvider clock)
    {
        (_database, _clock) = (database, clock);
        meters.Create("Storefront.Standby").CreateObservableGauge(
            "db.replica.lag", () => _lag is { } lag ? (Measurement<double>[])[new(lag.TotalSeconds)] : [], "s", "How far the standby that answers is behind the primary; absent while none answers.");
    }

    /// <returns>What is wrong, or null.</returns>
    public async Task<string?> CheckAsync(CancellationToken cancellation)
    {
        try
        {
            var standby = await AskAsync(mayLag: true);
            _lag = !standby.IsStandby ? null : standby.Place < _mark.Place ? _clock.GetElapsedTime(_mark.Time) : TimeSpan.Zero;
            if (_lag is { Ticks: 0 })
                _mark = ((await AskAsync(mayLag: false)).Place, _clock.GetTimestamp());
            return _lag is null ? "No standby answers: the primary answers all reads." : _lag > Patience ? $"The standby is more than {Patience.TotalSeconds} s behind the primary." : null;
        }
        catch (OperationalException)
        {
            _lag = null;
            return "No host of the database answers.";
        }

        async Task<Position> AskAsync(bool mayLag) => (await _database.QueryAsync<Position>(
            "SELECT pg_is_in_recovery() AS is_standby, (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0')::bigint AS place",
            null, cancellation, mayLag ? _ => true : null)).Single();
    }

    private sealed record Position(bool IsStandby, long Place);
}
