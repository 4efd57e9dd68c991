using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace EndToEnd;

/// <summary>What callers and operators keep to themselves goes in everywhere and comes out nowhere: log, metrics, traces, problems, verbs.</summary>
public sealed class CanaryTests
{
    /// <summary>Of a token, a password and an address: in all of them is the word that is searched for.</summary>
    private const string Token = "canary-token-Zk9", Password = "canary-Passw0rd-Zk9", Mail = "canary.mail@shop.test";

    [Fact, Trait("Readiness", "31")]
    public async Task What_is_secret_comes_out_nowhere()
    {
        await using var site = await Site.CreateAsync();
        await using var collector = await Collector.StartAsync();
        await using var service = await site.ServeAsync(
        [
            .. collector.Settings,
            //#if (cache == "redis")
            $"ConnectionStrings__Redis=127.0.0.1:1,user=u,password={Password}",
            //#endif
            //#if (jobs == "rabbitmq")
            $"ConnectionStrings__RabbitMq=amqp://u:{Password}@127.0.0.1:1/",
            //#endif
            $"Payments__BaseUrl={site.Provider.Address.Replace("://", $"://u:{Password}@", StringComparison.Ordinal)}",
        ]);
        using var http = site.Client(service);
        var seen = new StringBuilder();

        await http.PutProductAsync();
        await http.PlaceOrderAsync();
        foreach (var canary in (string[])[Token, Password, Mail])
        {
            foreach (var request in Requests(canary))
            {
                using var answer = await http.SendAsync(request);
                if (answer.StatusCode >= HttpStatusCode.BadRequest && !request.Options.Any())
                    seen.AppendLine(await answer.Content.ReadAsStringAsync()).Append(answer.Headers).Append(answer.Content.Headers);
            }
        }
        //#if (cache == "redis")
        await service.LineAsync(line => line.Text("category")!.EndsWith(".Redis", StringComparison.Ordinal));
        //#endif
        seen.AppendLine(await http.GetStringAsync("/health/ready")).AppendLine(await http.GetStringAsync("/metrics"));
        service.Terminate();
        await service.ExitAsync();

        seen.AppendJoin('\n', service.Lines);
        collector.Received.Select(each => each.Path).Distinct().Should().BeEquivalentTo("/v1/traces", "/v1/metrics", "/v1/logs");
        collector.Texts("/v1/traces").Should().Contain(text => text.Contains("/v1/products/{sku}"), "else nothing was traced");
        seen.AppendJoin('\n', collector.Received.Select(each => each.Path).Distinct().SelectMany(collector.Texts));
        //#if (auth == "jwt")
        seen.ToString().Should().NotContainAny(http.DefaultRequestHeaders.Authorization!.Parameter!.Split('.'));
        //#endif
        Around(seen.ToString()).Should().BeEmpty();
    }

    [Fact, Trait("Readiness", "31")]
    public async Task The_password_of_a_database_that_is_away_comes_out_nowhere()
    {
        await using var site = await Site.CreateAsync();
        string[] settings =
        [
            $"ConnectionStrings__Database=Host=127.0.0.1;Port=1;Username=u;Password={Password}",
            //#if (cache == "redis")
            $"ConnectionStrings__Redis=127.0.0.1:1,password={Password}",
            //#endif
            //#if (jobs == "rabbitmq")
            $"ConnectionStrings__RabbitMq=amqp://u:{Password}@127.0.0.1:1/",
            //#endif
        ];
        await using var service = await site.ServeAsync(settings);
        using var http = site.Client(service);
        var seen = new StringBuilder();

        foreach (var path in (string[])["/v1/products", "/v1/orders", "/health/ready", "/metrics"])
            seen.AppendLine(await (await http.GetAsync(path)).Content.ReadAsStringAsync());
        foreach (var verb in (string[][])[["check"], ["check", "--json"], ["jobs"]])
            seen.AppendLine((await site.RunAsync(verb, settings)).Output);
        service.Terminate();
        await service.ExitAsync();

        seen.AppendJoin('\n', service.Lines).ToString().Should().Contain("ConnectionStrings__Database");
        Around(seen.ToString()).Should().BeEmpty();
    }

