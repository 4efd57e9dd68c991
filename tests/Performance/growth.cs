// What a job and an order cost the database, with few of them in it and with many: dotnet run tests/Performance/growth.cs
// On PostgreSQL where TEST_DATABASE names a server, else on SQLite in a temporary file. The tables in README.md are its output.
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
using Storefront.Services;

const int Rounds = 300;
var server = Environment.GetEnvironmentVariable("TEST_DATABASE");
var name = $"growth_{Guid.NewGuid():N}";
var folder = Directory.CreateTempSubdirectory("growth-").FullName;
var connectionString = server is null ? $"Data Source={folder}/growth.db" : $"{server};Database={name}";
if (server is not null)
    await ExecuteAsync(new NpgsqlConnection(server), $"CREATE DATABASE {name}");
var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = Environments.Production });
builder.Logging.ClearProviders();
(builder.Configuration["ConnectionStrings:Database"], builder.Configuration["Payments:BaseUrl"]) = (connectionString, "https://payments.test");
builder.AddRepositories();
builder.AddServices();
var app = builder.Build();
var (database, outbox) = (app.Services.GetRequiredService<Database>(), app.Services.GetRequiredService<Outbox>());
await app.Services.GetRequiredService<Migrator>().MigrateAsync(default);

Console.WriteLine($"{(server is null ? "SQLite" : "PostgreSQL")}, {Environment.ProcessorCount} cores, {Rounds} rounds each, median in ms");
Console.WriteLine();
Console.WriteLine("| waiting jobs | add one | take one and end it | take 100 and end them | measure | jobs/s by batches |");
Console.WriteLine("|---|---|---|---|---|---|");
foreach (var waiting in (int[])[1, 10_000, 1_000_000])
{
    await FillOutboxAsync(waiting);
    var add = await MedianAsync(() => database.WriteAsync(
        async session =>
        {
            await outbox.AddAsync(session, Guid.CreateVersion7().ToString(), "type", "{}"u8.ToArray());
            return true;
        },
        default));
    var one = await MedianAsync(() => TakeAsync(1));
    var hundred = await MedianAsync(() => TakeAsync(100), before: () => waiting < 10_000 ? FillOutboxAsync(100) : Task.CompletedTask, rounds: 30);
    var measure = await MedianAsync(() => outbox.MeasureAsync(default), rounds: 30);
    Console.WriteLine(FormattableString.Invariant($"| {waiting:N0} | {add:0.00} | {one:0.00} | {hundred:0.0} | {measure:0.00} | {100_000 / hundred:N0} |"));
}

await FillOutboxAsync(1);
await ExecuteAsync(Connect(), "INSERT INTO products VALUES ('TEA-1', 'Tea', 1250, 'EUR', 1)");
var orders = app.Services.GetRequiredService<OrderService>();
Console.WriteLine();
Console.WriteLine("| orders of one owner | place one | read one | first page of 20 | a page in the middle | the last page |");
Console.WriteLine("|---|---|---|---|---|---|");
var filled = 0;
foreach (var count in (int[])[1000, 100_000, 1_000_000])
{
    await FillOrdersAsync(filled, count);
    filled = count;
    var middle = $"{count / 2:D36}";
    var place = await MedianAsync(() => orders.PlaceAsync("ann", Guid.NewGuid().ToString(), [("TEA-1", 2)], default));
    var one = await MedianAsync(() => orders.GetAsync(middle, "ann", default));
    var first = await MedianAsync(() => orders.ListAsync("ann", null, null, 20, default));
    var deep = await MedianAsync(() => orders.ListAsync("ann", null, middle, 20, default));
    var last = await MedianAsync(() => orders.ListAsync("ann", null, $"{21:D36}", 20, default));
    Console.WriteLine(FormattableString.Invariant($"| {count:N0} | {place:0.00} | {one:0.00} | {first:0.00} | {deep:0.00} | {last:0.00} |"));
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

async Task FillOutboxAsync(int count)
{
    await ExecuteAsync(Connect(), "DELETE FROM outbox");
    await ExecuteAsync(
        Connect(),
        $"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) INSERT INTO outbox (id, type, body, available_at, created_at) SELECT 'job' || i, 'type', {(server is null ? "x''" : "''")}, i, 0 FROM n");
    if (server is not null)
        await ExecuteAsync(Connect(), "VACUUM ANALYZE outbox"); // as autovacuum does; in SQLite nobody does
}

async Task FillOrdersAsync(int from, int to)
{
    var numbers = $"WITH RECURSIVE n(i) AS (SELECT {from + 1} UNION ALL SELECT i + 1 FROM n WHERE i < {to})";
    var id = server is null ? "printf('%036d', i)" : "lpad(i::text, 36, '0')";
    await ExecuteAsync(Connect(), $"{numbers} INSERT INTO orders (id, owner, idempotency_key, fingerprint, status, amount, currency, created_at) SELECT {id}, 'ann', 'key' || i, '', 'paid', 1250, 'EUR', i FROM n");
    await ExecuteAsync(Connect(), $"{numbers} INSERT INTO order_items (order_id, line, sku, quantity, price) SELECT {id}, 0, 'TEA-1', 1, 1250 FROM n");
    if (server is not null)
        await ExecuteAsync(Connect(), "VACUUM ANALYZE orders, order_items"); // as autovacuum does
}

DbConnection Connect() => server is null ? new SqliteConnection(connectionString) : new NpgsqlConnection(connectionString);

static async Task ExecuteAsync(DbConnection connection, string sql)
{
    await using (connection)
        await connection.ExecuteAsync(sql, commandTimeout: 600);
}
