using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Engines;

/// <summary>A proxy as deploy/ ships it: nothing of its file is changed but addresses, ports and the folder of the certificates.</summary>
internal abstract partial class Proxy(string program, string file, int[] instances)
    : Server(Find(program) is not null, $"Not tested: {program} with deploy/{file}. Install the package {program}.")
{
    /// <summary>By this name it verifies the certificates of the instances.</summary>
    public const string Instance = "storefront-api";

    public override string ConnectionString => $"https://127.0.0.1:{Port}";

    public override string TlsConnectionString => ConnectionString;

    /// <summary>Of the authority that vouches for the instances.</summary>
    public required string AuthorityFile { get; init; }

    protected string Program => Find(program)!;

    protected override async Task PrepareAsync()
    {
        var (certificate, key) = Certificate!.Value;
        File.Copy(AuthorityFile, Path.Combine(Folder, "ca.pem"));
        await File.WriteAllTextAsync(Path.Combine(Folder, "tls.pem"), await File.ReadAllTextAsync(certificate) + await File.ReadAllTextAsync(key));
        var text = (await File.ReadAllTextAsync(Shipped(file))).Replace("/run/secrets", Folder, StringComparison.Ordinal);
        text = Address().Replace(text, address => $"127.0.0.1:{instances[address.Groups[1].Value[0] - '1']}");
        await File.WriteAllTextAsync(Path.Combine(Folder, file), Adapt(text));
    }

    protected abstract string Adapt(string text);

    protected override async Task<bool> AnswersAsync()
    {
        using var tcp = new TcpClient();
        try
        {
            await tcp.ConnectAsync(IPAddress.Loopback, Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static string? Find(string program) => $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin".Split(':').Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);

    private static string Shipped(string file, [CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "../../deploy", file);

    [GeneratedRegex(@"\bapi-([12]):8443")]
    private static partial Regex Address();
}

internal sealed class NginxServer(params int[] instances) : Proxy("nginx", "nginx.conf", instances)
{
    protected override string[] Command => [Program, "-p", Folder, "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off; pid nginx.pid;" + (Environment.IsPrivilegedProcess ? " user root;" : "")];

    // The folders for large bodies would be Debian's.
    protected override string Adapt(string text) => text.Replace("listen 443 ", $"listen 127.0.0.1:{Port} ", StringComparison.Ordinal)
        .Replace("http {", "http { client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;", StringComparison.Ordinal);
}

internal sealed class HaproxyServer(params int[] instances) : Proxy("haproxy", "haproxy.cfg", instances)
{
    protected override string[] Command => [Program, "-db", "-f", "haproxy.cfg"];

    protected override string Adapt(string text) => text.Replace("bind :443 ", $"bind 127.0.0.1:{Port} ", StringComparison.Ordinal);
}
