"""Where the program and the library are."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Iterator

from ._errors import BinaryNotFound

#: A path that is taken in the place of all others.
PATH_VARIABLE = "SOCHDB_BULK_PATH"
#: Set while a candidate is asked who it is: a launcher of this package that is asked must not look for itself.
ASKING_VARIABLE = "SOCHDB_BULK_ASKING"

PROGRAM = "sochdb-bulk.exe" if os.name == "nt" else "sochdb-bulk"
LIBRARY = {"win32": "sochdb_bulk_index.dll", "darwin": "libsochdb_bulk_index.dylib"}.get(
    sys.platform, "libsochdb_bulk_index.so"
)

_HERE = Path(__file__).resolve().parent
_ASK_SECS = 30.0
# What was found, and for which environment.
_found: dict[tuple[str | None, str | None, str], Path] = {}


def platform_folders() -> list[str]:
    """The folders of ``sochdb/_bin`` whose programs run here, best first: ``linux-x86_64``, ``darwin-universal2``."""
    system = {"win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    folders = [f"{system}-{machine}"]
    return [*folders, "darwin-universal2"] if system == "darwin" else folders


def bundled(name: str) -> Iterator[Path]:
    """The places in the package where a file for this machine would be."""
    for folder in platform_folders():
        yield _HERE.parent / "sochdb" / "_bin" / folder / name


def built(name: str) -> Iterator[Path]:
    """The places in Cargo's target folder, if this is the package's source or the current folder is in the workspace."""
    roots: list[Path] = []
    for start in (_HERE, Path.cwd()):
        for folder in (start, *start.parents):
            if (folder / "Cargo.toml").is_file() and (folder / "sochdb-bulk" / "main.rs").is_file():
                if folder not in roots:
                    roots.append(folder)
                break
    target = os.environ.get("CARGO_TARGET_DIR")
    for root in roots:
        for profile in ("release", "debug"):
            yield (root / target if target else root / "target") / profile / name


def _on_path() -> Iterator[Path]:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder) / PROGRAM


def why_not(candidate: Path) -> str | None:
    """Why a file is not this project's program; None if it is."""
    try:
        if not candidate.is_file():
            return "there is no such file"
        with open(candidate, "rb") as file:
            if file.read(2) == b"#!":
                return "a script, such as a launcher of a Python package, not the program itself"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not os.access(candidate, os.X_OK):
        return "not executable"
    try:
        asked = subprocess.run(
            [os.fspath(candidate), "--capabilities"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=_ASK_SECS,
            env={**os.environ, ASKING_VARIABLE: "1"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be run: {error}"
    try:
        answer = json.loads(asked.stdout)
        if answer["program"] == "sochdb-tools" and answer["schema"] == 1:
            return None
    except (ValueError, KeyError, TypeError):
        pass
    said = asked.stderr.decode(errors="replace").strip().splitlines()
    if any("GLIBC_" in line for line in said):
        return (
            f"{said[0]}. This system's glibc is older than the program needs: install a wheel for it, use a newer "
            "system or a container, or build from source on this one"
        )
    return "another program of that name: it does not know `--capabilities`" + (f" ({said[0]})" if said else "")


def get_sochdb_bulk_path() -> Path:
    """The program ``sochdb-bulk`` that this package runs.

    Looked for in this order: the environment variable ``SOCHDB_BULK_PATH``; inside the package; on ``PATH``; in Cargo's
    target folder, when working in the repository. A file counts only if it says that it is this project's program, since
    others have its name: SochDB's own, and the launchers of both packages.

    Returns:
        Its absolute path.

    Raises:
        BinaryNotFound: If it is nowhere. The message lists every place that was looked at, and why it was not there.
    """
    key = (os.environ.get(PATH_VARIABLE), os.environ.get("PATH"), os.getcwd())
    known = _found.get(key)
    if known is not None and known.is_file():
        return known
    wanted = os.environ.get(PATH_VARIABLE)
    looked: list[tuple[str, Path, str]] = []
    if wanted:
        # What somebody has said is meant, and not replaced by anything else.
        places = iter([(PATH_VARIABLE, Path(wanted))])
    else:
        places = _places()
    for kind, candidate in places:
        why = why_not(candidate)
        if why is None:
            _found[key] = candidate.resolve()
            return _found[key]
        looked.append((kind, candidate, why))
    lines = "".join(f"\n  {kind}: {place}: {why}" for kind, place, why in _worth_telling(looked))
    hint = (
        f"correct {PATH_VARIABLE}, or unset it"
        if wanted
        else "install a wheel for this platform (`pip install sochdb-bulk`), or build the program (`cargo install --path .` "
        f"in the repository) and put it on PATH, or name it in {PATH_VARIABLE}"
    )
    raise BinaryNotFound(f"Could not find sochdb-bulk binary. Looked at:{lines}", hint=hint)


def _places() -> Iterator[tuple[str, Path]]:
    for kind, candidates in (("bundled", bundled(PROGRAM)), ("PATH", _on_path()), ("cargo", built(PROGRAM))):
        for candidate in candidates:
            yield kind, candidate


def _worth_telling(looked: list[tuple[str, Path, str]]) -> list[tuple[str, Path, str]]:
    """Of the folders of PATH those that have something of that name, or else that none has."""
    told = [place for place in looked if place[0] != "PATH" or place[2] != "there is no such file"]
    if len(told) < len(looked):
        told.append(("PATH", Path(PROGRAM), "in no other folder of it"))
    return told


def find_library() -> Path:
    """The library for searches: beside the program in the package, or in Cargo's target folder.

    Raises:
        BinaryNotFound: If it is in none of these places.
    """
    override = os.environ.get(PATH_VARIABLE)
    beside = [Path(override).resolve().with_name(LIBRARY)] if override else []
    places = [*beside, *bundled(LIBRARY), *built(LIBRARY)]
    for place in places:
        if place.is_file():
            return place
    lines = "".join(f"\n  {place}" for place in places)
    raise BinaryNotFound(
        f"Could not find {LIBRARY}, the library for searches. Looked at:{lines}",
        hint="install a wheel for this platform (`pip install sochdb-bulk`), or build it with `cargo build --release`",
    )
