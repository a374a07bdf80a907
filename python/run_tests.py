#!/usr/bin/env python3
"""Builds the wheel, installs it in a clean virtual environment, and runs the Python tests there.

    python3 python/run_tests.py                # with the program of `cargo build`, which `cargo test` has built already
    python3 python/run_tests.py --profile release --keep
    python3 python/run_tests.py -- -k search -x

Needs Cargo, Python 3.9 or later with venv, and pip's access to a package index. Arguments behind `--` go to pytest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="dev", help="profile of Cargo [default: dev]")
    parser.add_argument("--from", dest="built", type=Path, help="take program and library from this folder instead of building them")
    parser.add_argument("--wheel", type=Path, help="test this wheel instead of building one")
    parser.add_argument("--peers", action="store_true", help="install hnswlib, faiss and usearch as well, for the tests of exports")
    parser.add_argument("--keep", action="store_true", help="keep the environment, to run tests by hand")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest")
    args = parser.parse_args()

    folder = ROOT / "target" / "python-tests"
    shutil.rmtree(folder, ignore_errors=True)
    environment = folder / "venv"
    venv.create(environment, with_pip=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"

    def run(*command: str | Path, **options: object) -> None:
        print("+", *command, flush=True)
        subprocess.run([str(word) for word in command], check=True, **options)  # type: ignore[call-overload]

    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheel = args.wheel
    if wheel is None:
        run(sys.executable, HERE / "build_native.py", "--clean")
        how = ["--from", args.built.absolute()] if args.built else ["--profile", args.profile]
        run(sys.executable, HERE / "build_native.py", *how)
        run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, HERE)
        (wheel,) = folder.glob("*.whl")
    extras = "test,progress,peers" if args.peers else "test,progress"
    run(*pip, "install", f"{wheel}[{extras}]")
    # Nothing of the sources may stand in for what is installed.
    variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SOCHDB_BULK_PATH")}
    variables["SOCHDB_BULK_TEST_WHEEL"] = str(wheel)
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", *(args.pytest or ["tests"])]
    print("+", *command, flush=True)
    code = subprocess.run([str(word) for word in command], cwd=HERE, env=variables).returncode
    if not args.keep:
        shutil.rmtree(environment, ignore_errors=True)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error}")
