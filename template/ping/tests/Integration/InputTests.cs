using System.Net;
using System.Net.Http.Headers;
//#if (jobs == "none")
using System.Reflection;
//#endif
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Storefront.Repositories;

namespace Integration;

public class InputTests(SharedHost shared)
{
    //#if (jobs == "none")
    private static readonly MethodInfo Execute = typeof(Database).GetMethod("ExecuteAsync", BindingFlags.Instance | BindingFlags.NonPublic)!; // what repositories alone may use

    //#endif
    /// <summary>A body that must be refused, and the path that the answer must name.</summary>
    public static IEnumerable<TheoryDataRow<string, string>> RefusedBodies()
    {
        const string part = """{"code":"A","count":1}""";
        (string Row, string Body, string Path)[] refused =
        [
            ("2", $$"""{"name":"a","parts":[{{part}}],"note":"x"}""", "$.note"),
            ("2", """{"name":"a","parts":[{"code":"A","count":1,"price":1}]}""", "$.parts[0].price"),
            ("2", $$"""{"Name":"a","parts":[{{part}}]}""", "$.Name"),
            ("3", $$"""{"name":"a","name":"b","parts":[{{part}}]}""", "$.name"),
            ("3", """{"name":"a","parts":[{"code":"A","count":1,"count":2}]}""", "$.parts[0].count"),
            ("4", "null", "$"),
            ("4", "", "$"),
            ("4", "{}", "$"),
            ("4", """{"name":null,"parts":[]}""", "$.name"),
            ("4", """{"name":"a","parts":[null]}""", "$.parts"),
            ("4", $$"""{"name":"a","parts":[{{part}},null]}""", "$.parts"),
            ("4", """{"name":"a","parts":[{"count":1}]}""", "$.parts[0]"),
            ("4", """{"name":"a","parts":[{"code":null,"count":1}]}""", "$.parts[0].code"),
            ("5", "[]", "$"),
            ("5", """{"name":"a","parts":{}}""", "$.parts"),
            ("5", """{"name":"a","parts":[{"code":"A","count":"7"}]}""", "$.parts[0].count"),
            ("5", """{"name":"a","parts":[{"code":"A","count":1.5}]}""", "$.parts[0].count"),
            ("5", """{"name":"a","parts":[{"code":"A","count":99999999999}]}""", "$.parts[0].count"),
            ("5", """{"name":["a"],"parts":[]}""", "$.name"),
            ("5", """{"parts":[""", "$.parts[0]"),
            ("7", """{"name":"a\u0000b","parts":[]}""", "$.name"),
            ("7", """{"name":"\ud800","parts":[]}""", "$.name"),
            ("7", """{"name":"\udc00\ud800","parts":[]}""", "$.name"),
            ("7", "{\"name\":\"\u00ff\",\"parts\":[]}", "$.name"), // sent as the byte FF, which is not UTF-8
            ("7", """{"name":"a","parts":[],"\ud800":1}""", "$"),
        ];
        return refused.Select(each => new TheoryDataRow<string, string>(each.Body, each.Path).WithTrait("Readiness", each.Row));
    }

    [Theory]
    [MemberData(nameof(RefusedBodies))]
    public async Task A_body_that_breaks_the_contract_is_refused_by_its_path(string body, string path)
    {
        using var request = Api.Post();
        request.Content = new ByteArrayContent(Encoding.Latin1.GetBytes(body)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };

        using var answer = await shared.Host.Client().SendAsync(request);

        await answer.ShouldNameAsync(path);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Readiness", "1")]
    public async Task A_body_that_is_too_large_is_refused(bool chunked)
    {
        using var request = Api.Post(Api.Thing + new string(' ', 64 * 1024));
        request.Headers.TransferEncodingChunked = chunked;
        request.Headers.ExpectContinue = true; // else the service closes the connection while the client still sends

        using var answer = await shared.Host.Client().SendAsync(request);

        await answer.ShouldBeProblemAsync(413);
    }

    [Theory]
    [InlineData(null, 415)]
    [InlineData("text/plain", 415)]
    [InlineData("application/xml", 415)]
    [InlineData("application/json; charset=utf-16", 415)]
    [InlineData("application/json; charset=nonsense", 415)]
    [InlineData("application/json; charset=", 415)]
    [InlineData("application/json; charset=\"utf-16\"", 415)]
    [InlineData("application/json; charset=utf-8; charset=nonsense", 415)]
    [InlineData("application/json; charset=\"utf-8\"", 200)]
    [InlineData("application/json; charset=UTF-8", 200)]
    [InlineData("application/json", 200)]
    [Trait("Readiness", "8")]
    public async Task A_body_is_JSON_in_UTF8_and_says_so(string? type, int status)
    {
        using var request = Api.Post();
        request.Content!.Headers.Remove("Content-Type");
        request.Content.Headers.TryAddWithoutValidation("Content-Type", type);

        using var answer = await shared.Host.Client().SendAsync(request);

        ((int)answer.StatusCode).Should().Be(status);
    }

    [Theory]
    [InlineData("text/html", 406)]
    [InlineData("application/xml, text/*;q=0.5", 406)]
    [InlineData("application/json;q=0", 406)]
    [InlineData("text/html, */*;q=0.1", 200)]
    [InlineData("application/*", 200)]
    [Trait("Readiness", "8")]
    public async Task An_answer_that_the_caller_cannot_read_is_refused(string accept, int status)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Api.Path);
        request.Headers.TryAddWithoutValidation("Accept", accept);

