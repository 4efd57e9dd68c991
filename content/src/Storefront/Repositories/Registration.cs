using System.Text.RegularExpressions;
using Dapper;
using Microsoft.Extensions.Caching.Hybrid;

namespace Storefront.Repositories;

/// <summary>What a part runs on, for the line that the log begins with.</summary>
public sealed record Engine(string Part, string Name);

/// <summary>A connection that leaves this machine. Entry decides whether it may.</summary>
/// <param name="Remedy">How to have it encrypted, with the server's certificate checked against its name; null if it is.</param>
/// <param name="Guessable">Whether its password is one that others would try.</param>
public sealed record RemoteConnection(string Key, string? Remedy, bool Guessable);

public sealed record ProcessSettings
{
    /// <summary>How many processes of this service run at most, with those that a rolling update adds: they share the connections of the database.</summary>
    [Range(1, 1000)]
    public int Instances { get; init; } = 3;
}

public static partial class Registration
{
    /// <summary>Each engine is one line here and its own files.</summary>
    public static void AddRepositories(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton<Migrator>();
        services.Scan(scan => scan.FromAssemblyOf<Database>()
            .AddClasses(classes => classes.Where(type => type.Name.EndsWith("Repository", StringComparison.Ordinal)), publicOnly: false)
            .AsMatchingInterface().WithSingletonLifetime());

        builder.AddDatabase();
        builder.AddCache();
        //#if (jobs != "none")
        builder.AddJobs();
        //#endif
        //#if (sample)
        builder.AddPayments();
        //#endif
    }

    /// <param name="secure">Whether it is encrypted, and the certificate of the server is checked against its name.</param>
    /// <param name="password">Null or empty where other means say who may come in.</param>
    public static void ReviewConnection(this IServiceCollection services, string key, string remedy, bool secure, IEnumerable<string> hosts, string? password = null)
    {
        if (!hosts.All(Settings.IsLoopback))
            services.AddSingleton(new RemoteConnection(key, secure ? null : remedy, !string.IsNullOrEmpty(password) && IsGuessable(password)));
    }

    private static bool IsGuessable(string password) => password.Length < 12 || password.Distinct().Count() < 6 || CommonWords().IsMatch(password);

    [GeneratedRegex(@"^([\W\d_]|pass(word|w0rd)?|secret|admin(istrator)?|guest|postgres(ql)?|redis|rabbit(mq)?|change|me|default|root|user|test|qwerty|letmein|welcome|super|my|your|the|app|example|placeholder|storefront)+$", RegexOptions.IgnoreCase)]
    private static partial Regex CommonWords();

    private static void AddDatabase(this WebApplicationBuilder builder)
    {
        DefaultTypeMap.MatchNamesWithUnderscores = true;
        var given = builder.Configuration.GetConnectionString("Database");
        var text = string.IsNullOrEmpty(given) && builder.Environment.IsDevelopment() ? "Data Source=data/storefront.db" : given ?? "";
        //#if (database == "both")
        if (Has("Data Source"))
            builder.Services.AddSingleton<Database>(_ => new SqliteDatabase(text, builder.Environment.ContentRootPath));
        //#endif
        else if (Has("Host"))
            PostgresDatabase.Add(builder, text);
        else
            builder.Services.AddSingleton<Database>(_ => throw Settings.Refused("ConnectionStrings:Database", "is missing or of no known engine: 'Host=...' for PostgreSQL, 'Data Source=file' for SQLite"));
        bool Has(string keyword) => text.Split(';').Any(part => part.Split('=')[0].Trim().Equals(keyword, StringComparison.OrdinalIgnoreCase));
        builder.Services.AddSingleton(provider => new Engine("database", provider.GetRequiredService<Database>().Description));
    }

    private static void AddCache(this WebApplicationBuilder builder)
    {
        builder.Services.AddMemoryCache(memory => memory.TrackStatistics = true);
        builder.Services.AddActivatedSingleton<CacheMetrics>();
        builder.Services.AddHybridCache(cache =>
        {
            cache.MaximumPayloadBytes = 256 * 1024;
            cache.DefaultEntryOptions = new HybridCacheEntryOptions { Expiration = TimeSpan.FromMinutes(5), LocalCacheExpiration = TimeSpan.FromSeconds(15) };
        });
        //#if (sample)
        builder.Services.Decorate<IProductRepository, CachedProductRepository>();
        //#endif
        //#if (cache == "redis")
        if (builder.Configuration.GetConnectionString("Redis") is { Length: > 0 } redis)
        {
            Redis.Add(builder, redis);
            return;
        }
        //#endif
        builder.Services.AddSingleton(new Engine("cache", "memory of this process"));
    }
    //#if (jobs != "none")

    private static void AddJobs(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<Outbox>();
        //#if (jobs == "rabbitmq")
        if (builder.Configuration.GetConnectionString("RabbitMq") is { Length: > 0 } rabbit)
        {
            JobBroker.Add(builder, rabbit);
            return;
        }
        //#endif
        builder.Services.AddSingleton(new Engine("jobs", "this process, from the outbox table"));
    }
    //#endif
    //#if (sample)

    private static void AddPayments(this WebApplicationBuilder builder)
    {
        var settings = builder.Configuration.Read<PaymentSettings>("Payments");
        if (settings.BaseUrl.Length == 0 && builder.Environment.IsDevelopment())
        {
            builder.Services.AddSingleton<IPaymentGateway, SandboxPaymentGateway>();
            builder.Services.AddSingleton(new Engine("payments", "sandbox: no money moves, set Payments__BaseUrl for a provider"));
        }
        else
        {
            HttpPaymentGateway.Add(builder.Services, settings);
            builder.Services.AddSingleton(new Engine("payments", "provider at Payments__BaseUrl"));
        }
    }
    //#endif
}
