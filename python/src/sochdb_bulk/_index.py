"""Opened indexes: search, and what is in them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple

from ._arrays import PathLike, as_float32, to_array
from ._build import _whole
from ._errors import DimensionMismatch, InputError
from ._library import Handle
from ._process import run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._build import Embeddings

#: The width of the beam where neither the caller nor the index says one.
DEFAULT_EF = 100
#: Queries that the library searches at a time: between two of them Ctrl-C comes through.
_BATCH_QUERIES = 8192


class QueryResult(NamedTuple):
    """A row that a search found."""

    id: int | str
    #: By the index's metric; smaller is closer.
    distance: float


class Index:
    """An index file, opened for search. Any number of threads may search it at a time.

    The file is mapped, so opening it takes the time of checking its graph, and processes that open the same file share its
    memory. Use :meth:`open`; as a context manager it is closed at the end.

    Example:
        >>> import numpy as np
        >>> rows = np.random.default_rng(1).standard_normal((500, 16)).astype(np.float32)
        >>> _ = bulk_build_index(rows, "some.hnsw", metric="l2", quiet=True)
        >>> with Index.open("some.hnsw") as index:
        ...     ids, distances = index.search(rows[:3], k=2)
        ...     len(index), ids.shape, ids[:, 0].tolist(), float(distances[0, 0])
        (500, (3, 2), [0, 1, 2], 0.0)
    """

    def __init__(self, path: PathLike) -> None:
        self._handle: Handle | None = Handle(path)
        self._info = self._handle.describe()
        self._rows, self._dim = int(self._info["rows"]), int(self._info["dim"])
        self._vectors: NDArray[np.float32] | None = None
        self._texts = self._handle.text_ids(self._rows) if self._info["ids"] == "text" else None

    @classmethod
    def open(cls, path: PathLike) -> Index:
        """Opens an index file.

        Raises:
            InputNotFound: There is no such file. A ``FileNotFoundError``.
            CorruptFile: It is no index, or a damaged one. A ``ValueError``.
            BinaryNotFound: The library for searches is not there.
        """
        return cls(path)

    def close(self) -> None:
        """Closes it. Arrays of its ids and vectors stay valid: the file is unmapped with the last of them."""
        self._handle = None
        self._vectors = None
        self._texts = None

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._rows

    def __repr__(self) -> str:
        state = "" if self._handle is not None else ", closed"
        return f"<Index {self._rows} x {self._dim}, {self.metric}{state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)

    def _opened(self) -> Handle:
        if self._handle is None:
            raise InputError("the index is closed", hint="open it again: Index.open(path)")
        return self._handle

    @property
    def path(self) -> str:
        """The file that was opened."""
        return self._opened().path

    @property
    def dim(self) -> int:
        """Values a row."""
        return self._dim

    @property
    def metric(self) -> str:
        """``"cosine"``, ``"l2"`` or ``"ip"``."""
        return str(self._info["metric"])

    @property
    def info(self) -> dict[str, Any]:
        """What the file says of itself; the same as :func:`bulk_info`."""
        return dict(self._info)

    @property
    def ids(self) -> NDArray[Any]:
        """The ids of the rows, shape (rows,), read-only: uint64, a view of the file, or row numbers where it has none. Where they
        are texts, a new array of ``str``."""
        import numpy as np

        handle = self._opened()
        if self._texts is not None:
            texts = self._texts_of(np.arange(self._rows, dtype=np.uint64))
            texts.flags.writeable = False
            return texts
        ids = handle.ids(self._rows)
        if ids is None:
            ids = np.arange(self._rows, dtype=np.uint64)
            ids.flags.writeable = False
        return ids

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors that the index keeps, shape (rows, dim), float32, read-only: a view of the file, or of memory where they are
        stored as f16 or i8.

        The first time all of them are compared with their checksums, which reads the whole file.

        Raises:
            CorruptFile: If a part of them is not what was written.
        """
        if self._vectors is None:
            self._vectors = self._opened().vectors(self._rows, self._dim)
        return self._vectors

    def __iter__(self) -> Iterator[tuple[int | str, NDArray[np.float32]]]:
        """Id and vector of each row, in the order of rows; vectors are views of the file."""
        vectors, ids = self.vectors, self.ids
        for row in range(self._rows):
            yield ids[row] if self._texts is not None else int(ids[row]), vectors[row]

    def _texts_of(self, rows: NDArray[np.uint64]) -> NDArray[np.object_]:
        """The text ids of rows, in the shape of ``rows``."""
        import numpy as np

        assert self._texts is not None
        places, texts = self._texts
        wanted = rows.ravel()
        starts, ends = places[wanted].tolist(), places[wanted + np.uint64(1)].tolist()
        buffer = texts.data
        out = np.empty(rows.shape, object)
        out.ravel()[:] = [str(buffer[start:end], "utf-8") for start, end in zip(starts, ends)]
        return out

    def search(
        self, queries: Embeddings, k: int = 10, ef: int | None = None, *, threads: int = 0
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The nearest rows of each query.

        Runs without Python's lock, so threads of Python search beside each other.

        Args:
            queries: Shape (queries, dim), or (dim,) for one query; any type that :func:`bulk_build_index` takes.
            k: How many rows, at least 1.
            ef: The width of the beam: higher finds more, and takes longer. Below ``k`` it counts as ``k``; where it covers all
                rows, the answer is exact. None is the one that the index recommends (``info["default_ef"]``), or else 100.
            threads: Number of threads; 0 is one for each core. The answer does not depend on it.

        Returns:
            Ids (uint64, or ``str`` where the index has texts) and distances (float32), nearest first, equal distances by row. Both of shape
            (queries, min(k, rows)), or (min(k, rows),) for one query. Distances are by the metric, smaller is closer:
            ``1 - cos``, the squared Euclidean distance, the negative inner product.

        Raises:
            DimensionMismatch: The queries have another dimension. A ``ValueError``.
            InputError: NaN or infinity, ``k`` of 0, the index is closed. A ``ValueError``.
            CorruptFile: A part of the file that the search came to is not what was written.
        """
        import numpy as np

        handle = self._opened()
        if ef is None:
            ef = self._info.get("default_ef") or DEFAULT_EF
        k, ef, threads = int(_whole(k, "k")), int(_whole(ef, "ef")), int(_whole(threads, "threads"))
        if k == 0 or ef == 0:
            raise InputError(f"expected k and ef of at least 1, found k = {k} and ef = {ef}")
        array = to_array(queries, "queries")
        is_one = array.ndim == 1
        rows = as_float32(array[np.newaxis, :] if is_one else array, "queries")
        if rows.shape[1] != self._dim:
            raise DimensionMismatch(
                f"Dimension mismatch: expected {self._dim}, got {rows.shape[1]}",
                path=handle.path,
                hint="queries have to come from the model that made the index's vectors",
            )
        hits = min(k, self._rows)
        ids = np.empty((len(rows), hits), np.uint64)
        distances = np.empty((len(rows), hits), np.float32)
        for start in range(0, len(rows), _BATCH_QUERIES):
            part = slice(start, start + _BATCH_QUERIES)
            handle.search(rows[part], k, ef, threads, ids[part], distances[part])
        found: NDArray[Any] = ids if self._texts is None else self._texts_of(ids)
        return (found[0], distances[0]) if is_one else (found, distances)

    def to_hnswlib(self, **options: Any) -> Any:
        """The index as an ``hnswlib.Index``, with the same graph; see :func:`sochdb_bulk._export.to_hnswlib`."""
        from ._export import to_hnswlib

        return to_hnswlib(self._opened().path, self.info, **options)

    def to_faiss(self) -> Any:
        """The index as a faiss index, with the same graph; see :func:`sochdb_bulk._export.to_faiss`."""
        from ._export import to_faiss

        return to_faiss(self._opened().path)

    def to_usearch(self) -> Any:
        """The index as a ``usearch.index.Index``, with the same graph; see :func:`sochdb_bulk._export.to_usearch`."""
        from ._export import to_usearch

        return to_usearch(self._opened().path)


def bulk_query_index(
    index: PathLike | None = None,
    query: Embeddings | None = None,
    k: int = 10,
    ef_search: int | None = None,
    *,
    index_path: PathLike | None = None,
    ef: int | None = None,
) -> list[QueryResult]:
    """The nearest rows of one query. To search more than once, open the index: :meth:`Index.open`.

    Args:
        index: The index file.
        query: One vector, shape (dim,) or (1, dim).
        k: How many rows.
        ef_search: The width of the beam, as ``ef`` of :meth:`Index.search`.
        index_path: The same as ``index``.
        ef: The same as ``ef_search``.

    Returns:
        ``(id, distance)`` pairs, nearest first.

    Raises:
        InputError: Arguments that are missing or named twice, or several queries. A ``ValueError``.
        DimensionMismatch, InputNotFound, CorruptFile: As :meth:`Index.search` and :meth:`Index.open`.

    Example:
        >>> import numpy as np
        >>> rows = np.eye(4, dtype=np.float32)
        >>> _ = bulk_build_index(rows, "four.hnsw", metric="l2", quiet=True)
        >>> for id, distance in bulk_query_index("four.hnsw", rows[2], k=1):
        ...     print(id, distance)
        2 0.0
    """
    path = _one_of("index", index, "index_path", index_path)
    if path is None or query is None:
        missing = "index" if path is None else "query"
        raise InputError(f"{missing}: expected one, found None", hint='bulk_query_index("index.hnsw", vector)')
    beam = _one_of("ef_search", ef_search, "ef", ef)
    with Index.open(path) as opened:
        ids, distances = opened.search(query, k, beam, threads=1)
    if ids.ndim == 2:
        if len(ids) != 1:
            raise InputError(
                f"query: expected one vector, found {len(ids)}", hint="Index.open(path).search(queries) takes any number"
            )
        ids, distances = ids[0], distances[0]
    return [QueryResult(id, distance) for id, distance in zip(ids.tolist(), distances.tolist())]


def _one_of(name: str, value: Any, other_name: str, other: Any) -> Any:
    if value is not None and other is not None:
        raise InputError(f"expected one of {name} and {other_name}, found both")
    return other if value is None else value


def bulk_info(index: PathLike) -> dict[str, Any]:
    """What an index file says of itself; reads its header only.

    Args:
        index: The index file.

    Returns:
        ``rows``, ``dim``, ``metric``, ``m``, ``ef_construction``, ``seed``, ``builder``, ``mean_degree``, ``reachable_share``, ``copies``,
        ``codes``, ``ids``, ``file_bytes``, ``recipe`` and more: the JSON of ``sochdb-bulk info --json``.

    Raises:
        InputNotFound: There is no such file. A ``FileNotFoundError``.
        CorruptFile: It is no index, or a damaged one. A ``ValueError``.
    """
    done = run(["info", "--json", "--index", os.fspath(index)])
    described: dict[str, Any] = json.loads(done.stdout)
    return described


