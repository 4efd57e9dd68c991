using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.IdentityModel.Tokens;

namespace EndToEnd;

public sealed class TokenTests
{
    [Fact]
    public async Task A_token_of_another_issuer_is_refused()
    {
        await using var site = await Site.CreateAsync();
        await using var stranger = await Provider.StartAsync(site.Certificates);
        await using var service = await site.ServeAsync();

        foreach (var token in (string[])[stranger.Token("ann"), site.DevelopmentToken("ann"), "nonsense"])
        {
            using var http = site.Client(service, token);
            using var answer = await http.GetAsync(Operations.Path);
            answer.StatusCode.Should().Be(HttpStatusCode.Unauthorized);
        }
    }

    /// <summary>The public key is public: who may use it as a shared secret, or choose the algorithm, makes tokens himself.</summary>
    [Fact, Trait("Readiness", "25")]
    public async Task A_token_signed_with_what_everybody_knows_is_refused()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        var secrets = new[] { Encoding.UTF8.GetBytes(site.Provider.PublicKeyPem), site.Provider.PublicKey };

        foreach (var secret in secrets)
        {
            var key = new SymmetricSecurityKey(secret) { KeyId = "1" };
            using var http = site.Client(service, Provider.Token("ann", site.Provider.Address, new SigningCredentials(key, SecurityAlgorithms.HmacSha256)));
            using var answer = await http.GetAsync(Operations.Path);
            answer.StatusCode.Should().Be(HttpStatusCode.Unauthorized);
        }
    }

    [Fact, Trait("Readiness", "25")]
    public async Task A_new_key_of_the_issuer_counts_soon_and_one_that_it_has_withdrawn_does_not()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var before = site.Client(service);
        (await before.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.OK);

        for (var time = 0; time < 2; time++) // the first time the issuer is asked at once, the second only after a while
        {
            site.Provider.RotateKey();
            using var after = site.Client(service);
            await Eventually.TrueAsync(async () => (await after.GetAsync(Operations.Path)).StatusCode == HttpStatusCode.OK);
            (await before.GetAsync(Operations.Path)).StatusCode.Should().Be(HttpStatusCode.Unauthorized);
        }
    }

    [Fact, Trait("Readiness", "11")]
    public async Task While_the_issuer_of_tokens_is_away_it_is_not_the_caller_who_is_wrong()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync("Authentication__Schemes__Bearer__Authority=https://127.0.0.1:1");
        using var http = site.Client(service);

        using var answer = await http.GetAsync(Operations.Path);

        answer.StatusCode.Should().Be(HttpStatusCode.ServiceUnavailable);
        (await service.LineAsync(line => line.Text("level") == "Warning" && line.Text("message")!.Contains("issuer of tokens", StringComparison.Ordinal))).Should().NotBeNull();
    }

    [Fact, Trait("Readiness", "59")]
    public async Task A_refused_token_is_told_by_its_reason_and_not_by_its_text()
    {
        await using var site = await Site.CreateAsync();
        await using var service = await site.ServeAsync();
        using var rsa = RSA.Create(2048);
        string Foreign(string kid) => Provider.Token("ann", site.Provider.Address, new SigningCredentials(new RsaSecurityKey(rsa) { KeyId = kid }, SecurityAlgorithms.RsaSha256));
        var tokens = new Dictionary<string, string> { ["SecurityTokenInvalidSignature"] = Foreign("1"), ["SecurityTokenSignatureKeyNotFound"] = Foreign("2"), ["SecurityTokenMalformed"] = "s3cret" };

        foreach (var token in tokens.Values)
        {
            using var http = site.Client(service, token);
            using var answer = await http.GetAsync(Operations.Path);
            answer.StatusCode.Should().Be(HttpStatusCode.Unauthorized);
        }

        await Eventually.TrueAsync(() => service.Log.Count(line => line.Is("Unauthenticated")) >= tokens.Count);
        var reasons = service.Log.Where(line => line.Is("Unauthenticated")).Select(line => line.Text("reason")!.Split(' ')[^1]);
        reasons.Should().BeEquivalentTo(tokens.Keys);
        string.Concat(service.Lines).Should().NotContainAny(tokens.Values.SelectMany(token => token.Split('.')));
    }
}
