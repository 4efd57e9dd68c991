using System.Diagnostics;
using System.Net;
//#if (sample)
using System.Net.Http.Json;
using System.Text.Json;
//#endif

namespace EndToEnd.Faults;

[Trait("Readiness", "53")]
public sealed class InstanceFaultTests
{
    //#if (sample)
    [Fact]
    public async Task What_one_instance_began_any_other_goes_on_with()
    {
        await using var site = await Site.CreateAsync();
        await using var first = await site.ServeAsync();
        await using var second = await site.ServeAsync();
        using var a = site.Client(first);
        using var b = site.Client(second);

        var tag = (await a.PutAsync("TEA-1", "Tea")).Headers.ETag!.Tag;
        (await b.PutAsync("TEA-1", "Green tea", tag)).StatusCode.Should().Be(HttpStatusCode.OK);
        (await a.PutAsync("TEA-1", "Black tea", tag)).StatusCode.Should().Be(HttpStatusCode.PreconditionFailed);
        (await b.GetAsync("/v1/products")).Headers.ETag.Should().NotBeNull().And.Be((await a.GetAsync("/v1/products")).Headers.ETag);
        var order = await OrderAsync(a, HttpStatusCode.Created);
        (await OrderAsync(b, HttpStatusCode.Created)).Should().Be(order);
        await OrderAsync(b, HttpStatusCode.UnprocessableEntity, quantity: 2);
        await b.SettledAsync(order, "paid");
        await a.SettledAsync(order, "paid");
        for (var number = 0; number < 10; number++)
        {
            var (here, there) = number % 2 == 0 ? (a, b) : (b, a);
            await there.StatusAsync(await here.PlaceOrderAsync()); // which throws where there is none
        }
        var page = await a.GetFromJsonAsync<JsonElement>("/v1/orders?limit=6");
        var rest = await b.GetFromJsonAsync<JsonElement>($"/v1/orders?limit=6&after={page.Text("next")}");
        rest.GetProperty("items").EnumerateArray().Last().Text("id").Should().Be(order, "it was the first of eleven");

        static async Task<string> OrderAsync(HttpClient http, HttpStatusCode status, int quantity = 1)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/orders") { Headers = { { "Idempotency-Key", "once" } }, Content = JsonContent.Create(new { items = new[] { new { sku = "TEA-1", quantity } } }) };
            using var answer = await http.SendAsync(request);
            answer.StatusCode.Should().Be(status);
            return (await answer.Content.ReadFromJsonAsync<JsonElement>()).Text("id") ?? "";
        }
    }

    //#endif
    /// <summary>A file system of its own, in which nothing can be written but in an empty /tmp.</summary>
    private const string ReadOnly = """
        set -e
        folder=$1; shift
        temporary=/tmp
        mkdir "$folder/tmp"
        while read -r _ place _; do case $place in /proc*|/sys*|/dev/*) ;; *) mount -n -o remount,bind,ro "$place" 2>/dev/null || true;; esac; done </proc/mounts
        mount -n -t tmpfs tmpfs "$folder/tmp"
        for kept in "$folder" "$PWD"; do case $kept in "$temporary"*) mkdir -p "$folder$kept"; mount -n --bind "$kept" "$folder$kept";; esac; done
        mount -n -t tmpfs -o ro tmpfs /dev/shm
        mount -n --move "$folder/tmp" /tmp
        cd "$PWD"
        for place in / "$folder" "$PWD" /var/tmp /dev/shm; do if touch "$place/written" 2>/dev/null; then exit 9; fi; done
        touch "$temporary/written"
        exec "$@"
        """;

    [Fact]
    public async Task It_runs_where_nothing_can_be_written_but_in_tmp()
    {
        await using var site = await Site.CreateAsync(schema: false);
        site.Launcher = ["unshare", "-m", "sh", "-c", ReadOnly, "sh", site.Folder];
        Assert.SkipUnless(OperatingSystem.IsLinux() && CanMount(), "This needs the right to mount: root.");

        var (exitCode, output) = await site.RunAsync(["migrate"], "TMPDIR", "HOME=/nonexistent");
        exitCode.Should().Be(0, output);
        Directory.Delete(Path.Combine(site.Folder, "tmp"));
        await using var service = await site.ServeAsync("TMPDIR", "HOME=/nonexistent");
        using var http = site.Client(service);
        await http.WorkAsync();
        //#if (jobs != "none")
        await site.DoneAsync(await site.BeginAsync(http));
        //#endif
        (await http.GetAsync("/health/ready")).StatusCode.Should().Be(HttpStatusCode.OK);

        service.Lines.Should().NotContain(line => line.Contains("Read-only") || line.Contains("denied"));

        static bool CanMount()
        {
            using var mount = Process.Start(new ProcessStartInfo("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]) { RedirectStandardError = true })!;
            mount.WaitForExit();
            return mount.ExitCode == 0;
        }
    }
}
