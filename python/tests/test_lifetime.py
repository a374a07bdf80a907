"""However a build is ended: no process stays, no temporary file, and the index that was there before is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sochdb_bulk import Cancelled, bulk_build_index, bulk_info

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

#: What has not ended by then never will: machines of tests are busy.
LIMIT_SECS = 60
#: A build that takes seconds: the insertion builder with a wide beam, on one thread.
OPTIONS = {"builder": "insert", "ef_construction": 600, "threads": 1, "metric": "l2"}
SLOW = """
import sys, numpy as np
from sochdb_bulk import bulk_build_index
rows = np.random.default_rng(1).standard_normal((60_000, 64)).astype(np.float32)
print("ready", flush=True)
bulk_build_index(rows, "o.hnsw", progress=lambda p: print(p.phase, flush=True), ids=np.arange(60_000),
                 builder="insert", ef_construction=600, threads=1, metric="l2")
print("done", flush=True)
"""


@pytest.fixture
def old(folder: Path, rows: np.ndarray) -> bytes:
    """An index that is there already."""
    bulk_build_index(rows, "o.hnsw")
    return (folder / "o.hnsw").read_bytes()


def programs(folder: Path) -> list[int]:
    """The processes of sochdb-bulk that run in this test's folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and os.readlink(process / "cwd") == str(folder):
                if os.path.basename(os.readlink(process / "exe")) == "sochdb-bulk":
                    found.append(int(process.name))
        except OSError:
            continue
    return found


def nothing_is_left(folder: Path, temp: Path, old: bytes) -> None:
    end = time.monotonic() + LIMIT_SECS
    while programs(folder) and time.monotonic() < end:
        time.sleep(0.05)
    assert programs(folder) == []
    assert list(temp.iterdir()) == []
    assert os.listdir(folder) == ["o.hnsw"]
    assert (folder / "o.hnsw").read_bytes() == old
    assert bulk_info("o.hnsw")["rows"] == 1000


def started(folder: Path) -> subprocess.Popen[str]:
    """A process of Python in which a build is at work."""
    process = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while True:
        line = process.stdout.readline()
        assert line, process.communicate()
        if line.strip() not in ("ready", "reading"):
            break
    assert len(programs(folder)) == 1, "the build is too short for this test"
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_the_parent_is_killed(folder: Path, temp: Path, old: bytes, number: signal.Signals) -> None:
    process = started(folder)
    process.send_signal(number)
    assert process.wait(LIMIT_SECS) == -number
    nothing_is_left(folder, temp, old)


def test_ctrl_c(folder: Path, temp: Path, old: bytes) -> None:
    process = started(folder)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT_SECS)
    assert "KeyboardInterrupt" in err and process.returncode != 0
    # The exception was raised when all was over.
    assert programs(folder) == []
    nothing_is_left(folder, temp, old)


def test_the_callback_raises(folder: Path, temp: Path, old: bytes) -> None:
    rows = np.random.default_rng(1).standard_normal((20_000, 64)).astype(np.float32)

    class Enough(Exception):
        pass

    def stop(progress: object) -> None:
        raise Enough

    with pytest.raises(Enough):
        bulk_build_index(rows, "o.hnsw", progress=stop, **OPTIONS)
    assert programs(folder) == []
    nothing_is_left(folder, temp, old)


def test_the_program_is_killed(folder: Path, temp: Path, old: bytes) -> None:
    rows = np.random.default_rng(1).standard_normal((20_000, 64)).astype(np.float32)
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)):

        def kill(progress: object) -> None:
            for pid in programs(folder):
                os.kill(pid, number)

        with pytest.raises(Cancelled) as raised:
            bulk_build_index(rows, "o.hnsw", progress=kill, **OPTIONS)
        assert raised.value.returncode == code
        nothing_is_left(folder, temp, old)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_does_not_keep_the_program(folder: Path, temp: Path, old: bytes) -> None:
    # A worker that is forked while a build is at work lives longer than whoever has started it.
    code = SLOW.replace(
        "progress=lambda p: print(p.phase, flush=True)",
        "progress=lambda p: (print(p.phase, flush=True), forked())",
    ).replace(
        "rows = ",
        "import os, time\n"
        "def forked():\n"
        "    if not globals().get('pid') and not globals().__setitem__('pid', os.fork() or -1) and pid == -1:\n"
        "        os.close(1); os.close(2); time.sleep(90); os._exit(0)\n"
        "rows = ",
        1,
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline().strip() in ("ready", "reading"):
        pass
    assert len(programs(folder)) == 1
    start = time.monotonic()
    process.kill()
    process.wait()
    nothing_is_left(folder, temp, old)
    assert time.monotonic() - start < LIMIT_SECS
