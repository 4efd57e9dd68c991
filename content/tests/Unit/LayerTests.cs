using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using Storefront.Utilities;

namespace Unit;

/// <summary>A file may use the layers below its own and never one above: read from the compiled assembly.</summary>
[Trait("Readiness", "63")]
public class LayerTests
{
    private static readonly string[] TopDown = ["Entry", "Controllers", "Services", "Repositories", "Utilities"];

    [Fact]
    public void No_file_uses_a_layer_above_its_own() =>
        Layers.Violations(typeof(Settings).Assembly, "Storefront", TopDown).Should().BeEmpty();

    [Fact]
    public void Every_type_lives_in_a_layer() =>
        typeof(Settings).Assembly.GetTypes()
            .Where(type => type.Namespace?.StartsWith("Storefront", StringComparison.Ordinal) is true && !type.Name.StartsWith('<'))
            .Where(type => !TopDown.Contains(type.Namespace!.Split('.').Last()))
            .Should().BeEmpty();

    /// <summary>The types in Planted.cs break the rule once in each forbidden direction, each in another way.</summary>
    [Fact]
    public void A_planted_violation_is_found_in_each_forbidden_direction()
    {
        var expected = from above in Enumerable.Range(0, 5) from below in Enumerable.Range(above + 1, 4 - above) select $"{TopDown[below]} uses {TopDown[above]}";

        var found = Layers.Violations(Assembly.GetExecutingAssembly(), "Planted", TopDown);

        found.Select(violation => violation.Direction).Distinct().Should().BeEquivalentTo(expected);
        found.Should().OnlyContain(violation => violation.File == "Planted.cs");
    }

    [Fact]
    public void Nothing_below_the_entry_knows_http_pipelines_and_nothing_above_the_repositories_knows_sql()
    {
        Layers.Users(typeof(Settings).Assembly, "Storefront", "Microsoft.AspNetCore.Http").Should().BeSubsetOf(["Entry", "Controllers"]);
        Layers.Users(typeof(Settings).Assembly, "Storefront", "Dapper", "System.Data", "DbUp", "Microsoft.Data.Sqlite", "Npgsql", "StackExchange.Redis", "RabbitMQ").Should().BeSubsetOf(["Repositories"]);
    }

    /// <summary>Another engine is a class beside these and a line in Registration.cs.</summary>
    [Fact]
    public void Nobody_knows_which_engine_it_is_but_where_it_is_chosen()
    {
        var assembly = typeof(Settings).Assembly;
        var engines = assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(Storefront.Repositories.Database))).ToList();

        engines.Should().HaveCountGreaterThan(1);
        engines.SelectMany(engine => Layers.Files(assembly, engine)).Distinct().Should().Equal("Registration.cs");
    }

    /// <summary>Then the build refuses any other argument (CA1857), so that no input becomes a part of a statement.</summary>
    [Fact]
    [Trait("Readiness", "15")]
    public void Whatever_runs_SQL_takes_constants_alone()
    {
        var parameters = from type in typeof(Settings).Assembly.GetTypes()
                         from method in type.GetMethods(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly)
                         where typeof(Task).IsAssignableFrom(method.ReturnType)
                         from parameter in method.GetParameters()
                         where parameter.Name == "sql"
                         select parameter;

        parameters.Should().HaveCountGreaterThan(3).And.OnlyContain(parameter => parameter.IsDefined(typeof(ConstantExpectedAttribute), false));
    }
}
