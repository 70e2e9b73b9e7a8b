# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

# One engine, many commands: each line on standard input is a request in JSON, each answer is one line of JSON.
# Every request has a runspace of its own, so that nothing is left of the one before.
$base = [System.Management.Automation.Runspaces.Runspace]::DefaultRunspace.InitialSessionState
while ($null -ne ($line = [Console]::In.ReadLine())) {
    $request = ConvertFrom-Json $line
    foreach ($variable in $request.environment.PSObject.Properties) {
        [Environment]::SetEnvironmentVariable($variable.Name, $variable.Value)
    }
    $state = $base.Clone()
    $state.LanguageMode = $request.language_mode
    $runspace = [System.Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace($state)
    $runspace.Open()
    # Windows PowerShell does not escape double quotes for native programs; be as strict.
    $runspace.SessionStateProxy.SetVariable('PSNativeCommandArgumentPassing', 'Legacy')
    $shell = [System.Management.Automation.PowerShell]::Create()
    $shell.Runspace = $runspace
    [void]$shell.AddScript($request.script)
    $failure = $null
    $output = @()
    try { $output = @($shell.Invoke([object[]]@($request.lines))) }
    catch { $failure = $_.Exception.InnerException; if (-not $failure) { $failure = $_.Exception } }
    $errors = @($shell.Streams.Error | ForEach-Object { "$_" })
    if ($failure) { $errors += $failure.Message }
    $answer = @{ output = @($output | ForEach-Object { "$_" }); errors = $errors; failed = [bool]$errors.Count }
    [Console]::Out.WriteLine((ConvertTo-Json $answer -Compress))
    [Console]::Out.Flush()
    $shell.Dispose()
    $runspace.Dispose()
}