    /// <summary>The canary in every place that a request has. A caller may read the names of its own members again, and nobody else.</summary>
    private static IEnumerable<HttpRequestMessage> Requests(string canary)
    {
        var escaped = Uri.EscapeDataString(canary);
        foreach (var path in (string[])[$"/{escaped}", $"/v1/products/{escaped}", $"/v1/products/{escaped.ToUpperInvariant()}", $"/v1/orders/{escaped}", $"/v1/products?after={escaped}", $"/v1/products?limit={escaped}", $"/v1/products?q={escaped}&q={escaped}", $"/v1/orders?status={escaped}"])
            yield return new(HttpMethod.Get, path);
        foreach (var name in (string[])["Authorization", "Cookie", "Accept", "Idempotency-Key", "If-None-Match", "User-Agent", "Referer", "Origin", "X-Forwarded-For", "X-Api-Key", "traceparent", "baggage"])
            yield return With(new(HttpMethod.Get, "/v1/orders"), name, name == "baggage" ? $"user={escaped}" : canary);
        //#if (auth == "jwt")
        foreach (var scheme in (string[])["Bearer ", "Basic "])
            yield return With(new(HttpMethod.Get, "/v1/orders"), "Authorization", scheme + canary);
        //#endif
        foreach (var (name, amount, currency) in ((string, string, string)[])[($"\"{canary}\"", "1", "EUR"), ("1", "1", "EUR"), ($"\"{canary}\"", $"\"{canary}\"", "EUR"), ("\"Tea\"", "1", canary), ($"\"{canary}", "1", "EUR"), (canary, "1", "EUR")])
            yield return With(Put($$$"""{"name":{{{name}}},"price":{"amount":{{{amount}}},"currency":"{{{currency}}}"}}"""), "If-None-Match", "*");
        yield return With(Put("{}"), "If-Match", $"\"{canary}\"");
        yield return With(Put("{}", "text/" + escaped.Replace('%', 'x')), "If-None-Match", "*");
        yield return With(Post("""{"items":[{"sku":"TEA-1","quantity":1}]}"""), "Idempotency-Key", canary);
        yield return With(Post("""{"items":[{"sku":"TEA-1","quantity":2}]}"""), "Idempotency-Key", canary);
        yield return With(Post("""{"items":[{"sku":"TEA-1","quantity":2}]}"""), "Idempotency-Key", canary + " and more");
        yield return With(Post($$"""{"items":[{"sku":"{{canary.ToUpperInvariant()}}","quantity":1}]}"""), "Idempotency-Key", "1");
        var named = Post($$"""{"{{canary}}":1}""");
        named.Options.Set(new("echo"), true);
        yield return With(named, "Idempotency-Key", "1");

        static HttpRequestMessage With(HttpRequestMessage request, string name, string value)
        {
            request.Headers.TryAddWithoutValidation(name, value);
            return request;
        }

        static HttpRequestMessage Put(string body, string type = "application/json") => new(HttpMethod.Put, "/v1/products/" + Guid.NewGuid().ToString("N").ToUpperInvariant()) { Content = Body(body, type) };
        static HttpRequestMessage Post(string body) => new(HttpMethod.Post, "/v1/orders") { Content = Body(body, "application/json") };
        static StringContent Body(string body, string type) => new(body, new MediaTypeHeaderValue(type));
    }

    /// <summary>Where the canary sits.</summary>
    private static IEnumerable<string> Around(string text)
    {
        for (var at = -1; (at = text.IndexOf("canary", at + 1, StringComparison.OrdinalIgnoreCase)) >= 0;)
            yield return text[Math.Max(0, at - 200)..Math.Min(text.Length, at + 100)];
    }
}
