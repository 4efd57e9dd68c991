/// <summary>Run by the runtime before a program that has this assembly in DOTNET_STARTUP_HOOKS, which knows it by this name alone.</summary>
internal static class StartupHook
{
    public const string Signal = "TEST_SIGNAL";

    /// <summary>Fails where the file says, once it says so.</summary>
    public static void Initialize() => new Thread(() =>
    {
        for (; ; Thread.Sleep(20))
        {
            var word = Environment.GetEnvironmentVariable(Signal) is { } file && File.Exists(file) ? File.ReadAllText(file) : "";
            if (word == "task")
            {
                Drop();
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
            else if (word == "thread")
            {
                throw new InvalidOperationException("A fault of a thread.");
            }
        }
    })
    { IsBackground = true }.Start();

    private static void Drop() => _ = Task.Run(() => throw new InvalidOperationException("A fault of a task."));
}
