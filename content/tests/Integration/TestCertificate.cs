using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Integration;

/// <summary>A certificate in PEM files, as a host outside Development needs one.</summary>
internal sealed class TestCertificate : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("storefront-");

    public TestCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(Settings[0].Value, certificate.ExportCertificatePem());
        File.WriteAllText(Settings[1].Value, key.ExportPkcs8PrivateKeyPem());
    }

    public (string Key, string Value)[] Settings =>
    [
        ("Kestrel:Certificates:Default:Path", Path.Combine(_folder.FullName, "tls.crt")),
        ("Kestrel:Certificates:Default:KeyPath", Path.Combine(_folder.FullName, "tls.key")),
    ];

    public void Dispose() => _folder.Delete(recursive: true);
}
