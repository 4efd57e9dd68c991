//#if (jobs != "none")
using System.Collections.Concurrent;
using System.Diagnostics;
//#endif
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace EndToEnd;

//#if (jobs != "none")
/// <param name="At">Of <see cref="Stopwatch.GetTimestamp"/>.</param>
internal sealed record Call(string Path, string Key, long At);

//#endif
/// <summary>The others that the service talks to, on one HTTPS port: the issuer of tokens and the provider that jobs ask.</summary>
internal sealed partial class Provider : IAsyncDisposable
{
    private readonly WebApplication _app;
    //#if (jobs != "none")
    private int _calls;
    //#endif

    private Provider(Certificates certificates)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(certificates.Server)));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    public string Address => _app.Urls.Single();

    //#if (jobs != "none")
    /// <summary>Every request that is none for the issuer, in the order of arrival.</summary>
    public ConcurrentQueue<Call> Calls { get; } = new();

    /// <summary>What the n-th call, from 1 on, is answered with.</summary>
    public Func<int, HttpContext, Task> Answering { get; set; } = Approve;

    public static Task Approve(int call, HttpContext http) => http.Response.WriteAsJsonAsync(new { status = "approved" });

    public static Task Fail(int call, HttpContext http)
    {
        http.Response.StatusCode = 500;
        return Task.CompletedTask;
    }

    public static Func<int, HttpContext, Task> ApproveAfter(Func<Task> wait) => async (call, http) =>
    {
        await wait();
        await Approve(call, http);
    };

    /// <summary>Never answers; ends when the caller gives up.</summary>
    public static Task Hang(int call, HttpContext http) => Task.Delay(Timeout.Infinite, http.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);

    //#endif
    public static async Task<Provider> StartAsync(Certificates certificates)
    {
        var provider = new Provider(certificates);
        await provider._app.StartAsync();
        return provider;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        //#if (auth == "jwt")
        _key.Dispose();
        //#endif
    }

    private Task AnswerAsync(HttpContext http)
    {
        //#if (auth == "jwt")
        if (AnswerAsIssuer(http) is { } answer)
            return answer;
        //#endif
        //#if (jobs != "none")
        Calls.Enqueue(new Call(http.Request.Path, http.Request.Headers["Idempotency-Key"].ToString(), Stopwatch.GetTimestamp()));
        //#endif
        return Answering(Interlocked.Increment(ref _calls), http);
    }
}
