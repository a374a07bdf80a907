"""Embeddings to searchable HNSW indexes, by the program ``sochdb-bulk``.

:func:`bulk_build_index` makes an index file of an array or a file, :class:`Index` searches it. ``from sochdb.bulk import ...`` gives the
same names.

Everything that fails raises a :class:`BulkError`, a ``RuntimeError`` that has a code, a message, the path and what to do. Its subclasses
also are what Python's own functions raise: :class:`InputError` a ``ValueError``, :class:`OutputError` an ``OSError``,
:class:`InputNotFound` a ``FileNotFoundError``, :class:`OutOfMemory` a ``MemoryError``.
"""

from __future__ import annotations

from ._build import BulkBuildStats as BulkBuildStats
from ._build import bulk_build_index as bulk_build_index
from ._errors import BinaryNotFound as BinaryNotFound
from ._errors import BulkError as BulkError
from ._errors import Cancelled as Cancelled
from ._errors import CorruptFile as CorruptFile
from ._errors import DimensionMismatch as DimensionMismatch
from ._errors import InputError as InputError
from ._errors import InputNotFound as InputNotFound
from ._errors import OutOfMemory as OutOfMemory
from ._errors import OutputError as OutputError
from ._errors import OutputExists as OutputExists
from ._errors import PrecisionWarning as PrecisionWarning
from ._find import get_sochdb_bulk_path as get_sochdb_bulk_path
from ._index import Index as Index
from ._index import QueryResult as QueryResult
from ._index import bulk_info as bulk_info
from ._index import bulk_query_index as bulk_query_index
from ._pipeline import inspect as inspect
from ._pipeline import plan as plan
from ._pipeline import run_pipeline as run_pipeline
from ._progress import Progress as Progress
from ._raw import convert_embeddings_to_raw as convert_embeddings_to_raw
from ._raw import read_raw_embeddings as read_raw_embeddings

__version__ = "0.1.0"

__all__ = [
    "BinaryNotFound",
    "BulkBuildStats",
    "BulkError",
    "Cancelled",
    "CorruptFile",
    "DimensionMismatch",
    "Index",
    "InputError",
    "InputNotFound",
    "OutOfMemory",
    "OutputError",
    "OutputExists",
    "PrecisionWarning",
    "Progress",
    "QueryResult",
    "bulk_build_index",
    "bulk_info",
    "bulk_query_index",
    "convert_embeddings_to_raw",
    "get_sochdb_bulk_path",
    "inspect",
    "plan",
    "read_raw_embeddings",
    "run_pipeline",
]
