"""What type checkers see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

pytest.importorskip("mypy")

USE = """
from pathlib import Path
import numpy as np
from sochdb.bulk import BulkBuildStats, Index, QueryResult, bulk_build_index, bulk_query_index

rows = np.ones((3, 2), dtype=np.float32)
stats: BulkBuildStats = bulk_build_index(rows, Path("o.hnsw"), ids=np.arange(3, dtype=np.uint64), progress=lambda p: print(p.phase))
rate: float = stats.rate
hits: list[QueryResult] = bulk_query_index("o.hnsw", rows[0])
with Index.open("o.hnsw") as index:
    ids, distances = index.search(rows, k=2)
    reveal_type(distances)
bulk_build_index(rows, "o.hnsw", m="16")
"""


def mypy(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_the_package_is_strict(tmp_path: Path) -> None:
    config = ROOT / "python" / "pyproject.toml"
    # The oldest version that this mypy takes: it says so itself.
    for version in ("3.9", "3.10", "3.11"):
        sources = ROOT / "python" / "src" / "sochdb_bulk"
        done = mypy("--config-file", str(config), "--python-version", version, str(sources), folder=tmp_path)
        if "not supported" not in done.stdout + done.stderr:
            break
    assert done.returncode == 0, done.stdout + done.stderr


def test_users_see_types_through_the_shim(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(USE)
    done = mypy("use.py", folder=tmp_path)
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(lines) == 1 and 'Argument "m"' in lines[0], done.stdout
    assert "_32Bit" in done.stdout or "float32" in done.stdout, done.stdout
