// Takes out of the service what its README promises, one thing at a time, and sees a test go red for it:
//   dotnet run tests/Mutation/mutate.cs [--row 28,29,check] [--name text]
//   dotnet run tests/Mutation/mutate.cs --rest       goes on where a run was broken off: what README.md has no red test for
//   dotnet run tests/Mutation/mutate.cs --check      looks only whether each line is there, and each promise has one
// A mutation that does not build, runs no test or leaves all green is a hole in the proof: exit code 1. README.md beside this file has the result.
// What needs PostgreSQL, Redis and RabbitMQ (the project Servers) is left out where this machine has none of them.
#:property TargetFramework=net10.0
#:property ManagePackageVersionsCentrally=false
#:property PublishAot=false

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;

// Row of the README of content/, "check" for an item of the verb or a part of a row; what is taken out; the file; the text that stands in it once;
// what takes its place; the tests that must go red: project/Class, Class.Method or Class.Method(a word of the case), all by their beginning.
Mutation[] mutations =
[
    // A. Input
    new("1", "the size of a body", "Limits", "kestrel.Limits.MaxRequestBodySize = settings.BodyBytes;", "kestrel.Limits.MaxRequestBodySize = null;", "Integration/InputTests.A_body_that_is_too_large"),
    new("2, 26", "unknown members", "JsonContract", "options.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;", "", "Integration/InputTests.A_body_that_breaks"),
    new("2", "capitals of members", "JsonContract", "options.PropertyNameCaseInsensitive = false;", "options.PropertyNameCaseInsensitive = true;", "Integration/InputTests.A_body_that_breaks(Items)"),
    new("3", "members that appear twice", "JsonContract", "options.AllowDuplicateProperties = false;", "", "Integration/InputTests.A_body_that_breaks"),
    new("4", "null", "JsonContract", "options.RespectNullableAnnotations = true;", "", "Integration/InputTests.A_body_that_breaks"),
    new("4", "what is missing", "JsonContract", "options.RespectRequiredConstructorParameters = true;", "", "Integration/InputTests.A_body_that_breaks"),
    new("4", "null in a list", "JsonContract", "if (type.Kind != JsonTypeInfoKind.Enumerable)", "if (type is not null)", "Integration/InputTests.A_body_that_breaks"),
    new("5", "numbers in quotes", "JsonContract", "options.NumberHandling = JsonNumberHandling.Strict;", "", "Integration/InputTests.A_body_that_breaks"),
    new("5", "the JSON path of an error", "JsonContract", """[json.Path ?? "$"]""", """["$"]""", "Integration/InputTests.A_body_that_breaks"),
    new("6", "the validation of bodies and parameters", "JsonContract", "builder.Services.AddValidation();", "", "Integration/InputTests.A_body_that_breaks"),
    new("6", "the pattern of a parameter", "Contract", "^[A-Z0-9][A-Z0-9-]{0,39}$", "^[^!]*$", "Integration/ContractTests.Every_parameter_out_of_its_bounds"),
    new("6", "the bound of a parameter", "OrderController", "[Range(1, 100)] int limit", "int limit", "Integration/ContractTests.Every_parameter_has"),
    new("6", "empty parameters", "PatternAttribute", """value is not "" && base.IsValid(value)""", "base.IsValid(value)", "Integration/ContractTests.Every_parameter_out_of_its_bounds"),
    new("6", "parameters that appear twice", "InputGuard", "{ Length: > 0 } value]", "{ Length: > 0 } value, ..]", "Integration/InputTests.A_path_or_query"),
    new("6", "parameters without a value", "InputGuard", "{ Length: > 0 } value", "{ } value", "Integration/InputTests.A_path_or_query"),
    new("7", "U+0000 in a body", "CleanStringConverter", """text.Contains('\0')""", "false", "Integration/InputTests.A_body_that_breaks"),
    new("7", "lone surrogates", "CleanStringConverter", "var text = reader.GetString();", "string? text; try { text = reader.GetString(); } catch (InvalidOperationException) { text = \"x\"; }", "Integration/InputTests.A_body_that_breaks"),
    new("7", "control characters in a query", "InputGuard", " || value.Any(char.IsControl)", "", "Integration/InputTests.A_path_or_query"),
    new("7", "control characters in a cursor", "Cursor", " && !Encoding.UTF8.GetString(bytes).Any(char.IsControl)", "", "Unit/CursorTests"),
    new("8", "formats that the caller accepts", "InputGuard", "!Acceptable(http.Request.GetTypedHeaders().Accept)", "false", "Integration/InputTests.An_answer_that_the_caller_cannot_read"),
    new("8", "the charset of a body", "InputGuard", "parameter => IsUtf8(parameter.Value)", "_ => true", "Integration/InputTests.A_body_is_JSON"),
    new("8", "a charset in quotes", "InputGuard", "http.Request.ContentType = media.MediaType.Value;", ";", "Integration/InputTests.A_body_is_JSON"),
    new("9", "the trace id of a problem", "Errors", """problem.Extensions["traceId"] = Activity.Current?.TraceId.ToHexString() ?? http.TraceIdentifier;""", "", "Integration/ErrorTests.A_host_that_is_not_ours"),
    new("9", "a body for every status", "Pipeline", "app.UseStatusCodePages();", "", "Integration/ErrorTests.Every_answer"),
    new("9", "a problem for whoever accepts HTML", "Errors", "builder.Services.AddSingleton<IProblemDetailsWriter, ProblemWriter>();", "", "Integration/ErrorTests.Every_answer"),
    new("10", "that a fault tells nothing to the caller", "Errors", "\"This is a fault of the service. Report it with the trace id.\"", "exception.ToString()", "Integration/ErrorTests.A_fault_of_ours"),
    new("10", "that a fault tells all to the log", "Errors", "Faulted(exception);\n", "\n", "Integration/ErrorTests.A_fault_of_ours"),
    new("11", "that a refusal is no error", "Errors", "[LoggerMessage(10, LogLevel.Warning,", "[LoggerMessage(10, LogLevel.Error,", "Integration/ErrorTests.What_goes_wrong"),
    new("11", "that a dependency is not named to the caller", "Errors", "\"A dependency cannot be reached. Try again later.\"", "exception.Message", "Integration/ErrorTests.What_goes_wrong"),
    new("11", "that a missing issuer is not the caller's fault", "Authentication", "OnChallenge = challenge => challenge.AuthenticateFailure is null ?", "OnChallenge = challenge => challenge is not null ?", "EndToEnd/TokenTests.While_the_issuer"),
    new("12", "the end of work for a caller who went away", "ProductService", "await products.FindAsync(sku, cancellation)", "await products.FindAsync(sku, CancellationToken.None)", "Integration/LimitTests.Work_for_a_caller"),
    new("12", "the end of a statement for a caller who went away", "Database", "new(database.Translate(sql), parameters, transaction, cancellationToken: cancellation);", "new(database.Translate(sql), parameters, transaction, cancellationToken: cancellation.IsCancellationRequested ? cancellation : default);", "Servers/DatabaseFaultTests.A_statement_ends"),
    new("13", "the time of a request", "Limits", "timeouts => timeouts.DefaultPolicy = new() { Timeout = TimeSpan.FromSeconds(settings.RequestSeconds) }", "", "Integration/LimitTests.Work_that_takes_too_long"),
    new("13", "the time of headers", "Limits", "kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);", "kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromHours(1);", "Integration/LimitTests.What_is_sent_slowly(GET)"),
    new("13", "the rate of a body", "Limits", "kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));", "kestrel.Limits.MinRequestBodyDataRate = null;", "Integration/LimitTests.What_is_sent_slowly(POST)"),
    new("14", "405", "Pipeline", "return http.GetEndpoint()?.RequestDelegate?.Invoke(http) ?? Task.CompletedTask;", "return Task.CompletedTask;", "Integration/ErrorTests.A_verb"),
    new("14", "the verbs of a probe", "AccessLog", """endpoint.WithMetadata(new HttpMethodMetadata(["GET", "HEAD"]))""", "endpoint", "Integration/ErrorTests.A_verb"),
    new("15", "parameters of SQL", "ProductRepository", """
        "INSERT INTO products (sku, name, amount, currency, version) VALUES (@Sku, @Name,
        """, """
        $"INSERT INTO products (sku, name, amount, currency, version) VALUES (@Sku, '{product.Name}',
        """, "Integration/InputTests.A_hostile_text"),
    new("15", "that SQL is a constant", "Database", "internal Task<int> ExecuteAsync([ConstantExpected] string sql, object? parameters = null)", "internal Task<int> ExecuteAsync(string sql, object? parameters = null)", "Unit/LayerTests.Whatever_runs_SQL"),
    new("16", "a status in the document", "OrderController", "\"Place an order\", 422)", "\"Place an order\")", "Integration/FuzzTests"),
    new("6, 16", "a bound of a member", "ProductController", "[property: Length(1, 200)] string Name", "[property: MinLength(1)] string Name", "Integration/ContractTests.Every_member"),
    new("16", "the errors of every operation", "Pipeline", ".ProducesProblem(429)", "", "Integration/ContractTests.Every_operation"),
    new("16", "the type of texts", "Docs", "if (context.JsonTypeInfo.Type == typeof(string))", "if (context is null)", "Integration/ContractTests.The_schemas"),

    // B. Headers
    new("17, check", "X-Content-Type-Options", "SecurityHeaders", """headers.XContentTypeOptions = "nosniff";""", "", "Integration/ProductTests.Other_answers"),
    new("17, check", "X-Frame-Options", "SecurityHeaders", """headers.XFrameOptions = "DENY";""", "", "Integration/ProductTests.Other_answers"),
    new("17, check", "Referrer-Policy", "SecurityHeaders", """headers["Referrer-Policy"] = "no-referrer";""", "", "Integration/ProductTests.Other_answers"),
    new("17, check", "Cross-Origin-Resource-Policy", "SecurityHeaders", """headers["Cross-Origin-Resource-Policy"] = "same-origin";""", "", "Integration/ProductTests.Other_answers"),
    new("17, check", "X-Permitted-Cross-Domain-Policies", "SecurityHeaders", """headers["X-Permitted-Cross-Domain-Policies"] = "none";""", "", "Integration/ProductTests.Other_answers"),
    new("17, check", "Content-Security-Policy", "SecurityHeaders", "if (headers.ContentSecurityPolicy.Count == 0)", "if (headers.Count == 0)", "Integration/ProductTests.Other_answers"),
    new("17, check", "Strict-Transport-Security", "SecurityHeaders", """headers.StrictTransportSecurity = "max-age=63072000; includeSubDomains";""", "", "EndToEnd/TlsTests.Answers_bind"),
    new("17, check", "the headers of errors", "SecurityHeaders", """headers.XFrameOptions = "DENY";""", """if (http.Response.StatusCode < 500) headers.XFrameOptions = "DENY";""", "Integration/ErrorTests.Every_answer"),
    new("17, check", "that the server is not named", "Tls", "kestrel.AddServerHeader = false;", "", "Integration/ProductTests.Other_answers"),
    new("17", "the headers of the docs page", "Docs", """headers["Cross-Origin-Opener-Policy"] = "same-origin";""", "", "Integration/ContractTests.The_docs_page"),
    new("18", "that docs are for Development", "Docs", "if (!app.Environment.IsDevelopment() &&", "if (app.Environment.IsDevelopment() &&", "Integration/ContractTests.The_docs_are"),
    new("18", "the policy of the docs page", "Docs", "script-src 'self' 'nonce-{nonce}'", "script-src https: 'nonce-{nonce}'", "Integration/ContractTests.The_docs_page"),
    new("19, check", "no-store", "SecurityHeaders", """headers.CacheControl = "no-store";""", "", "Integration/ProductTests.Other_answers"),
    new("19", "the entity tag", "ProductController", "http.Response.Headers.ETag = tag;", "", "Integration/ProductTests.An_answer_may_be_kept"),
    new("19", "304", "ProductController", "return EntityTag.IsAmong(tag, http.Request.Headers.IfNoneMatch);", "return false;", "Integration/ProductTests.An_answer_may_be_kept"),
    new("19", "the versions in the tag of a list", "ProductController", "{product.Sku} {product.Version}", "{product.Sku}", "Integration/ProductTests.The_tag_of_a_list"),

    // TLS
    new("20", "that addresses are https", "Tls", """.All(url => url.StartsWith("https://", StringComparison.OrdinalIgnoreCase))""", ".All(_ => true)", "EndToEnd/TlsTests.An_address_in_plain_text"),
    new("20", "the refusal of Kestrel's own addresses", "Tls", """if (settings.GetSection("Kestrel:Endpoints").GetChildren().Any())""", "if (settings is null)", "EndToEnd/TlsTests.An_address_in_plain_text"),
    new("20", "the renewal of the certificate", "Tls", "if (pem != _pem)", "if (pem.Key is null)", "EndToEnd/TlsTests.A_new_certificate"),
    new("20", "the intermediates of the certificate", "Tls", "chain.ImportFromPem(pem.Certificates);", "", "EndToEnd/TlsTests.A_new_certificate"),
    new("20", "that half a certificate is not shown", "Tls", "catch (Exception e) when (IsUnusable(e)) // also", "catch (NotSupportedException e) // also", "EndToEnd/TlsTests.Files_that_hold_no_pair"),
    new("21", "the versions of TLS", "Tls", "SslProtocols.Tls12 | System.Security.Authentication.SslProtocols.Tls13", "SslProtocols.Tls11 | System.Security.Authentication.SslProtocols.Tls12 | System.Security.Authentication.SslProtocols.Tls13", "EndToEnd/TlsTests.Older_versions"),
    new("21", "that a connection in plain text needs a mesh", "StartupChecks", """app.Configuration.Read<TlsSettings>("Tls").Mesh""", "plain.Count > 0", "EndToEnd/StartupTests.A_connection_off"),
    new("21", "VerifyFull for PostgreSQL", "PostgresDatabase", "settings.SslMode == SslMode.VerifyFull", "settings.SslMode >= SslMode.VerifyCA", "EndToEnd/StartupTests.A_connection_off"),
    new("21", "TLS for Redis", "Redis", "\"add ssl=true\", options.Ssl,", "\"add ssl=true\", true,", "EndToEnd/StartupTests.A_connection_off"),
    new("21", "TLS for RabbitMQ", "JobBroker", "address.Scheme == \"amqps\"", "true", "EndToEnd/StartupTests.A_connection_off"),
    new("21", "TLS for telemetry", "Telemetry", "address.Scheme == Uri.UriSchemeHttps", "true", "EndToEnd/StartupTests.A_connection_off"),
    new("21", "the endpoints of single signals", "Telemetry", """(string[])["", "TRACES_", "METRICS_", "LOGS_"]""", """(string[])[""]""", "EndToEnd/StartupTests.A_connection_off"),
    new("21", "all hosts of a connection", "Repositories/Registration", "if (!hosts.All(Settings.IsLoopback))", "if (!Settings.IsLoopback(hosts.First()))", "EndToEnd/StartupTests.A_connection_off"),
    new("21", "that verbs use no plain connection", "Verbs", "app.CheckConnections(); // before", "; // before", "EndToEnd/StartupTests.Nor_does_a_verb"),
    new("21", "the warning of what the mesh is trusted with", "StartupChecks", "Trusting(logger, Keys(plain)); // or", "; // or", "EndToEnd/StartupTests.One_switch"),
    new("21", "the certificate of PostgreSQL", "PostgresDatabase", "(_poolSize, _instances) = (settings.MaxPoolSize, instances);", "(_poolSize, _instances, settings.SslMode) = (settings.MaxPoolSize, instances, settings.SslMode == SslMode.VerifyFull ? SslMode.Require : settings.SslMode);", "Servers/TlsFaultTests.A_certificate_that_nobody"),
    new("21", "the certificate of Redis", "Redis", "options.AbortOnConnectFail = false;", "options.AbortOnConnectFail = false; options.CertificateValidation += (_, _, _, _) => true;", "Servers/TlsFaultTests.A_certificate_that_nobody"),
    new("21", "the certificate of RabbitMQ", "JobBroker", "AcceptablePolicyErrors = SslPolicyErrors.None }", "AcceptablePolicyErrors = (SslPolicyErrors)7 }", "Servers/TlsFaultTests.A_certificate_that_nobody"),
    new("21", "the host in the certificate of RabbitMQ", "JobBroker", "AcceptablePolicyErrors = SslPolicyErrors.None }", "AcceptablePolicyErrors = SslPolicyErrors.RemoteCertificateNameMismatch }", "Servers/TlsFaultTests.A_certificate_that_nobody(name)"),

    // Who calls
    new("22", "that only trusted networks forward", "Pipeline", "if (networks.Length == 0)", "if (networks.Length > 99)", "EndToEnd/LogTests.A_forwarded_address"),
    new("22", "that no variable of the framework trusts everybody", "Pipeline", "builder.Services.RemoveAll<IStartupFilter>();", "", "EndToEnd/LogTests.A_forwarded_address"),
    new("22, 28", "the networks of proxies", "Pipeline", "Array.ForEach(networks, options.KnownIPNetworks.Add);", "", "Integration/LimitTests.A_caller_without_a_token(10)"),
    new("23", "the names of the service", "Pipeline", "app.UseWhen(http => !http.IsProbe(), names => names.UseHostFiltering());", "", "Integration/ErrorTests.A_host_that_is_not_ours"),
    new("23", "that a wrong name is a problem", "Pipeline", "hosts.IncludeFailureMessage = ", "", "Integration/ErrorTests.A_host_that_is_not_ours"),
    new("24", "the policy of what has none", "Authentication", ".SetFallbackPolicy(anyCaller)", "", "Integration/AccessTests.An_endpoint_that_says_nothing"),
    new("24", "that what has none is looked at", "Authentication", "its.GetMetadata<IAllowAnonymous>() is null || its", "its", "Integration/AccessTests.An_endpoint_that_says_nothing"),
    new("24", "that an open endpoint of a guarded group is looked at", "Authentication", " || its.GetMetadata<IAuthorizeData>() is not null", "", "Integration/AccessTests.An_endpoint_that_says_it_is_open"),
    new("24", "the policy of a route", "OrderController", ".RequireAuthorization(Scopes.OrdersRead).Operation(nameof(GetOrder)", ".Operation(nameof(GetOrder)", "Integration/AccessTests.Every_endpoint_has"),
    new("24", "that a route is closed", "OrderController", """orders.MapGet("/", ListOrders).RequireAuthorization(Scopes.OrdersRead)""", """orders.MapGet("/", ListOrders).AllowAnonymous()""", "Integration/AccessTests.Every_endpoint_has"),
    new("25, check", "signatures", "Authentication", "jwt.TokenValidationParameters.NameClaimType = \"sub\";", "jwt.TokenValidationParameters.SignatureValidator = (token, _) => new JsonWebToken(token);\n            jwt.TokenValidationParameters.IssuerSigningKeyValidator = (_, _, _) => true;", "Integration/AccessTests.A_token_that_is_not_ours"),
    new("25, check", "that tokens are signed at all", "Authentication", "jwt.TokenValidationParameters.NameClaimType = \"sub\";", "jwt.TokenValidationParameters.RequireSignedTokens = false;", "Integration/AccessTests.A_token_that_is_not_ours"),
    new("25, check", "the issuer of a token", "Authentication", "jwt.TokenValidationParameters.NameClaimType = \"sub\";", "jwt.TokenValidationParameters.IssuerValidator = (issuer, _, _) => issuer;", "Integration/AccessTests.A_token_that_is_not_ours(issuer)"),
    new("25, check", "the audience of a token", "Authentication", "jwt.TokenValidationParameters.NameClaimType = \"sub\";", "jwt.TokenValidationParameters.AudienceValidator = (_, _, _) => true;", "Integration/AccessTests.A_token_that_is_not_ours(audience)"),
    new("25, check", "the lifetime of a token", "Authentication", "jwt.TokenValidationParameters.NameClaimType = \"sub\";", "jwt.TokenValidationParameters.ValidateLifetime = false;", "Integration/AccessTests.A_token_that_is_not_ours(e)"),
    new("25, check", "that a token ends", "Authentication", "jwt.TokenValidationParameters.NameClaimType = \"sub\";", "jwt.TokenValidationParameters.RequireExpirationTime = false;", "Integration/AccessTests.A_token_that_is_not_ours(exp)"),
    new("25, check", "the bound of clock skew", "Authentication", "ClockSkew = TimeSpan.FromSeconds(30);", "ClockSkew = TimeSpan.FromHours(2);", "Integration/AccessTests.A_token_that_is_not_ours"),
    new("25, check", "the algorithms of a token", "Authentication", "[.. publicKeys, SecurityAlgorithms.HmacSha256] // what", "null // what", "Integration/AccessTests.A_token_that_is_not_ours(algorithm)"),
    new("25, check", "that a public key is no secret", "Authentication", ": publicKeys;", """
        : null;
                    jwt.TokenValidationParameters.IssuerSigningKeyResolverUsingConfiguration = (_, _, _, _, issuer) =>
                        [.. issuer.SigningKeys, .. issuer.SigningKeys.OfType<RsaSecurityKey>().Select(key => new SymmetricSecurityKey(System.Security.Cryptography.RSA.Create(key.Parameters).ExportSubjectPublicKeyInfo()) { KeyId = key.KeyId })];
        """, "EndToEnd/TokenTests.A_token_signed_with"),
    new("25", "that what a token says counts for a minute", "TokenCache", "known!.End <= Now(jwt) || known.Options", "known!.Options", "Integration/AccessTests.What_a_token"),
    new("25", "that what a token says counts no longer than the token", "TokenCache", "end < latest ? end : latest", "latest", "Integration/AccessTests.What_a_token"),
    new("25", "that what a token says counts no longer than the settings", "TokenCache", "known.Options != jwt || ", "", "Integration/AccessTests.What_a_token"),
    new("25", "that what a token says counts no longer than its key", "TokenCache", " || known.Keys != keys?.Result", "", "EndToEnd/TokenTests.A_new_key"),
    new("25", "that what a token says is kept", "Authentication", "http.HasToken() && !known.Recognize(http, jwt.Get(JwtBearerDefaults.AuthenticationScheme))", "http.HasToken()", "Integration/AccessTests.What_a_token"),
    new("25, check", "critical extensions of a token", "Authentication", "token.TryGetHeaderValue<object>(\"crit\", out _)", "false", "Integration/AccessTests.A_token_that_is_not_ours(crit)"),
    new("25, check", "keys that the issuer has withdrawn", "Authentication", "UseLastKnownGoodConfiguration = false", "UseLastKnownGoodConfiguration = true", "EndToEnd/TokenTests.A_new_key"),
    new("25, check", "new keys of the issuer", "Authentication", "jwt.RefreshInterval = TimeSpan.FromSeconds(10);", "jwt.RefreshInterval = TimeSpan.FromHours(1);", "EndToEnd/TokenTests.A_new_key"),
    new("25, check", "that a token counts in its header alone", "Authentication", "jwt.Events = new()\n            {", "jwt.Events = new()\n            {\n                OnMessageReceived = message => Task.FromResult(message.Token = (string?)message.Request.Query[\"access_token\"]),", "Integration/AccessTests.A_token_counts_alone"),
    new("25, check", "whole scopes", "Authentication", "claim.Value.Split(' ').Contains(scope)", "claim.Value.Contains(scope)", "Integration/AccessTests.Scopes_count"),
    new("25, check", "that a token names somebody", "Authentication", ".RequireClaim(\"sub\")", "", "Integration/AccessTests.Scopes_count"),
    new("26", "whose an order is, in reading", "OrderRepository", ".SingleOrDefault(order => order.Owner == owner);", ".SingleOrDefault();", "Integration/AccessTests.A_user_finds"),
    new("26", "whose an order is, in changing", "OrderRepository", "WHERE id = @id AND owner = @owner AND status = 'pending' AND charging = 0", "WHERE id = @id AND status = 'pending' AND charging = 0", "Integration/AccessTests.A_user_finds"),
    new("26", "whose an order is, in a list", "OrderRepository", "WHERE owner = @owner AND id < @after", "WHERE id < @after", "Integration/AccessTests.A_user_finds"),
    new("27", "the list of origins", "Pipeline", "policy.WithOrigins(Origins(builder.Configuration))", "policy.SetIsOriginAllowed(_ => true)", "Integration/OriginTests.Only_a_listed_origin"),
    new("27", "that nobody may read where none is listed", "Pipeline", "if (Origins(app.Configuration).Length > 0)\n            app.UseCors();", "app.UseCors(cors => cors.AllowAnyOrigin());", "Integration/OriginTests.None_may"),
    new("27", "that no origin sends credentials", "Pipeline", ".AllowAnyHeader().WithExposedHeaders", ".AllowAnyHeader().AllowCredentials().WithExposedHeaders", "Integration/OriginTests.Only_a_listed_origin"),

    // Limits
    new("28", "the share of a caller", "Limits", "limiter.GlobalLimiter = new Priced(PerCaller(settings, provider), settings);", "", "Integration/LimitTests.A_caller_who_asks"),
    new("28", "that wrong tokens are of one address", "Limits", "return \"user \" + user;", "return \"user \" + user;\n        if (http.Request.Headers.Authorization.Count > 0)\n            return http.Request.Headers.Authorization.ToString();", "Integration/LimitTests.Wrong_tokens"),
    new("28", "that callers have a share each", "Limits", "return \"user \" + user;", "return \"user\";", "Integration/LimitTests.A_caller_who_asks"),
    new("28", "that probes have no limit", "Limits", "http.IsProbe() ? RateLimitPartition.GetNoLimiter(\"\") : RateLimitPartition.Get(Caller(http), limiter)", "RateLimitPartition.Get(Caller(http), limiter)", "Integration/LimitTests.A_caller_who_asks"),
    new("28", "when to come back", "Limits", "http.Response.Headers.RetryAfter = $\"{Seconds(wait)}\";", "", "Integration/LimitTests.A_caller_who_asks"),
    new("28", "what is left", "SecurityHeaders", "(headers[\"RateLimit-Policy\"], headers[\"RateLimit\"]) = (share.Policy, share.Limit);", "_ = share;", "Integration/LimitTests.Every_answer_says"),
    new("28", "the price of a route", "OrderController", ".Costs(5)", "", "Integration/LimitTests.Every_answer_says"),
    new("28", "that a price is no more than a burst", "Limits", "Math.Min(settings.Burst, http.GetEndpoint()?.Metadata.GetMetadata<RequestCost>()?.Requests ?? 1)", "http.GetEndpoint()?.Metadata.GetMetadata<RequestCost>()?.Requests ?? 1", "Integration/LimitTests.A_costly_call"),
    new("28", "that an IPv6 caller is a /64", "Limits", "[.. address.GetAddressBytes()[..8], .. new byte[8]]), 64)", "address.GetAddressBytes()), 128)", "Integration/LimitTests.A_caller_without_a_token(2001)"),
    new("28", "that the service is full", "Limits", "if (!place.IsAcquired)", "if (place is null)", "Integration/LimitTests.A_service_that_is_full"),
    new("28", "one share over all instances", "Limits", "provider.GetService<SharedLimit>() is { } shared ?", "provider.GetService<SharedLimit>() is { } shared && caller is null ?", "Servers/RedisTests.Two_instances"),
    new("28", "the price of a route, over all instances", "SharedLimit", "full = full + cost * interval", "full = full + interval", "Servers/RedisTests.What_is_left"),
    new("28", "that Redis learns no caller", "SharedLimit", "Fingerprint.Of([caller])", "caller", "Servers/RedisTests.Two_instances"),
    new("28, 34", "the share of a caller while Redis is away", "SharedCallerLimiter", ": await base.AcquireAsyncCore(permitCount, cancellationToken);", ": Counted(new Lease(true, TimeSpan.Zero, 0));", "Servers/RedisTests.Without_Redis"),
    new("46", "that it takes no work while memory is short", "Limits", "if (memory.IsHigh())", "if (memory is null)", "Integration/LimitTests.Short_of_memory"),
    new("46", "that probes answer while memory is short", "Limits", "if (http.IsProbe())\n                return next(http);", "", "Integration/LimitTests.Short_of_memory"),
    new("46", "how short memory is", "Limits", "last.MemoryLoadBytes >= last.HighMemoryLoadThresholdBytes", "last.MemoryLoadBytes < 0", "EndToEnd/MemoryTests.At_the_end"),
    new("46", "the end of a shortage", "Limits", "return _isHigh = isHigh;", "return _isHigh |= isHigh;", "Integration/LimitTests.Short_of_memory"),
    new("46", "that the rest is sent away at once", "Limits", "ConcurrentRequests });\n", "ConcurrentRequests * 1000 });\n", "Servers/DatabaseFaultTests.Under_ten_times"),

    // Secrets and logs
    new("29", "the checks at the start", "StartupChecks", "await item.Judge(CancellationToken.None);", ";", "EndToEnd/StartupTests.Production_with(Audience)"),
    new("29", "placeholders", "StartupChecks", " && !Placeholders.Any(placeholder => value.Contains(placeholder, StringComparison.OrdinalIgnoreCase));", ";", "EndToEnd/StartupTests.Production_with"),
    new("29", "the range of a setting", "Settings", "return Validator.TryValidateObject(settings, new ValidationContext(settings), errors, validateAllProperties: true)", "return errors is not null", "EndToEnd/StartupTests.Production_with(Limits)"),
    new("29, check", "passwords", "Checklist", "new(\"passwords\", app.CheckPasswords, development)", "new(\"passwords\", () => \"none\", development)", "EndToEnd/CheckTests.A_password(RabbitMq)"),
    new("29", "the length of a password", "Repositories/Registration", "password.Length < 12 || ", "", "EndToEnd/CheckTests.A_password(Redis)"),
    new("29", "common passwords", "Repositories/Registration", " || CommonWords().IsMatch(password)", "", "EndToEnd/CheckTests.A_password(Redis)"),
    new("29", "passwords of few signs", "Repositories/Registration", "password.Distinct().Count() < 6", "false", "EndToEnd/CheckTests.A_password(Redis)"),
    new("30", "that no file holds a secret", "appsettings.json", "\"BaseUrl\": \"\"", "\"BaseUrl\": \"https://shop:Kx9wQ2vT@pay\"", "Unit/SecretTests.No_file"),
    new("31", "that paths are not traced", "Telemetry", "span.SetTag(\"url.path\", null)", "span", "EndToEnd/CanaryTests.What_is_secret"),
    new("31", "that paths are not logged", "AccessLog", "?? \"(none)\";", "?? http.Request.Path.Value;", "EndToEnd/CanaryTests.What_is_secret"),
    new("31", "that scopes with paths are not logged", "JsonLines", ", \"requestPath\"]", "]", "EndToEnd/CanaryTests.What_is_secret"),
    new("31", "that the user agent is not traced", "Telemetry", ".SetTag(\"user_agent.original\", null)", "", "EndToEnd/CanaryTests.What_is_secret"),
    new("31", "that a refused token is not quoted", "SecurityEvents", ".GetType().Name.Replace(\"Exception\", \"\", StringComparison.Ordinal)", ".Message", "EndToEnd/TokenTests.A_refused_token"),
    new("32", "the escapes in a line of the log", "JsonLines", "json.WriteString(\"message\"u8, formatter(state, null));", "json.WritePropertyName(\"message\"u8); json.WriteRawValue($\"\\\"{formatter(state, null)}\\\"\", skipInputValidation: true);", "EndToEnd/LogTests.Nothing_that_callers_send"),
    new("32", "one value for each name in the log", "JsonLines", "|| !_written.Add(name))", "|| (name.EncodedUtf8Bytes.IsEmpty && !_written.Add(name)))", "EndToEnd/LogTests.A_job_goes_on"),
    new("59, check", "event 30", "SecurityEvents", "Report(SecurityEvent.Unauthenticated,", "_ = (", "EndToEnd/SecurityEventTests.Each_kind"),
    new("59, check", "event 31", "SecurityEvents", "Report(SecurityEvent.Forbidden,", "_ = (", "EndToEnd/SecurityEventTests.Each_kind"),
    new("59, check", "event 32", "SecurityEvents", "Report(SecurityEvent.TooManyRequests,", "_ = (", "EndToEnd/SecurityEventTests.Each_kind"),
    new("59, check", "event 33", "SecurityEvents", "Report(SecurityEvent.ManyBadRequests,", "_ = (", "EndToEnd/SecurityEventTests.Each_kind"),
    new("59, check", "event 34", "SecurityEvents", "Report(SecurityEvent.ForeignHost,", "_ = (", "EndToEnd/SecurityEventTests.Each_kind"),
    new("59, check", "event 35", "SecurityEvents", "Report(SecurityEvent.ForgedAddress,", "_ = (", "EndToEnd/SecurityEventTests.Each_kind"),
    new("59", "the counter of events", "SecurityEvents", "events.Add(1,", "events.Add(0,", "EndToEnd/SecurityEventTests.Each_kind"),
    new("59", "that a caller cannot fill the log", "SecurityEvents", "if (lines.AttemptAcquire($\"{kind} {reason} {Limits.Caller(http)}\").IsAcquired)", "if (lines is not null)", "EndToEnd/SecurityEventTests.Each_kind"),
    new("59", "the patience with bad requests", "SecurityEvents", "when !bad.AttemptAcquire(Limits.Caller(http)).IsAcquired", "when bad is not null", "EndToEnd/SecurityEventTests.Each_kind"),

    // The verb check
    new("64, check", "addresses", "Checklist", "() => Tls.CheckAddresses(settings)", "() => \"any\"", "EndToEnd/CheckTests.Each_bad_setting(Endpoints)"),
    new("64, check", "certificate", "Checklist", "() => $\"ends {Tls.CheckCertificate(settings, Now(app)):u}\"", "() => \"any\"", "EndToEnd/CheckTests.Each_bad_setting(KeyPath)"),
    new("64, check", "token issuer", "Checklist", "Demand(settings.IsHttps(Issuer),", "Demand(true,", "EndToEnd/CheckTests.Each_bad_setting(Authority)"),
    new("64, check", "token audience", "Checklist", "Demand(settings.IsGiven(Audience),", "Demand(true,", "EndToEnd/CheckTests.Each_bad_setting(Audiences)"),
    new("64, check", "token keys", "Checklist", "Demand(!settings.GetSection(Keys).GetChildren().Any(),", "Demand(true,", "EndToEnd/CheckTests.Each_bad_setting(SigningKeys)"),
    new("64, check", "database setting", "Checklist", "Demand(settings.IsGiven(\"ConnectionStrings:Database\"),", "Demand(true,", "EndToEnd/CheckTests.Each_bad_setting(Source)"),
    new("64, check", "payment provider", "Checklist", "Demand(settings.IsHttps(Provider),", "Demand(true,", "EndToEnd/CheckTests.Each_bad_setting(Payments)"),
    new("64, check", "hosts", "Checklist", "host is \"*\" or \"0.0.0.0\" or \"[::]\"", "host is null", "EndToEnd/CheckTests.Each_bad_setting(AllowedHosts)"),
    new("64, check", "proxies", "Checklist", "All(network => network.PrefixLength > 0)", "All(_ => true)", "EndToEnd/CheckTests.Each_bad_setting(Proxy)"),
    new("64, check", "encryption", "Checklist", "new(\"encryption\", app.CheckConnections, development)", "new(\"encryption\", () => \"any\", development)", "EndToEnd/CheckTests.Each_bad_setting(4317)"),
    new("64, check", "telemetry", "Checklist", "Demand(Uri.TryCreate(settings[Telemetry], UriKind.Absolute, out var uri) && uri.Scheme is \"http\" or \"https\",", "Demand(true,", "EndToEnd/CheckTests.Each_bad_setting(OTEL)"),
    new("64, 29, check", "that the certificate counts now", "Tls", "return from <= now && now < to ?", "return from != to ?", "EndToEnd/CheckTests.A_certificate_that_is_out"),
    new("64, check", "certificate lifetime", "Checklist", "is { TotalDays: > 14 } left", "is var left && left != default", "EndToEnd/CheckTests.A_certificate_that_ends"),
    new("64, check", "issuer answers", "Checklist", "new(\"issuer answers\", AskIssuerAsync,", "new(\"issuer answers\", () => \"yes\",", "EndToEnd/CheckTests.Each_bad_setting(Authority)"),
    new("64, check", "provider answers", "Checklist", "new(\"provider answers\", AskProviderAsync,", "new(\"provider answers\", () => \"yes\",", "EndToEnd/CheckTests.Each_bad_setting(Payments)"),
    new("64, check", "database answers", "Checklist", "await Database().CheckAsync(cancellation);\n                return", "return", "EndToEnd/CheckTests.Each_bad_setting(Port)"),
    new("64, check", "schema", "Checklist", "PendingAsync(cancellation) is [_, ..] pending ?", "PendingAsync(cancellation) is [_, .., null] pending ?", "EndToEnd/CheckTests.A_schema"),
    new("64, check", "clock", "Checklist", "return apart < TimeSpan.FromSeconds(5) ?", "return apart < TimeSpan.MaxValue ?", "Servers/CheckFaultTests.Each_unfit_server"),
    new("64, 49, check", "database role", "Checklist", "await Database().ExcessAsync(cancellation) is { } excess", "await Task.FromResult<string?>(null) is { } excess", "Servers/CheckFaultTests.Each_unfit_server"),
    new("64, 49", "a role that may create tables", "PostgresDatabase", "WHEN has_schema_privilege(current_schema(), 'CREATE') THEN 'may create tables'", "WHEN false THEN ''", "Servers/CheckFaultTests.Each_unfit_server"),
    new("64, 49", "a role that owns tables", "PostgresDatabase", "WHEN EXISTS (SELECT 1 FROM pg_class", "WHEN false AND EXISTS (SELECT 1 FROM pg_class", "Servers/CheckFaultTests.Each_unfit_server"),
    new("64, 47, check", "connections", "Checklist", "await Database().ReviewAsync(cancellation) is { } warning", "await Task.FromResult<string?>(null) is { } warning", "Servers/CheckFaultTests.Each_unfit_server"),
    new("64, check", "redis", "Checklist", "await redis.CheckAsync(cancellation) is { } trouble", "await Task.FromResult<string?>(null) is { } trouble", "EndToEnd/CheckTests.Each_bad_setting(Redis)"),
    new("64, check", "queue", "Checklist", "await services.GetRequiredService<JobBroker>().CheckAsync(cancellation) ?", "await Task.FromResult(true) ?", "EndToEnd/CheckTests.Each_bad_setting(Queue)"),
    new("64", "the arguments of the queue", "JobBroker", "await channel.QueueDeclarePassiveAsync(_queue, cancellation); // which looks at the name alone\n            await DeclareAsync(channel, cancellation);", "await channel.QueueDeclarePassiveAsync(_queue, cancellation);", "Servers/CheckFaultTests.A_queue_that_is_another"),
    new("64", "that check makes no queue", "JobBroker", "await channel.QueueDeclarePassiveAsync(_queue, cancellation); // which looks at the name alone", "", "Servers/CheckFaultTests.Servers_that_are_fit"),
    new("64", "the exit code of check", "Checklist", "return verdicts.Any(verdict => verdict.Result == \"fail\") ? 1 : 0;", "return 0;", "EndToEnd/CheckTests.Each_bad_setting(AllowedHosts)"),
    new("64", "a setting that cannot be read", "Program.cs", "catch (OperationalException exception) when (args is [\"check\", ..])", "catch (OperationalException exception) when (args is [\"check\", .., null])", "EndToEnd/CheckTests.Each_bad_setting(MaxAttempts)"),

    // C. Reliability
    new("33", "that liveness asks nobody", "Health", "Predicate = check => check.Tags.Contains(probe)", "Predicate = _ => true", "Integration/ObservabilityTests.Readiness_follows"),
    new("33", "that readiness follows the database", "Health", ": HealthCheckResult.Unhealthy(\"The database does not answer; the log has the reason.\");", ": HealthCheckResult.Degraded(\"\");", "Integration/ObservabilityTests.Readiness_follows"),
    new("33", "patience with the database", "Health", "clock.GetUtcNow() - _lastAnswer < Patience", "clock is null", "Integration/ObservabilityTests.Readiness_follows"),
    new("33", "that readiness tells no connection string", "Health", "HealthCheckResult.Unhealthy(\"The database does not answer; the log has the reason.\")", "HealthCheckResult.Unhealthy(e.Message)", "Integration/ObservabilityTests.Readiness_follows"),
    new("33, 34", "that it is ready without Redis", "Health", "HealthCheckResult.Degraded(trouble)", "HealthCheckResult.Unhealthy(trouble)", "Servers/RedisTests.Without_Redis"),
    new("33, 34", "that it is ready without RabbitMQ", "Health", "HealthCheckResult.Degraded(trouble)", "HealthCheckResult.Unhealthy(trouble)", "Servers/BrokerFaultTests.Without_the_broker"),
    new("34", "the time of a call to Redis", "Redis", ".AddTimeout(TimeSpan.FromMilliseconds(250))", ".AddTimeout(TimeSpan.FromSeconds(30))", "Servers/RedisTests.Without_Redis(True)"),
    new("34", "that a failure of Redis is none of the caller's", "Redis", "Failed(e);\n            return otherwise;", "throw;", "Servers/RedisTests.Without_Redis"),
    new("34", "the counter of calls without Redis", "Redis", "_failures.Add(1,", "_failures.Add(0,", "Servers/RedisTests.Without_Redis"),
    new("35", "that the database may come later", "PostgresDatabase", "public override bool MayComeLater => true;", "", "Servers/AddressFaultTests.The_service_and_its_migration"),
    new("35", "that Redis may come later", "Redis", "options.AbortOnConnectFail = false;", "options.AbortOnConnectFail = true;", "Servers/RedisTests.The_service_starts"),
    new("36", "that it is not ready while it drains", "Health", "IsDraining ? HealthCheckResult.Unhealthy(\"The instance is shutting down.\") : ", "", "EndToEnd/ShutdownTests.On_SIGTERM_it"),
    new("36", "the drain", "Health", "return Task.Delay(TimeSpan.FromSeconds(settings.DrainSeconds), clock, cancellationToken);", "return Task.CompletedTask;", "EndToEnd/ShutdownTests.On_SIGTERM_it"),
    new("36", "Connection: close", "SecurityHeaders", "headers.Connection = \"close\";", "_ = headers;", "EndToEnd/ShutdownTests.On_SIGTERM_it"),
    new("36", "that a job which runs is finished", "JobWorker", "protected override Task FinishAsync() => Task.WhenAll(_running);", "", "EndToEnd/ShutdownTests.On_SIGTERM_a_job"),
    new("36", "that no job is begun after the signal", "JobWorker", "CreateLinkedTokenSource(stoppingToken, lifetime.ApplicationStopping)", "CreateLinkedTokenSource(stoppingToken)", "EndToEnd/ShutdownTests.While_it_drains"),
    new("38", "the inbox", "Outbox", "return first == 1;", "return true;", "Integration/JobTests.A_job_that_is_delivered_twice"),
    new("38", "the lease of a job", "Outbox", " AND lease_until <= clock_ms()\n", "\n", "Integration/JobTests.A_worker_that_lost"),
    new("38", "the fence of a late failure", "Outbox", "lease_token = NULL\n            WHERE id = @Id AND lease_token = @LeaseToken", "lease_token = NULL\n            WHERE id = @Id", "Integration/JobTests.A_worker_that_lost"),
    new("38", "the fence of a late end", "Outbox", "\"DELETE FROM outbox WHERE id = @Id AND lease_token = @LeaseToken\"", "\"DELETE FROM outbox WHERE id = @Id\"", "Integration/JobTests.A_worker_that_lost"),
    new("38", "the end of a job that kills", "JobRunner", "if (job.Attempt > settings.MaxAttempts)", "if (job.Attempt < 0)", "Integration/JobTests.A_job_that_kills"),
    new("39", "that a job which nobody can do is dead at once", "JobRunner", " || exception is PoisonException or JsonException;", ";", "Integration/JobTests.A_job_that_nobody"),
    new("39", "the pauses", "JobRunner", "Math.Pow(3, attempt - 1)", "0.01", "Integration/JobTests.A_job_that_fails"),
    new("39", "the end of attempts", "JobRunner", "var dead = job.Attempt >= settings.MaxAttempts || ", "var dead = ", "EndToEnd/JobTests.A_job_that_keeps_failing"),
    new("39", "the reason of a dead job", "Outbox", "Storable(reason));", "\"\");", "Integration/JobTests.A_job_that_nobody"),
    new("39", "which job is replayed", "Outbox", " AND (id = @id OR @id = '')", "", "Integration/JobTests.A_job_that_fails"),
    new("40", "that a job is in the transaction of its cause", "Database", """
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
                var session = new Session(this, connection, transaction, cancellation);
        """, """
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
                await CommitAsync(transaction);
                if (transaction is not null)
                    return await work(new Session(this, connection, null, cancellation));
                var session = new Session(this, connection, transaction, cancellation);
        """, "Integration/JobTests.A_job_is_added"),
    new("40", "that a row ends with its confirmation", "JobRelay", "await Outbox.EndAsync(sent, CancellationToken.None);", "await Outbox.EndAsync(jobs, CancellationToken.None);", "Servers/BrokerFaultTests.A_thousand_jobs_outlive_a_broker"),
    new("41", "that a deleted queue is noticed", "JobBroker", "consumer.UnregisteredAsync += (_, _) => EndAsync(\"the queue was deleted.\");", "", "Servers/BrokerFaultTests.A_queue_that_somebody_deletes"),
    new("41", "that a lost connection is noticed", "JobBroker", "connection.ConnectionShutdownAsync += (_, reason) => EndAsync(reason.ReplyText);\n            channel.ChannelShutdownAsync += (_, reason) => EndAsync(reason.ReplyText);", "", "Servers/BrokerFaultTests.A_broker_that_hangs"),
    new("42", "the exit code of a crash", "JobWorker", "Environment.ExitCode = 1;", "", "EndToEnd/JobTests.A_worker_that_crashes"),
    new("43", "the order of a key", "OrderService", "return first.Fingerprint == fingerprint", "return first.Fingerprint is not null", "Integration/OrderTests.An_order_is_paid"),
    new("43", "that the first answer stays", "OrderService", "first.Order with { Status = OrderStatus.Pending }", "first.Order", "Integration/OrderTests.An_order_is_paid"),
    new("43", "whose a key is", "OrderRepository", "FROM orders WHERE owner = @owner AND idempotency_key = @idempotencyKey", "FROM orders WHERE idempotency_key = @idempotencyKey", "Integration/OrderTests.The_same_key"),
    new("43", "the race of two with one key", "OrderRepository", "ON CONFLICT (owner, idempotency_key) DO NOTHING", "", "Servers/OrderTests.The_same_key"),
    new("44", "the retry of a charge", "PaymentGateway", "HttpClientResiliencePredicates.IsTransient(attempt.Outcome) && MayRepeat(attempt.Context.GetRequestMessage())", "false", "EndToEnd/PaymentTests.A_charge_that_fails"),
    new("44", "the key of a charge", "PaymentGateway", "{ IdempotencyKey, orderId }", "{ IdempotencyKey, Guid.NewGuid().ToString() }", "EndToEnd/OrderTests.An_order_is_placed"),
    new("44", "the time of one try", "PaymentGateway", "resilience.AttemptTimeout.Timeout = TimeSpan.FromSeconds(settings.TryTimeoutSeconds);", "resilience.AttemptTimeout.Timeout = TimeSpan.FromSeconds(settings.TimeoutSeconds);", "EndToEnd/PaymentTests.A_provider_that_hangs"),
    new("44", "the breaker", "PaymentGateway", "resilience.Retry.Delay =", "resilience.CircuitBreaker.MinimumThroughput = 1_000_000;\n            resilience.Retry.Delay =", "EndToEnd/PaymentTests.A_provider_that_keeps_failing"),
    new("46", "that others may fill the machine", "Limits", "            && Environment.WorkingSet > last.TotalAvailableMemoryBytes / 2; // else others fill the machine, and shedding helps nobody", ";", "EndToEnd/MemoryTests.While_others"),
    new("44", "Retry-After", "PaymentGateway", "resilience.Retry.Delay =", "resilience.Retry.ShouldRetryAfterHeader = false;\n            resilience.Retry.Delay =", "EndToEnd/PaymentTests.A_busy_provider"),
    new("45", "that redirects are not followed", "PaymentGateway", "AllowAutoRedirect = false", "AllowAutoRedirect = true", "EndToEnd/PaymentTests.A_redirect"),
    new("45", "the size of an answer", "PaymentGateway", "http.MaxResponseContentBufferSize = 64 * 1024;", "", "EndToEnd/PaymentTests.An_answer_of_a_megabyte"),
    new("45", "the time of a job", "JobRunner", "new CancellationTokenSource(TimeSpan.FromSeconds(settings.TimeoutSeconds), clock)", "new CancellationTokenSource()", "EndToEnd/PaymentTests.An_answer_that_never_ends(Jobs)"),
    new("45", "the time of a call with its body", "PaymentGateway", "client.ConfigureHttpClient(http => http.Timeout = TimeSpan.FromSeconds(settings.TimeoutSeconds + 1));", ";", "EndToEnd/PaymentTests.An_answer_that_never_ends(Payments)"),
    new("45", "the certificate of the provider", "PaymentGateway", "new SocketsHttpHandler { AllowAutoRedirect = false,", "new SocketsHttpHandler { AllowAutoRedirect = false, SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true },", "EndToEnd/PaymentTests.A_provider_with_a_certificate"),
    new("47", "the wait for a connection", "PostgresDatabase", "Max Auto Prepare=50;Timeout=5;", "Max Auto Prepare=50;Timeout=60;", "Servers/DatabaseFaultTests.With_all_connections"),
    new("47", "the warning of too many connections", "StartupChecks", "Doubtful(logger, warning);", ";", "Servers/DatabaseFaultTests.More_connections"),
    new("48", "what may be old", "OrderRepository", "mayLag: rows => rows is [{ Status: not \"pending\" }, ..]", "mayLag: _ => true", "Servers/ReplicaFaultTests.An_order_that_is_pending"),
    new("48", "that a standby answers lists", "ProductRepository", ", mayLag: _ => true", "", "Servers/ReplicaFaultTests.What_may_be_old"),
    new("48", "that the primary answers for a standby", "PostgresDatabase", "[Access.Read] = hosts.WithTargetSession(TargetSessionAttributes.PreferPrimary)", "[Access.Read] = hosts.WithTargetSession(TargetSessionAttributes.Primary)", "Servers/ReplicaFaultTests.While_the_primary"),
    new("49", "that it is not ready on an old schema", "Health", "return pending.Count == 0\n", "return pending.Count >= 0\n", "EndToEnd/StartupTests.On_an_old_schema"),
    new("49", "the lock of the migration", "Migrator", "await using var held = await database.LockMigrationsAsync(cancellation);", "", "Servers/SchemaFaultTests.Of_three_migrations"),
    new("49", "that serving does not migrate", "StartupChecks", "await (app.Environment.IsDevelopment()\n", "await (app.Environment is not null\n", "EndToEnd/StartupTests.On_an_old_schema"),
    new("50", "the columns of a statement", "ProductRepository", "\"SELECT sku, name, amount, currency, version FROM products WHERE sku = @sku\"", "\"SELECT * FROM products WHERE sku = @sku\"", "Servers/SchemaFaultTests.A_schema_that_a_later"),
    new("50", "the repetition of what meets an old plan", "PostgresDatabase", "DeadlockDetected or FeatureNotSupported ||", "DeadlockDetected ||", "Servers/SchemaFaultTests.What_was_prepared"),
    new("50", "the new connections after an old plan", "PostgresDatabase", "            _source.Clear(); // connections with plans", "            _ = _source; // connections with plans", "Servers/SchemaFaultTests.What_was_prepared"),
    new("51", "the cache", "Repositories/Registration", "builder.Services.Decorate<IProductRepository, CachedProductRepository>();", "", "Integration/ProductTests.A_hundred_readers"),
    new("51", "the removal of what was written", "CachedProductRepository", "await cache.RemoveAsync(Key(product.Sku), CancellationToken.None);", "", "Integration/ProductTests.A_write_is_seen"),
    new("51", "that other instances forget what was written", "SecondLevelCache", "await database.PublishAsync(_removed, key);", "", "Servers/RedisTests.An_update_on_one_instance"),
    new("52", "the version of an update", "ProductRepository", " AND version = @Version - 1", "", "Integration/ProductTests.Of_thirty_updates"),
    new("53", "that nothing is written beside the program", "StartupChecks", "Starting(logger, app.Environment.EnvironmentName, engines);", "await File.WriteAllTextAsync(\"started\", \"\"); Starting(logger, app.Environment.EnvironmentName, engines);", "Servers/InstanceFaultTests.It_runs"),
    new("53", "that tags are the same on every instance", "EntityTag", "\"\\\"{Fingerprint.Of(parts)[..32]}\\\"\"", "\"\\\"{Fingerprint.Of(parts.Append($\"{Environment.ProcessId}\"))[..32]}\\\"\"", "Servers/InstanceFaultTests.What_one_instance"),

    // D. Observability
    new("54", "the time in UTC", "JsonLines", "json.WriteString(\"timestamp\"u8, DateTime.UtcNow);", "json.WriteString(\"timestamp\"u8, DateTime.Now);", "EndToEnd/LogTests.Each_line"),
    new("54", "the version in a line", "JsonLines", "json.WriteString(\"version\"u8, Version);", "", "EndToEnd/LogTests.Each_line"),
    new("54", "that each thread has a line of its own", "JsonLines", "var line = _spare ?? new Line();", "var line = AppDomain.CurrentDomain.GetData(\"line\") as Line ?? new Line();\n            AppDomain.CurrentDomain.SetData(\"line\", line);", "EndToEnd/LogTests.Lines_of_requests_at_once"),
    new("54", "that a full disk is survived", "JsonLines", "catch (IOException)", "catch (FormatException)", "EndToEnd/LogTests.A_full_disk"),
    new("54", "the last line of a crash", "Logs", "factory.CreateLogger(\"Storefront\"),\n            mendable", "Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance,\n            mendable", "EndToEnd/StartupTests.Production_with(Limits)"),
    new("55", "the trace of a job", "JobRunner", "parentId: job.Trace", "parentId: null", "EndToEnd/LogTests.A_job_goes_on"),
    new("55", "the trace in the outbox", "Outbox", "trace = Activity.Current?.Id,", "trace = (string?)null,", "EndToEnd/LogTests.A_job_goes_on"),
    new("55", "the trace in the queue", "JobBroker", "[TraceHeader] = job.Trace }", "[TraceHeader] = null }", "Servers/LogTests.A_job_goes_on"),
    new("56", "that routes are logged and no paths", "AccessLog", "(endpoint as RouteEndpoint)?.RoutePattern.RawText ?? \"(none)\"", "http.Request.Path.Value", "Integration/ObservabilityTests.Ten_thousand_invented"),
    new("56", "that probes are not counted", "AccessLog", ".AllowAnonymous().DisableHttpMetrics()", ".AllowAnonymous()", "Integration/ObservabilityTests.Ten_thousand_invented"),
    new("56", "that probes are not logged", "AccessLog", "if (!http.IsProbe())", "if (http is not null)", "EndToEnd/LogTests.A_request_is_one_line"),
    new("57", "the bound of what waits to be sent", "Telemetry", ".UseOtlpExporter();", ".UseOtlpExporter(); (builder.Configuration[\"OTEL_BSP_MAX_QUEUE_SIZE\"], builder.Configuration[\"OTEL_BLRP_MAX_QUEUE_SIZE\"]) = (\"1000000\", \"1000000\");", "EndToEnd/CollectorTests.A_collector(hangs)"),
    new("63", "that no layer uses one above", "ProductService", "public sealed class ProductService(IProductRepository products)\n{", "public sealed class ProductService(IProductRepository products)\n{\n    internal static readonly Type Above = typeof(Storefront.Entry.LimitSettings);\n", "Unit/LayerTests.No_file"),

    // E. Delivery
    new("37", "the time between the end of listening and that of connections", "Health", "await Task.Delay(linger, clock, cancellationToken);", "await Task.Yield();", "Servers/RestartFaultTests"),
    new("58", "what to do about an alert", "rules/failures.yml", "runbook: 'Its log has a Critical line", "note: 'Its log has a Critical line", "Unit/MonitoringTests.Each_alert_says"),
    new("60", "the user of the image", "Dockerfile", "USER 1654", "USER root", "Unit/DeliveryTests.The_image_is_built"),
    new("60", "for which machine the image is compiled", "Dockerfile", "--no-restore --arch ${TARGETARCH}", "--no-restore", "Unit/DeliveryTests.The_image_is_built"),
    new("61", "the read-only file system of a pod", "base/api.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "Unit/ManifestTests.Keeps_every_rule"),
    new("62", "the few rights of a workflow", "workflows/ci.yml", "permissions:\n  contents: read\nconcurrency", "permissions: write-all\nconcurrency", "Unit/WorkflowTests.Workflows_have"),
];

var here = Path.GetDirectoryName(Here())!;
var root = Path.GetFullPath("../..", here);
var chosen = mutations.Where(mutation => Matches(mutation.Row.Split(", "), "--row") && Matches([mutation.Name], "--name", part: true)).ToList();
if (args.Contains("--rest"))
{
    var results = Results();
    chosen = [.. chosen.Where(mutation => results[mutation.Name].FirstOrDefault() is not { } line || Regex.IsMatch(line, @" \| (not run|\*\*.*) \|$"))];
}
var holes = Uncovered().Concat(mutations.Select(mutation => Find(Path.Combine(root, "content"), mutation).Problem).OfType<string>()).ToList();
holes.ForEach(Console.WriteLine);
if (args is ["--check"])
    return holes.Count == 0 ? 0 : 1;
var hasServers = Environment.GetEnvironmentVariable("TEST_DATABASE") is not null || Directory.Exists("/usr/lib/postgresql");
if (!hasServers)
    Console.WriteLine($"Left out, as there is no PostgreSQL, Redis and RabbitMQ: {chosen.RemoveAll(mutation => mutation.Project == "Servers")} mutations");

var copy = Directory.CreateTempSubdirectory("mutate-").FullName;
try
{
    foreach (var file in (await RunAsync("git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "content")).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(file => File.Exists(Path.Combine(root, file))))
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(copy, file))!);
        File.Copy(Path.Combine(root, file), Path.Combine(copy, file));
    }
    var patience = Path.Combine(copy, "content/tests/EndToEnd/ServiceProcess.cs"); // here much is waited for that never comes
    await File.WriteAllTextAsync(patience, (await File.ReadAllTextAsync(patience)).Replace("TimeSpan.FromSeconds(120)", "TimeSpan.FromSeconds(45)"));
    await RunAsync("dotnet", "restore", Path.Combine(copy, "content"));
    foreach (var project in args.Length == 0 ? chosen.GroupBy(mutation => mutation.Project) : [])
    {
        if (await TestAsync(project.Key, string.Join('|', project.Select(mutation => mutation.Filter).Distinct())) is { Result: not "green" } before)
            holes.Add($"{project.Key} is not green before anything is taken out: {before.Result} {before.Red}");
    }
    if (holes.Count == 0 || args.Length > 0) // a part may be tried while the whole is not right
    {
        for (var (number, watch) = (0, Stopwatch.StartNew()); number < chosen.Count; watch.Restart())
        {
            var mutation = chosen[number++];
            var (result, red) = await MutateAsync(mutation);
            if (result != "red")
                holes.Add($"{mutation.Name}: {result}");
            Console.WriteLine($"{number}/{chosen.Count} {result,-5} {watch.Elapsed.TotalSeconds,3:0} s  {mutation.Row}: {mutation.Name}  {red}");
            Report(mutation, result == "red" ? red : $"**{result}**");
        }
    }
}
finally
{
    Directory.Delete(copy, recursive: true);
}
Console.WriteLine(holes.Count == 0 ? $"{chosen.Count} taken out, {chosen.Count} missed by a test" : $"{holes.Count} holes:\n{string.Join('\n', holes)}");
return holes.Count == 0 && chosen.Count > 0 ? 0 : 1;

async Task<(string Result, string Red)> MutateAsync(Mutation mutation)
{
    if (Find(Path.Combine(copy, "content"), mutation) is not { Problem: null } found)
        return ("cannot be taken out", "");
    await File.WriteAllTextAsync(found.File, found.Text.Replace(mutation.Old, mutation.New));
    try
    {
        return await TestAsync(mutation.Project, mutation.Filter);
    }
    finally
    {
        await File.WriteAllTextAsync(found.File, found.Text);
    }
}

static (string File, string Text, string? Problem) Find(string content, Mutation mutation)
{
    var files = Directory.GetFiles(content, Path.GetFileName(mutation.File) + "*", SearchOption.AllDirectories)
        .Where(file => Regex.IsMatch(file.Replace('\\', '/'), $"^(?!.*/(bin|obj)/).*/{Regex.Escape(mutation.File)}(\\.cs)?$")).ToList();
    if (files.Count != 1)
        return ("", "", $"{mutation.Name}: {files.Count} files are called {mutation.File}");
    var text = File.ReadAllText(files[0]);
    var times = text.Split(mutation.Old).Length - 1;
    return (files[0], text, times == 1 ? null : $"{mutation.Name}: what it takes out stands {times} times in {mutation.File}");
}

async Task<(string Result, string Red)> TestAsync(string project, string filter)
{
    var folder = Path.Combine(copy, "content", "tests", project);
    // What is left over when a line is gone is no fault: the analyzers are for whole programs.
    var build = await RunAsync("dotnet", "build", folder, "--no-restore", "-v", "q", "-nologo", "-p:RunAnalyzers=false", "-p:EnforceCodeStyleInBuild=false", "-p:TreatWarningsAsErrors=false");
    if (build.ExitCode != 0)
        return ("does not build: " + Regex.Match(build.Output, "error .*").Value, "");
    var results = Path.Combine(copy, "results.trx");
    File.Delete(results);
    var run = await RunAsync("dotnet", "vstest", $"{folder}/bin/Debug/net10.0/{project}.dll", $"--TestCaseFilter:{filter}", $"--logger:trx;LogFileName={results}");
    var tests = !File.Exists(results) ? [] : XDocument.Load(results).Descendants().Where(element => element.Name.LocalName == "UnitTestResult")
        .Select(element => (Name: $"{element.Attribute("testName")?.Value}", Failed: element.Attribute("outcome")?.Value == "Failed")).ToList();
    var red = tests.Where(test => test.Failed).Select(test => Regex.Match(test.Name, @"(\w+\.\w+)(\(|$)").Groups[1].Value).GroupBy(name => name).Select(name => $"{name.Key}{(name.Count() > 1 ? $" ({name.Count()})" : "")}");
    return (tests.Count == 0 ? "runs no test" : tests.Exists(test => test.Failed) ? "red" : run.ExitCode == 0 ? "green" : "broke off", string.Join(", ", red));
}

static async Task<(int ExitCode, string Output)> RunAsync(string program, params string[] arguments)
{
    var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1", ["DOTNET_NOLOGO"] = "1", ["DOTNET_TieredPGO"] = "0" } };
    using var process = Process.Start(start)!;
    using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(15));
    await using var kill = limit.Token.Register(() => process.Kill(entireProcessTree: true));
    var output = await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
    await process.WaitForExitAsync();
    return (process.ExitCode, string.Concat(output));
}

