"""One run of the program: its progress, its failures, and its end, whatever the end of this process is."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
from dataclasses import dataclass, field
from typing import IO, Any, Iterator, Sequence

from ._errors import BulkError, Cancelled, error_class
from ._find import get_sochdb_bulk_path
from ._progress import Observer

#: How long a program may take to end after it was asked to.
STOP_SECS = 10.0


@dataclass
class Completed:
    """What a run left."""

    command: list[str]
    stdout: str
    #: What it said on standard error, without progress and failures.
    notes: list[str] = field(default_factory=list)


class _Pipes:
    """The ends of pipes that programs watch. A process that is forked from this one must not hold them open."""

    def __init__(self) -> None:
        self._open: set[IO[bytes]] = set()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        for pipe in self._open:
            # Nothing was written to it, so closing writes nothing.
            with contextlib.suppress(OSError):
                pipe.close()
        self._open.clear()

    @contextlib.contextmanager
    def held(self, pipe: IO[bytes]) -> Iterator[None]:
        self._open.add(pipe)
        try:
            yield
        finally:
            self._open.discard(pipe)
            with contextlib.suppress(OSError):
                pipe.close()


_pipes = _Pipes()


def run(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    observer: Observer | None = None,
    pass_fds: Sequence[int] = (),
    names: dict[str, str] | None = None,
) -> Completed:
    """Runs the program to its end.

    It ends with this process: it watches a pipe whose other end is here. Ctrl-C, an exception of the observer, or any other
    that comes while it runs stops it, and waits until it has cleaned up behind itself.

    Args:
        arguments: The command and its flags.
        observer: Is told of progress. The program is asked for it if there is one.
        pass_fds: Descriptors that it needs.
        names: What stands for a path in messages: nobody knows the name of a temporary file.

    Raises:
        BulkError: If it fails; see :mod:`sochdb_bulk` for the classes.
    """
    program = get_sochdb_bulk_path()
    flags = ["--error-format", "json", "--color", "never", "--end-with-stdin"]
    command = [os.fspath(program), *(os.fspath(argument) for argument in arguments)]
    if observer is not None:
        flags += ["--progress", "json"]
    options: dict[str, Any] = {}
    if os.name == "posix":
        # Of its own session: Ctrl-C of a terminal reaches this process alone, which then stops the program once.
        options = {"start_new_session": True, "pass_fds": tuple(pass_fds)}
    else:
        options = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    try:
        process = subprocess.Popen(
            [*command[:2], *flags, *command[2:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
    except OSError as error:
        raise BulkError(f"{program}: cannot be run: {error.strerror}", command=command) from error
    assert process.stdin is not None
    with _pipes.held(process.stdin):
        try:
            stdout, lines = _watched(process, observer)
            returncode = process.wait()
        except BaseException:
            _stop(process)
            raise
        finally:
            _close(process)
    errors = [_renamed(line, names) for line in lines if isinstance(line, dict)]
    notes = [line for line in lines if isinstance(line, str)]
    if returncode != 0:
        raise _failure(command, returncode, errors, notes)
    return Completed(command, stdout.decode(), notes)


def _watched(process: subprocess.Popen[bytes], observer: Observer | None) -> tuple[bytes, list[str | dict[str, Any]]]:
    """Standard output, and the lines of standard error: failures parsed. Returns when both have ended."""
    # Threads read, and this one waits with a limit: so Ctrl-C comes through on every system.
    events: queue.SimpleQueue[tuple[str, bytes | None]] = queue.SimpleQueue()

    def read(name: str, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):
            for line in pipe:
                events.put((name, line))
        events.put((name, None))

    for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
        threading.Thread(target=read, args=(name, pipe), daemon=True).start()
    out: list[bytes] = []
    lines: list[str | dict[str, Any]] = []
    is_open = 2
    while is_open:
        try:
            name, data = events.get(timeout=0.25)
        except queue.Empty:
            continue
        if data is None:
            is_open -= 1
        elif name == "stdout":
            out.append(data)
        else:
            line = _parsed(data)
            if isinstance(line, dict) and line.get("event") == "progress":
                if observer is not None:
                    observer.on_event(line)
            else:
                lines.append(line)
    return b"".join(out), lines


def _parsed(data: bytes) -> str | dict[str, Any]:
    text = data.decode(errors="replace").rstrip("\r\n")
    if text.startswith("{"):
        with contextlib.suppress(ValueError):
            value = json.loads(text)
            if isinstance(value, dict) and ("event" in value or "severity" in value):
                return value
    return text


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks a program to end by closing the pipe that it watches, and kills it if it does not."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(STOP_SECS)
    except BaseException:
        # Too late, or Ctrl-C once more.
        process.kill()
        process.wait()


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdout, process.stderr):
        with contextlib.suppress(OSError, ValueError):
            if pipe is not None:
                pipe.close()


def _renamed(error: dict[str, Any], names: dict[str, str] | None) -> dict[str, Any]:
    for path, name in (names or {}).items():
        for key in ("message", "help"):
            if isinstance(error.get(key), str):
                error[key] = error[key].replace(path, name)
        if error.get("path") == path:
            error["path"] = None
        place = error.get("place")
        if place and place.get("file") == path:
            place["file"] = name
    return error


def _failure(
    command: list[str], returncode: int, errors: list[dict[str, Any]], notes: list[str]
) -> BulkError:
    stderr = "\n".join(notes)
    if not errors:
        if returncode < 0 or returncode in (130, 143):
            message = f"sochdb-bulk was stopped by a signal (exit status {returncode})"
            return Cancelled(message, command=command, returncode=returncode, stderr=stderr)
        message = f"sochdb-bulk failed with exit code {returncode}: {stderr.strip() or 'it said nothing'}"
        return BulkError(message, command=command, returncode=returncode, stderr=stderr)
    first = errors[0]
    kind = error_class(first.get("code"))
    if first.get("place"):
        place = first["place"]
        where = ":".join(str(part) for part in (place.get("file"), place.get("line"), place.get("column")) if part)
        first["message"] = f"{where}: {first.get('message')}"
    return kind(
        str(first.get("message")),
        code=first.get("code"),
        path=first.get("path"),
        hint=first.get("help"),
        command=command,
        returncode=returncode,
        stderr=stderr,
        errors=errors,
    )
