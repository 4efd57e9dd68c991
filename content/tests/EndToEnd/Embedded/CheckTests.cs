namespace EndToEnd.Embedded;

public sealed class CheckTests
{
    //#if (auth == "jwt")
    private const string Bearer = "Authentication__Schemes__Bearer__";

    //#endif
    /// <summary>Not loopback by its name, but refused at once.</summary>
    private const string Elsewhere = "0.0.0.0";

    [Fact, Trait("Readiness", "64")]
    public async Task What_is_fit_passes_line_by_line()
    {
        await using var site = await Site.CreateAsync();

        var (exitCode, output) = await site.RunCheckAsync([]);

        exitCode.Should().Be(0, output);
        output.Split('\n').Should().OnlyContain(line => line.StartsWith("pass ") || line.StartsWith("not applicable ")).And.HaveCountGreaterThan(10);
        output.Should().MatchRegex("pass +certificate lifetime +2. days").And.MatchRegex("pass +issuer answers +1 keys");
        //#if (cache == "redis")
        output.Should().MatchRegex("not applicable +redis +ConnectionStrings__Redis is not set");
        //#endif
    }

    [Fact, Trait("Readiness", "64")]
    public async Task Development_is_judged_as_Development()
    {
        await using var site = await Site.CreateAsync();

        var items = await site.CheckAsync([.. site.Development, "Kestrel__Certificates__Default__Path"]);

        items.Should().NotContain(item => item.Value == "fail");
        items.Where(item => item.Value == "not applicable").Select(item => item.Key).Should().Contain("certificate", "token issuer", "passwords", "issuer answers");
    }

