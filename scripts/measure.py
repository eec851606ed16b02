#!/usr/bin/env python3
"""Measures one command, and turns many measurements into tables: the helper of compare.sh
and compare-trees.sh.

    measure.py run --log LOG [--fio FILE] COMMAND   time a shell command; prints a tab-separated line:
                                                    exit status, wall, user and system seconds, peak KiB
    measure.py resident FILE                        the bytes of FILE that are in the page cache
    measure.py table STATE CELL                     one cell as Markdown
    measure.py throttled STATE                      the throttled section as Markdown
    measure.py json STATE                           everything as JSON
    measure.py tree-table STATE CELL                one cell of compare-trees.sh as Markdown
    measure.py memory STATE                         its memory section as Markdown
    measure.py tree-json STATE                      everything of it as JSON
    measure.py tree-summary JSON...                 two short tables of all cells in such files, for runs in pieces

STATE is a directory of tab-separated files that compare.sh writes: facts, contestants, runs, throttled; or
compare-trees.sh: facts, contestants, trees, runs, memory.
"""

import ctypes
import itertools
import json
import mmap
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

# The shell runs the command and then becomes this program, to ask what its children used. ru_maxrss survives
# exec: measured from a Python parent, every command would seem to need Python's own memory. A child of a plain
# shell carries only that shell's, which is about a MiB.
SHELL = 'echo; eval "$1" </dev/null >>"$2" 2>&1; echo "$?"; exec "$3" "$4" children'

MIB = 1024 * 1024
LIMITS = ("fio", "fio-new")


