# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""A host with a real firewalld or ufw on the field: a container of the lab's images in the field's host namespace."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from tests.lab.images import ULIMITS
from tests.lab.shell import podman
from tests.truth.connections import flush_connections
from tests.truth.field import HOST, Field, Probe

PORTS = (22, 80, 161, 443, 445, 5005, 5353, 8080, 8443)
_PREFIX = "ap-truth-managers"
_CONFIGURATION = ("/etc/firewalld", "/etc/ufw", "/etc/default/ufw")
_UNITS = "/etc/systemd/system"
_LIST_UNITS = f"find {_UNITS} -printf '%p %l %s\\n' | sort"
_RECORDS = "/var/lib/agentless-audit"
_READY_S = 60
# The packages that firewalld's image lacks and ufw's has: a host with both managers.
_UFW_PACKAGES = "ufw iptables libip4tc2 libip6tc2 libxtables12 libnfnetlink0 libnetfilter-conntrack3"
_BOTH = "debian12-both"
_ENVIRONMENT = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C")
# Answered by firewalld's main loop, which runs when its rules are loaded.
FIREWALLD_STATE = (
    "busctl --timeout=30 get-property org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1"
    " org.fedoraproject.FirewallD1 state"
)
# ufw would take its rules away one by one; switched off it leaves them to the flush, as a reboot does.
_STOP = """
systemctl stop firewalld 2>/dev/null
if systemctl is-active -q ufw; then
    [ ! -f /etc/ufw/ufw.conf ] || mv /etc/ufw/ufw.conf /etc/ufw/ufw.conf.kept
    echo ENABLED=no >/etc/ufw/ufw.conf
    systemctl stop ufw
    rm /etc/ufw/ufw.conf
    [ ! -f /etc/ufw/ufw.conf.kept ] || mv /etc/ufw/ufw.conf.kept /etc/ufw/ufw.conf
fi
nft flush ruleset
systemctl reset-failed
"""
_START = f"""
for unit in firewalld ufw; do
    systemctl is-enabled -q $unit 2>/dev/null && systemctl start $unit
done
! systemctl is-active -q firewalld || {FIREWALLD_STATE} >/dev/null
"""
_STATE = f"""
find {" ".join(_CONFIGURATION)} -type f -exec sha256sum {{}} + -exec stat -c '%a %u %g %n' {{}} + 2>/dev/null | sort -k2
nft -s list ruleset
for save in iptables-save ip6tables-save; do
    command -v $save >/dev/null && $save 2>/dev/null | sed -e 's/\\[[0-9:]*\\]$//' -e '/^#/d'
done
true
"""


def stage_names(image: str) -> str:
    """The lab's image that a stage is made of."""
    return "debian12-firewalld" if image == _BOTH else image


class MissingImageError(Exception):
    """The stage's image could not be built here."""


