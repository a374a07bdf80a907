#!/usr/bin/env python3
"""Files of other libraries, read by sochdb-bulk bit by bit, and its own files, read by them;
and what its stages compute, by numpy.

    pip install numpy pyarrow safetensors faiss-cpu zstandard h5py
    cargo build --release
    python3 python/tests/formats.py

Each case is skipped, with a message, where its library is not installed, and that of h5py where the program was built without
the feature hdf5. Exits 1 if any case fails.
"""

import argparse
import base64
import gzip
import importlib
import json
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

ROWS, DIM = 2_500, 24
CASES = []


def case(*libraries):
    """Registers a case, and the libraries that it needs."""

    def register(function):
        CASES.append((function, libraries))
        return function

    return register


class Skipped(Exception):
    """Why a case cannot be run."""


class Bench:
    """A folder, the program, and rows that every format can hold."""

    def __init__(self, folder, program):
        self.folder, self.program = Path(folder), program
        rng = np.random.default_rng(7)
        self.rows = rng.standard_normal((ROWS, DIM)).astype(np.float32)
        # Values whose bits are easily lost: subnormal, negative zero, the largest.
        self.rows[0, :4] = [1e-42, -0.0, 3.4028235e38, -1.1754944e-38]
        self.halves = rng.standard_normal((ROWS, DIM)).astype(np.float16)
        self.doubles = self.rows[1:].astype(np.float64) * (1 + 1e-9)
        self.bytes = rng.integers(0, 256, (ROWS, DIM), dtype=np.uint8)
        self.signed = rng.integers(-128, 128, (ROWS, DIM), dtype=np.int8)
        self.ints = rng.integers(-(2**24), 2**24, (ROWS, DIM), dtype=np.int32)
        self.ids = rng.permutation(10 * ROWS)[:ROWS].astype(np.uint64) + 2**40

    def path(self, name):
        return self.folder / name

    def run(self, *args, fails=False):
        done = subprocess.run([self.program, *map(str, args)], capture_output=True, text=True)
        if (done.returncode != 0) != fails:
            raise AssertionError(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stderr}")
        return done.stderr

    def run_for(self, *args):
        """What it writes to standard output."""
        return subprocess.run([self.program, *map(str, args)], capture_output=True, text=True, check=True).stdout

    def converted(self, source, *args, to="npy"):
        output = self.path(f"converted.{to}")
        self.run("convert", "--input", source, "--output", output, *args)
        return output

    def reads(self, source, expected, *args):
        """Whether it is read as these values, bit for bit."""
        found = np.load(self.converted(source, *args))
        expected = np.asarray(expected).astype(np.float32)
        assert found.shape == expected.shape, f"{source.name}: {found.shape}, expected {expected.shape}"
        assert found.tobytes() == expected.tobytes(), f"{source.name}: other values"

    def saved(self):
        path = self.path("rows.npy")
        np.save(path, self.rows)
        return path


# --- numpy -----------------------------------------------------------------------------------------------------------


@case()
def npy_and_npz(bench):
    for name in ("rows", "halves", "doubles", "bytes", "signed", "ints"):
        values = getattr(bench, name)
        for order, layout in (("C", values), ("F", np.asfortranarray(values)), ("big", values.astype(values.dtype.newbyteorder(">")))):
            path = bench.path(f"{name}-{order}.npy")
            np.save(path, layout)
            bench.reads(path, values)
        for save in (np.savez, np.savez_compressed):
            path = bench.path(f"{name}.npz")
            save(path, vectors=values, labels=np.arange(3))
            bench.reads(path, values)


