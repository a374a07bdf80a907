"""Building an index of an array."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from . import _progress
from ._arrays import PathLike, TempFiles, is_path, staged, staged_ids
from ._errors import InputError
from ._process import run
from ._progress import ProgressArgument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    #: Arrays of numpy, and of anything that numpy's protocols turn into one.
    Embeddings = Union[NDArray[np.float32], Any]
    Ids = Union[NDArray[np.uint64], Any]


@dataclass
class BulkBuildStats:
    """What a build did.

    Attributes:
        vectors: Rows of the index; 0 if nothing was done, as ``if_exists="skip"`` says.
        dimension: Values a row.
        elapsed_secs: Seconds of the whole call, temporary files included.
        rate: Rows a second: ``vectors / elapsed_secs``.
        output_size_mb: Size of the index in MiB.
        command: The command line that was run. A temporary file without a name is ``/proc/self/fd/N`` in it; ``cleanup_temp=False``
            gives it one.
        details: Everything that ``sochdb-bulk build-index --stats json`` reports: times of the parts, builder, mean degree,
            reachable share, copies, digest and peak memory.
    """

    vectors: int
    dimension: int
    elapsed_secs: float
    rate: float
    output_size_mb: float
    command: list[str]
    details: dict[str, Any] = field(default_factory=dict, repr=False)


def bulk_build_index(
    embeddings: Embeddings,
    output: str | Path,
    *,
    ids: Ids | None = None,
    m: int = 16,
    ef_construction: int = 100,
    batch_size: int = 1000,
    threads: int = 0,
    quiet: bool = False,
    cleanup_temp: bool = True,
    metric: str | None = None,
    seed: int = 42,
    builder: str = "auto",
    codes: str = "auto",
    storage: str = "f32",
    index_format: str = "native",
    progress: ProgressArgument = None,
    temp_dir: PathLike | None = None,
    if_exists: str = "replace",
    memory_limit: int | str | None = None,
) -> BulkBuildStats:
    """Build an HNSW index of vectors, and write it to a file.

    The work is done by a process of its own. Vectors that are a view of a file on the disk (``numpy.memmap``,
    ``numpy.load(mmap_mode="r")``, and slices of rows of these) are used where they are; all others are written to a temporary file
    once. The index appears under its name when it is whole: until then, and if anything fails, what was there stays.

    Args:
        embeddings: Vectors, shape (rows, dim). float32 is taken as it is, float16 and small whole numbers exactly; float64 is
            rounded, with a :class:`PrecisionWarning` where that changes a value. Lists, torch tensors, Arrow and polars columns
            of lists, and all that ``numpy.asarray`` takes will do. A path names a file in any format of the program instead.
        output: The index file.
        ids: One id for each row, shape (rows,), each once: whole numbers from 0 to 2**64 - 1, or texts, or ``uuid.UUID``, which
            become texts. Row numbers if None.
        m: HNSW M, 2 to 1024: neighbours of a row on each level, twice as many on level 0.
        ef_construction: HNSW ef_construction, 1 to 1,000,000: candidates for the neighbours of a row.
        batch_size: Rows of one batch of the stream; the index does not depend on it.
        threads: Number of threads; 0 is one for each core. The index does not depend on it.
        quiet: Show no progress.
        cleanup_temp: Remove temporary files. If False they have names, and stay: see ``command``.
        metric: ``"cosine"``, ``"l2"`` (squared Euclidean) or ``"ip"`` (negative inner product); if None the one that a file records,
            else cosine.
        seed: Seed of levels and order: the same vectors, options and seed give the same bytes.
        builder: ``"auto"``, ``"partition"`` or ``"insert"``: how neighbours are found.
        codes: ``"auto"``, ``"i8"`` or ``"none"``: 8-bit codes for faster search, a byte a value.
        storage: How the index keeps the vectors: ``"f32"``, rounded to ``"f16"`` (half the size) or ``"i8"`` (a quarter), or
            ``"source"``: not at all. Searches then take them from the file that ``embeddings`` names or is a view of, which has to
            stay where it is and as it is.
        index_format: ``"native"``, or ``"hnswlib"``, ``"faiss"``, ``"usearch"``, ``"sochdb"``: whose index to write. :class:`Index` opens
            native ones.
        progress: None shows it in terminals and notebooks, True always, False never; a function is called with
            :class:`Progress`, and what it raises stops the build.
        temp_dir: Folder for temporary files; else that of ``SOCHDB_BULK_TMPDIR``, else the system's.
        if_exists: ``"replace"``, ``"error"`` or ``"skip"``: what to do if the output is there already.
        memory_limit: The most memory that may be planned for, mapped files not counted: bytes, or a text such as ``"2GiB"``.

    Returns:
        What was done.

    Raises:
        InputError: Shapes, types, ids or options that do not fit; NaN and infinities, with row and column. A ``ValueError``.
        DimensionMismatch: A file has another dimension. A ``ValueError``.
        InputNotFound: A file that is not there. A ``FileNotFoundError``.
        OutputError: The output or a temporary file cannot be written. An ``OSError``.
        OutOfMemory: ``memory_limit`` would not be kept. A ``MemoryError``.
        BinaryNotFound: The program is not there. A ``FileNotFoundError``.
        BulkError: The base of all these, a ``RuntimeError``: whatever else fails.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(1)
        >>> embeddings = rng.standard_normal((1000, 32)).astype(np.float32)
        >>> stats = bulk_build_index(embeddings, "docs.hnsw", metric="l2", quiet=True)
        >>> stats.vectors, stats.dimension
        (1000, 32)
    """
    start = time.perf_counter()
    arguments: list[str] = ["--output", os.fspath(output)]
    arguments += ["--max-connections", _whole(m, "m"), "--ef-construction", _whole(ef_construction, "ef_construction")]
    arguments += ["--batch-size", _whole(batch_size, "batch_size"), "--threads", _whole(threads, "threads")]
    arguments += ["--seed", _whole(seed, "seed"), "--builder", builder, "--codes", codes, "--if-exists", if_exists]
    arguments += ["--no-vectors"] if storage == "source" else ["--storage", storage]
    if index_format != "native":
        arguments += ["--index-format", index_format]
    if metric is not None:
        arguments += ["--metric", metric]
    if memory_limit is not None:
        arguments += ["--memory-limit", str(memory_limit)]
    with TempFiles(temp_dir, keep=not cleanup_temp) as temp:
        names: dict[str, str] = {}
        if is_path(embeddings):
            source_arguments = ["--input", os.fspath(embeddings)]
            if ids is not None:
                raise InputError(
                    "ids: expected an array of vectors beside them, found the name of a file",
                    hint="load it first: numpy.load(path, mmap_mode='r')",
                )
        else:
            source = staged(embeddings, temp)
            source_arguments = source.arguments
            if storage == "source" and source.names:
                raise InputError(
                    "storage: expected embeddings that are a file or a view of one, since the index has no vectors of its own",
                    hint="save them first: numpy.save(path, x), and pass numpy.load(path, mmap_mode='r')",
                )
            if ids is not None:
                source_arguments = [*source_arguments, *staged_ids(ids, source, temp)]
            names = source.names
        stats, command = run_with_stats(
            ["build-index", *source_arguments, *arguments], temp, names, progress, quiet
        )
    elapsed_secs = time.perf_counter() - start
    vectors = int(stats.get("rows", 0))
    size_bytes = Path(output).stat().st_size
    return BulkBuildStats(
        vectors=vectors,
        dimension=int(stats.get("dim", 0)),
        elapsed_secs=elapsed_secs,
        rate=vectors / elapsed_secs,
        output_size_mb=size_bytes / 2**20,
        command=command,
        details=stats,
    )


def run_with_stats(
    arguments: list[str],
    temp: TempFiles,
    names: dict[str, str],
    progress: ProgressArgument,
    quiet: bool,
) -> tuple[dict[str, Any], list[str]]:
    """Runs a command that takes ``--stats``: what it reports, and the command line."""
    observer = _progress.observer(progress, quiet)
    try:
        done = run([*arguments, "--stats", "json"], observer=observer, pass_fds=temp.pass_fds, names=names)
    finally:
        if observer is not None:
            observer.close()
    return json.loads(done.stdout), done.command


def _whole(value: int, name: str) -> str:
    """A whole number as a flag takes it. Its range is for the program to check."""
    import operator

    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name}: expected a whole number, found {value!r}") from None
    if number < 0:
        raise InputError(f"{name}: expected a number from 0, found {number}")
    return str(number)
