using Storefront.Repositories;

namespace Storefront.Services;

public sealed record OrderJob(string OrderId);

/// <summary>Asks the payment provider, then writes its answer and the job for the receipt in one transaction.</summary>
internal sealed class ChargePayment(IOrderRepository orders, IPaymentGateway payments, JobScheduler jobs) : IJobHandler
{
    public const string Type = "charge-payment";

    string IJobHandler.Type => Type;

    public async Task<JobEffect> HandleAsync(Job job, CancellationToken cancellation)
    {
        var orderId = JobScheduler.Read<OrderJob>(job).OrderId;
        if (await orders.BeginChargeAsync(orderId, cancellation) is not { } order)
            return _ => Task.CompletedTask; // cancelled in time, or charged by an earlier attempt
        var approved = await payments.ChargeAsync(orderId, order.Total, cancellation);
        return async session =>
        {
            await orders.SettleAsync(session, orderId, approved ? OrderStatus.Paid : OrderStatus.Declined);
            await jobs.AddAsync(session, SendReceipt.Type, new OrderJob(orderId));
        };
    }
}
