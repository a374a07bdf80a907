"""Pipelines from files and dicts, plans, and looks at vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sochdb_bulk import (
    Index,
    InputError,
    InputNotFound,
    bulk_build_index,
    convert_embeddings_to_raw,
    inspect,
    plan,
    read_raw_embeddings,
    run_pipeline,
)
from sochdb_bulk._errors import CorruptFile
from sochdb_bulk._pipeline import _toml

TEXT = """
version = 1
[source]
path = "rows.npy"
[[stage]]
type = "normalize"
[sink]
type = "hnsw"
path = "o.hnsw"
metric = "ip"
"""
SPEC = {
    "source": {"path": "rows.npy"},
    "stage": [{"type": "normalize"}],
    "sink": {"type": "hnsw", "path": "o.hnsw", "metric": "ip"},
}


def test_a_dict_is_the_same_as_a_file(rows: np.ndarray, folder: Path) -> None:
    np.save("rows.npy", rows)
    (folder / "elsewhere").mkdir()
    Path("p.toml").write_text(TEXT)
    done = run_pipeline("p.toml")
    assert done["rows"] == 1000 and [step["type"] for step in done["steps"]] == ["npy", "normalize", "hnsw"]
    expected = Path("o.hnsw").read_bytes()
    Path("o.hnsw").unlink()
    assert run_pipeline(SPEC, threads=1)["rows"] == 1000
    assert Path("o.hnsw").read_bytes() == expected
    # Paths of a file begin in its folder.
    Path("elsewhere/p.toml").write_text(TEXT.replace("rows.npy", "../rows.npy"))
    run_pipeline(Path("elsewhere/p.toml"))
    assert Path("elsewhere/o.hnsw").read_bytes() == expected
    # Nothing of the caller's is changed.
    assert "version" not in SPEC


def test_keys_are_set(rows: np.ndarray) -> None:
    np.save("rows.npy", rows)
    run_pipeline(SPEC, set={"sink.m": 5, "sink.path": Path("other.hnsw"), "source.limit": 100})
    with Index.open("other.hnsw") as index:
        assert len(index) == 100 and index.info["m"] == 5


def test_values_of_toml() -> None:
    for value, expected in [
        (True, "true"),
        (3, "3"),
        (np.int64(4), "4"),
        (0.5, "0.5"),
        (np.float32(0.5), "0.5"),
        (float("inf"), "inf"),
        ('a"\\\x7f\n\U0001f600', '"a\\"\\\\\\u007f\\n\U0001f600"'),
        (Path("a/b"), '"a/b"'),
        ([1, "b"], '[1, "b"]'),
        ({"a b": {"c": [True]}}, '{"a b" = {"c" = [true]}}'),
    ]:
        assert _toml(value, "x") == expected
    with pytest.raises(InputError, match="stage.x: expected a value that TOML has, found object"):
        _toml({"x": object()}, "stage")


def test_mistakes_are_collected(rows: np.ndarray) -> None:
    np.save("rows.npy", rows)
    wrong = {"source": {"path": "rows.npy", "colour": 1}, "sink": {"type": "hnsw", "path": "o.hnsw", "em": 16}}
    with pytest.raises(InputError) as raised:
        run_pipeline(wrong)
    assert [error["code"] for error in raised.value.errors] == ["E0102", "E0102"]
    assert "`colour`" in str(raised.value) and "`em`" in str(raised.value) and "/proc" not in str(raised.value)
    with pytest.raises(FileNotFoundError):
        run_pipeline("none.toml")
    with pytest.raises(InputNotFound):
        run_pipeline({**SPEC, "source": {"path": "none.npy"}})
    with pytest.raises(InputError, match="expected the path of a TOML file or a dict"):
        run_pipeline(3)  # type: ignore[arg-type]


def test_plans_write_nothing(rows: np.ndarray) -> None:
    np.save("rows.npy", rows)
    planned = plan(SPEC)
    assert [step["rows"] for step in planned["steps"]] == [1000] * 3 and planned["estimate"]["secs"] > 0
    assert plan(SPEC, probe=False).get("estimate") is None
    assert not Path("o.hnsw").exists()


def test_inspect_arrays_and_files(rows: np.ndarray) -> None:
    rows[5] = 0
    rows[7, 3] = np.nan
    np.save("rows.npy", rows)
    for vectors in ("rows.npy", Path("rows.npy"), rows, np.load("rows.npy", mmap_mode="r")):
        found = inspect(vectors)
        assert (found["rows"], found["nan"]["first"], found["zero"]["first"]) == (1000, [7], [5])
    assert inspect(["rows.npy", "rows.npy"])["rows"] == 2000
    assert inspect(rows, sample=10, threads=1)["rows_inspected"] == 10


@pytest.mark.parametrize("metric", [None, "l2", "cosine", "ip"])
def test_raw_files_there_and_back(rows: np.ndarray, metric: str | None) -> None:
    assert convert_embeddings_to_raw(rows, "rows.f32", metric=metric) == Path("rows.f32")
    again = read_raw_embeddings("rows.f32")
    assert np.array_equal(again, rows) and isinstance(again, np.memmap) and not again.flags.writeable
    assert np.array_equal(read_raw_embeddings(Path("rows.f32"), 16), rows)
    stats = bulk_build_index(again, "o.hnsw")
    assert "--offset" in stats.command
    bulk_build_index("rows.f32", "p.hnsw")
    with Index.open("p.hnsw") as index:
        assert index.metric == (metric or "cosine")
    np.save("rows.npy", rows)
    convert_embeddings_to_raw("rows.npy", "again.f32")
    assert Path("again.f32").read_bytes() == Path("rows.f32").read_bytes()


def test_raw_files_that_are_none(rows: np.ndarray) -> None:
    with pytest.raises(FileNotFoundError):
        read_raw_embeddings("none.f32")
    rows.tofile("rows.f32")
    with pytest.raises(InputError, match="expected a dimension, found none"):
        read_raw_embeddings("rows.f32")
    assert read_raw_embeddings("rows.f32", 16).shape == (1000, 16)
    with pytest.raises(CorruptFile, match="expected whole rows of 17 values"):
        read_raw_embeddings("rows.f32", 17)
    with pytest.raises(InputError):
        read_raw_embeddings("rows.f32", 0)
    for text, says in [
        ('{"dim": "x"}', "dim: expected a whole number"),
        ('{"dim": 16, "n": 999}', "expected 999 rows"),
        ("[1]", "expected a JSON object"),
        ("{", "expected JSON"),
    ]:
        Path("rows.json").write_text(text)
        with pytest.raises(CorruptFile, match=says):
            read_raw_embeddings("rows.f32")
    Path("rows.json").unlink()
    Path("meta.json").write_text('{"n": 1000, "dim": 16}')
    assert read_raw_embeddings("rows.f32").shape == (1000, 16)
    Path("empty.f32").write_bytes(b"")
    Path("meta.json").unlink()
    assert read_raw_embeddings("empty.f32", 4).shape == (0, 4)
    with pytest.raises(InputError):
        convert_embeddings_to_raw(rows, "x.f32", metric="hamming")
