using System.Collections;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;

namespace Storefront.Entry;

/// <summary>Bodies are taken by the letter: nothing unknown, nothing twice, nothing missing, nothing of another type.</summary>
internal static class JsonContract
{
    public static void AddJsonContract(this WebApplicationBuilder builder)
    {
        builder.Services.AddValidation();
        builder.Services.ConfigureHttpJsonOptions(json =>
        {
            var options = json.SerializerOptions;
            options.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
            options.AllowDuplicateProperties = false;
            options.RespectNullableAnnotations = true;
            options.RespectRequiredConstructorParameters = true;
            options.NumberHandling = JsonNumberHandling.Strict;
            options.PropertyNameCaseInsensitive = false;
            options.MaxDepth = 16;
            options.TypeInfoResolver = options.TypeInfoResolver!.WithAddedModifier(RefuseNullItems);
            options.Converters.Add(new CleanStringConverter());
            options.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false));
        });
    }

    /// <summary>The serializer respects that a member is not nullable, but not that the items of a list are not.</summary>
    private static void RefuseNullItems(JsonTypeInfo type)
    {
        if (type.Kind != JsonTypeInfoKind.Enumerable)
            return;
        type.OnDeserialized = list =>
        {
            if (((IEnumerable)list).Cast<object?>().Contains(null))
                throw new JsonException("A null value stands in a list.");
        };
    }
}

/// <summary>Where in the input, as a JSON path or the name of a parameter, and what is wrong there, without the names of our types.</summary>
internal static partial class InputErrors
{
    public static Dictionary<string, string[]> Of(BadHttpRequestException exception) => exception.InnerException is JsonException json
        ? new() { [json.Path ?? "$"] = [Explain(json.Message)] }
        : Parameter().Match(exception.Message) is { Success: true } parameter && parameter.Groups[1].Value != "body"
            ? new() { [parameter.Groups[1].Value] = ["This is missing or of the wrong type."] }
            : new() { ["$"] = ["A JSON body is required."] };

    /// <summary>
    /// The validation names members and parameters as C# does: Items[0].Name is $.items[0].name to the caller, and idempotencyKey
    /// the header idempotency-key.
    /// </summary>
    public static IDictionary<string, string[]> AsJsonPaths(IDictionary<string, string[]> errors) => errors.ToDictionary(
        error => error.Key switch
        {
            [>= 'A' and <= 'Z', ..] => "$." + string.Join('.', error.Key.Split('.').Select(JsonNamingPolicy.CamelCase.ConvertName)),
            ['$', ..] => error.Key,
            _ => JsonNamingPolicy.KebabCaseLower.ConvertName(error.Key),
        },
        error => error.Value);

    private static string Explain(string message) => message switch
    {
        _ when message.Contains("missing required properties", StringComparison.Ordinal) => $"Missing: {message[(message.LastIndexOf(": ", StringComparison.Ordinal) + 2)..]}",
        _ when message.Contains("could not be mapped", StringComparison.Ordinal) => "This member is unknown.",
        _ when message.Contains("uplicate propert", StringComparison.Ordinal) => "This member appears twice.",
        _ when message.Contains("setting null", StringComparison.Ordinal) || message.Contains("null value", StringComparison.Ordinal) => "This must not be null.",
        _ when message.Contains("could not be converted", StringComparison.Ordinal) => "This has the wrong type.",
        _ => "This is not valid JSON for this place.",
    };

    [GeneratedRegex("parameter \"(?:\\S+ )?(\\w+)\"")]
    private static partial Regex Parameter();
}
