#!/usr/bin/env python3
"""Other libraries load what `export` writes and find the same rows; their own indexes are opened here.

    pip install numpy hnswlib faiss-cpu usearch
    cargo build --release
    python3 python/tests/libraries.py --base base.npy --queries queries.npy --metric l2

Without --base it makes rows of its own: clusters that lie apart, and rows that equal others. With --sochdb, the path of SochDB's
own `sochdb-bulk` (it comes with `pip download --no-deps sochdb==0.8.3`, in the wheel), its searches are compared as well. Each library
is skipped, with a message, where it is not installed. Recall of each library at each ef must be that of the program, or better, to
0.1 points; to 0.3 points for the rows that it makes, of which one cluster that is missed by one query is 0.2. (The program walks by
codes of the vectors, the libraries by the vectors.) Exits 1 if anything is not as it should be.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

K = 10
EFS = (20, 50, 100, 200)


def clusters(rows=12_000, dim=64, centres=100, queries=500):
    """Gaussians far from one another, with forty rows that equal the first."""
    rng = np.random.default_rng(3)
    middle = rng.standard_normal((centres, dim)) * 4
    near = lambda count: middle[rng.integers(0, centres, count)] + rng.standard_normal((count, dim)) * 0.3
    base = near(rows).astype(np.float32)
    base[-40:] = base[0]
    return base, near(queries).astype(np.float32)


def exact(base, queries, metric):
    """The true K nearest rows, as sets of distances would be unfair to rows that equal others: by row number."""
    base, queries = base.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        base = base / np.maximum(np.linalg.norm(base, axis=1, keepdims=True), 1e-300)
        queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-300)
    scores = -(queries @ base.T)
    if metric == "l2":
        scores = scores * 2 + (base**2).sum(1)
    return np.sort(np.partition(scores, K - 1, axis=1)[:, K - 1 : K], axis=1), scores


class Truth:
    """Recall by distance: a row as near as the K-th is right, whichever of equal rows it is."""

    def __init__(self, base, queries, metric):
        self.worst, self.scores = exact(base, queries, metric)

    def recall(self, rows):
        rows = np.asarray(rows, dtype=np.int64)
        found = np.take_along_axis(self.scores, np.where(rows < 0, 0, rows), axis=1)
        scale = np.abs(self.worst) + 1e-6
        right = (found <= self.worst + 1e-6 * scale) & (rows >= 0)
        return right.sum() / self.worst.shape[0] / K


class Bench:
    def __init__(self, folder, program, base, queries, metric, tolerance):
        self.folder, self.program, self.metric = Path(folder), program, metric
        self.tolerance = tolerance
        self.base, self.queries = base, queries
        self.truth = Truth(base, queries, metric)
        self.base_file, self.query_file = self.folder / "base.npy", self.folder / "queries.npy"
        np.save(self.base_file, base)
        np.save(self.query_file, queries)
        self.index = self.folder / "index.hnsw"
        self.run("build-index", "-i", self.base_file, "-o", self.index, "--metric", metric)
        self.ours = {ef: self.truth.recall(self.query(self.index, ef)) for ef in EFS}

    def run(self, *arguments):
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stderr}")
        return done.stdout

    def query(self, index, ef, *more):
        hits = self.folder / "hits.npy"
        self.run("query", "-i", index, "-q", self.query_file, "-k", K, "-e", ef, "-f", "npy", "-o", hits, *more)
        return np.load(hits)["id"].astype(np.int64)

    def export(self, library):
        file = self.folder / f"index.{library}"
        self.run("export", self.index, "--to", library, "-o", file)
        return file

    def compare(self, library, search):
        """The recall of a library's own search at each ef, with ours."""
        wrong = []
        for ef in EFS:
            theirs = self.truth.recall(search(ef))
            mark = "" if theirs >= self.ours[ef] - self.tolerance else "  WORSE"
            print(f"  {library:8} ef {ef:3}: {theirs:.4f}, ours {self.ours[ef]:.4f}{mark}")
            if mark:
                wrong.append(f"{library} at ef {ef}")
        return wrong

    def unit(self):
        """Queries as libraries without cosine want them."""
        if self.metric != "cosine":
            return self.queries
        return self.queries / np.linalg.norm(self.queries, axis=1, keepdims=True)


def hnswlib(bench):
    library = importlib.import_module("hnswlib")
    space = {"l2": "l2", "cosine": "cosine", "ip": "ip"}[bench.metric]
    index = library.Index(space, bench.base.shape[1])
    index.load_index(str(bench.export("hnswlib")))

    def search(ef):
        index.set_ef(ef)
        return index.knn_query(bench.queries, K)[0]

    wrong = bench.compare("hnswlib", search)
    # Its own index, here.
    own = library.Index(space, bench.base.shape[1])
    own.init_index(len(bench.base), M=16, ef_construction=100, random_seed=1)
    own.add_items(bench.base)
    file = bench.folder / "own.bin"
    own.save_index(str(file))
    own.set_ef(100)
    theirs = bench.truth.recall(own.knn_query(bench.queries, K)[0])
    return wrong + opened(bench, "hnswlib", file, theirs, "--metric", bench.metric)


