using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace Integration;

public class InputTests(SharedHost shared)
{
    /// <summary>A body that must be refused, and the path that the answer must name.</summary>
    public static IEnumerable<TheoryDataRow<string, string, string>> RefusedBodies()
    {
        const string item = """{"sku":"COFFEE-1KG","quantity":1}""";
        (string Row, string Target, string Body, string Path)[] refused =
        [
            ("2", "order", $$"""{"items":[{{item}}],"note":"x"}""", "$.note"),
            ("2", "order", """{"items":[{"sku":"COFFEE-1KG","quantity":1,"price":1}]}""", "$.items[0].price"),
            ("2", "order", $$"""{"Items":[{{item}}]}""", "$.Items"),
            ("26", "order", $$"""{"items":[{{item}}],"status":"paid"}""", "$.status"),
            ("26", "order", $$"""{"items":[{{item}}],"total":{"amount":1,"currency":"EUR"} }""", "$.total"),
            ("26", "order", $$"""{"items":[{{item}}],"owner":"me"}""", "$.owner"),
            ("26", "order", $$"""{"id":"00000000-0000-0000-0000-000000000000","items":[{{item}}]}""", "$.id"),
            ("26", "order", $$"""{"items":[{{item}}],"createdAt":"2020-01-01T00:00:00Z"}""", "$.createdAt"),
            ("26", "product", """{"sku":"OTHER","name":"x","price":{"amount":1,"currency":"EUR"}}""", "$.sku"),
            ("26", "product", """{"name":"x","price":{"amount":1,"currency":"EUR"},"version":9}""", "$.version"),
            ("3", "order", $$"""{"items":[{{item}}],"items":[{{item}}]}""", "$.items"),
            ("3", "order", """{"items":[{"sku":"COFFEE-1KG","quantity":1,"quantity":2}]}""", "$.items[0].quantity"),
            ("4", "order", "null", "$"),
            ("4", "order", "", "$"),
            ("4", "order", "{}", "$"),
            ("4", "order", """{"items":null}""", "$.items"),
            ("4", "order", """{"items":[null]}""", "$.items"),
            ("4", "order", $$"""{"items":[{{item}},null]}""", "$.items"),
            ("4", "order", """{"items":[{"quantity":1}]}""", "$.items[0]"),
            ("4", "order", """{"items":[{"sku":"COFFEE-1KG"}]}""", "$.items[0]"),
            ("4", "order", """{"items":[{"sku":null,"quantity":1}]}""", "$.items[0].sku"),
            ("4", "product", """{"name":"x","price":null}""", "$.price"),
            ("4", "product", """{"name":"x","price":{"amount":1,"currency":null}}""", "$.price.currency"),
            ("5", "order", "[]", "$"),
            ("5", "order", """{"items":{}}""", "$.items"),
            ("5", "order", """{"items":[{"sku":"COFFEE-1KG","quantity":"7"}]}""", "$.items[0].quantity"),
            ("5", "order", """{"items":[{"sku":"COFFEE-1KG","quantity":1.5}]}""", "$.items[0].quantity"),
            ("5", "order", """{"items":[{"sku":"COFFEE-1KG","quantity":99999999999}]}""", "$.items[0].quantity"),
            ("5", "order", """{"items":[{"sku":7,"quantity":1}]}""", "$.items[0].sku"),
            ("5", "product", """{"name":["x"],"price":{"amount":1,"currency":"EUR"}}""", "$.name"),
            ("6", "order", """{"items":[]}""", "$.items"),
            ("6", "order", $$"""{"items":[{{string.Join(',', Enumerable.Repeat(item, 21))}}]}""", "$.items"),
            ("6", "order", """{"items":[{"sku":"COFFEE-1KG","quantity":0}]}""", "$.items[0].quantity"),
            ("6", "order", """{"items":[{"sku":"COFFEE-1KG","quantity":1001}]}""", "$.items[0].quantity"),
            ("6", "order", """{"items":[{"sku":"coffee","quantity":1}]}""", "$.items[0].sku"),
            ("6", "product", """{"name":"","price":{"amount":1,"currency":"EUR"}}""", "$.name"),
            ("6", "product", """{"name":"x","price":{"amount":-1,"currency":"EUR"}}""", "$.price.amount"),
            ("6", "product", """{"name":"x","price":{"amount":1,"currency":"eur"}}""", "$.price.currency"),
            ("7", "order", """{"items":[{"sku":"A\u0000","quantity":1}]}""", "$.items[0].sku"),
            ("7", "product", """{"name":"a\u0000b","price":{"amount":1,"currency":"EUR"}}""", "$.name"),
            ("7", "product", """{"name":"\ud800","price":{"amount":1,"currency":"EUR"}}""", "$.name"),
            ("7", "product", """{"name":"\udc00\ud800","price":{"amount":1,"currency":"EUR"}}""", "$.name"),
            ("7", "product", "{\"name\":\"\u00ff\",\"price\":{\"amount\":1,\"currency\":\"EUR\"}}", "$.name"), // sent as the byte FF, which is not UTF-8
            ("7", "product", """{"name":"x","price":{"amount":1,"currency":"EUR"},"\ud800":1}""", "$"),
            ("5", "order", """{"items":[""", "$.items[0]"),
            ("5", "order", $$"""{"items":[{{item}}],}""", "$"),
        ];
        return refused.Select(each => new TheoryDataRow<string, string, string>(each.Target, each.Body, each.Path).WithTrait("Readiness", each.Row));
    }

