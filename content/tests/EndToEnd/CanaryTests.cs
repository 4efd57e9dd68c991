using System.Net;
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
            //#if (jobs != "none")
            .. Operations.ProviderSettings.Select(key => $"{key}={site.Provider.Address.Replace("://", $"://u:{Password}@", StringComparison.Ordinal)}"),
            //#endif
        ]);
        using var http = site.Client(service);
        var seen = new StringBuilder();

        await site.BeginAsync(http);
        foreach (var canary in (string[])[Token, Password, Mail])
        {
            foreach (var request in Operations.Requests(canary))
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
        collector.Texts("/v1/traces").Should().Contain(text => text.Contains(Operations.Path), "else nothing was traced");
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

        foreach (var path in (string[])[Operations.Path, "/health/ready", "/metrics"])
            seen.AppendLine(await (await http.GetAsync(path)).Content.ReadAsStringAsync());
        foreach (var verb in (string[][])[["check"], ["check", "--json"], ["jobs"]])
            seen.AppendLine((await site.RunAsync(verb, settings)).Output);
        service.Terminate();
        await service.ExitAsync();

        seen.AppendJoin('\n', service.Lines).ToString().Should().Contain("ConnectionStrings__Database");
        Around(seen.ToString()).Should().BeEmpty();
    }

    /// <summary>Where the canary sits.</summary>
    private static IEnumerable<string> Around(string text)
    {
        for (var at = -1; (at = text.IndexOf("canary", at + 1, StringComparison.OrdinalIgnoreCase)) >= 0;)
            yield return text[Math.Max(0, at - 200)..Math.Min(text.Length, at + 100)];
    }
}
