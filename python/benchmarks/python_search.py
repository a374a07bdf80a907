#!/usr/bin/env python3
"""Searches from Python: queries a second of ours and of peers, at equal recall, by batches, in one process and in turn.

    python python/benchmarks/python_search.py base.npy queries.npy --metric cosine --threads 1,2

For each recall that is asked for, each library searches by the smallest ef that reaches it.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import common
from common import K, Report, comma_list, decimals, exact_neighbours, recall, run_main, say, setting, setting_lines
from libraries import LIBRARIES

EFS = (10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 320, 400, 512, 640, 800, 1024)


class Ours:
    """The index of the package."""

    def __init__(self, job, folder):
        from sochdb.bulk import Index, bulk_build_index

        self.path, self.job = Path(folder) / "search.hnsw", job
        self.build_index, self.open = bulk_build_index, Index.open

    def prepare(self, rows):
        return rows

    def add(self, base):
        job = self.job
        self.build_index(
            base, self.path, metric=job["metric"], m=job["m"], ef_construction=job["ef_construction"], quiet=True
        )
        self.index = self.open(self.path)

    def search_by(self, queries, ef, threads):
        return self.index.search(queries, K, ef, threads=threads)[0]


def by_threads(library):
    """A peer's search with a number of threads. Its own `search` has one."""

    def search(queries, ef, threads):
        name = type(library).__name__
        if name == "Hnswlib":
            library.index.set_ef(ef)
            return library.index.knn_query(queries, K, num_threads=threads)[0]
        if name == "Faiss":
            library.faiss.omp_set_num_threads(threads)
            library.index.hnsw.efSearch = ef
            return library.index.search(queries, K)[1]
        library.index.expansion_search = ef
        return library.index.search(queries, K, threads=threads).keys

    return search


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("queries")
    parser.add_argument("--metric", choices=common.METRICS, default="cosine")
    parser.add_argument("--threads", type=comma_list(int), default=[1, 2])
    parser.add_argument("--recalls", type=comma_list(float), default=[0.9, 0.95, 0.99])
    parser.add_argument("--libs", type=comma_list(str), default=["ours", "hnswlib", "faiss", "usearch"])
    parser.add_argument("-m", type=int, default=16)
    parser.add_argument("-e", "--ef-construction", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=0.5, help="about as long as one measurement takes")
    parser.add_argument("--markdown", help="write the tables to a file as well")
    args = parser.parse_args()
    base, queries = common.load_f32(args.base), common.load_f32(args.queries)
    exact = exact_neighbours(base, queries, K, args.metric)
    job = {"metric": args.metric, "m": args.m, "ef_construction": args.ef_construction, "threads": 0}
    with tempfile.TemporaryDirectory(prefix="python_search-") as folder:
        search, asked = {}, {}
        for name in args.libs:
            say(f"{name}: building")
            library = Ours(job, folder) if name == "ours" else LIBRARIES[name](job, *base.shape)
            library.add(library.prepare(base.copy()))
            asked[name] = library.prepare(queries.copy())
            search[name] = library.search_by if name == "ours" else by_threads(library)
        smallest = {name: smallest_efs(search[name], asked[name], exact, args.recalls) for name in args.libs}
        report = Report("Searches from Python")
        report.lines(setting_lines(setting(["sochdb-bulk", "hnswlib", "faiss-cpu", "usearch"])))
        for threads in args.threads:
            report.heading(f"Queries a second, {threads} thread{'s' * (threads > 1)}, recall@{K}")
            rows = []
            for wanted in args.recalls:
                efs = {name: smallest[name][wanted] for name in args.libs if smallest[name][wanted]}
                secs = in_turn(search, asked, efs, threads, args)
                rates = {name: len(queries) / statistics.median(secs[name]) for name in secs}
                peers = [rate for name, rate in rates.items() if name != "ours"]
                ratio = rates["ours"] / max(peers) if "ours" in rates and peers else None
                cells = [
                    f"{rates[name]:.0f} (ef {efs[name][0]}, {efs[name][1]:.3f})" if name in rates else "not reached"
                    for name in args.libs
                ]
                rows.append([f"{wanted}", *cells, decimals(2)(ratio)])
            report.table(["recall at least", *args.libs, "ours / best peer"], rows)
    report.lines(
        [
            f"{len(base):,} x {base.shape[1]}, {len(queries):,} queries in a call, {args.metric}, M {args.m}, ef_construction {args.ef_construction}",
            f"medians of {args.rounds} rounds in turn; in brackets the smallest ef that reaches the recall, and its recall",
        ]
    )
    report.write(args.markdown)


def smallest_efs(search, queries, exact, recalls):
    """For each recall the smallest ef that reaches it, with the recall that it has; None if none does."""
    found, at = dict.fromkeys(recalls), 0
    for wanted in sorted(recalls):
        while at < len(EFS):
            reached = recall(search(queries, EFS[at], 2), exact)
            if reached >= wanted:
                found[wanted] = (EFS[at], reached)
                break
            at += 1
    return found


def in_turn(search, asked, efs, threads, args):
    """Seconds of one pass over the queries, for each library: one figure a round."""
    passes, secs = {}, {name: [] for name in efs}
    for name, (ef, _) in efs.items():
        start = time.perf_counter()
        search[name](asked[name], ef, threads)
        passes[name] = max(1, round(args.secs / (time.perf_counter() - start)))
    for _ in range(args.rounds):
        for name, (ef, _) in efs.items():
            start = time.perf_counter()
            for _ in range(passes[name]):
                search[name](asked[name], ef, threads)
            secs[name].append((time.perf_counter() - start) / passes[name])
    return secs


if __name__ == "__main__":
    run_main(main)
