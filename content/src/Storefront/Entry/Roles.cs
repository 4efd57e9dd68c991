//#if (jobs == "rabbitmq")
using Storefront.Repositories;

//#endif
namespace Storefront.Entry;

/// <summary>One build, several roles: `api` answers requests, `worker` runs jobs; health and metrics are with both.</summary>
internal static class Roles
{
    /// <summary>Each instance runs the jobs that it finds in the outbox table.</summary>
    public static void AddWorkers(this WebApplicationBuilder builder)
    {
        if (!builder.Configuration.Has("worker"))
            return;
        var services = builder.Services;
        //#if (jobs == "rabbitmq")
        if (services.Any(service => service.ServiceType == typeof(JobBroker))) // jobs go through it to any instance
        {
            services.AddHostedService<JobRelay>().AddHostedService<JobConsumer>();
            return;
        }
        //#endif
        services.AddHostedService<JobWorker>();
    }

    public static bool Has(this IConfiguration configuration, string role)
    {
        var roles = (configuration["Process:Roles"] ?? "api,worker").Split(',', StringSplitOptions.TrimEntries);
        return roles.All(each => each is "api" or "worker") ? roles.Contains(role) : throw Settings.Refused("Process:Roles", "must be api, worker, or both with a comma");
    }
}