class Stage:
    """One container, for all scenarios of its image, until ``close``. ``kept`` is its archive of the configuration."""

    kept = "/var/tmp/configuration.tar"

    def __init__(self, name: str) -> None:
        self.name = name
        self._container = f"{_PREFIX}-{os.getpid()}-{name}"
        _remove_orphans()
        self.field = Field(name, PORTS)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Take container and namespaces away."""
        podman("rm", "--force", "--volumes", "--ignore", "--time", "0", self._container)
        self.field.close()

    def _start(self) -> None:
        image = stage_names(self.name)
        if podman("image", "exists", f"localhost/audit-ports-lab/{image}", check=False).returncode:
            raise MissingImageError(f"there is no image {image}: `tests/lab/lab images --all` builds it")
        # Listeners are the field's: what the image would start on the same ports is masked.
        masks = [f"systemd.mask={unit}" for unit in ("ssh.service", "snmpd.service")]
        podman(
            "run", "--detach", "--name", self._container, "--hostname", self.name, "--systemd=always",
            "--network", f"ns:{self.field.namespace('host')}", "--cap-add", "NET_ADMIN,NET_RAW", *ULIMITS,
            "--dns", "192.0.2.10", f"localhost/audit-ports-lab/{image}", "/sbin/init", *masks,
        )  # fmt: skip
        shown = podman("inspect", "--format", "{{.State.Pid}}", self._container)
        self._pid = int(shown.stdout)
        deadline = time.monotonic() + _READY_S
        while self.run("systemctl is-system-running || true").strip() not in ("running", "degraded"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"systemd of {self._container} is not up after {_READY_S} s")
            time.sleep(0.2)
        if self.name == _BOTH:
            self._add_ufw()
        existing = self.run(f"ls -d {' '.join(_CONFIGURATION)} 2>/dev/null || true").split()
        self.run(f"tar -cpf {self.kept} {' '.join(existing)} {_UNITS} 2>/dev/null")

    def _add_ufw(self) -> None:
        """Put ufw's files into a host with firewalld: no package index is in reach of a container."""
        # The rest of ufw's configuration is made by its installation.
        names = f"dpkg -L {_UFW_PACKAGES}; find /etc/ufw /etc/default/ufw"
        archive = f"{{ {names}; }} | sort -u | while read -r f; do [ -d $f ] || echo $f; done | tar -chf - -T -"
        command = ("run", "--rm", "--network", "none", *ULIMITS, "localhost/audit-ports-lab/debian12-ufw", "sh", "-c")
        with tempfile.TemporaryFile() as packed:
            subprocess.run(
                ["podman", "--log-level=error", "--runtime", "runc", *command, f"({archive}; true) 2>/dev/null"],
                stdout=packed, check=True, timeout=60,
            )  # fmt: skip
            packed.seek(0)
            unpack = self.argv("tar", "-xpf", "-", "-C", "/")
            subprocess.run(unpack, stdin=packed, check=True, timeout=60)
        self.run(
            "for tool in iptables ip6tables; do for what in '' -save -restore; do"
            " ln -sf xtables-nft-multi /usr/sbin/$tool$what; done; done; systemctl daemon-reload"
        )

    def argv(self, *command: str) -> list[str]:
        """A command inside the container, without the start-up time of podman exec."""
        return ["nsenter", "-t", str(self._pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w", *_ENVIRONMENT, *command]

    def run(self, script: str) -> str:
        """The output of a script of /bin/sh in the container. Raises CalledProcessError with its errors as a note."""
        command = self.argv("/bin/sh")
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, script, done.stdout, done.stderr)
            error.add_note(f"{done.stdout}\n{done.stderr}")
            raise error
        return done.stdout

    def run_to_its_end(self, script: str) -> str:
        """The output of a script, however it ends."""
        return subprocess.run(
            self.argv("/bin/sh"), input=script, capture_output=True, text=True, check=False, timeout=60
        ).stdout

    def begin(self, files: Mapping[str, str], commands: Sequence[str]) -> None:
        """The image's own configuration with these files, loaded anew; then the commands."""
        self.run(_STOP)
        units = self.run(_LIST_UNITS)
        self.reset()
        if self.run(_LIST_UNITS) != units:
            self.run("systemctl daemon-reload")
        self.write(files)
        self.run(_START)
        if commands:
            self.run("\n".join(["set -e", *commands]))

    def reset(self) -> None:
        """The image's own configuration, and no record of ours; what is loaded stays."""
        every = " ".join((*_CONFIGURATION, _UNITS, _RECORDS))
        self.run(f"rm -rf {every}; tar -xpf {self.kept} -C /")

    def write(self, files: Mapping[str, str]) -> None:
        """Write files, by absolute path."""
        for path, text in files.items():
            place = self._root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")

    def remove(self, folder: str, pattern: str) -> None:
        """Remove the files of a folder whose names are like the pattern."""
        for path in self._root.joinpath(folder.lstrip("/")).glob(pattern):
            path.unlink()

    @property
    def _root(self) -> Path:
        return Path(f"/proc/{self._pid}/root")

    def restart(self) -> None:
        """What a reboot does to rules: none is left but what the managers that are enabled load from their files."""
        self.run(_STOP)
        self.run(_START)

    def state(self) -> str:
        """Configuration files with their digests and modes, and the kernel's rules without counters."""
        return self.run(_STATE)

    def observe(self, probes: Sequence[Probe]) -> dict[Probe, str]:
        """What becomes of each packet (see Field); none is taken for one of a connection of an earlier look."""
        flush_connections(self.field)
        return self.field.observe(probes)


def probes_of(source: str, panel: Sequence[str]) -> Iterator[Probe]:
    """The packets of one source to the ports of a panel; the echo that is asked for is that of IPv4."""
    version = ip_address(source).version
    for target in panel:
        protocol, _slash, port = target.partition("/")
        if protocol != "icmp" or version == 4:
            yield Probe(source, HOST[version], protocol, int(port) if port else None)


def _remove_orphans() -> None:
    """Remove containers of test runs that were killed."""
    shown = podman("ps", "--all", "--filter", f"name=^{_PREFIX}-", "--format", "json").stdout
    for entry in json.loads(shown):
        name = entry["Names"][0]
        pid = name.removeprefix(f"{_PREFIX}-").partition("-")[0]
        if not Path("/proc", pid).exists():
            podman("rm", "--force", "--volumes", "--ignore", "--time", "0", name)
