using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Storefront.Repositories;
using Storefront.Services;
using Storefront.Utilities;

[assembly: HostingStartup(typeof(EndToEnd.TestJob.Registration))]

namespace EndToEnd;

/// <summary>
/// A job for the real process, which loads this assembly (StartupHook) and has it register the job: it asks a provider under the
/// key of the job, and its effect is one row.
/// </summary>
internal sealed class TestJob : IJobHandler, IDisposable
{
    public const string Name = "work";
    public const string Table = "CREATE TABLE IF NOT EXISTS effects (key TEXT NOT NULL)";
    public const string Insert = "INSERT INTO outbox (id, type, body, trace, available_at, created_at) VALUES (@key, 'work', @body, @trace, @at, 0)";

    public static readonly byte[] Body = """{"name":"any"}"""u8.ToArray();

    public const string Provider = "TEST_PROVIDER";

    private static readonly MethodInfo Execute = typeof(Session).GetMethod("ExecuteAsync", BindingFlags.Instance | BindingFlags.NonPublic)!; // what repositories alone may use

    private readonly HttpClient _http = new();

    public string Type => Name;

    public async Task<JobEffect> HandleAsync(Job job, CancellationToken cancellation)
    {
        JobScheduler.Read<Work>(job);
        using var request = new HttpRequestMessage(HttpMethod.Post, Environment.GetEnvironmentVariable(Provider) + "/work") { Headers = { { "Idempotency-Key", job.Id } } };
        using var answer = await _http.SendAsync(request, cancellation);
        if (!answer.IsSuccessStatusCode)
            throw new OperationalException(Failure.Unavailable, $"The provider answered {(int)answer.StatusCode}.");
        return session => (Task)Execute.Invoke(session, ["INSERT INTO effects (key) VALUES (@Id)", new { job.Id }])!;
    }

    public void Dispose() => _http.Dispose();

    private sealed record Work(string Name);

    /// <summary>The service knows none of what this assembly refers to.</summary>
    [ModuleInitializer]
    internal static void FindReferences() => AssemblyLoadContext.Default.Resolving += (context, name) =>
        Path.Combine(AppContext.BaseDirectory, name.Name + ".dll") is var file && File.Exists(file) ? context.LoadFromAssemblyPath(file) : null;

    internal sealed class Registration : IHostingStartup
    {
        public void Configure(IWebHostBuilder builder) => builder.ConfigureServices(services => services.AddSingleton<IJobHandler, TestJob>());
    }
}
