#!/usr/bin/env python3
"""Which high-water mark? The same copy to each kind of device, under marks of 1, 4, 16 and 64 MiB.

Usage: scripts/scenarios/marks.py [OPTION]...

The devices are those of `highwater copy --profile`, simulated before a file in DIR, which must itself be faster than
they are. Each file takes its device some seconds. Of each copy: how fast it was, from the prompt to the prompt, durable;
how long its writes took at the 99th percentile; the most memory it held, and the most of its bytes in flight.

  --bin PATH         highwater                      (default: target/release/highwater of this repository)
  --dir DIR          where to copy, in a new directory (default: the current directory)
  --profiles LIST    comma-separated                (default: all)
  --marks LIST       comma-separated                (default: 1M,4M,16M,64M)
  --seconds N        how long a copy takes at the device's bandwidth (default: 3)
  --check            instead: does a device keep what its SPEC says? (a minute)

Exit status: 0 all measured; 1 something failed, or --check found a device that is off by more than 3 %; 2 bad usage.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

MIB = 1 << 20
# What the devices write in a second at most, and what is said besides: a shingled disk is to be met where it is slow.
DEVICES = {
    "hdd": (250e6, []),
    "usb-stick": (10e6, []),
    "sd-card": (10e6, []),
    "smr": (13e6, ["--simulate", "cliff=13MB/s@8MiB"]),
    "cloud-volume": (125 * MIB, []),
    "nfs": (500 * MIB, []),
}
LEAST = 128 * MIB  # twice the largest mark
MOST = 512 * MIB


def run(binary, work, source, options):
    """The report of one copy."""
    target = work / "target"
    report = work / "report.json"
    command = [binary, "copy", "--json", report, *options, source, target]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
    target.unlink()
    return json.loads(report.read_text())


def source_of(work, length):
    source = work / f"source-{length}"
    if not source.exists():
        with source.open("wb") as out:
            for _ in range(length // MIB):
                out.write(os.urandom(MIB))
        os.sync()
    with source.open("rb") as file:
        while file.read(MIB):
            pass
    return source


def marks(arguments, work):
    print("| device | mark | MiB/s | of its bandwidth | p99 of writes | peak memory | peak in flight |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for profile in arguments.profiles.split(","):
        bandwidth, options = DEVICES[profile]
        length = int(min(max(bandwidth * arguments.seconds, LEAST), MOST)) // MIB * MIB
        source = source_of(work, length)
        for mark in arguments.marks.split(","):
            report = run(arguments.bin, work, source, ["--profile", profile, "--high-water", mark, *options])
            rate = report["bytes"] / report["elapsed_s"]
            p99 = report["latency"]["write"]["p99_ns"] / 1e6
            peak = report["process"]["peak_rss_bytes"] / MIB
            in_flight = report["flow"]["peak_in_flight_bytes"] / MIB
            print(f"| {profile} | {mark.rstrip('iB')}iB | {rate / MIB:.1f} | {100 * rate / bandwidth:.0f} % "
                  f"| {p99:,.0f} ms | {peak:.1f} MiB | {in_flight:g} MiB |", flush=True)


def check(arguments, work):
    """Bandwidths and latencies by the clock of the report. Latencies over the page cache: the true target is to be
    faster than what is simulated before it."""
    source = source_of(work, LEAST)
    worst = 0
    print("| SPEC | engine | said | measured | off |")
    print("|---|---|---:|---:|---:|")
    for engine in ["ring", "plain"]:
        for rate in [8, 32, 128, 512]:
            options = ["--engine", engine, "--sync", "none", "--simulate", f"bandwidth={rate}MiB/s"]
            report = run(arguments.bin, work, source, options)
            measured = report["bytes"] / report["elapsed_s"] / MIB
            worst = tell(f"bandwidth={rate}MiB/s", engine, rate, measured, "MiB/s", worst)
        for latency in [2, 10, 50]:
            options = ["--engine", engine, "--sync", "none", "--direct", "never", "--buffers", "4"]
            options += ["--simulate", f"latency={latency}ms"]
            report = run(arguments.bin, work, source, options)
            measured = report["latency"]["write"]["mean_ns"] / 1e6
            worst = tell(f"latency={latency}ms", engine, latency, measured, "ms", worst)
        # Distributions: of 4,096 writes each, so that chance is no more than 1 % or so.
        many = ["--engine", engine, "--sync", "none", "--direct", "never", "--block-size", "32K", "--buffers", "16"]
        many += ["--simulate"]
        log = work / f"{engine}.hlog"
        write = run(arguments.bin, work, source, [*many, "latency=uniform:4ms:16ms"])["latency"]["write"]
        worst = tell("latency=uniform:4ms:16ms", engine, 10, write["mean_ns"] / 1e6, "ms", worst, ", mean")
        spec = "latency=lognormal:10ms:0.5"
        write = run(arguments.bin, work, source, [*many, spec, "--hlog", log])["latency"]["write"]
        worst = tell(spec, engine, 10, write["p50_ns"] / 1e6, "ms", worst, ", p50")
        worst = tell(spec, engine, 10 * math.exp(0.5**2 / 2), write["mean_ns"] / 1e6, "ms", worst, ", mean")
        again = run(arguments.bin, work, source, [*many, f"write-latency=replay:{log}"])["latency"]["write"]
        for figure in ["mean", "p50", "p90"]:
            said, measured = write[f"{figure}_ns"] / 1e6, again[f"{figure}_ns"] / 1e6
            worst = tell("write-latency=replay: the log of that", engine, said, measured, "ms", worst, f", {figure}")
    return worst <= 0.03


def tell(spec, engine, said, measured, unit, worst, figure=""):
    off = measured / said - 1
    print(f"| `{spec}`{figure} | {engine} | {said:.4g} {unit} | {measured:.2f} {unit} | {100 * off:+.1f} % |", flush=True)
    return max(worst, abs(off))


def main():
    here = pathlib.Path(__file__).resolve().parent
    if "--help" in sys.argv or "-h" in sys.argv:
        print(__doc__.strip())
        return 0
    parser = argparse.ArgumentParser(usage="see --help", add_help=False)
    parser.add_argument("--bin", default=here.parent.parent / "target/release/highwater")
    parser.add_argument("--dir", default=".")
    parser.add_argument("--profiles", default=",".join(DEVICES))
    parser.add_argument("--marks", default="1M,4M,16M,64M")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    unknown = set(arguments.profiles.split(",")) - set(DEVICES)
    if unknown:
        parser.error(f"no such profile: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="marks-", dir=arguments.dir) as directory:
        work = pathlib.Path(directory)
        if not arguments.check:
            marks(arguments, work)
        elif not check(arguments, work):
            print("a device is off by more than 3 %", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
