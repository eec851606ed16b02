#!/usr/bin/env bash
#
# Runs highwater beside the copy programs people use today, and prints who took how long.
#
# Usage: scripts/compare.sh [OPTION]...
#
#   --bin PATH          highwater                           (default: target/release/highwater of this repository)
#   --dir DIR           where to copy, in a new directory   (default: the current directory)
#   --size SIZE         bytes to copy, as 512M or 1G        (default: 512M)
#   --runs N            runs of each contestant             (default: 7)
#   --quick             the same as --runs 3 --size 128M --throttled-size 64M
#   --cells LIST        comma-separated, of cached-prompt, cached-durable, cold-prompt, cold-durable, throttled
#                       (default: all)
#   --only LIST         comma-separated names of contestants (default: all that are installed)
#   --rivals-path DIR   look for the rivals here before PATH
#   --throttled-size SIZE  bytes to copy in the throttled cell (default: 128M)
#   --json FILE         the results for programs, every run included
#   --help
#
# This is about one file. Directories of many have a script of their own: scripts/compare-trees.sh.
#
# A cell is a state of the source and a moment to stop the clock. The source is in the page cache, or its pages were
# dropped. The clock stops at the prompt (highwater --sync none, the rivals as they are), or once the copy is durable
# (highwater as it is, the rivals with a sync of file and directory behind them, in their time). In a cell the
# contestants run in turn, A B C, A B C; each run copies to a new name. Medians are compared, so load from elsewhere
# that comes and goes hurts all alike.
#
# Memory that a virtual machine touches for the first time may cost seconds a GiB, and freed memory may go back to the
# host. So before every timed command, for every contestant, as much is written and deleted as it will write. Source,
# target and the buffers of the program (mbuffer takes 2 % of the memory) should stay below 1.5 GiB together.
#
# Peak memory is the largest process of a contestant, without the page cache. CPU is that of its processes, a sync
# included, without the kernel's own write-back threads.
#
# The first copy of each contestant in each cell is compared with the source, the others by length. A wrong copy has no
# time: it says WRONG, and a failed one FAILED.
#
# The throttled cell (root only) copies to a disk of 20 MiB/s, a throttled loop device, in a memory cgroup of 32 MiB,
# which counts the page cache of the target too. The source is in the page cache, charged to nobody in the cgroup. With
# cgroup v1 the throttle stands in the root group, for the loop device alone: there run the kernel's write-back threads,
# which would walk around a throttle in a group of our own.
#
# Exit status: 0 all measured; 1 something was WRONG, FAILED or could not be set up (in the throttled cell rivals may
# fail: some need more than the memory there is); 2 bad usage; 128+n by signal n.

# Commands are kept as the text that is both printed and run, so $SRC and $DST must stay as they are.
# shellcheck disable=SC2016

set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$HERE/lib.sh"
THROTTLE_BYTES_PER_S=$((20 * 1024 * 1024))
THROTTLE_MEMORY_BYTES=$((32 * 1024 * 1024))
CGROUPS=/sys/fs/cgroup
BLKIO_THROTTLE=$CGROUPS/blkio/blkio.throttle.write_bps_device
ALL_CELLS=(cached-prompt cached-durable cold-prompt cold-durable throttled)

# In the order they run: name, command, how to ask for the version.
CONTESTANTS=(highwater cp dd rsync mbuffer xcp cpz node)
declare -A COMMAND=(
    [highwater]='highwater copy -q "$SRC" "$DST"'
    [cp]='cp "$SRC" "$DST"'
    [dd]='dd if="$SRC" of="$DST" bs=1M status=none'
    [rsync]='rsync --whole-file --inplace "$SRC" "$DST"'
    [mbuffer]='mbuffer -q -i "$SRC" -o "$DST"'
    [xcp]='xcp --no-progress "$SRC" "$DST"'
    [cpz]='cpz "$SRC" "$DST"'
    [node]='node "$RIVALS/stream-copy.mjs" "$SRC" "$DST"'
    [fio]='fio --name=limit --filename="$LIMIT" --rw=write --bs=256k --size="$SIZE" --ioengine=io_uring --iodepth=16 --direct=1 --numjobs=1 --end_fsync=1 --output-format=json --output="$LIMIT_REPORT"'
    [fio-new]='fio --name=limit --filename="$DST" --fallocate=native --rw=write --bs=256k --size="$SIZE" --ioengine=io_uring --iodepth=16 --direct=1 --numjobs=1 --end_fsync=1 --output-format=json --output="$LIMIT_REPORT"'
)
SYNC=' && sync "$DST" "$DIR"'

