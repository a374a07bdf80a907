"""``python -m sochdb_bulk`` and the console script ``sochdb-bulk``: the program, in the place of this process."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from ._errors import BinaryNotFound
from ._find import ASKING_VARIABLE, get_sochdb_bulk_path


def main() -> NoReturn:
    """Starts the program with the arguments of this process."""
    if os.environ.get(ASKING_VARIABLE):
        # Somebody who looks for the program asks this launcher of it: it is not, and must not look itself.
        sys.exit("a launcher of the Python package")
    try:
        program = os.fspath(get_sochdb_bulk_path())
    except BinaryNotFound as error:
        sys.exit(f"error: {error}")
    arguments = [program, *sys.argv[1:]]
    if os.name == "posix":
        os.execv(program, arguments)
    import subprocess

    sys.exit(subprocess.call(arguments))


if __name__ == "__main__":
    main()
