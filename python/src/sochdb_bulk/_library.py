"""The C interface of the index engine, by ctypes. ``index/capi/sochdb_bulk_index.h`` declares the same functions."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from typing import TYPE_CHECKING, Any

from ._errors import BinaryNotFound, BulkError, CorruptFile, InputError, InputNotFound
from ._find import find_library

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The version of the interface that this module speaks.
ABI_VERSION = 1

_OK, _NO_FILE = 0, 2
_CLASSES: dict[int, type[BulkError]] = {
    1: InputError,
    2: InputNotFound,
    3: BulkError,
    4: CorruptFile,
    5: CorruptFile,
    6: CorruptFile,
    7: BulkError,
    8: InputNotFound,
}
_HINTS = {
    2: "check its name and who may read it",
    4: "make an index of vectors with bulk_build_index",
    5: "use a newer sochdb-bulk, or build the index again with this one",
    6: "the file is damaged: copy it again, or build it again",
    7: "this is a mistake of sochdb-bulk: please report it",
    8: "put the file of vectors back where it was, as it was, or build the index again",
}

_size, _pointer, _status = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int32
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "sbi_last_error": (_size, [_pointer, _size]),
    "sbi_open": (_status, [ctypes.c_char_p, _size, ctypes.POINTER(_pointer)]),
    "sbi_close": (None, [_pointer]),
    "sbi_describe": (_status, [_pointer, _pointer, _size, ctypes.POINTER(_size)]),
    "sbi_search": (_status, [_pointer, _pointer, _size, _size, _size, _size, _size, _pointer, _pointer, _size]),
    "sbi_ids": (_status, [_pointer, ctypes.POINTER(_pointer)]),
    "sbi_text_ids": (_status, [_pointer, ctypes.POINTER(_pointer), ctypes.POINTER(_pointer)]),
    "sbi_vectors": (_status, [_pointer, ctypes.POINTER(_pointer)]),
}

_lock = threading.Lock()
_loaded: ctypes.CDLL | None = None


def library() -> ctypes.CDLL:
    """The library, loaded once."""
    global _loaded
    with _lock:
        if _loaded is None:
            path = find_library()
            try:
                loaded = ctypes.CDLL(os.fspath(path))
            except OSError as error:
                raise BinaryNotFound(
                    f"{path}: cannot be loaded: {error}", hint="install a wheel for this platform, or build from source on it"
                ) from error
            loaded.sbi_abi_version.restype = ctypes.c_uint32
            loaded.sbi_abi_version.argtypes = []
            version = loaded.sbi_abi_version()
            if version != ABI_VERSION:
                raise BinaryNotFound(
                    f"{path}: expected version {ABI_VERSION} of its interface, found {version}",
                    hint="install program, library and package from one wheel",
                )
            for name, (restype, argtypes) in _FUNCTIONS.items():
                function = getattr(loaded, name)
                function.restype, function.argtypes = restype, argtypes
            _loaded = loaded
        return _loaded


class Handle:
    """An index that the library has opened. It is closed when nobody has it any more, views of its arrays included."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._address = ctypes.c_void_p()
        self._library = library()
        self.path = os.fspath(path)
        name = os.fsencode(self.path)
        self.check(self._library.sbi_open(name, len(name), ctypes.byref(self._address)))

    def __del__(self) -> None:
        address = getattr(self, "_address", None)
        if address:
            self._library.sbi_close(address)
            address.value = None

    def check(self, status: int) -> None:
        """Raises what a call says."""
        if status == _OK:
            return
        length = self._library.sbi_last_error(None, 0)
        buffer = ctypes.create_string_buffer(length)
        self._library.sbi_last_error(buffer, length)
        message = buffer.raw.decode(errors="replace")
        kind = _CLASSES.get(status, BulkError)
        about_file = kind is not InputError
        raise kind(
            f"{self.path}: {message}" if about_file else message,
            path=self.path if about_file else None,
            hint=_HINTS.get(status),
        )

    def describe(self) -> dict[str, Any]:
        """What the file says of itself."""
        length = ctypes.c_size_t()
        self.check(self._library.sbi_describe(self._address, None, 0, ctypes.byref(length)))
        buffer = ctypes.create_string_buffer(length.value)
        self.check(self._library.sbi_describe(self._address, buffer, length.value, ctypes.byref(length)))
        described: dict[str, Any] = json.loads(buffer.raw.decode())
        return described

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        ef: int,
        threads: int,
        ids: NDArray[np.uint64],
        distances: NDArray[np.float32],
    ) -> None:
        """Fills ``ids`` and ``distances``, of as many columns as there are hits. All arrays are in C order."""
        rows, dim = queries.shape
        self.check(
            self._library.sbi_search(
                self._address,
                queries.ctypes.data,
                rows,
                dim,
                k,
                ef,
                threads,
                ids.ctypes.data,
                distances.ctypes.data,
                ids.size,
            )
        )

    def ids(self, rows: int) -> NDArray[np.uint64] | None:
        """The ids where they are in the file; None if it has none."""
        address = ctypes.c_void_p()
        self.check(self._library.sbi_ids(self._address, ctypes.byref(address)))
        return self._view(address, (rows,), "<u8") if address.value else None

    def text_ids(self, rows: int) -> tuple[NDArray[np.uint64], NDArray[np.uint8]] | None:
        """Where each text begins and the last ends, and the texts, where they are in the file; None if ids are no texts."""
        offsets, texts = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(self._library.sbi_text_ids(self._address, ctypes.byref(offsets), ctypes.byref(texts)))
        if not offsets.value:
            return None
        places = self._view(offsets, (rows + 1,), "<u8")
        return places, self._view(texts, (int(places[-1]),), "|u1")

    def vectors(self, rows: int, dim: int) -> NDArray[np.float32]:
        """The vectors where they are in the file, after their checksums were checked."""
        address = ctypes.c_void_p()
        self.check(self._library.sbi_vectors(self._address, ctypes.byref(address)))
        return self._view(address, (rows, dim), "<f4")

    def _view(self, address: ctypes.c_void_p, shape: tuple[int, ...], typestr: str) -> NDArray[Any]:
        import numpy as np

        if 0 in shape:
            return np.empty(shape, typestr)
        return np.asarray(_InFile(self, address.value or 0, shape, typestr))


class _InFile:
    """Numbers in the map of a file, for numpy. The array holds on to this, and so to the map."""

    def __init__(self, handle: Handle, address: int, shape: tuple[int, ...], typestr: str) -> None:
        self._handle = handle
        # The second of `data` says that nothing may be written there.
        self.__array_interface__ = {"version": 3, "data": (address, True), "shape": shape, "typestr": typestr}
