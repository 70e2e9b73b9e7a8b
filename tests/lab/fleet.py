# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""What the lab consists of: its hosts, their networks, their images. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PREFIX = "audit-ports-lab"
LAB_DIR = Path(__file__).resolve().parent
IMAGES_DIR = LAB_DIR / "images"
INVENTORY = LAB_DIR / "inventory"
BUILD_DIR = LAB_DIR.parents[1] / "build" / "lab"
KEY = BUILD_DIR / "id_ed25519"
KNOWN_HOSTS = BUILD_DIR / "known_hosts"
CONTROL_DIR = BUILD_DIR / "cp"

SWITCH = f"{PREFIX}-switch"
"""The namespace with one bridge for each segment, and nothing else."""

SEGMENTS = ("audit", "targets", "mgmt")


@dataclass(frozen=True)
class Image:
    """One definition `images/NAME.Containerfile`; `folders` are those that it copies from."""

    name: str
    suite: str
    folders: tuple[str, ...] = ("common",)

    @property
    def tag(self) -> str:
        return f"localhost/{PREFIX}/{self.name}"


@dataclass(frozen=True)
class Link:
    """One interface of a host: its name there, the segment it is plugged into, its addresses with prefix length."""

    interface: str
    segment: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Host:
    """One host of the lab.

    `address4`, `address6`: on the audit side; `management`: where Ansible reaches it, "" for the router.
    `listens`: what must be listening ("tcp/22") before the host counts as started.
    """

    name: str
    image: str
    address4: str
    address6: str
    management: str
    links: tuple[Link, ...]
    gateways: tuple[str, ...] = ()
    forwards: bool = False
    listens: tuple[str, ...] = ("tcp/22", "udp/161")

    @property
    def container(self) -> str:
        return f"{PREFIX}-{self.name}"

    @property
    def namespace(self) -> str:
        return f"{PREFIX}-{self.name}"


def _target(name: str, number: int, *, listens: tuple[str, ...] = ("tcp/22", "udp/161")) -> Host:
    address4, address6, management = f"198.51.100.{number}", f"2001:db8:2::{number}", f"203.0.113.{number}"
    return Host(
        name=name,
        image=name,
        address4=address4,
        address6=address6,
        management=management,
        links=(
            Link("audit0", "targets", (f"{address4}/24", f"{address6}/64")),
            Link("mgmt0", "mgmt", (f"{management}/24",)),
        ),
        gateways=("198.51.100.1", "2001:db8:2::1"),
        listens=listens,
    )


_SERVICES = (
    *("tcp/22", "udp/161", "tcp/9100"),
    *("tcp/53", "udp/53", "tcp/88", "tcp/135", "udp/137", "udp/138", "tcp/139", "tcp/389", "tcp/445"),
)

_ALL = (
    Host(
        name="audit1",
        image="audit-host",
        address4="192.0.2.10",
        address6="2001:db8:1::10",
        management="203.0.113.10",
        links=(
            Link("audit0", "audit", ("192.0.2.10/24", "2001:db8:1::10/64")),
            Link("mgmt0", "mgmt", ("203.0.113.10/24",)),
        ),
        gateways=("192.0.2.1", "2001:db8:1::1"),
    ),
    Host(
        name="router",
        image="router",
        address4="192.0.2.1",
        address6="2001:db8:1::1",
        management="",
        links=(
            Link("audit0", "audit", ("192.0.2.1/24", "2001:db8:1::1/64")),
            Link("targets0", "targets", ("198.51.100.1/24", "2001:db8:2::1/64")),
        ),
        forwards=True,
    ),
    _target("debian12-firewalld", 12),
    _target("debian12-ufw", 13),
    _target("debian13-firewalld", 14),
    _target("services", 20, listens=_SERVICES),
)

HOSTS: dict[str, Host] = {host.name: host for host in _ALL}

IMAGES: dict[str, Image] = {
    image.name: image
    for image in (
        Image("debian11-firewalld", "bullseye"),
        Image("debian12-firewalld", "bookworm"),
        Image("debian12-ufw", "bookworm", ("common", "ufw")),
        Image("services", "bookworm", ("common", "services")),
        Image("debian13-firewalld", "trixie"),
        Image("audit-host", "trixie"),
        Image("router", "trixie", ("common", "router")),
    )
}

LAB_IMAGES = tuple(IMAGES[name] for name in dict.fromkeys(host.image for host in HOSTS.values()))
"""Those that the lab itself is made of; the others are for tests that start them on their own."""

ENDED_SUITES = ("bullseye",)
"""Without updates any more: where their packages are gone, what needs such an image is not run."""

BASES = {"bullseye": "debian:bullseye", "bookworm": "debian:bookworm", "trixie": "debian:trixie"}