    [Theory, Trait("Readiness", "64")]
    [InlineData("ASPNETCORE_URLS=https://127.0.0.1:0;http://127.0.0.1:0", "addresses")]
    [InlineData("Kestrel__Endpoints__Plain__Url=http://127.0.0.1:0", "addresses")]
    [InlineData("Kestrel__Certificates__Default__Path", "certificate, certificate lifetime")]
    [InlineData("Kestrel__Certificates__Default__Path={other}/server.pem", "certificate, certificate lifetime")]
    [InlineData("Kestrel__Certificates__Default__KeyPath={other}/server.key", "certificate, certificate lifetime")]
    //#if (auth == "jwt")
    [InlineData(Bearer + "Authority=http://127.0.0.1:1", "token issuer, issuer answers")]
    [InlineData(Bearer + "Authority=https://127.0.0.1:1", "issuer answers")]
    [InlineData(Bearer + "ValidAudiences__0", "token audience")]
    [InlineData(Bearer + "SigningKeys__0__Value=s3cret", "token keys")]
    //#endif
    //#if (database == "both" && jobs != "none")
    [InlineData("ConnectionStrings__Database=Data Source={other}/changeme.db", "database setting, schema")]
    //#endif
    [InlineData("ConnectionStrings__Database=Host=127.0.0.1;Port=1;Password=s3cret", "database answers, database role, schema, connections, clock")]
    [InlineData("ConnectionStrings__Database=Host=127.0.0.1;Colour=s3cret", "configuration")]
    //#if (sample)
    [InlineData("Payments__BaseUrl=http://127.0.0.1:1", "payment provider, provider answers")]
    [InlineData("Payments__BaseUrl=https://127.0.0.1:1", "provider answers")]
    //#endif
    //#if (auth == "jwt" || sample)
    [InlineData("SSL_CERT_FILE", "issuer answers, provider answers")]
    //#endif
    [InlineData("AllowedHosts=*", "hosts")]
    [InlineData("Proxy__TrustedNetworks__0=0.0.0.0/0", "proxies")]
    [InlineData("Proxy__TrustedNetworks__1=::/0", "proxies")]
    [InlineData("Proxy__TrustedNetworks__0=s3cret", "proxies")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=s3cret", "telemetry")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=http://192.0.2.1:4317", "encryption")]
    //#if (cache == "redis")
    [InlineData("ConnectionStrings__Redis=127.0.0.1:1,password=s3cret", "redis")]
    //#endif
    //#if (jobs == "rabbitmq")
    [InlineData("ConnectionStrings__RabbitMq=amqp://u:s3cret@127.0.0.1:1", "queue")]
    [InlineData("ConnectionStrings__RabbitMq=s3cret", "configuration")]
    //#endif
    //#if (jobs != "none")
    [InlineData("Jobs__MaxAttempts=0", "configuration")]
    //#endif
    [InlineData("Limits__BodyBytes=s3cret", "configuration")]
    //#if (cache == "redis")
    [InlineData("ConnectionStrings__Redis=redis://s3cret", "configuration")]
    //#endif
    public async Task Each_bad_setting_fails_its_item_and_no_other(string setting, string items)
    {
        await using var site = await Site.CreateAsync();
        using var other = new Certificates(Directory.CreateDirectory(Path.Combine(site.Folder, "other")).FullName);

        await site.FailsAsync(items, setting.Replace("{other}", Path.Combine(site.Folder, "other"), StringComparison.Ordinal));
    }

    [Fact, Trait("Readiness", "64")]
    public async Task A_certificate_that_ends_within_two_weeks_fails()
    {
        await using var site = await Site.CreateAsync();
        var (certificate, key) = site.Certificates.Issue("short-lived", days: 13);

        await site.FailsAsync("certificate lifetime", $"Kestrel__Certificates__Default__Path={certificate}", $"Kestrel__Certificates__Default__KeyPath={key}");
    }

    [Theory, Trait("Readiness", "64"), Trait("Readiness", "29")]
    [InlineData(3, -1)]
    [InlineData(-1, 30)]
    public async Task A_certificate_that_is_out_of_date_fails_and_is_not_served(int since, int days)
    {
        await using var site = await Site.CreateAsync();
        var (certificate, key) = site.Certificates.Issue("out-of-date", days: days, since: since);
        string[] settings = [$"Kestrel__Certificates__Default__Path={certificate}", $"Kestrel__Certificates__Default__KeyPath={key}"];

        await site.FailsAsync("certificate, certificate lifetime", settings);
        await using var service = site.Start([], settings);
        (await service.ExitAsync()).Should().NotBe(0);
        service.Log.Should().ContainSingle().Which.Text("message").Should().StartWith("Setting Kestrel__Certificates__Default__Path names a certificate that counts from");
    }

    //#if (jobs != "none")
    [Fact, Trait("Readiness", "64")]
    public async Task A_schema_that_lacks_a_script_fails()
    {
        await using var site = await Site.CreateAsync(schema: false);

        await site.FailsAsync("schema");
    }

    //#endif
    [Theory, Trait("Readiness", "29")]
    [InlineData("ConnectionStrings__Database=Host=" + Elsewhere + ";Port=1;SSL Mode=VerifyFull;Password=postgres", "database answers, database role, schema, connections, clock")]
    [InlineData("ConnectionStrings__Database=Host=127.0.0.1," + Elsewhere + ";Port=1;SSL Mode=VerifyFull;Pwd=s3cret", "database answers, database role, schema, connections, clock")]
    //#if (cache == "redis")
    [InlineData("ConnectionStrings__Redis=" + Elsewhere + ":1,ssl=true,password=s3cret", "redis")]
    [InlineData("ConnectionStrings__Redis=" + Elsewhere + ",password=secret-redis-123,ssl=true", "redis")]
    [InlineData("ConnectionStrings__Redis=" + Elsewhere + ":1,ssl=true,password=xxxxxxxxxxxxxxxx", "redis")]
    //#endif
    //#if (jobs == "rabbitmq")
    [InlineData("ConnectionStrings__RabbitMq=amqps://" + Elsewhere + ":1", "queue")]
    [InlineData("ConnectionStrings__RabbitMq=amqps://guest:guest@" + Elsewhere + ":1", "queue")]
    [InlineData("ConnectionStrings__RabbitMq=amqps://u:ChangeMe_12345@" + Elsewhere + ":1/vhost", "queue")]
    //#endif
    public async Task A_password_that_is_short_or_common_is_refused_where_others_can_try_it(string setting, string alsoFails)
    {
        await using var site = await Site.CreateAsync();

        await site.RefusesAsync(setting, setting.Split('=')[0] + " holds a password");
        await site.FailsAsync("passwords, " + alsoFails, setting);
    }
    //#if (cache == "redis" || jobs == "rabbitmq")

    [Theory]
    //#if (cache == "redis")
    [InlineData("ConnectionStrings__Redis=" + Elsewhere + ":1,ssl=true,password=w3ZrpQ9xTfKd", "redis")]
    [InlineData("ConnectionStrings__Redis=" + Elsewhere + ":1,ssl=true", "redis")]
    //#endif
    //#if (jobs == "rabbitmq")
    [InlineData("ConnectionStrings__RabbitMq=amqps://u:w3Zr%2FpQ9xTfKd@" + Elsewhere + ":1", "queue")]
    [InlineData("ConnectionStrings__RabbitMq=amqp://guest:guest@localhost:1", "queue")]
    [InlineData("ConnectionStrings__RabbitMq=amqp://guest:guest@[::1]:1", "queue")]
    //#endif
    public async Task Other_passwords_are_not(string setting, string fails)
    {
        await using var site = await Site.CreateAsync();

        await site.FailsAsync(fails, setting);
    }
    //#endif
}
