"""Building: every kind of array, ids, views of files, what is refused."""

from __future__ import annotations

import os
import threading
import uuid
import warnings
from pathlib import Path

import numpy as np
import pytest

from sochdb_bulk import (
    BulkError,
    CorruptFile,
    Index,
    InputError,
    InputNotFound,
    OutputError,
    OutputExists,
    PrecisionWarning,
    Progress,
    bulk_build_index,
    bulk_info,
    bulk_query_index,
)


def vectors_of(path: str) -> np.ndarray:
    with Index.open(path) as index:
        return np.array(index.vectors)


def test_an_array_becomes_an_index(rows: np.ndarray, temp: Path) -> None:
    stats = bulk_build_index(rows, "o.hnsw", metric="l2", m=8, ef_construction=50, seed=3, threads=1)
    assert (stats.vectors, stats.dimension) == (1000, 16)
    assert stats.output_size_mb == os.path.getsize("o.hnsw") / 2**20
    assert 0 < stats.elapsed_secs and stats.rate == pytest.approx(1000 / stats.elapsed_secs)
    assert stats.command[1] == "build-index" and stats.details["status"] == "ok"
    info = bulk_info("o.hnsw")
    assert [info[key] for key in ("metric", "m", "ef_construction", "seed", "ids")] == ["l2", 8, 50, 3, "row_numbers"]
    assert np.array_equal(vectors_of("o.hnsw"), rows)
    assert list(temp.iterdir()) == []


def test_defaults_are_those_of_the_program(rows: np.ndarray) -> None:
    bulk_build_index(rows, "o.hnsw")
    info = bulk_info("o.hnsw")
    assert [info[key] for key in ("metric", "m", "ef_construction", "seed")] == ["cosine", 16, 100, 42]


def test_the_same_bytes_whatever_the_way(rows: np.ndarray) -> None:
    np.save("rows.npy", rows)
    mapped = np.load("rows.npy", mmap_mode="r")
    given = {
        "array": rows,
        "fortran": np.asfortranarray(rows),
        "strided": np.repeat(rows, 2, axis=0)[::2],
        "big endian": rows.astype(">f4"),
        "f64": rows.astype(np.float64),
        "list": rows.tolist(),
        "rows": list(rows),
        "objects": np.array([row for row in rows] + [None], dtype=object)[:-1],
        "buffer": memoryview(rows),
        "copy of a map": np.array(mapped),
    }
    bulk_build_index(rows, "expected.hnsw")
    expected = Path("expected.hnsw").read_bytes()
    for name, embeddings in given.items():
        with warnings.catch_warnings():
            # Nothing is lost, so there is nothing to warn of.
            warnings.simplefilter("error")
            bulk_build_index(embeddings, "o.hnsw", threads=1, batch_size=77)
        assert Path("o.hnsw").read_bytes() == expected, name


