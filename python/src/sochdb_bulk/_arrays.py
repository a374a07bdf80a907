"""Arrays of any library as rows of float32: where they are in a file already, or written to one once."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import sys
import tempfile
import uuid
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Iterator, Union

from ._errors import InputError, OutputError, PrecisionWarning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import TypeGuard

#: Where temporary files go; otherwise where :mod:`tempfile` puts them.
TEMP_VARIABLE = "SOCHDB_BULK_TMPDIR"

#: Values that are converted at a time.
_CHUNK_VALUES = 1 << 22
#: What is left free on the disk of a temporary file.
_SPARE_BYTES = 16 << 20
#: Rows that are compared between an array and the file that it seems to be a view of.
_COMPARED_ROWS = 32
PathLike = Union[str, "os.PathLike[str]"]


@dataclass
class Source:
    """Vectors as the program takes them."""

    rows: int
    dim: int
    #: The flags that name them.
    arguments: list[str]
    #: What stands for the names of temporary files in messages.
    names: dict[str, str] = field(default_factory=dict)


class TempFiles:
    """Temporary files of one call. On Linux they have no name, so nothing is left of them whatever ends this process."""

    def __init__(self, folder: PathLike | None, keep: bool) -> None:
        self._folder = os.fspath(folder or os.environ.get(TEMP_VARIABLE) or tempfile.gettempdir())
        self._keep = keep
        self._named: list[Path] = []
        self._made: Path | None = None
        self._files: list[IO[bytes]] = []
        self.pass_fds: list[int] = []

    def __enter__(self) -> TempFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()
        if self._made is not None and not self._keep:
            shutil.rmtree(self._made, ignore_errors=True)

    def check_space(self, size_bytes: int) -> None:
        """Fails if so many bytes do not fit, before any of them is written."""
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            raise OutputError(
                f"{self._folder}: no temporary file can be put there: {error.strerror}",
                path=self._folder,
                hint=f"name a folder that exists: temp_dir= or {TEMP_VARIABLE}",
            ) from error
        if size_bytes + _SPARE_BYTES > free:
            raise OutputError(
                f"{self._folder}: expected {size_bytes:,} bytes of free space for a temporary file, found {free:,}",
                path=self._folder,
                hint=f"name a folder with more space by temp_dir= or {TEMP_VARIABLE}, or pass an array that is a memmap",
            )

    def new(self, name: str) -> tuple[IO[bytes], str]:
        """An open file, and the path by which the program finds it."""
        if not self._keep:
            nameless = self._nameless()
            if nameless is not None:
                self._files.append(nameless)
                self.pass_fds.append(nameless.fileno())
                return nameless, f"/proc/self/fd/{nameless.fileno()}"
        return self.named(name)

    def named(self, name: str) -> tuple[IO[bytes], str]:
        """The same of a file that has a name, for programs that go by it."""
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="sochdb_bulk_", dir=self._folder))
        path = self._made / name
        file: IO[bytes] = open(path, "w+b")
        self._files.append(file)
        return file, os.fspath(path)

    def _nameless(self) -> IO[bytes] | None:
        if not os.path.isdir("/proc/self/fd"):
            return None
        flag = getattr(os, "O_TMPFILE", None)
        if flag is not None:
            with contextlib.suppress(OSError):
                return os.fdopen(os.open(self._folder, os.O_RDWR | os.O_CLOEXEC | flag, 0o600), "w+b")
        # A file system that knows no such files: one whose name is taken away at once.
        return tempfile.TemporaryFile(dir=self._folder)


def _module_of(value: object) -> str:
    return type(value).__module__.split(".")[0]


def _of_other_library(value: Any) -> Any:
    """What numpy's own protocols do not give, or not without loss, in forms that they do."""
    module = _module_of(value)
    if module == "torch" and hasattr(value, "detach"):
        value = value.detach().cpu()
        # numpy has no bfloat16; float32 holds each of its values.
        return value.float() if str(value.dtype) == "torch.bfloat16" else value
    if module == "pyarrow":
        return _of_arrow(value)
    if module == "polars" and hasattr(value, "to_arrow") and hasattr(value, "dtype"):
        return _of_arrow(value.to_arrow())
    return value


