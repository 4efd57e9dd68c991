using System.Net;
//#if (auth == "jwt")
using System.Net.Http.Headers;
//#endif
using System.Text.RegularExpressions;

namespace EndToEnd;

public sealed class SecurityEventTests
{
    [Fact, Trait("Readiness", "59")]
    public async Task Each_kind_of_refusal_is_one_line_with_an_id_and_every_one_is_counted()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("Limits__Burst=30", "Limits__RequestsPerSecond=1");
        using var http = site.Client(service);

        //#if (auth == "jwt")
        await RepeatAsync(3, HttpStatusCode.Unauthorized, () => GetAsync(Operations.Path, null));
        await RepeatAsync(2, HttpStatusCode.Forbidden, () => GetAsync(Operations.Path, "powerless"));
        await RepeatAsync(20, HttpStatusCode.BadRequest, () => GetAsync(Operations.Path + "?q=%00", "clumsy"));
        //#endif
        await RepeatAsync(20, HttpStatusCode.BadRequest, () => GetAsync(Operations.Path + "?q=%00", "searching"));
        (await CountAsync("ManyBadRequests")).Should().Be(0);
        await RepeatAsync(4, HttpStatusCode.BadRequest, () => GetAsync(Operations.Path + "?q=%00", "searching"));
        for (var i = 0; i < 2; i++)
        {
            await using var wire = await site.ConnectAsync(service);
            await wire.SendAsync($"GET {Operations.Path} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n");
            (await wire.ReceiveAsync("\r\n")).Should().StartWith("HTTP/1.1 400");
        }
        await RepeatAsync(2, HttpStatusCode.OK, () => GetAsync(Operations.Path, "forger", ("X-Forwarded-For", "6.6.6.6")));
        var greedy = await Task.WhenAll(Enumerable.Range(0, 45).Select(_ => GetAsync(Operations.Path, "greedy")));
        greedy.Should().Contain(HttpStatusCode.TooManyRequests);

        foreach (var (name, id, count, user) in new (string, int, int, string?)[]
        {
            //#if (auth == "jwt")
            ("Unauthenticated", 30, 3, null), ("Forbidden", 31, 2, "powerless"),
            //#endif
            ("TooManyRequests", 32, greedy.Count(status => status == HttpStatusCode.TooManyRequests), "greedy"),
            ("ManyBadRequests", 33, 4, "searching"), ("ForeignHost", 34, 2, null), ("ForgedAddress", 35, 2, "forger"),
        })
        {
            await Eventually.TrueAsync(async () => await CountAsync(name) >= count); // an event comes after the answer
            (await CountAsync(name)).Should().Be(count, name);
            await service.LineAsync(line => line.Is(name));
            var line = service.Log.Should().ContainSingle(line => line.Is(name), "a caller cannot fill the log").Subject;
            line.GetProperty("eventId").GetInt32().Should().Be(id);
            line.Text("level").Should().Be("Warning");
            line.Text("client").Should().Be("127.0.0.1");
            //#if (auth == "jwt")
            line.Text("userId").Should().Be(user ?? "");
            //#endif
            line.Text("traceId").Should().NotBeNullOrEmpty();
        }
        (await service.LineAsync(line => line.Is("ManyBadRequests"))).Text("route").Should().StartWith(Operations.Path);

        async Task<HttpStatusCode> GetAsync(string path, string? user, params (string Name, string Value)[] headers)
        {
            using var message = new HttpRequestMessage(HttpMethod.Get, path);
            //#if (auth == "jwt")
            http.DefaultRequestHeaders.Authorization = null;
            message.Headers.Authorization = user is null ? null : new AuthenticationHeaderValue("Bearer", site.Provider.Token(user, user == "powerless" ? "other:write" : null));
            //#endif
            Array.ForEach(headers, header => message.Headers.Add(header.Name, header.Value));
            using var answer = await http.SendAsync(message);
            return answer.StatusCode;
        }

        async Task<int> CountAsync(string kind) =>
            Regex.Match(await http.GetStringAsync("/metrics"), $@"^security_events_total{{[^}}]*kind=""{kind}""[^}}]*}} (\d+)", RegexOptions.Multiline) is { Success: true } match ? int.Parse(match.Groups[1].Value, null) : 0;
    }

    private static async Task RepeatAsync(int times, HttpStatusCode status, Func<Task<HttpStatusCode>> call)
    {
        for (var i = 0; i < times; i++)
            (await call()).Should().Be(status);
    }
}
