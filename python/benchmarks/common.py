"""What the benchmarks share: vectors from files, exact answers, measured processes, the machine, tables."""

import argparse
import datetime
import importlib.metadata
import math
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

METRICS = ("l2", "cosine", "ip")
# Where `cargo build --release` puts the program, from whatever folder a script is called.
BINARY = Path(__file__).resolve().parents[2] / "target/release/sochdb-bulk"
# Neighbours that are asked for, and that recall is of.
K = 10


class Refused(Exception):
    """Why the work cannot be done: one line that says what, one that says what to do."""

    def __init__(self, message, help):
        super().__init__(message)
        self.help = help


def run_main(main):
    """Runs a script, and shows in two lines why it failed."""
    try:
        main()
    except Refused as refused:
        sys.exit(f"error: {refused}\n  help: {refused.help}")


def say(text):
    """What is being done, for the person who waits; results go to standard output."""
    print(text, file=sys.stderr, flush=True)


def comma_list(kind):
    """For argparse: `a,b,c` as a list of `kind`."""

    def parse(text):
        try:
            return [kind(word) for word in text.split(",") if word]
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"expected numbers with commas between them, found {text!r}"
            ) from None

    return parse


def check_folders(args):
    """Fails if a result could not be written, before hours of work for it."""
    for file in (args.markdown, args.json, getattr(args, "plot", None)):
        if file and not Path(file).absolute().parent.is_dir():
            raise Refused(f"{file}: the folder does not exist", "create the folder first")
    if args.tmp and not Path(args.tmp).is_dir():
        raise Refused(f"{args.tmp}: there is no such folder", "create it first, or leave --tmp away")


# --- Vectors ---------------------------------------------------------------------------------------------------------


def open_npy(path):
    """A two-dimensional .npy, mapped."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: cannot read: {error}", "name a .npy file") from None
    if array.ndim != 2:
        raise Refused(
            f"{path}: expected two dimensions, found shape {array.shape}", "name a file of one vector a row"
        )
    return array


def load_f32(path):
    """All rows as f32, with no more memory than that takes."""
    array = open_npy(path)
    if array.dtype == np.float32:
        return np.ascontiguousarray(np.load(path))
    rows = np.empty(array.shape, np.float32)
    for start in range(0, len(rows), 10_000):
        # Mapped anew each time, so that pages that are done with do not count as memory.
        rows[start : start + 10_000] = open_npy(path)[start : start + 10_000]
    return rows


def unit_length(rows):
    """The rows divided by their lengths; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


# --- Exact answers ---------------------------------------------------------------------------------------------------


def exact_neighbours(base, queries, k, metric):
    """The `k` nearest rows of `base` (an array, mapped if it is large) for each query, nearest first.

    More than `k` are found by sums in f32, a chunk of the base at a time; their order is that of sums in f64.
    """
    k = min(k, len(base))
    queries = np.asarray(queries, np.float32)
    if metric == "cosine":
        queries = unit_length(queries)
    best, best_distances = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    for start in range(0, len(base), 50_000):
        chunk = np.asarray(base[start : start + 50_000], np.float32)
        if metric == "cosine":
            chunk = unit_length(chunk)
        distances, found = _nearest(chunk, queries, min(2 * k, len(chunk)), metric)
        best = np.concatenate([best, found + start], axis=1)
        best_distances = np.concatenate([best_distances, distances], axis=1)
        order = np.argsort(best_distances, axis=1, kind="stable")[:, : 2 * k]
        best, best_distances = np.take_along_axis(best, order, 1), np.take_along_axis(
            best_distances, order, 1
        )
    for i, query in enumerate(queries.astype(np.float64)):
        rows = np.asarray(base[best[i]], np.float64)
        if metric == "cosine":
            rows = unit_length(rows)
        distances = ((rows - query) ** 2).sum(axis=1) if metric == "l2" else -(rows @ query)
        best[i] = best[i][np.lexsort((best[i], distances))]
    return best[:, :k].astype(np.int32)


def _nearest(rows, queries, k, metric):
    """Distances and numbers of the `k` nearest rows, smaller is closer."""
    try:
        import faiss
    except ImportError:
        scores = -(queries @ rows.T) if metric != "l2" else (rows**2).sum(axis=1) - 2 * (queries @ rows.T)
        found = np.argpartition(scores, k - 1, axis=1)[:, :k] if k < len(rows) else np.argsort(scores, axis=1)
        return np.take_along_axis(scores, found, 1), found
    if metric == "l2":
        return faiss.knn(queries, rows, k)
    products, found = faiss.knn(queries, rows, k, metric=faiss.METRIC_INNER_PRODUCT)
    return -products, found


def recall(found, exact):
    """The share of the `K` nearest rows that was found."""
    return float(np.mean([len(set(f[:K].tolist()) & set(e[:K].tolist())) / K for f, e in zip(found, exact)]))


