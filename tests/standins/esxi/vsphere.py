# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The vSphere API over stand-in hosts: one ESXi, or a vCenter with clusters. Types and XML are pyVmomi's own.

Strict: a method, object or property path that it does not know is a fault. Requests are counted, and each may take a
while; hosts may be disconnected, slow, vanish in the middle, refuse for want of rights or of a licence.
"""

from __future__ import annotations

import http.server
import ssl
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pyVmomi import SoapAdapter, vim, vmodl
from pyVmomi import VmomiSupport as Support

from .model import RELEASES, Host, RefusedError

USER, PASSWORD = "auditor@vsphere.local", "stand-in Password1!"
_VIM = "{urn:vim25}"
_BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    "<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
)
_VERSIONS = (
    '<?xml version="1.0"?><namespaces version="1.0"><namespace><name>urn:vim25</name><version>{api}</version>'
    "<priorVersions><version>6.5</version></priorVersions></namespace></namespaces>"
)
_PRINTED: dict[tuple[Any, ...], str] = {}
_API = {"6.5": "6.5", "7.0": "7.0.3.0", "8.0.2": "8.0.2.0", "8.0.3": "8.0.3.0"}


@dataclass
class Member:
    """A host as the API shows it, and what is wrong with it.

    ``state`` is its connection state; ``slow_s`` what each of its own calls takes; ``vanishes_after`` ends its answers
    after so many of its own calls; ``read_fault`` and ``write_fault`` name the faults that every read of its firewall
    and every write gets.
    """

    host: Host
    cluster: str = ""
    state: str = "connected"
    maintenance: bool = False
    lockdown: str = "lockdownDisabled"
    slow_s: float = 0.0
    vanishes_after: int | None = None
    read_fault: str | None = None
    write_fault: str | None = None
    calls: int = 0


@dataclass
class Requests:
    """What was asked: the methods in order. ``session_ends_after`` so many of them, the session is not known any
    more.
    """

    methods: list[str] = field(default_factory=list)
    session_ends_after: int | None = None
    delay_s: float = 0.0


class ApiError(Exception):
    """A SOAP fault: the API's type name, and the message."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not like our certificate is no fault of ours; anything else is."""
        if not isinstance(sys.exc_info()[1], (ssl.SSLError, ConnectionError)):
            super().handle_error(request, client_address)


class VSphere:
    """A server thread on a free port of loopback, with TLS. Close it to end the thread."""

    def __init__(self, members: list[Member], folder: Path, *, release: str = "8.0.3", vcenter: bool = True) -> None:
        self.members = members
        self.release = release
        self.vcenter = vcenter
        self.requests = Requests()
        self.page = 1000
        self.lock = threading.Lock()
        self.views: dict[str, list[Any]] = {}
        self.pages: dict[str, list[str]] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and end the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def member(self, moid: str) -> Member:
        """The host behind ``host-N`` or ``firewall-N``."""
        return self.members[int(moid.rpartition("-")[2])]

    def content(self) -> Any:
        """The service content."""
        api = _API[self.release]
        return vim.ServiceInstanceContent(
            rootFolder=vim.Folder("group-d1", None),
            propertyCollector=vmodl.query.PropertyCollector("propertyCollector", None),
            viewManager=vim.view.ViewManager("ViewManager", None),
            sessionManager=vim.SessionManager("SessionManager", None),
            about=vim.AboutInfo(
                name="stand-in",
                fullName="stand-in",
                vendor="stand-in",
                version=api,
                build="1",
                osType="vmnix-x86",
                productLineId="vpx" if self.vcenter else "embeddedEsx",
                apiType="VirtualCenter" if self.vcenter else "HostAgent",
                apiVersion=api,
            ),
        )

    def clusters(self) -> list[str]:
        """The names of the clusters, in order."""
        return list(dict.fromkeys(member.cluster for member in self.members if member.cluster))

    def properties(self, moid: str, paths: list[str]) -> tuple[dict[str, Any], dict[str, ApiError]]:
        """The values of an object's property paths, and the faults of those that cannot be had."""
        if moid.startswith("domain-c"):
            return {"name": self.clusters()[int(moid[8:])]}, {}
        member = self.member(moid)
        if moid.startswith("firewall-"):
            return self._firewall_properties(member)
        known = {
            "name": member.host.name,
            "runtime.connectionState": member.state,
            "runtime.inMaintenanceMode": member.maintenance,
            "config.lockdownMode": member.lockdown,
            "config.product.version": RELEASES[member.host.release]["Version"],
            "config.product.build": RELEASES[member.host.release]["Build"].rpartition("-")[2],
            "configManager.firewallSystem": vim.host.FirewallSystem(f"firewall-{moid[5:]}", None),
        }
        unknown = [path for path in paths if path not in known]
        if unknown:
            raise ApiError("InvalidProperty", f"unknown property {unknown[0]}")
        return {path: known[path] for path in paths}, {}

    def _firewall_properties(self, member: Member) -> tuple[dict[str, Any], dict[str, ApiError]]:
        member.calls += 1
        gone = member.vanishes_after is not None and member.calls > member.vanishes_after
        if gone or member.state != "connected":
            return {}, {"firewallInfo": ApiError("HostNotConnected", "Unable to communicate with the remote host.")}
        if member.read_fault:
            return {}, {"firewallInfo": ApiError(member.read_fault, _REFUSALS[member.read_fault])}
        time.sleep(member.slow_s)
        return {"firewallInfo": _info_xml(member)}, {}


