# Copyright: agentless.audit_ports contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closed vocabularies that every result of the collection is made of.

Each member's value is the word that users see; results always carry ``.value``, never the member itself.
"""

from __future__ import annotations

from enum import Enum


class Protocol(str, Enum):
    """What a requirement asks of the network: a transport port, a kind of packet, or a service behind one."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    SERVICE = "service"
    RPC = "rpc"


class Level(str, Enum):
    """How much an audit loses without the requirement."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"
    ATTENTION = "attention"


class Condition(str, Enum):
    """When a requirement applies: always, or only where PowerShell remoting is not the way in."""

    ALWAYS = "always"
    WITHOUT_PSREMOTING = "without_psremoting"


class SourceRole(str, Enum):
    """Who sends the packets: the audit host, or the audited devices themselves (traps)."""

    AUDIT_HOST = "audit_host"
    DEVICE = "device"


class ListenerHome(str, Enum):
    """On which host of the fleet the listener of a requirement lives."""

    TARGET = "target"
    AUDIT_HOST = "audit_host"
    DOMAIN_CONTROLLER = "domain_controller"
    DNS_SERVER = "dns_server"


class System(str, Enum):
    """A kind of system whose requirements a host must meet; a host may be several."""

    WINDOWS = "windows"
    LINUX = "linux"
    MACOS = "macos"
    ESXI = "esxi"
    NAS = "nas"
    SNMP = "snmp"
    PRINTER = "printer"
    NETWORK_SCAN = "network_scan"


class VerdictStatus(str, Enum):
    """What the host's own firewall does with a requirement's packets."""

    OPEN = "open"
    BLOCKED = "blocked"
    PARTIAL = "partial"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class ObservationStatus(str, Enum):
    """What a probe saw on the wire."""

    OPEN = "open"
    CLOSED = "closed"
    REJECTED = "rejected"
    FILTERED = "filtered"
    NO_ANSWER = "no_answer"
    UNVERIFIABLE_FROM_HERE = "unverifiable_from_here"
    UNREACHABLE = "unreachable"
    NAME_ERROR = "name_error"
    LOCAL_ERROR = "local_error"


class ServiceStatus(str, Enum):
    """Whether what answered is the service that the requirement needs."""

    CONFIRMED = "confirmed"
    UNEXPECTED = "unexpected"
    SILENT = "silent"
    NOT_CHECKED = "not_checked"


class RowStatus(str, Enum):
    """The status of one requirement on one host, verdict and observations together."""

    FINE = "fine"
    UNVERIFIED = "unverified"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"


class Cause(str, Enum):
    """Who stands in the way, or that nobody does."""

    READY = "ready"
    HOST_FIREWALL = "host_firewall"
    MANAGED_POLICY = "managed_policy"
    NOTHING_LISTENS = "nothing_listens"
    SERVICE_ACL = "service_acl"
    PATH_BLOCKED = "path_blocked"
    SOURCE_MISMATCH = "source_mismatch"
    WRONG_SERVICE = "wrong_service"
    NAME_RESOLUTION = "name_resolution"
    NOT_APPLICABLE = "not_applicable"
    UNKNOWN = "unknown"


class Readiness(str, Enum):
    """Whether an audit of the host would work."""

    READY = "ready"
    DEGRADED = "degraded"
    NOT_READY = "not_ready"
    UNKNOWN = "unknown"


class Route(str, Enum):
    """The way in that the audit takes to a host."""

    PSREMOTING = "psremoting"
    RPC = "rpc"
    SSH = "ssh"
    API = "api"
    SNMP = "snmp"
    NETWORK = "network"
    NONE = "none"


class PsRemoting(str, Enum):
    """The user's choice between the two ways into Windows."""

    AUTO = "auto"
    TRUE = "true"
    FALSE = "false"