        using var answer = await shared.Host.Client("u").SendAsync(request);

        ((int)answer.StatusCode).Should().Be(status);
    }

    [Theory]
    [InlineData("?other=%00")]
    [InlineData("?other=%0d%0ab")]
    [InlineData("?other=%1b[31m")]
    [InlineData("?other=%7f")]
    [InlineData("?other=%c2%85")]
    [InlineData("?limit=1&limit=1")]
    [InlineData("?limit=1&LIMIT=1")]
    [InlineData("?limit=")]
    [InlineData("?limit=0")]
    [InlineData("?limit=101")]
    [InlineData("?limit=x")]
    [Trait("Readiness", "6")]
    [Trait("Readiness", "7")]
    public async Task A_query_that_breaks_the_contract_is_refused(string query)
    {
        using var right = await shared.Host.Client().SendAsync(Api.Post(query: "?limit=7"));
        using var answer = await shared.Host.Client().SendAsync(Api.Post(query: query));

        right.StatusCode.Should().Be(HttpStatusCode.OK);
        await answer.ShouldBeProblemAsync(400);
    }

    [Theory]
    //#if (jobs != "none")
    [InlineData("'; DROP TABLE outbox; --")]
    //#endif
    //#if (jobs == "none")
    [InlineData("'; DROP TABLE texts; --")]
    //#endif
    [InlineData("<script>alert(1)</script> ${7*7} {{7*7}}")]
    //#if (jobs != "none")
    [InlineData("' OR '1'='1' UNION SELECT id FROM outbox -- /* \\' \\x27 %27 ' || pg_sleep(9) || '")]
    //#endif
    //#if (jobs == "none")
    [InlineData("' OR '1'='1' UNION SELECT id FROM texts -- /* \\' \\x27 %27 ' || pg_sleep(9) || '")]
    //#endif
    [InlineData("@name :name $1 ? {0} %s %n $(id) `id` = ANY(@ids) clock_ms() COLLATE \"C\"")]
    [InlineData("\u00a0\u200b\ufeff\uffff\u2028 Z\u0351\u036b\u0343 \u0130\u0131\ud83d\udc69\u200d\ud83d\udc67")]
    [InlineData("\u202e\u0007\r\n\\\"🦆 e\u0301")]
    [Trait("Readiness", "15")]
    public async Task A_hostile_text_comes_back_as_it_was_stored(string text)
    {
        var id = Testing.NewName();
        //#if (jobs != "none")
        var (database, outbox) = (shared.Host.Services.GetRequiredService<Database>(), shared.Host.Services.GetRequiredService<Outbox>());

        await database.WriteAsync(
            async session =>
            {
                await outbox.AddAsync(session, id, text, []);
                return true;
            },
            CancellationToken.None);

        await Testing.EventuallyAsync(
            async () => (await outbox.ListDeadAsync(100, CancellationToken.None)).SingleOrDefault(job => job.Id == id)?.Type == text, "nobody can do a job of this type");
        //#endif
        //#if (jobs == "none")
        var database = shared.Host.Services.GetRequiredService<Database>();
        await shared.Host.Database.ExecuteAsync("CREATE TABLE IF NOT EXISTS texts (id TEXT NOT NULL, body TEXT NOT NULL)"); // as no operation stores a text yet

        await (Task<int>)Execute.Invoke(database, ["INSERT INTO texts (id, body) VALUES (@id, @text)", new { id, text }, CancellationToken.None])!;

        (await shared.Host.Database.CountAsync("texts", "id = @id AND body = @text", new { id, text })).Should().Be(1);
        //#endif
    }
}