def firewall_info(host: Host) -> Any:
    """A host's state as the API's data object."""
    policy = vim.host.FirewallInfo.DefaultPolicy(incomingBlocked=host.default_action == "DROP", outgoingBlocked=True)
    return vim.host.FirewallInfo(defaultPolicy=policy, ruleset=[_ruleset(item) for item in host.rulesets.values()])


def _ruleset(item: Any) -> Any:
    entries = [text.partition("/") for text in item.allowed]
    made = vim.host.Ruleset(
        key=item.key,
        label=item.label,
        required=item.required,
        enabled=item.enabled,
        service=item.service,
        rule=[
            vim.host.Ruleset.Rule(
                port=rule.first,
                endPort=None if rule.last == rule.first else rule.last,
                direction=rule.direction,
                portType=rule.port_type,
                protocol=rule.protocol,
            )
            for rule in item.rules
        ],
        allowedHosts=vim.host.Ruleset.IpList(
            allIp=item.allows_all,
            ipAddress=[address for address, slash, _length in entries if not slash],
            ipNetwork=[
                vim.host.Ruleset.IpNetwork(network=address, prefixLength=int(length))
                for address, slash, length in entries
                if slash
            ],
        ),
    )
    if item.can_enable is not None:
        made.userControllable, made.ipListUserConfigurable = item.can_enable, item.can_list
    return made


def _info_xml(member: Member) -> str:
    """A host's firewall as XML, made once for hosts that are alike: pyVmomi takes its time over 57 rulesets."""
    host = member.host
    state = (host.release, host.default_action, tuple(host.state().items()))
    if state not in _PRINTED:
        _PRINTED[state] = _xml("val", firewall_info(host))
    return _PRINTED[state]


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, part: Any) -> None:
        self.parts.append(part if isinstance(part, str) else part.decode())


def _xml(name: str, value: Any) -> str:
    namespaces = {
        "urn:vim25": "",
        "http://www.w3.org/2001/XMLSchema": "xsd",
        "http://www.w3.org/2001/XMLSchema-instance": "xsi",
    }
    writer, version = _Writer(), "vim.version.v8_0_3_0"
    info = Support.Object(name=name, type=object, flags=Support.F_OPTIONAL, version=version, wsdlName=name)
    SoapAdapter.SoapSerializer(writer, version, namespaces).Serialize(value, info)
    return "".join(writer.parts)


def _text(parent: Any, name: str) -> str:
    found = parent.find(_VIM + name)
    return "" if found is None or found.text is None else str(found.text)


def _login(server: VSphere, call: Any) -> str:
    if (_text(call, "userName"), _text(call, "password")) != (USER, PASSWORD):
        raise ApiError("InvalidLogin", "Cannot complete login due to an incorrect user name or password.")
    if not server.vcenter and server.members[0].lockdown != "lockdownDisabled":
        raise ApiError("NoPermission", _REFUSALS["NoPermission"])
    now = Support.datetime.now()
    session = vim.UserSession(
        key="session", userName=USER, fullName=USER, loginTime=now, lastActiveTime=now, locale="en", messageLocale="en",
        extensionSession=False, ipAddress="127.0.0.1", userAgent="", callCount=0,
    )  # fmt: skip
    return _xml("returnval", session)


