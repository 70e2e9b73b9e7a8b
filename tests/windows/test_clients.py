# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The real clients' libraries against the stand-in: ways to sign in, and what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import winrm
from ansible_collections.agentless.audit_ports.plugins.module_utils._core.errors import ReadError
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.interface import Command
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform.sections import split_parts
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.parts import IF_LISTED, PARTS
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._windows.read import read_command
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan
from winrm.exceptions import InvalidCredentialsError, WinRMTransportError, WSManFaultError

from tests.standins.engine import Engines
from tests.standins.winrm.fixture import Fleet
from tests.standins.winrm.server import Server
from tests.standins.winrm.signin import PASSWORD, USER

pytestmark = [
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
    pytest.mark.timeout(180),
]
NAMES = [name for name, _argv in PARTS]


@pytest.fixture(params=[False, True], ids=["http", "https"])
def server(request: pytest.FixtureRequest, fleet: Fleet) -> Server:
    """A host of the test's own."""
    return fleet.start("win10", tls=request.param)


@pytest.fixture
def plain(fleet: Fleet) -> Server:
    """A host without TLS."""
    return fleet.start("win10")


def connect(server: Server, transport: str, *, password: str = PASSWORD, timeout_s: int = 20) -> winrm.Protocol:
    return winrm.Protocol(
        f"{'https' if server.tls else 'http'}://127.0.0.1:{server.port}/wsman", transport=transport, username=USER,
        password=password, server_cert_validation="ignore", message_encryption="auto", operation_timeout_sec=timeout_s,
        read_timeout_sec=timeout_s + 10,
    )  # fmt: skip


def run(protocol: winrm.Protocol, command: Command) -> tuple[bytes, bytes, int]:
    """One command as Ansible's winrm connection sends it."""
    shell = protocol.open_shell(codepage=65001)
    identifier = protocol.run_command(shell, command.program, [], console_mode_stdin=False)
    protocol.send_command_input(shell, identifier, command.body.encode(), end=True)
    answer: tuple[bytes, bytes, int] = protocol.get_command_output(shell, identifier)
    protocol.cleanup_command(shell, identifier)
    protocol.close_shell(shell)
    return answer


def wsman(server: Server, auth: str) -> WSMan:
    return WSMan(
        "127.0.0.1", port=server.port, ssl=server.tls, auth=auth, username=USER, password=PASSWORD,
        cert_validation=False, encryption="never" if auth == "basic" else "auto", operation_timeout=20,
    )  # fmt: skip


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
def test_pywinrm_without_powershell(server: Server, transport: str) -> None:
    command = read_command(transport="cmd")
    out, err, code = run(connect(server, transport), command)
    assert (list(split_parts(out.decode(), command.mark)), err, code) == (NAMES, b"", 0)
    counted = server.host.counters()
    assert counted["requests"].pop("http") >= 6
    receives = counted["requests"].pop("Receive")
    assert receives == len(out) // (100 * 1024) + 1
    assert counted["requests"] == {"Create": 1, "Command": 1, "Send": 1, "Signal": 1, "Delete": 1}
    assert counted["shells"] == {"cmd": 1}
    assert sum(counted["natives"].values()) == len(PARTS)


def test_pywinrm_with_powershell(engines: Engines, plain: Server) -> None:
    command = read_command()
    out, err, code = run(connect(plain, "ntlm"), command)
    listed = [name for name in NAMES if name not in IF_LISTED or name == "mdm"]
    assert (list(split_parts(out.decode(), command.mark)), err, code) == (listed, b"", 0)
    assert plain.host.counters()["shells"] == {"powershell": 1}


@pytest.mark.parametrize("auth", ["basic", "ntlm", "negotiate"])
def test_pypsrp_command_shell(server: Server, auth: str) -> None:
    with WinRS(wsman(server, auth)) as shell:
        process = Process(shell, "netsh.exe", ["advfirewall", "show", "currentprofile", "state"])
        process.invoke()
        process.signal(SignalCode.TERMINATE)
    assert process.rc == 0
    assert b"Private Profile Settings" in process.stdout


