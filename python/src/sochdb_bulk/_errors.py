"""What can go wrong, as exceptions: one base, and subclasses that also are what Python's own functions raise."""

from __future__ import annotations

from typing import Any

__all__ = [
    "BinaryNotFound",
    "BulkError",
    "Cancelled",
    "CorruptFile",
    "DimensionMismatch",
    "InputError",
    "InputNotFound",
    "OutOfMemory",
    "OutputError",
    "OutputExists",
    "PrecisionWarning",
]


class BulkError(RuntimeError):
    """The work was not done. ``str()`` is the message with what to do about it.

    Attributes:
        code: The code of the failure, such as ``"E0302"``; ``sochdb-bulk explain CODE`` tells more. None if it has none.
        message: What is wrong, and where.
        path: The file that is meant, if it is one.
        hint: What to do about it, if that is known.
        command: The command line that was run; empty if there was none.
        returncode: Its exit status: 1 the work failed, 2 it was refused before it began, 130 and 143 stopped by SIGINT and
            SIGTERM, negative as in :mod:`subprocess`. None if nothing was run.
        stderr: What else it said.
        errors: All that is wrong, where several things are: the objects of ``--error-format json``.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        path: str | None = None,
        hint: str | None = None,
        command: list[str] | None = None,
        returncode: int | None = None,
        stderr: str = "",
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path
        self.hint = hint
        self.command = command or []
        self.returncode = returncode
        self.stderr = stderr
        self.errors = errors or []

    def __str__(self) -> str:
        text = f"[{self.code}] {self.message}" if self.code else self.message
        for error in self.errors[1:]:
            text += f"\n[{error.get('code')}] {error.get('message')}"
        return f"{text}\n  help: {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[Any, ...]:
        # A process of a pool hands its exceptions over: the attributes go with them.
        return _restored, (type(self), self.message), self.__dict__


def _restored(kind: type[BulkError], message: str) -> BulkError:
    return kind(message)


class BinaryNotFound(BulkError, FileNotFoundError):
    """The program ``sochdb-bulk`` is nowhere, or cannot be run. The message lists every place that was looked at."""


class InputError(BulkError, ValueError):
    """Something about the vectors, ids or options does not fit: shape, type, NaN, an id that is there twice."""


class DimensionMismatch(InputError):
    """Dimensions disagree: of queries and index, of a file and what was asked for."""


class InputNotFound(BulkError, FileNotFoundError):
    """A file that is not there, or cannot be read."""


class CorruptFile(BulkError, ValueError):
    """A file that breaks the rules of its format: damaged, cut short, or not what its name says."""


class OutputError(BulkError, OSError):
    """The output cannot be written: no such folder, no space, no permission. What was there before is still there."""


class OutputExists(OutputError, FileExistsError):
    """The output is there already, and ``if_exists="error"`` was asked for."""


class OutOfMemory(BulkError, MemoryError):
    """More memory would be needed than ``memory_limit`` allows. Nothing was written."""


class Cancelled(BulkError):
    """The program was stopped by a signal that this process did not send. Nothing was left behind."""


class PrecisionWarning(UserWarning):
    """Values were rounded to float32, which holds about seven digits. Convert them yourself to say that you know."""


_BY_CODE: dict[str, type[BulkError]] = {
    "E0201": InputNotFound,
    "E0202": OutputExists,
    "E0203": OutputError,
    "E0204": OutputError,
    "E0302": DimensionMismatch,
    "E0306": OutOfMemory,
    "E0401": CorruptFile,
    "E0406": OutputError,
    "E0601": Cancelled,
}


def error_class(code: str | None) -> type[BulkError]:
    """The class for a code of the program: by the code, or else by the hundred that it is in."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code is not None and code[:3] in ("E01", "E02", "E03", "E04") and code != "E0407":
        return InputError
    return BulkError
