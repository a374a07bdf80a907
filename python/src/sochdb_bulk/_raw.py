"""Raw f32 files: bare values, with a sidecar that says how many make a vector."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._arrays import TempFiles, is_path, staged
from ._errors import CorruptFile, DimensionMismatch, InputError, InputNotFound
from ._process import run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._build import Embeddings

_VALUE_BYTES = 4
#: A sidecar is a line: anything longer is some other file.
_MAX_SIDECAR_BYTES = 1 << 16


def convert_embeddings_to_raw(
    embeddings: Embeddings,
    output: str | Path,
    *,
    metric: str | None = None,
) -> Path:
    """Write vectors as raw f32: little-endian float32 values, row after row, and a sidecar ``X.json`` with rows, dimension and metric.

    Both files appear when they are whole. ``read_raw_embeddings`` and ``sochdb-bulk`` read them.

    Args:
        embeddings: Vectors, shape (rows, dim), of any type that :func:`bulk_build_index` takes; or the path of a file in any
            format of the program.
        output: The file to write.
        metric: ``"cosine"``, ``"l2"`` or ``"ip"``, for the sidecar; None leaves it out.

    Returns:
        The path of the file.

    Raises:
        InputError: Vectors that are none, or a metric that is not known. A ``ValueError``.
        OutputError: The file cannot be written. An ``OSError``.

    Example:
        >>> import numpy as np
        >>> convert_embeddings_to_raw(np.ones((3, 2)), "ones.f32").name
        'ones.f32'
        >>> read_raw_embeddings("ones.f32").shape
        (3, 2)
    """
    arguments = ["--output", os.fspath(output), "--to-format", "raw_f32"]
    if metric is not None:
        arguments += ["--to-option", f"metric={metric}"]
    with TempFiles(None, keep=False) as temp:
        if is_path(embeddings):
            run(["convert", "--input", os.fspath(embeddings), *arguments])
        else:
            source = staged(embeddings, temp)
            run(["convert", *source.arguments, *arguments], pass_fds=temp.pass_fds, names=source.names)
    return Path(output)


def read_raw_embeddings(
    path: str | Path,
    dimension: int | None = None,
) -> NDArray[np.float32]:
    """Map the vectors of a raw f32 file, read-only and without reading them.

    Args:
        path: The file.
        dimension: Values a row. If None, ``X.f32.json``, ``X.json`` or ``meta.json`` beside ``X.f32`` says it; if both do, they have to
            agree.

    Returns:
        A memmap of shape (rows, dim), float32. :func:`bulk_build_index` uses it in place.

    Raises:
        InputNotFound: There is no such file. A ``FileNotFoundError``.
        DimensionMismatch: The dimensions disagree. A ``ValueError``.
        InputError: Nothing says the dimension. A ``ValueError``.
        CorruptFile: The size is no whole number of rows, or not as many as the sidecar says. A ``ValueError``.
    """
    import numpy as np

    path = Path(path)
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise InputNotFound(f"{path}: cannot open: {error.strerror}", path=str(path), hint="check its name") from error
    sidecar, rows_said, dim_said = _sidecar(path)
    if dimension is not None and dimension < 1:
        raise InputError(f"dimension: expected at least 1, found {dimension}")
    if dimension is not None and dim_said is not None and dimension != dim_said:
        raise DimensionMismatch(
            f"Dimension mismatch: expected {dimension}, got {dim_said} in {sidecar}",
            path=str(path),
            hint="leave dimension= away, or correct the sidecar",
        )
    dim = dimension if dimension is not None else dim_said
    if dim is None:
        raise InputError(
            f"{path}: expected a dimension, found none: raw values do not say it",
            path=str(path),
            hint=f'pass dimension=, or write {{"dim": N}} to {path.with_suffix(".json")}',
        )
    rows, over = divmod(size_bytes, dim * _VALUE_BYTES)
    if over or (rows_said is not None and rows_said != rows):
        expected = f"{rows_said} rows, as {sidecar} says" if rows_said is not None else f"whole rows of {dim} values"
        raise CorruptFile(
            f"{path}: expected {expected}, found {size_bytes} bytes ({rows} rows and {over} bytes)",
            path=str(path),
            hint="the file was cut short, or the dimension is another",
        )
    if rows == 0:
        return np.empty((0, dim), np.float32)
    return np.memmap(path, dtype="<f4", mode="r", shape=(rows, dim))


def _sidecar(path: Path) -> tuple[Path | None, int | None, int | None]:
    """The sidecar, and the rows and the dimension that it says."""
    for sidecar in (path.with_name(path.name + ".json"), path.with_suffix(".json"), path.with_name("meta.json")):
        if sidecar == path or not sidecar.is_file():
            continue
        try:
            with open(sidecar, "rb") as file:
                value: Any = json.loads(file.read(_MAX_SIDECAR_BYTES))
        except ValueError as error:
            raise CorruptFile(f"{sidecar}: expected JSON: {error}", path=str(sidecar), hint="correct or remove it") from error
        if not isinstance(value, dict):
            raise CorruptFile(f"{sidecar}: expected a JSON object", path=str(sidecar), hint="correct or remove it")
        return sidecar, _number(value, "n", sidecar), _number(value, "dim", sidecar)
    return None, None, None


def _number(value: dict[str, Any], key: str, sidecar: Path) -> int | None:
    number = value.get(key)
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or number < (key == "dim"):
        raise CorruptFile(f"{sidecar}: {key}: expected a whole number, found {number!r}", path=str(sidecar))
    return number