def _create_view(server: VSphere, call: Any) -> str:
    kind, container = _text(call, "type"), _text(call, "container")
    members = list(enumerate(server.members))
    if kind == "ClusterComputeResource":
        objects: list[Any] = [vim.ClusterComputeResource(f"domain-c{n}", None) for n in range(len(server.clusters()))]
    elif kind == "HostSystem":
        if container.startswith("domain-c"):
            wanted = server.clusters()[int(container[8:])]
            members = [(number, member) for number, member in members if member.cluster == wanted]
        objects = [vim.HostSystem(f"host-{number}", None) for number, _member in members]
    elif kind == "Folder":
        objects = []
    else:
        raise ApiError("InvalidArgument", f"no view of {kind}")
    with server.lock:
        moid = f"view-{len(server.views)}"
        server.views[moid] = objects
    return _xml("returnval", vim.view.ContainerView(moid, None))


def _retrieve(server: VSphere, call: Any) -> str:
    found: list[str] = []
    for spec in call.findall(f"{_VIM}specSet"):
        paths = [item.text for item in spec.findall(f"{_VIM}propSet/{_VIM}pathSet")]
        for item in spec.findall(f"{_VIM}objectSet"):
            found += [_object(server, kind, moid, paths) for kind, moid in _selected(server, item)]
    limit = _text(call.find(f"{_VIM}options"), "maxObjects") if call.find(f"{_VIM}options") is not None else ""
    return _paged(server, found, int(limit) if limit else server.page)


def _selected(server: VSphere, item: Any) -> list[tuple[str, str]]:
    named = item.find(f"{_VIM}obj")
    kind, moid = named.get("type"), named.text
    if kind != "ContainerView":
        return [(kind, moid)]
    if _text(item.find(f"{_VIM}selectSet"), "path") != "view" or _text(item, "skip") != "true":
        raise ApiError("InvalidArgument", "a view is traversed by its path 'view'")
    return [(type(ref).__name__.rpartition(".")[2], ref._moId) for ref in server.views[moid]]


def _object(server: VSphere, kind: str, moid: str, paths: list[str]) -> str:
    values, faults = server.properties(moid, paths)
    inner = "".join(
        f"<propSet><name>{path}</name>{value if path == 'firewallInfo' else _xml('val', value)}</propSet>"
        for path, value in values.items()
    )
    inner += "".join(
        f'<missingSet><path>{path}</path><fault><fault xsi:type="{fault.kind}"/>'
        f"<localizedMessage>{escape(str(fault))}</localizedMessage></fault></missingSet>"
        for path, fault in faults.items()
    )
    return f'<objects><obj type="{kind}">{moid}</obj>{inner}</objects>'


def _paged(server: VSphere, found: list[str], limit: int) -> str:
    token = ""
    limit = min(limit, server.page)
    if len(found) > limit:
        with server.lock:
            token = f"token-{len(server.pages)}"
            server.pages[token] = found[limit:]
        token_xml = f"<token>{token}</token>"
    else:
        token_xml = ""
    return f"<returnval>{token_xml}{''.join(found[:limit])}</returnval>"


def _fetch(server: VSphere, call: Any) -> str:
    """One property of one object: how pyVmomi asks when a script reads an attribute."""
    moid, path = _text(call, "_this"), _text(call, "prop")
    if moid.startswith("view-") and path == "view":
        value: Any = Support.CreateArrayType(Support.ManagedObject)(server.views[moid])
    elif moid.startswith("domain-c") and path == "host":
        name = server.clusters()[int(moid[8:])]
        hosts = [vim.HostSystem(f"host-{n}", None) for n, member in enumerate(server.members) if member.cluster == name]
        value = Support.CreateArrayType(Support.ManagedObject)(hosts)
    elif moid.startswith("host-") and path == "configManager":
        value = vim.host.ConfigManager(firewallSystem=vim.host.FirewallSystem(f"firewall-{moid[5:]}", None))
    elif moid == "ServiceInstance" and path == "content":
        value = server.content()
    else:
        values, faults = server.properties(moid, [path])
        for fault in faults.values():
            raise fault
        value = values[path]
        if path == "firewallInfo":
            return str(value).replace("<val", "<returnval", 1).replace("</val>", "</returnval>")
    return _xml("returnval", value)


