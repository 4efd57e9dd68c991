using System.Net.Http.Json;
using System.Text.Json;

namespace EndToEnd;

public sealed class InvoiceTests
{
    [Fact]
    public async Task What_was_made_is_there_after_a_restart()
    {
        await using var site = await Site.CreateAsync();
        await using var before = await site.ServeAsync();
        using var http = site.Client(before);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/invoices") { Content = JsonContent.Create(new { name = "kept" }), Headers = { { "Idempotency-Key", "first" } } };
        using var made = await http.SendAsync(request);
        made.EnsureSuccessStatusCode();
        before.Terminate();
        (await before.ExitAsync()).Should().Be(0);

        await using var after = await site.ServeAsync();
        using var again = site.Client(after);

        (await again.GetFromJsonAsync<JsonElement>(made.Headers.Location)).Text("name").Should().Be("kept");
    }
}
