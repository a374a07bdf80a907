#!/usr/bin/env python3
"""Measures sochdb-bulk and other HNSW libraries in turn, on the same data and machine.

Every measurement is a process of its own. Each round builds and searches with every library once; reported are medians
of the rounds, with the least and the most.
"""

import argparse
import json
import math
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np

import common
from common import BINARY, K, METRICS, Refused, Report, comma_list, decimals, mib, say, shown, spread
from libraries import LIBRARIES
from ours import Program
from svg import recall_plot

OURS = "ours"
RECALLS = (0.95, 0.99)

NOTES = (
    "ours is the whole process of `build-index`: it reads the file, builds, writes the index and syncs it to disk; "
    "peers are their add (and train) alone, with the rows in memory as f32 before the clock starts",
    "peak memory is what was resident: for ours with the pages of the mapped input and output, for peers with Python, "
    "the rows that were loaded and the index in memory",
    "searches are on one thread, k 10, all queries in one call, asked over and over for as long as --search-secs says; "
    "for ours the time is `search_secs` of `query --stats`, whose first pass also checks the vectors that it comes to",
    "queries per second at a recall: log(queries per second) interpolated linearly in recall between neighbouring ef; "
    "* = the smallest ef finds as much already, and its figure stands",
)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("base", metavar="BASE.npy", help="the rows to index: f32, or what becomes f32")
    add("queries", metavar="QUERIES.npy", help="the queries")
    add(
        "--exact",
        metavar="EXACT.npy",
        help="row numbers of the nearest rows of each query (worked out if not given)",
    )
    add("--metric", choices=METRICS, default="l2", help="default: %(default)s")
    add("-m", type=int, default=16, help="M: neighbours of a row; default: %(default)s")
    add("-e", "--ef-construction", type=int, default=100, help="default: %(default)s")
    add("-t", "--threads", type=int, default=2, help="threads for building; default: %(default)s")
    libs = [OURS, "hnswlib", "faiss", "usearch"]
    add(
        "--libs",
        type=comma_list(str),
        default=libs,
        metavar="A,B,...",
        help=f"of {', '.join([OURS, *LIBRARIES])}; default: {','.join(libs)}",
    )
    add(
        "--efs",
        type=comma_list(int),
        default=[10, 20, 50, 100, 200, 400],
        metavar="N,N,...",
        help="ef of the searches; default: 10,20,50,100,200,400",
    )
    add("--rounds", type=int, default=3, help="default: %(default)s")
    add(
        "--repeats",
        type=int,
        default=3,
        help="searches at each ef in a round, of which the median counts; default: %(default)s",
    )
    add(
        "--search-secs", type=float, default=1.0, help="about how long one search lasts; default: %(default)s"
    )
    add("--binary", default=BINARY, metavar="FILE", help="default: %(default)s")
    add(
        "--ours-args",
        default="",
        metavar="ARGS",
        help="more arguments for build-index, as one word: --ours-args='--seed 7'",
    )
    add(
        "--tmp",
        metavar="FOLDER",
        help="where the index and other files of the run go; default: the system's folder",
    )
    add("--markdown", metavar="FILE", help="write the tables there as Markdown")
    add("--json", metavar="FILE", help="write all figures there as JSON")
    add("--plot", metavar="FILE.svg", help="write a plot of recall against queries per second there")
    return parser.parse_args()


def check(args):
    """Fails before the first measurement, which may come hours before the last."""
    for library in args.libs:
        if library != OURS and library not in LIBRARIES:
            raise Refused(f"there is no library {library}", f"known are {', '.join([OURS, *LIBRARIES])}")
        package = None if library == OURS else LIBRARIES[library].package
        if package and common.package_version(package) is None:
            raise Refused(
                f"{package} is not installed", f"pip install {package}, or leave {library} out of --libs"
            )
    if not args.libs or len(set(args.libs)) < len(args.libs):
        raise Refused("expected each library once in --libs", "such as --libs ours,hnswlib")
    if not args.efs or min(args.efs) < K:
        raise Refused(f"expected each ef to be {K} or more", "such as --efs 10,50,200")
    if min(args.rounds, args.repeats, args.threads) < 1:
        raise Refused("expected at least one round, repeat and thread", "see --help")
    base, queries = common.open_npy(args.base), common.open_npy(args.queries)
    if base.shape[1] != queries.shape[1]:
        raise Refused(
            f"expected queries of dimension {base.shape[1]}, found {queries.shape[1]}",
            "name the queries of this base",
        )
    common.check_folders(args)
    return base, queries


def exact_answers(args, base, queries):
    if not args.exact:
        say("exact answers ...")
        return common.exact_neighbours(base, queries, K, args.metric)
    exact = common.open_npy(args.exact)
    if (
        exact.shape[1] < K
        or len(exact) > len(queries)
        or len(exact) == 0
        or not 0 <= exact.min() <= exact.max() < len(base)
    ):
        raise Refused(
            f"{args.exact}: expected {K} or more rows of the base for each query, found shape {exact.shape} and "
            f"numbers up to {exact.max(initial=0)}",
            "name the exact answers of this base, or leave --exact away",
        )
    return np.asarray(exact)


