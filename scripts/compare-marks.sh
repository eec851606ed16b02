#!/usr/bin/env bash
#
# Runs highwater copy under fixed high-water marks and under the one that finds itself, on disks of many kinds, and prints
# how fast each was and how long its writes took.
#
# Usage: scripts/compare-marks.sh [OPTION]...
#
#   --bin PATH          highwater                           (default: target/release/highwater of this repository)
#   --dir DIR           where to work, in a new directory   (default: the current directory)
#   --runs N            runs of each mark                   (default: 3)
#   --size SIZE         bytes to copy                       (default: 1G)
#   --seconds N         a run that takes longer is stopped, and judged by what it did (default: 4)
#   --targets LIST      comma-separated                     (default: all)
#   --marks LIST        comma-separated sizes, auto, or auto/N for --buffers N
#                       (default: 256K,512K,1M,2M,4M,8M,16M,32M,64M,auto,auto/128)
#   --json FILE         the results for programs, every run included
#   --help
#
# It needs root, nbdkit and nbdfuse. The source is one file in the page cache. Targets:
#
#   disk         a new file on the file system of DIR
#   tmpfs        a new file in memory
#   bandwidth    a new file on ext4, on a loop device of 100 MiB/s
#   iops         a new file on ext4, on a loop device of 300 operations a second
#   delay-1, delay-5, delay-50
#                a device that takes 1, 5, 50 ms for each operation, however many there are (nbdkit's delay filter, as a
#                loop device over nbdfuse)
#
# All marks of a target run in turn, A B C, A B C. Rates are bytes over the time of the whole copy, made durable. The
# 99th percentile is that of a write, from submission to completion. Medians are compared.
#
# Exit status: 0 all measured; 1 something failed; 2 bad usage; 128+n by signal n.

set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$HERE/lib.sh"
# shellcheck source-path=SCRIPTDIR source=disks.sh
. "$HERE/disks.sh"

ALL_TARGETS=(disk tmpfs bandwidth iops delay-1 delay-5 delay-50)

bin=$HERE/../target/release/highwater
parent=.
runs=3
size=1G
seconds=4
targets=$(IFS=,; echo "${ALL_TARGETS[*]}")
marks=256K,512K,1M,2M,4M,8M,16M,32M,64M,auto,auto/128
json=''

read_options '--bin bin  --dir parent  --runs runs  --size size  --seconds seconds  --targets targets  --marks marks  --json json' "$@"

[[ $runs =~ ^[1-9][0-9]*$ ]] || usage_error "not a number of runs: $runs"
[[ $seconds =~ ^[1-9][0-9]*$ ]] || usage_error "not a number of seconds: $seconds"
SIZE=$(to_bytes "$size")
IFS=, read -r -a wanted <<<"$targets"
IFS=, read -r -a contestants <<<"$marks"
for target in "${wanted[@]}"; do
    [[ " ${ALL_TARGETS[*]} " == *" $target "* ]] || usage_error "no such target: $target"
done
[[ -x $bin && ! -d $bin ]] || usage_error "$bin is no program: build highwater first, or say --bin PATH"
[[ -d $parent ]] || usage_error "$parent is no directory"
[[ -z $json ]] || : >"$json" || exit 2
((EUID == 0)) || { complain 'nothing measured: slow disks need root'; exit 2; }

# shellcheck disable=SC2317,SC2329  # the trap calls it
cleanup() {
    trap '' INT TERM HUP
    cd /
    remove_disks
    rm -rf "$work"
}

work=$(cd "$parent" && mktemp -d "$PWD/highwater-marks.XXXXXX")
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$work/bin"
ln -s "$(realpath "$bin")" "$work/bin/highwater"
PATH=$work/bin:$PATH
state=$work/state
log=$work/log
mkdir "$state" "$work/reports"
: >"$state/runs"

# ---------------------------------------------------------------- targets

# Sets TARGET, where to copy to.
make_target() {
    case $1 in
        disk) TARGET=$work/copy ;;
        tmpfs)
            mount_on "$work/tmpfs" -t tmpfs highwater
            TARGET=$work/tmpfs/copy ;;
        bandwidth|iops)
            make_disk "$1" $((SIZE + SIZE / 8 + (64 << 20)))
            case $1 in
                bandwidth) throttle $((100 << 20)) max ;;
                iops) throttle $((4 << 30)) 300 ;;
            esac
            mount_on "$work/$1"
            TARGET=$work/$1/copy ;;
        delay-*)
            make_far_disk "$1" "$SIZE" "${1#delay-}"
            TARGET=$DEVICE ;;
    esac
}

# As much as will be written was written before: memory and blocks that are touched for the first time are slow.
warm_up() {
    case $1 in
        disk|tmpfs)
            dd if=/dev/zero of="$TARGET" bs=1M iflag=count_bytes count="$SIZE" status=none
            sync -f "$TARGET" ;;
    esac
    [[ ! -f $TARGET ]] || rm -f "$TARGET"
}

run_one() {
    local target=$1 mark=$2 run=$3 status=0
    local report=$work/reports/$target,${mark/\//:},$run
    local -a options=(--high-water "${mark%/*}")
    [[ $mark != */* ]] || options+=(--buffers "${mark#*/}")
    warm_up "$target"
    cat "$work/source" >/dev/null
    sync
    "${JOIN[@]}" timeout --foreground --signal=INT "$seconds" highwater copy -q "${options[@]}" --json "$report" "$work/source" "$TARGET" \
        2>"$log" || status=$?
    # 124: stopped, as it was slow
    if ((status != 0 && status != 124)) || [[ ! -s $report ]]; then
        complain "$mark on $target failed ($status):"
        tail -n 5 "$log" >&2
        failures=1
        return
    fi
    record runs "$target" "$mark" "$report"
}

echo "# Marks"
echo
describe_machine
echo "- highwater: $(version_of highwater); $(mib "$SIZE"), at most $seconds s, $runs runs in turn"
head -c "$SIZE" /dev/urandom >"$work/source"
failures=0
for target in "${wanted[@]}"; do
    if ! make_target "$target"; then
        complain "$target can't be set up here"
        failures=1
        continue
    fi
    for ((run = 1; run <= runs; run++)); do
        for mark in "${contestants[@]}"; do
            progress "$target: run $run of $runs: $mark"
            run_one "$target" "$mark" "$run"
        done
    done
    progress ''
    [[ ! -f $TARGET ]] || rm -f "$TARGET"
    "$PYTHON" "$HERE/marks.py" table "$state/runs" "$target"
done
[[ -z $json ]] || "$PYTHON" "$HERE/marks.py" json "$state/runs" "$state/facts" >"$json"
exit "$failures"
