# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that probes on a Windows machine: it connects, sends and reads, and judges nothing.

It holds only what Windows PowerShell 5.1 on .NET Framework 4.5 has: no modules, nothing that is compiled, one thread.
A cut-off script does not parse and does nothing. It prints a line as each question ends, so that what has come by the
time a connection breaks is good. ``asks`` writes its questions and reads its lines.
"""

from __future__ import annotations

# $mark: the unguessable word in front of the first line and the last. $text: the questions, a line each.
#   s RATE PER_HOST AT_ONCE LIMIT_MS SOURCE            how to probe; new flows in a thousand seconds
#   p NUMBER BASE64                                    a payload
#   q ID KIND ADDRESS PORT WAIT_MS PATIENCE_MS QUIET_MS CAP STEPS RESET
# KIND is t (TCP), u (UDP), i (echo) or n (the addresses of a name). STEPS of TCP: PAYLOAD:NEED,... Each payload is sent
# once NEED bytes of the answer to the one before have come, or what has come has gone quiet; the bytes behind the last
# are told. STEPS of UDP and echo: the payload of each try, WAIT_MS apart, the last one waited for PATIENCE_MS.
# Told is [ID,CODE,MS,"HOW",["BASE64 or address",...],"OWN ADDRESS",STEP]. CODE is 0, Winsock's error, for an echo that
# of IPStatus, or 99999 for what is neither. HOW a wait ended: w not connected in time, q quiet, c closed, r broken,
# t patience over, m the cap reached, e an error, d answered.
SCRIPT = r"""
param($mark, $text)
$mode = "$($ExecutionContext.SessionState.LanguageMode)"
if ($mode -ne 'FullLanguage') { "$mark refused $mode"; return }
$ErrorActionPreference = 'Stop'
$clock = [System.Diagnostics.Stopwatch]::StartNew()
$payloads = @{}; $busy = @{}; $talking = @{}; $told = 0; $started = 0; $stuck = $false
$waiting = [System.Collections.Generic.Queue[object]]::new()
$tasks = [System.Collections.Generic.List[object]]::new()
$saying = [System.Collections.Generic.List[object]]::new()
$ended = [System.Collections.Generic.List[object]]::new()
$buffer = [byte[]]::new(8192)
$abort = [System.Net.Sockets.LingerOption]::new($true, 0)
$none = [System.Net.Sockets.SocketFlags]::None
$problem = [System.Net.Sockets.SocketError]::Success
foreach ($line in $text.Split([char]10)) {
    $f = $line.Split([char]32)
    if ($f[0] -eq 's') {
        $rate = [int]$f[1]; $perHost = [int]$f[2]; $atOnce = [int]$f[3]; $limit = [int]$f[4]; $source = $f[5]
    } elseif ($f[0] -eq 'p') { $payloads[$f[1]] = [System.Convert]::FromBase64String($f[2])
    } elseif ($f[0] -eq 'q') {
        $steps = @(); $needs = @()
        if ($f[9] -ne '-') {
            foreach ($part in $f[9].Split([char]44)) {
                $pair = $part.Split([char]58); $steps += $pair[0]; $needs += [int]$pair[1]
            }
        }
        $waiting.Enqueue(@{
            id = $f[1]; kind = $f[2]; address = $f[3]; port = [int]$f[4]; wait = [int]$f[5]; patience = [int]$f[6]
            quiet = [int]$f[7]; cap = [int]$f[8]; steps = $steps; needs = $needs; reset = $f[10] -eq '1'
            last = $steps.Count - 1; step = 0; ms = 0; own = ''; data = ''; heard = -1; code = 0; how = ''
            socket = $null; holder = $null; bytes = $null; task = $null
        })
    }
}
"$mark begin"
while ($waiting.Count -or $tasks.Count -or $talking.Count) {
    $now = $clock.ElapsedMilliseconds
    if ($now -ge $limit) { break }

    # What may start.
    $room = [System.Math]::Min($atOnce - $tasks.Count - $talking.Count, 1 + $now * $rate / 1000000 - $started)
    $passed = 0
    while ($room -ge 1 -and -not $stuck -and $passed -lt $waiting.Count) {
        $j = $waiting.Dequeue()
        if ($busy[$j.address] -ge $perHost) { $waiting.Enqueue($j); $passed++; continue }
        $busy[$j.address]++; $started++; $room--
        $j.begun = $clock.ElapsedMilliseconds; $j.due = $j.begun + $j.wait
        try {
            if ($j.kind -eq 'n') { $j.task = [System.Net.Dns]::GetHostAddressesAsync($j.address)
            } else {
                $j.ip = [System.Net.IPAddress]::Parse($j.address)
                if ($j.kind -eq 't') {
                    $j.holder = [System.Net.Sockets.TcpClient]::new($j.ip.AddressFamily); $j.socket = $j.holder.Client
                } elseif ($j.kind -eq 'u') {
                    $j.holder = $j.socket = [System.Net.Sockets.Socket]::new($j.ip.AddressFamily, 'Dgram', 'Udp')
                }
                if ($source -ne '-' -and $j.socket) {
                    $j.socket.Bind([System.Net.IPEndPoint]::new([System.Net.IPAddress]::Parse($source), 0))
                }
                if ($j.kind -eq 't') { $j.task = $j.holder.ConnectAsync($j.ip, $j.port)
                } elseif ($j.kind -eq 'u') {
                    $j.socket.Connect($j.ip, $j.port); $j.own = $j.socket.LocalEndPoint.Address.ToString()
                    $j.socket.Blocking = $false; $talking[$j.socket] = $j; $saying.Add($j)
                } else { $saying.Add($j) }
            }
            if ($j.task) { $tasks.Add($j) }
        } catch { $j.failure = $_.Exception; $ended.Add($j) }
    }
    $stuck = $passed -gt 0 -and $passed -eq $waiting.Count

    # Connects, echoes and names.
    $now = $clock.ElapsedMilliseconds
    $changed = $false
    foreach ($j in $tasks) {
        if ($j.task.IsCompleted) {
            $task = $j.task; $j.task = $null; $changed = $true; $j.ms = $now - $j.begun
            if ($task.IsFaulted) { $j.failure = $task.Exception; $ended.Add($j); continue }
            try {
                if ($j.kind -eq 't') {
                    $j.own = $j.socket.LocalEndPoint.Address.ToString()
                    if ($j.last -lt 0) { $j.how = 'd'; $ended.Add($j) } else {
                        $j.due = $now + $j.patience; $j.bytes = [System.IO.MemoryStream]::new()
                        $j.socket.Blocking = $false
                        $talking[$j.socket] = $j; $saying.Add($j)
                    }
                } elseif ($j.kind -eq 'n') {
                    foreach ($found in $task.Result) { $j.data += ',"' + $found + '"' }
                    $j.data = $j.data.TrimStart([char]44); $j.how = 'd'; $ended.Add($j)
                } else {
                    $answer = $task.Result; $j.holder.Dispose(); $j.holder = $null; $j.code = [int]$answer.Status
                    if ($j.code -eq 11010 -and $j.step -lt $j.last) { $j.step++; $saying.Add($j) } else {
                        $j.ms = $answer.RoundtripTime; $j.data = '"' + $answer.Address + '"'
                        $j.how = 'd'; $ended.Add($j)
                    }
                }
            } catch { $j.failure = $_.Exception; $ended.Add($j) }
        } elseif ($now -ge $j.due) {
            $j.task = $null; $changed = $true; $j.ms = $now - $j.begun; $j.code = 10060; $j.how = 'w'; $ended.Add($j)
        }
    }
    if ($changed) {
        $kept = [System.Collections.Generic.List[object]]::new()
        foreach ($j in $tasks) { if ($j.task) { $kept.Add($j) } }
        $tasks = $kept
    }

    # What has come, and what has gone quiet.
    if ($talking.Count) {
        $ready = [System.Collections.ArrayList]::new($talking.Keys)
        $failed = [System.Collections.ArrayList]::new($talking.Keys)
        [System.Net.Sockets.Socket]::Select($ready, $null, $failed, 5000)
        foreach ($socket in $failed) { if (-not $ready.Contains($socket)) { [void]$ready.Add($socket) } }
        $now = $clock.ElapsedMilliseconds
        foreach ($socket in $ready) {
            $j = $talking[$socket]
            try { $count = $socket.Receive($buffer, 0, $buffer.Length, $none, [ref]$problem)
            } catch { $j.failure = $_.Exception; $ended.Add($j); continue }
            if ([int]$problem -eq 10035) { continue }
            if ($j.kind -eq 'u') {
                if ($j.heard -lt 0) { $j.ms = $now - $j.begun }
                if ([int]$problem) { $j.code = [int]$problem; $j.how = 'e'; $ended.Add($j); continue }
                if ($j.data) { $j.data += ',' }
                $j.heard = $now; $j.data += '"' + [System.Convert]::ToBase64String($buffer, 0, $count) + '"'
                if ($j.data.Length -ge 2 * $j.cap) { $j.how = 'm'; $ended.Add($j) }
                continue
            }
            if ([int]$problem) { $j.how = 'r'; $ended.Add($j); continue }
            if ($count -eq 0) { $j.how = 'c'; $ended.Add($j); continue }
            $j.bytes.Write($buffer, 0, $count); $j.heard = $now
            if ($j.bytes.Length -ge $j.cap) { $j.how = 'm'; $ended.Add($j)
            } elseif ($j.step -lt $j.last -and $j.bytes.Length -ge $j.needs[$j.step]) { $j.step++; $saying.Add($j) }
        }
        foreach ($j in $talking.Values) {
            if ($j.how -or $j.failure) { continue }
            if ($j.heard -ge 0 -and $now - $j.heard -ge $j.quiet) {
                if ($j.kind -eq 't' -and $j.step -lt $j.last) { $j.step++; $saying.Add($j) } else {
                    $j.how = 'q'; $ended.Add($j)
                }
            } elseif ($now -ge $j.due) {
                if ($j.kind -eq 'u' -and $j.step -lt $j.last) { $j.step++; $saying.Add($j) } else {
                    $j.how = 't'; $ended.Add($j)
                }
            }
        }
    }

    # What is to be said next.
    foreach ($j in $saying) {
        $payload = $payloads[$j.steps[$j.step]]
        try {
            if ($j.kind -eq 't') {
                if ($j.step) { $j.heard = -1; $j.bytes.SetLength(0) }
            } else {
                $j.begun = $clock.ElapsedMilliseconds; $j.due = $j.begun + $j.patience
                if ($j.step -lt $j.last) { $j.due = $j.begun + $j.wait }
            }
            if ($j.kind -eq 'i') {
                $j.holder = [System.Net.NetworkInformation.Ping]::new()
                $j.task = $j.holder.SendPingAsync($j.ip, [int]($j.due - $j.begun)); $j.due += 2000; $tasks.Add($j)
            } elseif ($payload.Length -or $j.kind -eq 'u') {
                [void]$j.socket.Send($payload, 0, $payload.Length, $none, [ref]$problem)
            }
        } catch { $j.failure = $_.Exception; $ended.Add($j) }
    }
    $saying.Clear()

    # What has ended.
    foreach ($j in $ended) {
        if ($j.over) { continue }
        $j.over = $true; $told++; $stuck = $false
        $busy[$j.address]--
        if ($j.failure) {
            $failure = $j.failure
            while ($failure -and -not ($failure -is [System.Net.Sockets.SocketException])) {
                $failure = $failure.InnerException
            }
            $j.code = 99999; $j.how = 'e'
            if ($failure) { $j.code = [int]$failure.SocketErrorCode }
        }
        if ($j.bytes) { $j.data = '"' + [System.Convert]::ToBase64String($j.bytes.ToArray()) + '"' }
        if ($j.socket) { $talking.Remove($j.socket) }
        if ($j.holder) {
            try { if ($j.reset -and $j.how -eq 'd') { $j.holder.LingerState = $abort } } catch { }
            try { if ($j.kind -eq 'i') { $j.holder.Dispose() } else { $j.holder.Close() } } catch { }
        }
        '[{0},{1},{2},"{3}",[{4}],"{5}",{6}]' -f $j.id, $j.code, $j.ms, $j.how, $j.data, $j.own, $j.step
    }
    $ended.Clear()
    if ($tasks.Count -or $waiting.Count) { [System.Threading.Thread]::Sleep(5) }
}
foreach ($j in @($tasks) + @($talking.Values)) {
    try { if ($j.kind -eq 'i') { $j.holder.Dispose() } elseif ($j.holder) { $j.holder.Close() } } catch { }
}
"$mark end $told $($clock.ElapsedMilliseconds)"
"""
