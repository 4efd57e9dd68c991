using System.Net;
using System.Text.RegularExpressions;

namespace Storefront.Utilities;

/// <summary>Settings are records with ranges: a value out of range stops the process with the key, never with the value.</summary>
public static partial class Settings
{
    public static T Read<T>(this IConfiguration configuration, string section)
        where T : class, new()
    {
        T settings;
        try
        {
            settings = configuration.GetSection(section).Get<T>() ?? new T();
        }
        catch (InvalidOperationException e)
        {
            throw Refused(ConfigurationPath().Match(e.Message) is { Success: true } match ? match.Groups[1].Value : section, "has a value of the wrong type");
        }
        var errors = new List<ValidationResult>();
        return Validator.TryValidateObject(settings, new ValidationContext(settings), errors, validateAllProperties: true)
            ? settings
            : throw Refused($"{section}:{errors[0].MemberNames.FirstOrDefault()}", $"is out of range: {errors[0].ErrorMessage?.TrimEnd('.')}");
    }

    /// <summary>A key as one types it: the environment variable.</summary>
    public static OperationalException Refused(string key, string why) =>
        new(Failure.Invalid, $"Setting {key.Replace(":", "__", StringComparison.Ordinal)} {why}.");

    /// <summary>Whether what is sent to this host, with a port or without, does not leave the machine. A path is that of a socket.</summary>
    public static bool IsLoopback(string host) => host is ['/' or '@', ..]
        || (IPEndPoint.TryParse(host, out var address) ? IPAddress.IsLoopback(address.Address) : host.Split(':')[0].Equals("localhost", StringComparison.OrdinalIgnoreCase));

    [GeneratedRegex("at '([^']+)' to type")]
    private static partial Regex ConfigurationPath();
}
