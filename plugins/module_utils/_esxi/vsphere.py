# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and changing rulesets by the vSphere API with pyVmomi: the edge, which decides nothing.

Any number of hosts is read by two calls of the PropertyCollector (the hosts, then all of their firewalls), and changed
by one ``UpdateRuleset`` and one ``EnableRuleset`` or ``DisableRuleset`` per ruleset, in a few threads. A fault of one
host is that host's own result.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from .._core.errors import InputError
from .firewall_xml import Concern, Told, read_firewalls
from .session import Login, explained, refusal, vim, vmodl, words

_THREADS = 8
_PAGE = 500
_HOST_PATHS = {
    "name": "name",
    "state": "runtime.connectionState",
    "maintenance": "runtime.inMaintenanceMode",
    "lockdown": "config.lockdownMode",
    "version": "config.product.version",
    "build": "config.product.build",
    "firewall": "configManager.firewallSystem",
}
_CONTAINERS = {"cluster": "ClusterComputeResource", "folder": "Folder"}


def carry_out(content: Any, login: Login, work: Mapping[str, Any]) -> dict[str, Any]:
    """One order of the controller: ``{"read": task}`` or ``{"write": task}``, plain data.

    Answers ``hosts``, as ``read_hosts`` or ``write_hosts`` do, and ``peers``, the addresses that manage them. Raises
    ReadError, or InputError for a cluster or folder that is not there.
    """
    task = work.get("read") or work["write"]
    container = task.get("container")
    selection = Selection(
        names=task.get("names"),
        container=None if container is None else (container[0], container[1]),
        ports=None if task["ports"] is None else frozenset((protocol, port) for protocol, port in task["ports"]),
        keys=frozenset(task["keys"]),
    )
    with explained(login):
        hosts = write_hosts(content, task["hosts"], selection) if "write" in work else read_hosts(content, selection)
        return {"hosts": hosts, "peers": managing_addresses(login, content.about.apiType == "VirtualCenter")}


@dataclass(frozen=True)
class Selection:
    """Which hosts: by the names that the API has for them (``None``: all), within a cluster or folder if named.

    Of a firewall only rulesets are returned that are about one of the ``ports`` (protocol and number; ``None``: all) or
    have one of the ``keys``.
    """

    names: Sequence[str] | None
    container: tuple[str, str] | None
    ports: frozenset[tuple[str, int]] | None
    keys: frozenset[str]


def read_hosts(content: Any, selection: Selection) -> list[dict[str, Any]]:
    """What the API tells of the hosts, plain data each: its name, state, version, the reference of its firewall, and
    its ``info`` in the API's own names, or the ``fault`` that stands in the way.
    """
    root = _container(content, selection.container) if selection.container else content.rootFolder
    found = [
        {name: values.get(path) for name, path in _HOST_PATHS.items()}
        for _reference, values in _retrieve(content, _view(content, root, vim.HostSystem), _HOST_PATHS.values())
    ]
    wanted = None if selection.names is None else set(selection.names)
    hosts = [_host(values) for values in found if wanted is None or values["name"] in wanted]
    return _with_firewalls(content, hosts, selection)


def _with_firewalls(content: Any, hosts: list[dict[str, Any]], selection: Selection) -> list[dict[str, Any]]:
    """The hosts with their firewalls, all of which are read by one call. Where that does not come through, as one host
    keeps the API waiting, each is read by its own.
    """
    asked = [host["firewall"] for host in hosts if host["firewall"]]
    concern = Concern(selection.ports, selection.keys)
    try:
        read = _read(content, asked, concern)
    except (OSError, HTTPException):
        # Where the API itself is gone, this says so at once.
        vim.ServiceInstance("ServiceInstance", content.propertyCollector._stub).RetrieveContent()
        with ThreadPoolExecutor(_THREADS) as pool:
            alone = pool.map(lambda moid: _read_alone(content, moid, concern), asked)
            read = dict(zip(asked, alone))
    for host in hosts:
        told = read.get(host["firewall"], Told(None))
        host["info"] = told.info
        host["fault"] = _unread(host, told.fault) if told.info is None else None
    return hosts


def _read(content: Any, moids: Sequence[str], concern: Concern) -> dict[str, Told]:
    if not moids:
        return {}
    objects, kind = _objects([_firewall(content, moid) for moid in moids], vim.host.FirewallSystem)
    return read_firewalls(content, _filter(objects, kind, ["firewallInfo"]), _options(), concern)


def _read_alone(content: Any, moid: str, concern: Concern) -> Told:
    try:
        return _read(content, [moid], concern).get(moid, Told(None))
    except (OSError, HTTPException) as error:
        return Told(None, words(error))


def _firewall(content: Any, moid: str) -> Any:
    return vim.host.FirewallSystem(moid, content.propertyCollector._stub)


def _host(values: Mapping[str, Any]) -> dict[str, Any]:
    firewall = values["firewall"]
    return {
        "name": str(values["name"]),
        "state": str(values["state"] or "not known"),
        "maintenance": bool(values["maintenance"]),
        "lockdown": str(values["lockdown"] or ""),
        "version": " ".join(str(values[name]) for name in ("version", "build") if values[name]),
        "firewall": None if firewall is None else firewall._moId,
    }


