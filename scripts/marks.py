#!/usr/bin/env python3
"""Turns reports of copies under several marks into tables: the helper of compare-marks.sh.

    marks.py table RUNS TARGET    one target as Markdown
    marks.py json RUNS FACTS      everything as JSON

RUNS has a line for each run, tab-separated: target, mark, the report (highwater copy --json).
"""

import json
import statistics
import sys
from pathlib import Path

MIB = 1024 * 1024


def rows(path):
    return [line.split("\t") for line in Path(path).read_text().splitlines()]


def load(path):
    report = json.loads(Path(path).read_text())
    tuner = report.get("tuner") or {}
    return {
        "throughput_bytes_per_s": report["throughput_bytes_per_s"],
        "write_p50_ns": report["latency"]["write"]["p50_ns"],
        "write_p99_ns": report["latency"]["write"]["p99_ns"],
        "ring_bytes": report["ring"]["block_bytes"] * report["ring"]["buffers"],
        "high_water_bytes": report["flow"]["high_water_bytes"],
        "tuner": tuner,
    }


def results(path, target):
    """The marks of a target in the order they ran, with medians over their runs."""
    marks = {}
    for row_target, mark, report in rows(path):
        if row_target == target:
            marks.setdefault(mark, []).append(load(report))
    found = []
    for mark, runs in marks.items():
        p99s = [run["write_p99_ns"] for run in runs if run["write_p99_ns"] is not None]
        rates = [run["throughput_bytes_per_s"] for run in runs]
        found.append(
            {
                "mark": mark,
                "throughput_bytes_per_s": statistics.median(rates),
                "write_p99_ns": statistics.median(p99s) if p99s else None,
                "ring_bytes": max(run["ring_bytes"] for run in runs),
                "runs": runs,
            }
        )
    for result in found:
        rivals = [other for other in found if is_fixed(other) and other["ring_bytes"] <= result["ring_bytes"]]
        if not is_fixed(result) and rivals:
            best = max(other["throughput_bytes_per_s"] for other in rivals)
            result["ratio_to_best_that_fits"] = result["throughput_bytes_per_s"] / best
    return found


def is_fixed(result):
    return not result["mark"].startswith("auto")


def settled(result):
    """Where marks that find themselves were at the end, and what held them back."""
    if is_fixed(result):
        return ""
    tuners = [run["tuner"] for run in result["runs"]]
    marks = sorted(tuner["high_water_bytes"] / MIB for tuner in tuners)
    bounds = sorted({tuner["bound_by"] for tuner in tuners})
    return f"{marks[0]:g} .. {marks[-1]:g} MiB, {'/'.join(bounds)}"


def table(path, target):
    print(f"\n## {target}\n")
    print("| mark | MiB/s, median | range | write p99 | / best fixed that its ring holds | where it ended |")
    print("|---|---:|---:|---:|---:|---|")
    for result in results(path, target):
        rates = [run["throughput_bytes_per_s"] / MIB for run in result["runs"]]
        p99 = result["write_p99_ns"]
        cells = [
            result["mark"],
            f"{result['throughput_bytes_per_s'] / MIB:,.0f}",
            f"{min(rates):,.0f} .. {max(rates):,.0f}",
            "-" if p99 is None else f"{p99 / 1e6:.2f} ms",
            f"{result['ratio_to_best_that_fits']:.3f}" if "ratio_to_best_that_fits" in result else "",
            settled(result),
        ]
        print(f"| {' | '.join(cells)} |")


def to_json(path, facts):
    targets = dict.fromkeys(row[0] for row in rows(path))
    report = {
        "schema": 1,
        "facts": dict(rows(facts)),
        "targets": [{"target": target, "results": results(path, target)} for target in targets],
    }
    print(json.dumps(report, indent=1))


COMMANDS = {"table": table, "json": to_json}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