@case()
def binary_families(bench):
    for suffix, values in (
        ("fbin", bench.rows),
        ("f16bin", bench.halves),
        ("u8bin", bench.bytes),
        ("i8bin", bench.signed),
        ("ibin", bench.ints),
    ):
        path = bench.path(f"a.{suffix}")
        path.write_bytes(np.array(values.shape, np.uint32).tobytes() + values.tobytes())
        bench.reads(path, values)
    for suffix, values in (("fvecs", bench.rows), ("ivecs", bench.ints), ("bvecs", bench.bytes)):
        path = bench.path(f"a.{suffix}")
        dims = np.full((ROWS, 1), DIM, np.int32).view(np.uint8)
        path.write_bytes(np.hstack([dims, values.view(np.uint8).reshape(ROWS, -1)]).tobytes())
        bench.reads(path, values)


@case()
def packed(bench):
    source = bench.saved()
    for name, pack in (("gz", gzip.compress),):
        path = bench.path(f"rows.npy.{name}")
        path.write_bytes(pack(source.read_bytes()))
        bench.reads(path, bench.rows)
        # Two members are one file.
        half = source.read_bytes()
        path.write_bytes(pack(half[:1000]) + pack(half[1000:]))
        bench.reads(path, bench.rows)


@case("zstandard")
def packed_by_zstandard(bench, zstandard):
    path = bench.path("rows.npy.zst")
    path.write_bytes(zstandard.ZstdCompressor().compress(bench.saved().read_bytes()))
    bench.reads(path, bench.rows)


@case("h5py")
def hdf5(bench, h5py):
    if "  hdf5 " not in bench.run_for("plugins"):
        raise Skipped("the program was built without the feature hdf5")
    for libver in ("earliest", "latest"):
        for name in ("rows", "halves", "doubles", "bytes", "signed", "ints"):
            values = getattr(bench, name)
            for options in (
                {},
                {"chunks": True},
                {"chunks": (100, DIM), "compression": "gzip"},
                {"chunks": (7, 5), "compression": 9, "shuffle": True, "fletcher32": True},
                {"chunks": (64, 24), "maxshape": (None, DIM), "shuffle": True},
                {"chunks": (64, 7), "maxshape": (None, None)},
                {"chunks": values.shape, "compression": 1},
            ):
                path = bench.path("a.h5")
                with h5py.File(path, "w", libver=libver) as file:
                    file.create_dataset("group/vectors", data=values, **options)
                    file["labels"] = np.arange(3)
                bench.reads(path, values, "--threads", 2, "--batch-size", 99)
    path = bench.path("ann.hdf5")
    with h5py.File(path, "w") as file:
        file.attrs["distance"] = "euclidean"
        file["train"], file["test"] = bench.rows, bench.rows[:5]
        file["neighbors"], file["distances"] = np.zeros((5, 3), "i4"), np.zeros((5, 3), "f4")
    bench.reads(path, bench.rows)
    assert "vectors from the dataset `train`" in bench.run("convert", "-i", path, "-o", bench.path("o.npy"), "-v")


# --- pyarrow ---------------------------------------------------------------------------------------------------------


def columns(bench, pyarrow, kind, values):
    flat = pyarrow.array(values.ravel())
    if kind == "fixed":
        vectors = pyarrow.FixedSizeListArray.from_arrays(flat, DIM)
    else:
        make = pyarrow.ListArray if kind == "list" else pyarrow.LargeListArray
        index = np.arange(0, len(values) * DIM + 1, DIM, np.int32 if kind == "list" else np.int64)
        vectors = make.from_arrays(pyarrow.array(index), flat)
    return pyarrow.table({"id": bench.ids[: len(values)], "text": ["a"] * len(values), "embedding": vectors})