def _continue(server: VSphere, call: Any) -> str:
    found = server.pages.pop(_text(call, "token"), None)
    if found is None:
        raise ApiError("InvalidArgument", "no such token")
    return _paged(server, found, server.page)


def _write(server: VSphere, call: Any, change: Callable[[Host, str, Any], None]) -> str:
    member = server.member(_text(call, "_this"))
    member.calls += 1
    time.sleep(member.slow_s)
    if member.vanishes_after is not None and member.calls > member.vanishes_after:
        raise ApiError("HostNotConnected", "Unable to communicate with the remote host, since it is disconnected.")
    if member.write_fault:
        raise ApiError(member.write_fault, _REFUSALS[member.write_fault])
    change(member.host, _text(call, "id"), call)
    return ""


_REFUSALS = {
    "RestrictedVersion": "Current license or ESXi version prohibits execution of the requested operation.",
    "NoPermission": "Permission to perform this operation was denied.",
}


def _update(host: Host, key: str, call: Any) -> None:
    hosts = call.find(f"{_VIM}spec").find(f"{_VIM}allowedHosts")
    addresses = [item.text for item in hosts.findall(f"{_VIM}ipAddress")]
    networks = [f"{_text(n, 'network')}/{_text(n, 'prefixLength')}" for n in hosts.findall(f"{_VIM}ipNetwork")]
    host.change_list(key, _text(hosts, "allIp") == "true", [*addresses, *networks])


_METHODS: dict[str, Callable[[VSphere, Any], str]] = {
    "RetrieveServiceContent": lambda server, _call: _xml("returnval", server.content()),
    "Login": _login,
    "Logout": lambda _server, _call: "",
    "CreateContainerView": _create_view,
    "DestroyView": lambda _server, _call: "",
    "Fetch": _fetch,
    "RetrievePropertiesEx": _retrieve,
    "ContinueRetrievePropertiesEx": _continue,
    "EnableRuleset": lambda server, call: _write(server, call, lambda host, key, _: host.switch(key, True)),
    "DisableRuleset": lambda server, call: _write(server, call, lambda host, key, _: host.switch(key, False)),
    "UpdateRuleset": lambda server, call: _write(server, call, _update),
}
_WITHOUT_SESSION = ("RetrieveServiceContent", "Login")


def _handler(server: VSphere) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # heads and bodies are written apart, and no real server waits 40 ms in between
        wbufsize = -1

        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

        def do_GET(self) -> None:
            known = self.path.endswith("vimServiceVersions.xml")
            self._reply(_VERSIONS.format(api=_API[server.release]) if known else "", 200 if known else 404)

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            call = next(iter(ET.fromstring(text).find(_BODY)))  # type: ignore[arg-type]
            name = call.tag.rpartition("}")[2]
            time.sleep(server.requests.delay_s)
            with server.lock:
                server.requests.methods.append(name)
            try:
                inner = self._answer(name, call)
                body, code = f'<{name}Response xmlns="urn:vim25">{inner}</{name}Response>', 200
            except ApiError as fault:
                body, code = _fault(fault), 500
            except RefusedError as refused:
                body, code = _fault(ApiError(refused.fault, str(refused))), 500
            self._reply(_ENVELOPE.format(body=body), code)

        def _answer(self, name: str, call: Any) -> str:
            if name not in _METHODS:
                raise ApiError("MethodNotFound", f"no such method {name}")
            ends = server.requests.session_ends_after
            over = ends is not None and len(server.requests.methods) > ends
            known = "vmware_soap_session" in (self.headers["Cookie"] or "")
            if name not in _WITHOUT_SESSION and (over or not known):
                raise ApiError("NotAuthenticated", "The session is not authenticated.")
            return _METHODS[name](server, call)

        def _reply(self, text: str, code: int) -> None:
            data = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/xml; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Set-Cookie", 'vmware_soap_session="stand-in"; Path=/; HttpOnly; Secure')
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _fault(fault: ApiError) -> str:
    return (
        f"<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{escape(str(fault))}</faultstring>"
        f'<detail><{fault.kind}Fault xmlns="urn:vim25" xsi:type="{fault.kind}"/></detail></soapenv:Fault>'
    )
