#!/usr/bin/env python3
"""How many vectors a second become an index from Python: by bulk_build_index, and row by row inside the process.

    python python/benchmarks/bulk_benchmark.py --size medium --peers

Needs the package (`pip install .` in python/), and for the rows of others hnswlib, faiss-cpu and usearch. Each figure is the median of
--rounds; libraries take turns. The vectors are made (uneven clusters on a curved surface, as embeddings have them), unless
--data names a .npy file.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import common
from common import Refused, Report, decimals, run_main, say, setting, setting_lines
from datasets import Clustered

# Rows of the bulk builds, and of those that are inserted one by one.
SIZES = {
    "small": ([1_000, 10_000], 1_000),
    "medium": ([10_000, 100_000], 10_000),
    "large": ([100_000, 1_000_000], 10_000),
}


def name_of(rows):
    return f"{rows // 1_000_000}M" if rows >= 1_000_000 else f"{rows // 1000}K"


class Ours:
    name = "sochdb-bulk"

    def __init__(self, folder, args):
        from sochdb.bulk import bulk_build_index

        self.build_index, self.output, self.args = bulk_build_index, Path(folder) / "benchmark.hnsw", args

    def bulk(self, rows):
        args = self.args
        self.build_index(
            rows,
            self.output,
            metric=args.metric,
            m=args.m,
            ef_construction=args.ef_construction,
            threads=args.threads,
            quiet=True,
        )

    one_by_one = None


class Hnswlib:
    name = "hnswlib"

    def __init__(self, _, args):
        import hnswlib

        self.hnswlib, self.args = hnswlib, args

    def _empty(self, rows):
        index = self.hnswlib.Index(space=self.args.metric, dim=rows.shape[1])
        index.init_index(len(rows), M=self.args.m, ef_construction=self.args.ef_construction)
        return index

    def bulk(self, rows):
        self._empty(rows).add_items(rows, num_threads=self.args.threads or -1)

    def one_by_one(self, rows):
        index = self._empty(rows)
        for row, vector in enumerate(rows):
            index.add_items(vector, row, num_threads=1)


class Faiss:
    name = "faiss"

    def __init__(self, _, args):
        import faiss

        self.faiss, self.args = faiss, args
        self.all_threads = faiss.omp_get_max_threads()

    def _empty(self, rows):
        metric = self.faiss.METRIC_L2 if self.args.metric == "l2" else self.faiss.METRIC_INNER_PRODUCT
        index = self.faiss.IndexHNSWFlat(rows.shape[1], self.args.m, metric)
        index.hnsw.efConstruction = self.args.ef_construction
        return index

    def bulk(self, rows):
        self.faiss.omp_set_num_threads(self.args.threads or self.all_threads)
        if self.args.metric == "cosine":
            rows = rows.copy()
            self.faiss.normalize_L2(rows)
        self._empty(rows).add(rows)

    def one_by_one(self, rows):
        self.faiss.omp_set_num_threads(1)
        if self.args.metric == "cosine":
            rows = rows.copy()
            self.faiss.normalize_L2(rows)
        index = self._empty(rows)
        for row in range(len(rows)):
            index.add(rows[row : row + 1])


class Usearch:
    name = "usearch"

    def __init__(self, _, args):
        from usearch.index import Index

        self.index, self.args = Index, args

    def _empty(self, rows):
        metric = {"l2": "l2sq", "cosine": "cos", "ip": "ip"}[self.args.metric]
        return self.index(
            ndim=rows.shape[1],
            metric=metric,
            dtype="f32",
            connectivity=self.args.m,
            expansion_add=self.args.ef_construction,
        )

    def bulk(self, rows):
        self._empty(rows).add(np.arange(len(rows)), rows, threads=self.args.threads)

    def one_by_one(self, rows):
        index = self._empty(rows)
        for row, vector in enumerate(rows):
            index.add(row, vector)


def libraries(folder, args):
    """Those that are wanted and installed; ours first."""
    found = []
    for kind in (Ours, Hnswlib, Faiss, Usearch) if args.peers else (Ours, Hnswlib):
        try:
            found.append(kind(folder, args))
        except ImportError:
            if kind is Ours:
                raise Refused("the package is not installed", "pip install ./python") from None
            say(f"{kind.name}: not installed, left out")
    return found


def vectors(args, rows):
    if args.data:
        base = common.open_npy(args.data)
        if len(base) < rows:
            raise Refused(f"{args.data}: expected {rows:,} rows, found {len(base):,}", "choose a smaller --size")
        return np.ascontiguousarray(base[:rows], np.float32)
    return np.concatenate(list(Clustered(args.dim).chunks(rows, Clustered.BASE)))


def measured(args, folder):
    """Seconds of each test and library: lists, one figure a round."""
    bulk_sizes, single_rows = SIZES[args.size]
    found = libraries(folder, args)
    tests = [(f"bulk_build_{name_of(rows)}", rows, "bulk") for rows in bulk_sizes]
    tests.append((f"in_process_insert_{name_of(single_rows)}", single_rows, "one_by_one"))
    secs = {}
    for test, rows, how in tests:
        base = vectors(args, rows)
        for _ in range(args.rounds):
            for library in found:
                # Without --peers hnswlib stands for insertion inside the process, and for nothing else.
                work = getattr(library, how)
                if work is None or (how == "bulk" and not args.peers and library.name != Ours.name):
                    continue
                say(f"{test}: {library.name}")
                start = time.perf_counter()
                work(base)
                secs.setdefault((test, rows), {}).setdefault(library.name, []).append(time.perf_counter() - start)
    return found, secs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--dim", type=int, default=768, help="values a row of made vectors [default: 768]")
    parser.add_argument("--data", help="a .npy of vectors in the place of made ones")
    parser.add_argument("--metric", choices=common.METRICS, default="cosine")
    parser.add_argument("-m", type=int, default=16)
    parser.add_argument("-e", "--ef-construction", type=int, default=100)
    parser.add_argument("-t", "--threads", type=int, default=0, help="0 is one for each core")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="hnswlib, faiss and usearch as well")
    parser.add_argument("--markdown", help="write the table to a file as well")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulk_benchmark-") as folder:
        found, secs = measured(args, folder)
    names = [library.name for library in found]
    report = Report("Vectors a second from Python")
    lines = setting_lines(setting(["sochdb-bulk", "hnswlib", "faiss-cpu", "usearch"]))
    dim = common.open_npy(args.data).shape[1] if args.data else args.dim
    lines += [f"data: {args.data or 'made, clustered'}, {dim} values a row; medians of {args.rounds} rounds"]
    report.lines(lines)
    rows = []
    for (test, count), by_library in secs.items():
        rates = [count / statistics.median(by_library[name]) if name in by_library else None for name in names]
        rows.append([test, *(decimals(0)(rate) for rate in rates)])
    report.table(["test, vectors/s", *names], rows)
    report.lines(
        [
            "bulk_build: from an array in memory to an index; ours includes writing, checking and syncing the file",
            "in_process_insert: one row a call, on one thread; ours has no such call",
        ]
    )
    report.write(args.markdown)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    run_main(main)