# --- Measuring -------------------------------------------------------------------------------------------------------


def measure_ours(args, program, queries, exact):
    build = program.build(
        args.base, args.metric, args.m, args.ef_construction, args.threads, shlex.split(args.ours_args)
    )
    search = {
        ef: common.search_figures(
            program.asker(queries, K, ef), queries, exact, args.search_secs, args.repeats
        )
        for ef in args.efs
    }
    return {"build": build, "search": search}


def measure_peer(args, library, exact_file):
    job = {
        "library": library,
        "base": args.base,
        "queries": args.queries,
        "exact": str(exact_file),
        "metric": args.metric,
        "m": args.m,
        "ef_construction": args.ef_construction,
        "threads": args.threads,
        "efs": args.efs,
        "search_secs": args.search_secs,
        "repeats": args.repeats,
    }
    worker = Path(__file__).with_name("libraries.py")
    output, _ = common.measured([sys.executable, worker, json.dumps(job)], library)
    measured = json.loads(output.splitlines()[-1])
    measured["search"] = {int(ef): figures for ef, figures in measured["search"].items()}
    return measured


def measure_all(args, folder, queries, exact, program):
    """What each library did in each round."""
    exact_file = Path(folder) / "exact.npy"
    np.save(exact_file, exact)
    rounds = {library: [] for library in args.libs}
    for number in range(args.rounds):
        # Each round begins with another library, so that none always comes after the same one.
        first = number % len(args.libs)
        for library in args.libs[first:] + args.libs[:first]:
            if library == OURS:
                measured = measure_ours(args, program, queries, exact)
            else:
                measured = measure_peer(args, library, exact_file)
            rounds[library].append(measured)
            qps = ", ".join(
                f"ef {ef} {s['recall']:.3f} {s['queries_per_sec']:.0f}/s"
                for ef, s in measured["search"].items()
            )
            say(f"round {number + 1}, {library}: build {measured['build']['wall_secs']:.2f} s; {qps}")
    return rounds


# --- Figures ---------------------------------------------------------------------------------------------------------


def summary_of(rounds, efs):
    """Medians with their spread of the rounds of one library."""
    build = {
        name: spread([r["build"][name] for r in rounds])
        for name in ("wall_secs", "cpu_secs", "peak_rss_bytes")
    }
    names = ("recall", "queries_per_sec", "distances_per_query")
    search = [
        {"ef": ef, **{name: spread([r["search"][ef][name] for r in rounds]) for name in names}} for ef in efs
    ]
    points = [(s["recall"]["median"], s["queries_per_sec"]["median"]) for s in search]
    at_recall = {str(recall): queries_per_sec_at(points, recall) for recall in RECALLS}
    summary = {"build": build, "search": search, "at_recall": at_recall, "rounds": rounds}
    phases = [r["build"]["phase_secs"] for r in rounds if "phase_secs" in r["build"]]
    if phases:
        summary["build"]["phase_secs"] = {name: spread([p.get(name) for p in phases]) for name in phases[0]}
    return summary


def queries_per_sec_at(points, recall):
    """Queries per second at a recall, by points of (recall, queries per second) in the order of ef; None if it is not
    reached."""
    if points[0][0] >= recall:
        return {"queries_per_sec": points[0][1], "at_smallest_ef": True}
    for (low, qps_at_low), (high, qps_at_high) in zip(points, points[1:]):
        if low < recall <= high:
            share = (recall - low) / (high - low)
            qps = math.exp(math.log(qps_at_low) * (1 - share) + math.log(qps_at_high) * share)
            return {"queries_per_sec": round(qps, 1), "at_smallest_ef": False}
    return None


def ratios_of(libraries):
    """Ours to each peer, and to the best of them."""
    if OURS not in libraries:
        return None
    ours, peers = libraries[OURS], {name: library for name, library in libraries.items() if name != OURS}
    build = {
        name: round(ours["build"]["wall_secs"]["median"] / peer["build"]["wall_secs"]["median"], 3)
        for name, peer in peers.items()
    }
    at_recall = {}
    for recall in map(str, RECALLS):
        mine = ours["at_recall"][recall]
        theirs = {
            name: peer["at_recall"][recall] for name, peer in peers.items() if peer["at_recall"][recall]
        }
        ratio = {
            name: round(mine["queries_per_sec"] / at["queries_per_sec"], 3) if mine else None
            for name, at in theirs.items()
        }
        best = max(theirs, key=lambda name: theirs[name]["queries_per_sec"], default=None)
        at_recall[recall] = {"ratio": ratio, "best_peer": best, "ratio_to_best": ratio.get(best)}
    return {"build_wall_secs": build, "queries_per_sec_at_recall": at_recall}


