"""Indexes as objects of other libraries: the same rows, ids and hits."""

from __future__ import annotations

import numpy as np
import pytest

from sochdb_bulk import Index, bulk_build_index
from sochdb_bulk._export import is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="this build of the program has no command `export`")


@pytest.fixture(params=["l2", "cosine", "ip"])
def index(rows: np.ndarray, request: pytest.FixtureRequest) -> Index:
    bulk_build_index(rows, "o.hnsw", metric=request.param, ids=np.arange(1000) * 3 + 7)
    return Index.open("o.hnsw")


def agreement(index: Index, rows: np.ndarray, other: np.ndarray) -> float:
    """The share of the hits of a wide beam that the other library also finds."""
    ids, _ = index.search(rows[:100], 10, ef=1000)
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(ids.tolist(), other.tolist())]))


def test_hnswlib(index: Index, rows: np.ndarray) -> None:
    pytest.importorskip("hnswlib")
    other = index.to_hnswlib(max_elements=1001)
    other.set_ef(1000)
    ids, distances = other.knn_query(rows[:100], 10)
    assert agreement(index, rows, ids) > 0.999
    ours = index.search(rows[:100], 10, ef=1000)[1]
    # hnswlib has 1 - product where ours is the negative product.
    assert np.allclose(distances - (index.metric == "ip"), ours, atol=1e-4)
    other.add_items(rows[:1], [10**6])


def test_faiss(index: Index, rows: np.ndarray) -> None:
    faiss = pytest.importorskip("faiss")
    other = index.to_faiss()
    queries = rows[:100].copy()
    if index.metric == "cosine":
        faiss.normalize_L2(queries)
    params = faiss.SearchParametersHNSW(efSearch=1000)
    _, ids = other.search(queries, 10, params=params)
    assert agreement(index, rows, ids) > 0.999


def test_usearch(index: Index, rows: np.ndarray) -> None:
    pytest.importorskip("usearch")
    other = index.to_usearch()
    other.expansion_search = 1000
    assert agreement(index, rows, np.asarray(other.search(rows[:100], 10).keys)) > 0.999


def test_indexes_are_written_for_others_at_once(rows: np.ndarray) -> None:
    hnswlib = pytest.importorskip("hnswlib")
    bulk_build_index(rows, "o.bin", metric="l2", index_format="hnswlib")
    other = hnswlib.Index(space="l2", dim=16)
    other.load_index("o.bin")
    other.set_ef(1000)
    ids, distances = other.knn_query(rows[:10], 1)
    assert ids[:, 0].tolist() == list(range(10)) and distances.max() == 0


def test_texts_are_no_ids_of_theirs(rows: np.ndarray) -> None:
    pytest.importorskip("hnswlib")
    bulk_build_index(rows, "o.hnsw", metric="l2", ids=[str(row) for row in range(1000)])
    with Index.open("o.hnsw") as index, pytest.raises(ValueError, match="text"):
        index.to_hnswlib()


def test_a_library_that_is_not_there(rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    bulk_build_index(rows, "o.hnsw")
    for name in ("hnswlib", "faiss", "usearch.index"):
        monkeypatch.setitem(sys.modules, name, None)
    with Index.open("o.hnsw") as index:
        for convert in (index.to_hnswlib, index.to_faiss, index.to_usearch):
            with pytest.raises(ValueError, match="is not installed") as raised:
                convert()
            assert "pip install" in str(raised.value)
