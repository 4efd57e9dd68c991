using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Storefront.Entry;

/// <summary>HTTPS and nothing else: a service that also listens in plain text sends the first request, token included, in plain text.</summary>
internal static partial class Tls
{
    public const string CertificateKey = "Kestrel:Certificates:Default:Path";

    public static void AddTls(this WebApplicationBuilder builder)
    {
        if (string.IsNullOrEmpty(builder.Configuration[WebHostDefaults.ServerUrlsKey]))
            builder.WebHost.UseUrls("https://localhost:7443");
        if (builder.Configuration.ManagementPort() is { } port)
            builder.WebHost.UseUrls($"{builder.Configuration[WebHostDefaults.ServerUrlsKey]};https://*:{port}");
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.ConfigureHttpsDefaults(https =>
            {
                https.SslProtocols = System.Security.Authentication.SslProtocols.Tls12 | System.Security.Authentication.SslProtocols.Tls13;
                if (builder.Environment.IsDevelopment() && string.IsNullOrEmpty(builder.Configuration[CertificateKey]))
                    https.ServerCertificate = DevelopmentCertificate(kestrel.ApplicationServices.GetRequiredService<ILoggerFactory>());
            });
        });
    }

    /// <returns>The addresses.</returns>
    /// <exception cref="OperationalException">One of them is in plain text.</exception>
    public static string CheckAddresses(IConfiguration settings)
    {
        var urls = settings[WebHostDefaults.ServerUrlsKey]!;
        if (settings.GetSection("Kestrel:Endpoints").GetChildren().Any())
            throw Settings.Refused("Kestrel:Endpoints", "is not read: set ASPNETCORE_URLS");
        return urls.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).All(url => url.StartsWith("https://", StringComparison.OrdinalIgnoreCase))
            ? urls
            : throw Settings.Refused("ASPNETCORE_URLS", "holds an address that is not https://");
    }

    /// <returns>When the server's certificate ends.</returns>
    /// <exception cref="OperationalException">There is none, or none that its key fits.</exception>
    public static DateTimeOffset CheckCertificate(IConfiguration settings)
    {
        try
        {
            using var certificate = X509Certificate2.CreateFromPemFile(settings[CertificateKey] ?? "", settings["Kestrel:Certificates:Default:KeyPath"]);
            return certificate.NotAfter;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            throw Settings.Refused(CertificateKey, "and Kestrel__Certificates__Default__KeyPath must name the PEM files of the server's certificate and its key");
        }
    }

    /// <summary>The one that `dotnet dev-certs https --trust` made, else one for this run: curl needs -k for that.</summary>
    private static X509Certificate2 DevelopmentCertificate(ILoggerFactory loggers)
    {
        const string DevCertsOid = "1.3.6.1.4.1.311.84.1.1";
        using var store = new X509Store(StoreName.My, StoreLocation.CurrentUser, OpenFlags.ReadOnly);
        var trusted = store.Certificates.FirstOrDefault(each =>
            each.HasPrivateKey && each.NotAfter > DateTime.Now && each.Extensions.Any(extension => extension.Oid?.Value == DevCertsOid));
        if (trusted is not null)
            return trusted;
        OwnCertificate(loggers.CreateLogger("Storefront"));
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        Array.ForEach([IPAddress.Loopback, IPAddress.IPv6Loopback], names.AddIpAddress);
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(7));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null); // Windows serves no ephemeral key
    }

    [LoggerMessage(3, LogLevel.Warning, "There is no development certificate: this run makes its own, which no client trusts. A lasting one: dotnet dev-certs https --trust")]
    private static partial void OwnCertificate(ILogger logger);
}
