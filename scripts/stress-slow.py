#!/usr/bin/env python3
"""Does `highwater stress` take from a slow target what it can give, with flat memory, and date what happens to it?

Usage: scripts/stress-slow.py [OPTION]...

Targets: ext4 on a loop device whose writes a control group holds to 5, 20 and 100 MiB/s and to 200 operations a second,
and a device behind nbdkit's delay filter (20 ms a write), of which fio tells what it can take. Then stalls of 2 s
(write_bps 1, then 0), held against the longest time without a completed write by the device's own counter, and cliffs from
100 to 20 MiB/s, held against the bytes that it had counted then. Needs root, control groups of version 1, fio, nbdkit and
nbdfuse, and a machine with nothing else to do.

  --bin PATH     highwater          (default: target/release/highwater of this repository)
  --dir DIR      where images go, in a new directory (default: the current directory)
  --seconds N    how long each target is written to (default: 120)
  --repeat N     how many stalls and cliffs (default: 3)
  --targets      only the slow targets
  --events       only stalls and cliffs

Exit status: 0 all as it should be; 1 something is not; 2 bad usage.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
BLKIO = pathlib.Path("/sys/fs/cgroup/blkio")
ENOUGH = 0.95  # of what a target can take
FLAT = 2 * MIB  # of memory
DIRTY = 2 * MIB  # of dirty pages, of whatever else the machine does
STALL_OFF = 0.05  # seconds
CLIFF_OFF = 2  # intervals


def system(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextlib.contextmanager
def loop_device(image):
    path = system("losetup", "-f", "--show", "--direct-io=on", str(image))
    try:
        yield path
    finally:
        system("losetup", "-d", path)


@contextlib.contextmanager
def disk(work, length):
    """A file system on a loop device: its directory, its device."""
    image = work / "image"
    with image.open("wb") as file:
        file.truncate(length)
    mount = work / "mnt"
    mount.mkdir(exist_ok=True)
    with loop_device(image) as device:
        system("mkfs.ext4", "-Fq", device)
        system("mount", device, str(mount))
        try:
            yield mount, device
        finally:
            system("umount", str(mount))


@contextlib.contextmanager
def delayed(work, length):
    """A device behind nbdkit's delay filter."""
    image, socket = work / "delayed", work / "socket"
    image.touch()
    server = subprocess.Popen(["nbdkit", "-f", "-U", socket, "--filter=delay", "memory", str(length), "wdelay=20ms"])
    while not socket.exists():
        time.sleep(0.01)
    client = subprocess.Popen(["nbdfuse", image, "--unix", socket])
    while image.stat().st_size == 0:
        time.sleep(0.01)
    try:
        with loop_device(image) as device:
            yield device
    finally:
        system("fusermount3", "-u", str(image))
        client.wait()
        server.terminate()
        server.wait()


class Throttle:
    """What a group's writes to a device are held to."""

    def __init__(self, device):
        self.group = BLKIO / f"stress-slow-{os.getpid()}"
        self.group.mkdir(exist_ok=True)
        self.number = pathlib.Path(f"/sys/block/{pathlib.Path(device).name}/dev").read_text().strip()

    def set(self, what, rate):
        (self.group / f"blkio.throttle.write_{what}_device").write_text(f"{self.number} {rate}")

    def join(self):
        (self.group / "cgroup.procs").write_text("0")

    def remove(self):
        while self.group.exists():
            try:
                self.group.rmdir()
            except OSError:
                time.sleep(0.05)


def counters(device):
    """Writes completed and bytes written, as Documentation/block/stat.rst has them."""
    fields = pathlib.Path(f"/sys/block/{pathlib.Path(device).name}/stat").read_text().split()
    return int(fields[4]), 512 * int(fields[6])


def dirty_bytes():
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return sum(1024 * int(fields[name].split()[0]) for name in ["Dirty", "Writeback"])


