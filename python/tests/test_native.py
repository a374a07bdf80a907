"""The binaries: what they need, and that the library has the functions that its header declares."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from sochdb_bulk import _find, _library

spec = importlib.util.spec_from_file_location("platform_tag", ROOT / "python" / "platform_tag.py")
assert spec is not None and spec.loader is not None
platform_tag = importlib.util.module_from_spec(spec)
spec.loader.exec_module(platform_tag)


def test_the_header_declares_what_is_called() -> None:
    header = (ROOT / "index" / "capi" / "sochdb_bulk_index.h").read_text()
    declared = set(re.findall(r"\b(sbi_\w+)\(", header))
    library = _library.library()
    assert declared == {*_library._FUNCTIONS, "sbi_abi_version"}
    for name in declared:
        assert getattr(library, name)
    assert f"#define SBI_ABI_VERSION {_library.ABI_VERSION}" in header
    for name, (_, arguments) in _library._FUNCTIONS.items():
        (declaration,) = re.findall(rf"\b{name}\(([^)]*)\)", header)
        assert len(declaration.split(",")) == len(arguments), name


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_is_c(tmp_path: Path, language: str) -> None:
    source = tmp_path / "use.c"
    source.write_text('#include "sochdb_bulk_index.h"\nint main(void) { return sbi_abi_version() != SBI_ABI_VERSION; }\n')
    command = ["cc", "-x", language, "-Wall", "-Wextra", "-Werror", "-I", ROOT / "index" / "capi", source]
    program = tmp_path / "use"
    library = _find.find_library()
    if language == "c":
        subprocess.run([*command, "-x", "none", library, "-o", program], check=True)
        assert subprocess.run([program], env={"LD_LIBRARY_PATH": str(library.parent)}).returncode == 0
    elif shutil.which("c++"):
        subprocess.run([*command, "-fsyntax-only"], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
def test_tags_are_what_the_binaries_need() -> None:
    binaries = [_find.get_sochdb_bulk_path(), _find.find_library()]
    tag = platform_tag.platform_tag(binaries)
    highest = max(platform_tag.highest_glibc(path) or (2, 17) for path in binaries)
    versions = set()
    for path in binaries:
        versions |= {tuple(map(int, each.groups())) for each in re.finditer(rb"\0GLIBC_(\d+)\.(\d+)(?=[.\0])", path.read_bytes())}
    if versions:
        assert highest == max(max(versions), (2, 17))
        assert re.fullmatch(rf"manylinux_2_{highest[1]}_(x86_64|aarch64)", tag)
    limit = os.environ.get("SOCHDB_BULK_TEST_GLIBC")
    if limit:
        # Of a release: no newer than was promised.
        assert highest <= tuple(map(int, limit.split("."))), (tag, highest)


def test_binaries_that_no_tag_describes(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("#!/bin/sh\n")
    with pytest.raises(platform_tag.NoTag, match="neither ELF nor PE nor Mach-O"):
        platform_tag.platform_tag([tmp_path / "text"])
    # The least of a PE file: where the PE header begins, and its machine.
    pe = bytearray(0x90)
    pe[:2], pe[0x3C], pe[0x80:0x86] = b"MZ", 0x80, b"PE\0\0\x64\x86"
    (tmp_path / "a.exe").write_bytes(pe)
    assert platform_tag.platform_tag([tmp_path / "a.exe"]) == "win_amd64"
    if sys.platform == "linux":
        with pytest.raises(platform_tag.NoTag, match="several systems"):
            platform_tag.platform_tag([tmp_path / "a.exe", _find.get_sochdb_bulk_path()])
