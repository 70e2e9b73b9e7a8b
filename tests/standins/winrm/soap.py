# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""WS-Management envelopes ([MS-WSMV] 2.2 and 3.1.4): requests read, responses and faults written."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4
from xml.etree import ElementTree
from xml.sax.saxutils import escape

NAMESPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "id": "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd",
}
SHELL = NAMESPACES["rsp"]
TRANSFER = NAMESPACES["x"]
CMD_RESOURCE = f"{SHELL}/cmd"
POWERSHELL_RESOURCE = "http://schemas.microsoft.com/powershell/Microsoft.PowerShell"
_ACTIONS = {f"{TRANSFER}/Create": "Create", f"{TRANSFER}/Delete": "Delete"}
_ACTIONS |= {f"{SHELL}/{name}": name for name in ("Command", "Send", "Receive", "Signal")}
_DECLARATIONS = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
_DURATION = re.compile(r"PT(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")

# Codes of [MS-WSMV] 2.2.4.43 that clients act upon.
SHELL_NOT_FOUND, TIMED_OUT, ACTION_NOT_SUPPORTED, INVALID_PARAMETER = 2150858843, 2150858793, 2150858817, 2150859002
QUOTA_OF_OPERATIONS = 0x803381A6


class FaultError(Exception):
    """A fault of the service, with its code and what it says."""

    def __init__(self, code: int, reason: str, *, subcode: str = "w:InternalError") -> None:
        super().__init__(reason)
        self.code, self.reason, self.subcode = code, reason, subcode


@dataclass(frozen=True)
class Stream:
    """Bytes of a stream of a command, or of the shell itself where there is no command."""

    name: str
    data: bytes = b""
    end: bool = False
    command: str = ""


@dataclass(frozen=True)
class Request:
    """One request: the operation, what it is about, and its body."""

    operation: str
    message: str
    resource: str
    shell: str
    options: dict[str, str]
    timeout_s: float
    body: ElementTree.Element

    def command_line(self) -> tuple[str, str, list[str]]:
        """The id that the client gave the command (or none), the command, its arguments."""
        line = self._part("rsp:CommandLine")
        arguments = [each.text or "" for each in line.findall("rsp:Arguments", NAMESPACES)]
        return line.get("CommandId", ""), line.findtext("rsp:Command", "", NAMESPACES), arguments

    def streams(self) -> list[Stream]:
        """What a Send carries."""
        return [
            Stream(each.get("Name", ""), _decoded(each.text), each.get("End") == "true", each.get("CommandId", ""))
            for each in self._part("rsp:Send").findall("rsp:Stream", NAMESPACES)
        ]

    def wanted(self) -> str:
        """The command whose output a Receive asks for; none for the shell's own."""
        return self._part("rsp:Receive/rsp:DesiredStream").get("CommandId", "")

    def signal(self) -> tuple[str, str]:
        """The command that is signalled, and the last word of the signal's name."""
        part = self._part("rsp:Signal")
        return part.get("CommandId", ""), (part.findtext("rsp:Code", "", NAMESPACES)).rpartition("/")[2]

    def creation(self) -> bytes:
        """What a shell of PowerShell is opened with."""
        found = self.body.find("rsp:Shell/{http://schemas.microsoft.com/powershell}creationXml", NAMESPACES)
        return _decoded(found.text if found is not None else None)

    def shell_id(self) -> str:
        """The id that the client gave a new shell, or none."""
        return self._part("rsp:Shell").get("ShellId", "")

    def _part(self, path: str) -> ElementTree.Element:
        found = self.body.find(path, NAMESPACES)
        if found is None:
            raise FaultError(INVALID_PARAMETER, f"the body holds no {path}", subcode="w:InvalidParameter")
        return found


