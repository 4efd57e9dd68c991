using System.Diagnostics;
using Microsoft.AspNetCore.Http;

namespace EndToEnd;

public sealed class PaymentTests
{
    [Fact, Trait("Readiness", "44")]
    public async Task A_charge_that_fails_is_tried_again_under_the_same_key()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = (call, http) => call < 3 ? Provider.Fail(call, http) : Provider.Approve(call, http);

        var order = await PayAsync(site, failedJobs: 0);

        site.Provider.Calls.Should().HaveCount(3).And.OnlyContain(charge => charge.Key == order);
    }

    [Fact, Trait("Readiness", "44")]
    public async Task A_busy_provider_is_left_alone_as_long_as_it_asks_for()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = (call, http) =>
        {
            (http.Response.StatusCode, http.Response.Headers.RetryAfter) = (429, "2");
            return call == 1 ? Task.CompletedTask : Approve(call, http);
        };

        await PayAsync(site, failedJobs: 0);

        var charges = site.Provider.Calls.ToList();
        charges.Should().HaveCount(2);
        Stopwatch.GetElapsedTime(charges[0].At, charges[1].At).Should().BeGreaterThan(TimeSpan.FromSeconds(1.9));
    }

    [Fact, Trait("Readiness", "44")]
    public async Task A_provider_that_hangs_is_asked_again_after_the_time_of_one_try()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = (call, http) => call == 1 ? Provider.Hang(call, http) : Provider.Approve(call, http);

        await PayAsync(site, failedJobs: 0, "Payments__TryTimeoutSeconds=1");

        site.Provider.Calls.Should().HaveCount(2);
    }

    [Fact, Trait("Readiness", "44")]
    public async Task A_provider_that_keeps_failing_is_not_asked_for_a_while()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = Provider.Fail;
        await using var service = await site.ServeAsync("Jobs__Concurrency=32", "Jobs__BackoffSeconds=60", "Limits__Burst=1000");
        using var http = site.Client(service);
        await http.PutProductAsync();

        for (var order = 0; order < 60; order++)
            await http.PlaceOrderAsync();

        await Eventually.TrueAsync(() => service.Log.Count(line => line.Is("Failed")) == 60);
        service.Log.Should().Contain(line => line.Is("Failed") && line.Text("reason")!.Contains("BrokenCircuitException", StringComparison.Ordinal));
        site.Provider.Calls.Count.Should().BeLessThan(60 * 4, "each would have been tried four times");
    }

    [Fact, Trait("Readiness", "45")]
    public async Task A_redirect_is_not_followed()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = (_, http) =>
        {
            http.Response.Redirect("/elsewhere", permanent: false, preserveMethod: true);
            return Task.CompletedTask;
        };

        (await FailAsync(site)).Should().Be("The payment provider answered 307.");

        site.Provider.Calls.Should().OnlyContain(charge => charge.Path == "/charges");
    }

    [Fact, Trait("Readiness", "45")]
    public async Task An_answer_of_a_megabyte_is_not_read_and_the_job_comes_again()
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = (call, http) => call == 1
            ? http.Response.WriteAsJsonAsync(new { status = "approved", padding = new string('x', 1024 * 1024) })
            : Provider.Approve(call, http);

        await PayAsync(site, failedJobs: 1, "Jobs__BackoffSeconds=0.05");

        site.Provider.Calls.Should().HaveCount(2);
    }

    [Theory, Trait("Readiness", "45")]
    [InlineData("The job took longer than 1 s", "Jobs__TimeoutSeconds=1")]
    [InlineData("The payment provider cannot be used", "Payments__TimeoutSeconds=1", "Payments__TryTimeoutSeconds=1")]
    public async Task An_answer_that_never_ends_costs_the_time_of_one_job_or_call(string reason, params string[] settings)
    {
        await using var site = await Site.CreateAsync();
        site.Provider.Answering = async (call, http) =>
        {
            if (call == 1)
            {
                await http.Response.WriteAsync("{");
                await http.Response.Body.FlushAsync();
                await Provider.Hang(call, http);
            }
            else
            {
                await Provider.Approve(call, http);
            }
        };
        await using var service = await site.ServeAsync([.. settings, "Jobs__BackoffSeconds=0.05"]);
        using var http = site.Client(service);
        await http.PutProductAsync();

        await http.SettledAsync(await http.PlaceOrderAsync(), "paid");

        service.Log.Single(line => line.Is("Failed")).Text("reason").Should().StartWith(reason);
        site.Provider.Calls.Should().HaveCount(2);
    }

    [Fact, Trait("Readiness", "45")]
    public async Task A_provider_with_a_certificate_of_an_unknown_authority_gets_no_charge()
    {
        await using var site = await Site.CreateAsync();
        using var others = new Certificates(Directory.CreateDirectory(Path.Combine(site.Folder, "others")).FullName);
        await using var impostor = await Provider.StartAsync(others);

        (await FailAsync(site, $"Payments__BaseUrl={impostor.Address}")).Should().StartWith("The payment provider cannot be used");

        impostor.Calls.Should().BeEmpty();
    }

    private static Task Approve(int call, HttpContext http)
    {
        http.Response.StatusCode = 200;
        return Provider.Approve(call, http);
    }

    /// <returns>The order, which is paid.</returns>
    private static async Task<string> PayAsync(Site site, int failedJobs, params string[] settings)
    {
        await using var service = await site.ServeAsync(settings);
        using var http = site.Client(service);
        await http.PutProductAsync();
        var order = await http.PlaceOrderAsync();
        await http.SettledAsync(order, "paid");
        service.Log.Count(line => line.Is("Failed")).Should().Be(failedJobs);
        return order;
    }

    /// <returns>Why the job of the order is dead.</returns>
    private static async Task<string> FailAsync(Site site, params string[] settings)
    {
        await using var service = await site.ServeAsync([.. settings, "Jobs__MaxAttempts=1"]);
        using var http = site.Client(service);
        await http.PutProductAsync();
        await http.PlaceOrderAsync();
        return (await service.LineAsync(line => line.Is("Died"))).Text("reason")!;
    }
}
