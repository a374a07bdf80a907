"""What the documentation shows is what happens."""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sochdb_bulk
from conftest import ROOT

PAGES = ["README.md", "docs/migration.md"]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", PAGES)
def test_examples_of_pages(name: str) -> None:
    text = (ROOT / "python" / name).read_text()
    # What needs a library that is not here is marked by its name: ```python needs=faiss
    for library, block in re.findall(r"```python needs=(\w+)\n(.*?)```", text, re.S):
        if importlib.util.find_spec(library) is None:
            text = text.replace(block, "")
    test = doctest.DocTestParser().get_doctest(text.replace("```", ""), {}, name, name, 0)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(test)
    assert runner.tries > 5 and runner.failures == 0


@pytest.mark.parametrize("module", [each.name for each in pkgutil.iter_modules(sochdb_bulk.__path__)])
def test_examples_of_docstrings(module: str) -> None:
    if module != "__main__":
        found = doctest.testmod(
            importlib.import_module(f"sochdb_bulk.{module}"), extraglobs=vars(sochdb_bulk), optionflags=OPTIONS
        )
        assert found.failed == 0


def test_public_functions_have_examples_or_say_what_they_raise() -> None:
    for name in sochdb_bulk.__all__:
        value = getattr(sochdb_bulk, name)
        if callable(value) and not isinstance(value, type):
            assert "Raises:" in value.__doc__ and "Args:" in value.__doc__ or name == "get_sochdb_bulk_path", name


def test_the_tutorial_runs(folder: Path) -> None:
    notebook = json.loads((ROOT / "python" / "docs" / "tutorial.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    script = "\n\n".join(cells)
    data = str(ROOT / "examples" / "data")
    assert 'Path("../../examples/data")' in script
    script = script.replace('Path("../../examples/data")', f"Path({data!r})")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # What a cell is shown to print is what it prints.
    shown = [line for cell in notebook["cells"] for output in cell.get("outputs", []) for line in output.get("text", [])]
    stable = [line for line in shown if not re.search(r"\d+\.\d+ s|vec/s|queries/s|MiB", line)]
    assert stable and all(line.strip() in done.stdout for line in stable), (stable, done.stdout)