def run(arguments):
    """Times COMMAND from the first process it starts to the last it waits for, a sync at its end included."""
    options = dict(zip(arguments[:-1:2], arguments[1:-1:2]))
    command = arguments[-1]
    shell = subprocess.Popen(
        ["sh", "-c", SHELL, "sh", command, options["--log"], sys.executable, __file__],
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    shell.stdout.readline()
    start = time.perf_counter()
    status = shell.stdout.readline()
    wall_s = time.perf_counter() - start
    usage = shell.stdout.read().split()
    shell.wait()
    if not status.strip() or len(usage) != 3:
        sys.exit("measure.py: the measuring shell was killed")
    if "--fio" in options and status.strip() == b"0":
        wall_s = fio_wall_s(options["--fio"])
    user_s, system_s, peak_kib = (field.decode() for field in usage)
    print(int(status), f"{wall_s:.6f}", user_s, system_s, peak_kib, sep="\t")


def fio_wall_s(path):
    """fio's own time, up to the end of its final fsync: its start takes longer than some of the copies."""
    # A warning may stand before the object.
    text = Path(path).read_text()
    job = json.loads(text[text.index("{") :])["jobs"][0]
    return job["write"]["runtime"] / 1000


def children(_):
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{usage.ru_utime:.6f} {usage.ru_stime:.6f} {usage.ru_maxrss}")


def resident(arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(arguments[0], "rb") as file:
        size = os.fstat(file.fileno()).st_size
        # A private writable mapping, because ctypes takes the address of writable memory only. Nothing is touched.
        with mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as mapping:
            pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
            present = (ctypes.c_ubyte * pages)()
            anchor = ctypes.c_char.from_buffer(mapping)
            failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(size), present)
            del anchor
            if failed:
                sys.exit(f"measure.py: mincore: {os.strerror(ctypes.get_errno())}")
    print(min(size, sum(byte & 1 for byte in present) * mmap.PAGESIZE))


def rows(state, name):
    path = Path(state) / name
    return [line.split("\t") for line in path.read_text().splitlines()] if path.exists() else []


def cell_results(state, cell):
    """The contestants of a cell in the order they ran. One bad run takes a contestant's times away."""
    results = {}
    for row_cell, name, status, wall_s, user_s, system_s, peak_kib in rows(state, "runs"):
        if row_cell != cell:
            continue
        result = results.setdefault(name, {"name": name, "status": "ok", "runs": []})
        if status != "ok":
            result["status"] = status
        result["runs"].append(
            {
                "wall_s": float(wall_s),
                "user_s": float(user_s),
                "system_s": float(system_s),
                "peak_rss_bytes": int(peak_kib) * 1024,
            }
        )
    good = [result for result in results.values() if result["status"] == "ok"]
    for result in results.values():
        if result["status"] != "ok":
            result["runs"] = []
            continue
        runs = result["runs"]
        result["median_wall_s"] = statistics.median(run["wall_s"] for run in runs)
        result["median_cpu_s"] = statistics.median(run["user_s"] + run["system_s"] for run in runs)
        result["peak_rss_bytes"] = max(run["peak_rss_bytes"] for run in runs)
    for result in good:
        others = [other["median_wall_s"] for other in good if other is not result and other["name"] not in LIMITS]
        if others and result["name"] not in LIMITS:
            result["ratio_to_best_other"] = result["median_wall_s"] / min(others)
    return list(results.values())


def device_limits(results):
    """Highwater's median over fio's, by fio's name, where both have a time."""
    wall_s = {result["name"]: result.get("median_wall_s") for result in results}
    timed = [name for name in LIMITS if wall_s.get("highwater") and wall_s.get(name)]
    return {name: wall_s["highwater"] / wall_s[name] for name in timed}


def table(arguments):
    state, cell = arguments
    size_bytes = int(dict(rows(state, "facts"))["size_bytes"])
    print_table(cell_results(state, cell), "throughput", lambda wall_s: f"{size_bytes / MIB / wall_s:,.0f} MiB/s")


def print_table(results, rate_name, rate):
    """RATE makes of seconds what stands in the column RATE_NAME."""
    if not results:
        return
    print(f"| | wall, median | wall, range | {rate_name} | CPU, median | peak memory | wall / best of the others |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for result in results:
        name = f"**{result['name']}**" if result["name"] == "highwater" else result["name"]
        if result["status"] != "ok":
            print(f"| {name} | {result['status']} | | | | | |")
            continue
        walls = [run["wall_s"] for run in result["runs"]]
        cells = [
            f"{result['median_wall_s']:.3f} s",
            f"{min(walls):.3f} .. {max(walls):.3f}",
            rate(result["median_wall_s"]),
            f"{result['median_cpu_s']:.3f} s",
            f"{result['peak_rss_bytes'] / MIB:.1f} MiB",
            f"{result['ratio_to_best_other']:.2f}" if "ratio_to_best_other" in result else "-",
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    limits = [f"highwater / {name} = {ratio:.2f}" for name, ratio in device_limits(results).items()]
    if limits:
        print(f"\nDevice limit: {', '.join(limits)}")


def throttled_results(state):
    facts = dict(rows(state, "facts"))
    if "throttled_bytes" not in facts:
        return None
    floor_s = int(facts["throttled_bytes"]) / int(facts["throttled_bytes_per_s"])
    results = []
    for name, status, wall_s, rss_kib, report, used_bytes, failures in rows(state, "throttled"):
        result = {"name": name, "status": status, "peak_in_flight_bytes": peak_in_flight_bytes(report)}
        if status == "ok":
            result["wall_s"] = float(wall_s)
            result["percent_of_throttle"] = 100 * floor_s / float(wall_s)
        result["peak_rss_bytes"] = int(rss_kib) * 1024
        result["cgroup_max_usage_bytes"] = int(used_bytes)
        result["cgroup_failcnt"] = int(failures)
        results.append(result)
    return {
        "bytes": int(facts["throttled_bytes"]),
        "bytes_per_s": int(facts["throttled_bytes_per_s"]),
        "memory_limit_bytes": int(facts["throttled_memory_bytes"]),
        "file_system": facts["throttled_file_system"],
        "floor_s": floor_s,
        "results": results,
    }


def peak_in_flight_bytes(report):
    """From highwater's own report; None for the rivals, which count no such thing."""
    try:
        return json.loads(Path(report).read_text())["flow"]["peak_in_flight_bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def throttled(arguments):
    section = throttled_results(arguments[0])
    print("| | wall | of the throttle | peak in flight | process memory | cgroup max usage | cgroup failcnt |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for result in section["results"]:
        good = result["status"] == "ok"
        in_flight_bytes = result["peak_in_flight_bytes"]
        cells = [
            f"{result['wall_s']:.2f} s" if good else result["status"],
            f"{result['percent_of_throttle']:.1f} %" if good else "",
            "-" if in_flight_bytes is None else f"{in_flight_bytes / MIB:.1f} MiB",
            f"{result['peak_rss_bytes'] / MIB:.1f} MiB",
            f"{result['cgroup_max_usage_bytes'] / MIB:.1f} MiB",
            f"{result['cgroup_failcnt']}",
        ]
        print(f"| {result['name']} | {' | '.join(cells)} |")
    if any(result.get("percent_of_throttle", 0) > 105 for result in section["results"]):
        print("\nAbove 100 %: write-back on behalf of the kernel, outside the cgroup, escaped the throttle.")


def to_json(arguments):
    state = arguments[0]
    cells = []
    for cell in dict.fromkeys(row[0] for row in rows(state, "runs")):
        source, until = cell.split("-")
        results = cell_results(state, cell)
        cells.append(
            {"source": source, "until": until, "results": results, "ratio_to_device_limits": device_limits(results)}
        )
    keys = ("name", "version", "prompt", "durable")
    report = {
        "schema": 1,
        "facts": dict(rows(state, "facts")),
        "contestants": [dict(zip(keys, row)) for row in rows(state, "contestants")],
        "cells": cells,
        "throttled": throttled_results(state),
    }
    print(json.dumps(report, indent=1))


def trees(state):
    """What compare-trees.sh copied, by the name of the tree."""
    keys = ("files", "other_names", "bytes")
    return {row[0]: dict(zip(keys, map(int, row[1:]))) for row in rows(state, "trees")}


def tree_table(arguments):
    state, cell = arguments
    tree = trees(state)[cell.rsplit("-", 3)[0]]
    print_table(cell_results(state, cell), "throughput", lambda wall_s: tree_rate(tree, wall_s))


def tree_rate(tree, wall_s):
    """In bytes where the files are large, else in files."""
    if tree["bytes"] > tree["files"] * MIB:
        return f"{tree['bytes'] / MIB / wall_s:,.0f} MiB/s"
    return f"{tree['files'] / wall_s:,.0f} files/s"


def memory_results(state):
    keys = ("layout", "files", "name", "status", "wall_s", "peak_rss_bytes")
    results = [dict(zip(keys, row)) for row in rows(state, "memory")]
    for result in results:
        result["files"] = int(result["files"])
        result["wall_s"] = float(result["wall_s"])
        result["peak_rss_bytes"] = int(result["peak_rss_bytes"]) * 1024
    return results


def memory(arguments):
    results = memory_results(arguments[0])
    columns = list(dict.fromkeys((result["layout"], result["files"]) for result in results))
    print("| |" + "".join(f" {files:,} {layout} |" for layout, files in columns))
    print("|---|" + "---:|" * len(columns))
    for name in dict.fromkeys(result["name"] for result in results):
        cells = {(r["layout"], r["files"]): memory_cell(r) for r in results if r["name"] == name}
        print(f"| {'**highwater**' if name == 'highwater' else name} |", end="")
        print("".join(f" {cells.get(column, '')} |" for column in columns))


def memory_cell(result):
    if result["status"] != "ok":
        return result["status"]
    return f"{result['peak_rss_bytes'] / MIB:.1f} MiB ({result['wall_s']:.1f} s)"


def tree_json(arguments):
    state = arguments[0]
    cells = []
    for cell in dict.fromkeys(row[0] for row in rows(state, "runs")):
        tree, source, until, keeps = cell.rsplit("-", 3)
        cells.append(
            {"tree": tree, "source": source, "until": until, "keeps": keeps, "results": cell_results(state, cell)}
        )
    keys = ("name", "keeps", "version", "prompt", "durable")
    report = {
        "schema": 1,
        "facts": dict(rows(state, "facts")),
        "contestants": [dict(zip(keys, row)) for row in rows(state, "contestants")],
        "trees": trees(state),
        "cells": cells,
        "memory": memory_results(state),
    }
    print(json.dumps(report, indent=1))


TREE_NAMES = {
    "tree-small": "5,000 small",
    "tree-mixed": "3,000 mixed",
    "empty-50k": "50,000 empty",
    "large-64": "64 of 8 MiB",
}


def tree_summary(paths):
    """Medians in seconds; of a cell that is there several times the last is told."""
    reports = [json.loads(Path(path).read_text()) for path in paths]
    cells = [cell for report in reports for cell in report["cells"]]
    for keeps, command in (("all", "copy -a"), ("mode", "copy -r")):
        by_key = {(c["tree"], c["until"], c["source"]): c for c in cells if c["keeps"] == keeps and c["until"] != "each"}
        names = list(dict.fromkeys(r["name"] for cell in by_key.values() for r in cell["results"]))
        print(f"| `{command}`, seconds | {' | '.join(names)} | to the best |")
        print("|---|" + "---:|" * (len(names) + 1))
        for tree, title in TREE_NAMES.items():
            for until, source in itertools.product(("prompt", "durable"), ("cached", "cold")):
                cell = by_key.get((tree, until, source))
                if cell is None:
                    continue
                results = {result["name"]: result for result in cell["results"]}
                walls = [results.get(name, {}).get("median_wall_s") for name in names]
                ratio = results.get("highwater", {}).get("ratio_to_best_other")
                shown = ["-" if wall is None else f"{wall:.3f}" for wall in walls]
                shown.append("-" if ratio is None else f"{ratio:.2f}")
                until = {"prompt": "to the prompt", "durable": "durable"}[until]
                print(f"| {title}, {source}, {until} | {' | '.join(shown)} |")
        print()


COMMANDS = {
    "run": run,
    "children": children,
    "resident": resident,
    "table": table,
    "throttled": throttled,
    "json": to_json,
    "tree-table": tree_table,
    "memory": memory,
    "tree-json": tree_json,
    "tree-summary": tree_summary,
}

if __name__ == "__main__":
    if len(sys.argv) < 3 and sys.argv[1:] != ["children"] or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    try:
        COMMANDS[sys.argv[1]](sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(130)
