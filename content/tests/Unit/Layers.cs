using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;

namespace Unit;

public sealed record Violation(string File, string Type, string Direction);

/// <summary>Who uses whom, by signatures and by every instruction of every method.</summary>
internal static class Layers
{
    private const BindingFlags Everything = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<short, OpCode> OpCodesByValue = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => code.Value);

    public static List<Violation> Violations(Assembly assembly, string root, string[] topDown)
    {
        using var files = new SourceFiles(assembly);
        return [.. from type in assembly.GetTypes()
                   let layer = Array.IndexOf(topDown, Layer(type, root))
                   where layer >= 0
                   from used in Used(type)
                   let above = Array.IndexOf(topDown, Layer(used, root))
                   where above >= 0 && above < layer
                   select new Violation(files.Of(type), type.FullName!, $"{topDown[layer]} uses {topDown[above]}")];
    }

    /// <returns>The layers in which a type of one of the namespaces is used.</returns>
    public static IEnumerable<string> Users(Assembly assembly, string root, params string[] namespaces) =>
        from type in assembly.GetTypes()
        where Layer(type, root) is not null
        where Used(type).Any(used => namespaces.Any(name => used.Namespace == name || used.Namespace?.StartsWith(name + ".", StringComparison.Ordinal) is true))
        select Layer(type, root);

    /// <returns>The files whose code uses the type, without its own.</returns>
    public static IEnumerable<string> Files(Assembly assembly, Type used)
    {
        using var files = new SourceFiles(assembly);
        return [.. assembly.GetTypes().Where(type => Used(type).Contains(used)).Select(files.Of).Where(file => file != files.Of(used)).Distinct()];
    }

    private static string? Layer(Type type, string root) =>
        type.Namespace?.Split('.') is [var first, var layer, ..] && first == root.Split('.')[^1] || type.Namespace?.StartsWith(root + ".", StringComparison.Ordinal) is true
            ? type.Namespace![(root.Length + 1)..].Split('.')[0]
            : null;

    private static IEnumerable<Type> Used(Type type) =>
        Parts(type).Concat(type.GetMembers(Everything).SelectMany(Parts)).SelectMany(Unfold).Distinct();

    private static IEnumerable<Type?> Parts(Type type) =>
        [type.BaseType, .. type.GetInterfaces(), .. type.GetCustomAttributesData().Select(attribute => attribute.AttributeType)];

    private static IEnumerable<Type?> Parts(MemberInfo member) =>
        (member switch
        {
            FieldInfo field => [field.FieldType],
            PropertyInfo property => [property.PropertyType],
            MethodBase method =>
            [
                (method as MethodInfo)?.ReturnType,
                .. method.GetParameters().Select(parameter => parameter.ParameterType),
                .. method.GetMethodBody()?.LocalVariables.Select(local => local.LocalType) ?? [],
                .. method.GetMethodBody()?.ExceptionHandlingClauses.Where(clause => clause.Flags == ExceptionHandlingClauseOptions.Clause).Select(clause => clause.CatchType) ?? [],
                .. Instructions(method),
            ],
            _ => Array.Empty<Type?>(),
        }).Concat(member.GetCustomAttributesData().Select(attribute => (Type?)attribute.AttributeType));

    private static IEnumerable<Type> Unfold(Type? type) => type switch
    {
        null => [],
        { HasElementType: true } => Unfold(type.GetElementType()),
        { IsGenericType: true } => [type, .. type.GetGenericArguments().SelectMany(Unfold)],
        _ => [type],
    };

    private static IEnumerable<Type?> Instructions(MethodBase method)
    {
        var il = method.GetMethodBody()?.GetILAsByteArray() ?? [];
        for (var at = 0; at < il.Length;)
        {
            var value = il[at] == 0xFE ? unchecked((short)(0xFE00 | il[++at])) : il[at];
            at++;
            var operand = OpCodesByValue[value].OperandType;
            if (operand is OperandType.InlineTok or OperandType.InlineType or OperandType.InlineMethod or OperandType.InlineField)
            {
                var typeArguments = method.DeclaringType!.IsGenericType ? method.DeclaringType.GetGenericArguments() : null;
                var used = method.Module.ResolveMember(BitConverter.ToInt32(il, at), typeArguments, method.IsGenericMethod ? method.GetGenericArguments() : null);
                yield return used as Type ?? used?.DeclaringType;
                foreach (var argument in used is MethodInfo { IsGenericMethod: true } generic ? generic.GetGenericArguments() : [])
                    yield return argument;
            }
            at += operand switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(il, at)),
                _ => 4,
            };
        }
    }

    /// <summary>The source file of a type, from the symbols beside the assembly.</summary>
    private sealed class SourceFiles(Assembly assembly) : IDisposable
    {
        private readonly MetadataReaderProvider _symbols =
            MetadataReaderProvider.FromPortablePdbStream(File.OpenRead(Path.ChangeExtension(assembly.Location, ".pdb")));

        public string Of(Type type)
        {
            var reader = _symbols.GetMetadataReader();
            var documents = from method in type.GetMembers(Everything).OfType<MethodBase>()
                            let information = reader.GetMethodDebugInformation(MetadataTokens.MethodDebugInformationHandle(method.MetadataToken & 0xFFFFFF))
                            where !information.Document.IsNil
                            select reader.GetString(reader.GetDocument(information.Document).Name);
            return documents.Select(path => path.Split('/', '\\')[^1]).FirstOrDefault() ?? (type.DeclaringType is { } outer ? Of(outer) : type.Name + " (no code)");
        }

        public void Dispose() => _symbols.Dispose();
    }
}
