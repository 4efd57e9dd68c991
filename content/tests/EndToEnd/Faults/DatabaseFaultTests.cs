using System.Net;
//#if (sample)
using System.Net.Http.Json;
using System.Text.Json;
//#endif
using Dapper;

namespace EndToEnd.Faults;

public sealed class DatabaseFaultTests
{
    //#if (sample)
    /// <summary>What a statement fails with, and what the caller is told: that it was his fault, or when to come again.</summary>
    private static readonly (int Status, string[] States)[] Answers =
    [
        (409, ["23505"]), // another one is there
        (422, ["23503"]), // the other one is not there
        (400, ["23514", "22001", "22003", "22P02", "22021"]), // no value for this column
        (503, ["57014", "55P03", "25006", "0A000", "42501"]), // too slow, locked, a standby, an old plan, no right
        (503, ["53300", "53100", "57P03", "58030"]), // no connection, no disk, starting, failing
        (503, ["40001", "40P01", "57P01"]), // again and again
        (500, ["42P01", "XX000"]), // a fault of ours stays one
    ];

    [Fact, Trait("Readiness", "11")]
    public async Task What_PostgreSQL_refuses_is_the_callers_fault_or_passes_and_a_500_only_where_we_are_wrong()
    {
        await using var site = await Site.CreateAsync();
        await site.ExecuteAsync("""
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'as the test wants it' USING ERRCODE = substr(NEW.name, 6); END $$;
            CREATE TRIGGER fail BEFORE INSERT ON products FOR EACH ROW WHEN (NEW.name LIKE 'Fail %') EXECUTE FUNCTION fail();
            """);
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);

        var expected = Answers.SelectMany(each => each.States.Select(state => (state, each.Status))).ToDictionary();
        var answers = new Dictionary<string, int>();
        foreach (var state in expected.Keys)
        {
            using var answer = await http.PutAsync("TEA-1", "Fail " + state);
            answers[state] = (int)answer.StatusCode;
            answer.Headers.Contains("Retry-After").Should().Be(answers[state] == 503, state);
            answer.Content.Headers.ContentType!.MediaType.Should().Be("application/problem+json");
            (await answer.Content.ReadAsStringAsync()).Should().NotContain("as the test wants it");
        }

