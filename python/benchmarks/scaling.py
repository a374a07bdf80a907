#!/usr/bin/env python3
"""Measures how the time and memory of a build grow with the rows: sochdb-bulk on the first rows of one made data set.

An HNSW build takes about n log n distances; `relative` is the time divided by n log2 n, as a multiple of that of the
smallest size.
"""

import argparse
import json
import math
import shlex
import tempfile
from pathlib import Path

import numpy as np

import common
from common import BINARY, K, METRICS, Refused, Report, comma_list, decimals, mib, say, shown, spread
from datasets import make_clustered
from ours import Program

EFS = (50, 100)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    sizes = [125_000, 250_000, 500_000, 1_000_000]
    add(
        "--sizes",
        type=comma_list(int),
        default=sizes,
        metavar="N,N,...",
        help=f"default: {','.join(map(str, sizes))}",
    )
    add("--dim", type=int, default=128, help="default: %(default)s")
    add("--metric", choices=METRICS, default="l2", help="default: %(default)s")
    add("-m", type=int, default=16, help="M: neighbours of a row; default: %(default)s")
    add("-e", "--ef-construction", type=int, default=100, help="default: %(default)s")
    add("-t", "--threads", type=int, default=2, help="default: %(default)s")
    add(
        "--warm-mib",
        type=int,
        default=0,
        metavar="MIB",
        help="memory to touch before each build, for virtual machines whose host takes freed pages back; default: none",
    )
    add("--rounds", type=int, default=3, help="default: %(default)s")
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
        help="where data and indexes go, about 10 bytes a value; default: the system's folder",
    )
    add("--markdown", metavar="FILE", help="write the table there as Markdown")
    add("--json", metavar="FILE", help="write all figures there as JSON")
    args = parser.parse_args()
    if not args.sizes or min(args.sizes) < 2 * K or min(args.dim, args.rounds, args.threads) < 1:
        parser.error(f"expected sizes of {2 * K} or more, and at least one dimension, round and thread")
    args.sizes = sorted(set(args.sizes))
    return args


def measure(args, program, base, queries):
    """Builds every size once a round, and searches once: the index is the same in every round."""
    more = shlex.split(args.ours_args)
    if "--rows" in more:
        raise Refused("--ours-args has --rows, which is how the sizes are made", "use --sizes")
    results = {rows: {"rows": rows, "builds": [], "recall": {}} for rows in args.sizes}
    for number in range(args.rounds):
        for rows, result in results.items():
            if args.warm_mib:
                warm(args.warm_mib)
            build = program.build(
                base, args.metric, args.m, args.ef_construction, args.threads, ["--rows", f"0..{rows}", *more]
            )
            result["builds"].append(build)
            say(
                f"round {number + 1}, {rows} rows: {build['wall_secs']:.2f} s, {mib(build['peak_rss_bytes'])} MiB"
            )
            if number == 0:
                exact = common.exact_neighbours(np.load(base, mmap_mode="r")[:rows], queries, K, args.metric)
                for ef in EFS:
                    ids, _, _ = program.asker(queries, K, ef, args.threads)(1)
                    result["recall"][ef] = round(common.recall(ids, exact), 4)
    for result in results.values():
        builds = result["builds"]
        result["wall_secs"] = spread([build["wall_secs"] for build in builds])
        result["cpu_secs"] = spread([build["cpu_secs"] for build in builds])
        result["peak_rss_bytes"] = spread([build["peak_rss_bytes"] for build in builds])
        result["planned_memory_bytes"] = builds[0]["stats"].get("planned_memory_bytes")
    first = per_n_log_n(results[args.sizes[0]])
    for result in results.values():
        result["relative"] = round(per_n_log_n(result) / first, 3)
    return list(results.values())


def warm(mib_to_touch):
    """Makes the host of a virtual machine back so much memory: where it takes freed pages back, the first touch of a page
    can cost several times as much as it does otherwise, and only large builds touch many."""
    np.ones(mib_to_touch << 17)


def per_n_log_n(result):
    return result["wall_secs"]["median"] / (result["rows"] * math.log2(result["rows"]))


def report_of(document):
    params = document["params"]
    report = Report(f"Builds of clustered data of {params['dim']} dimensions, {params['metric']}")
    report.lines(
        [
            *common.setting_lines(document),
            f"M {params['m']}, ef_construction {params['ef_construction']}, {params['threads']} threads, "
            f"{params['rounds']} rounds; figures are medians (least-most) of whole processes",
        ]
    )
    rows = []
    for result in document["results"]:
        planned = result["planned_memory_bytes"]
        rows.append(
            [
                str(result["rows"]),
                shown(result["wall_secs"], decimals(2)),
                shown(result["cpu_secs"], decimals(2)),
                decimals(2)(result["relative"]),
                shown(result["peak_rss_bytes"], mib),
                "-" if planned is None else mib(planned),
                *(decimals(4)(result["recall"][ef]) for ef in EFS),
            ]
        )
    columns = [
        "rows",
        "wall s",
        "CPU s",
        "relative",
        "peak MiB",
        "planned MiB",
        *(f"recall@{K} ef {ef}" for ef in EFS),
    ]
    report.table(columns, rows)
    report.lines(
        [
            "relative: wall seconds / (n log2 n), as a multiple of that of the first line",
            "peak: what was resident, with the pages of the mapped input; planned: the bound that the program prints "
            "for memory besides mapped files",
        ]
    )
    return report


def main():
    args = arguments()
    common.check_folders(args)
    with tempfile.TemporaryDirectory(prefix="scaling-", dir=args.tmp) as folder:
        program = Program(args.binary, folder)
        say("data ...")
        base, queries = make_clustered(Path(folder), args.sizes[-1], args.dim)
        results = measure(args, program, base, np.load(queries))
    document = {"schema": 1, **common.setting([])}
    document["versions"]["sochdb-bulk"] = program.version
    names = ("dim", "metric", "m", "ef_construction", "threads", "rounds", "ours_args")
    document["params"] = {name: getattr(args, name) for name in names}
    document["results"] = results
    report_of(document).write(args.markdown)
    if args.json:
        Path(args.json).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    common.run_main(main)
