#!/usr/bin/env bash
# highwater bench against fio on the same file: io_uring, the same block size, depth and direct I/O, in turn, with fio
# against fio beside them as the noise. Needs fio and python3. Nothing else should run meanwhile.
#
#   scripts/compare-bench.sh [DIRECTORY]      where the file is made (256 MiB), and removed
#
#   ROUNDS=9  SECONDS_EACH=4  DEPTH=32  BLOCK=4k  ENGINE_OPTIONS="" (of highwater)
set -euo pipefail
cd "$(dirname "$0")/.."
directory=${1:-target}
file=$(mktemp -p "$directory" bench-XXXXXX)
trap 'rm -f "$file"' EXIT
export FILE=$file ROUNDS=${ROUNDS:-9} SECONDS_EACH=${SECONDS_EACH:-4} DEPTH=${DEPTH:-32} BLOCK=${BLOCK:-4k}
export BINARY=${BINARY:-target/release/highwater} ENGINE_OPTIONS=${ENGINE_OPTIONS:-}
dd if=/dev/urandom of="$file" bs=1M count=256 conv=fsync status=none
echo "$(uname -sr), $(nproc) CPUs, $(stat -f -c %T "$directory"), $(fio --version), $($BINARY --version)"
python3 - <<'PYTHON'
import json, os, statistics, subprocess

file, depth, block = (os.environ[name] for name in ("FILE", "DEPTH", "BLOCK"))
rounds, seconds = int(os.environ["ROUNDS"]), os.environ["SECONDS_EACH"]
ours = [os.environ["BINARY"], "bench", "-q", "--json", "-", "--workload", "randread", "--direct", "always",
        "--block-size", block.upper(), "--depth", depth, "--for", seconds + "s",
        *os.environ["ENGINE_OPTIONS"].split(), file]
theirs = ["fio", "--name=r", "--filename=" + file, "--rw=randread", "--ioengine=io_uring", "--direct=1",
          "--bs=" + block, "--iodepth=" + depth, "--time_based", "--runtime=" + seconds, "--norandommap",
          "--readonly", "--output-format=json", "--percentile_list=50:99"]
print(" ".join(ours), " ".join(theirs), sep="\n")

def highwater():
    run = json.loads(subprocess.run(ours, check=True, capture_output=True).stdout)
    read, used = run["latency"]["read"], run["process"]
    cpu = (used["user_s"] + used["system_s"]) / run["load"]["operations"]
    return run["load"]["operations_per_s"], read["p50_ns"] / 1e3, read["p99_ns"] / 1e3, cpu * 1e6

def fio():
    job = json.loads(subprocess.run(theirs, check=True, capture_output=True).stdout)["jobs"][0]
    read = job["read"]
    # Of the job's own process, its share of the time that it ran.
    cpu = (job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] / 1e3 / read["total_ios"]
    latency = read["clat_ns"]["percentile"]
    return read["iops"], latency["50.000000"] / 1e3, latency["99.000000"] / 1e3, cpu * 1e6

highwater(), fio()
results = {"highwater": [], "fio": [], "fio again": []}
runs = [("highwater", highwater), ("fio", fio), ("fio again", fio)]
for nth in range(rounds):
    for name, run in runs if nth % 2 == 0 else reversed(runs):
        results[name].append(run())
names = ["operations/s", "p50, us", "p99, us", "CPU per operation, us"]
print(f"\n| 4 KiB random reads, depth {depth} | highwater | fio | highwater / fio | fio / fio |\n|---|---|---|---|---|"
      .replace("4 KiB", block.upper().replace("K", " KiB")))
for at, name in enumerate(names):
    column = {key: [row[at] for row in rows] for key, rows in results.items()}
    ratio = lambda one, other: [a / b for a, b in zip(column[one], column[other])]
    pairs, noise = ratio("highwater", "fio"), ratio("fio again", "fio")
    median = statistics.median
    print(f"| {name} | {median(column['highwater']):,.2f} | {median(column['fio']):,.2f} "
          f"| {median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f}) "
          f"| {median(noise):.2f} ({min(noise):.2f} to {max(noise):.2f}) |")
PYTHON
