using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;

namespace EndToEnd;

//#if (jobs != "none")
/// <summary>The operations and jobs of this service, as the tests of what holds for all use them. The job is one that only tests have: see TestJob.</summary>
//#endif
//#if (jobs == "none")
/// <summary>The operations of this service, as the tests of what holds for all use them.</summary>
//#endif
internal static class Operations
{
    /// <summary>What any caller with a token may read.</summary>
    public const string Path = "/v1/ping";

    //#if (jobs != "none")
    /// <summary>The first of its migrations.</summary>
    public static readonly string[] Scripts = ["0003_jobs.sql"];

    public const string Job = TestJob.Name;
    public const string Failure = "The provider answered 500.";

    //#endif
    //#if (jobs != "none")
    /// <summary>What a trace has of a call and all that follows from it.</summary>
    public static readonly string[] Spans = ["GET /v1/ping", Job, "POST"];
    //#endif
    //#if (jobs == "none")
    /// <summary>What a trace has of a call.</summary>
    public static readonly string[] Spans = ["GET /v1/ping"];
    //#endif

    //#if (jobs != "none")
    /// <summary>The names of the settings that name a provider.</summary>
    public static readonly string[] ProviderSettings = [];

    /// <summary>With them comes the job, and in PostgreSQL a function of the test's own may stand before one of the system's.</summary>
    public static (string Key, string Value)[] Settings(Provider provider) =>
        [("PGOPTIONS", "-c search_path=public,pg_catalog"), (TestJob.Provider, provider.Address), ("DOTNET_STARTUP_HOOKS", typeof(TestJob).Assembly.Location), ("ASPNETCORE_HOSTINGSTARTUPASSEMBLIES", typeof(TestJob).Assembly.GetName().Name!)];

    //#endif
    //#if (jobs == "none")
    /// <summary>In PostgreSQL a function of the test's own may stand before one of the system's.</summary>
    public static (string Key, string Value)[] Settings => [("PGOPTIONS", "-c search_path=public,pg_catalog")];

    //#endif
    /// <summary>All that it does for a caller.</summary>
    public static async Task WorkAsync(this HttpClient http)
    {
        using var answer = await http.GetAsync(Path);
        answer.StatusCode.Should().Be(HttpStatusCode.OK);
    }

    //#if (jobs != "none")
    /// <summary>Makes a job that asks the provider, in the trace of a call.</summary>
    /// <returns>The key under which it asks.</returns>
    public static async Task<string> BeginAsync(this Site site, HttpClient http)
    {
        await http.WorkAsync();
        var key = Guid.NewGuid().ToString();
        await site.ExecuteAsync(TestJob.Table);
        var trace = http.DefaultRequestHeaders.TryGetValues("traceparent", out var given) ? given.Single() : $"00-{Guid.NewGuid():N}-00f067aa0ba902b7-01";
        await site.ExecuteAsync(TestJob.Insert, new { key, body = TestJob.Body, trace, at = 0 });
        return key;
    }

    /// <returns>The keys of the jobs whose effect is in the database.</returns>
    public static async Task<IReadOnlyList<string>> EffectsAsync(this Site site)
    {
        await site.ExecuteAsync(TestJob.Table);
        return await site.QueryAsync<string>("SELECT key FROM effects");
    }

    public static Task DoneAsync(this Site site, string key) => Eventually.TrueAsync(async () => (await site.EffectsAsync()).Contains(key));

    /// <summary>Waits until there are so many effects and no job waits in the database: without the first, one may still be in a queue.</summary>
    public static Task QuietAsync(this Site site, int effects) =>
        Eventually.TrueAsync(async () => (await site.EffectsAsync()).Count >= effects && await site.ValueAsync<int>("SELECT count(*) FROM outbox") == 0);

    //#endif
    /// <summary>The canary in every place that a request has.</summary>
    public static IEnumerable<HttpRequestMessage> Requests(string canary)
    {
        var escaped = Uri.EscapeDataString(canary);
        foreach (var path in (string[])[$"/{escaped}", $"/v1/{escaped}", $"{Path}/{escaped}", $"{Path}?q={escaped}", $"{Path}?q={escaped}&q={escaped}"])
            yield return new(HttpMethod.Get, path);
        foreach (var name in (string[])["Authorization", "Cookie", "Accept", "If-None-Match", "User-Agent", "Referer", "Origin", "X-Forwarded-For", "X-Api-Key", "traceparent", "baggage"])
            yield return With(new(HttpMethod.Get, Path), name, name == "baggage" ? $"user={escaped}" : canary);
        //#if (auth == "jwt")
        foreach (var scheme in (string[])["Bearer ", "Basic "])
            yield return With(new(HttpMethod.Get, Path), "Authorization", scheme + canary);
        //#endif
        foreach (var type in (string[])["application/json", "text/" + escaped.Replace('%', 'x')])
            yield return new(HttpMethod.Post, Path) { Content = new StringContent(JsonSerializer.Serialize(canary), new MediaTypeHeaderValue(type)) };

        var named = new HttpRequestMessage(HttpMethod.Get, $"{Path}?{escaped}=%00");
        named.Options.Set(new("echo"), true); // a caller may read the names of its own members again
        yield return named;

        static HttpRequestMessage With(HttpRequestMessage request, string name, string value)
        {
            request.Headers.TryAddWithoutValidation(name, value);
            return request;
        }
    }
}
