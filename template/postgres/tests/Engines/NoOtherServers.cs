namespace Engines;

/// <summary>In this set of tests: PostgreSQL alone, and the memory of the service's process.</summary>
internal static class OtherServers
{
    public static Task StartAsync() => Task.CompletedTask;

    public static IEnumerable<(string Key, string Value)> Settings(string test) => [];

    public static Task ForgetAsync(string test) => Task.CompletedTask;
}