@case("pyarrow", "pyarrow.parquet")
def parquet_of_pyarrow(bench, pyarrow, parquet):
    path = bench.path("a.parquet")
    for kind in ("list", "large", "fixed"):
        for name in ("rows", "halves", "doubles", "bytes", "signed", "ints"):
            values = getattr(bench, name)
            table = columns(bench, pyarrow, kind, values)
            for options in (
                {},
                {"use_dictionary": False, "compression": "none"},
                {"use_dictionary": False, "compression": "zstd", "data_page_version": "2.0"},
                {"compression": "snappy", "data_page_version": "2.0", "row_group_size": 700},
                {"compression": "gzip", "data_page_size": 3000, "write_page_index": True},
            ):
                parquet.write_table(table, path, **options)
                bench.reads(path, values)
    parquet.write_table(
        columns(bench, pyarrow, "fixed", bench.rows),
        path,
        use_dictionary=False,
        compression="zstd",
        column_encoding={"embedding.list.element": "BYTE_STREAM_SPLIT"},
    )
    bench.reads(path, bench.rows)


def page_options():
    """Every way in which pyarrow writes pages; those of 3,000 bytes end within rows."""
    for dictionary in (True, False):
        for compression in ("none", "snappy", "zstd"):
            for version in ("1.0", "2.0"):
                for more in ({}, {"data_page_size": 3000}, {"row_group_size": 700, "write_page_checksum": True}):
                    yield {
                        "use_dictionary": dictionary,
                        "compression": compression,
                        "data_page_version": version,
                        **more,
                    }


@case("pyarrow", "pyarrow.parquet")
def parquet_pages_of_pyarrow(bench, pyarrow, parquet):
    path = bench.path("a.parquet")
    # Few values, for which dictionaries are kept, and many, for which they are given up.
    few = np.round(np.clip(bench.rows, -9, 9) * 3)
    for kind in ("list", "fixed"):
        for values in (bench.rows, few):
            table = columns(bench, pyarrow, kind, values)
            for options in page_options():
                parquet.write_table(table, path, **options)
                bench.reads(path, values)
                bench.reads(path, values[1111:1999], "--rows", "1111..1999")
    for compression in ("none", "snappy", "zstd"):
        for name in ("rows", "doubles", "halves"):
            for version in ("1.0", "2.0"):
                parquet.write_table(
                    columns(bench, pyarrow, "fixed", getattr(bench, name)),
                    path,
                    use_dictionary=False,
                    compression=compression,
                    data_page_version=version,
                    data_page_size=3000,
                    column_encoding={"embedding.list.element": "BYTE_STREAM_SPLIT"},
                )
                bench.reads(path, getattr(bench, name))


@case("pyarrow", "pyarrow.parquet")
def parquet_nulls_are_refused(bench, pyarrow, parquet):
    good = [float(i) for i in range(DIM)]
    path = bench.path("nulls.parquet")
    for row in (3, 1500):
        for bad in (None, good[:-1] + [None], good[:-1], good + good, []):
            vectors = [good] * ROWS
            vectors[row] = bad
            table = pyarrow.table({"embedding": pyarrow.array(vectors, pyarrow.list_(pyarrow.float32()))})
            for options in page_options():
                parquet.write_table(table, path, **options)
                message = bench.run("convert", "--input", path, "--output", bench.path("no.npy"), fails=True)
                assert f"row {row}" in message, message
                assert not bench.path("no.npy").exists()


@case("pyarrow", "pyarrow.ipc", "pyarrow.feather")
def arrow_of_pyarrow(bench, pyarrow, ipc, feather):
    for kind in ("list", "large", "fixed"):
        for values in (bench.rows, bench.halves, bench.doubles, bench.signed):
            table = columns(bench, pyarrow, kind, values)
            for compression in (None, "lz4", "zstd"):
                options = ipc.IpcWriteOptions(compression=compression)
                for suffix, new in (("arrow", ipc.new_file), ("arrows", ipc.new_stream)):
                    path = bench.path(f"a.{suffix}")
                    with new(path, table.schema, options=options) as writer:
                        writer.write_table(table, max_chunksize=900)
                    bench.reads(path, values)
            feather.write_feather(table, bench.path("a.feather"))
            bench.reads(bench.path("a.feather"), values)


