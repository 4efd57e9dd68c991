namespace Storefront.Utilities;

/// <summary>An amount in minor units (cents) of an ISO 4217 currency: integers, so that no cent is lost in rounding.</summary>
public sealed record Money(long Amount, string Currency);
