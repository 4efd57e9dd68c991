# The commands of README.md under short names: ./build.ps1 test
#   run     the service in content/, as it stands
#   test    the template's tests
#   pack    the package, into artifacts/
#   tool    the package of the tool that updates services, into artifacts/
#   matrix  the template's tests, the slow ones included
#   bench   what the service costs beside others: see tests/Performance/README.md
param(
    [Parameter(Mandatory)]
    [ValidateSet('run', 'test', 'pack', 'tool', 'matrix', 'bench')]
    [string] $Verb
)

switch ($Verb) {
    'run' { dotnet run --project "$PSScriptRoot/content/src/Storefront" }
    'test' { dotnet test "$PSScriptRoot/tests" }
    'pack' { dotnet pack "$PSScriptRoot/template" --output "$PSScriptRoot/artifacts" }
    'tool' { dotnet pack "$PSScriptRoot/template/cli" --output "$PSScriptRoot/artifacts" }
    'matrix' { dotnet test "$PSScriptRoot/tests" --environment TEMPLATE_TESTS=full }
    'bench' { dotnet run "$PSScriptRoot/tests/Performance/bench.cs" }
}

exit $LASTEXITCODE
