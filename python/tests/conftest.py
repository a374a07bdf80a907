"""What the tests share. They test the package that is installed; `run_tests.py` builds and installs it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and another one for temporary files: `temporary_files` says what is left there."""
    temp = tmp_path / "temp"
    work = tmp_path / "work"
    temp.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("SOCHDB_BULK_TMPDIR", str(temp))
    return work


@pytest.fixture
def temp(folder: Path) -> Path:
    """The folder for temporary files."""
    return Path(os.environ["SOCHDB_BULK_TMPDIR"])


@pytest.fixture
def rows() -> np.ndarray:
    """1,000 rows of 16 values."""
    return np.random.default_rng(7).standard_normal((1000, 16)).astype(np.float32)
