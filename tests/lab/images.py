# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors
"""The images: a base for each Debian suite, pulled or made here, and the definitions of images/ on top."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from .fleet import BASES, BUILD_DIR, ENDED_SUITES, IMAGES_DIR, LAB_IMAGES, PREFIX, Image
from .shell import LabError, podman, run, say

DEFINITION_LABEL = f"{PREFIX}.definition"
ULIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""Without them the run-time raises limits, which a machine without CAP_SYS_RESOURCE refuses."""

_PULL_S = 90
_BUILD_S = 900


def definition(image: Image) -> str:
    """A digest of all that the image is made from in this repository."""
    digest = hashlib.sha256()
    files = [IMAGES_DIR / f"{image.name}.Containerfile"]
    for folder in image.folders:
        files += sorted(path for path in (IMAGES_DIR / folder).rglob("*") if path.is_file())
    for path in files:
        digest.update(f"{path.relative_to(IMAGES_DIR)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def ensure_images(images: Collection[Image] = LAB_IMAGES) -> None:
    """Build what is missing or whose definition changed; the suites at the same time, each in order.

    An image of a suite whose time is over may be missing afterwards; it is named.
    """
    have = _definitions_in_store()
    todo = [image for image in images if have.get(image.tag) != definition(image)]
    if not todo:
        return
    remove_interrupted_builds()
    (BUILD_DIR / "log").mkdir(parents=True, exist_ok=True)
    suites = sorted({image.suite for image in todo})
    with ThreadPoolExecutor(len(suites)) as pool:
        builds = {suite: pool.submit(_build_suite, suite, [i for i in todo if i.suite == suite]) for suite in suites}
    for suite, build in builds.items():
        try:
            build.result()
        except LabError as error:
            if suite not in ENDED_SUITES:
                raise
            print(f"not run: what needs an image of {suite}, whose packages could not be had: {error}", flush=True)


def remove_images() -> None:
    """Without force, which would take containers of others with them: an image in use is an error that names it."""
    built = podman("images", "--filter", f"label={DEFINITION_LABEL}", "--quiet", "--no-trunc").stdout.split()
    podman("rmi", "--ignore", *dict.fromkeys(built), *(_base_tag(suite) for suite in BASES), timeout_s=300)


def remove_interrupted_builds() -> None:
    """Remove what a killed build leaves in podman's storage: working containers made from the lab's bases."""
    shown = podman("ps", "--all", "--external", "--filter", "name=-working-container", "--format", "json").stdout
    left = [entry for entry in json.loads(shown) if entry["State"] == "storage"]
    bases = {_inspect(_base_tag(suite), "{{.Id}}") for suite in BASES} if left else set()
    for entry in left:
        image = entry["ImageID"]
        while image and image not in bases:
            image = _inspect(image, "{{.Parent}}")
        if image:
            podman("rm", "--force", entry["Id"])


def _inspect(image: str, form: str) -> str:
    return podman("image", "inspect", "--format", form, image, check=False).stdout.strip()


def _definitions_in_store() -> dict[str, str]:
    form = '{{.Repository}} {{index .Labels "' + DEFINITION_LABEL + '"}}'
    lines = podman("images", "--filter", f"label={DEFINITION_LABEL}", "--format", form).stdout.splitlines()
    return dict(line.split(" ", 1) for line in lines if " " in line)


def _base_tag(suite: str) -> str:
    return f"localhost/{PREFIX}/base-{suite}"


def _build_suite(suite: str, images: list[Image]) -> None:
    _ensure_base(suite)
    archives = BUILD_DIR / "apt" / suite
    archives.mkdir(parents=True, exist_ok=True)
    for image in images:
        start = time.monotonic()
        # Isolation "chroot" and the machine's own network: neither needs a network or a cgroup for the build.
        podman(
            "build", "--isolation", "chroot", "--network", "host", *ULIMITS,
            "--build-arg", f"BASE={_base_tag(suite)}", "--label", f"{DEFINITION_LABEL}={definition(image)}",
            "--volume", f"{archives}:/var/cache/apt/archives", "--tag", image.tag,
            "--file", str(IMAGES_DIR / f"{image.name}.Containerfile"), str(IMAGES_DIR),
            timeout_s=_BUILD_S, log=BUILD_DIR / "log" / f"image-{image.name}.log",
        )  # fmt: skip
        say(f"image {image.name}: built in {time.monotonic() - start:.0f} s")


def _ensure_base(suite: str) -> None:
    tag = _base_tag(suite)
    if podman("image", "exists", tag, check=False).returncode == 0:
        return
    start = time.monotonic()
    log = BUILD_DIR / "log" / f"base-{suite}.log"
    pulled = run(
        ["timeout", str(_PULL_S), "podman", "--log-level=error", "pull", BASES[suite]],
        check=False, timeout_s=_PULL_S + 10, log=log,
    )  # fmt: skip
    if pulled.returncode == 0:
        podman("tag", BASES[suite], tag)
        say(f"base {suite}: pulled in {time.monotonic() - start:.0f} s")
        return
    say(f"base {suite}: no image registry in reach, making it from Debian's packages")
    tar = BUILD_DIR / f"base-{suite}.tar"
    options = ("path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "force-unsafe-io")
    run(
        ["mmdebstrap", "--variant=minbase", *(f"--dpkgopt={option}" for option in options), suite, str(tar)],
        timeout_s=_BUILD_S, log=log,
    )  # fmt: skip
    podman("import", "--quiet", str(tar), tag, timeout_s=_BUILD_S)
    tar.unlink()
    say(f"base {suite}: made in {time.monotonic() - start:.0f} s")
