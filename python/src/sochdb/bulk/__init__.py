"""The bulk interface under the name that SochDB documents; :mod:`sochdb_bulk` is the same."""

from __future__ import annotations

from sochdb_bulk import BulkBuildStats as BulkBuildStats
from sochdb_bulk import bulk_build_index as bulk_build_index
from sochdb_bulk import BinaryNotFound as BinaryNotFound
from sochdb_bulk import BulkError as BulkError
from sochdb_bulk import Cancelled as Cancelled
from sochdb_bulk import CorruptFile as CorruptFile
from sochdb_bulk import DimensionMismatch as DimensionMismatch
from sochdb_bulk import InputError as InputError
from sochdb_bulk import InputNotFound as InputNotFound
from sochdb_bulk import OutOfMemory as OutOfMemory
from sochdb_bulk import OutputError as OutputError
from sochdb_bulk import OutputExists as OutputExists
from sochdb_bulk import PrecisionWarning as PrecisionWarning
from sochdb_bulk import get_sochdb_bulk_path as get_sochdb_bulk_path
from sochdb_bulk import Index as Index
from sochdb_bulk import QueryResult as QueryResult
from sochdb_bulk import bulk_info as bulk_info
from sochdb_bulk import bulk_query_index as bulk_query_index
from sochdb_bulk import inspect as inspect
from sochdb_bulk import plan as plan
from sochdb_bulk import run_pipeline as run_pipeline
from sochdb_bulk import Progress as Progress
from sochdb_bulk import convert_embeddings_to_raw as convert_embeddings_to_raw
from sochdb_bulk import read_raw_embeddings as read_raw_embeddings

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
