namespace TemplateTests;

public class BadInputTests(TemplatePackage package)
{
    [Theory]
    [InlineData("--port abc", 127, "Cannot parse argument 'abc' for option '--port'")]
    [InlineData("--port 1023", 102, "--port-from-1024-to-65535")]
    [InlineData("--port 65536", 102, "--port-from-1024-to-65535")]
    [InlineData("--port -1", 102, "--port-from-1024-to-65535")]
    [InlineData("--port", 127, "Required argument missing for option: '--port'")]
    [InlineData("--jobs none", 102, "--jobs-none-needs-sample-false")]
    [InlineData("--cache memcached", 127, "'memcached' is not a valid value for --cache")]
    [InlineData("--colour red", 127, "'--colour' is not a valid option")]
    public async Task Bad_options_are_refused(string options, int exitCode, string words)
    {
        var directory = package.NewFolder();

        var create = await package.NewAsync(directory, ["-n", "Shop", "--no-restore", .. options.Split(' ')]);

        create.MustFail(exitCode, words);
        Tree.Names(directory).Should().BeEmpty();
    }

    [Theory]
    [InlineData("--port", "1024")]
    [InlineData("--port", "65535")]
    public async Task The_first_and_the_last_port_are_taken(params string[] options) => await package.NewShopAsync(options);

    [Theory]
    [InlineData("../x", 127, "Name cannot contain")]
    [InlineData("a/b", 127, "Name cannot contain")]
    [InlineData(" ", 102, "--name")]
    public async Task Names_that_no_folder_can_have_are_refused(string name, int exitCode, string words)
    {
        var directory = package.NewFolder();

        var create = await package.NewAsync(directory, "-n", name, "--no-restore");

        create.MustFail(exitCode, words);
        Tree.Names(directory).Should().BeEmpty();
    }

    [Fact]
    public async Task Existing_files_are_kept_unless_forced()
    {
        var directory = package.NewFolder();
        var record = Path.Combine(directory, "Shop/.prodapi.json");
        Directory.CreateDirectory(Path.GetDirectoryName(record)!);
        await File.WriteAllTextAsync(record, "mine", TestContext.Current.CancellationToken);

        (await package.NewAsync(directory, "-n", "Shop", "--no-restore")).MustFail(73, "--force");
        Tree.Names(directory).Should().Equal("Shop/.prodapi.json");
        (await package.NewAsync(directory, "-n", "Shop", "--no-restore", "--force")).MustSucceed();
        (await File.ReadAllTextAsync(record, TestContext.Current.CancellationToken)).Should().NotBe("mine");
    }
}