def _of_arrow(value: Any) -> Any:
    """A column of lists of one length as an array of two dimensions. Its values are not copied."""
    import pyarrow as pa

    if isinstance(value, (pa.Table, pa.RecordBatch)):
        raise InputError(
            "expected a column of vectors, found a table",
            hint=f"choose a column: table[{value.schema.names[0]!r}]" if value.schema.names else None,
        )
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks() if value.num_chunks != 1 else value.chunk(0)
        if isinstance(value, pa.ChunkedArray):
            value = pa.concat_arrays(value.chunks)
    kind = value.type
    if not (pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return value
    values = value.flatten()
    if value.null_count or values.null_count:
        raise InputError(
            f"expected a vector in every row, found {value.null_count or values.null_count} nulls",
            hint="leave such rows out first: column.drop_null()",
        )
    if len(value) == 0:
        dim = kind.list_size if pa.types.is_fixed_size_list(kind) else 0
    else:
        lengths = {kind.list_size} if pa.types.is_fixed_size_list(kind) else set(value.value_lengths().unique().to_pylist())
        if len(lengths) != 1:
            raise InputError(f"expected vectors of one length, found lengths {sorted(lengths)[:5]}")
        dim = lengths.pop()
    return values.to_numpy(zero_copy_only=False).reshape(len(value), dim)


def to_array(value: Any, what: str) -> NDArray[Any]:
    """An array of whatever is one for numpy, without a copy where that is possible."""
    import numpy as np

    value = _of_other_library(value)
    try:
        array = np.asarray(value) if not isinstance(value, np.ndarray) else value
        if array.dtype == object and array.ndim == 1 and len(array):
            array = np.stack([np.asarray(row) for row in array])
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{what}: expected rows of one length, found others: {error}", hint="each row needs the same number of values"
        ) from error
    return array


def as_two_dimensional(value: Any, what: str = "embeddings") -> NDArray[Any]:
    """An array of numbers of shape (rows, dim), of whatever type they are."""
    array = to_array(value, what)
    if array.ndim != 2:
        raise InputError(
            f"Expected 2D array, got {array.ndim}D: {what} of shape {array.shape}",
            hint="one vector is an array of one row: x[np.newaxis, :]" if array.ndim == 1 else "reshape it to (rows, dim)",
        )
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what}: expected numbers, found {array.dtype}", hint="convert them: x.astype(np.float32)")
    if array.shape[1] == 0:
        raise InputError(f"{what}: expected at least one value in a row, found shape {array.shape}")
    return array


def as_float32(embeddings: Any, what: str = "embeddings") -> NDArray[np.float32]:
    """The same as float32 in C order: itself if it is that already. Warns of values that are rounded."""
    import numpy as np

    array = as_two_dimensional(embeddings, what)
    if array.dtype == np.float32 and array.flags.c_contiguous and array.dtype.isnative:
        return array
    out = np.empty(array.shape, np.float32)
    converter = _Converter(array.dtype, what)
    for start, stop in _chunks(array):
        out[start:stop] = converter.convert(array[start:stop], start)
    converter.warn()
    return out


