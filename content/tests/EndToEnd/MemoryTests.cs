using System.Net;
using System.Text.RegularExpressions;

namespace EndToEnd;

public sealed partial class MemoryTests
{
    /// <summary>For the collector this machine is full from the first percent on, and what it gives to this process is little.</summary>
    [Fact, Trait("Readiness", "46")]
    public async Task At_the_end_of_its_memory_it_refuses_work_and_lives()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("DOTNET_GCHighMemPercent=1", "DOTNET_GCHeapHardLimit=0x8000000");
        using var http = site.Client(service);

        await Eventually.TrueAsync(async () => (await http.GetAsync(Operations.Path)).StatusCode == HttpStatusCode.ServiceUnavailable);

        (await http.GetAsync("/health/live")).StatusCode.Should().Be(HttpStatusCode.OK);
        (await service.LineAsync(line => line.Text("message")?.Contains("Short of memory", StringComparison.Ordinal) is true)).Text("level").Should().Be("Warning");
    }

    /// <summary>The machine is full from the first percent on, and most of it is free for this process.</summary>
    [Fact, Trait("Readiness", "46")]
    public async Task While_others_fill_the_machine_it_goes_on()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("DOTNET_GCHighMemPercent=1", "DOTNET_GCgen0size=0x100000", "Limits__RequestsPerSecond=1000", "Limits__Burst=1000");
        using var http = site.Client(service);

        await Eventually.TrueAsync(async () =>
        {
            (await http.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);
            return CollectionsAfterTheFirst().IsMatch(await http.GetStringAsync("/metrics"));
        });

        service.Lines.Should().NotContain(line => line.Contains("Short of memory", StringComparison.Ordinal));
    }

    [GeneratedRegex(@"^dotnet_gc_collections_total\{.*gen[0-2].*\} ([5-9]|\d\d+)", RegexOptions.Multiline)]
    private static partial Regex CollectionsAfterTheFirst();
}
