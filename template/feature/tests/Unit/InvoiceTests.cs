using Storefront.Repositories;
using Storefront.Services;
using Storefront.Utilities;

namespace Unit;

/// <summary>The rules of <see cref="InvoiceService"/>, on a list in place of the database.</summary>
public class InvoiceTests
{
    private readonly InvoiceService _service = new(new Listed(), TimeProvider.System);

    [Fact]
    public async Task The_same_key_makes_one_and_another_content_under_it_is_refused()
    {
        var first = await _service.CreateAsync("ann", "key", "a", default);
        await _service.UpdateAsync(first.Id, "ann", "b", 1, default);

        (await _service.CreateAsync("ann", "key", "a", default)).Should().Be(first);
        (await FailureOf(() => _service.CreateAsync("ann", "key", "c", default))).Should().Be(Failure.Refused);
        (await _service.CreateAsync("bob", "key", "c", default)).Id.Should().NotBe(first.Id);
    }

    [Theory]
    [InlineData("ann", 1L, null)]
    [InlineData("ann", 2L, Failure.Stale)]
    [InlineData("ann", null, Failure.Stale)]
    [InlineData("bob", 1L, Failure.NotFound)]
    public async Task Only_the_owner_changes_it_and_only_what_was_read(string caller, long? seen, Failure? failure)
    {
        var made = await _service.CreateAsync("ann", "key", "a", default);

        (await FailureOf(() => _service.UpdateAsync(made.Id, caller, "b", seen, default))).Should().Be(failure);
        (await _service.GetAsync(made.Id, "ann", default)).Version.Should().Be(failure is null ? 2 : 1);
        (await FailureOf(() => _service.DeleteAsync(made.Id, caller, failure is null ? 2 : seen, default))).Should().Be(failure);
    }

    private static async Task<Failure?> FailureOf(Func<Task> call)
    {
        try
        {
            await call();
            return null;
        }
        catch (OperationalException exception)
        {
            return exception.Failure;
        }
    }

    private sealed class Listed : IInvoiceRepository
    {
        private readonly List<(Invoice Is, string Key, string Fingerprint)> _all = [];

        public Task<(string Id, string Fingerprint)> AddAsync(Invoice one, string idempotencyKey, string fingerprint, CancellationToken cancellation)
        {
            if (!_all.Exists(each => each.Is.Owner == one.Owner && each.Key == idempotencyKey))
                _all.Add((one, idempotencyKey, fingerprint));
            var made = _all.Find(each => each.Is.Owner == one.Owner && each.Key == idempotencyKey);
            return Task.FromResult((made.Is.Id, made.Fingerprint));
        }

        public Task<Invoice?> FindAsync(string id, string owner, CancellationToken cancellation) =>
            Task.FromResult(_all.Select(each => each.Is).SingleOrDefault(each => each.Id == id && each.Owner == owner));

        public Task<IReadOnlyList<Invoice>> ListAsync(string owner, string? after, int limit, CancellationToken cancellation) => throw new NotSupportedException();

        public Task<bool> UpdateAsync(Invoice one, CancellationToken cancellation)
        {
            var at = _all.FindIndex(each => each.Is.Id == one.Id && each.Is.Version == one.Version - 1);
            if (at >= 0)
                _all[at] = _all[at] with { Is = one };
            return Task.FromResult(at >= 0);
        }

        public Task<bool> DeleteAsync(string id, string owner, long version, CancellationToken cancellation) =>
            Task.FromResult(_all.RemoveAll(each => each.Is.Id == id && each.Is.Owner == owner && each.Is.Version == version) == 1);
    }
}
