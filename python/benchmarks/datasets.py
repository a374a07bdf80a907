#!/usr/bin/env python3
"""Makes data sets for the benchmarks: NAME-base.npy, NAME-queries.npy (1,000) and NAME-exact-METRIC.npy (the 100
nearest rows of each query)."""

import argparse
import gzip
from pathlib import Path

import numpy as np

from common import METRICS, Refused, exact_neighbours, run_main, say

QUERIES = 1000
EXACT = 100
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


# --- fashion-mnist ---------------------------------------------------------------------------------------------------


def fashion_mnist(source):
    """Images as rows of 784 pixels: the 60,000 to train with are the base, the first of those to test the queries."""
    return (
        idx_images(source / "train-images-idx3-ubyte.gz"),
        idx_images(source / "t10k-images-idx3-ubyte.gz")[:QUERIES],
    )


def idx_images(path):
    """A gzipped IDX file: a magic number, then count, height and width in big-endian, then a byte a pixel."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise Refused(
            f"{path}: there is no such file",
            "install Debian's package dataset-fashion-mnist, or name a folder with its files with --source",
        ) from None
    except (OSError, EOFError) as error:
        raise Refused(f"{path}: cannot read: {error}", "install the package again") from None
    magic, count, height, width = np.frombuffer(content[:16].ljust(16, b"\0"), ">u4").tolist()
    if magic != 0x803 or len(content) != 16 + count * height * width:
        raise Refused(
            f"{path}: expected images in the format IDX, found other bytes", "install the package again"
        )
    return np.frombuffer(content, np.uint8, offset=16).reshape(count, height * width).astype(np.float32)


# --- random ----------------------------------------------------------------------------------------------------------


def random(rows=20_000, dim=768):
    """No structure at all: the worst case."""
    base = np.random.default_rng(1).standard_normal((rows, dim)).astype(np.float32)
    return base, np.random.default_rng(2).standard_normal((QUERIES, dim)).astype(np.float32)


# --- clustered -------------------------------------------------------------------------------------------------------


class Clustered:
    """Like embeddings: few true dimensions, in uneven clusters, bent into many.

    2,000 Gaussian clusters in 16 dimensions, of uneven weights and widths, go through `tanh(z W1) W2`. Rows come in
    chunks that have seeds of their own: memory does not grow with the rows, and the first n rows are the same in every
    data set of this dimension that has as many.
    """

    SEED = 2026
    CLUSTERS, LATENT, HIDDEN = 2_000, 16, 64
    CHUNK_ROWS = 25_000
    BASE, ASKED = 1, 2

    def __init__(self, dim):
        rng = np.random.default_rng(self.SEED)
        self.centres = rng.standard_normal((self.CLUSTERS, self.LATENT))
        weights = rng.lognormal(0, 1, self.CLUSTERS)
        self.weights = weights / weights.sum()
        self.widths = 0.3 * rng.lognormal(0, 0.3, self.CLUSTERS)
        self.first = rng.standard_normal((self.LATENT, self.HIDDEN)) / np.sqrt(self.LATENT)
        self.second = rng.standard_normal((self.HIDDEN, dim)) / np.sqrt(self.HIDDEN)

    def chunks(self, rows, purpose):
        """The rows, a chunk at a time."""
        for number, start in enumerate(range(0, rows, self.CHUNK_ROWS)):
            rng = np.random.default_rng([self.SEED, purpose, number])
            # Always a whole chunk, of which the last is cut: what is drawn does not depend on `rows`.
            cluster = rng.choice(self.CLUSTERS, self.CHUNK_ROWS, p=self.weights)
            latent = rng.standard_normal((self.CHUNK_ROWS, self.LATENT))
            latent = self.centres[cluster] + latent * self.widths[cluster, None]
            yield (np.tanh(latent @ self.first) @ self.second).astype(np.float32)[: rows - start]

    def write_base(self, path, rows):
        dim = self.second.shape[1]
        with open(path, "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in self.chunks(rows, self.BASE):
                chunk.astype("<f4", copy=False).tofile(file)

    def queries(self):
        return np.concatenate(list(self.chunks(QUERIES, self.ASKED)))


# --- Writing ---------------------------------------------------------------------------------------------------------


def make_clustered(folder, rows, dim):
    """Writes base and queries, and returns their paths."""
    data, name = Clustered(dim), f"clustered-{rows}x{dim}"
    base, queries = folder / f"{name}-base.npy", folder / f"{name}-queries.npy"
    data.write_base(base, rows)
    np.save(queries, data.queries())
    return base, queries


def make_exact(base, queries, metric):
    """Writes the exact answers beside the base, and returns their path."""
    path = base.with_name(base.name.replace("-base.npy", f"-exact-{metric}.npy"))
    np.save(path, exact_neighbours(np.load(base, mmap_mode="r"), np.load(queries), EXACT, metric))
    return path


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", default="data", type=Path, help="where the files go; default: %(default)s"
    )
    parser.add_argument(
        "--metric", choices=METRICS, default="l2", help="of the exact answers; default: %(default)s"
    )
    sets = parser.add_subparsers(dest="set", required=True, metavar="SET")
    images = sets.add_parser(
        "fashion-mnist", help="60,000 x 784: images of clothes, from Debian's package dataset-fashion-mnist"
    )
    images.add_argument("--source", default=FASHION_MNIST, type=Path, help="default: %(default)s")
    sets.add_parser("random", help="20,000 x 768: normal values without structure")
    clustered = sets.add_parser("clustered", help="N x D: made data with uneven clusters on a curved surface")
    clustered.add_argument("rows", metavar="N", type=int)
    clustered.add_argument("dim", metavar="D", type=int)
    args = parser.parse_args()
    if args.set == "clustered" and min(args.rows, args.dim) < 1:
        parser.error("expected N and D of 1 or more")
    return args


def main():
    args = arguments()
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.set == "clustered":
        base, queries = make_clustered(args.folder, args.rows, args.dim)
    else:
        base, queries = (args.folder / f"{args.set}-{part}.npy" for part in ("base", "queries"))
        arrays = random() if args.set == "random" else fashion_mnist(args.source)
        for path, array in zip((base, queries), arrays):
            np.save(path, array)
    say("exact answers ...")
    for path in (base, queries, make_exact(base, queries, args.metric)):
        print(path)


if __name__ == "__main__":
    run_main(main)
