using Storefront.Repositories;

namespace Storefront.Services;

/// <summary>Files the receipt of an order. A mail provider would be called in HandleAsync, with the id of the job as its key.</summary>
internal sealed class SendReceipt(IOrderRepository orders) : IJobHandler
{
    public const string Type = "send-receipt";

    string IJobHandler.Type => Type;

    public Task<JobEffect> HandleAsync(Job job, CancellationToken cancellation)
    {
        var orderId = JobScheduler.Read<OrderJob>(job).OrderId;
        return Task.FromResult<JobEffect>(session => orders.AddReceiptAsync(session, job.Id, orderId));
    }
}