def _decoded(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except binascii.Error as error:
        raise FaultError(INVALID_PARAMETER, f"no base64: {error}", subcode="w:InvalidParameter") from error


def parse(data: bytes) -> Request:
    """Read a request. Raises FaultError for one that the service does not know, ElementTree.ParseError for no XML."""
    root = ElementTree.fromstring(data)
    header, body = root.find("s:Header", NAMESPACES), root.find("s:Body", NAMESPACES)
    if body is None:
        raise FaultError(INVALID_PARAMETER, "no body", subcode="w:InvalidParameter")
    if body.find("id:Identify", NAMESPACES) is not None:
        return Request("Identify", "", "", "", {}, 0, body)
    if header is None:
        raise FaultError(INVALID_PARAMETER, "no header", subcode="w:InvalidParameter")
    action = header.findtext("a:Action", "", NAMESPACES).strip()
    if action not in _ACTIONS:
        raise FaultError(ACTION_NOT_SUPPORTED, f"action {action}", subcode="a:ActionNotSupported")
    duration = _DURATION.fullmatch(header.findtext("w:OperationTimeout", "PT60S", NAMESPACES).strip())
    minutes, seconds = duration.groups(default="0") if duration else ("0", "60")
    return Request(
        operation=_ACTIONS[action],
        message=header.findtext("a:MessageID", "", NAMESPACES).strip(),
        resource=header.findtext("w:ResourceURI", "", NAMESPACES).strip(),
        shell=header.findtext("w:SelectorSet/w:Selector[@Name='ShellId']", "", NAMESPACES).strip(),
        options={
            str(each.get("Name")): each.text or "" for each in header.findall("w:OptionSet/w:Option", NAMESPACES)
        },
        timeout_s=int(minutes) * 60 + float(seconds),
        body=body,
    )


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    return (
        f'<s:Envelope xml:lang="en-US" {_DECLARATIONS}><s:Header><a:Action>{action}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid4()).upper()}</a:MessageID><a:To>{NAMESPACES['a']}/role/anonymous</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def response(request: Request, body: str = "") -> bytes:
    """The answer to a request."""
    space = TRANSFER if request.operation in ("Create", "Delete") else SHELL
    return _envelope(f"{space}/{request.operation}Response", request.message, body)


def fault(error: FaultError, relates_to: str = "") -> bytes:
    """A fault as an answer."""
    said = escape(error.reason)
    # A quota is told by an error of WMI, which is what clients look at.
    wmi = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"
    quota = f'<p:MSFT_WmiError xmlns:p="{wmi}"><p:error_Code>{error.code}</p:error_Code></p:MSFT_WmiError>'
    also = quota if error.code == QUOTA_OF_OPERATIONS else ""
    body = (
        f"<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{error.subcode}</s:Value></s:Subcode>"
        f'</s:Code><s:Reason><s:Text xml:lang="en-US">{said}</s:Text></s:Reason><s:Detail>'
        '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" '
        f'Code="{error.code}" Machine="127.0.0.1"><f:Message>{said}</f:Message></f:WSManFault>'
        f"{also}</s:Detail></s:Fault>"
    )
    return _envelope("http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", relates_to, body)


def identify() -> bytes:
    """The answer to Identify ([MS-WSMV] 3.1.4.1.30), which the service gives before any sign-in if it is asked so."""
    body = (
        "<id:IdentifyResponse><id:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</id:ProtocolVersion>"
        "<id:ProductVendor>Microsoft Corporation</id:ProductVendor>"
        "<id:ProductVersion>OS: 0.0.0 SP: 0.0 Stack: 3.0</id:ProductVersion></id:IdentifyResponse>"
    )
    return f"<s:Envelope {_DECLARATIONS}><s:Header/><s:Body>{body}</s:Body></s:Envelope>".encode()


def created(resource: str, shell: str) -> str:
    """The body that answers Create."""
    return (
        "<x:ResourceCreated><a:Address>http://127.0.0.1/wsman</a:Address><a:ReferenceParameters>"
        f'<w:ResourceURI>{resource}</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector>'
        "</w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>"
        f"<rsp:Shell><rsp:ShellId>{shell}</rsp:ShellId><rsp:ResourceUri>{resource}</rsp:ResourceUri></rsp:Shell>"
    )


def command_started(command: str) -> str:
    """The body that answers Command."""
    return f"<rsp:CommandResponse><rsp:CommandId>{command}</rsp:CommandId></rsp:CommandResponse>"


def received(streams: Iterable[Stream], command: str, *, done: bool, code: int | None = None) -> str:
    """The body that answers Receive."""
    of = f' CommandId="{command}"' if command else ""
    shown = "".join(
        f'<rsp:Stream Name="{each.name}"{of} End="{str(each.end).lower()}">'
        f"{base64.b64encode(each.data).decode()}</rsp:Stream>"
        for each in streams
    )
    exit_code = "" if code is None else f"<rsp:ExitCode>{code}</rsp:ExitCode>"
    name = f"{SHELL}/CommandState/{'Done' if done else 'Running'}"
    state = f'<rsp:CommandState{of} State="{name}">{exit_code}</rsp:CommandState>'
    return f"<rsp:ReceiveResponse>{shown}{state if command else ''}</rsp:ReceiveResponse>"
