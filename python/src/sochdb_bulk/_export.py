"""Indexes as objects of other libraries, through files in their own formats."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Callable, TypeVar

from ._errors import InputError
from ._process import run

_T = TypeVar("_T")


def _loaded(path: str, kind: str, load: Callable[[str], _T]) -> _T:
    """Writes an index in another library's format to a temporary file, and has that library load it."""
    with tempfile.TemporaryDirectory(prefix="sochdb_bulk_") as folder:
        file = os.path.join(folder, f"index.{kind}")
        run(["export", path, "--to", kind, "-o", file])
        return load(file)


def _imported(module: str, package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{package} is not installed", hint=f"pip install {package}") from error


def to_hnswlib(path: str, info: dict[str, Any], *, max_elements: int = 0) -> Any:
    """An ``hnswlib.Index`` of the same rows, ids and graph.

    Args:
        path: The index file.
        info: What it says of itself.
        max_elements: Room for so many rows, to add further ones; 0 is as many as there are.
    """
    hnswlib = _imported("hnswlib", "hnswlib")
    index = hnswlib.Index(space=info["metric"], dim=info["dim"])

    def load(file: str) -> Any:
        index.load_index(file, max_elements=max_elements)
        return index

    return _loaded(path, "hnswlib", load)


def to_faiss(path: str) -> Any:
    """A faiss index of the same rows, ids and graph."""
    faiss = _imported("faiss", "faiss-cpu")
    return _loaded(path, "faiss", faiss.read_index)


def to_usearch(path: str) -> Any:
    """A ``usearch.index.Index`` of the same rows, ids and graph."""
    usearch = _imported("usearch.index", "usearch")
    return _loaded(path, "usearch", usearch.Index.restore)


def is_supported() -> bool:
    """Whether the program can write the formats of other libraries."""
    import json
    import subprocess

    from ._find import get_sochdb_bulk_path

    asked = subprocess.run([get_sochdb_bulk_path(), "--capabilities"], stdout=subprocess.PIPE, check=True)
    return "export" in json.loads(asked.stdout)["commands"]