def resident_bytes(pid):
    """None once it has ended."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return None


class Run:
    """A stress run in a group, its memory after `settled` seconds, and the most dirty pages that the machine had."""

    def __init__(self, binary, work, target, options, join=None, settled=60):
        self.path = work / "report.json"
        self.settled, self.early = settled, None
        command = [binary, "stress", "-q", "--json", self.path, *options, target]
        os.sync()
        self.dirty_before = self.dirty = dirty_bytes()
        self.process = subprocess.Popen(command, preexec_fn=join, stderr=subprocess.DEVNULL)

    def report(self):
        began = time.monotonic()
        while self.process.poll() is None:
            if self.early is None and time.monotonic() - began >= self.settled:
                self.early = resident_bytes(self.process.pid)
            self.dirty = max(self.dirty, dirty_bytes())
            time.sleep(0.1)
        if self.process.returncode != 0:
            sys.exit(f"{' '.join(map(str, self.process.args))}: exit status {self.process.returncode}")
        return json.loads(self.path.read_text())


def row(name, can_take, run):
    report = run.report()
    rate, flow = report["throughput_bytes_per_s"], report["flow"]
    memory = report["stress"]["memory"]
    share = rate / can_take
    print(f"| {name} | {can_take / MIB:.2f} | {rate / MIB:.2f} | {100 * share:.1f} % "
          f"| {flow['peak_in_flight_bytes'] / MIB:g} of {flow['high_water_bytes'] / MIB:g} MiB "
          f"| {run.early / MIB:.1f}, {memory['last_bytes'] / MIB:.1f} MiB "
          f"| {run.dirty_before / MIB:.1f}, {run.dirty / MIB:.1f} MiB |", flush=True)
    return (share >= ENOUGH and flow["peak_in_flight_bytes"] <= flow["high_water_bytes"]
            and abs(memory["last_bytes"] - run.early) <= FLAT
            and run.dirty <= run.dirty_before + DIRTY)


def targets(arguments, work):
    settled = min(60, arguments.seconds // 2)
    print(f"| target | can take, MiB/s | sustained | share | most in flight | memory after {settled} s, at last "
          "| dirty pages before, at most |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    good = True
    lasts = ["--for", f"{arguments.seconds}s", "--size", "128M"]
    with disk(work, 512 * MIB) as (mount, device):
        for name, what, limit, can_take, options in [
            ("5 MiB/s", "bps", 5 * MIB, 5 * MIB, []),
            ("20 MiB/s", "bps", 20 * MIB, 20 * MIB, []),
            ("100 MiB/s", "bps", 100 * MIB, 100 * MIB, []),
            ("200 operations/s of 64 KiB", "iops", 200, 200 * 65536, ["--block-size", "64K"]),
        ]:
            throttle = Throttle(device)
            throttle.set(what, limit)
            good &= row(name, can_take, Run(arguments.bin, work, mount, lasts + options, throttle.join, settled))
            throttle.remove()
    with delayed(work, 256 * MIB) as device:
        fio = ["fio", "--name=w", f"--filename={device}", "--rw=write", "--bs=512k", "--iodepth=8", "--direct=1",
               "--ioengine=io_uring", "--time_based", "--runtime=8", "--output-format=json"]
        can_take = json.loads(system(*fio))["jobs"][0]["write"]["bw_bytes"]
        options = ["--destroy-data", "--state", work / "state", *lasts]
        good &= row("nbdkit, 20 ms a write (by fio)", can_take, Run(arguments.bin, work, device, options, None, settled))
    return good


def longest_gap(device, done, found):
    writes, moved = counters(device)[0], time.monotonic()
    while not done.is_set():
        time.sleep(0.001)
        now, seen = time.monotonic(), counters(device)[0]
        if seen != writes:
            found[0] = max(found[0], now - moved)
            writes, moved = seen, now


def stall(arguments, work):
    """Seconds: between the two changes of the throttle, without a completed write, as reported.

    On the bare device: what a file system's own threads write would count as well.
    """
    image = work / "image"
    with image.open("wb") as file:
        file.truncate(96 * MIB)
    with loop_device(image) as device:
        throttle = Throttle(device)
        options = ["--destroy-data", "--state", work / "state", "--limit-rate", "20M/s", "--sync-every", "1h"]
        run = Run(arguments.bin, work, device, options, throttle.join)
        time.sleep(1)
        done, found = threading.Event(), [0]
        observer = threading.Thread(target=longest_gap, args=(device, done, found))
        observer.start()
        began = time.monotonic()
        throttle.set("bps", 1)
        time.sleep(2)
        throttle.set("bps", 0)
        held = time.monotonic() - began
        time.sleep(0.5)
        done.set()
        observer.join()
        report = run.report()
        throttle.remove()
    return held, found[0], max((stall["length_s"] for stall in report["stalls"]), default=0)


def cliff(arguments, work):
    """How far the reported place is from the true one, in bytes and in intervals at the rate before it."""
    with disk(work, 512 * MIB) as (mount, device):
        throttle = Throttle(device)
        throttle.set("bps", 100 * MIB)
        before = counters(device)[1]
        options = ["--size", "300M", "--interval", "200ms", "--direct", "always", "--sync-every", "1h"]
        run = Run(arguments.bin, work, mount, options, throttle.join)
        while counters(device)[1] - before < 200 * MIB:
            time.sleep(0.001)
        throttle.set("bps", 20 * MIB)
        fell = counters(device)[1] - before
        report = run.report()
        throttle.remove()
    found = report.get("cliff")
    if found is None:
        return fell, 0, float("inf")
    off = found["after_bytes"] - fell
    return fell, found["after_bytes"], abs(off) / (0.2 * found["before_bytes_per_s"])


def events(arguments, work):
    good = True
    print("\n| stall | throttled for | no write completed for | reported | off |\n|---|---:|---:|---:|---:|")
    for nth in range(arguments.repeat):
        held, true, told = stall(arguments, work)
        good &= abs(told - true) <= STALL_OFF
        print(f"| {nth + 1} | {held:.3f} s | {true:.3f} s | {told:.3f} s | {1000 * (told - true):+.0f} ms |", flush=True)
    print("\n| cliff | fell after | reported after | off, in intervals of 200 ms |\n|---|---:|---:|---:|")
    for nth in range(arguments.repeat):
        fell, told, off = cliff(arguments, work)
        good &= off <= CLIFF_OFF
        print(f"| {nth + 1} | {fell / MIB:.1f} MiB | {told / MIB:.1f} MiB | {off:.2f} |", flush=True)
    return good


def main():
    here = pathlib.Path(__file__).resolve().parent
    if "--help" in sys.argv or "-h" in sys.argv:
        print(__doc__.strip())
        return 0
    parser = argparse.ArgumentParser(usage="see --help", add_help=False)
    parser.add_argument("--bin", default=here.parent / "target/release/highwater")
    parser.add_argument("--dir", default=".")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("--events", action="store_true")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root, for loop devices, mounts and control groups")
    with tempfile.TemporaryDirectory(prefix="stress-slow-", dir=arguments.dir) as directory:
        work = pathlib.Path(directory)
        good = True
        if not arguments.events:
            good &= targets(arguments, work)
        if not arguments.targets:
            good &= events(arguments, work)
    if not good:
        print("something is not as it should be", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
