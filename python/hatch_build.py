"""Puts the program into the wheel, and says for which systems the wheel is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from platform_tag import platform_tag  # noqa: E402

#: The one folder of `_bin` that goes into the wheel, where there are several.
FOLDER_VARIABLE = "SOCHDB_BULK_WHEEL_PLATFORM"


class NativeHook(BuildHookInterface):  # type: ignore[misc]
    """Builds the program where `build_native.py` has not."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        folder = self._folder()
        files = sorted(file for file in folder.iterdir() if file.suffix != ".new")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(files)}"
        for file in files:
            build_data["force_include"][str(file)] = f"sochdb/_bin/{folder.name}/{file.name}"
        root = HERE.parent
        for name in ("LICENSE-APACHE", "LICENSE-MIT"):
            if (root / name).is_file():
                build_data["extra_metadata"][str(root / name)] = f"licenses/{name}"

    def _folder(self) -> Path:
        folders = HERE / "src" / "sochdb" / "_bin"
        wanted = os.environ.get(FOLDER_VARIABLE)
        if wanted:
            return folders / wanted
        found = sorted(folder for folder in folders.glob("*") if folder.is_dir())
        if not found:
            subprocess.run([sys.executable, str(HERE / "build_native.py")], check=True)
            found = sorted(folder for folder in folders.glob("*") if folder.is_dir())
        if len(found) != 1:
            names = ", ".join(folder.name for folder in found)
            raise SystemExit(f"error: _bin has several platforms: {names}\n  help: choose one by {FOLDER_VARIABLE}")
        return found[0]
