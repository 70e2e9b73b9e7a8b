# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""The script that probes from Windows, by the real parser: nothing that Windows PowerShell 5.1 on .NET 4.5 lacks."""

from __future__ import annotations

import re

import pytest
from ansible_collections.agentless.audit_ports.plugins.module_utils._probe.records import ProbeOptions
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._platform import powershell
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.asks import (
    TCP,
    Ask,
    Step,
    read_answers,
    write_batch,
)
from ansible_collections.agentless.audit_ports.plugins.plugin_utils._vantage.interface import VantageError

from tests.standins.engine import CONSTRAINED, Engines, Work
from tests.windows.test_scripts import tree

pytestmark = pytest.mark.timeout(180)
NODES = {
    "ScriptBlockAst", "NamedBlockAst", "StatementBlockAst", "PipelineAst", "ScriptBlockExpressionAst", "ParamBlockAst",
    "ParameterAst", "CommandExpressionAst", "StringConstantExpressionAst", "ExpandableStringExpressionAst",
    "ConstantExpressionAst", "ArrayExpressionAst", "ArrayLiteralAst", "HashtableAst", "IndexExpressionAst",
    "SubExpressionAst", "ParenExpressionAst", "UnaryExpressionAst", "ConvertExpressionAst", "IfStatementAst",
    "WhileStatementAst", "ForEachStatementAst", "BreakStatementAst", "ContinueStatementAst", "ReturnStatementAst",
    "TryStatementAst", "CatchClauseAst",
}  # fmt: skip
OPERATORS = {
    "And", "Or", "Is", "Format", "Ieq", "Ine", "Ige", "Igt", "Ilt", "Plus", "Minus", "Multiply", "Divide",
    "Equals", "PlusEquals",
}  # fmt: skip
# Each of them is in mscorlib.dll or System.dll of .NET Framework 4.5, which PowerShell has loaded when it starts.
TYPES = {
    "byte[]", "byte", "char", "int", "ref", "void", "object", "System.Collections.ArrayList",
    "System.Collections.Generic.List[object]", "System.Collections.Generic.Queue[object]", "System.Convert",
    "System.Diagnostics.Stopwatch", "System.IO.MemoryStream", "System.Math", "System.Net.Dns", "System.Net.IPAddress",
    "System.Net.IPEndPoint", "System.Net.NetworkInformation.Ping", "System.Net.Sockets.LingerOption",
    "System.Net.Sockets.Socket", "System.Net.Sockets.SocketError", "System.Net.Sockets.SocketException",
    "System.Net.Sockets.SocketFlags", "System.Net.Sockets.TcpClient", "System.Threading.Thread",
}  # fmt: skip
# Those of .NET that are in 4.5 with these arguments, and the keys of the script's own tables.
MEMBERS = {
    "Add", "Address", "AddressFamily", "Bind", "Blocking", "Clear", "Client", "Close", "Connect", "ConnectAsync",
    "Contains", "Count", "Dequeue", "Dispose", "ElapsedMilliseconds", "Enqueue", "Exception", "FromBase64String",
    "GetHostAddressesAsync", "InnerException", "IsCompleted", "IsFaulted", "Keys", "LanguageMode", "Length",
    "LingerState", "LocalEndPoint", "Min", "None", "Parse", "Receive", "Remove", "Result", "RoundtripTime", "Select",
    "Send", "SendPingAsync", "SessionState", "SetLength", "Sleep", "SocketErrorCode", "Split", "StartNew", "Status",
    "Success", "ToArray", "ToBase64String", "ToString", "TrimStart", "Values", "Write", "new",
    "address", "begun", "bytes", "cap", "code", "data", "due", "failure", "heard", "holder", "how", "id", "ip", "kind",
    "last", "ms", "needs", "over", "own", "patience", "port", "quiet", "reset", "socket", "step", "steps", "task",
    "wait",
}  # fmt: skip
_ASK = Ask(kind=TCP, address="127.0.0.1", port=1, wait_s=1.0, steps=(Step(b"x"),))
BODY = write_batch([_ASK], ProbeOptions(), 10.0).body


def foreign(nodes: list[str]) -> list[str]:
    """The nodes that are not in the allow-lists. No cmdlet and no program is."""
    names = {
        "BinaryExpressionAst": OPERATORS, "AssignmentStatementAst": OPERATORS, "TypeExpressionAst": TYPES,
        "TypeConstraintAst": {""}, "MemberExpressionAst": MEMBERS, "InvokeMemberExpressionAst": MEMBERS,
    }  # fmt: skip
    found = []
    for node in nodes:
        kind, _blank, name = node.partition(" ")
        is_block = kind == "CommandAst" and name.startswith("{")  # the script itself, called once
        is_variable = kind == "VariableExpressionAst" and name.isidentifier()
        if not (is_block or is_variable or kind in NODES or name in names.get(kind, ())):
            found.append(node)
    return found


def test_it_holds_only_what_the_oldest_has(engines: Engines) -> None:
    nodes = tree(engines, BODY)
    assert len(nodes) > 1000
    assert foreign(nodes) == []
    converted = set(re.findall(r"\[([a-z]+)\](?=[\w$('@])", BODY))
    assert converted <= TYPES


@pytest.mark.parametrize(
    "script",
    [
        "$a ??= 1", "$a ? 1 : 2", "$x?.Length", "${x}?.Length", "1 -eq 1 && 2", "Add-Type x", "Get-NetTCPConnection",
        "Import-Module NetTCPIP", "Test-NetConnection x", "netstat.exe -an", "[System.Net.Http.HttpClient]::new()",
        "$s.ConnectAsync2()", "$a -shl 1", "class A {}",
    ],
)  # fmt: skip
def test_the_allow_list_finds_what_is_foreign(engines: Engines, script: str) -> None:
    assert foreign(tree(engines, script))


def test_constrained_language_mode_is_told(engines: Engines) -> None:
    command = write_batch([_ASK], ProbeOptions(), 10.0)
    answer = engines.run(Work(powershell.BOOTSTRAP, command.body, {}, CONSTRAINED))
    with pytest.raises(VantageError, match=r"ConstrainedLanguage .*AppLocker"):
        read_answers(answer.out.decode(), answer.err.decode(), command.mark, 1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_a_cut_off_script_does_nothing(engines: Engines, share: float) -> None:
    lines = BODY.splitlines()
    answer = engines.run(Work(powershell.BOOTSTRAP, "\n".join(lines[: int(len(lines) * share)]), {}))
    assert "begin" not in answer.out.decode()
    assert answer.err
