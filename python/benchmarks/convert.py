#!/usr/bin/env python3
"""Measures `sochdb-bulk convert` against the libraries that people use for the same, on the same files, in turn.

Peers are functions in a process that has everything imported; ours is a whole process. Both end when the output is
synced to the disk. The ratio is the peer's median time divided by ours: above 1 ours is faster.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from common import BINARY, Report, decimals, load_f32, run_main, say

CASES = []


def case(name, *libraries):
    """Registers a peer for a case of that name; libraries that are not installed leave it out."""

    def register(function):
        CASES.append((name, function, libraries))
        return function

    return register


def synced(path):
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


class Files:
    """The input of each case, made once by the libraries that people make it with."""

    def __init__(self, folder, rows):
        self.folder, self.rows = folder, rows

    def path(self, name):
        path = self.folder / name
        if not path.exists():
            getattr(self, "make_" + name.replace(".", "_").replace("-", "_"))(path)
        return path

    def make_f32_npy(self, path):
        np.save(path, self.rows)

    def make_f16_npy(self, path):
        np.save(path, self.rows.astype(np.float16))

    def table(self, fixed):
        import pyarrow

        flat, dim = pyarrow.array(self.rows.ravel()), self.rows.shape[1]
        if fixed:
            vectors = pyarrow.FixedSizeListArray.from_arrays(flat, dim)
        else:
            index = pyarrow.array(np.arange(0, self.rows.size + 1, dim, np.int32))
            vectors = pyarrow.ListArray.from_arrays(index, flat)
        return pyarrow.table({"embedding": vectors})

    def make_default_parquet(self, path):
        import pyarrow.parquet

        pyarrow.parquet.write_table(self.table(False), path)

    def make_plain_parquet(self, path):
        import pyarrow.parquet

        pyarrow.parquet.write_table(self.table(True), path, use_dictionary=False, compression="none")

    def make_zstd_parquet(self, path):
        import pyarrow.parquet

        pyarrow.parquet.write_table(self.table(True), path, use_dictionary=False, compression="zstd")

    def make_plain_arrow(self, path):
        import pyarrow.ipc

        table = self.table(True)
        with pyarrow.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)

    def make_a_fvecs(self, path):
        dims = np.full((len(self.rows), 1), self.rows.shape[1], np.int32).view(np.float32)
        np.hstack([dims, self.rows]).tofile(path)

    def make_a_jsonl(self, path):
        with path.open("w") as file:
            for row in self.rows[:20_000].astype(float).tolist():
                file.write(json.dumps({"embedding": row}) + "\n")


# Name, input, extension of the output, arguments of ours.
OURS = {
    "npy f32 to raw": ("f32.npy", "f32"),
    "npy f16 to raw": ("f16.npy", "f32"),
    "parquet (defaults of pyarrow) to raw": ("default.parquet", "f32"),
    "parquet (plain, uncompressed) to raw": ("plain.parquet", "f32"),
    "parquet (plain, zstd) to raw": ("zstd.parquet", "f32"),
    "arrow to raw": ("plain.arrow", "f32"),
    "fvecs to raw": ("a.fvecs", "f32"),
    "jsonl to raw (20,000 rows)": ("a.jsonl", "f32"),
    "raw to parquet": ("f32.npy", "parquet"),
}


@case("npy f32 to raw")
def numpy_map(source, output):
    np.load(source, mmap_mode="r").tofile(output)


@case("npy f16 to raw")
def numpy_astype(source, output):
    np.load(source).astype(np.float32).tofile(output)


def pyarrow_parquet(source, output):
    import pyarrow.parquet

    vectors = pyarrow.parquet.read_table(source, columns=["embedding"])["embedding"]
    with open(output, "wb") as file:
        for chunk in vectors.chunks:
            chunk.flatten().to_numpy().tofile(file)


def polars_parquet(source, output):
    import polars

    vectors = polars.read_parquet(source, columns=["embedding"])["embedding"]
    vectors.explode().to_numpy().tofile(output)


def duckdb_parquet(source, output):
    import duckdb

    table = duckdb.sql(f"select embedding from '{source}'").to_arrow_table()
    with open(output, "wb") as file:
        for chunk in table["embedding"].chunks:
            chunk.flatten().to_numpy().tofile(file)


for _name in ("defaults of pyarrow", "plain, uncompressed", "plain, zstd"):
    for _peer, _library in (
        (pyarrow_parquet, "pyarrow.parquet"),
        (polars_parquet, "polars"),
        (duckdb_parquet, "duckdb"),
    ):
        case(f"parquet ({_name}) to raw", _library)(_peer)


@case("arrow to raw", "pyarrow.ipc")
def pyarrow_ipc(source, output):
    import pyarrow.ipc

    table = pyarrow.ipc.open_file(pyarrow.memory_map(str(source))).read_all()
    with open(output, "wb") as file:
        for chunk in table["embedding"].chunks:
            chunk.flatten().to_numpy().tofile(file)


@case("fvecs to raw", "faiss.contrib.vecs_io")
def faiss_vecs(source, output):
    from faiss.contrib.vecs_io import fvecs_read

    fvecs_read(str(source)).tofile(output)


@case("jsonl to raw (20,000 rows)", "orjson")
def orjson_loop(source, output):
    import orjson

    with open(source, "rb") as file:
        rows = [orjson.loads(line)["embedding"] for line in file]
    np.array(rows, np.float32).tofile(output)


@case("jsonl to raw (20,000 rows)", "polars")
def polars_jsonl(source, output):
    import polars

    polars.read_ndjson(source)["embedding"].explode().to_numpy().astype(np.float32).tofile(output)


@case("raw to parquet", "pyarrow.parquet")
def pyarrow_write(source, output):
    import pyarrow
    import pyarrow.parquet

    rows = np.load(source)
    vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.ravel()), rows.shape[1])
    table = pyarrow.table({"vector": vectors})
    pyarrow.parquet.write_table(table, output, use_dictionary=False, compression="none")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("rows", metavar="ROWS.npy", help="the rows that all files are made of")
    add("--rounds", type=int, default=7, help="default: %(default)s")
    add("--binary", default=BINARY, metavar="FILE", help="default: %(default)s")
    add("--tmp", metavar="FOLDER", help="where files go; default: the system's folder")
    add("--markdown", metavar="FILE", help="write the table there as Markdown")
    add("cases", nargs="*", metavar="WORD", help="only cases whose name has one of these words")
    return parser.parse_args()


def timed(work, output):
    for old in output.parent.glob(f"{output.stem}*"):
        old.unlink()
    start = time.perf_counter()
    work()
    synced(output)
    return time.perf_counter() - start


def main():
    args = arguments()
    lines = []
    with tempfile.TemporaryDirectory(dir=args.tmp) as folder:
        files = Files(Path(folder), load_f32(args.rows))
        for name, (source, suffix) in OURS.items():
            if args.cases and not any(word in name for word in args.cases):
                continue
            source, output = files.path(source), Path(folder) / f"out.{suffix}"
            command = [args.binary, "convert", "--quiet", "--input", source, "--output", output]
            works = {"ours": lambda command=command: subprocess.run(command, check=True)}
            for of, function, libraries in CASES:
                if of != name:
                    continue
                try:
                    for library in libraries:
                        importlib.import_module(library)
                except ImportError as error:
                    say(f"{name}: {function.__name__} left out: {error}")
                    continue
                works[function.__name__] = lambda f=function, s=source, o=output: f(s, o)
            secs = {peer: [] for peer in works}
            for _ in range(args.rounds + 1):
                for peer, work in works.items():
                    secs[peer].append(timed(work, output))
            # The first round warms caches.
            medians = {peer: statistics.median(times[1:]) for peer, times in secs.items()}
            for peer, median in medians.items():
                ratio = median / medians["ours"]
                lines.append([name, peer, decimals(3)(median), decimals(2)(ratio) if peer != "ours" else "-"])
            say(f"{name}: " + ", ".join(f"{peer} {median:.3f} s" for peer, median in medians.items()))
    report = Report("Converting files")
    report.table(["case", "by", "median s", "it / ours"], lines)
    report.write(args.markdown)


if __name__ == "__main__":
    run_main(main)
