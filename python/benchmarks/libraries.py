"""The peers: other libraries that build HNSW indexes, each with its own defaults and the same M and ef_construction.

As a program: does one measurement of one library in this process. The job is JSON in the one argument; so is the result
on standard output. `peers.py` runs it.
"""

import json
import sys
import time

import numpy as np

from common import K, cpu_secs, load_f32, peak_rss_bytes, search_figures


class Hnswlib:
    package = "hnswlib"

    def __init__(self, job, rows, dim):
        import hnswlib

        self.threads = job["threads"]
        self.index = hnswlib.Index(space=job["metric"], dim=dim)
        self.index.init_index(rows, M=job["m"], ef_construction=job["ef_construction"])

    def prepare(self, rows):
        return rows

    def add(self, base):
        self.index.add_items(base, num_threads=self.threads)

    def search(self, queries, ef):
        self.index.set_ef(ef)
        ids, _ = self.index.knn_query(queries, K, num_threads=1)
        return ids, None


class Faiss:
    package = "faiss-cpu"
    quantized = False

    def __init__(self, job, rows, dim):
        import faiss

        self.faiss = faiss
        self.cosine = job["metric"] == "cosine"
        metric = faiss.METRIC_L2 if job["metric"] == "l2" else faiss.METRIC_INNER_PRODUCT
        if self.quantized:
            self.index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, job["m"], metric)
        else:
            self.index = faiss.IndexHNSWFlat(dim, job["m"], metric)
        self.index.hnsw.efConstruction = job["ef_construction"]
        faiss.omp_set_num_threads(job["threads"])

    def prepare(self, rows):
        # It has no cosine: the inner product of vectors of unit length is that.
        if self.cosine:
            self.faiss.normalize_L2(rows)
        return rows

    def add(self, base):
        if self.quantized:
            self.index.train(base)
        self.index.add(base)

    def search(self, queries, ef):
        self.faiss.omp_set_num_threads(1)
        self.index.hnsw.efSearch = ef
        self.faiss.cvar.hnsw_stats.reset()
        _, ids = self.index.search(queries, K)
        return ids, self.faiss.cvar.hnsw_stats.ndis


class FaissSq8(Faiss):
    quantized = True


class Usearch:
    package = "usearch"
    dtype = "f32"

    def __init__(self, job, rows, dim):
        from usearch.index import Index

        metric = {"l2": "l2sq", "cosine": "cos", "ip": "ip"}[job["metric"]]
        self.threads = job["threads"]
        self.keys = np.arange(rows)
        self.index = Index(
            ndim=dim,
            metric=metric,
            dtype=self.dtype,
            connectivity=job["m"],
            expansion_add=job["ef_construction"],
        )

    def prepare(self, rows):
        return rows

    def add(self, base):
        self.index.add(self.keys, base, threads=self.threads)

    def search(self, queries, ef):
        self.index.expansion_search = ef
        matches = self.index.search(queries, K, threads=1)
        return matches.keys, getattr(matches, "computed_distances", None)


class UsearchI8(Usearch):
    dtype = "i8"


LIBRARIES = {
    "hnswlib": Hnswlib,
    "faiss": Faiss,
    "usearch": Usearch,
    "usearch-i8": UsearchI8,
    "faiss-sq8": FaissSq8,
}


def measure(job):
    """Builds, then searches at each ef."""
    base, queries, exact = load_f32(job["base"]), load_f32(job["queries"]), np.load(job["exact"])
    queries = queries[: len(exact)]
    library = LIBRARIES[job["library"]](job, *base.shape)
    base, queries = library.prepare(base), library.prepare(queries)
    cpu, start = cpu_secs(), time.perf_counter()
    library.add(base)
    build = {"wall_secs": round(time.perf_counter() - start, 3), "cpu_secs": round(cpu_secs() - cpu, 3)}
    build["peak_rss_bytes"] = peak_rss_bytes()
    tiled = {}

    def asker(ef):
        def ask(passes):
            if passes not in tiled:
                tiled.clear()
                tiled[passes] = np.tile(queries, (passes, 1))
            asked = tiled[passes]
            start = time.perf_counter()
            ids, distances = library.search(asked, ef)
            secs = time.perf_counter() - start
            return ids, None if distances is None else distances / len(asked), secs

        return ask

    search = {
        ef: search_figures(asker(ef), queries, exact, job["search_secs"], job["repeats"]) for ef in job["efs"]
    }
    return {"build": build, "search": search}


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
