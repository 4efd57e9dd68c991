using System.Data.Common;
using System.Text.RegularExpressions;

namespace Storefront.Repositories;

/// <summary>
/// Those in connection strings. A server that only this machine reaches may have any; one without a password says by other means who may come in.
/// </summary>
public static partial class Passwords
{
    /// <exception cref="OperationalException">One that others can guess.</exception>
    public static string Check(IConfiguration settings)
    {
        foreach (var name in (string[])["Database", "Redis", "RabbitMq"])
        {
            var (hosts, password) = Read(name, settings.GetConnectionString(name) ?? "");
            if (password.Length > 0 && !hosts.All(host => host.Length == 0 || Settings.IsLoopback(host)) && (password.Length < 12 || password.Distinct().Count() < 6 || Common().IsMatch(password)))
                throw Settings.Refused($"ConnectionStrings:{name}", "holds a password that is common, a placeholder, or shorter than 12 characters");
        }
        return "none that is short or common";
    }

    /// <summary>Three ways to write the same: an address, a list with ',', fields with ';'. What cannot be read is refused by whoever connects with it.</summary>
    private static (string[] Hosts, string Password) Read(string name, string connection)
    {
        if (name == "RabbitMq")
            return Uri.TryCreate(connection, UriKind.Absolute, out var uri) ? ([uri.Host], uri.UserInfo.Split(':', 2) is [_, var password] ? Uri.UnescapeDataString(password) : "guest") : ([], ""); // the client's default
        if (name == "Redis")
        {
            var parts = connection.Split(',', StringSplitOptions.TrimEntries).ToLookup(part => part.Contains('=', StringComparison.Ordinal));
            return ([.. parts[false]], parts[true].Select(part => part.Split('=', 2)).LastOrDefault(part => part[0].Trim().Equals("password", StringComparison.OrdinalIgnoreCase))?[1].Trim() ?? "");
        }
        var fields = new DbConnectionStringBuilder();
        try
        {
            fields.ConnectionString = connection;
        }
        catch (ArgumentException)
        {
        }
        string Field(params string[] synonyms) => synonyms.Select(synonym => fields.TryGetValue(synonym, out var value) ? $"{value}" : "").FirstOrDefault(value => value.Length > 0, "");
        return (Field("Host", "Server").Split(','), Field("Password", "PWD", "PSW"));
    }

    [GeneratedRegex(@"^([\W\d_]|pass(word|w0rd)?|secret|admin(istrator)?|guest|postgres(ql)?|redis|rabbit(mq)?|change|me|default|root|user|test|qwerty|letmein|welcome|super|my|your|the|app|example|placeholder|storefront)+$", RegexOptions.IgnoreCase)]
    private static partial Regex Common();
}
