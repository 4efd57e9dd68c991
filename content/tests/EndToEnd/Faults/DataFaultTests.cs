using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;

namespace EndToEnd.Faults;

/// <summary>PostgreSQL away, killed, and full.</summary>
public sealed class DataFaultTests(FleetServers servers) : IClassFixture<FleetServers>
{
    private const int Orders = 520;

    [Fact, Trait("Readiness", "38")]
    public async Task A_thousand_jobs_outlive_a_database_that_is_killed_and_an_order_is_answered_if_and_only_if_it_is_kept_with_its_job()
    {
        await using var fleet = await servers.FleetAsync();
        await using var api = await fleet.ServeApiAsync();
        await using var worker = await fleet.ServeWorkerAsync("Jobs__BackoffSeconds=0.5", "Jobs__TimeoutSeconds=15"); // and a lease of 30 s: what ran when it was killed comes again once that is over
        using var http = fleet.Site.Client(api);
        var (accepted, refused) = (new ConcurrentBag<string>(), new ConcurrentBag<HttpStatusCode>());
        var placing = Enumerable.Range(0, 8).Select(_ => PlaceAsync()).ToList();

        foreach (var orders in (int[])[100, 300])
        {
            await Eventually.TrueAsync(() => accepted.Count >= orders);
            var before = refused.Count;
            servers.Postgres.Kill();
            await Eventually.TrueAsync(() => refused.Count > before);
            await servers.Postgres.StartAsync();
            fleet.Reconnect();
        }

        await Task.WhenAll(placing);
        await fleet.SettledOnceAsync(null);
        accepted.Should().BeSubsetOf(fleet.Query<string>("SELECT id FROM orders"));
        accepted.Should().OnlyHaveUniqueItems();
        refused.Distinct().Should().Equal(HttpStatusCode.ServiceUnavailable);
        worker.Log.Should().NotContain(line => line.Is("Died"));
        worker.Log.Where(line => line.Is("Failed")).Should().NotContain(line => line.GetProperty("attempt").GetInt32() > 3, "an outage uses up no attempts");

        async Task PlaceAsync()
        {
            while (accepted.Count < Orders)
            {
                using var answer = await http.TryOrderAsync();
                if (answer.StatusCode == HttpStatusCode.Created)
                    accepted.Add(await answer.OrderIdAsync());
                else
                    refused.Add(answer.Headers.RetryAfter is null ? 0 : answer.StatusCode);
            }
        }
    }

    [Fact, Trait("Readiness", "33"), Trait("Readiness", "35")]
    public async Task Without_the_database_it_lives_unready_and_serves_as_soon_as_the_database_is_there()
    {
        await using var postgres = new PostgresServer("s3cret");
        await using var fleet = await Fleet.CreateAsync(postgres.ConnectionString);
        await using var service = await fleet.ServeAsync();
        using var http = fleet.Site.Client(service);

        (await http.GetAsync("/health/live")).StatusCode.Should().Be(HttpStatusCode.OK);
        var (status, body) = await fleet.ReadyAsync(service);
        status.Should().Be(HttpStatusCode.ServiceUnavailable);
        body.Should().Contain("database").And.NotContain("Host=").And.NotContain($"{postgres.Port}");
        using (var answer = await http.TryOrderAsync())
        {
            answer.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
            answer.Headers.RetryAfter.Should().NotBeNull();
        }

        await postgres.StartAsync();
        await fleet.MigrateAsync();

        await Eventually.TrueAsync(async () => (await fleet.ReadyAsync(service)).Status == HttpStatusCode.OK);
        await fleet.SettledOnceAsync(await fleet.PlaceAsync(service, 10));
        service.Log.Should().Contain(line => line.Text("level") == "Warning" && line.Text("message")!.Contains("ConnectionStrings__Database", StringComparison.Ordinal));
        string.Concat(service.Lines).Should().NotContain("s3cret");
    }

    [Fact, Trait("Readiness", "38")]
    public async Task On_a_full_disk_orders_are_refused_and_reads_go_on_until_there_is_room()
    {
        using var disk = new SmallDisk();
        await using var postgres = new PostgresServer();
        await postgres.StartAsync();
        await PostgresDatabases.ExecuteAsync(postgres.ConnectionString, $"CREATE TABLESPACE small LOCATION '{disk.Path}'");
        await PostgresDatabases.ExecuteAsync(postgres.ConnectionString, "CREATE DATABASE full_disk TABLESPACE small");
        await using var fleet = await Fleet.CreateAsync(postgres.To("full_disk"));
        await fleet.MigrateAsync();
        await using var service = await fleet.ServeAsync();
        using var http = fleet.Site.Client(service);
        var orders = new List<string>(await fleet.PlaceAsync(service, 10));

        disk.Fill();
        await Eventually.TrueAsync(async () => // the pages that are there have room for some
        {
            using var answer = await http.TryOrderAsync();
            if (answer.StatusCode == HttpStatusCode.Created)
                orders.Add(await answer.OrderIdAsync());
            else
                (answer.StatusCode, answer.Headers.RetryAfter is null).Should().Be((HttpStatusCode.ServiceUnavailable, false));
            return answer.StatusCode == HttpStatusCode.ServiceUnavailable;
        });
        (await http.GetAsync("/v1/products/TEA-1")).StatusCode.Should().Be(HttpStatusCode.OK);
        (await http.GetAsync($"/v1/orders/{orders[0]}")).StatusCode.Should().Be(HttpStatusCode.OK);
        (await fleet.ReadyAsync(service)).Status.Should().Be(HttpStatusCode.OK);
        service.Log.Should().Contain(line => line.Text("message")!.Contains("The disk of PostgreSQL is full.", StringComparison.Ordinal));
        disk.MakeRoom();

        orders.AddRange(await fleet.PlaceAsync(service, 10));
        await fleet.SettledOnceAsync(orders);
        service.Log.Should().NotContain(line => line.Is("Died"));
    }

    /// <summary>A disk of 32 MB in memory.</summary>
    private sealed class SmallDisk : IDisposable
    {
        public SmallDisk()
        {
            var mounted = Run($"mount -t tmpfs -o size=32m,mode=755 tmpfs {Path} && chown postgres: {Path}");
            if (!mounted)
                Directory.Delete(Path);
            Assert.SkipUnless(mounted, "A disk that is full needs the right to mount one.");
        }

        public string Path { get; } = Directory.CreateTempSubdirectory("storefront-disk-").FullName;

        public void Fill()
        {
            try
            {
                File.WriteAllBytes(Filler, new byte[64 * 1024 * 1024]);
            }
            catch (IOException) // as it shall be
            {
            }
        }

        public void MakeRoom() => File.Delete(Filler);

        public void Dispose()
        {
            Run($"umount -l {Path}");
            Directory.Delete(Path);
        }

        private string Filler => System.IO.Path.Combine(Path, "filler");

        private static bool Run(string command)
        {
            using var process = Process.Start(new ProcessStartInfo("sh", ["-c", command]) { RedirectStandardError = true })!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
    }
}
