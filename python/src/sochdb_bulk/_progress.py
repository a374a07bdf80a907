"""Progress of a run, shown or handed over."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Callable, Protocol, Union


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        phase: What is being done: ``"reading"``, ``"comparing"``, ``"choosing"``, ``"inserting"``, ``"writing"`` and others.
        rows_done: Rows that are done in this phase.
        rows_total: Rows of this phase; None if that is not known.
        elapsed_secs: Seconds since the run began.
    """

    phase: str
    rows_done: int
    rows_total: int | None
    elapsed_secs: float


#: What ``progress=`` takes: None shows it in terminals and notebooks unless ``quiet``, True and False say so, and a function is
#: called with each :class:`Progress`, about once a second and at the beginning of each phase.
ProgressArgument = Union[bool, Callable[[Progress], object], None]


class Observer(Protocol):
    """Something that is told of progress."""

    def on_event(self, event: dict[str, Any]) -> None:
        """One line of the program."""

    def close(self) -> None:
        """The run is over."""


class _Caller:
    def __init__(self, function: Callable[[Progress], object]) -> None:
        self._function = function

    def on_event(self, event: dict[str, Any]) -> None:
        self._function(_of_event(event))

    def close(self) -> None:
        pass


class _TqdmBar:
    """A bar of tqdm, which knows notebooks."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None
        self._phase: str | None = None

    def on_event(self, event: dict[str, Any]) -> None:
        progress = _of_event(event)
        if progress.phase != self._phase:
            self.close()
            self._phase = progress.phase
            self._bar = self._tqdm(total=progress.rows_total, desc=progress.phase, unit="row", leave=False)
        self._bar.update(max(0, progress.rows_done - self._bar.n))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Line:
    """One line that is written over and over."""

    def __init__(self) -> None:
        self._width = 0

    def on_event(self, event: dict[str, Any]) -> None:
        progress = _of_event(event)
        total = "" if progress.rows_total is None else f" of {progress.rows_total:,}"
        self._show(f"{progress.phase}: {progress.rows_done:,}{total} rows after {progress.elapsed_secs:.0f} s")

    def _show(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)

    def close(self) -> None:
        if self._width:
            self._show("")
            sys.stderr.write("\r")
            sys.stderr.flush()


def observer(progress: ProgressArgument, quiet: bool) -> Observer | None:
    """What is to be told of progress, if anything is."""
    if callable(progress):
        return _Caller(progress)
    if progress is False or (progress is None and (quiet or not _is_watched())):
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Line()
    return _TqdmBar(tqdm)


def _is_watched() -> bool:
    """Whether a person sees standard error: a terminal, or a notebook."""
    if "ipykernel" in sys.modules:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


def _of_event(event: dict[str, Any]) -> Progress:
    return Progress(
        phase=str(event.get("part")),
        rows_done=int(event.get("rows") or 0),
        rows_total=event.get("total_rows"),
        elapsed_secs=float(event.get("elapsed_secs") or 0.0),
    )