# --- Showing ---------------------------------------------------------------------------------------------------------


def report_of(document):
    libraries, ratios, data, params = (document[name] for name in ("libraries", "ratios", "data", "params"))
    report = Report(f"{data['base']}: {data['rows']} x {data['dim']}, {params['metric']}")
    report.lines(
        [
            *common.setting_lines(document),
            f"data: {data['rows']} x {data['dim']} {data['dtype']}, {data['queries']} queries",
            f"M {params['m']}, ef_construction {params['ef_construction']}, {params['threads']} threads for building, "
            f"{params['rounds']} rounds; figures are medians (least-most)",
        ]
    )
    report.heading("Build")
    rows = []
    for name, library in libraries.items():
        build = library["build"]
        ratio = ratios["build_wall_secs"].get(name) if ratios else None
        secs = decimals(2)
        rows.append(
            [
                name,
                shown(build["wall_secs"], secs),
                shown(build["cpu_secs"], secs),
                shown(build["peak_rss_bytes"], mib),
                decimals(2)(ratio),
            ]
        )
    report.table(["library", "wall s", "CPU s", "peak MiB", "ours / it (wall)"], rows)
    phases = libraries.get(OURS, {}).get("build", {}).get("phase_secs")
    if phases:
        times = (f"{name} {shown(secs, decimals(2))}" for name, secs in phases.items())
        report.lines([f"ours, seconds by its own statistics: {'; '.join(times)}"])

    report.heading("Search, one thread")
    rows = [
        [
            name,
            str(s["ef"]),
            shown(s["recall"], decimals(4)),
            shown(s["queries_per_sec"], decimals(0)),
            shown(s["distances_per_query"], decimals(0)),
        ]
        for name, library in libraries.items()
        for s in library["search"]
    ]
    report.table(["library", "ef", f"recall@{K}", "queries/s", "distances/query"], rows)

    report.heading("Queries per second at a recall")
    rows = []
    for name, library in libraries.items():
        row = [name]
        for recall, at in library["at_recall"].items():
            row.append(
                "not reached" if at is None else f"{at['queries_per_sec']:.0f}{'*' * at['at_smallest_ef']}"
            )
            ratio = ratios["queries_per_sec_at_recall"][recall]["ratio"].get(name) if ratios else None
            row.append(decimals(2)(ratio))
        rows.append(row)
    report.table(
        ["library", *(column for recall in RECALLS for column in (f"at {recall}", "ours / it"))], rows
    )
    if ratios and len(libraries) > 1:
        lines = []
        for recall, at in ratios["queries_per_sec_at_recall"].items():
            if at["best_peer"] is None:
                lines.append(f"at {recall}: no peer reaches it")
            else:
                lines.append(
                    f"at {recall}: ours / best peer ({at['best_peer']}) = {decimals(2)(at['ratio_to_best'])}"
                )
        report.lines([*lines, "build: below 1 ours takes less time; queries: above 1 ours answers more"])
    report.heading("How it was measured")
    report.lines(NOTES)
    return report


def main():
    args = arguments()
    base, queries = check(args)
    with tempfile.TemporaryDirectory(prefix="peers-", dir=args.tmp) as folder:
        program = Program(args.binary, folder) if OURS in args.libs else None
        exact = exact_answers(args, base, queries)
        queries = np.asarray(queries[: len(exact)], np.float32)
        rounds = measure_all(args, folder, queries, exact, program)
    libraries = {name: summary_of(of_library, args.efs) for name, of_library in rounds.items()}
    packages = dict.fromkeys(LIBRARIES[name].package for name in args.libs if name != OURS)
    document = {"schema": 1, **common.setting(packages)}
    if program:
        document["versions"]["sochdb-bulk"] = program.version
    document["data"] = {
        "base": Path(args.base).stem,
        "rows": base.shape[0],
        "dim": base.shape[1],
        "dtype": str(base.dtype),
        "queries": len(queries),
    }
    names = ("metric", "m", "ef_construction", "threads", "rounds", "repeats", "search_secs", "ours_args")
    document["params"] = {name: getattr(args, name) for name in names}
    document["libraries"] = libraries
    document["ratios"] = ratios_of(libraries)
    document["notes"] = NOTES
    report_of(document).write(args.markdown)
    if args.json:
        Path(args.json).write_text(json.dumps(document, indent=1) + "\n")
    if args.plot:
        series = [
            (name, [(s["recall"]["median"], s["queries_per_sec"]["median"]) for s in library["search"]])
            for name, library in libraries.items()
        ]
        data = document["data"]
        title = f"{data['base']}: {data['rows']:,} x {data['dim']}, {args.metric}, M {args.m}, "
        title += f"ef_construction {args.ef_construction}"
        Path(args.plot).write_text(recall_plot(title, series))


if __name__ == "__main__":
    common.run_main(main)
