using Microsoft.Extensions.Http.Resilience;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;

namespace Storefront.Repositories;

public sealed record PaymentSettings
{
    /// <summary>Where the provider answers; empty only in Development, where a sandbox stands in for it.</summary>
    public string BaseUrl { get; init; } = "";

    /// <summary>All tries of one call together.</summary>
    [Range(1, 120)]
    public int TimeoutSeconds { get; init; } = 15;

    /// <summary>One try.</summary>
    [Range(1, 60)]
    public int TryTimeoutSeconds { get; init; } = 5;
}

public interface IPaymentGateway
{
    /// <summary>Charges once, however often it is called with the same order.</summary>
    /// <returns>True if approved, false if declined.</returns>
    /// <exception cref="OperationalException">The provider is down, busy or speaks nonsense: nothing is known, call again later.</exception>
    Task<bool> ChargeAsync(string orderId, Money total, CancellationToken cancellation);
}

internal sealed class HttpPaymentGateway(HttpClient http) : IPaymentGateway
{
    public async Task<bool> ChargeAsync(string orderId, Money total, CancellationToken cancellation)
    {
        using var body = JsonContent.Create(new { orderId, total.Amount, total.Currency });
        using var request = new HttpRequestMessage(HttpMethod.Post, "charges") { Headers = { { IdempotencyKey, orderId } }, Content = body };
        try
        {
            using var response = await http.SendAsync(request, cancellation);
            if (!response.IsSuccessStatusCode)
                throw Unavailable($"The payment provider answered {(int)response.StatusCode}.");
            var charge = await response.Content.ReadFromJsonAsync<Charge>(cancellation);
            return charge?.Status switch
            {
                "approved" => true,
                "declined" => false,
                _ => throw Unavailable("The payment provider answered with an unknown status."),
            };
        }
        catch (Exception e) when (e is HttpRequestException or TimeoutRejectedException or BrokenCircuitException or JsonException
            || (e is TaskCanceledException && !cancellation.IsCancellationRequested))
        {
            throw Unavailable($"The payment provider cannot be used: {e.GetType().Name}.", e);
        }
    }

    /// <summary>
    /// The standard pipeline (total timeout, retry with jitter that obeys Retry-After, breaker, timeout of a try) around a
    /// client that follows no redirect, so that the host stays the configured one, and reads no endless answer.
    /// </summary>
    internal static void Add(IServiceCollection services, PaymentSettings settings)
    {
        if (settings.TimeoutSeconds < settings.TryTimeoutSeconds)
            throw Settings.Refused("Payments:TimeoutSeconds", "must not be less than Payments__TryTimeoutSeconds, the time of one try");
        var client = services.AddHttpClient<IPaymentGateway, HttpPaymentGateway>(http =>
            {
                http.BaseAddress = new Uri(settings.BaseUrl.TrimEnd('/') + "/");
                http.MaxResponseContentBufferSize = 64 * 1024;
            })
            .ConfigurePrimaryHttpMessageHandler(() => new SocketsHttpHandler { AllowAutoRedirect = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) });
        client.AddStandardResilienceHandler(resilience =>
        {
            resilience.TotalRequestTimeout.Timeout = TimeSpan.FromSeconds(settings.TimeoutSeconds);
            resilience.AttemptTimeout.Timeout = TimeSpan.FromSeconds(settings.TryTimeoutSeconds);
            resilience.CircuitBreaker.SamplingDuration = TimeSpan.FromSeconds(Math.Max(30, 2 * settings.TryTimeoutSeconds));
            resilience.Retry.Delay = TimeSpan.FromMilliseconds(200);
            resilience.Retry.ShouldHandle = attempt => ValueTask.FromResult(
                HttpClientResiliencePredicates.IsTransient(attempt.Outcome) && MayRepeat(attempt.Context.GetRequestMessage()));
        });
        client.ConfigureHttpClient(http => http.Timeout = TimeSpan.FromSeconds(settings.TimeoutSeconds + 1)); // last, as the handler takes it away: its own timeouts end with the headers, this one with the body
    }

    /// <summary>An unsafe call is repeated only where the key lets the other side recognise it (RFC 9110, 9.2.2).</summary>
    private static bool MayRepeat(HttpRequestMessage? request) =>
        request is not null
        && (request.Method == HttpMethod.Get || request.Method == HttpMethod.Head || request.Headers.Contains(IdempotencyKey));

    private static OperationalException Unavailable(string message, Exception? inner = null) => new(Failure.Unavailable, message, inner);

    private const string IdempotencyKey = "Idempotency-Key";

    private sealed record Charge(string? Status);
}

/// <summary>Stands in for the provider in Development: declines what costs 10,000.00 or more.</summary>
internal sealed class SandboxPaymentGateway : IPaymentGateway
{
    public Task<bool> ChargeAsync(string orderId, Money total, CancellationToken cancellation) => Task.FromResult(total.Amount < 1_000_000);
}
