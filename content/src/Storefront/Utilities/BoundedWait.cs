namespace Storefront.Utilities;

public static class BoundedWait
{
    /// <summary>Waits no longer than that. What becomes of the work afterwards is no fault that anybody must hear of.</summary>
    public static async Task<T> WithinAsync<T>(this Task<T> work, TimeSpan time, CancellationToken cancellation)
    {
        try
        {
            return await work.WaitAsync(time, cancellation);
        }
        finally
        {
            if (!work.IsCompletedSuccessfully)
                _ = work.ContinueWith(late => late.Exception, TaskScheduler.Default);
        }
    }
}