        answers.Should().Equal(expected);
        await http.PutProductAsync();
        await service.LineAsync(line => line.Text("status") == "201");
        service.Log.Where(line => line.Text("level") == "Error").Should().HaveCount(2);
    }

    [Theory]
    [InlineData("RAISE EXCEPTION USING ERRCODE = '40001'")]
    [InlineData("RAISE EXCEPTION USING ERRCODE = '40P01'")]
    [InlineData("PERFORM pg_terminate_backend(pg_backend_pid())")]
    public async Task What_PostgreSQL_took_back_is_done_again(string failure)
    {
        await using var site = await Site.CreateAsync();
        await site.ExecuteAsync($"""
            CREATE SEQUENCE tries;
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('tries') = 1 THEN {failure}; END IF; RETURN NEW; END $$;
            CREATE TRIGGER fail BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION fail();
            """);
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        await http.PutProductAsync();

        await http.SettledAsync(await http.PlaceOrderAsync(), "paid");

        (await site.ValueAsync<long>("SELECT count(*) FROM orders")).Should().Be(1);
        (await site.ValueAsync<long>("SELECT last_value FROM tries")).Should().BeGreaterThan(1, "it failed once");
    }

    /// <summary>Each update holds its row until the other one holds the other row, and then wants that one.</summary>
    [Fact]
    public async Task Of_two_updates_in_each_others_way_both_are_done()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        await http.PutProductAsync("A");
        await http.PutProductAsync("B");
        await site.ExecuteAsync("""
            CREATE SEQUENCE arrived;
            CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
              PERFORM nextval('arrived');
              WHILE (SELECT last_value FROM arrived) < 2 LOOP PERFORM pg_sleep(0.01); END LOOP;
              UPDATE products SET currency = currency WHERE sku <> NEW.sku;
              RETURN NEW;
            END $$;
            CREATE TRIGGER meet AFTER UPDATE ON products FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION meet();
            """);

        var answers = await Task.WhenAll(http.PutAsync("A", "Green tea", "\"1\""), http.PutAsync("B", "Black tea", "\"1\""));

        answers.Select(answer => answer.StatusCode).Should().Equal(HttpStatusCode.OK, HttpStatusCode.OK);
        (await site.ValueAsync<string>("SELECT string_agg(name || version, ',' ORDER BY sku) FROM products")).Should().Be("Green tea2,Black tea2");
        (await site.ValueAsync<long>("SELECT last_value FROM arrived")).Should().Be(3, "one of the two was done again");
    }

    //#endif
    [Theory, Trait("Readiness", "12")]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_statement_ends_with_the_client_that_waits_for_it(bool timeout)
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("Process__Roles=api", $"Limits__RequestSeconds={(timeout ? 3 : 30)}");
        using var http = site.Client(service);
        (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK); // the first one takes its time
        await using var held = await site.LockReadsAsync();
        using var client = new CancellationTokenSource();

        var call = http.GetAsync(Operations.Path, client.Token);
        await Eventually.TrueAsync(async () => await site.WaitingAsync() == 1);
        if (timeout)
            (await call).StatusCode.Should().Be(HttpStatusCode.GatewayTimeout);
        else
            await client.CancelAsync();

        await Within(10, Eventually.TrueAsync(async () => await site.WaitingAsync() == 0)); // by itself it would end after 15 s
        await service.LineAsync(line => line.Text("status") == (timeout ? "504" : "499"));
        service.Log.Should().NotContain(line => line.Text("level") == "Error");
        await held.DisposeAsync();
        (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
    }

    [Fact, Trait("Readiness", "47")]
    public async Task With_all_connections_in_use_a_caller_is_sent_away_in_time()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync($"ConnectionStrings__Database={site.Database.ConnectionString};Maximum Pool Size=2", "Process__Roles=api");
        using var http = site.Client(service);
        var held = await site.LockReadsAsync();
        var waiting = new[] { http.GetAsync(Operations.Path), http.GetAsync(Operations.Path) };
        await Eventually.TrueAsync(async () => await site.WaitingAsync() == 2);

        var others = await Within(10, Task.WhenAll(Enumerable.Range(0, 5).Select(_ => http.GetAsync(Operations.Path))));

        others.Should().OnlyContain(answer => answer.StatusCode == HttpStatusCode.ServiceUnavailable && answer.Headers.Contains("Retry-After"));
        (await Within(10, http.GetAsync("/health/live"))).StatusCode.Should().Be(HttpStatusCode.OK);
        waiting.Should().NotContain(call => call.IsCompleted);
        (await site.ValueAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name <> ''")).Should().Be(2);
        (await http.GetStringAsync("/metrics")).Should().MatchRegex("db_client_connection_count\\{[^}]*state=\"used\"\\} 2").And.Contain("db_client_connection_npgsql_pending_requests");
        await held.DisposeAsync();
        (await Task.WhenAll(waiting)).Should().OnlyContain(answer => answer.StatusCode == HttpStatusCode.OK);
        (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
    }

    [Theory, Trait("Readiness", "47")]
    [InlineData(1, 20, false)]
    [InlineData(20, 1000, true)]
    [InlineData(1000, 20, true)]
    public async Task More_connections_than_PostgreSQL_has_are_told_at_the_start(int instances, int pool, bool tooMany)
    {
        await using var site = await Site.CreateAsync();

        await using var service = await site.ServeAsync($"Process__Instances={instances}", $"ConnectionStrings__Database={site.Database.ConnectionString};Maximum Pool Size={pool}");

        var warnings = service.Log.Where(line => line.Text("level") == "Warning").Select(line => line.Text("message"));
        warnings.Count(text => text!.Contains("Maximum Pool Size") && text.Contains("Process__Instances")).Should().Be(tooMany ? 1 : 0);
    }

    [Fact, Trait("Readiness", "46")]
    public async Task Under_ten_times_its_load_it_finishes_what_it_took_and_sends_the_rest_away_at_once()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("Process__Roles=api", "Limits__ConcurrentRequests=5"); // half of the pool: else that would send the rest away, only later
        using var http = site.Client(service);
        using var probe = site.Client(service);
        await probe.GetAsync("/health/ready");
        var held = await site.LockReadsAsync();

        var calls = Enumerable.Range(0, 50).Select(_ => http.GetAsync(Operations.Path)).ToList();
        do
        {
            (await Within(10, probe.GetAsync("/health/live"))).StatusCode.Should().Be(HttpStatusCode.OK);
            (await Within(10, probe.GetAsync("/health/ready"))).StatusCode.Should().Be(HttpStatusCode.OK);
        }
        while (calls.Count(call => call.IsCompleted) < 45);

        var refused = await Task.WhenAll(calls.Where(call => call.IsCompleted));
        refused.Should().HaveCount(45).And.OnlyContain(answer => answer.StatusCode == HttpStatusCode.ServiceUnavailable && answer.Headers.Contains("Retry-After"));
        await Eventually.TrueAsync(async () => await site.WaitingAsync() == 5); // those are taken and wait
        await held.DisposeAsync();
        (await Task.WhenAll(calls)).Count(answer => answer.StatusCode == HttpStatusCode.OK).Should().Be(5);
        (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
    }

    //#if (sample)
    /// <summary>PostgreSQL has no text with U+0000, and none that is not UTF-8: what reached it would be our fault.</summary>
    [Fact, Trait("Readiness", "7")]
    public async Task Text_that_PostgreSQL_cannot_hold_is_refused_wherever_it_comes_in()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);
        await http.PutProductAsync();
        var body = """{"name":"Tea","price":{"amount":1,"currency":"EUR"}}""";
        var order = """{"items":[{"sku":"TEA-1","quantity":1}]}""";
        var answers = new Dictionary<string, string>();

        foreach (var bad in (string[])["\0", "\u00ed\u00a0\u0080", "\u00ff"]) // bytes: U+0000, a lone surrogate as UTF-8, and nothing at all
        {
            var encoded = string.Concat(bad.Select(one => $"%{(int)one:X2}"));
            await SendAsync($"GET /v1/products?after={encoded}", "", "");
            await SendAsync($"GET /v1/products/{encoded}", "", "");
            await SendAsync($"GET /v1/orders/{encoded}", "", "");
            await SendAsync("POST /v1/orders", $"Idempotency-Key: a{bad}", order);
            await SendAsync("POST /v1/orders", "Idempotency-Key: a", order.Replace("TEA-1", "T" + bad, StringComparison.Ordinal));
            await SendAsync("PUT /v1/products/TEA-1", $"If-Match: \"1{bad}\"", body);
            await SendAsync($"PUT /v1/products/{encoded}", "If-None-Match: *", body);
            await SendAsync("PUT /v1/products/TEA-2", "If-None-Match: *", body.Replace("Tea", bad, StringComparison.Ordinal));
        }
        foreach (var bad in (string[])[@"\u0000", @"\ud800", @"\udc00\ud800"])
            await SendAsync("PUT /v1/products/TEA-2", "If-None-Match: *", body.Replace("Tea", bad, StringComparison.Ordinal));

        answers.Should().HaveCount(27).And.OnlyContain(answer => answer.Value.StartsWith("HTTP/1.1 400"));
        service.Log.Should().NotContain(line => line.Text("level") == "Error");

        async Task SendAsync(string call, string field, string content)
        {
            await using var connection = await site.ConnectAsync(service);
            await connection.SendAsync(
                $"{call} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {http.DefaultRequestHeaders.Authorization}\r\nContent-Type: application/json\r\n"
                + $"Content-Length: {content.Length}\r\n{field}{(field.Length > 0 ? "\r\n" : "")}\r\n{content}");
            answers[$"{call} {field} {content}"] = await connection.ReceiveAsync("\r\n");
        }
    }

    [Fact, Trait("Readiness", "6")]
    public async Task Lists_are_paged_by_bytes_in_a_database_that_sorts_as_people_do()
    {
        await using var site = await Site.CreateAsync(schema: false);
        await using var server = new PostgresServer();
        await server.StartAsync();
        await PostgresDatabases.ExecuteAsync(server.ConnectionString, "CREATE DATABASE sorted TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US-u-ka-shifted-kr-latn-digit'"); // hyphens do not count, digits come last
        var setting = $"ConnectionStrings__Database={server.To("sorted")}";
        (await site.RunAsync(["migrate"], setting)).ExitCode.Should().Be(0);
        await using var service = await site.ServeAsync(setting);
        using var http = site.Client(service);
        string[] skus = ["A-1", "A1", "A--2", "AB", "A-B", "B", "0-Z", "0A", "Z-9", "Z9", "Z--"];
        var orders = new List<string>();
        foreach (var sku in skus)
        {
            await http.PutProductAsync(sku);
            orders.Insert(0, await http.PlaceOrderAsync(sku));
        }

        foreach (var limit in (int[])[1, 2, 3, 100])
        {
            (await PagesAsync($"/v1/products?limit={limit}", "sku")).Should().Equal(skus.Order(StringComparer.Ordinal));
            (await PagesAsync($"/v1/orders?limit={limit}", "id")).Should().Equal(orders);
        }

        async Task<List<string>> PagesAsync(string path, string key)
        {
            var (found, next) = (new List<string>(), "");
            do
            {
                var page = await http.GetFromJsonAsync<JsonElement>(path + next);
                found.AddRange(page.GetProperty("items").EnumerateArray().Select(item => item.Text(key)!));
                next = page.GetProperty("next").ValueKind == JsonValueKind.Null ? null : $"&after={page.Text("next")}";
            }
            while (next is not null && found.Count <= skus.Length);
            return found;
        }
    }

    //#endif
    private static async Task<T> Within<T>(int seconds, Task<T> call)
    {
        await Within(seconds, (Task)call);
        return await call;
    }

    private static Task Within(int seconds, Task call) => call.WaitAsync(TimeSpan.FromSeconds(seconds));
}

internal static class Locks
{
    /// <summary>Nobody else reads or writes the table until what is returned ends.</summary>
    public static async Task<IAsyncDisposable> LockAsync(this Site site, string table)
    {
        var connection = await site.Database.OpenAsync();
        await connection.ExecuteAsync($"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        return connection;
    }

    /// <returns>How many statements wait for a lock.</returns>
    public static Task<long> WaitingAsync(this Site site) => site.ValueAsync<long>(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND wait_event_type = 'Lock'");
}
