namespace Storefront.Utilities;

/// <summary>The text as a whole must match. The framework's own attribute lets the empty text through, whatever the pattern.</summary>
public sealed class PatternAttribute(string pattern) : RegularExpressionAttribute(pattern)
{
    public override bool IsValid(object? value) => value is not "" && base.IsValid(value);
}