class _Converter:
    """Numbers to float32, and what is lost by that."""

    def __init__(self, dtype: np.dtype[Any], what: str) -> None:
        import numpy as np

        self._what = what
        self._dtype = dtype
        self._is_exact = np.can_cast(dtype, np.float32, "safe")
        self._first_rounded: tuple[int, int] | None = None

    def convert(self, chunk: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore"):
            out = np.ascontiguousarray(chunk, dtype=np.float32)
        if self._is_exact or self._first_rounded is not None and self._dtype.kind == "f":
            if self._dtype.kind == "f" and not self._is_exact:
                self._refuse_overflow(chunk, out, first_row)
            return out
        if self._dtype.kind == "f":
            self._refuse_overflow(chunk, out, first_row)
            lost = (out != chunk) & ~np.isnan(out)
        else:
            # As the program has it: float32 holds every whole number up to there.
            lost = (chunk > 2**24) | (chunk < -(2**24))
        if lost.any():
            row, column = (int(place) for place in np.argwhere(lost)[0])
            if self._dtype.kind != "f":
                raise InputError(
                    f"{self._what}: row {first_row + row}, column {column}: {chunk[row, column]} is beyond 2**24",
                    hint="float32 holds whole numbers up to 2**24: convert them yourself if rounding is meant",
                )
            self._first_rounded = (first_row + row, column)
        return out

    def _refuse_overflow(self, chunk: NDArray[Any], out: NDArray[np.float32], first_row: int) -> None:
        import numpy as np

        infinite = np.isinf(out)
        if infinite.any():
            over = infinite & np.isfinite(chunk)
            if over.any():
                row, column = (int(place) for place in np.argwhere(over)[0])
                raise InputError(
                    f"{self._what}: row {first_row + row}, column {column}: {chunk[row, column]} is too large for float32",
                    hint="scale the vectors",
                )

    def warn(self) -> None:
        if self._first_rounded is not None:
            row, column = self._first_rounded
            warn_caller(
                f"{self._what}: {self._dtype} was rounded to float32, first at row {row}, column {column}; "
                "pass x.astype(np.float32) to say that this is meant",
                PrecisionWarning,
            )


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warns of the line that called the package, however deep in it this is."""
    frame, level = sys._getframe(1), 2
    package = os.path.dirname(__file__)
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == package:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _chunks(array: NDArray[Any]) -> Iterator[tuple[int, int]]:
    rows = max(1, _CHUNK_VALUES // max(1, array.shape[1]))
    for start in range(0, len(array), rows):
        yield start, min(start + rows, len(array))


def place_in_file(array: NDArray[Any]) -> tuple[str, int] | None:
    """The file whose bytes an array is, and the byte at which it begins; None if it is no such array.

    It is one if it is float32 in C order and a view of a memmap that shows what is in the file. A few rows are compared with the
    file, since another one may have its name by now.
    """
    import numpy as np

    if array.dtype != np.dtype("<f4") or not array.flags.c_contiguous or array.size == 0:
        return None
    root: Any = None
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap):
            root = base
        base = base.base
    if root is None or root.filename is None or root.mode not in ("r", "r+"):
        return None
    inside = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    if inside < 0 or inside + array.nbytes > root.nbytes:
        return None
    if root.mode == "r+":
        root.flush()
    path, offset = os.fspath(root.filename), int(root.offset) + int(inside)
    row_bytes = array.shape[1] * 4
    try:
        with open(path, "rb") as file:
            for row in {len(array) * at // _COMPARED_ROWS for at in range(_COMPARED_ROWS)} | {len(array) - 1}:
                file.seek(offset + row * row_bytes)
                if file.read(row_bytes) != array[row].tobytes():
                    return None
    except OSError:
        return None
    return path, offset


def staged(embeddings: Any, temp: TempFiles, what: str = "embeddings") -> Source:
    """Vectors where the program can read them: in the file that they are a view of, or in a temporary one."""
    array = as_two_dimensional(embeddings, what)
    rows, dim = array.shape
    place = place_in_file(array)
    if place is not None:
        path, offset = place
        part = ["--offset", str(offset), "--count", str(rows)]
        return Source(rows, dim, ["--input", path, *_raw(dim), *part])
    temp.check_space(rows * dim * 4)
    file, path = temp.new("vectors.f32")
    converter = _Converter(array.dtype, what)
    try:
        for start, stop in _chunks(array):
            converter.convert(array[start:stop], start).tofile(file)
        file.flush()
    except OSError as error:
        # numpy's own message has no errno: it says how many items were asked for.
        raise OutputError(
            f"{what}: the temporary file cannot be written: {error.strerror or error}",
            hint=f"name a folder with more space by temp_dir= or {TEMP_VARIABLE}",
        ) from error
    converter.warn()
    # With the number of rows nothing is made of what the values may look like, such as the first bytes of a packed file.
    arguments = ["--input", path, *_raw(dim), "--count", str(rows)]
    return Source(rows, dim, arguments, names={path: what})


def _raw(dim: int) -> list[str]:
    return ["--format", "raw_f32", "--dimension", str(dim)]


def checked_ids(ids: Any, rows: int) -> NDArray[Any]:
    """Ids as u64, or as UTF-8 of one size, one for each row. That each is there once is for the program to see."""
    import numpy as np

    array = np.asarray(_of_other_library(ids))
    if array.ndim != 1:
        raise InputError(f"ids: expected one dimension, found shape {array.shape}")
    if len(array) != rows:
        raise InputError(f"IDs length ({len(array)}) != vectors ({rows})", hint="give one id for each row")
    if array.size == 0:
        return np.empty(0, np.uint64)
    if array.dtype.kind in "UST" or (array.dtype.kind == "O" and is_text_id(array[0])):
        return _text_ids(ids if isinstance(ids, (list, tuple)) else array)
    if array.dtype.kind not in "iu":
        raise InputError(
            f"ids: expected whole numbers, texts or UUIDs, found {array.dtype}", hint="convert them: ids.astype(np.uint64)"
        )
    if array.dtype.kind == "i" and array.min() < 0:
        row = int(np.argmax(array < 0))
        raise InputError(f"ids: row {row}: expected a number from 0, found {array[row]}")
    return np.ascontiguousarray(array, dtype="<u8")


def _text_ids(ids: Any) -> NDArray[np.bytes_]:
    import numpy as np

    texts: list[bytes] = []
    for row, id in enumerate(ids):
        # `numpy.str_` is a `str`, and `numpy.bytes_` are `bytes`: both are what an array of texts holds.
        if not is_text_id(id) and not isinstance(id, bytes):
            raise InputError(f"ids: row {row}: expected a text or a UUID as in row 0, found {id!r}")
        try:
            text = id if isinstance(id, bytes) else str(id).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"ids: row {row}: expected a text that UTF-8 holds, found {id!r}") from error
        if text.endswith(b"\0"):
            raise InputError(f"ids: row {row}: expected a text that does not end in a zero byte, found {id!r}")
        texts.append(text)
    return np.array(texts, f"S{max(1, max(map(len, texts)))}")


def staged_ids(ids: Any, source: Source, temp: TempFiles) -> list[str]:
    """The flag that names the ids."""
    import numpy as np

    # Of the two kinds of files of ids the one that says what it is: bare numbers may begin as any other format does.
    array = checked_ids(ids, source.rows)
    temp.check_space(array.nbytes)
    file, path = temp.new("ids.npy")
    np.save(file, array)
    file.flush()
    source.names[path] = "ids"
    return ["--ids", path]


def is_path(value: object) -> TypeGuard[PathLike]:
    """Whether something names a file instead of being an array."""
    return isinstance(value, (str, os.PathLike))


def is_text_id(value: object) -> bool:
    """Whether an id is a text or a UUID."""
    return isinstance(value, (str, uuid.UUID))
