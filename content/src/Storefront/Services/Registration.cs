namespace Storefront.Services;

public static class Registration
{
    /// <summary>Services by the end of their name, job handlers by their interface: a new one needs no line here.</summary>
    public static void AddServices(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        //#if (sample)
        services.AddSingleton(builder.Configuration.Read<OrderSettings>("Orders"));
        //#endif
        //#if (jobs != "none")
        services.AddSingleton(builder.Configuration.Read<JobSettings>("Jobs"));
        services.AddSingleton<JobScheduler>();
        services.AddSingleton<JobRunner>();
        services.AddSingleton<JobMetrics>();
        //#endif
        services.Scan(scan => scan.FromAssemblies(typeof(Registration).Assembly)
            .AddClasses(classes => classes.Where(type => type.Name.EndsWith("Service", StringComparison.Ordinal))).AsSelf().WithSingletonLifetime()
            .AddClasses(classes => classes.AssignableTo<IJobHandler>(), publicOnly: false).As<IJobHandler>().WithSingletonLifetime());
    }
}
