# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The tools that the lab needs on the machine itself. A firewall is never one of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from .shell import LabError, run, say

TOOLS = {
    "podman": "podman",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "iptables-restore": "iptables",
    "ipset": "ipset",
    "ssh": "openssh-client",
    "openssl": "openssl",
    "busybox": "busybox-static",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
}
"""What must be there (a command, or a path), and the Debian package that brings it."""

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def missing_packages() -> list[str]:
    return [package for tool, package in TOOLS.items() if not _present(tool)]


def ensure_tools() -> None:
    """Install what is missing with apt; raises LabError naming the packages where there is no apt."""
    packages = missing_packages()
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise LabError(f"not installed, and no apt-get here to do it: {' '.join(packages)} (names of Debian packages)")
    say(f"installing {' '.join(packages)}")
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if run([*environment, *install], check=False, timeout_s=600).returncode != 0:
        run(["apt-get", "update"], timeout_s=300)
        run([*environment, *install], timeout_s=600)
    still = missing_packages()
    if still:
        raise LabError(f"still missing after `{' '.join(install)}`: {' '.join(still)}")


def missing_text() -> str:
    """For one who is not root: what to install by what command; "" if nothing is missing."""
    packages = missing_packages()
    return f"missing: apt-get install --no-install-recommends {' '.join(packages)}" if packages else ""


def _present(tool: str) -> bool:
    if tool.startswith("/"):
        return Path(tool).exists()
    return shutil.which(tool) is not None or any((Path(folder) / tool).exists() for folder in _SBIN)