# ---------------------------------------------------------------- what was typed

bin=$HERE/../target/release/highwater
parent=.
size=512M
throttled_size=128M
runs=7
cells=$(IFS=,; echo "${ALL_CELLS[*]}")
only=''
rivals_path=''
json=''

while (($#)); do
    option=$1
    case $option in
        --quick) runs=3 size=128M throttled_size=64M; shift; continue ;;
        --help|-h) help; exit 0 ;;
        --*=*) set -- "${option%%=*}" "${option#*=}" "${@:2}"; continue ;;
    esac
    (($# > 1)) || usage_error "$option: unknown, or its value is missing (see --help)"
    case $option in
        --bin) bin=$2 ;;
        --dir) parent=$2 ;;
        --size) size=$2 ;;
        --throttled-size) throttled_size=$2 ;;
        --runs) runs=$2 ;;
        --cells) cells=$2 ;;
        --only) only=$2 ;;
        --rivals-path) rivals_path=$2 ;;
        --json) json=$2 ;;
        *) usage_error "$option: unknown (see --help)" ;;
    esac
    shift 2
done

[[ $runs =~ ^[1-9][0-9]*$ ]] || usage_error "not a number of runs: $runs"
SIZE=$(to_bytes "$size")
throttled_bytes=$(to_bytes "$throttled_size")
((SIZE > 0 && throttled_bytes > 0)) || usage_error "a size must be above 0"
for cell in ${cells//,/ }; do
    [[ " ${ALL_CELLS[*]} " == *" $cell "* ]] || usage_error "no such cell: $cell"
done
for name in ${only//,/ }; do
    [[ -n ${COMMAND[$name]:-} ]] || usage_error "no such contestant: $name"
done
[[ -x $bin && ! -d $bin ]] || usage_error "$bin is no program: build highwater first, or say --bin PATH"
[[ -d $parent ]] || usage_error "$parent is no directory"
[[ -z $json ]] || : >"$json" || exit 2

wanted_cell() { [[ ,$cells, == *,$1,* ]]; }
wanted_contestant() { [[ -z $only || ,$only, == *,$1,* ]]; }

# ---------------------------------------------------------------- the scene, and leaving it as it was

failures=0
loop='' loop_device='' mounted='' cgroup='' join=''

# shellcheck disable=SC2317,SC2329  # the trap calls it
cleanup() {
    trap '' INT TERM HUP
    cgroup_remove
    [[ -z $mounted ]] || umount "$mounted" || umount -l "$mounted" || true
    [[ -z $loop ]] || losetup -d "$loop" || true
    cd /
    rm -rf "$work"
}

work=$(cd "$parent" && mktemp -d "$PWD/highwater-compare.XXXXXX")
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

state=$work/state
log=$work/log
mkdir "$state" "$work/bin" "$work/target"
ln -s "$(realpath "$bin")" "$work/bin/highwater"
PATH=$work/bin:${rivals_path:+$(realpath "$rivals_path"):}$PATH
RIVALS=$HERE/rivals SRC=$work/source DST='' DIR=$work/target LIMIT=$work/limit LIMIT_REPORT=$work/limit.json
export PATH RIVALS SRC DST DIR SIZE LIMIT LIMIT_REPORT

# What a contestant runs: NAME UNTIL
command_of() {
    local text=${COMMAND[$1]}
    case $1,$2 in
        highwater,prompt) echo "${text/ -q/ -q --sync none}" ;;
        highwater,durable|fio*|*,prompt) echo "$text" ;;
        *,durable) echo "$text$SYNC" ;;
    esac
}

# ---------------------------------------------------------------- one timed command

warm_up() {
    dd if=/dev/zero of="$DIR/warm" bs=1M iflag=count_bytes count="$SIZE" status=none
    rm "$DIR/warm"
}

