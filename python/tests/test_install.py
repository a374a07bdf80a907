"""The wheel in environments of its own: alone, beside the real package in both orders, and what `PATH` may hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

WHEEL = os.environ.get("SOCHDB_BULK_TEST_WHEEL")
pytestmark = [
    pytest.mark.skipif(WHEEL is None, reason="SOCHDB_BULK_TEST_WHEEL names no wheel: run run_tests.py"),
    pytest.mark.skipif(os.name != "posix", reason="links numpy into the environments"),
]

BUILD = """
import numpy as np
from sochdb.bulk import bulk_build_index, bulk_query_index
rows = np.eye(8, dtype=np.float32)
assert bulk_build_index(rows, "o.hnsw", quiet=True).vectors == 8
assert bulk_query_index("o.hnsw", rows[3], k=1)[0].id == 3
"""

#: A stand-in for SochDB's own package: a regular package without `bulk`, a binary of the same name in a folder of its own, and a
#: console script of the same name that calls `sochdb.cli_bulk`, as its wheels have them.
REAL = {
    "sochdb/__init__.py": "VERSION = 'the real one'\n",
    "sochdb/database.py": "class Database: ...\n",
    "sochdb/_bin/x86_64-unknown-linux-gnu/sochdb-bulk": "#!/bin/sh\necho 'sochdb-bulk 2.1.0'\n",
    "sochdb-9.9.dist-info/METADATA": "Metadata-Version: 2.1\nName: sochdb\nVersion: 9.9\n",
    "sochdb-9.9.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "sochdb-9.9.dist-info/entry_points.txt": "[console_scripts]\nsochdb-bulk = sochdb.cli_bulk:main\n",
}


class Environment:
    """A virtual environment with numpy and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        (self.site,) = (folder / "lib").glob("python*/site-packages")
        source = Path(np.__file__).resolve().parents[1]
        for name in ("numpy", "numpy.libs"):
            if (source / name).exists():
                (self.site / name).symlink_to(source / name)

    def pip(self, *words: str | Path) -> None:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python, *words]
        subprocess.run([str(word) for word in command], check=True, capture_output=True)

    def install(self, wheel: str | Path) -> None:
        self.pip("install", "--no-deps", "--no-index", wheel)

    def uninstall(self, name: str) -> None:
        self.pip("uninstall", "-y", name)

    def run(self, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.call(self.python, "-c", code, **variables)

    def call(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.folder), **variables}
        words = [str(word) for word in command]
        return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)

    def works(self, **variables: str) -> None:
        done = self.run(BUILD, **variables)
        assert done.returncode == 0, done.stderr

    def has_real_package(self) -> bool:
        return self.run("import sochdb; assert sochdb.VERSION == 'the real one'; import sochdb.database").returncode == 0


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "venv")


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A wheel of the stand-in."""
    path = tmp_path / "sochdb-9.9-py3-none-any.whl"
    record = "".join(f"{name},,\n" for name in [*REAL, "sochdb-9.9.dist-info/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**REAL, "sochdb-9.9.dist-info/RECORD": record}.items():
            wheel.writestr(name, text)
    return path


def test_alone(environment: Environment, folder: Path) -> None:
    environment.install(WHEEL)
    environment.works()
    version = environment.call(environment.bin / "sochdb-bulk", "--version")
    assert version.stdout.startswith("sochdb-bulk ") and version.returncode == 0
    assert environment.call(environment.python, "-m", "sochdb_bulk", "build-index").returncode == 2
    assert environment.call(environment.python, "-m", "sochdb.cli_bulk", "--version").stdout == version.stdout
    environment.uninstall("sochdb-bulk")
    assert environment.run("import sochdb.bulk").returncode == 1
    left = [path for path in environment.site.rglob("*") if "sochdb" in path.name]
    assert left == [] and not (environment.bin / "sochdb-bulk").exists()


@pytest.mark.parametrize("ours_first", [True, False])
def test_beside_the_real_package(environment: Environment, real: Path, ours_first: bool) -> None:
    for wheel in (WHEEL, real) if ours_first else (real, WHEEL):
        environment.install(wheel)
    environment.works()
    assert environment.has_real_package()
    # Whose console script it is, is a matter of order; it starts our program in any case.
    said = environment.call(environment.bin / "sochdb-bulk", "--capabilities")
    assert '"program":"sochdb-tools"' in said.stdout, said
    # No path of one is a path of the other.
    theirs = set(REAL)
    ours = set(zipfile.ZipFile(WHEEL).namelist())
    assert not theirs & ours


@pytest.mark.parametrize("ours_first", [True, False])
def test_either_is_uninstalled(environment: Environment, real: Path, ours_first: bool) -> None:
    for wheel in (WHEEL, real) if ours_first else (real, WHEEL):
        environment.install(wheel)
    environment.uninstall("sochdb")
    environment.works()
    assert environment.call(environment.python, "-m", "sochdb_bulk", "--version").returncode == 0
    environment.install(real)
    environment.uninstall("sochdb-bulk")
    assert environment.has_real_package()
    assert environment.run("import sochdb.bulk").returncode == 1
    assert (environment.site / "sochdb/_bin/x86_64-unknown-linux-gnu/sochdb-bulk").is_file()


def test_the_user_site(environment: Environment, tmp_path: Path, real: Path) -> None:
    # As `pip install --user` puts it: a folder of site-packages that Python adds by itself.
    base = tmp_path / "user"
    site = base / "lib" / environment.site.parent.name / "site-packages"
    environment.pip("install", "--no-deps", "--no-index", "--target", site, WHEEL)
    interpreter = os.path.realpath(environment.python)
    (site / "numpy").symlink_to(Path(np.__file__).resolve().parent)
    if (environment.site / "numpy.libs").exists():
        (site / "numpy.libs").symlink_to(os.readlink(environment.site / "numpy.libs"))
    variables = {"PYTHONUSERBASE": str(base)}
    done = environment.call(interpreter, "-c", BUILD, **variables)
    assert done.returncode == 0, done.stderr
    # A regular package in another folder hides the shims, as the documentation says; the package itself is there.
    other = tmp_path / "other"
    with zipfile.ZipFile(real) as wheel:
        wheel.extractall(other)
    variables["PYTHONPATH"] = str(other)
    assert "No module named 'sochdb.bulk'" in environment.call(interpreter, "-c", BUILD, **variables).stderr
    done = environment.call(interpreter, "-c", BUILD.replace("sochdb.bulk", "sochdb_bulk"), **variables)
    assert done.returncode == 0, done.stderr


def test_path_holds_what_is_not_ours(environment: Environment, tmp_path: Path) -> None:
    environment.install(WHEEL)
    bundled = next(environment.site.glob("sochdb/_bin/*/sochdb-bulk"))
    kept = tmp_path / "kept" / "sochdb-bulk"
    kept.parent.mkdir()
    shutil.move(bundled, kept)
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    # A program that is none of ours, as SochDB's is: it knows no `--capabilities`.
    shutil.copy("/bin/true", fakes / "sochdb-bulk")
    find = "from sochdb_bulk import get_sochdb_bulk_path as f; print(f())"
    # Our own launcher is in the environment's bin: whoever took it would start it for ever.
    done = environment.run(find, PATH=f"{environment.bin}:{fakes}:/usr/bin:/bin")
    assert done.returncode == 1 and "Could not find sochdb-bulk binary" in done.stderr
    assert "a script, such as a launcher" in done.stderr and "another program of that name" in done.stderr
    launched = environment.call(environment.bin / "sochdb-bulk", "--version", PATH=f"{environment.bin}:{fakes}:/bin")
    assert launched.returncode == 1 and "Could not find" in launched.stderr
    # Behind them is the right one.
    path = f"{environment.bin}:{fakes}:{kept.parent}:/usr/bin:/bin"
    assert environment.run(find, PATH=path).stdout.strip() == str(kept)
    assert environment.call(environment.bin / "sochdb-bulk", "--version", PATH=path).returncode == 0
    # What is named is taken, or nothing.
    assert environment.run(find, SOCHDB_BULK_PATH=str(kept)).stdout.strip() == str(kept)
    assert environment.run(find, SOCHDB_BULK_PATH=str(fakes / "sochdb-bulk"), PATH=path).returncode == 1
    # A launcher that is no script, as on Windows, is asked, says that it is none, and ends.
    asked = environment.call(environment.python, "-m", "sochdb_bulk", "--capabilities", SOCHDB_BULK_ASKING="1", PATH=path)
    assert asked.returncode == 1 and "launcher" in asked.stderr


def test_what_the_wheel_says_of_itself() -> None:
    packaging = pytest.importorskip("packaging.tags")
    names = zipfile.ZipFile(WHEEL).namelist()
    (info,) = [name for name in names if name.endswith(".dist-info/WHEEL")]
    text = zipfile.ZipFile(WHEEL).read(info).decode()
    assert "Root-Is-Purelib: false" in text
    (tag,) = [line.split(": ")[1] for line in text.splitlines() if line.startswith("Tag: ")]
    assert Path(WHEEL).stem.endswith(tag)
    assert tag in {str(supported) for supported in packaging.sys_tags()}
    assert "sochdb/__init__.py" not in names and "sochdb/py.typed" not in names
    assert {"sochdb/bulk/py.typed", "sochdb_bulk/py.typed", "sochdb/cli_bulk.py"} <= set(names)
    assert sum(name.startswith("sochdb/_bin/") for name in names) == 2
