#!/usr/bin/env python3
"""What the program adds to its library: `query` as a whole process beside the same searches in a process that opens the index itself.

    python python/benchmarks/query.py base.npy queries.npy --metric cosine --threads 2

Each round runs, in turn, the program from start to exit, and a fresh Python process with the package `sochdb-bulk` (or
PYTHONPATH=python/src after build_native.py) that opens the index and searches for all queries: a first pass, which is the first to
touch the file, and some more.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
from common import BINARY, K, Refused, run_main, say

LIBRARY = """
import json, sys, time
import numpy as np
from sochdb.bulk import Index
path, queries, k, ef, threads, passes = sys.argv[1], np.load(sys.argv[2]), *map(int, sys.argv[3:])
started = time.perf_counter()
index = Index.open(path)
opened = time.perf_counter()
times = []
for _ in range(1 + passes):
    before = time.perf_counter()
    index.search(queries, k, ef, threads=threads)
    times.append(time.perf_counter() - before)
print(json.dumps({"open": opened - started, "passes": times}))
"""


def program(args, index, folder):
    """Seconds of a whole process."""
    command = [args.binary, "query", "-i", index, "-q", args.queries, "-k", K, "-e", args.ef, "-t", args.threads]
    before = time.perf_counter()
    run([*command, "-f", "npy", "-o", folder / "hits.npy"])
    return time.perf_counter() - before


def library(args, index):
    """Seconds of opening, of the first pass, and of a later one."""
    out = run([sys.executable, "-c", LIBRARY, index, args.queries, K, args.ef, args.threads, args.passes])
    seconds = json.loads(out)
    first, *later = seconds["passes"]
    return seconds["open"], first, statistics.median(later)


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"{command[0]} failed: {done.stderr.strip()}", "install the package, and build the program with --release")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("queries")
    parser.add_argument("--metric", choices=common.METRICS, default="cosine")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ef", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--passes", type=int, default=9, help="passes of the library after its first")
    parser.add_argument("--binary", default=BINARY)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(args.base).absolute().parent) as folder:
        folder = Path(folder)
        index = folder / "index.hnsw"
        say("building")
        run([args.binary, "build-index", "-i", args.base, "-o", index, "--metric", args.metric, "-q"])
        rounds = []
        for number in range(args.rounds):
            say(f"round {number + 1} of {args.rounds}")
            rounds.append((program(args, index, folder), *library(args, index)))
    whole, opening, first, later = (statistics.median(column) for column in zip(*rounds))
    for name, seconds in [
        ("program, whole process", whole),
        ("library, opening", opening),
        ("library, first pass", first),
        ("library, a later pass", later),
    ]:
        print(f"{name:<24} {seconds * 1e3:8.1f} ms")
    print(f"of the library's throughput with its start (opening and first pass): {(opening + first) / whole:.1%}")
    print(f"of the library's throughput once all is in place (a later pass):     {later / whole:.1%}")


if __name__ == "__main__":
    run_main(main)
