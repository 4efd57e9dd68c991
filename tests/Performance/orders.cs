// What an order costs with few orders in the database and with many: dotnet run tests/Performance/orders.cs
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
using Storefront.Services;

const int Rounds = 300;
var server = Environment.GetEnvironmentVariable("TEST_DATABASE");
var name = $"orders_{Guid.NewGuid():N}";
var folder = Directory.CreateTempSubdirectory("orders-").FullName;
var connectionString = server is null ? $"Data Source={folder}/orders.db" : $"{server};Database={name}";
if (server is not null)
    await ExecuteAsync(new NpgsqlConnection(server), $"CREATE DATABASE {name}");
var builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = Environments.Production });
builder.Logging.ClearProviders();
(builder.Configuration["ConnectionStrings:Database"], builder.Configuration["Payments:BaseUrl"]) = (connectionString, "https://payments.test");
builder.AddRepositories();
builder.AddServices();
var app = builder.Build();
await app.Services.GetRequiredService<Migrator>().MigrateAsync(default);
await ExecuteAsync(Connect(), "INSERT INTO products VALUES ('TEA-1', 'Tea', 1250, 'EUR', 1)");
using var scope = app.Services.CreateScope();
var orders = scope.ServiceProvider.GetRequiredService<OrderService>();

Console.WriteLine($"{(server is null ? "SQLite" : "PostgreSQL")}, {Environment.ProcessorCount} cores, {Rounds} rounds each, median in ms");
Console.WriteLine();
Console.WriteLine("| orders of one owner | place one | read one | first page of 20 | a page in the middle | the last page |");
Console.WriteLine("|---|---|---|---|---|---|");
var filled = 0;
foreach (var count in (int[])[1000, 100_000, 1_000_000])
{
    await FillAsync(filled, count);
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

static async Task<double> MedianAsync(Func<Task> work)
{
    var times = new List<double>();
    for (var round = 0; round < Rounds; round++)
    {
        var started = Stopwatch.GetTimestamp();
        await work();
        times.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
    }
    return times.Order().ElementAt(Rounds / 2);
}

async Task FillAsync(int from, int to)
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
