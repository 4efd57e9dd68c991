using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.WebUtilities;

namespace Storefront.Entry;

/// <summary>Every error, whoever raises it, is a problem (RFC 9457) of one shape, with the trace id that the log has too.</summary>
internal static class Errors
{
    public static void AddErrors(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<IProblemDetailsWriter, ProblemWriter>(); // before the framework's, which leaves the body empty where Accept asks for HTML
        builder.Services.AddProblemDetails();
        builder.Services.AddExceptionHandler<ExceptionHandler>();
        builder.Services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true); // else malformed input has an empty body outside Development
    }

    public static Task WriteProblemAsync(this HttpContext http, int status, string? detail = null, IDictionary<string, string[]>? errors = null)
    {
        http.Response.StatusCode = status;
        var problem = errors is null ? new ProblemDetails() : new HttpValidationProblemDetails(errors);
        problem.Status = status;
        problem.Detail = detail;
        var service = http.RequestServices.GetRequiredService<IProblemDetailsService>();
        return service.WriteAsync(new ProblemDetailsContext { HttpContext = http, ProblemDetails = problem }).AsTask();
    }
}

/// <summary>Writes the problem whatever the caller accepts: an error in another format beats none.</summary>
internal sealed class ProblemWriter : IProblemDetailsWriter
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    public bool CanWrite(ProblemDetailsContext context) => true;

    public async ValueTask WriteAsync(ProblemDetailsContext context)
    {
        var (http, problem) = (context.HttpContext, context.ProblemDetails);
        problem.Status ??= http.Response.StatusCode;
        problem.Type = "about:blank"; // the status says what kind it is (RFC 9457, 4.2.1)
        problem.Title = ReasonPhrases.GetReasonPhrase(problem.Status.Value);
        problem.Extensions["traceId"] = Activity.Current?.TraceId.ToHexString() ?? http.TraceIdentifier;
        if (problem is HttpValidationProblemDetails invalid)
        {
            problem.Detail = "The input does not follow the contract: see errors.";
            invalid.Errors = InputErrors.AsJsonPaths(invalid.Errors);
        }
        await http.Response.WriteAsJsonAsync(problem, problem.GetType(), Json, "application/problem+json", http.RequestAborted);
    }
}

/// <summary>
/// Operational failures become the status that tells the caller what to do, and at the most a warning. Anything else is a
/// fault of ours: a 500 that says nothing, and the whole story in the log under the same trace id.
/// </summary>
internal sealed partial class ExceptionHandler(ILogger<ExceptionHandler> logger) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        switch (exception)
        {
            case OperationalException failure:
                Refused(failure.Message);
                var (status, detail) = Answer(failure);
                httpContext.Response.Headers.RetryAfter = failure.Failure == Failure.Unavailable ? "5" : default;
                await httpContext.WriteProblemAsync(status, detail);
                break;
            case BadHttpRequestException bad: // 400, 408, 413, 415 ...
                await httpContext.WriteProblemAsync(bad.StatusCode, errors: bad.StatusCode == StatusCodes.Status400BadRequest ? InputErrors.Of(bad) : null);
                break;
            default:
                Faulted(exception);
                await httpContext.WriteProblemAsync(StatusCodes.Status500InternalServerError, "This is a fault of the service. Report it with the trace id.");
                break;
        }
        return true;
    }

    private static (int Status, string Detail) Answer(OperationalException exception) => exception.Failure switch
    {
        Failure.Invalid => (StatusCodes.Status400BadRequest, exception.Message),
        Failure.NotFound => (StatusCodes.Status404NotFound, exception.Message),
        Failure.Conflict => (StatusCodes.Status409Conflict, exception.Message),
        Failure.Stale => (StatusCodes.Status412PreconditionFailed, exception.Message),
        Failure.VersionMissing => (StatusCodes.Status428PreconditionRequired, exception.Message),
        Failure.Refused => (StatusCodes.Status422UnprocessableEntity, exception.Message),
        _ => (StatusCodes.Status503ServiceUnavailable, "A dependency cannot be reached. Try again later."), // which one is ours to know
    };

    [LoggerMessage(10, LogLevel.Warning, "Request refused: {Reason}")]
    private partial void Refused(string reason);

    [LoggerMessage(12, LogLevel.Error, "Unhandled exception")]
    private partial void Faulted(Exception exception);
}
