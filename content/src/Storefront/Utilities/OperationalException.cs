namespace Storefront.Utilities;

/// <summary>
/// What is expected to go wrong now and then, with a message for the person who made the call. Any other exception is a
/// fault of the program.
/// </summary>
public sealed class OperationalException(Failure failure, string message, Exception? inner = null) : Exception(message, inner)
{
    public Failure Failure { get; } = failure;
}

public enum Failure
{
    /// <summary>The input can never be right; the same call fails again.</summary>
    Invalid,
    NotFound,

    /// <summary>The state of the resource forbids it now.</summary>
    Conflict,

    /// <summary>The caller's version of the resource is not the current one.</summary>
    Stale,

    /// <summary>The caller did not say which version it has seen.</summary>
    VersionMissing,

    /// <summary>Well-formed, but a business rule refuses it.</summary>
    Refused,

    /// <summary>A dependency cannot be reached or is out of resources; the same call may succeed later.</summary>
    Unavailable,
}
