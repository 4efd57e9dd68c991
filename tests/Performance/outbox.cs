// What a job costs the database, with few jobs waiting and with many: dotnet run tests/Performance/outbox.cs
// On PostgreSQL where TEST_DATABASE names a server, else on SQLite in a temporary file. The table in README.md is its output.
#:sdk Microsoft.NET.Sdk.Web
#:property TargetFramework=net10.0
#:property ManagePackageVersionsCentrally=false
#:property PublishAot=false
#:project ../../content/src/Storefront/Storefront.csproj

using System.Data.Common;
using System.Diagnostics;
using Dapper;
using Microsoft.Data.Sqlite;
using Npgsql;
using Storefront.Repositories;

const int Rounds = 300;
var server = Environment.GetEnvironmentVariable("TEST_DATABASE");
var name = $"outbox_{Guid.NewGuid():N}";
var folder = Directory.CreateTempSubdirectory("outbox-").FullName;
var connectionString = server is null ? $"Data Source={folder}/outbox.db" : $"{server};Database={name}";
if (server is not null)
    await ExecuteAsync(new NpgsqlConnection(server), $"CREATE DATABASE {name}");
var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = Environments.Production });
builder.Logging.ClearProviders();
(builder.Configuration["ConnectionStrings:Database"], builder.Configuration["Payments:BaseUrl"]) = (connectionString, "https://payments.test");
builder.AddRepositories();
var app = builder.Build();
var (database, outbox) = (app.Services.GetRequiredService<Database>(), app.Services.GetRequiredService<Outbox>());
await app.Services.GetRequiredService<Migrator>().MigrateAsync(default);

Console.WriteLine($"{(server is null ? "SQLite" : "PostgreSQL")}, {Environment.ProcessorCount} cores, {Rounds} rounds each, median in ms");
Console.WriteLine();
Console.WriteLine("| waiting jobs | add one | take one and end it | take 100 and end them | measure | jobs/s by batches |");
Console.WriteLine("|---|---|---|---|---|---|");
foreach (var waiting in (int[])[1, 10_000, 1_000_000])
{
    await FillAsync(waiting);
    var add = await MedianAsync(() => database.WriteAsync(
        async session =>
        {
            await outbox.AddAsync(session, Guid.CreateVersion7().ToString(), "type", "{}"u8.ToArray());
            return true;
        },
        default));
    var one = await MedianAsync(() => TakeAsync(1));
    var hundred = await MedianAsync(() => TakeAsync(100), before: () => waiting < 10_000 ? FillAsync(100) : Task.CompletedTask, rounds: 30);
    var measure = await MedianAsync(() => outbox.MeasureAsync(default), rounds: 30);
    Console.WriteLine(FormattableString.Invariant($"| {waiting:N0} | {add:0.00} | {one:0.00} | {hundred:0.0} | {measure:0.00} | {100_000 / hundred:N0} |"));
}

await app.DisposeAsync();
if (server is not null)
    await ExecuteAsync(new NpgsqlConnection(server), $"DROP DATABASE {name} WITH (FORCE)");
Directory.Delete(folder, recursive: true);

async Task TakeAsync(int count) => await outbox.EndAsync(await outbox.ClaimAsync(count, TimeSpan.FromMinutes(1), default), default);

static async Task<double> MedianAsync(Func<Task> work, Func<Task>? before = null, int rounds = Rounds)
{
    var times = new List<double>();
    for (var round = 0; round < rounds; round++)
    {
        await (before?.Invoke() ?? Task.CompletedTask);
        var started = Stopwatch.GetTimestamp();
        await work();
        times.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
    }
    return times.Order().ElementAt(rounds / 2);
}

async Task FillAsync(int count)
{
    await ExecuteAsync(Connect(), "DELETE FROM outbox");
    await ExecuteAsync(
        Connect(),
        $"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) INSERT INTO outbox (id, type, body, available_at, created_at) SELECT 'job' || i, 'type', {(server is null ? "x''" : "''")}, i, 0 FROM n");
    if (server is not null)
        await ExecuteAsync(Connect(), "VACUUM ANALYZE outbox"); // as autovacuum does; in SQLite nobody does
}

DbConnection Connect() => server is null ? new SqliteConnection(connectionString) : new NpgsqlConnection(connectionString);

static async Task ExecuteAsync(DbConnection connection, string sql)
{
    await using (connection)
        await connection.ExecuteAsync(sql, commandTimeout: 600);
}
