"""The interface that is documented: names, signatures, the Quick Start, the messages."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sochdb.bulk
import sochdb_bulk

KEYWORD, EITHER, NOTHING = (
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.empty,
)

#: Name, kind and default of each parameter, as SochDB's reference has them.
DOCUMENTED = {
    "bulk_build_index": [
        ("embeddings", EITHER, NOTHING),
        ("output", EITHER, NOTHING),
        ("ids", KEYWORD, None),
        ("m", KEYWORD, 16),
        ("ef_construction", KEYWORD, 100),
        ("batch_size", KEYWORD, 1000),
        ("threads", KEYWORD, 0),
        ("quiet", KEYWORD, False),
        ("cleanup_temp", KEYWORD, True),
    ],
    "convert_embeddings_to_raw": [
        ("embeddings", EITHER, NOTHING),
        ("output", EITHER, NOTHING),
        ("metric", KEYWORD, None),
    ],
    "read_raw_embeddings": [("path", EITHER, NOTHING), ("dimension", EITHER, None)],
    "get_sochdb_bulk_path": [],
    "bulk_query_index": [
        ("index", EITHER, None),
        ("query", EITHER, None),
        ("k", EITHER, 10),
        ("ef_search", EITHER, None),
        ("index_path", KEYWORD, None),
        ("ef", KEYWORD, None),
    ],
    "bulk_info": [("index", EITHER, NOTHING)],
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_signatures_are_the_documented_ones_and_more_keywords_come_after(name: str) -> None:
    parameters = list(inspect.signature(getattr(sochdb.bulk, name)).parameters.values())
    documented = DOCUMENTED[name]
    found = [(each.name, each.kind, each.default) for each in parameters]
    assert found[: len(documented)] == documented
    assert all(each.kind is KEYWORD and each.default is not NOTHING for each in parameters[len(documented) :])


def test_stats_have_the_documented_fields_first() -> None:
    fields = [field.name for field in dataclasses.fields(sochdb.bulk.BulkBuildStats)]
    documented = ["vectors", "dimension", "elapsed_secs", "rate", "output_size_mb", "command"]
    assert fields[: len(documented)] == documented
    # Whoever makes one by its documented fields still can.
    sochdb.bulk.BulkBuildStats(1, 2, 0.5, 2.0, 0.1, ["sochdb-bulk"])


def test_both_names_are_one_package() -> None:
    assert sochdb.bulk.__all__ == sochdb_bulk.__all__
    for name in sochdb_bulk.__all__:
        assert getattr(sochdb.bulk, name) is getattr(sochdb_bulk, name)
        assert getattr(sochdb_bulk, name).__doc__, name


def test_importing_does_not_import_numpy() -> None:
    code = "import sys, sochdb.bulk, sochdb.cli_bulk; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


QUICK_START = """
from sochdb.bulk import bulk_build_index
import numpy as np

# Your embeddings (10K × 768D)
embeddings = np.random.randn(10000, 768).astype(np.float32)

# Build HNSW index (bypasses FFI)
stats = bulk_build_index(
embeddings,
output="my_index.hnsw",
m=16,
ef_construction=100,
)

print(f"Built {stats.vectors} vectors at {stats.rate:.0f} vec/s")
"""


def test_the_quick_start_runs_as_printed(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", QUICK_START], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Built 10000 vectors at "), done.stdout
    assert sochdb.bulk.bulk_info("my_index.hnsw")["rows"] == 10_000
    # Standard error is no terminal here: nothing is shown.
    assert done.stderr == ""


def test_creating_raw_files_runs_as_printed(rows: np.ndarray) -> None:
    np.save("embeddings.npy", rows)
    from sochdb.bulk import convert_embeddings_to_raw

    embeddings = np.load("embeddings.npy")
    assert convert_embeddings_to_raw(embeddings, "embeddings.f32") == Path("embeddings.f32")
    assert np.array_equal(sochdb.bulk.read_raw_embeddings("embeddings.f32"), rows)


def test_the_path_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    from sochdb.bulk import get_sochdb_bulk_path

    path = get_sochdb_bulk_path()
    assert path.is_absolute() and path.is_file()
    said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    assert said == f"sochdb-bulk {sochdb_bulk.__version__}\n"


def test_could_not_find_the_program(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("SOCHDB_BULK_PATH", str(folder / "none"))
    with pytest.raises(RuntimeError, match="Could not find sochdb-bulk binary") as raised:
        sochdb.bulk.bulk_build_index(np.eye(3), "o.hnsw")
    assert isinstance(raised.value, (sochdb_bulk.BinaryNotFound, FileNotFoundError))
    assert f"SOCHDB_BULK_PATH: {folder / 'none'}: there is no such file" in str(raised.value)


def test_dimension_mismatch(rows: np.ndarray) -> None:
    sochdb.bulk.convert_embeddings_to_raw(rows, "rows.f32")
    with pytest.raises(sochdb.bulk.DimensionMismatch, match="Dimension mismatch: expected 15, got 16"):
        sochdb.bulk.read_raw_embeddings("rows.f32", 15)
    sochdb.bulk.bulk_build_index(rows, "rows.hnsw")
    with pytest.raises(ValueError, match="Dimension mismatch: expected 16, got 8"):
        sochdb.bulk.bulk_query_index("rows.hnsw", rows[0, :8])
    # For a file that does not say it.
    os.remove("rows.json")
    with pytest.raises(ValueError, match="expected a dimension, found none") as raised:
        sochdb.bulk.bulk_build_index("rows.f32", "o.hnsw")
    assert "--dimension" in str(raised.value) and raised.value.code == "E0302"


def test_out_of_memory(rows: np.ndarray) -> None:
    with pytest.raises(MemoryError) as raised:
        sochdb.bulk.bulk_build_index(rows, "o.hnsw", memory_limit=1000)
    assert isinstance(raised.value, sochdb.bulk.OutOfMemory) and raised.value.hint
    assert not os.path.exists("o.hnsw")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_glibc_that_is_too_old(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    # The program, asking for a version that no system has: what the dynamic linker says of it is real.
    def elf_hash(name: bytes) -> bytes:
        value = 0
        for byte in name:
            value = (value << 4) + byte
            high = value & 0xF0000000
            value = (value ^ (high >> 24)) & ~high
        return struct.pack("<I", value)

    data = sochdb_bulk.get_sochdb_bulk_path().read_bytes()
    versions = set(re.findall(rb"\0(GLIBC_2\.\d\d)(?=\0)", data))
    if not versions:
        pytest.skip("the program needs no glibc")
    version = max(versions)
    data = data.replace(b"\0" + version + b"\0", b"\0GLIBC_2.99\0").replace(elf_hash(version), elf_hash(b"GLIBC_2.99"))
    program = folder / "sochdb-bulk"
    program.write_bytes(data)
    program.chmod(0o755)
    monkeypatch.setenv("SOCHDB_BULK_PATH", str(program))
    with pytest.raises(sochdb_bulk.BinaryNotFound, match="version `GLIBC_2.99' not found") as raised:
        sochdb_bulk.get_sochdb_bulk_path()
    assert "glibc is older than the program needs" in str(raised.value)


def test_exceptions_survive_pickling() -> None:
    import pickle

    error = sochdb_bulk.DimensionMismatch("expected 3, found 4", code="E0302", path="a.npy", hint="look", returncode=2)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)
