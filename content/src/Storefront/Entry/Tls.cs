using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Storefront.Entry;

public sealed record TlsSettings
{
    /// <summary>A service mesh encrypts and verifies what goes to other machines: then connections in plain text are not refused.</summary>
    public bool Mesh { get; init; }
}

/// <summary>HTTPS and nothing else: a service that also listens in plain text sends the first request, token included, in plain text.</summary>
internal static partial class Tls
{
    public const string CertificateKey = CertificateFiles.Section + ":Path";

    public static void AddTls(this WebApplicationBuilder builder)
    {
        if (string.IsNullOrEmpty(builder.Configuration[WebHostDefaults.ServerUrlsKey]))
            builder.WebHost.UseUrls("https://localhost:7443");
        if (builder.Configuration.ManagementPort() is { } port)
            builder.WebHost.UseUrls($"{builder.Configuration[WebHostDefaults.ServerUrlsKey]};https://*:{port}");
        builder.Services.AddSingleton<CertificateFiles>();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.ConfigurationLoader = null; // it watches the files, too, and takes a pair that is half written for an error
            kestrel.ConfigureHttpsDefaults(https =>
            {
                https.SslProtocols = System.Security.Authentication.SslProtocols.Tls12 | System.Security.Authentication.SslProtocols.Tls13;
                if (builder.Environment.IsDevelopment() && string.IsNullOrEmpty(builder.Configuration[CertificateKey]))
                {
                    https.ServerCertificate = DevelopmentCertificate(kestrel.ApplicationServices.GetRequiredService<ILoggerFactory>());
                    return;
                }
                var files = kestrel.ApplicationServices.GetRequiredService<CertificateFiles>();
                https.ServerCertificate = files.Current.TargetCertificate;
                https.OnAuthenticate = (_, tls) => tls.ServerCertificateContext = files.Current; // with its intermediates, which a selector could not give
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
    /// <exception cref="OperationalException">There is none, or none that its key fits, or it is out of date.</exception>
    public static DateTimeOffset CheckCertificate(IConfiguration settings, DateTimeOffset now)
    {
        try
        {
            using var certificate = X509Certificate2.CreateFromPemFile(settings[CertificateKey] ?? "", settings["Kestrel:Certificates:Default:KeyPath"]);
            DateTimeOffset from = certificate.NotBefore, to = certificate.NotAfter;
            return from <= now && now < to ? to : throw Settings.Refused(CertificateKey, $"names a certificate that counts from {from:u} to {to:u}, and not now");
        }
        catch (Exception e) when (CertificateFiles.IsUnusable(e))
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
        return Servable(certificate);
    }

    /// <summary>Windows serves no ephemeral key.</summary>
    public static X509Certificate2 Servable(X509Certificate2 certificate) => X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pfx), null);

    [LoggerMessage(3, LogLevel.Warning, "There is no development certificate: this run makes its own, which no client trusts. A lasting one: dotnet dev-certs https --trust")]
    private static partial void OwnCertificate(ILogger logger);
}

/// <summary>What the PEM files hold now: a new certificate is shown from the next handshake on, and the connections of the old one go on.</summary>
internal sealed partial class CertificateFiles
{
    public const string Section = "Kestrel:Certificates:Default";

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly string _path;
    private readonly string _keyPath;
    private readonly TimeProvider _clock;
    private readonly ILogger<CertificateFiles> _logger;
    private readonly Lock _reading = new();
    private (string, string) _pem;
    private SslStreamCertificateContext _current;
    private long _readAt;
    private bool _unusable;

    public CertificateFiles(IConfiguration configuration, IMeterFactory meters, TimeProvider clock, ILogger<CertificateFiles> logger)
    {
        (_path, _clock, _logger, _readAt) = (configuration[Section + ":Path"] ?? "", clock, logger, clock.GetTimestamp());
        _keyPath = configuration[Section + ":KeyPath"] ?? _path;
        _current = Parse(_pem = Read());
        meters.Create("Storefront.Tls").CreateObservableGauge(
            "tls.certificate.remaining", () => (Current.TargetCertificate.NotAfter.ToUniversalTime() - clock.GetUtcNow()).TotalSeconds, "s", "Until the service's own certificate ends.");
    }

    public SslStreamCertificateContext Current
    {
        get
        {
            if (_clock.GetElapsedTime(Volatile.Read(ref _readAt)) > Interval && _reading.TryEnter()) // one handshake reads, the others do not wait for it
            {
                try
                {
                    Refresh();
                }
                finally
                {
                    _reading.Exit();
                }
            }
            return _current;
        }
    }

    public static bool IsUnusable(Exception exception) => exception is CryptographicException or ArgumentException or IOException or UnauthorizedAccessException;

    private (string Certificates, string Key) Read() => (File.ReadAllText(_path), File.ReadAllText(_keyPath));

    /// <summary>Intermediate certificates follow that of the server in its file.</summary>
    private static SslStreamCertificateContext Parse((string Certificates, string Key) pem)
    {
        using var certificate = X509Certificate2.CreateFromPem(pem.Certificates, pem.Key);
        var chain = new X509Certificate2Collection();
        chain.ImportFromPem(pem.Certificates);
        return SslStreamCertificateContext.Create(Tls.Servable(certificate), chain, offline: true);
    }

    /// <summary>By content: times of files tell little behind the symbolic links of mounted secrets.</summary>
    private void Refresh()
    {
        try
        {
            var pem = Read();
            if (pem != _pem)
            {
                _current = Parse(pem);
                _pem = pem;
                Renewed(_current.TargetCertificate.NotAfter.ToUniversalTime());
            }
            _unusable = false;
        }
        catch (Exception e) when (IsUnusable(e)) // also while the pair is being written
        {
            if (!_unusable)
                Kept(e.Message);
            _unusable = true;
        }
        Volatile.Write(ref _readAt, _clock.GetTimestamp());
    }

    [LoggerMessage(14, LogLevel.Information, "A new certificate is shown; it ends at {NotAfter:u}")]
    private partial void Renewed(DateTime notAfter);

    [LoggerMessage(15, LogLevel.Warning, "The files of Kestrel__Certificates__Default hold no certificate with its key now, and the one of before goes on: {Reason}")]
    private partial void Kept(string reason);
}