@pytest.mark.parametrize("dtype", ["f2", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
def test_narrow_types_are_exact(dtype: str) -> None:
    values = np.random.default_rng(3).integers(0, 2 if dtype == "?" else 100, (50, 4)).astype(dtype)
    values[0] = [1, 0, 1, 1]
    bulk_build_index(values, "o.hnsw", metric="l2")
    assert np.array_equal(vectors_of("o.hnsw"), values.astype(np.float32))


def test_what_is_lost_is_said(rows: np.ndarray) -> None:
    doubles = rows.astype(np.float64)
    doubles[3, 5] += 1e-12
    with pytest.warns(PrecisionWarning, match="first at row 3, column 5") as warned:
        bulk_build_index(doubles, "o.hnsw")
    assert warned[0].filename == __file__
    with pytest.raises(InputError, match="row 2, column 1: 16777217 is beyond 2"):
        bulk_build_index(np.array([[1, 2], [3, 4], [5, 2**24 + 1]]), "o.hnsw")
    doubles[7, 2] = 1e39
    with pytest.raises(InputError, match="row 7, column 2: 1e\\+39 is too large for float32"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bulk_build_index(doubles, "o.hnsw")


def test_arrays_that_are_none() -> None:
    for embeddings, says in [
        (np.ones(5, np.float32), "Expected 2D array, got 1D"),
        (np.ones((2, 2, 2), np.float32), "Expected 2D array, got 3D"),
        (np.float32(3), "Expected 2D array, got 0D"),
        ([[1.0, 2.0], [3.0]], "expected rows of one length"),
        (np.ones((3, 0), np.float32), "expected at least one value"),
        (np.ones((3, 2), np.complex64), "expected numbers, found complex64"),
        (np.array([["a", "b"]]), "expected numbers, found <U1"),
        ([{"a": 1}], "Expected 2D array"),
    ]:
        with pytest.raises(ValueError, match=says):
            bulk_build_index(embeddings, "o.hnsw")
    assert os.listdir() == []


def test_values_that_are_none_are_named(rows: np.ndarray, temp: Path) -> None:
    for value, name in ((np.nan, "NaN"), (np.inf, "inf")):
        rows[123, 4] = value
        with pytest.raises(InputError) as raised:
            bulk_build_index(rows, "o.hnsw")
        assert "embeddings" in str(raised.value) and "123" in str(raised.value) and name in str(raised.value)
        assert raised.value.code == "E0403" and raised.value.returncode == 1 and raised.value.path is None
        assert "/proc" not in str(raised.value)
    assert os.listdir() == [] and list(temp.iterdir()) == []


def test_an_empty_set_is_one() -> None:
    assert bulk_build_index(np.empty((0, 5), np.float32), "o.hnsw").vectors == 0
    with Index.open("o.hnsw") as index:
        assert len(index) == 0 and index.search(np.ones((2, 5)), 3)[0].shape == (2, 0)
        assert index.vectors.shape == (0, 5) and index.ids.shape == (0,)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace files that are mapped")
def test_views_of_a_file_are_used_where_they_are(rows: np.ndarray, temp: Path, folder: Path) -> None:
    np.save("rows.npy", rows)
    rows.tofile("rows.f32")
    loaded = np.load("rows.npy", mmap_mode="r")
    written = np.memmap("rows.f32", "<f4", "r+", offset=64 * 10, shape=(900, 16))
    bulk_build_index(rows[100:300], "expected.hnsw")
    expected = vectors_of("expected.hnsw")
    os.chmod(temp, 0o500)
    for array in (loaded[100:300], np.asarray(loaded)[100:300], written[90:290], loaded.T.T[100:300], loaded[50:][50:250]):
        stats = bulk_build_index(array, "o.hnsw", temp_dir="/nowhere")
        command = " ".join(stats.command)
        assert "--offset" in command and str(folder / "rows.") in command, command
        assert stats.details["vectors_in_place"] is True
        assert np.array_equal(vectors_of("o.hnsw"), expected)
    os.chmod(temp, 0o700)
    # What was written through the map is in the file.
    written[90] = 7
    bulk_build_index(written[90:290], "o.hnsw", temp_dir="/nowhere")
    assert (vectors_of("o.hnsw")[0] == 7).all()


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace files that are mapped")
def test_what_is_no_view_of_a_file_is_copied(rows: np.ndarray) -> None:
    np.save("rows.npy", rows)
    loaded = np.load("rows.npy", mmap_mode="r")
    np.save("halves.npy", rows.astype(np.float16))
    private = np.load("rows.npy", mmap_mode="c")
    private[0] = 1
    np.save("other.npy", rows)
    replaced = np.load("other.npy", mmap_mode="r")
    os.rename("rows.npy", "kept.npy")
    np.save("new.npy", rows[::-1])
    os.rename("new.npy", "other.npy")
    os.rename("kept.npy", "rows.npy")
    for name, array in {
        "every second row": loaded[::2],
        "some columns": loaded[:, :8],
        "computed": loaded * 2,
        "another type": np.load("halves.npy", mmap_mode="r"),
        "private": private,
        "another file by now": replaced,
        "picked": loaded[[3, 1, 2]],
    }.items():
        stats = bulk_build_index(array, "o.hnsw")
        assert "--offset" not in stats.command, name
        assert np.array_equal(vectors_of("o.hnsw"), np.asarray(array, np.float32)), name


def test_files_are_inputs_too(rows: np.ndarray) -> None:
    np.save("rows.npy", rows)
    for name in ("rows.npy", Path("rows.npy")):
        assert bulk_build_index(name, Path("o.hnsw")).vectors == 1000
    with pytest.raises(InputNotFound) as raised:
        bulk_build_index("no.npy", "o.hnsw")
    assert isinstance(raised.value, FileNotFoundError) and raised.value.path == "no.npy" and raised.value.hint
    Path("cut.npy").write_bytes(Path("rows.npy").read_bytes()[:-5])
    with pytest.raises(CorruptFile):
        bulk_build_index("cut.npy", "o2.hnsw")


def test_ids_are_kept(rows: np.ndarray) -> None:
    ids = np.arange(1000, dtype=np.uint64) * 7 + 2**63
    for given in (ids, ids.tolist(), ids.astype(">u8"), np.repeat(ids, 2)[::2]):
        bulk_build_index(rows, "o.hnsw", ids=given)
        with Index.open("o.hnsw") as index:
            assert np.array_equal(index.ids, ids)
    # The first bytes of another format are ids as well.
    ids[0] = int.from_bytes(b"\x93NUMPY\x01\x00", "little")
    bulk_build_index(rows, "o.hnsw", ids=ids)
    with Index.open("o.hnsw") as index:
        assert np.array_equal(index.ids, ids)


def test_ids_that_are_none(rows: np.ndarray, temp: Path) -> None:
    for ids, says in [
        (np.arange(999), r"IDs length \(999\) != vectors \(1000\)"),
        (np.arange(1000) - 5, "row 0: expected a number from 0, found -5"),
        (np.arange(1000.0), "expected whole numbers, texts or UUIDs, found float64"),
        (np.arange(1000).reshape(10, 100), "expected one dimension"),
        (np.ones(1000, bool), "expected whole numbers, texts or UUIDs, found bool"),
    ]:
        with pytest.raises(ValueError, match=says):
            bulk_build_index(rows, "o.hnsw", ids=ids)
    twice = np.arange(1000)
    twice[700] = 3
    with pytest.raises(InputError) as raised:
        bulk_build_index(rows, "o.hnsw", ids=twice)
    assert raised.value.code == "E0404" and "3" in raised.value.message
    assert os.listdir() == [] and list(temp.iterdir()) == []


def test_outputs_that_cannot_be(rows: np.ndarray) -> None:
    with pytest.raises(OutputError) as raised:
        bulk_build_index(rows, "no/where/o.hnsw")
    assert isinstance(raised.value, OSError) and isinstance(raised.value, RuntimeError)
    assert raised.value.path == "no/where/o.hnsw"
    Path("o.hnsw").write_text("old")
    with pytest.raises(OutputExists):
        bulk_build_index(rows, "o.hnsw", if_exists="error")
    assert bulk_build_index(rows, "o.hnsw", if_exists="skip").vectors == 0
    assert Path("o.hnsw").read_text() == "old"
    np.save("rows.npy", rows)
    with pytest.raises(OutputError):
        bulk_build_index(np.load("rows.npy", mmap_mode="r"), "rows.npy")
    assert np.array_equal(np.load("rows.npy"), rows)


def test_options_that_cannot_be(rows: np.ndarray) -> None:
    for options in (
        {"m": 1},
        {"m": 2.5},
        {"ef_construction": 0},
        {"batch_size": 0},
        {"threads": -1},
        {"metric": "hamming"},
        {"builder": "other"},
        {"codes": "i4"},
        {"if_exists": "ask"},
        {"index_format": "other"},
        {"storage": "f8"},
        {"seed": 2**64},
        {"memory_limit": "much"},
    ):
        with pytest.raises(InputError) as raised:
            bulk_build_index(rows, "o.hnsw", **options)
        assert str(raised.value), options
    assert os.listdir() == []


def test_space_is_looked_at_first(rows: np.ndarray, monkeypatch: pytest.MonkeyPatch, temp: Path) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(OutputError, match="expected 64,000 bytes of free space"):
        bulk_build_index(rows, "o.hnsw")
    with pytest.raises(OSError, match="/nowhere: no temporary file can be put there"):
        monkeypatch.undo()
        bulk_build_index(rows, "o.hnsw", temp_dir="/nowhere")
    assert list(temp.iterdir()) == []


def test_temporary_files_stay_where_that_is_asked(rows: np.ndarray, temp: Path) -> None:
    stats = bulk_build_index(rows, "o.hnsw", ids=np.arange(1000), cleanup_temp=False)
    (made,) = temp.iterdir()
    assert sorted(file.name for file in made.iterdir()) == ["ids.npy", "vectors.f32"]
    assert str(made / "vectors.f32") in stats.command
    assert (np.fromfile(made / "vectors.f32", np.float32) == rows.ravel()).all()
    assert np.array_equal(np.load(made / "ids.npy"), np.arange(1000))


def test_progress_is_handed_over(rows: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[Progress] = []
    bulk_build_index(rows, "o.hnsw", progress=seen.append)
    assert {"reading", "writing"} <= {progress.phase for progress in seen}
    assert all(progress.rows_total in (None, 1000) or progress.rows_total for progress in seen)
    bulk_build_index(rows, "o.hnsw")
    bulk_build_index(rows, "o.hnsw", progress=False)
    assert capfd.readouterr() == ("", "")
    bulk_build_index(rows, "o.hnsw", progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "reading" in err


def test_an_index_is_not_a_question_of_the_thread(rows: np.ndarray) -> None:
    failures: list[BaseException] = []

    def build(number: int) -> None:
        try:
            bulk_build_index(rows, f"{number}.hnsw", progress=lambda _: None)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({Path(f"{number}.hnsw").read_bytes() for number in range(6)}) == 1


def test_vectors_are_kept_rounded_or_not_at_all(rows: np.ndarray) -> None:
    for storage, most in (("f16", 0.01), ("i8", 0.1)):
        bulk_build_index(rows, "o.hnsw", metric="l2", storage=storage)
        with Index.open("o.hnsw") as index:
            assert index.info["storage"] == storage and index.info == bulk_info("o.hnsw")
            assert 0 < np.abs(index.vectors - rows).max() < most
            assert index.vectors.__array_interface__["data"] == index.vectors.__array_interface__["data"]
            assert index.search(rows[:50], 1)[0][:, 0].tolist() == list(range(50))
    with pytest.raises(InputError, match="a file or a view of one"):
        bulk_build_index(rows, "none.hnsw", storage="source")
    np.save("rows.npy", rows)
    bulk_build_index(np.load("rows.npy", mmap_mode="r")[100:], "o.hnsw", storage="source", metric="l2")
    assert os.path.getsize("o.hnsw") < os.path.getsize("rows.npy") * 4
    with Index.open("o.hnsw") as index:
        assert index.info["storage"] == "source" and np.array_equal(index.vectors, rows[100:])
        assert index.search(rows[100:110], 1)[0][:, 0].tolist() == list(range(10))
    os.remove("rows.npy")
    with pytest.raises(InputNotFound, match="rows.npy"):
        Index.open("o.hnsw")


def test_arrow_columns(rows: np.ndarray) -> None:
    pa = pytest.importorskip("pyarrow")
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 16)
    lists = fixed.cast(pa.list_(pa.float32()))
    table = pa.table({"id": pa.array(range(1000)), "vector": fixed})
    for column in (fixed, lists, lists.cast(pa.large_list(pa.float32())), table["vector"], fixed[200:700],
                   pa.chunked_array([fixed[:300], fixed[300:]]), pa.chunked_array([], fixed.type)):
        bulk_build_index(column, "o.hnsw", ids=np.arange(len(column)))
        expected = rows[200:700] if len(column) == 500 else rows[: len(column)]
        assert np.array_equal(vectors_of("o.hnsw"), expected)
    bulk_build_index(table["vector"], "o.hnsw", ids=table["id"])
    with pytest.raises(InputError, match="found a table"):
        bulk_build_index(table, "o.hnsw")
    with pytest.raises(InputError, match="found 1 nulls"):
        bulk_build_index(pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)), "o.hnsw")
    with pytest.raises(InputError, match="vectors of one length"):
        bulk_build_index(pa.array([[1.0, 2.0], [1.0]]), "o.hnsw")


def test_tensors_through_their_protocols(rows: np.ndarray) -> None:
    class Tensor:
        """As torch has it: numbers by `__array__`, unless gradients are wanted."""

        requires_grad, dtype, ndim = True, "torch.float32", 2

        def detach(self) -> Tensor:
            other = Tensor()
            other.requires_grad = False
            return other

        def cpu(self) -> Tensor:
            return self

        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            if self.requires_grad:
                raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
            return rows

    Tensor.__module__ = "torch"
    bulk_build_index(Tensor(), "o.hnsw")
    assert np.array_equal(vectors_of("o.hnsw"), rows)


def test_errors_have_a_common_base(rows: np.ndarray) -> None:
    with pytest.raises(BulkError) as raised:
        bulk_build_index(rows, "o.hnsw", metric="hamming")
    error = raised.value
    assert error.code == "E0110" and error.returncode == 2 and error.command[1] == "build-index"
    assert error.message in str(error)


def test_ids_may_be_texts(rows: np.ndarray) -> None:
    texts = [f"doc-{row}/\u00fc\n" * (row % 3) + f"{row}" for row in range(1000)]
    given = {
        "list": texts,
        "U": np.array(texts),
        "objects": np.array(texts, dtype=object),
        "S": np.array([text.encode() for text in texts]),
    }
    if hasattr(getattr(np, "dtypes", None), "StringDType"):
        given["T"] = np.array(texts, dtype=np.dtypes.StringDType())
    expected = None
    for name, ids in given.items():
        bulk_build_index(rows, "o.hnsw", ids=ids, metric="l2")
        data = Path("o.hnsw").read_bytes()
        expected = expected or data
        assert data == expected, name
    assert bulk_info("o.hnsw")["ids"] == "text"
    with Index.open("o.hnsw") as index:
        assert index.ids.tolist() == texts and index.info == bulk_info("o.hnsw")
        found, distances = index.search(rows[:20], 3, ef=50)
        assert found.shape == (20, 3) and found.dtype == object and found[:, 0].tolist() == texts[:20]
        assert [type(id) for id in found[0]] == [str] * 3
        one, _ = index.search(rows[7], 2)
        assert one.shape == (2,) and one[0] == texts[7]
        assert next(iter(index))[0] == texts[0]
    assert bulk_query_index("o.hnsw", rows[5], k=1)[0].id == texts[5]


def test_ids_may_be_uuids(rows: np.ndarray) -> None:
    ids = [uuid.UUID(int=row * 7919) for row in range(1000)]
    bulk_build_index(rows, "o.hnsw", ids=ids, metric="l2")
    with Index.open("o.hnsw") as index:
        assert index.ids.tolist() == [str(id) for id in ids]
        assert index.search(rows[3], 1)[0][0] == str(ids[3])


def test_text_ids_that_are_none(rows: np.ndarray, temp: Path) -> None:
    for ids, says in [
        (["a", 3], "row 1: expected a text or a UUID as in row 0, found 3"),
        (["a", None], "row 1: expected a text or a UUID as in row 0, found None"),
        (["a", "b\0"], "row 1: expected a text that does not end in a zero byte"),
        (["a", "\ud800"], "row 1: expected a text that UTF-8 holds"),
        ([object(), uuid.uuid4()], "expected whole numbers, texts or UUIDs, found object"),
        (["a"], r"IDs length \(1\) != vectors \(2\)"),
        (["a", "a"], "ids: .*rows 0 and 1"),
    ]:
        with pytest.raises(InputError, match=says):
            bulk_build_index(rows[:2], "o.hnsw", ids=ids)
    assert os.listdir() == [] and list(temp.iterdir()) == []