// Promises of the README and items of the verb that nothing here takes out.
IEnumerable<string> Uncovered()
{
    var rows = mutations.SelectMany(mutation => mutation.Row.Split(", ")).ToHashSet();
    foreach (Match promise in Regex.Matches(File.ReadAllText(Path.Combine(root, "content/README.md")), @"^\| (\d+) \| .* \| .* \|", RegexOptions.Multiline))
    {
        if (!rows.Contains(promise.Groups[1].Value))
            yield return $"Nothing is taken out for row {promise.Groups[1].Value}";
    }
    foreach (Match item in Regex.Matches(File.ReadAllText(Path.Combine(root, "content/src/Storefront/Entry/Checklist.cs")), @"^            new\(""([a-z ]+)""", RegexOptions.Multiline))
    {
        if (!mutations.Any(mutation => mutation.Row.Contains("check") && mutation.Name == item.Groups[1].Value))
            yield return $"Nothing is taken out of the item '{item.Groups[1].Value}' of check";
    }
}

// Keeps the lines of other runs, in the order of the list.
void Report(Mutation mutation, string red)
{
    var lines = Results();
    string Line(Mutation each) => each == mutation ? $"| {each.Row} | {each.Name} | {each.File} | {red} |" : lines[each.Name].FirstOrDefault() ?? $"| {each.Row} | {each.Name} | {each.File} | not run |";
    File.WriteAllText(Path.Combine(here, "README.md"), $"""
        # What the tests are worth

        Written by `dotnet run tests/Mutation/mutate.cs`: each line of code that keeps a promise of [the service's README](../../content/README.md) was taken out, and the tests on the right went red.

        | row | taken out | of | tests that went red |
        |---|---|---|---|
        {string.Join('\n', mutations.Select(Line))}

        """);
}

ILookup<string, string> Results()
{
    var file = Path.Combine(here, "README.md");
    return (File.Exists(file) ? File.ReadAllLines(file) : []).Where(line => line.StartsWith("| ") && line.Split(" | ").Length == 4).ToLookup(line => line.Split(" | ")[1]);
}

bool Matches(string[] values, string option, bool part = false)
{
    var at = Array.IndexOf(args, option) + 1;
    return at == 0 || args[at].Split(',').Any(wanted => values.Any(value => part ? value.Contains(wanted) : value == wanted));
}

static string Here([CallerFilePath] string path = "") => path;

internal sealed record Mutation(string Row, string Name, string File, string Old, string New, string Test)
{
    public string Project => Test.Split('/')[0];

    public string Filter => Regex.Replace($"(FullyQualifiedName~.{Test.Split('/')[1]})", @"\((\w[^()]*)\)\)$", "&DisplayName~$1)");
}
