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