@case("pyarrow", "pyarrow.parquet")
def same_graph_from_parquet(bench, pyarrow, parquet):
    ids = bench.path("ids.npy")
    np.save(ids, bench.ids)
    parquet.write_table(columns(bench, pyarrow, "list", bench.rows[1:]), bench.path("g.parquet"))
    np.save(bench.path("g.npy"), bench.rows[1:])
    np.save(ids, bench.ids[:-1])
    made = []
    for source, args in (("g.parquet", ["--id-column", "id"]), ("g.npy", ["--ids", ids])):
        index = bench.path(f"{source}.hnsw")
        bench.run("build-index", "--input", bench.path(source), "--output", index, "--metric", "l2", *args)
        found = bench.path(f"{source}.json")
        bench.run("query", "--index", index, "--query", bench.path("g.npy"), "--k", "10", "--format", "json", "--output", found)
        made.append(found.read_text())
    assert made[0] == made[1], "other answers"


# --- Others ----------------------------------------------------------------------------------------------------------


@case("safetensors.numpy")
def safetensors_files(bench, safetensors):
    for name in ("rows", "halves", "doubles", "bytes", "signed", "ints"):
        path = bench.path(f"{name}.safetensors")
        safetensors.save_file({"embedding.weight": getattr(bench, name), "bias": np.zeros(3, np.float32)}, path)
        bench.reads(path, getattr(bench, name))


@case("faiss.contrib.vecs_io")
def fvecs_of_faiss(bench, vecs_io):
    path = bench.path("faiss.fvecs")
    vecs_io.fvecs_write(str(path), bench.rows)
    bench.reads(path, bench.rows)
    output = bench.converted(bench.saved(), to="fvecs")
    assert np.array_equal(vecs_io.fvecs_read(str(output)), bench.rows)


