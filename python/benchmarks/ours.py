"""`sochdb-bulk` as the benchmarks run it: as a program, on files."""

import json
from pathlib import Path

import numpy as np

from common import Refused, measured


class Program:
    """The program, and a folder for its files."""

    def __init__(self, binary, folder):
        self.binary = Path(binary)
        self.folder = Path(folder)
        if not self.binary.is_file():
            raise Refused(
                f"{binary}: there is no such program",
                "build it with `cargo build --release`, or name it with --binary",
            )
        version, _ = measured([self.binary, "--version"], "sochdb-bulk --version")
        self.version = version.split()[-1]
        self.index = self.folder / "benchmark.hnsw"
        # The queries, and how many times over, that the file of queries holds.
        self.asked = (None, 0)

    def build(self, base, metric, m, ef_construction, threads, more=()):
        """Builds the index of a file, and measures the whole process: reading, building, writing, syncing."""
        self.index.unlink(missing_ok=True)
        stats_file = self.folder / "build.json"
        command = [self.binary, "build-index", "--quiet", "-i", base, "-o", self.index, "--metric", metric]
        command += ["-m", m, "-e", ef_construction, "-t", threads, "--stats", stats_file, *more]
        _, figures = measured(command, "sochdb-bulk build-index")
        stats = json.loads(stats_file.read_text())
        # What the process says of itself is without what this one had resident when it forked.
        figures["peak_rss_bytes"] = stats.get("peak_rss_bytes") or figures["peak_rss_bytes"]
        return {**figures, "phase_secs": phase_secs(stats), "stats": stats}

    def asker(self, queries, k, ef, threads=1):
        """For `search_figures`: asks the index that was built last. Each call is a process of its own."""
        stats_file, hits_file = self.folder / "query.json", self.folder / "hits.npy"

        def ask(passes):
            asked = self._queries_file(queries, passes)
            command = [self.binary, "query", "--quiet", "-i", self.index, "-q", asked]
            command += ["-k", k, "-e", ef, "-t", threads, "-f", "npy", "-o", hits_file, "--stats", stats_file]
            measured(command, "sochdb-bulk query")
            stats = json.loads(stats_file.read_text())
            ids = np.load(hits_file, mmap_mode="r")["id"]
            return ids, stats["distances_per_query"], stats["search_secs"]

        return ask

    def _queries_file(self, queries, passes):
        path = self.folder / "queries.npy"
        if self.asked[0] is not queries or self.asked[1] != passes:
            np.save(path, np.tile(queries, (passes, 1)))
            self.asked = (queries, passes)
        return path


def phase_secs(stats):
    """Every time that the statistics of a build give, by name."""
    phases = {"elapsed": stats["elapsed_secs"]}
    for step in stats.get("steps", []):
        phases[f"{step['kind']} {step['type']}, busy"] = step["busy_secs"]
    # What a sink adds: `..._secs`, or several of them by name.
    for output in stats.get("outputs", []):
        for name, value in output.items():
            if isinstance(value, dict) and (name == "phases" or name.endswith("_secs")):
                phases.update(value)
            elif name.endswith("_secs"):
                phases[name.removesuffix("_secs")] = value
    return phases
