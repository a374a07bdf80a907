"""Searching from Python."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sochdb_bulk import (
    CorruptFile,
    DimensionMismatch,
    Index,
    InputError,
    InputNotFound,
    bulk_build_index,
    bulk_info,
    bulk_query_index,
    get_sochdb_bulk_path,
)


@pytest.fixture
def index(rows: np.ndarray) -> Index:
    bulk_build_index(rows, "o.hnsw", metric="l2", ids=np.arange(1000) + 5000)
    return Index.open("o.hnsw")


def exact(rows: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    distances = ((queries[:, None, :].astype(np.float64) - rows) ** 2).sum(axis=2)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, 1)


def test_a_wide_beam_finds_what_numpy_finds(index: Index, rows: np.ndarray) -> None:
    queries = np.random.default_rng(1).standard_normal((40, 16)).astype(np.float32)
    order, expected = exact(rows, queries, 10)
    ids, distances = index.search(queries, 10, ef=1000)
    assert ids.dtype == np.uint64 and distances.dtype == np.float32 and ids.flags.c_contiguous
    assert np.array_equal(ids, order + 5000)
    assert np.allclose(distances, expected, rtol=1e-5)


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_searches_are_those_of_the_program(rows: np.ndarray, metric: str) -> None:
    bulk_build_index(rows, "o.hnsw", metric=metric)
    queries = np.random.default_rng(2).standard_normal((100, 16)).astype(np.float32)
    np.save("q.npy", queries)
    command = [get_sochdb_bulk_path(), "query", "-i", "o.hnsw", "-q", "q.npy", "-k", "7", "-e", "30", "-f", "npy", "-o", "h.npy"]
    subprocess.run(command, check=True)
    hits = np.load("h.npy")
    with Index.open("o.hnsw") as index:
        for threads in (0, 1, 3):
            ids, distances = index.search(queries, 7, 30, threads=threads)
            assert np.array_equal(ids, hits["id"]) and np.array_equal(distances, hits["distance"])


def test_shapes(index: Index, rows: np.ndarray) -> None:
    one, distances = index.search(rows[3], 4)
    assert one.shape == distances.shape == (4,) and one[0] == 5003
    assert index.search(rows[3].tolist(), 4)[0].tolist() == one.tolist()
    assert index.search(rows[:0], 4)[0].shape == (0, 4)
    assert index.search(rows[:2], 5000, 10)[0].shape == (2, 1000)
    expected = index.search(rows[:9].copy(), 3)[0]
    every_second = np.repeat(rows[:9], 2, axis=0)[::2]
    for queries in (rows[:9].astype(np.float64), rows[:9].tolist(), list(rows[:9]), np.asfortranarray(rows[:9]), every_second, rows[:9].astype(">f4")):
        assert np.array_equal(index.search(queries, 3)[0], expected)


def test_many_queries_are_searched_in_parts(index: Index, rows: np.ndarray) -> None:
    queries = np.tile(rows, (20, 1))
    ids, _ = index.search(queries, 1, 10)
    assert ids.shape == (20_000, 1)
    assert np.array_equal(ids, np.tile(index.search(rows, 1, 10)[0], (20, 1)))


def test_queries_that_cannot_be(index: Index, rows: np.ndarray) -> None:
    with pytest.raises(DimensionMismatch, match="expected 16, got 15"):
        index.search(rows[:2, :15])
    for arguments, says in [
        ((rows, 0), "at least 1"),
        ((rows, 1, 0), "at least 1"),
        ((rows, -1), "expected a number from 0"),
        ((rows, 2.5), "expected a whole number"),
        ((np.full((2, 16), np.nan), 1), "query 0, column 0: expected a finite number, found NaN"),
        ((np.ones((1, 2, 16)), 1), "Expected 2D array"),
        ((np.ones((2, 16), complex), 1), "expected numbers"),
    ]:
        with pytest.raises(InputError, match=says):
            index.search(*arguments)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace files that are mapped")
def test_views_are_views_and_outlive_the_index(rows: np.ndarray) -> None:
    bulk_build_index(rows, "o.hnsw", ids=np.arange(1000)[::-1].copy())
    with Index.open("o.hnsw") as index:
        vectors, ids = index.vectors, index.ids
        assert not vectors.flags.owndata and not vectors.flags.writeable and not ids.flags.writeable
        assert vectors.__array_interface__["data"] == index.vectors.__array_interface__["data"]
        with pytest.raises(ValueError):
            vectors[0, 0] = 1
        pairs = list(index)
        assert pairs[3][0] == 996 and np.shares_memory(pairs[3][1], vectors)
    del index
    gc.collect()
    # Neither closing nor replacing the file takes them away.
    bulk_build_index(rows[:5], "o.hnsw")
    assert np.array_equal(vectors, rows) and ids[0] == 999


def test_a_closed_index_says_so(index: Index, rows: np.ndarray) -> None:
    assert len(index) == 1000 and index.dim == 16 and index.metric == "l2"
    assert repr(index) == "<Index 1000 x 16, l2>"
    index.close()
    index.close()
    assert repr(index) == "<Index 1000 x 16, l2, closed>"
    for use in (lambda: index.search(rows[0]), lambda: index.vectors, lambda: index.ids, lambda: index.path):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_info_is_that_of_the_program(index: Index) -> None:
    assert index.info == bulk_info("o.hnsw")
    assert index.info["ids"] == "u64" and "[sink]" in index.info["recipe"]


def test_row_numbers_where_there_are_no_ids(rows: np.ndarray) -> None:
    bulk_build_index(rows[:10], "o.hnsw")
    with Index.open("o.hnsw") as index:
        assert index.ids.tolist() == list(range(10))


def test_files_that_are_no_index(rows: np.ndarray) -> None:
    with pytest.raises(InputNotFound) as raised:
        Index.open("none.hnsw")
    assert isinstance(raised.value, FileNotFoundError) and raised.value.path == "none.hnsw"
    np.save("rows.npy", rows)
    with pytest.raises(CorruptFile, match="expected an index file"):
        Index.open("rows.npy")
    with pytest.raises(CorruptFile):
        bulk_info("rows.npy")
    bulk_build_index(rows, "o.hnsw")
    data = bytearray(Path("o.hnsw").read_bytes())
    data[4096 + 100] ^= 4
    Path("damaged.hnsw").write_bytes(data)
    with Index.open("damaged.hnsw") as index:
        with pytest.raises(CorruptFile, match="vectors, rows 0 to 15"):
            index.vectors
        with pytest.raises(CorruptFile):
            index.search(rows, 1, 1000)
    Path("cut.hnsw").write_bytes(data[:-3])
    with pytest.raises(CorruptFile):
        Index.open("cut.hnsw")


def test_one_query_as_sochdb_documents_it(index: Index, rows: np.ndarray) -> None:
    for hits in (
        bulk_query_index("o.hnsw", rows[7], 3),
        bulk_query_index("o.hnsw", rows[7:8], k=3, ef_search=50),
        bulk_query_index(index_path="o.hnsw", query=rows[7], k=3, ef=50),
    ):
        assert [hit.id for hit in hits][0] == 5007
        for id, distance in hits:
            assert isinstance(id, int) and isinstance(distance, float)
    for arguments in ({}, {"index": "o.hnsw"}, {"query": rows[0]}, {"index": "o.hnsw", "index_path": "o.hnsw", "query": rows[0]},
                      {"index": "o.hnsw", "query": rows[:2]}, {"index": "o.hnsw", "query": rows[0], "ef": 5, "ef_search": 5}):
        with pytest.raises(InputError):
            bulk_query_index(**arguments)


def test_threads_search_beside_each_other(index: Index, rows: np.ndarray) -> None:
    expected = index.search(rows, 5)[0]
    wrong: list[int] = []

    def search() -> None:
        for _ in range(5):
            if not np.array_equal(index.search(rows, 5, threads=2)[0], expected):
                wrong.append(1)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_python_runs_while_a_search_does(index: Index, rows: np.ndarray) -> None:
    queries = np.tile(rows, (8, 1))
    times: list[float] = []

    def search() -> None:
        start = time.perf_counter()
        index.search(queries, 10, ef=900, threads=1)
        times.append(time.perf_counter() - start)

    thread = threading.Thread(target=search)
    beats = 0
    thread.start()
    while thread.is_alive():
        time.sleep(0.001)
        beats += 1
    thread.join()
    # With the lock held this thread would come to its turn about once.
    assert beats > 20 or times[0] < 0.1, (beats, times)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_searches(index: Index, rows: np.ndarray) -> None:
    expected = index.search(rows, 5, threads=2)[0]
    assert index.vectors.shape == rows.shape
    code = (
        "import os, sys, numpy as np\n"
        "from sochdb_bulk import Index\n"
        "index = Index.open('o.hnsw'); rows = np.array(index.vectors); a = index.search(rows, 5, threads=2)[0]\n"
        "pid = os.fork()\n"
        "other = Index.open('o.hnsw')\n"
        "same = np.array_equal(other.search(np.array(other.vectors), 5, threads=2)[0], a)\n"
        "if pid == 0: os._exit(0 if same else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or not same)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0
    assert expected.shape == (1000, 5)


def test_an_index_goes_to_another_process(index: Index, rows: np.ndarray) -> None:
    again = pickle.loads(pickle.dumps(index))
    assert np.array_equal(again.search(rows, 3)[0], index.search(rows, 3)[0])


def test_opening_leaks_nothing(rows: np.ndarray) -> None:
    bulk_build_index(rows, "o.hnsw")

    def maps() -> int:
        return Path("/proc/self/maps").read_text().count("o.hnsw") if Path("/proc/self/maps").exists() else 0

    for _ in range(50):
        with Index.open("o.hnsw") as index:
            index.search(rows[:3], 2)
            assert index.vectors.shape == (1000, 16)
    del index
    gc.collect()
    assert maps() == 0
