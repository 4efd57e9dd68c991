using System.Net.Http.Json;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

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

        using var playwright = await Playwright.CreateAsync();
        await using var browser = await playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = Chromium,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
        foreach (var scheme in (ColorScheme[])[ColorScheme.Light, ColorScheme.Dark])
        {
            await using var context = await browser.NewContextAsync(new() { BaseURL = $"{service.Client.BaseAddress}", IgnoreHTTPSErrors = true, ColorScheme = scheme, ViewportSize = new() { Width = 1000, Height = 900 } });
            var (page, complaints, hosts) = (await context.NewPageAsync(), new List<string>(), new HashSet<string>());
            page.Console += (_, message) => Take(complaints, message.Type is "error" or "warning" ? message.Text : null);
            page.PageError += (_, error) => Take(complaints, error);
            page.Request += (_, request) => Take(hosts, new Uri(request.Url).Authority);

            await page.GotoAsync("/status");
            await Expect(page.GetByRole(AriaRole.Status)).ToHaveTextAsync("All checks are healthy.");
            await Expect(page.GetByRole(AriaRole.Table, new() { Name = "Engines" })).ToContainTextAsync("SQLite");
            await Expect(page.GetByRole(AriaRole.Table, new() { Name = "Requests of the last minute" })).ToContainTextAsync("GET /v1/products/");
            await Expect(page.GetByRole(AriaRole.Region, new() { Name = "Last warnings and errors" })).ToContainTextAsync("Unauthenticated");
            await PictureAsync(page, $"status-{scheme}");

            // By keyboard alone: two links, then the button, which says what it did.
            var focused = new List<string>();
            for (var tabs = 0; tabs < 3; tabs++)
            {
                await page.Keyboard.PressAsync("Tab");
                focused.Add(await page.EvaluateAsync<string>("document.activeElement.textContent"));
                (await page.EvaluateAsync<string>("getComputedStyle(document.activeElement).outlineStyle")).Should().Be("solid", "who has no mouse must see where they are");
            }
            focused.Should().Equal("API", "Metrics", "Pause");
            await page.Keyboard.PressAsync("Space");
            await Expect(page.GetByRole(AriaRole.Button)).ToHaveAttributeAsync("aria-pressed", "true");
            (await page.EvaluateAsync<double>(Contrast)).Should().BeGreaterThan(4.5, "WCAG 2.2, 1.4.3, in {0}", scheme);
            (await page.TitleAsync()).Should().Be("Shop status", "what callers send is text");

            await page.GotoAsync("/docs");
            await Expect(page.GetByText("Place an order").First).ToBeVisibleAsync();
            await PictureAsync(page, $"docs-{scheme}");
            complaints.Should().BeEmpty();
            hosts.Should().Equal(service.Client.BaseAddress!.Authority);
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

    private static void Take(ICollection<string> all, string? one)
    {
        lock (all)
        {
            if (one is not null)
                all.Add(one);
        }
    }

    private static async Task PictureAsync(IPage page, string name)
    {
        if (Environment.GetEnvironmentVariable("TEST_PICTURES") is { Length: > 0 } folder)
            await page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"{name.ToLowerInvariant()}.png") });
    }
}
