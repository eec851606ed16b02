#!/usr/bin/env bash
#
# How much does a copy hurt others on the same disk? Runs copy programs beside a neighbour that reads 100 random blocks of
# 4 KiB a second, and prints how long the neighbour's reads took.
#
# Usage: scripts/compare-neighbour.sh [OPTION]...
#
#   --bin PATH          highwater                           (default: target/release/highwater of this repository)
#   --dir DIR           where to work, in a new directory   (default: the current directory)
#   --runs N            runs of each program                (default: 3)
#   --size SIZE         bytes to copy                       (default: 1G)
#   --disks LIST        comma-separated, of disk, throttled (default: both)
#   --only LIST         comma-separated names of programs   (default: all that are installed)
#   --json FILE         the results for programs
#   --help
#
# It needs root, fio and python3. The source is one file in the page cache. The copy and the neighbour's file of 256 MiB are
# on the file system of DIR (disk), or on ext4 on a loop device of 100 MiB/s and 2,000 operations a second (throttled).
# The neighbour is fio, which sends its reads when they are due, whether or not those before have come back, so a disk
# that hangs is seen in full.
#
# Programs run in turn, A B C, A B C, and idle, which copies nothing for 3 s, is one of them. The reads that count are those
# that came back between the start of a copy and its end, which is when it is durable: a program that doesn't sync by itself
# has a sync behind it. Reads of all runs are taken together; of times the median is told.
#
# Exit status: 0 all measured; 1 something failed; 2 bad usage; 128+n by signal n.

# Commands are kept as the text that is both printed and run, so $SRC and $DST must stay as they are.
# shellcheck disable=SC2016

set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$HERE/lib.sh"
# shellcheck source-path=SCRIPTDIR source=disks.sh
. "$HERE/disks.sh"

ALL_DISKS=(disk throttled)
CONTESTANTS=(idle cp rsync dd highwater highwater-gentle)
declare -A COMMAND=(
    [idle]='sleep 3'
    [cp]='cp "$SRC" "$DST" && sync "$DST"'
    [rsync]='rsync --whole-file --inplace "$SRC" "$DST" && sync "$DST"'
    [dd]='dd if="$SRC" of="$DST" bs=1M oflag=direct conv=fsync status=none'
    [highwater]='highwater copy -q "$SRC" "$DST"'
    [highwater-gentle]='highwater copy -q --gentle "$SRC" "$DST"'
)
NEIGHBOUR_BYTES=$((256 << 20))

bin=$HERE/../target/release/highwater
parent=.
runs=3
size=1G
disks=$(IFS=,; echo "${ALL_DISKS[*]}")
only=''
json=''

read_options '--bin bin  --dir parent  --runs runs  --size size  --disks disks  --only only  --json json' "$@"

[[ $runs =~ ^[1-9][0-9]*$ ]] || usage_error "not a number of runs: $runs"
SIZE=$(to_bytes "$size")
IFS=, read -r -a wanted <<<"$disks"
for disk in "${wanted[@]}"; do
    [[ " ${ALL_DISKS[*]} " == *" $disk "* ]] || usage_error "no such disk: $disk"
done
for name in ${only//,/ }; do
    [[ -n ${COMMAND[$name]:-} ]] || usage_error "no such program: $name"
done
[[ -x $bin && ! -d $bin ]] || usage_error "$bin is no program: build highwater first, or say --bin PATH"
[[ -d $parent ]] || usage_error "$parent is no directory"
[[ -z $json ]] || : >"$json" || exit 2
((EUID == 0)) || { complain 'nothing measured: a slow disk needs root'; exit 2; }

fio_pid=''

# shellcheck disable=SC2317,SC2329  # the trap calls it
cleanup() {
    trap '' INT TERM HUP
    [[ -z $fio_pid ]] || kill "$fio_pid" 2>/dev/null || true
    cd /
    remove_disks
    rm -rf "$work"
}

work=$(cd "$parent" && mktemp -d "$PWD/highwater-neighbour.XXXXXX")
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
state=$work/state
log=$work/log
mkdir "$state" "$work/bin" "$work/logs"
: >"$state/runs"
ln -s "$(realpath "$bin")" "$work/bin/highwater"
PATH=$work/bin:$PATH
SRC=$work/source
export PATH SRC DST

now_ms() { date +%s%3N; }

start_neighbour() {
    "${JOIN[@]}" fio --name=neighbour --filename="$1" --rw=randread --bs=4k --size="$NEIGHBOUR_BYTES" --direct=1 \
        --ioengine=io_uring --iodepth=64 --rate_iops=100 --time_based --runtime=600 \
        --write_lat_log="$2" --log_unix_epoch=1 --output=/dev/null &
    fio_pid=$!
    sleep 0.7
}

stop_neighbour() {
    kill -INT "$fio_pid"
    wait "$fio_pid" || true
    fio_pid=''
}

run_one() {
    local disk=$1 name=$2 run=$3 directory=$4 begun ended status=0
    DST=$directory/$name-$run
    if [[ $disk == disk ]]; then
        # Memory and blocks that are touched for the first time are slow.
        dd if=/dev/zero of="$DST" bs=1M iflag=count_bytes count="$SIZE" status=none
        sync -f "$DST"
        rm "$DST"
    fi
    cat "$SRC" >/dev/null
    sync -f "$directory"
    start_neighbour "$directory/neighbour" "$work/logs/$disk-$name-$run"
    begun=$(now_ms)
    "${JOIN[@]}" sh -c "${COMMAND[$name]}" >"$log" 2>&1 </dev/null || status=$?
    ended=$(now_ms)
    # Those that were sent meanwhile come back.
    sleep 0.5
    stop_neighbour
    if ((status != 0)); then
        complain "$name failed ($status):"
        tail -n 5 "$log" >&2
        failures=1
    else
        record runs "$disk" "$name" "$begun" "$ended" "$work/logs/$disk-$name-${run}_lat.1.log"
    fi
    rm -f "$DST"
}

present=()
for name in "${CONTESTANTS[@]}"; do
    [[ -z $only || ,$only, == *,$name,* ]] || continue
    program=${COMMAND[$name]%% *}
    if command -v "$program" >/dev/null; then present+=("$name"); else complain "$name: not installed"; fi
done

echo "# A neighbour"
echo
describe_machine
echo "- highwater: $(version_of highwater); $(mib "$SIZE"), $runs runs in turn"
for name in "${present[@]}"; do echo "- $name: \`${COMMAND[$name]}\`"; done
head -c "$SIZE" /dev/urandom >"$SRC"
failures=0
for disk in "${wanted[@]}"; do
    JOIN=()
    if [[ $disk == throttled ]]; then
        make_disk throttled $((SIZE + SIZE / 8 + NEIGHBOUR_BYTES + (64 << 20)))
        mount_on "$work/throttled"
        directory=$work/throttled
    else
        directory=$work/disk
        mkdir "$directory"
    fi
    head -c "$NEIGHBOUR_BYTES" /dev/urandom >"$directory/neighbour"
    sync -f "$directory"
    [[ $disk != throttled ]] || throttle $((100 << 20)) 2000
    for ((run = 1; run <= runs; run++)); do
        for name in "${present[@]}"; do
            progress "$disk: run $run of $runs: $name"
            run_one "$disk" "$name" "$run" "$directory"
        done
    done
    progress ''
    rm "$directory/neighbour"
    "$PYTHON" "$HERE/neighbour.py" table "$state/runs" "$disk"
done
[[ -z $json ]] || "$PYTHON" "$HERE/neighbour.py" json "$state/runs" "$state/facts" >"$json"
exit "$failures"