# --- Searches --------------------------------------------------------------------------------------------------------


def search_figures(ask, queries, exact, search_secs, repeats):
    """Recall, distances and queries per second of one library at one ef.

    `ask(passes)` asks all queries that many times over, and returns the ids, the distances computed for a query (None
    if unknown) and the seconds. One pass is too short to be measured, and what only the first one pays (pages, caches,
    checksums) would count for too much: there are as many as take `search_secs`.
    """
    ids, distances, secs = ask(1)
    passes = max(1, min(100, round(search_secs / max(secs, 1e-6))))
    times = [ask(passes)[2] / passes for _ in range(repeats)]
    return {
        "recall": round(recall(ids[: len(exact)], exact), 4),
        "queries_per_sec": round(len(queries) / statistics.median(times), 1),
        "distances_per_query": None if distances is None else round(distances, 1),
        "passes": passes,
    }


# --- Processes -------------------------------------------------------------------------------------------------------


def measured(command, name):
    """Runs a command to its end: its standard output, and wall and CPU seconds. Raises if it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        try:
            process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err)
        except OSError as error:
            raise Refused(
                f"{command[0]}: cannot run: {error.strerror}", "build it, or name it with --binary"
            ) from None
        _, status, usage = os.wait4(process.pid, 0)
        wall_secs = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            lines = err.read().decode(errors="replace").strip().splitlines() or ["it says nothing"]
            why = next((line for line in lines if line.startswith("error:")), lines[-1])
            raise Refused(
                f"{name} failed with exit code {process.returncode}: {why}",
                f"try it: {shlex.join(map(str, command))}",
            )
        figures = {
            "wall_secs": round(wall_secs, 3),
            "cpu_secs": round(usage.ru_utime + usage.ru_stime, 3),
            "peak_rss_bytes": _ru_maxrss_bytes(usage),
        }
        return out.read().decode(), figures


def peak_rss_bytes():
    """The most memory that this process had resident at a time."""
    try:
        # ru_maxrss begins with what the parent had when it forked; this does not.
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return _ru_maxrss_bytes(resource.getrusage(resource.RUSAGE_SELF))


def _ru_maxrss_bytes(usage):
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def cpu_secs():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# --- The machine -----------------------------------------------------------------------------------------------------


def setting(versions_of):
    """What a record needs besides its figures: machine, versions, date, command line."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as info:
            model = next(
                (line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), model
            )
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    for package in versions_of:
        versions[package] = package_version(package) or "absent"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "cpu": model,
            "cores": cores,
            "memory_bytes": memory,
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": versions,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def setting_lines(setting):
    """The same for people."""
    machine = setting["machine"]
    return [
        f"date: {setting['date']}",
        f"machine: {machine['cpu']}, {machine['cores']} cores, {mib(machine['memory_bytes'])} MiB, {machine['system']}",
        "versions: " + ", ".join(f"{name} {version}" for name, version in setting["versions"].items()),
        f"command: {setting['command']}",
    ]


def package_version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


# --- Figures and tables ----------------------------------------------------------------------------------------------


def spread(values):
    """Median, least and most of what was measured; None of nothing."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def mib(number_of_bytes):
    return f"{number_of_bytes / 2**20:.0f}"


def shown(spread, show):
    """`median (min-max)`, or `-`."""
    if spread is None:
        return "-"
    median, least, most = (show(spread[key]) for key in ("median", "min", "max"))
    return median if least == most else f"{median} ({least}-{most})"


def decimals(places):
    return lambda value: "-" if value is None or math.isnan(value) else f"{value:.{places}f}"


class Report:
    """Headings, lines and tables, once for a terminal and once as Markdown."""

    def __init__(self, title):
        self.text = [title, "=" * len(title), ""]
        self.markdown = [f"# {title}", ""]

    def heading(self, heading):
        self.text += [heading, "-" * len(heading)]
        self.markdown += [f"## {heading}", ""]

    def lines(self, lines):
        self.text += [*lines, ""]
        self.markdown += [*(f"- {line}" for line in lines), ""]

    def table(self, columns, rows):
        """The first column is of words, the others are of figures."""
        cells = [columns, *([str(cell) for cell in row] for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
        for row in cells:
            first, *others = (
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths))
            )
            self.text.append("  ".join([first, *others]).rstrip())
        rule = ["---", *["---:"] * (len(columns) - 1)]
        self.markdown += [f"| {' | '.join(row)} |" for row in [cells[0], rule, *cells[1:]]]
        self.text.append("")
        self.markdown.append("")

    def write(self, markdown_file):
        print("\n".join(self.text))
        if markdown_file:
            Path(markdown_file).write_text("\n".join(self.markdown))