@case()
def json_lines(bench):
    path = bench.path("a.jsonl")
    rows = [[float(value) for value in row] for row in bench.rows]
    path.write_text("".join(json.dumps({"id": i, "embedding": row}) + "\n" for i, row in enumerate(rows)))
    bench.reads(path, bench.rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench.reads(path, bench.rows)
    packed = [base64.b64encode(row.tobytes()).decode() for row in bench.rows]
    path.write_text("".join(json.dumps({"embedding": row}) + "\n" for row in packed))
    bench.reads(path, bench.rows)


@case()
def csv_files(bench):
    path = bench.path("a.csv")
    lines = [",".join(repr(float(value)) for value in row) for row in bench.rows]
    path.write_text("\n".join([",".join(f"dim_{i}" for i in range(DIM)), *lines]) + "\n")
    bench.reads(path, bench.rows)
    path.write_text("text,embedding\n" + "".join(f'x,"[{line}]"\n' for line in lines))
    bench.reads(path, bench.rows)


@case("pyarrow", "pyarrow.parquet", "pyarrow.ipc")
def ids_and_further_columns(bench, pyarrow, parquet, ipc):
    """Texts as ids and a column of each type, through every format that has columns, and back to pyarrow."""
    count = 500
    names = [f"{i:04}-\u00e4" for i in range(count)]
    further = {
        "title": pyarrow.array([None if i % 7 == 0 else f'a, "{i}"\n' for i in range(count)], pyarrow.string()),
        "year": pyarrow.array([None if i % 5 == 0 else 2**62 - i for i in range(count)], pyarrow.int64()),
        "score": pyarrow.array([i / 7 + 0.5 for i in range(count)], pyarrow.float64()),
        "seen": pyarrow.array([None if i % 3 == 0 else i % 2 == 0 for i in range(count)], pyarrow.bool_()),
    }
    flat = pyarrow.array(bench.rows[:count].ravel())
    vectors = pyarrow.FixedSizeListArray.from_arrays(flat, DIM)
    for kind, ids in (
        ("string", pyarrow.array(names)),
        ("large_string", pyarrow.array(names, pyarrow.large_string())),
        ("string_view", pyarrow.array(names, pyarrow.string_view())),
        ("dictionary", pyarrow.array(names).dictionary_encode()),
    ):
        table = pyarrow.table({"id": ids, "vector": vectors, **further})
        for suffix in ("parquet", "arrow", "arrows"):
            path = bench.path(f"{kind}.{suffix}")
            if suffix == "parquet":
                parquet.write_table(table, path, row_group_size=120)
            else:
                with (ipc.new_file if suffix == "arrow" else ipc.new_stream)(path, table.schema) as writer:
                    writer.write_table(table, max_chunksize=130)
            bench.reads(path, bench.rows[:count])
            for to in ("parquet", "arrow", "arrows", "jsonl", "csv"):
                # Once more to Parquet, which pyarrow reads with its types.
                middle = bench.path(f"middle.{to}")
                bench.run("convert", "--input", path, "--output", middle)
                found = parquet.read_table(bench.converted(middle, to="parquet"))
                assert found["id"].to_pylist() == names, f"{path.name} to {to}: other ids"
                for name, column in further.items():
                    assert found.schema.field(name).type == column.type, f"{path.name} to {to}: {name}"
                    assert found[name].to_pylist() == column.to_pylist(), f"{path.name} to {to}: {name}"
                values = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
                assert values.tobytes() == bench.rows[:count].tobytes(), f"{path.name} to {to}"


@case("pyarrow", "pyarrow.parquet", "uuid")
def uuids(bench, pyarrow, parquet, uuid):
    ids = [uuid.UUID(int=i * 0x0123456789ABCDEF0123456789ABCDEF % 2**128) for i in range(100)]
    flat = pyarrow.array(bench.rows[:100].ravel())
    column = pyarrow.array([one.bytes for one in ids], pyarrow.uuid())
    table = pyarrow.table({"uuid": column, "v": pyarrow.FixedSizeListArray.from_arrays(flat, DIM)})
    path = bench.path("uuids.parquet")
    for store_schema in (True, False):
        parquet.write_table(table, path, store_schema=store_schema)
        found = parquet.read_table(bench.converted(path, to="parquet"))
        assert found["id"].to_pylist() == [str(one) for one in ids], f"store_schema={store_schema}"


@case("pyarrow", "pyarrow.parquet")
def json_as_columns(bench, pyarrow, parquet):
    rows = [{"id": f"k{i}", "v": [i, 0.5], "n": i, "mixed": i if i % 2 else str(i), "more": {"a": [i, None]}} for i in range(300)]
    path = bench.path("mixed.jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = parquet.read_table(bench.converted(path, to="parquet"))
    assert table["n"].to_pylist() == list(range(300)) and table["id"].to_pylist() == [row["id"] for row in rows]
    assert [json.loads(text) for text in table["mixed"].to_pylist()] == [row["mixed"] for row in rows]
    again = bench.path("again.jsonl")
    bench.run("convert", "--input", bench.path("converted.parquet"), "--output", again)
    found = [json.loads(line) for line in again.read_text().splitlines()]
    assert [row["more"] for row in found] == [row["more"] for row in rows]


# --- Ours, read by others --------------------------------------------------------------------------------------------


@case()
def ours_by_numpy(bench):
    source = bench.saved()
    for suffix, offset in (("f32", 0), ("fbin", 8)):
        data = bench.converted(source, to=suffix).read_bytes()
        assert data[offset:] == bench.rows.tobytes(), suffix
    lines = bench.converted(source, to="jsonl").read_text().splitlines()
    found = np.array([json.loads(line)["vector"] for line in lines]).astype(np.float32)
    assert found.tobytes() == bench.rows.tobytes(), "jsonl"
    found = np.loadtxt(bench.converted(source, to="csv"), delimiter=",", skiprows=1)[:, 1:].astype(np.float32)
    assert found.tobytes() == bench.rows.tobytes(), "csv"


@case("pyarrow", "pyarrow.parquet", "pyarrow.ipc")
def ours_by_pyarrow(bench, pyarrow, parquet, ipc):
    source = bench.saved()
    for suffix in ("parquet", "arrow", "arrows"):
        output = bench.converted(source, to=suffix)
        if suffix == "parquet":
            table = parquet.read_table(output)
        else:
            table = (ipc.open_file if suffix == "arrow" else ipc.open_stream)(output).read_all()
        vectors = table["vector"].combine_chunks()
        found = vectors.flatten().to_numpy(zero_copy_only=False)
        assert found.tobytes() == bench.rows.tobytes(), suffix
        bench.reads(output, bench.rows)
    ids = bench.path("ids.npy")
    np.save(ids, bench.ids)
    for compression in ("none", "snappy", "zstd"):
        for group_rows in (700, ROWS):
            options = ["--to-option", f"compression={compression}", "--to-option", f"row_group_rows={group_rows}"]
            output = bench.converted(source, "--ids", ids, *options, to="parquet")
            table = parquet.read_table(output)
            assert table["vector"].type == pyarrow.list_(pyarrow.field("element", pyarrow.float32(), False), DIM)
            assert table["vector"].combine_chunks().flatten().to_numpy().tobytes() == bench.rows.tobytes()
            assert np.array_equal(table["id"].to_numpy(), bench.ids)
            # By its pages alone.
            part = parquet.ParquetFile(output).read_row_group(0, columns=["vector"])["vector"].combine_chunks()
            assert part.flatten().to_numpy().tobytes() == bench.rows[:group_rows].tobytes()
            bench.reads(output, bench.rows)


# --- Stages that compute ----------------------------------------------------------------------------------------------


@case("safetensors.numpy")
def pca_by_numpy(bench, safetensors):
    rows = np.random.default_rng(3).standard_normal((ROWS, DIM)) @ np.diag(np.linspace(3, 0.1, DIM))
    rows = (rows + 5).astype(np.float32)
    np.save(bench.path("a.npy"), rows)
    centred = rows.astype(np.float64) - rows.astype(np.float64).mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / (ROWS - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(DIM)])
    for whiten in (False, True):
        text = f"""version = 1
            source = {{ path = "a.npy" }}
            stage = [{{ type = "pca", dim = 7, whiten = {str(whiten).lower()}, save = "p.safetensors" }}]
            sink = {{ type = "npy", path = "o.npy" }}"""
        bench.path("p.toml").write_text(text)
        bench.run("run", bench.path("p.toml"))
        scale = 1 / np.sqrt(values[:7]) if whiten else np.ones(7)
        found = np.load(bench.path("o.npy"))
        assert np.allclose(found, centred @ vectors[:, :7] * scale, atol=1e-4), f"whiten {whiten}"
        saved = safetensors.load_file(bench.path("p.safetensors"))
        assert np.allclose(saved["explained_variance"][0], values[:7], rtol=1e-5)
        assert np.allclose((rows - saved["mean"]) @ saved["components"].T, found, atol=1e-4)


# --- Running ---------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary = Path(__file__).resolve().parents[2] / "target/release/sochdb-bulk"
    parser.add_argument("--binary", default=binary, metavar="FILE", help="default: %(default)s")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only these")
    args = parser.parse_args()
    failed = ran = 0
    for function, libraries in CASES:
        if args.cases and function.__name__ not in args.cases:
            continue
        try:
            modules = [importlib.import_module(library) for library in libraries]
        except ImportError as error:
            print(f"skipped {function.__name__}: {error}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                function(Bench(folder, args.binary), *modules)
                print(f"ok      {function.__name__}")
            except Skipped as reason:
                print(f"skipped {function.__name__}: {reason}")
                continue
            except Exception:
                failed += 1
                print(f"FAILED  {function.__name__}\n{traceback.format_exc(limit=4)}")
        ran += 1
    print(f"{ran} cases, {failed} failed")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