# Brings the source into the state the cell names, and believes it only when the kernel says so. Reclaim may take pages
# between the two, so it tries again.
set_source() {
    local resident try
    for try in 1 2 3 4 5; do
        case $1 in
            cached) cat "$SRC" >/dev/null ;;
            cold) dd if="$SRC" iflag=nocache count=0 status=none ;;
        esac
        resident=$("$PYTHON" "$MEASURE" resident "$SRC")
        case $1 in
            cached) ((resident < SIZE - SIZE / 100)) || return 0 ;;
            cold) ((resident > SIZE / 100)) || return 0 ;;
        esac
    done
    complain "the source should be $1, but after $try attempts $resident of its $SIZE bytes are in the page cache"
    return 1
}

# What became of the copy at $DST: "ok", or the word for the table. COMPARE is whole or length.
verdict() {
    local name=$1 status=$2 compare=$3
    if ((status != 0)); then
        complain "$name failed:"
        tail -n 5 "$log" >&2
        echo "FAILED ($status)"
    elif [[ $name == fio* ]]; then
        echo ok
    elif [[ $(stat -c %s "$DST" 2>/dev/null) != "$(stat -c %s "$SRC")" ]]; then
        echo WRONG
    elif [[ $compare == whole ]] && ! cmp -s "$SRC" "$DST"; then
        echo WRONG
    else
        echo ok
    fi
}

