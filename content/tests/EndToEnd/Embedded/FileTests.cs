using System.Security.Cryptography;
using Dapper;

namespace EndToEnd.Embedded;

/// <summary>What can be wrong with a database that is a file.</summary>
public sealed class FileTests
{
    [Theory]
    [InlineData("file/data.db")] // below a file: this stops root too
    [InlineData("/proc/storefront/data.db")]
    public async Task A_data_folder_that_cannot_be_made_is_said_in_one_line(string path)
    {
        await using var site = await Site.CreateAsync();
        await File.WriteAllTextAsync(Path.Combine(site.Folder, "file"), "");

        await site.RefusesAsync($"ConnectionStrings__Database=Data Source={Path.Combine(site.Folder, path)}", "ConnectionStrings__Database");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_damaged_database_is_said_in_one_line_and_left_as_it_is(bool migrate)
    {
        await using var site = await Site.CreateAsync(schema: false);
        var bytes = RandomNumberGenerator.GetBytes(10_000);
        await File.WriteAllBytesAsync(site.Database.File, bytes);

        await site.RefusesAsync("", "damaged or not a database", migrate ? ["migrate"] : []);

        (await File.ReadAllBytesAsync(site.Database.File)).Should().Equal(bytes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_database_locked_by_another_process_is_said_in_one_line_and_left_as_it_is(bool migrate)
    {
        await using var site = await Site.CreateAsync(schema: false);
        await site.ExecuteAsync("CREATE TABLE other (id INTEGER)");
        await using var holder = await site.Database.OpenAsync();
        await holder.ExecuteAsync("BEGIN EXCLUSIVE");

        await site.RefusesAsync("", "locked by another process", migrate ? ["migrate"] : []);

        await holder.ExecuteAsync("ROLLBACK");
        (await site.QueryAsync<string>("SELECT name FROM sqlite_master")).Should().Equal("other");
    }
}
