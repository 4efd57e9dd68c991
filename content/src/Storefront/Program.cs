using Storefront.Entry;
using Storefront.Repositories;
using Storefront.Services;

try
{
    //#if (auth == "jwt")
    Authentication.PrepareUserSecrets();
    //#endif
    var builder = WebApplication.CreateBuilder(args);

    builder.AddLogs(quiet: args is ["check", ..]); // first: whatever fails below is one line in the log
    builder.AddSecrets();
    builder.AddRepositories(); // data: database, cache, other services
    builder.AddServices(); // rules and jobs
    builder.AddEntry(); // the network: TLS, limits, errors, tokens, health, telemetry, docs

    await using var app = builder.Build();
    if (await Verbs.RunAsync(app, args) is { } exitCode)
        return exitCode;

    app.WatchFaults();
    await app.CheckAsync();
    app.UseEntry();
    await app.RunAsync();
    return Environment.ExitCode; // a crashed worker sets it
}
catch (OperationalException exception) when (args is ["check", ..]) // a setting that nothing can be built from
{
    return Checklist.Print([new("configuration", "fail", exception.Message)], args);
}
catch (Exception exception) when (exception is not HostAbortedException) // how tools end a host that they only look at
{
    return Logs.Crash(exception);
}
