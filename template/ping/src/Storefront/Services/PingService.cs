using Storefront.Repositories;

namespace Storefront.Services;

public sealed class PingService(IPingRepository pings)
{
    public Task<DateTimeOffset> AskAsync(CancellationToken cancellation) => pings.ClockAsync(cancellation);
}
