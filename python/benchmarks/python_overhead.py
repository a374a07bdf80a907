#!/usr/bin/env python3
"""What bulk_build_index costs beside the program itself: the same build from an array, from a memmap, and by the command line.

    python python/benchmarks/python_overhead.py base.npy
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

import common
from common import Report, run_main, say, setting, setting_lines, shown, spread


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="a .npy of float32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--markdown", help="write the table to a file as well")
    args = parser.parse_args()
    from sochdb.bulk import bulk_build_index, get_sochdb_bulk_path

    array = common.load_f32(args.base)
    mapped = np.load(args.base, mmap_mode="r")
    with tempfile.TemporaryDirectory(prefix="python_overhead-") as folder:
        output = Path(folder) / "o.hnsw"
        command = [get_sochdb_bulk_path(), "build-index", "-i", args.base, "-o", output, "--quiet"]

        def program():
            subprocess.run(command, check=True)

        def from_array():
            stats = bulk_build_index(array, output, quiet=True)
            assert "--offset" not in stats.command

        def from_memmap():
            stats = bulk_build_index(mapped, output, quiet=True)
            assert "--offset" in stats.command and stats.details["vectors_in_place"]

        ways = {"command line": program, "array in memory": from_array, "memmap": from_memmap}
        secs = {name: [] for name in ways}
        for number in range(args.rounds + 1):
            for name, work in ways.items():
                say(f"round {number}: {name}")
                start = time.perf_counter()
                work()
                # The first round fills caches.
                if number:
                    secs[name].append(time.perf_counter() - start)
    report = Report("bulk_build_index beside the program")
    report.lines(setting_lines(setting(["sochdb-bulk"])))
    differences = {
        name: [a - b for a, b in zip(secs[name], secs["command line"])] for name in ways if name != "command line"
    }
    rows = [
        [
            name,
            shown(spread(secs[name]), lambda s: f"{s:.3f}"),
            f"{statistics.median(differences[name]):+.3f}" if name in differences else "",
        ]
        for name in ways
    ]
    report.table(["way", "seconds", "more than the program"], rows)
    rows, dim = array.shape
    report.lines([f"{rows:,} x {dim} float32; medians (least-most) of {args.rounds} rounds in turn, differences within a round"])
    report.write(args.markdown)


if __name__ == "__main__":
    run_main(main)
