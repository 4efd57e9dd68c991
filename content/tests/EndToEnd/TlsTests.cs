using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace EndToEnd;

public sealed class TlsTests
{
    [Fact, Trait("Readiness", "20")]
    public async Task Answers_bind_browsers_to_HTTPS_for_two_years()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var http = site.Client(service);

        foreach (var path in (string[])["/health/live", Operations.Path, "/nowhere"])
        {
            using var answer = await http.GetAsync(path);
            answer.Headers.GetValues("Strict-Transport-Security").Should().Equal("max-age=63072000; includeSubDomains");
        }
    }

    [Fact, Trait("Readiness", "20")]
    public async Task Plain_HTTP_is_neither_answered_nor_redirected()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var tcp = new TcpClient();
        await tcp.ConnectAsync("127.0.0.1", service.Address.Port);

        await tcp.GetStream().SendAsync("GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");

        (await tcp.GetStream().ReceiveAsync("\r\n")).Should().NotContain("HTTP/1.1 2").And.NotContain("HTTP/1.1 3");
    }

    [Theory, Trait("Readiness", "20")]
    [InlineData("ASPNETCORE_URLS=https://127.0.0.1:0;http://127.0.0.1:0", "ASPNETCORE_URLS")]
    [InlineData("Kestrel__Endpoints__Plain__Url=http://127.0.0.1:0", "Kestrel__Endpoints")]
    public async Task An_address_in_plain_text_is_refused_at_the_start(string setting, string key)
    {
        await using var site = await Site.CreateAsync();

        await site.RefusesAsync(setting, key);
    }

    [Theory, Trait("Readiness", "21")]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task Current_versions_of_TLS_are_spoken(SslProtocols version)
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var tcp = new TcpClient();
        await tcp.ConnectAsync("127.0.0.1", service.Address.Port);
        await using var tls = new SslStream(tcp.GetStream());
        var client = site.Certificates.Client();
        client.EnabledSslProtocols = version;

        await tls.AuthenticateAsClientAsync(client);

        tls.SslProtocol.Should().Be(version);
    }

    /// <summary>By hand, as the client's own library would refuse before the service can; that of the service is told to allow all.</summary>
    [Fact, Trait("Readiness", "21")]
    public async Task Older_versions_of_TLS_are_refused()
    {
        await using var site = await Site.CreateAsync();
        var lax = Path.Combine(site.Folder, "openssl.cnf");
        await File.WriteAllTextAsync(lax, "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMinProtocol = TLSv1\nCipherString = DEFAULT:@SECLEVEL=0\n");
        await using var service = await site.ServeAsync($"OPENSSL_CONF={lax}");

        (await FirstRecordAsync(service, version: 3)).Should().Be(Handshake, "the greeting itself is understood in TLS 1.2");
        (await FirstRecordAsync(service, version: 2)).Should().NotBe(Handshake);
        (await FirstRecordAsync(service, version: 1)).Should().NotBe(Handshake);
    }

    /// <summary>Files as a secret is mounted: a link to a link, and the second is the one that changes. The authority of the new certificate is under the one that is trusted.</summary>
    [Fact, Trait("Readiness", "20")]
    public async Task A_new_certificate_is_shown_to_new_connections_and_cuts_none()
    {
        await using var site = await Site.CreateAsync();
        var mount = new Mount(site);
        mount.Swap(site.Certificates.Issue("old"));
        await using var service = await site.ServeAsync(mount.Settings);
        await using var connection = await site.ConnectAsync(service);
        var old = connection.RemoteCertificate!.GetSerialNumberString();
        (await AskAsync(connection)).Should().Contain("200 OK");
        using var stop = new CancellationTokenSource();
        var calls = Task.WhenAll(CallAsync(TimeSpan.Zero), CallAsync(TimeSpan.FromMinutes(1))); // each on a connection of its own, all on one

        mount.Swap(site.Certificates.Issue("new", intermediate: true));

        await Eventually.TrueAsync(async () => await SerialAsync(site, service) != old);
        (await AskAsync(connection)).Should().Contain("200 OK");
        await stop.CancelAsync();
        (await calls).Should().OnlyContain(count => count > 0);
        service.Log.Should().ContainSingle(line => line.Is("Renewed"));
        service.Log.Should().ContainSingle(line => line.Is("ListeningOnAddress"), "its ports are not closed and opened again");

        async Task<int> CallAsync(TimeSpan lifetime)
        {
            using var http = new HttpClient(new SocketsHttpHandler { SslOptions = site.Certificates.Client(), PooledConnectionLifetime = lifetime });
            for (var count = 0; ; count++)
            {
                using var answer = await http.GetAsync(new Uri(service.Address, "/health/live"));
                answer.EnsureSuccessStatusCode();
                if (stop.IsCancellationRequested)
                    return count;
            }
        }
    }

    [Fact, Trait("Readiness", "20")]
    public async Task Files_that_hold_no_pair_change_nothing_and_are_said_once_until_they_do()
    {
        await using var site = await Site.CreateAsync();
        var mount = new Mount(site);
        mount.Swap(site.Certificates.Issue("old"));
        await using var service = await site.ServeAsync(mount.Settings);
        var old = await SerialAsync(site, service);
        var (certificate, key) = site.Certificates.Issue("new");

        foreach (var (half, other) in new[] { (certificate, site.Certificates.KeyFile), (site.Certificates.AuthorityFile, site.Certificates.AuthorityFile) })
        {
            mount.Swap((half, other)); // the key is not there yet; no key at all
            for (var watch = Stopwatch.StartNew(); watch.Elapsed < TimeSpan.FromSeconds(2.5) || !service.Log.Any(line => line.Is("Kept")); await Task.Delay(20)) // in which it looks twice
                (await SerialAsync(site, service)).Should().Be(old);
        }
        service.Log.Should().ContainSingle(line => line.Is("Kept")).Which.Text("message").Should().Contain("Kestrel__Certificates__Default");
        service.Log.Should().NotContain(line => line.Text("level") == "Error" || line.Text("level") == "Critical");
        string.Concat(service.Lines).Should().NotContain("PRIVATE KEY");

        mount.Swap((certificate, key));

        await Eventually.TrueAsync(async () => await SerialAsync(site, service) != old);
    }

    [Fact]
    public async Task Development_without_a_certificate_makes_one_and_says_so()
    {
        await using var site = await Site.CreateAsync(schema: false);
        await using var service = await site.ServeAsync([.. site.Development, "Kestrel__Certificates__Default__Path", "Kestrel__Certificates__Default__KeyPath"]);
        X509Certificate2? seen = null;
        using var handler = new HttpClientHandler();
        handler.ServerCertificateCustomValidationCallback = (_, certificate, _, _) => (seen = new X509Certificate2(certificate!)) is not null;
        using var http = new HttpClient(handler) { BaseAddress = service.Address };

        using var answer = await http.GetAsync("/health/ready");

        answer.StatusCode.Should().Be(HttpStatusCode.OK);
        seen!.Subject.Should().Be("CN=localhost");
        seen.MatchesHostname("localhost").Should().BeTrue();
        seen.MatchesHostname("127.0.0.1").Should().BeTrue();
        service.Log.Should().ContainSingle(line => line.Is("OwnCertificate"));
    }

    private const byte Handshake = 0x16;

    private static async Task<string> SerialAsync(Site site, ServiceProcess service)
    {
        await using var connection = await site.ConnectAsync(service);
        return connection.RemoteCertificate!.GetSerialNumberString();
    }

    private static async Task<string> AskAsync(SslStream connection)
    {
        await connection.SendAsync("GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        return await connection.ReceiveAsync("{}}");
    }

    /// <summary>tls.crt is a link to ..data/tls.crt, and ..data is one to a folder, replaced in one step.</summary>
    private sealed class Mount(Site site)
    {
        private readonly string _folder = Directory.CreateDirectory(Path.Combine(site.Folder, "mount")).FullName;
        private int _version;

        public string[] Settings => [$"Kestrel__Certificates__Default__Path={_folder}/tls.crt", $"Kestrel__Certificates__Default__KeyPath={_folder}/tls.key"];

        public void Swap((string Certificate, string Key) files)
        {
            var (version, link) = ($"..{++_version}", Path.Combine(_folder, "..data"));
            var folder = Directory.CreateDirectory(Path.Combine(_folder, version)).FullName;
            File.Copy(files.Certificate, Path.Combine(folder, "tls.crt"));
            File.Copy(files.Key, Path.Combine(folder, "tls.key"));
            if (_version == 1)
            {
                File.CreateSymbolicLink(Path.Combine(_folder, "tls.crt"), "..data/tls.crt");
                File.CreateSymbolicLink(Path.Combine(_folder, "tls.key"), "..data/tls.key");
            }
            File.CreateSymbolicLink(link + "_tmp", version);
            Rename(link + "_tmp", link).Should().Be(0);
        }

        /// <summary>File.Move follows the link.</summary>
        [DllImport("libc", EntryPoint = "rename", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
        private static extern int Rename(string from, string to);
    }

    /// <summary>Sends a ClientHello that offers nothing newer than the version given.</summary>
    /// <returns>The type of the record that comes back, or 0 where none does.</returns>
    private static async Task<byte> FirstRecordAsync(ServiceProcess service, byte version)
    {
        byte[] ciphers = [0xC0, 0x2B, 0xC0, 0x2F, 0xC0, 0x09, 0xC0, 0x13, 0x00, 0x2F];
        byte[] extensions =
        [
            0, 10, 0, 4, 0, 2, 0, 23, // groups: secp256r1
            0, 11, 0, 2, 1, 0, // points: uncompressed
            0, 13, 0, 8, 0, 6, 4, 3, 4, 1, 2, 3, // signatures: ECDSA and RSA with SHA-256, ECDSA with SHA-1
        ];
        byte[] hello = [3, version, .. new byte[32], 0, 0, (byte)ciphers.Length, .. ciphers, 1, 0, 0, (byte)extensions.Length, .. extensions];
        using var tcp = new TcpClient();
        await tcp.ConnectAsync("127.0.0.1", service.Address.Port);
        await tcp.GetStream().WriteAsync((byte[])[Handshake, 3, 1, 0, (byte)(hello.Length + 4), 1, 0, 0, (byte)hello.Length, .. hello]);
        var answer = new byte[1];
        return await tcp.GetStream().ReadAsync(answer) == 1 ? answer[0] : (byte)0;
    }
}
