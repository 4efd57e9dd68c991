namespace Storefront.Entry;

/// <summary>One JSON object a line on stdout, for whatever happens: also the first line and the crash.</summary>
internal static partial class Logs
{
    /// <param name="quiet">Of a verb whose output says all.</param>
    public static void AddLogs(this WebApplicationBuilder builder, bool quiet)
    {
        builder.Logging.ClearProviders().EnableRedaction();
        builder.Services.AddRedaction(); // what is [Confidential] is erased
        if (!quiet)
            builder.Logging.Configure(factory => factory.ActivityTrackingOptions = ActivityTrackingOptions.None).AddProvider(new JsonLines()); // each line has its trace already
    }

    /// <summary>The last line of a process that could not go on. What an operator can mend needs no stack.</summary>
    /// <returns>The exit code.</returns>
    public static int Crash(Exception exception)
    {
        using var factory = LoggerFactory.Create(logging => logging.AddProvider(new JsonLines()));
        var mendable = exception is OperationalException or IOException;
        Crashed(
            factory.CreateLogger("Storefront"),
            mendable ? null : exception,
            mendable ? exception.Message : $"The process ends on a fault of its own: {exception.GetType().Name}");
        return 1;
    }

    /// <summary>What fails where nobody waits for it: a task that was dropped goes on, a thread of its own takes the process with it.</summary>
    public static void WatchFaults(this WebApplication app)
    {
        var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Storefront");
        EventHandler<UnobservedTaskExceptionEventArgs> dropped = (_, task) => Dropped(logger, task.Exception);
        TaskScheduler.UnobservedTaskException += dropped;
        app.Lifetime.ApplicationStopped.Register(() => TaskScheduler.UnobservedTaskException -= dropped);
        AppDomain.CurrentDomain.UnhandledException += (_, thread) => Crash((Exception)thread.ExceptionObject);
    }

    [LoggerMessage(13, LogLevel.Error, "A task failed that nobody waited for")]
    private static partial void Dropped(ILogger logger, Exception exception);

    [LoggerMessage(1, LogLevel.Critical, "{Reason}", EventName = "Crash")]
    private static partial void Crashed(ILogger logger, Exception? exception, string reason);
}
