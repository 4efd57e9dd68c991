using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace EndToEnd;

/// <summary>A throw-away authority and certificates of it: the servers show them, the clients trust nothing else.</summary>
internal sealed class Certificates : IDisposable
{
    private readonly string _folder;

    public Certificates(string folder)
    {
        _folder = folder;
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        Authority = AuthorityRequest("authority", key).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-9), DateTimeOffset.UtcNow.AddDays(60));
        AuthorityFile = Path.Combine(folder, "ca.pem");
        File.WriteAllText(AuthorityFile, Authority.ExportCertificatePem());
        (ServerFile, KeyFile) = Issue("server");
        Server = X509Certificate2.CreateFromPemFile(ServerFile, KeyFile);
    }

    /// <summary>A new certificate: of this machine unless another name is given, and valid unless it has less than no days left.</summary>
    /// <param name="days">The checklist wants two weeks.</param>
    /// <param name="since">How many days ago it began.</param>
    /// <param name="file">The name of its PEM files.</param>
    /// <param name="intermediate">Issued by an authority under this one, which follows it in its file.</param>
    public (string Certificate, string Key) Issue(string file, string host = "localhost", int days = 30, bool intermediate = false, int since = 3)
    {
        var (from, to) = (DateTimeOffset.UtcNow.AddDays(-since), DateTimeOffset.UtcNow.AddDays(days));
        using var middleKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var middle = AuthorityRequest("intermediate", middleKey).Create(Authority, from, to, RandomNumberGenerator.GetBytes(8));
        using var issuer = intermediate ? middle.CopyWithPrivateKey(middleKey) : new X509Certificate2(Authority);

        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=Throw-away server", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(host);
        if (host == "localhost")
            names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var server = request.Create(issuer, from, to, RandomNumberGenerator.GetBytes(8));
        var files = (Path.Combine(_folder, file + ".pem"), Path.Combine(_folder, file + ".key"));
        File.WriteAllText(files.Item1, server.ExportCertificatePem() + '\n' + (intermediate ? middle.ExportCertificatePem() : ""));
        File.WriteAllText(files.Item2, key.ExportPkcs8PrivateKeyPem());
        return files;
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

    private static CertificateRequest AuthorityRequest(string name, ECDsa key)
    {
        var request = new CertificateRequest($"CN=Throw-away {name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        return request;
    }

    public void Dispose()
    {
        Authority.Dispose();
        Server.Dispose();
    }
}
