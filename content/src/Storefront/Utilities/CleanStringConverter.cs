using System.Text.Json.Serialization;

namespace Storefront.Utilities;

/// <summary>
/// Refuses U+0000, which PostgreSQL cannot store, and lone surrogates, which are not Unicode text: in any string of a
/// body they are the caller's error, not a failure of the database later on.
/// </summary>
public sealed class CleanStringConverter : JsonConverter<string>
{
    public override string? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.PropertyName))
            throw new JsonException("A string is expected.");
        var text = reader.GetString(); // which throws at a lone surrogate, and the serializer makes it an error of the input
        return text is not null && text.Contains('\0') ? throw new JsonException("The string holds the character U+0000.") : text;
    }

    public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options) => writer.WriteStringValue(value);
}