def faiss(bench):
    library = importlib.import_module("faiss")
    index = library.read_index(str(bench.export("faiss")))

    def search(ef):
        library.downcast_index(index).hnsw.efSearch = ef
        return index.search(bench.unit(), K)[1]

    wrong = bench.compare("faiss", search)
    kind = library.METRIC_L2 if bench.metric == "l2" else library.METRIC_INNER_PRODUCT
    own = library.IndexHNSWFlat(bench.base.shape[1], 16, kind)
    own.hnsw.efConstruction = 100
    base = bench.base
    if bench.metric == "cosine":
        base = base / np.maximum(np.linalg.norm(base, axis=1, keepdims=True), 1e-30)
    own.add(base)
    file = bench.folder / "own.faiss"
    library.write_index(own, str(file))
    own.hnsw.efSearch = 100
    theirs = bench.truth.recall(own.search(bench.unit(), K)[1])
    return wrong + opened(bench, "faiss", file, theirs)


def usearch(bench):
    library = importlib.import_module("usearch.index")
    index = library.Index.restore(str(bench.export("usearch")))

    def search(ef):
        index.expansion_search = ef
        return index.search(bench.queries, K).keys

    wrong = bench.compare("usearch", search)
    metric = {"l2": "l2sq", "cosine": "cos", "ip": "ip"}[bench.metric]
    for dtype in ("f32", "bf16"):
        own = library.Index(
            ndim=bench.base.shape[1], metric=metric, dtype=dtype, connectivity=16, expansion_add=100
        )
        own.add(np.arange(len(bench.base)), bench.base)
        file = bench.folder / f"own-{dtype}.usearch"
        own.save(str(file))
        own.expansion_search = 100
        theirs = bench.truth.recall(own.search(bench.queries, K).keys)
        wrong += opened(bench, f"usearch {dtype}", file, theirs)
    return wrong


def opened(bench, library, file, theirs, *metric):
    """An index that a library made: searched here as well as there, checked, and its vectors read."""
    wrong = []
    ours = bench.truth.recall(bench.query(file, 100, *metric))
    mark = "" if ours >= theirs - 0.003 else "  WORSE"
    print(f"  {library:8} its own index at ef 100: {theirs:.4f} there, {ours:.4f} here{mark}")
    if mark:
        wrong.append(f"searching an index of {library}")
    info = json.loads(bench.run("info", "-i", file, "--json"))
    if (info["rows"], info["dim"]) != bench.base.shape:
        wrong.append(f"info of an index of {library}: {info}")
    vectors = bench.folder / "vectors.npy"
    bench.run("convert", "-i", file, "-o", vectors)
    found = np.load(vectors)
    base = bench.base
    if bench.metric == "cosine":
        base = base / np.linalg.norm(base, axis=1, keepdims=True)
        found = found / np.linalg.norm(found, axis=1, keepdims=True)
    # Indexes of hnswlib and usearch are in the order of their threads.
    if "faiss" not in library:
        base, found = np.sort(base, axis=0), np.sort(found, axis=0)
    if not np.allclose(found, base, atol=0.02 if "bf16" in library else 1e-5, rtol=0.01):
        wrong.append(f"vectors out of an index of {library}")
    return wrong


def sochdb(bench, program):
    file = bench.export("sochdb")
    file = file.rename(file.with_suffix(".sochdb.hnsw"))

    def nearest(index, query, number):
        one = bench.folder / "one.f32"
        query.astype(np.float32).tofile(one)
        done = subprocess.run(
            [program, "query", "-i", index, "-q", one, "-k", str(K)], capture_output=True, text=True, check=True
        )
        ids = [int(line.split("ID:")[1].split()[0]) for line in done.stderr.splitlines() if "ID:" in line]
        return (ids + [-1] * K)[:K]

    def recall(index):
        count = min(200, len(bench.queries))
        found = [nearest(index, query, number) for number, query in enumerate(bench.queries[:count])]
        truth = Truth(bench.base, bench.queries[:count], bench.metric)
        return truth.recall(np.array(found))

    raw = bench.folder / "base.f32"
    bench.base.tofile(raw)
    own = bench.folder / "own.sochdb.hnsw"
    subprocess.run(
        [program, "build-index", "-i", raw, "-o", own, "-d", str(bench.base.shape[1]), "--quiet"],
        capture_output=True,
        check=True,
    )
    theirs, ours = recall(own), recall(file)
    print(f"  sochdb   its own build {theirs:.4f}, our export {ours:.4f}, both by its own search")
    wrong = [] if ours >= 0.99 or ours >= theirs else [f"SochDB finds {ours} in our export"]
    info = bench.run("info", "-i", own)
    print("  " + next(line for line in info.splitlines() if line.startswith("reachable")))
    if bench.metric == "cosine":
        here = bench.truth.recall(bench.query(own, 100))
        print(f"  sochdb   its own build, searched here at ef 100: {here:.4f}")
    return wrong


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=root / "target/release/sochdb-bulk")
    parser.add_argument("--base", help="rows, .npy of f32")
    parser.add_argument("--queries", help="queries, .npy of f32")
    parser.add_argument("--metric", action="append", choices=["l2", "cosine", "ip"])
    parser.add_argument("--sochdb", help="SochDB's own sochdb-bulk")
    arguments = parser.parse_args()
    if arguments.base:
        base, queries = np.load(arguments.base), np.load(arguments.queries)
    else:
        base, queries = clusters()
    wrong = []
    for metric in arguments.metric or ["l2", "cosine"]:
        print(f"{len(base)} x {base.shape[1]}, {metric}")
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(folder, arguments.program, base, queries, metric, 0.001 if arguments.base else 0.003)
            for library in (hnswlib, faiss, usearch):
                try:
                    wrong += library(bench)
                except ImportError as error:
                    print(f"  {library.__name__}: skipped: {error}")
            if arguments.sochdb:
                wrong += sochdb(bench, arguments.sochdb)
    for line in wrong:
        print(f"WRONG: {line}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
