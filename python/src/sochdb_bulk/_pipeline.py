"""Pipelines: a source, any number of stages, a sink. And a look at files of vectors before anything is made of them."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Mapping, Sequence, Union

from . import _progress
from ._arrays import PathLike, TempFiles, is_path, staged
from ._build import run_with_stats
from ._errors import InputError
from ._process import run
from ._progress import ProgressArgument

if TYPE_CHECKING:
    from ._build import Embeddings

#: A pipeline: the path of a TOML file, or the same as a dict.
Spec = Union[str, "os.PathLike[str]", Mapping[str, Any]]


def run_pipeline(
    spec: Spec,
    *,
    set: Mapping[str, Any] | None = None,
    threads: int | None = None,
    if_exists: str | None = None,
    allow_exec: bool = False,
    resume: bool = False,
    memory_limit: int | str | None = None,
    progress: ProgressArgument = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Run a pipeline.

    Args:
        spec: The path of a TOML file, or its contents as a dict: ``{"source": {"path": "a.npy"}, "sink": {"type": "hnsw", "path":
            "a.hnsw"}}``; ``version`` is 1 where a dict does not say it. Relative paths begin in the folder of the file, those of a
            dict in the current one.
        set: Other values for some keys: ``{"sink.m": 32, "stage.0.dim": 64}``.
        threads, if_exists, allow_exec, resume, memory_limit: As the flags of ``sochdb-bulk run``.
        progress, quiet: As in :func:`bulk_build_index`.

    Returns:
        What was done: the JSON of ``--stats``, with ``rows``, ``steps``, ``outputs`` and times.

    Raises:
        InputError: The pipeline or its input has mistakes; ``errors`` has all of them. A ``ValueError``.
        BulkError: The base of all failures; see :mod:`sochdb_bulk`.

    Example:
        >>> import numpy as np
        >>> np.save("rows.npy", np.eye(8, dtype=np.float32))
        >>> done = run_pipeline({"source": {"path": "rows.npy"}, "sink": {"type": "hnsw", "path": "rows.hnsw"}}, quiet=True)
        >>> done["rows"], done["outputs"][0]["path"]
        (8, 'rows.hnsw')
    """
    with TempFiles(None, keep=False) as temp:
        arguments, names = _spec(spec, temp)
        arguments += _flags(set, threads, if_exists, allow_exec, resume, memory_limit)
        stats, _ = run_with_stats(["run", *arguments], temp, names, progress, quiet)
    return stats


def plan(
    spec: Spec,
    *,
    set: Mapping[str, Any] | None = None,
    threads: int | None = None,
    memory_limit: int | str | None = None,
    allow_exec: bool = False,
    probe: bool = True,
) -> dict[str, Any]:
    """What a pipeline will do, before it does it: rows and dimensions from step to step, copies, passes, memory, sizes, time.

    Args:
        spec, set, threads, memory_limit, allow_exec: As in :func:`run_pipeline`.
        probe: Run the first rows, with outputs in a temporary folder, to tell about how long all of them will take.

    Returns:
        The JSON of ``sochdb-bulk plan --format json``: ``steps``, ``passes``, ``memory_bytes``, ``outputs``, ``estimate`` and more.

    Raises:
        InputError: The pipeline or its input has mistakes. A ``ValueError``.
    """
    with TempFiles(None, keep=False) as temp:
        arguments, names = _spec(spec, temp)
        arguments += _flags(set, threads, None, allow_exec, False, memory_limit)
        arguments += [] if probe else ["--no-probe"]
        done = run(["plan", *arguments, "--format", "json"], pass_fds=temp.pass_fds, names=names)
    planned: dict[str, Any] = json.loads(done.stdout)
    return planned


def inspect(
    vectors: PathLike | Sequence[PathLike] | Embeddings,
    *,
    sample: int | None = None,
    threads: int | None = None,
    progress: ProgressArgument = False,
) -> dict[str, Any]:
    """Look for what is wrong with vectors: NaN, zeros, copies, lengths, byte order.

    Args:
        vectors: A file or several in any format, patterns included, or an array as :func:`bulk_build_index` takes it.
        sample: Look at so many rows only, the same ones every time.
        threads: Number of threads; None is one for each core.
        progress: As in :func:`bulk_build_index`, but shown only if it is asked for.

    Returns:
        The JSON of ``sochdb-bulk inspect --json``: ``rows``, ``dim``, ``norms``, ``nan``, ``zero``, ``copies``, ``findings`` and more.

    Raises:
        InputNotFound: There is no such file. A ``FileNotFoundError``.
        CorruptFile: A file is damaged. A ``ValueError``.

    Example:
        >>> import numpy as np
        >>> found = inspect(np.zeros((4, 3), np.float32))
        >>> found["rows"], found["zero"]["rows"]
        (4, 4)
    """
    flags: list[str] = ["--json"]
    if sample is not None:
        flags += ["--sample", str(sample)]
    if threads is not None:
        flags += ["--threads", str(threads)]
    observer = _progress.observer(progress, quiet=True)
    names: dict[str, str] = {}
    with TempFiles(None, keep=False) as temp:
        if is_path(vectors):
            arguments = ["--input", os.fspath(vectors)]
        elif isinstance(vectors, (list, tuple)) and vectors and all(is_path(each) for each in vectors):
            arguments = [word for each in vectors for word in ("--input", os.fspath(each))]
        else:
            source = staged(vectors, temp)
            arguments, names = source.arguments, source.names
        try:
            done = run(["inspect", *arguments, *flags], observer=observer, pass_fds=temp.pass_fds, names=names)
        finally:
            if observer is not None:
                observer.close()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _spec(spec: Spec, temp: TempFiles) -> tuple[list[str], dict[str, str]]:
    if not isinstance(spec, Mapping):
        if not is_path(spec):
            raise InputError(f"spec: expected the path of a TOML file or a dict, found {type(spec).__name__}")
        return [os.fspath(spec)], {}
    text = "".join(f"{_key(key)} = {_toml(value, key)}\n" for key, value in {"version": 1, **spec}.items())
    file, path = temp.new("pipeline.toml")
    file.write(text.encode())
    file.flush()
    return [path, "--folder", "."], {path: "pipeline"}


def _flags(
    set: Mapping[str, Any] | None,
    threads: int | None,
    if_exists: str | None,
    allow_exec: bool,
    resume: bool,
    memory_limit: int | str | None,
) -> list[str]:
    flags = [word for key, value in (set or {}).items() for word in ("--set", f"{key}={_toml(value, key)}")]
    flags += ["--threads", str(threads)] if threads is not None else []
    flags += ["--if-exists", if_exists] if if_exists is not None else []
    flags += ["--allow-exec"] if allow_exec else []
    flags += ["--resume"] if resume else []
    flags += ["--memory-limit", str(memory_limit)] if memory_limit is not None else []
    return flags


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise InputError(f"spec: expected keys that are texts, found {key!r}")
    return _text(key)


def _text(value: str) -> str:
    # TOML's escapes are those of JSON, but for surrogates, and it does not allow DEL as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: Any, where: object) -> str:
    """A value as TOML, tables and lists in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, PurePath):
        return _text(os.fspath(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_toml(each, f'{where}.{key}')}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(each, where) for each in value) + "]"
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if hasattr(value, "__index__"):
        return str(value.__index__())
    if isinstance(value, float) or hasattr(value, "__float__"):
        return repr(float(value))
    raise InputError(f"spec: {where}: expected a value that TOML has, found {type(value).__name__}")
