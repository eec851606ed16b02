#!/usr/bin/env python3
"""Turns fio's latency logs beside copies into tables: the helper of compare-neighbour.sh.

    neighbour.py table RUNS DISK    one disk as Markdown
    neighbour.py json RUNS FACTS    everything as JSON

RUNS has a line for each run, tab-separated: disk, program, when its copy began and ended (ms since 1970), fio's log of
latencies (--log_unix_epoch).
"""

import json
import math
import statistics
import sys
from pathlib import Path


def rows(path):
    return [line.split("\t") for line in Path(path).read_text().splitlines()]


def latencies_ms(log, begun, ended):
    """Of the reads that were sent before the copy ended and came back after it began."""
    found = []
    for line in Path(log).read_text().splitlines():
        at_ms, latency_ns = (int(field) for field in line.split(",")[:2])
        if at_ms >= begun and at_ms - latency_ns / 1e6 <= ended:
            found.append(latency_ns / 1e6)
    return found


def percentile(values, share):
    """By nearest rank; None where no value is above it."""
    rank = math.ceil(share * len(values))
    return sorted(values)[rank - 1] if values and rank < len(values) else None


def results(path, disk):
    programs = {}
    for row_disk, name, begun, ended, log in rows(path):
        if row_disk == disk:
            begun, ended = int(begun), int(ended)
            program = programs.setdefault(name, {"name": name, "times_s": [], "latencies_ms": []})
            program["times_s"].append((ended - begun) / 1000)
            program["latencies_ms"] += latencies_ms(log, begun, ended)
    for program in programs.values():
        values = program.pop("latencies_ms")
        program["reads"] = len(values)
        program["p50_ms"], program["p99_ms"] = percentile(values, 0.5), percentile(values, 0.99)
        program["max_ms"] = max(values, default=None)
        program["median_time_s"] = statistics.median(program["times_s"])
    return programs


def table(path, disk):
    found = results(path, disk)
    number = lambda value: "-" if value is None else f"{value:.2f}"
    print(f"\n## {disk}\n")
    print("| | reads | p50, ms | p99, ms | max, ms | p99 / idle | p99 / cp | copy, median |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")

    def beside(program, other):
        mine, its = program["p99_ms"], found.get(other, {}).get("p99_ms")
        return number(mine / its if mine and its else None)

    for name, program in found.items():
        cells = [name, f"{program['reads']}", *(number(program[key]) for key in ("p50_ms", "p99_ms", "max_ms"))]
        cells += [beside(program, "idle"), beside(program, "cp")]
        cells.append("" if name == "idle" else f"{program['median_time_s']:.2f} s")
        print(f"| {' | '.join(cells)} |")


def to_json(path, facts):
    disks = dict.fromkeys(row[0] for row in rows(path))
    disks = [{"disk": disk, "results": list(results(path, disk).values())} for disk in disks]
    print(json.dumps({"schema": 1, "facts": dict(rows(facts)), "disks": disks}, indent=1))


COMMANDS = {"table": table, "json": to_json}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
