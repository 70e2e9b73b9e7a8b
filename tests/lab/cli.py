# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The commands of `tests/lab/lab`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import hosts, images, network, tools
from .fleet import BUILD_DIR, HOSTS, IMAGES, INVENTORY, LAB_IMAGES, SWITCH
from .shell import LabError, lab_lock, podman_argv, require_root, say


def up() -> None:
    """Start the lab, or find that it is up. What is half there (a killed start, a stopped host) is made anew."""
    tools.ensure_tools()
    BUILD_DIR.mkdir(parents=True, exist_ok=True)
    with lab_lock():
        images.ensure_images()
        if not _complete():
            _remove()
            say("making the networks")
            network.create_all()
            hosts.start_all()
        hosts.wait_until_up(HOSTS.values())
        hosts.trust(HOSTS.values())
    say("the lab is up")


def down(*, with_images: bool = False) -> None:
    """Remove containers, namespaces, interfaces and processes of the lab, and with `with_images` its images."""
    if tools.missing_packages():
        raise LabError(tools.missing_text())
    with lab_lock():
        _remove()
        images.remove_interrupted_builds()
        if with_images:
            images.remove_images()
    say("the lab is down")


def build_images(*, with_others: bool = False) -> None:
    """Build the lab's images, and with ``with_others`` those that tests start on their own."""
    tools.ensure_tools()
    BUILD_DIR.mkdir(parents=True, exist_ok=True)
    with lab_lock():
        images.ensure_images(tuple(IMAGES.values()) if with_others else LAB_IMAGES)
    say("the images are there")


def reboot(name: str) -> None:
    host = HOSTS[name]
    with lab_lock():
        hosts.reboot(host)
    say(f"{name}: up again")


def status() -> bool:
    """Print a line for each host; whether all is up."""
    containers, lines = hosts.running(), []
    for host in HOSTS.values():
        state = "running" if host.container in containers else "not running"
        plugged = "plugged in" if network.complete(host) else "no network"
        silent = sorted(set(host.listens) - network.listening(host))
        services = f"not listening: {', '.join(silent)}" if silent else "all services listen"
        lines.append(f"{host.name:20} {host.address4:15} {host.management or '-':15} {state}, {plugged}, {services}")
    print("\n".join(lines))
    return _complete()


def _complete() -> bool:
    containers = hosts.running()
    return SWITCH in network.namespaces() and all(
        hosts.complete(host, containers) and network.complete(host) for host in HOSTS.values()
    )


def _remove() -> None:
    hosts.remove_all()
    network.remove_all()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="A small real fleet in containers, with a router.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start it; harmless when it is up")
    commands.add_parser("down", help="remove it").add_argument("--images", action="store_true", help="its images too")
    commands.add_parser("status", help="what is up; return code 1 unless all is")
    only = commands.add_parser("images", help="build the images only")
    only.add_argument("--all", action="store_true", help="those too that tests start on their own")
    commands.add_parser("inventory", help="print the path of the inventory")
    commands.add_parser("reboot", help="restart a host; nothing but its files survives").add_argument(
        "host", choices=[*HOSTS]
    )
    inside = commands.add_parser("exec", help="run a command in a host")
    inside.add_argument("host", choices=[*HOSTS])
    inside.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD...")
    controller = commands.add_parser("controller", help="run a command of this machine in the audit host's network")
    controller.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD...")
    return parser


def exec_argv(name: str, argv: Sequence[str], *, terminal: bool = False) -> list[str]:
    """The command line that runs `argv` inside a host."""
    flags = ["-it"] if terminal else ["-i"]
    return podman_argv("exec", *flags, HOSTS[name].container, *argv)


def controller_argv(argv: Sequence[str]) -> list[str]:
    """The command line that runs `argv`, a command of this machine, in the audit host's network."""
    return network.exec_argv(HOSTS["audit1"], argv)


def _replace_process(argv: list[str]) -> NoReturn:
    if shutil.which(argv[0]) is None:
        raise LabError(f"{argv[0]} is not installed: run `tests/lab/lab up`")
    sys.stdout.flush()
    os.execvp(argv[0], argv)


def _dispatch(arguments: argparse.Namespace) -> int:
    command = arguments.command
    if command == "inventory":
        print(INVENTORY)
        return 0
    require_root()
    if command in ("exec", "controller"):
        if not arguments.argv:
            raise LabError(f"lab {command}: what command?")
        if command == "controller":
            _replace_process(controller_argv(arguments.argv))
        _replace_process(exec_argv(arguments.host, arguments.argv, terminal=sys.stdin.isatty()))
    if command == "up":
        up()
    elif command == "down":
        down(with_images=arguments.images)
    elif command == "images":
        build_images(with_others=arguments.all)
    elif command == "reboot":
        reboot(arguments.host)
    elif command == "status":
        return 0 if status() else 1
    return 0


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return _dispatch(arguments)
    except LabError as error:
        text = tools.missing_text()
        print(f"lab: {error}" + (f"\nlab: {text}" if text else ""), file=sys.stderr)
        return 1
