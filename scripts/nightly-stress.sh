#!/usr/bin/env bash
#
# Usage: nightly-stress.sh [--total SIZE] [--each SIZE] [--dir DIRECTORY] [--no-faults]
#
# Is every fault found and named rightly, and nothing else called one?
#
# First disks that lie, by FUSE and by nbdkit: 1,000 seeded faults of each kind that they are told to have, each kind by
# itself and all in one run, in one round and in many. Some twenty minutes, by the tests of this repository
# (tests/stress/faults.rs); --no-faults leaves it out.
#
# Then it writes --total (100G) to healthy targets by `highwater stress`, --each (256M) in one run, and fails on the
# first word of a fault: a false alarm. The targets, in turn: a tmpfs, and loop devices with ext4 and XFS and one with
# nothing on it, their images in DIRECTORY (the temporary directory). Both engines, around the page cache and through it.
# Finds highwater in PATH, or takes $HIGHWATER.
#
# Needs root, cargo, nbdkit and nbdfuse.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

total=$(to_bytes 100G) each=$(to_bytes 256M) dir=${TMPDIR:-/tmp} faults=1
while (($# > 0)); do
    case $1 in
        --total) total=$(to_bytes "${2:?}"); shift 2 ;;
        --each) each=$(to_bytes "${2:?}"); shift 2 ;;
        --dir) dir=${2:?}; shift 2 ;;
        --no-faults) faults=0; shift ;;
        --help) help "$0"; exit 0 ;;
        *) usage_error "unknown option '$1'" ;;
    esac
done
((EUID == 0)) || usage_error "needs root, for loop devices and mounts"
highwater=${HIGHWATER:-highwater}

if ((faults)); then
    # What this machine lacks is a failure, and not left out.
    HIGHWATER_REQUIRE_ALL=1 cargo test --quiet --release --manifest-path "$SCRIPTS/../Cargo.toml" --test stress -- \
        --ignored --nocapture --test-threads 1 a_thousand ||
        { complain "a fault was not found, or not named rightly"; exit 1; }
fi

work=$(mktemp -d "$dir/nightly-stress.XXXXXX")
devices=() mounts=()
clean() {
    local one
    for one in "${mounts[@]}"; do umount "$one" || true; done
    for one in "${devices[@]}"; do losetup -d "$one" || true; done
    rm -rf "$work"
}
trap clean EXIT

device() {
    truncate -s "$(($each + 536870912))" "$work/$1.img"
    device=$(losetup -f --show --direct-io=on "$work/$1.img")
    devices+=("$device")
}
mounted() {
    mkdir "$work/$1"
    mount "${@:2}" "$work/$1"
    mounts+=("$work/$1")
}

mounted tmpfs -t tmpfs -o "size=$((each + 1048576))" nightly-stress
device ext4; mkfs.ext4 -Fq "$device"; mounted ext4 "$device"
device xfs; mkfs.xfs -fq "$device"; mounted xfs "$device"
device bare; bare=$device

written=0 run=0
while ((written < total)); do
    for target in "$work/tmpfs" "$work/ext4" "$work/xfs" "$bare"; do
        engine=ring direct=auto
        ((run % 2 == 0)) || engine=plain
        ((run % 3 != 0)) || direct=never
        state=()
        [[ $target != "$bare" ]] || state=(--destroy-data --state "$work/bare.state")
        "$highwater" stress -q --size "$each" --engine "$engine" --direct "$direct" "${state[@]}" "$target" ||
            { complain "a healthy target was found wrong: $target, --engine $engine --direct $direct"; exit 1; }
        written=$((written + each)) run=$((run + 1))
        progress "$(mib "$written") of $(mib "$total")"
    done
done
printf '%s in %d runs, no false alarm\n' "$(mib "$written")" "$run"
