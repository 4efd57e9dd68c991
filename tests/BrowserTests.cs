using System.Collections.Concurrent;
using System.Net.Http.Json;
using PuppeteerSharp;
using PuppeteerSharp.Media;

namespace TemplateTests;

/// <summary>The pages of a developer in Chromium, where it is installed. TEST_PICTURES names a folder for what the README shows of them.</summary>
public class BrowserTests(TemplatePackage package)
{
    private static readonly string? Chromium = Array.Find(["/usr/bin/chromium", "/usr/bin/google-chrome", "/usr/bin/chromium-browser"], File.Exists);

    [Fact]
    public async Task The_status_page_and_the_docs_show_a_service_that_runs()
    {
        Assert.SkipWhen(Chromium is null, "Not tested: the pages in a browser. Install chromium.");
        var directory = package.NewFolder();
        (await package.NewAsync(directory, "-n", "Shop")).MustSucceed();
        var shop = Path.Combine(directory, "Shop");
        (await Command.RunAsync(shop, "dotnet build src/Shop")).MustSucceed();
        await using var service = await RunningService.StartAsync(shop, new Dictionary<string, string>(), Commands.Run, "--urls", "https://127.0.0.1:0");
        const string Hostile = "<img src=x onerror=document.title='taken'>";
        (await service.Client.PutAsJsonAsync("/v1/products/TEA-1", new { name = Hostile }, TestContext.Current.CancellationToken)).StatusCode.Should().Be(System.Net.HttpStatusCode.Unauthorized);
        for (var number = 0; number < 20; number++)
            await service.Client.GetAsync(number % 4 == 0 ? $"/v1/products/{Uri.EscapeDataString(Hostile)}" : "/v1/products", TestContext.Current.CancellationToken);

        await using var browser = await Puppeteer.LaunchAsync(new()
        {
            ExecutablePath = Chromium,
            AcceptInsecureCerts = true,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
        foreach (var scheme in (string[])["light", "dark"])
        {
            var (complaints, hosts) = (new ConcurrentQueue<string>(), new ConcurrentQueue<string>());
            await using var page = await browser.NewPageAsync();
            await page.SetViewportAsync(new() { Width = 1000, Height = 900 });
            await page.EmulateMediaFeaturesAsync([new() { MediaFeature = MediaFeature.PrefersColorScheme, Value = scheme }]);
            page.Console += (_, console) =>
            {
                if (console.Message.Type is ConsoleType.Error or ConsoleType.Warning)
                    complaints.Enqueue(console.Message.Text);
            };
            page.PageError += (_, error) => complaints.Enqueue(error.Message);
            page.Request += (_, sent) => hosts.Enqueue(new Uri(sent.Request.Url).Scheme == "data" ? "" : new Uri(sent.Request.Url).Authority);

            await page.GoToAsync($"{service.Client.BaseAddress}status");
            foreach (var (part, text) in (ValueTuple<string, string>[])[("state", "All checks are healthy."), ("engines", "SQLite"), ("requests", "GET /v1/products/"), ("lines", "Unauthenticated")])
                await page.WaitForFunctionAsync("(part, text) => document.getElementById(part).textContent.includes(text)", part, text);
            await PictureAsync(page, $"status-{scheme}");

            // By keyboard alone: two links, then the button, which says what it did.
            var focused = new List<string>();
            for (var tabs = 0; tabs < 3; tabs++)
            {
                await page.Keyboard.PressAsync("Tab");
                focused.Add(await page.EvaluateExpressionAsync<string>("document.activeElement.textContent"));
                (await page.EvaluateExpressionAsync<string>("getComputedStyle(document.activeElement).outlineStyle")).Should().Be("solid", "who has no mouse must see where they are");
            }
            focused.Should().Equal("API", "Metrics", "Pause");
            await page.Keyboard.PressAsync("Space");
            (await page.EvaluateExpressionAsync<string>("document.activeElement.ariaPressed")).Should().Be("true");
            (await page.EvaluateFunctionAsync<double>(Contrast)).Should().BeGreaterThan(4.5, "WCAG 2.2, 1.4.3, in {0}", scheme);
            (await page.GetTitleAsync()).Should().Be("Shop status", "what callers send is text");

            await page.GoToAsync($"{service.Client.BaseAddress}docs");
            await page.WaitForFunctionAsync("() => document.body.innerText.includes('Place an order')");
            await PictureAsync(page, $"docs-{scheme}");
            complaints.Should().BeEmpty();
            hosts.Where(host => host.Length > 0).Distinct().Should().Equal(service.Client.BaseAddress!.Authority);
        }
    }

    /// <summary>The least contrast of any text to the ground of the page (WCAG's formula).</summary>
    private const string Contrast =
        """
        () => {
          const rgb = color => { const c = document.createElement('canvas').getContext('2d'); c.fillStyle = color; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3); };
          const light = color => { const [r, g, b] = rgb(color).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const ground = light(matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18,18,18)' : 'rgb(255,255,255)');
          return Math.min(...[...document.querySelectorAll('h1,h2,p,th,td')].filter(e => e.textContent.trim()).map(e => light(getComputedStyle(e).color)).map(text => (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05)));
        }
        """;

    private static async Task PictureAsync(IPage page, string name)
    {
        if (Environment.GetEnvironmentVariable("TEST_PICTURES") is { Length: > 0 } folder)
            await page.ScreenshotAsync(Path.Combine(folder, $"{name}.png"));
    }
}
