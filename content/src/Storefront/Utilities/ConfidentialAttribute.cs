using Microsoft.Extensions.Compliance.Classification;

namespace Storefront.Utilities;

/// <summary>Marks a parameter of a log message, or a member of what one logs, whose value must not get into a log: it is erased there.</summary>
[AttributeUsage(AttributeTargets.Parameter | AttributeTargets.Property | AttributeTargets.Field)]
public sealed class ConfidentialAttribute() : DataClassificationAttribute(new DataClassification("Storefront", "Confidential"));
