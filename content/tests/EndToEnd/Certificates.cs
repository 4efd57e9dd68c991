using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace EndToEnd;

/// <summary>A throw-away authority and one certificate of it for this machine: the servers show it, the clients trust nothing else.</summary>
internal sealed class Certificates : IDisposable
{
    /// <param name="days">So long they are good: the checklist wants two weeks.</param>
    public Certificates(string folder, int days = 30)
    {
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authority = new CertificateRequest("CN=Throw-away authority", authorityKey, HashAlgorithmName.SHA256);
        authority.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        var (from, to) = (DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(days));
        Authority = authority.CreateSelfSigned(from, to);

        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=Throw-away server", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var server = request.Create(Authority, from, to, RandomNumberGenerator.GetBytes(8));
        Server = server.CopyWithPrivateKey(key);

        (AuthorityFile, ServerFile, KeyFile) = (Path.Combine(folder, "ca.pem"), Path.Combine(folder, "server.pem"), Path.Combine(folder, "server.key"));
        File.WriteAllText(AuthorityFile, Authority.ExportCertificatePem());
        File.WriteAllText(ServerFile, Server.ExportCertificatePem());
        File.WriteAllText(KeyFile, key.ExportPkcs8PrivateKeyPem());
    }

    public X509Certificate2 Authority { get; }

    public X509Certificate2 Server { get; }

    public string AuthorityFile { get; }

    public string ServerFile { get; }

    public string KeyFile { get; }

    /// <summary>What a client needs to trust <see cref="Server"/> and nothing else.</summary>
    public SslClientAuthenticationOptions Client()
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.Add(Authority);
        return new SslClientAuthenticationOptions { TargetHost = "127.0.0.1", CertificateChainPolicy = policy };
    }

    public void Dispose()
    {
        Authority.Dispose();
        Server.Dispose();
    }
}
