"""The console script that SochDB's wheels declare: it starts the program."""

from __future__ import annotations

from sochdb_bulk.__main__ import main as main

__all__ = ["main"]

if __name__ == "__main__":
    main()