run_cell() {
    local cell=$1 source=${1%-*} until=${1#*-} run name outcome compare=whole
    local -A out=()
    local -a names=("${present[@]}")
    if [[ $until == durable ]] && ((has_fio)); then names+=(fio fio-new); fi
    printf '\n## Source %s, until %s\n\n' "$source" "$until"
    for ((run = 1; run <= runs; run++)); do
        for name in "${names[@]}"; do
            [[ -z ${out[$name]:-} ]] || continue
            progress "$cell: run $run of $runs: $name"
            DST=$DIR/$name-$run
            sync -f "$DIR"
            warm_up
            if ! set_source "$source"; then
                failures=1
                progress ''
                echo "Given up in run $run: the source cannot be made $source here."
                echo
                break 2
            fi
            measure "$name" "$(command_of "$name" "$until")"
            outcome=$(verdict "$name" "${MEASURED[0]}" "$compare")
            [[ $outcome == ok ]] || { out[$name]=yes; failures=1; }
            record runs "$cell" "$name" "$outcome" "${MEASURED[@]:1}"
            rm -rf "$DST"
        done
        compare=length
    done
    progress ''
    "$PYTHON" "$MEASURE" table "$state" "$cell"
}

# ---------------------------------------------------------------- a slow disk and little memory

# Makes a memory cgroup, a new one for each contestant, so that the counters begin at 0, and slows the disk down.
cgroup_make() {
    local group=highwater-compare.$$
    if [[ -e $CGROUPS/memory/memory.limit_in_bytes && -e $BLKIO_THROTTLE ]]; then
        cgroup=$CGROUPS/memory/$group
        join="echo \$\$ >$cgroup/cgroup.procs; echo \$\$ >$CGROUPS/blkio/cgroup.procs; "
        mkdir "$cgroup" || return
        echo "$THROTTLE_MEMORY_BYTES" >"$cgroup/memory.limit_in_bytes" || return
        echo "$loop_device $THROTTLE_BYTES_PER_S" >"$BLKIO_THROTTLE"
    elif [[ " $(cat "$CGROUPS/cgroup.controllers" 2>/dev/null) " == *" memory "* ]]; then
        cgroup=$CGROUPS/$group
        join="echo \$\$ >$cgroup/cgroup.procs; "
        echo '+memory +io' >"$CGROUPS/cgroup.subtree_control" || return
        mkdir "$cgroup" || return
        echo "$THROTTLE_MEMORY_BYTES" >"$cgroup/memory.max" || return
        echo "$loop_device wbps=$THROTTLE_BYTES_PER_S" >"$cgroup/io.max"
    else
        complain "no memory and block cgroups under $CGROUPS"
        return 1
    fi
}

cgroup_max_usage() { cat "$cgroup/memory.max_usage_in_bytes" 2>/dev/null || cat "$cgroup/memory.peak"; }

# How often the limit was hit.
cgroup_failcnt() {
    cat "$cgroup/memory.failcnt" 2>/dev/null || sed -n 's/^max //p' "$cgroup/memory.events"
}

cgroup_remove() {
    local try pid
    [[ -n $cgroup ]] || return 0
    # First the throttle: after an interrupt or a timeout someone may still wait for it.
    [[ ! -e $BLKIO_THROTTLE ]] || echo "$loop_device 0" >"$BLKIO_THROTTLE" || true
    [[ ! -e $cgroup/io.max ]] || echo "$loop_device wbps=max" >"$cgroup/io.max" || true
    for try in 1 2 3 4 5 6 7 8 9 10; do
        [[ -d $cgroup ]] || break
        while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done <"$cgroup/cgroup.procs"
        rmdir "$cgroup" 2>/dev/null && break
        ((try < 10)) || complain "left behind: $cgroup"
        sleep 0.2
    done
    cgroup=''
}

# A loop device with a file system, mounted at $work/slow. The image is written through first: the disk below should
# have nothing to allocate.
slow_disk_make() {
    local image=$work/slow.img bytes=$((2 * throttled_bytes + 128 * 1024 * 1024)) make=(mkfs.ext4 -q -F -E 'lazy_itable_init=0,lazy_journal_init=0')
    throttled_file_system=ext4
    if ! command -v mkfs.ext4 >/dev/null; then
        throttled_file_system=xfs make=(mkfs.xfs -q -f)
        ((bytes > 320 * 1024 * 1024)) || bytes=$((320 * 1024 * 1024))
    fi
    command -v "${make[0]}" >/dev/null || { complain 'neither mkfs.ext4 nor mkfs.xfs'; return 1; }
    dd if=/dev/zero of="$image" bs=1M iflag=count_bytes count=$bytes conv=fsync status=none || return
    dd if="$image" iflag=nocache count=0 status=none || return
    loop=$(losetup -f --show --direct-io=on "$image") || return
    loop_device=$(cat "/sys/block/${loop#/dev/}/dev") || return
    "${make[@]}" "$loop" || return
    mkdir -p "$work/slow" || return
    mount "$loop" "$work/slow" || return
    mounted=$work/slow
}

run_throttled() {
    printf '\n## A target of %s/s, in %s of memory\n\n' "$(mib "$THROTTLE_BYTES_PER_S")" "$(mib "$THROTTLE_MEMORY_BYTES")"
    ((EUID == 0)) || { echo 'Not measured: loop devices and cgroups need root.'; return; }
    if ! slow_disk_make || ! cgroup_make; then
        failures=1
        echo 'Not measured: it could not be set up here.'
        return
    fi
    cgroup_remove
    fact throttled_bytes "$throttled_bytes"
    fact throttled_bytes_per_s "$THROTTLE_BYTES_PER_S"
    fact throttled_memory_bytes "$THROTTLE_MEMORY_BYTES"
    fact throttled_file_system "$throttled_file_system on a loop device"

    local rows=("${present[@]}") row name
    local -A text=()
    for name in "${present[@]}"; do
        text[$name]=$(command_of "$name" durable)
    done
    if [[ -n ${text[highwater]:-} ]]; then
        text[highwater]=${text[highwater]/ -q/ -q --json \"\$REPORT\"}
        text[highwater-direct]=${text[highwater]/ -q/ -q --direct always}
        rows+=(highwater-direct)
    fi
    if [[ -n ${text[dd]:-} ]]; then
        text[dd-direct]=${text[dd]/bs=1M/bs=1M oflag=direct}
        rows+=(dd-direct)
    fi

    echo "$(mib "$throttled_bytes") to $throttled_file_system on a throttled loop device, one run each, until durable. The source is in the page cache,"
    echo 'charged outside the cgroup; the page cache of the target counts as memory inside it. FAILED (137) is the OOM killer.'
    echo
    for row in "${rows[@]}"; do echo "- $row: \`${text[$row]}\`"; done
    echo
    for row in "${rows[@]}"; do run_throttled_row "$row" "${text[$row]}"; done
    progress ''
    "$PYTHON" "$MEASURE" throttled "$state"
    umount "$mounted" && mounted=
    losetup -d "$loop" && loop=
}

run_throttled_row() {
    local row=$1 outcome
    # Ten times what the throttle explains is a hang.
    local limit_s=$((20 + 10 * throttled_bytes / THROTTLE_BYTES_PER_S))
    local -x SRC=$work/throttled-source DST=$mounted/copy DIR=$mounted REPORT=$work/report-$row.json TEXT=$2
    progress "throttled: $row"
    [[ -e $SRC ]] || head -c "$throttled_bytes" /dev/urandom >"$SRC"
    sync -f "$work" "$DIR"
    cat "$SRC" >/dev/null
    cgroup_make
    # The shell that measures stays outside, or Python's memory would be charged too.
    measure "$row" "timeout $limit_s sh -c '${join}eval \"\$TEXT\"'"
    outcome=$(verdict "$row" "${MEASURED[0]}" whole)
    [[ $outcome == ok || $row != highwater* ]] || failures=1
    record throttled "$row" "$outcome" "${MEASURED[1]}" "${MEASURED[4]}" "$REPORT" "$(cgroup_max_usage)" "$(cgroup_failcnt)"
    cgroup_remove
    rm -rf "$DST"
}

# ---------------------------------------------------------------- before any number

present=() missing=()
for name in "${CONTESTANTS[@]}"; do
    wanted_contestant "$name" || continue
    if command -v "$name" >/dev/null; then present+=("$name"); else missing+=("$name"); fi
done
has_fio=0
if wanted_contestant fio; then
    if command -v fio >/dev/null; then has_fio=1; else missing+=(fio); fi
fi

needed=$((4 * SIZE + 4 * throttled_bytes))
available=$(df --output=avail -B1 "$work" | tail -n 1)
((available > needed)) || { complain "$work: $(mib "$needed") needed, $(mib "$available") available"; exit 1; }

fact size_bytes "$SIZE"
fact runs "$runs"
fact missing "${missing[*]-}"
for name in "${present[@]}"; do
    record contestants "$name" "$(version_of "$name")" "$(command_of "$name" prompt)" "$(command_of "$name" durable)"
done
for name in fio fio-new; do
    ((!has_fio)) || record contestants "$name" "$(version_of fio)" '' "$(command_of "$name" durable)"
done

echo '# highwater beside its rivals'
echo
describe_machine
cat <<END
- Data: one file of $(mib "$SIZE"), incompressible; every run to a new name; $runs runs each, in turn
- Source: "cached" is wholly in the page cache; "cold" has its pages dropped (POSIX_FADV_DONTNEED, checked with mincore; caches below
  this kernel, a hypervisor's or a disk's, stay as they are)
- Until: "prompt" is the return of the command; "durable" includes a sync of the file and its directory
- Before each run: sync of the file system, then $(mib "$SIZE") written and deleted, so that nobody pays for the first touch of memory
- CPU: user and system, children and sync included, write-back threads of the kernel not. Peak memory: the largest process, page cache not
  included; a program that does nothing has ${FACT[measuring_floor_kib]} KiB
- Wall / best of the others: below 1 is faster than all of them
- Missing: ${FACT[missing]:-none}

| | version | until prompt | until durable |
|---|---|---|---|
END
while IFS=$'\t' read -r name version prompt durable; do
    [[ $name != fio* ]] || continue
    echo "| $name | $version | \`$prompt\` | \`$durable\` |"
done <"$state/contestants"
if ((has_fio)); then
    printf '\nDevice limit (%s): the same number of bytes, from no source. "fio" writes into space allocated and written before, by\n`%s`;\n' "$(version_of fio)" "${COMMAND[fio]}"
    printf '"fio-new" into a new file whose space is allocated first, as that of any copy to a new name must be, by\n`%s`;\n' "${COMMAND[fio-new]}"
    echo 'wall is what fio reports, up to the end of its fsync and without its start; CPU and memory have it.'
fi

# ---------------------------------------------------------------- the numbers

head -c "$SIZE" /dev/urandom >"$SRC"
sync "$SRC"
if ((has_fio)) && [[ $cells == *durable* ]]; then
    fallocate -l "$SIZE" "$LIMIT" 2>/dev/null || true
    dd if="$SRC" of="$LIMIT" bs=1M conv=notrunc,fsync status=none
    dd if="$LIMIT" iflag=nocache count=0 status=none
fi
for cell in "${ALL_CELLS[@]}"; do
    wanted_cell "$cell" || continue
    if [[ $cell == throttled ]]; then run_throttled; else run_cell "$cell"; fi
done
[[ -z $json ]] || "$PYTHON" "$MEASURE" json "$state" >"$json"
exit "$failures"
