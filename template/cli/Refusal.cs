namespace ProductionTemplate.Cli;

/// <summary>What the tool will not do, in one line that says what to do instead. Nothing was changed.</summary>
internal sealed class Refusal(string message) : Exception(message);
