#!/usr/bin/env python3
"""Builds the program and the library for searches, and puts them where the package has them: src/sochdb/_bin/<os>-<arch>/.

    python build_native.py                       # for this machine
    python build_native.py --zig 2.17            # for every Linux from glibc 2.17 on (pip install ziglang cargo-zigbuild)
    python build_native.py --target aarch64-unknown-linux-gnu --zig 2.17
    python build_native.py --universal2          # macOS, both processors in one file
    python build_native.py --profile dev         # a build for tests, which takes less time
    pip wheel .

Needs Cargo and this repository around the folder.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BIN = HERE / "src" / "sochdb" / "_bin"
PACKAGES = ["-p", "sochdb-tools", "-p", "sochdb-bulk-capi"]

sys.path.insert(0, str(HERE))

from platform_tag import platform_tag  # noqa: E402


def names(system: str) -> list[str]:
    """The program and the library, as they are called on a system."""
    if system == "windows":
        return ["sochdb-bulk.exe", "sochdb_bulk_index.dll"]
    suffix = "dylib" if system == "darwin" else "so"
    return ["sochdb-bulk", f"libsochdb_bulk_index.{suffix}"]


def host() -> tuple[str, str]:
    """System and architecture of this machine, as the folders are called."""
    system = {"win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    return system, {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def of_target(target: str) -> tuple[str, str]:
    """The same of a target of Rust."""
    system = next((name for name in ("darwin", "windows", "linux") if name in target), None)
    if system is None:
        sys.exit(f"error: {target}: expected a target for Linux, macOS or Windows")
    return system, target.split("-")[0]


def cargo(profile: str, target: str | None, zig: str | None) -> Path:
    """Builds, and returns the folder of what was built."""
    command = ["cargo", "zigbuild" if zig else "build", "--locked", "--profile", profile, *PACKAGES]
    environment = dict(os.environ)
    if zig:
        target = target or "{1}-unknown-linux-gnu".format(*host())
        try:
            import ziglang
        except ImportError:
            sys.exit("error: --zig needs zig and cargo-zigbuild\n  help: pip install ziglang cargo-zigbuild")
        environment["CARGO_ZIGBUILD_ZIG_PATH"] = str(Path(ziglang.__file__).parent / "zig")
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        command += ["--target", f"{target}.{zig}"]
    elif target:
        command += ["--target", target]
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    built = Path(environment.get("CARGO_TARGET_DIR", ROOT / "target"))
    return built / (target or "") / ("debug" if profile == "dev" else profile)


def strip(file: Path) -> None:
    """Takes out what only a debugger needs, which is most of the file; names of functions stay, for reports of panics."""
    tool = shutil.which("strip")
    if tool is None:
        return
    done = subprocess.run([tool, "-S", str(file)], capture_output=True, text=True)
    if done.returncode != 0:
        # Of another architecture than the tool knows, perhaps: the file is as good, only larger.
        print(f"{file.name}: not stripped: {done.stderr.strip()}")


def put(files: list[Path], folder: Path) -> None:
    """Copies files into a folder of the package, in the place of older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        # Under another name first: a program that runs cannot be written to.
        fresh = folder / (file.name + ".new")
        shutil.copyfile(file, fresh)
        fresh.chmod(0o755)
        strip(fresh)
        os.replace(fresh, folder / file.name)
    print(f"{folder.relative_to(HERE)}: {', '.join(file.name for file in files)} ({platform_tag(files)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", help="a target of Rust, if it is not this machine")
    parser.add_argument("--zig", metavar="GLIBC", help="link by zig against this version of glibc, such as 2.17")
    parser.add_argument("--universal2", action="store_true", help="macOS: both processors in one file")
    parser.add_argument("--profile", default="release", help="profile of Cargo: release or dev [default: release]")
    parser.add_argument("--from", dest="built", type=Path, help="take what is in this folder instead of building")
    parser.add_argument("--clean", action="store_true", help="remove what earlier calls have put there, and do nothing else")
    args = parser.parse_args()
    if args.clean:
        shutil.rmtree(BIN, ignore_errors=True)
        return
    if args.universal2:
        system = "darwin"
        both = [cargo(args.profile, f"{arch}-apple-darwin", None) for arch in ("x86_64", "aarch64")]
        joined = both[0].parent.parent / "universal2"
        joined.mkdir(exist_ok=True)
        for name in names(system):
            parts = [str(folder / name) for folder in both]
            subprocess.run(["lipo", "-create", "-output", str(joined / name), *parts], check=True)
        put([joined / name for name in names(system)], BIN / "darwin-universal2")
        return
    system, machine = of_target(args.target) if args.target else host()
    folder = args.built or cargo(args.profile, args.target, args.zig)
    put([folder / name for name in names(system)], BIN / f"{system}-{machine}")


if __name__ == "__main__":
    main()