def test_pypsrp_runspace(engines: Engines, plain: Server) -> None:
    with RunspacePool(wsman(plain, "negotiate")) as pool:
        pipeline = PowerShell(pool)
        pipeline.add_script(r"reg.exe query HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions; 40 + 2; @($input)[1]")
        out = pipeline.invoke(line for line in ("one", "two"))
    assert not pipeline.had_errors
    assert "    ProductType    REG_SZ    WinNT" in out
    assert out[-2:] == [42, "two"]


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
def test_wrong_password(plain: Server, transport: str) -> None:
    with pytest.raises(InvalidCredentialsError):
        connect(plain, transport, password="wrong").open_shell()
    assert set(plain.host.requests) == {"http"}


def test_identify_before_any_sign_in(plain: Server) -> None:
    body = (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><s:Header/>'
        "<s:Body><i:Identify/></s:Body></s:Envelope>"
    )
    url, head = f"http://127.0.0.1:{plain.port}/wsman", {"Content-Type": "application/soap+xml"}
    asked = requests.post(url, body, headers={**head, "WSMANIDENTIFY": "unauthenticated"}, timeout=10)
    assert asked.status_code == 200
    assert "Microsoft Corporation" in asked.text
    assert requests.post(url, body, headers=head, timeout=10).status_code == 401
    counters = requests.get(f"http://127.0.0.1:{plain.port}/counters", timeout=10).json()
    assert counters["requests"] == {"http": 2, "Identify": 1}


def test_a_slow_host_is_waited_for(plain: Server) -> None:
    plain.host.faults.delay_s = 2.5
    command = read_command(transport="cmd")
    out, _err, _code = run(connect(plain, "basic", timeout_s=1), command)
    assert list(split_parts(out.decode(), command.mark)) == NAMES
    assert plain.host.requests["Receive"] >= 3  # two of them ran into the operation's time-out


@pytest.mark.parametrize("cut", [0, 200, 5_000, 150_000])
def test_truncated_output_is_told(plain: Server, cut: int) -> None:
    plain.host.faults.cut_after = cut
    command = read_command(transport="cmd")
    out, _err, _code = run(connect(plain, "basic"), command)
    with pytest.raises(ReadError):
        split_parts(out.decode(), command.mark)


def test_a_dropped_connection(plain: Server) -> None:
    plain.host.faults.drop_at = "Receive"
    with pytest.raises(requests.exceptions.ConnectionError):
        run(connect(plain, "basic"), read_command(transport="cmd"))


def test_a_host_that_refuses(plain: Server) -> None:
    plain.host.faults.refuse = True
    with pytest.raises(WinRMTransportError) as refused:
        connect(plain, "basic").open_shell()
    assert refused.value.code == 503


def test_a_quota_of_commands(plain: Server) -> None:
    plain.host.faults.quota_after = 1
    protocol = connect(plain, "basic")
    shell = protocol.open_shell()
    protocol.run_command(shell, "chcp.com", ["65001"])
    with pytest.raises(WSManFaultError) as refused:
        protocol.run_command(shell, "chcp.com", ["65001"])
    assert refused.value.wmierror_code == 0x803381A6


def test_powershell_is_blocked_and_cmd_is_not(plain: Server) -> None:
    plain.host.blocked.add("powershell")
    protocol = connect(plain, "basic")
    _out, err, code = run(protocol, read_command())
    assert code == 1
    assert b"blocked by group policy" in err
    assert run(protocol, read_command(transport="cmd"))[2] == 0


@pytest.mark.parametrize("line", ["reg.exe query", "nothere.exe", "netsh.exe advfirewall reset", "sc.exe delete x"])
def test_an_unknown_command_is_an_error(plain: Server, line: str) -> None:
    protocol: Any = connect(plain, "basic")
    shell = protocol.open_shell()
    program, *arguments = line.split()
    _out, _err, code = protocol.get_command_output(shell, protocol.run_command(shell, program, arguments))
    assert code != 0