    [Theory]
    [MemberData(nameof(RefusedBodies))]
    public async Task A_body_that_breaks_the_contract_is_refused_by_its_path_and_writes_nothing(string target, string body, string path)
    {
        var name = Testing.NewName();
        using var request = target == "order" ? Api.Order(key: name) : Api.Put(name.ToUpperInvariant(), create: true);
        request.Content = new ByteArrayContent(Encoding.Latin1.GetBytes(body)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };

        using var answer = await shared.Host.Client(name).SendAsync(request);

        await answer.ShouldNameAsync(path);
        (await shared.Host.Database.CountAsync("orders", "idempotency_key = @name", new { name })).Should().Be(0);
        (await shared.Host.Database.CountAsync("products", "sku = @sku", new { sku = name.ToUpperInvariant() })).Should().Be(0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Readiness", "1")]
    public async Task A_body_that_is_too_large_is_refused_and_writes_nothing(bool chunked)
    {
        var key = Testing.NewName();
        using var request = Api.Order(Api.Coffee + new string(' ', 64 * 1024), key);
        request.Headers.TransferEncodingChunked = chunked;
        request.Headers.ExpectContinue = true; // else the service closes the connection while the client still sends

        using var answer = await shared.Host.Client("u").SendAsync(request);

        await answer.ShouldBeProblemAsync(413);
        (await shared.Host.Database.CountAsync("orders", "idempotency_key = @key", new { key })).Should().Be(0);
    }

    [Theory]
    [InlineData(null, 415)]
    [InlineData("text/plain", 415)]
    [InlineData("application/xml", 415)]
    [InlineData("application/json; charset=utf-16", 415)]
    [InlineData("application/json; charset=iso-8859-1", 415)]
    [InlineData("application/json; charset=nonsense", 415)]
    [InlineData("application/json; charset=utf-7", 415)]
    [InlineData("application/json; charset=", 415)]
    [InlineData("application/json; charset=\"utf-16\"", 415)]
    [InlineData("application/json; charset=utf-8; charset=nonsense", 415)]
    [InlineData("application/json, application/json; charset=nonsense", 415)]
    [InlineData("application/json; charset=\"utf-8\"", 201)]
    [InlineData("application/json; charset=UTF-8", 201)]
    [InlineData("application/json", 201)]
    [Trait("Readiness", "8")]
    public async Task A_body_is_JSON_in_UTF8_and_says_so(string? type, int status)
    {
        using var request = Api.Order();
        request.Content!.Headers.Remove("Content-Type");
        request.Content.Headers.TryAddWithoutValidation("Content-Type", type);

        using var answer = await shared.Host.Client(Testing.NewName()).SendAsync(request);

        ((int)answer.StatusCode).Should().Be(status);
    }

    [Theory]
    [InlineData("/v1/products", "text/html", 406)]
    [InlineData("/V1/Products", "text/html", 406)]
    [InlineData("/v1/products", "application/xml, text/*;q=0.5", 406)]
    [InlineData("/v1/products", "application/json;q=0", 406)]
    [InlineData("/v1/products", "text/html, */*;q=0.1", 200)]
    [InlineData("/v1/products", "application/*", 200)]
    [Trait("Readiness", "8")]
    public async Task An_answer_that_the_caller_cannot_read_is_refused(string path, string accept, int status)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.TryAddWithoutValidation("Accept", accept);

        using var answer = await shared.Host.Client().SendAsync(request);

        ((int)answer.StatusCode).Should().Be(status);
    }

    [Theory]
    [InlineData("/v1/products?after=%00")]
    [InlineData("/v1/products?other=%00")]
    [InlineData("/v1/products?after=%ED%A0%80")]
    [InlineData("/v1/products/%ED%A0%80")]
    [InlineData("/v1/products?after=a%0d%0ab")]
    [InlineData("/v1/products?other=%1b[31m")]
    [InlineData("/v1/products?other=%7f")]
    [InlineData("/v1/products?other=%c2%85")]
    [InlineData("/v1/products/A%00")]
    [InlineData("/v1/products/A%0aB")]
    [InlineData("/v1/products?limit=1&limit=1")]
    [InlineData("/v1/products?limit=1&LIMIT=1")]
    [InlineData("/v1/products?other=1&other=1")]
    [InlineData("/v1/products?limit=")]
    [InlineData("/v1/products?after=AAAA")]
    [Trait("Readiness", "6")]
    [Trait("Readiness", "7")]
    public async Task A_path_or_query_that_breaks_the_contract_is_refused(string path)
    {
        using var answer = await shared.Host.Client().GetAsync(path);

        answer.StatusCode.Should().Be(HttpStatusCode.BadRequest);
    }

    [Theory]
    [InlineData("'; DROP TABLE products; --")]
    [InlineData("<script>alert(1)</script> ${7*7} {{7*7}}")]
    [InlineData("' OR '1'='1' UNION SELECT id FROM orders -- /* \\' \\x27 %27 ' || pg_sleep(9) || '")]
    [InlineData("@name :name $1 ? {0} %s %n $(id) `id` = ANY(@skus) clock_ms() COLLATE \"C\"")]
    [InlineData("\u00a0\u200b\ufeff\uffff\u2028 Z\u0351\u036b\u0343 \u0130\u0131\ud83d\udc69\u200d\ud83d\udc67")]
    [InlineData("\u202e\u0007\r\n\\\"🦆 e\u0301")]
    [Trait("Readiness", "15")]
    public async Task A_hostile_text_comes_back_as_it_was_sent(string name)
    {
        var body = System.Text.Json.JsonSerializer.Serialize(new { name, price = new { amount = 1, currency = "EUR" } });
        var sku = await shared.Host.CreateProductAsync(body);

        using var answer = await shared.Host.Client().GetAsync($"/v1/products/{sku}");

        ((string)(await answer.JsonAsync())["name"]!).Should().Be(name);
    }
}