def _unread(host: Mapping[str, Any], told: str) -> str:
    if host["state"] != "connected":
        return f"vCenter shows the host as {host['state']}, so its firewall is not known{': ' + told if told else ''}"
    return f"its firewall cannot be read: {told or 'the account may lack the right System.Read on it'}"


# --- the PropertyCollector


def _container(content: Any, container: tuple[str, str]) -> Any:
    kind, name = container
    folder = _view(content, content.rootFolder, getattr(vim, _CONTAINERS[kind]))
    named = [ref for ref, values in _retrieve(content, folder, ["name"]) if values.get("name") == name]
    if len(named) != 1:
        raise InputError(
            f"there are {len(named)} objects of the kind {kind} with the name {name!r}; exactly one is needed"
        )
    return named[0]


def _view(content: Any, root: Any, kind: Any) -> tuple[list[Any], Any]:
    """A filter's objects and type: all of a kind below a container."""
    view = content.viewManager.CreateContainerView(root, [kind], True)
    traversal = vmodl.query.PropertyCollector.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
    return [vmodl.query.PropertyCollector.ObjectSpec(obj=view, skip=True, selectSet=[traversal])], kind


def _objects(references: Sequence[Any], kind: Any) -> tuple[list[Any], Any]:
    """A filter's objects and type: these objects."""
    return [vmodl.query.PropertyCollector.ObjectSpec(obj=reference) for reference in references], kind


def _filter(objects: list[Any], kind: Any, paths: Iterable[str]) -> Any:
    wanted = vmodl.query.PropertyCollector.PropertySpec(type=kind, pathSet=list(paths))
    return vmodl.query.PropertyCollector.FilterSpec(objectSet=objects, propSet=[wanted])


def _options() -> Any:
    return vmodl.query.PropertyCollector.RetrieveOptions(maxObjects=_PAGE)


def _retrieve(
    content: Any, selected: tuple[list[Any], Any], paths: Iterable[str]
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each object with the values of its properties that can be had; page by page."""
    objects, kind = selected
    page = content.propertyCollector.RetrievePropertiesEx([_filter(objects, kind, paths)], _options())
    while page is not None:
        for found in page.objects:
            yield found.obj, {item.name: item.val for item in found.propSet or ()}
        page = content.propertyCollector.ContinueRetrievePropertiesEx(page.token) if page.token else None


# --- writing


def write_hosts(content: Any, hosts: Sequence[Mapping[str, Any]], selection: Selection) -> list[dict[str, Any]]:
    """Change the rulesets of hosts, each of which is ``{name, state, firewall, guard, changes}``, and read all again.

    ``guard`` is the ``info`` that the changes were made from; a host that tells another one now is ``stale`` and left
    alone. A change is ``{key, enabled, allowed}``: switch it, replace its list (``None``: leave either). Returns the
    hosts as ``read_hosts`` does, with ``stale`` and ``errors``.
    """
    fresh = {host["firewall"]: host for host in _with_firewalls(content, [dict(host) for host in hosts], selection)}
    with ThreadPoolExecutor(_THREADS) as pool:
        written = list(pool.map(lambda host: _write_host(content, host, fresh[host["firewall"]]), hosts))
    read = _with_firewalls(content, [dict(host) for host in hosts], selection)
    return [{**host, **outcome} for host, outcome in zip(read, written)]


def _write_host(content: Any, host: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
    if fresh["info"] is None:
        return {"stale": False, "errors": [fresh["fault"]]}
    if fresh["info"] != host["guard"]:
        return {"stale": True, "errors": []}
    firewall = _firewall(content, host["firewall"])
    for change in host["changes"]:
        for step in _steps(firewall, change):
            try:
                step()
            except (vmodl.MethodFault, OSError, HTTPException) as error:
                return {"stale": False, "errors": [f"ruleset {change['key']}: {refusal(error)}"]}
    return {"stale": False, "errors": []}


def _steps(firewall: Any, change: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """The calls of one ruleset: off first, on last, and its list in between."""
    key = change["key"]
    if change["enabled"] is False:
        yield lambda: firewall.DisableRuleset(id=key)
    if change["allowed"] is not None:
        allowed = change["allowed"]
        networks = [vim.host.Ruleset.IpNetwork(network=net, prefixLength=length) for net, length in allowed["networks"]]
        hosts = vim.host.Ruleset.IpList(allIp=allowed["all"], ipAddress=allowed["addresses"], ipNetwork=networks)
        yield lambda: firewall.UpdateRuleset(id=key, spec=vim.host.Ruleset.RulesetSpec(allowedHosts=hosts))
    if change["enabled"] is True:
        yield lambda: firewall.EnableRuleset(id=key)


def managing_addresses(login: Login, is_vcenter: bool) -> list[str]:
    """Who manages the hosts by this session: the vCenter's addresses, or on a host of its own the address that we have
    towards it.
    """
    found = socket.getaddrinfo(login.hostname, login.port, type=socket.SOCK_STREAM)
    if is_vcenter:
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))
    family, _kind, _protocol, _name, address = found[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:  # no packet is sent: the kernel only picks the route
        probe.connect(address)
        return [str(probe.getsockname()[0])]
