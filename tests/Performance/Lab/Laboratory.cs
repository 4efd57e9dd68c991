using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;

namespace Lab;

/// <summary>What all that is measured stands on: one certificate, one issuer of tokens, one database, and a temporary folder to publish to.</summary>
public sealed class Laboratory : IAsyncDisposable
{
    public const string Audience = "https://bench.test";

    /// <summary>
    /// For what is measured on one core: there the runtime waits ten times as long before it compiles well what is called often.
    /// And a thread that has nothing to do sleeps at once, as the CPU that it burns while it looks for work is no cost of a request.
    /// </summary>
    public static readonly string[] OneCore = ["DOTNET_TC_DelaySingleProcMultiplier=1", "DOTNET_ThreadPool_UnfairSemaphoreSpinLimit=0"];

    private readonly RSA _key = RSA.Create(2048);
    private readonly WebApplication _issuer;

    private Laboratory()
    {
        var certificate = MakeCertificate();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(certificate)));
        _issuer = builder.Build();
        var key = _key.ExportParameters(false);
        _issuer.MapGet("/.well-known/openid-configuration", () => new { issuer = Issuer, jwks_uri = Issuer + "/keys" });
        _issuer.MapGet("/keys", () => new { keys = new[] { new { kty = "RSA", use = "sig", alg = "RS256", kid = "1", n = Base64(key.Modulus!), e = Base64(key.Exponent!) } } });
        File.WriteAllText(PublicKeyFile, _key.ExportSubjectPublicKeyInfoPem());
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("lab-").FullName;

    public string CertificateFile => Path.Combine(Folder, "certificate.pem");

    public string KeyFile => Path.Combine(Folder, "certificate.key");

    public string PublicKeyFile => Path.Combine(Folder, "public.pem");

    public string Issuer => _issuer.Urls.Single();

    /// <summary>Of ann, for a day.</summary>
    public string Token { get; private set; } = "";

    public Database Database { get; private set; } = null!;

    /// <summary>Of one of her orders, with two lines.</summary>
    public string OrderId { get; private set; } = "";

    /// <summary>For Kestrel, of whoever uses it.</summary>
    public string[] Kestrel => [$"Kestrel__Certificates__Default__Path={CertificateFile}", $"Kestrel__Certificates__Default__KeyPath={KeyFile}"];

    /// <summary>Of the service in Production, as one that takes requests and leaves the jobs to others.</summary>
    public string[] Service =>
    [
        .. Kestrel,
        "ASPNETCORE_ENVIRONMENT=Production", $"HOME={Folder}", $"SSL_CERT_FILE={CertificateFile}", "AllowedHosts=127.0.0.1", $"ConnectionStrings__Database={Database.ConnectionString}",
        $"Authentication__Schemes__Bearer__Authority={Issuer}", $"Authentication__Schemes__Bearer__ValidAudiences__0={Audience}", $"Payments__BaseUrl={Issuer}",
        "Process__Roles=api", "Limits__RequestsPerSecond=1000000", "Limits__Burst=1000000", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1",
    ];

    public static async Task<Laboratory> OpenAsync(params string[] tools)
    {
        foreach (var tool in (string[])["wrk", "taskset", .. tools])
            await RunAsync("sh", ["-c", $"command -v {tool} >/dev/null || {{ echo '{tool} is missing: install it, then run this again.' >&2; exit 1; }}"]);
        var laboratory = new Laboratory();
        await laboratory._issuer.StartAsync();
        laboratory.Token = laboratory.MakeToken();
        laboratory.Database = await Database.CreateAsync();
        return laboratory;
    }

    /// <summary>The tables by the service itself, and a thousand products and orders in them.</summary>
    public async Task FillAsync(string service)
    {
        await RunAsync("dotnet", [service, "migrate"], [.. Service, "ASPNETCORE_URLS=https://127.0.0.1:0"]);
        OrderId = await Database.FillAsync();
    }

    /// <summary>The service as content/ has it, published as for its image, with an endpoint that does nothing and one that says what was allocated.</summary>
    /// <param name="edits">Of its pipeline: what stands there once, and what to put in its place.</param>
    public async Task<string> PublishServiceAsync(string name, (string Old, string New)[]? edits = null, params string[] properties)
    {
        var (source, target) = (Beside("../../../content"), Path.Combine(Folder, name));
        foreach (var file in Directory.GetFiles(source, "*", SearchOption.AllDirectories).Where(file => !file.Contains("/bin/") && !file.Contains("/obj/") && !file.Contains("/tests/")))
        {
            var copy = Path.Combine(target, Path.GetRelativePath(source, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
        var project = Path.Combine(target, "src", "Storefront");
        foreach (var (old, other) in edits ?? [])
        {
            var file = Directory.GetFiles(Path.Combine(project, "Entry"), "*.cs").Single(file => File.ReadAllText(file).Split(old).Length == 2);
            File.WriteAllText(file, File.ReadAllText(file).Replace(old, other));
        }
        await File.WriteAllTextAsync(
            Path.Combine(project, "Controllers", "BenchController.cs"),
            """
            namespace Storefront.Controllers;

            public sealed class BenchController : IController
            {
                public static void Map(IEndpointRouteBuilder routes)
                {
                    routes.MapGet("/empty", () => TypedResults.NoContent()).AllowAnonymous();
                    routes.MapGet("/allocated", () => GC.GetTotalAllocatedBytes(precise: true)).AllowAnonymous();
                }
            }
            """);
        return await PublishAsync(project, name, ["--runtime", RuntimeInformation.RuntimeIdentifier, .. properties, "-p:TreatWarningsAsErrors=false", "-p:EnforceCodeStyleInBuild=false"]);
    }

    /// <returns>The program.</returns>
    public async Task<string> PublishAsync(string project, string name, params string[] properties)
    {
        var target = Path.Combine(Folder, "out", name);
        await RunAsync("dotnet", ["publish", project, "-c", "Release", "-o", target, "-v", "q", .. properties]);
        return Path.Combine(target, Path.GetFileNameWithoutExtension(Directory.GetFiles(project, "*.csproj").Single()) + ".dll");
    }

    /// <summary>A path relative to this file.</summary>
    public static string Beside(string path, [CallerFilePath] string file = "") => Path.GetFullPath(path, Path.GetDirectoryName(file)!);

    public static int Number(string variable, int other) => int.TryParse(Environment.GetEnvironmentVariable(variable), out var given) ? given : other;

    public static double Median(IEnumerable<double> figures) => figures.Order().ToList() is var all ? all[all.Count / 2] : 0;

    public static async Task<string> RunAsync(string program, string[] arguments, params string[] settings)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true };
        foreach (var setting in settings)
            start.Environment[setting.Split('=')[0]] = setting.Split('=', 2)[1];
        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {output}");
    }

    /// <summary>The machine and what was measured, for above the tables.</summary>
    public string Title(string more) =>
        string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessorCount} cores, .NET {Environment.Version}, PostgreSQL {Database.Version}, {DateTime.UtcNow:yyyy-MM-dd HH:mm}; {more}\n");

    public async ValueTask DisposeAsync()
    {
        foreach (var peer in Peer.Running.ToList())
            peer.Dispose();
        await Database.DisposeAsync();
        await _issuer.DisposeAsync();
        _key.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private X509Certificate2 MakeCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=bench", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
        File.WriteAllText(CertificateFile, certificate.ExportCertificatePem());
        File.WriteAllText(KeyFile, key.ExportPkcs8PrivateKeyPem());
        return X509Certificate2.CreateFromPemFile(CertificateFile, KeyFile);
    }

    private string MakeToken()
    {
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var text = Base64(JsonSerializer.SerializeToUtf8Bytes(new { alg = "RS256", typ = "JWT", kid = "1" })) + '.'
            + Base64(JsonSerializer.SerializeToUtf8Bytes(new { iss = Issuer, aud = Audience, sub = "ann", scope = "orders:read orders:write", iat = now, nbf = now, exp = now + 86_400 }));
        return text + '.' + Base64(_key.SignData(Encoding.ASCII.GetBytes(text), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
    }

    private static string Base64(byte[] bytes) => System.Buffers.Text.Base64Url.EncodeToString(bytes);
}
