// Small layers that break the rule in each forbidden direction, so that the test of the rule is itself tested.
#pragma warning disable CA1822, CA1812, CA1852, CS9113, CA1801, IDE0060, CA1861

namespace Planted.Entry
{
    public class Route;

    [AttributeUsage(AttributeTargets.All)]
    public sealed class RouteAttribute : Attribute;
}

namespace Planted.Controllers
{
    public class Controller
    {
        public object Body() => new Entry.Route();
    }
}

namespace Planted.Services
{
    public class Service
    {
        public Task<List<Entry.Route>>? Signature() => null;

        public object Method() => Activator.CreateInstance<Controllers.Controller>();
    }
}

namespace Planted.Repositories
{
    public class Repository
    {
        public Type Token() => typeof(Entry.Route);

        public int Lambda() => new[] { 1 }.Select(_ => new Controllers.Controller()).Count();

        public async Task StateMachineAsync()
        {
            await Task.Yield();
            GC.KeepAlive(new Services.Service());
        }
    }
}

namespace Planted.Utilities
{
    public class Pure : Repositories.Repository
    {
        [Entry.Route]
        public bool Attribute() => true;

        public bool Generic() => Array.Empty<Controllers.Controller>().Length == 0;

        public bool Cast(object any) => any is Services.Service;
    }
}
