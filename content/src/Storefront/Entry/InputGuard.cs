using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Storefront.Entry;

/// <summary>What no handler should have to think of, decided before a body is read.</summary>
internal static class InputGuard
{
    public static void UseInputGuard(this WebApplication app) => app.Use((http, next) =>
    {
        if (!http.Request.Path.StartsWithSegments("/v1"))
            return next(http);
        if (http.Request.Headers.Accept.Count > 0 && !Acceptable(http.Request.GetTypedHeaders().Accept))
            return http.WriteProblemAsync(StatusCodes.Status406NotAcceptable, "The service answers in application/json.");
        if (MediaTypeHeaderValue.TryParse(http.Request.ContentType, out var media) && media.Parameters.Count > 0)
        {
            if (!media.Parameters.Where(parameter => parameter.Name.Equals("charset", StringComparison.OrdinalIgnoreCase)).All(parameter => IsUtf8(parameter.Value)))
                return http.WriteProblemAsync(StatusCodes.Status415UnsupportedMediaType, "Bodies are read in UTF-8.");
            http.Request.ContentType = media.MediaType.Value; // the framework fails on a charset in quotes
        }
        if (http.Request.QueryString.HasValue && http.Request.Query.FirstOrDefault(field => field.Value is not [{ Length: > 0 } value] || value.Any(char.IsControl)).Key is { } name)
            return http.WriteProblemAsync(StatusCodes.Status400BadRequest, $"The query parameter {name} is empty, appears more than once or holds a control character.");
        return next(http);
    });

    private static bool IsUtf8(StringSegment charset) => HeaderUtilities.RemoveQuotes(charset).Equals("utf-8", StringComparison.OrdinalIgnoreCase);

    private static bool Acceptable(IList<MediaTypeHeaderValue> accept) =>
        accept.Count == 0 || accept.Any(range => range.Quality is not 0 && Answers.Any(answer => answer.IsSubsetOf(range)));

    private static readonly MediaTypeHeaderValue[] Answers = [new("application/json"), new("application/problem+json")];
}
