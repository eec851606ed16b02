#!/usr/bin/env bash
#
# Runs highwater beside the copy programs people use today, on directory trees, and prints who took how long.
#
# Usage: scripts/compare-trees.sh [OPTION]...
#
#   --bin PATH          highwater                           (default: target/release/highwater of this repository)
#   --dir DIR           where to work, in a new directory   (default: the current directory)
#   --runs N            runs of each contestant             (default: 5)
#   --quick             the same as --runs 2 --scale 10
#   --scale N           a tree has one file in N            (default: 1)
#   --cells LIST        comma-separated, of the names of cells and of patterns, as 'tree-small-*,*-durable-all'
#                       (default: all)
#   --only LIST         comma-separated names of contestants (default: all that are installed)
#   --rivals-path DIR   look for the rivals here before PATH
#   --list              print the names of the cells, and measure nothing
#   --json FILE         the results for programs, every run included; of a run in pieces, each with some of the cells,
#                       scripts/measure.py tree-summary FILE... makes one table
#   --help
#
# It needs root. Other data, one large file, is what scripts/compare.sh copies.
#
# A cell is called TREE-SOURCE-UNTIL-KEEPS. TREE is one of
#
#   tree-small   5,000 files of 512 B to 32 KiB, some 80 MB, in 350 directories
#   tree-mixed   3,000 files of 0 to 4 MiB, some 200 MB, as of a source tree, in 200 directories; and 100 symlinks
#   empty-50k    50,000 empty files in one directory
#   large-64     64 files of 8 MiB in one directory
#
# SOURCE is cached (every name, inode and byte was just read) or cold (the caches of the kernel were dropped, of the
# source and of the target; the programs were started once since). UNTIL is prompt (the clock stops when the command
# returns; highwater with --sync none), durable (highwater as it is, the others with a sync of the target's file system
# behind them, in their time) or, of tree-small, each (every file is synced before it gets its name: highwater with
# --atomic --sync file, rsync with --fsync). KEEPS is all (owner, permissions, times and symlinks: cp -a) or mode (permissions and
# symlinks: cp -r).
#
# Each run copies to a new name on an ext4 that was made for it, on a loop device over a file that has all its blocks.
# The source is on another file system. So no run pays for what one before it deleted: ext4 is slow to use again an
# inode that was just freed. Contestants of a cell run in turn, A B C, A B C, and medians are compared. Before each
# command, for every contestant, as much is written and deleted as it will write.
#
# The first copy of each contestant in each cell is compared with the source: names, kinds, content, symlinks and
# permissions, and in the cells of all the owner, the times to the nanosecond and hard links, too. A wrong copy has no time:
# it says WRONG, and a failed one FAILED. Of later copies the number of names is compared.
#
# The cell memory copies 10,000, 100,000 and 1,000,000 empty files from a tmpfs to another, one run each, in one
# directory ("flat") and in directories of 100 ("spread"), and shows the largest process.
#
# Exit status: 0 all measured; 1 something was WRONG, FAILED or could not be set up (in the memory cell rivals may fail);
# 2 bad usage; 128+n by signal n.

# Commands are kept as the text that is both printed and run, so $SRC and $DST must stay as they are.
# shellcheck disable=SC2016

set -euo pipefail
umask 022

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$HERE/lib.sh"
TREES=$HERE/trees.py

ALL_TREES=(tree-small tree-mixed empty-50k large-64)
MEMORY_FILES=(10000 100000 1000000)
ALL_CELLS=()
for tree in "${ALL_TREES[@]}"; do
    for source in cached cold; do
        for until in prompt durable; do
            for keeps in all mode; do ALL_CELLS+=("$tree-$source-$until-$keeps"); done
        done
    done
done
ALL_CELLS+=(tree-small-cached-each-all tree-small-cold-each-all memory)

# In the order they run, for each KEEPS: name and command.
declare -A CONTESTANTS=([all]='highwater cp rsync' [mode]='highwater cp cpz xcp')
declare -A COMMAND=(
    [highwater,all]='highwater copy -q -a "$SRC" "$DST"'
    [cp,all]='cp -a "$SRC" "$DST"'
    [rsync,all]='rsync -a "$SRC/" "$DST"'
    [highwater,mode]='highwater copy -q -r "$SRC" "$DST"'
    [cp,mode]='cp -r "$SRC" "$DST"'
    [cpz,mode]='cpz "$SRC" "$DST"'
    [xcp,mode]='xcp -r --no-progress --no-timestamps "$SRC" "$DST"'
)
SYNC=' && sync -f "$DIR"'

# ---------------------------------------------------------------- what was typed

bin=$HERE/../target/release/highwater
parent=.
runs=5
scale=1
cells='*'
only=''
rivals_path=''
json=''

while (($#)); do
    option=$1
    case $option in
        --quick) runs=2 scale=10; shift; continue ;;
        --list) printf '%s\n' "${ALL_CELLS[@]}"; exit 0 ;;
        --help|-h) help; exit 0 ;;
        --*=*) set -- "${option%%=*}" "${option#*=}" "${@:2}"; continue ;;
    esac
    (($# > 1)) || usage_error "$option: unknown, or its value is missing (see --help)"
    case $option in
        --bin) bin=$2 ;;
        --dir) parent=$2 ;;
        --runs) runs=$2 ;;
        --scale) scale=$2 ;;
        --cells) cells=$2 ;;
        --only) only=$2 ;;
        --rivals-path) rivals_path=$2 ;;
        --json) json=$2 ;;
        *) usage_error "$option: unknown (see --help)" ;;
    esac
    shift 2
done

[[ $runs =~ ^[1-9][0-9]*$ ]] || usage_error "not a number of runs: $runs"
[[ $scale =~ ^[1-9][0-9]?$ ]] || usage_error "not a scale of 1 to 99: $scale"
[[ -x $bin && ! -d $bin ]] || usage_error "$bin is no program: build highwater first, or say --bin PATH"
[[ -d $parent ]] || usage_error "$parent is no directory"
[[ -z $json ]] || : >"$json" || exit 2
IFS=, read -r -a patterns <<<"$cells"
wanted=()
for cell in "${ALL_CELLS[@]}"; do
    for pattern in "${patterns[@]}"; do
        # shellcheck disable=SC2053  # a pattern
        if [[ $cell == $pattern ]]; then wanted+=("$cell"); break; fi
    done
done
((${#wanted[@]})) || usage_error "no such cell: $cells (see --list)"
for name in ${only//,/ }; do
    [[ " ${CONTESTANTS[*]} " == *" $name "* ]] || usage_error "no such contestant: $name"
done
((EUID == 0)) || { complain 'nothing measured: a new file system for each run, and dropping caches, need root'; exit 2; }

# ---------------------------------------------------------------- the scene, and leaving it as it was

failures=0
loop='' mounted=()

# shellcheck disable=SC2317,SC2329  # the trap calls it
cleanup() {
    trap '' INT TERM HUP
    cd /
    while ((${#mounted[@]})); do leave_mount; done
    [[ -z $loop ]] || losetup -d "$loop" || true
    rm -rf "$work"
}

leave_mount() {
    umount "${mounted[-1]}" 2>/dev/null || umount -l "${mounted[-1]}" 2>/dev/null || true
    unset 'mounted[-1]'
}

work=$(cd "$parent" && mktemp -d "$PWD/highwater-compare.XXXXXX")
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

state=$work/state
log=$work/log
mkdir "$state" "$work"/{bin,source,target,from,to}
ln -s "$(realpath "$bin")" "$work/bin/highwater"
PATH=$work/bin:${rivals_path:+$(realpath "$rivals_path"):}$PATH
SRC='' DST='' DIR=$work/target
export PATH SRC DST DIR

# ---------------------------------------------------------------- who takes part

# The contestants that keep $1 and are there.
present() {
    local name
    for name in ${CONTESTANTS[$1]}; do
        if [[ -z $only || ,$only, == *,$name,* ]] && command -v "$name" >/dev/null; then echo "$name"; fi
    done
}

# What a contestant runs: NAME KEEPS UNTIL
command_of() {
    local text=${COMMAND[$1,$2]}
    case $1,$3 in
        highwater,prompt) echo "${text/ -q/ -q --sync none}" ;;
        highwater,each) echo "${text/ -q/ -q --atomic --sync file}" ;;
        rsync,each) echo "${text/ -a/ -a --fsync}" ;;
        highwater,durable|*,prompt) echo "$text" ;;
        *,durable) echo "$text$SYNC" ;;
    esac
}

# ---------------------------------------------------------------- one timed copy of a tree

# The trees that the cells need, each made when its first cell comes and removed after its last.
declare -A tree_files=() tree_bytes=()
make_tree() {
    local tree=$1 sizes
    [[ ! -e $work/source/$tree ]] || return 0
    rm -rf "$work"/source/*
    progress "making $tree"
    sizes=$("$PYTHON" "$TREES" make "$tree" "$work/source/$tree" "$scale")
    IFS=$'\t' read -r -a sizes <<<"$sizes"
    record trees "$tree" "${sizes[@]}"
    tree_files[$tree]=${sizes[0]} tree_bytes[$tree]=${sizes[2]}
    printf '\n## %s: %s files, %s directories and symlinks, %s\n' "$tree" "${sizes[@]:0:2}" "$(mib "${sizes[2]}")"
    sync -f "$work"
}

# The loop device for all runs. The image is written through once: the disk below should have nothing to allocate.
make_loop() {
    local bytes=$((1536 * 1024 * 1024))
    ((scale == 1)) || bytes=$((512 * 1024 * 1024))
    dd if=/dev/zero of="$work/target.img" bs=1M iflag=count_bytes count=$bytes conv=fsync status=none || return
    dd if="$work/target.img" iflag=nocache count=0 status=none || return
    loop=$(losetup -f --show --direct-io=on "$work/target.img" 2>>"$log" || losetup -f --show "$work/target.img")
}

fresh_file_system() {
    mkfs.ext4 -q -F -E 'nodiscard,lazy_itable_init=0,lazy_journal_init=0' "$loop" || return
    mount "$loop" "$DIR" || return
    mounted+=("$DIR")
}

# As much as the run will write, so that no run pays for the first touch of memory; an inode counts as a KiB.
warm_up() {
    dd if=/dev/zero of="$work/warm" bs=1M iflag=count_bytes count="$1" status=none
    rm "$work/warm"
}

set_source() {
    local name
    case $1 in
        cached) "$PYTHON" "$TREES" read "$SRC" ;;
        cold)
            sync -f "$work" "$DIR"
            echo 3 >/proc/sys/vm/drop_caches
            # The programs themselves are no part of the cold source.
            for name in "${@:2}" sh sync; do "$name" --version >/dev/null 2>&1 </dev/null || true; done
            "$PYTHON" "$MEASURE" run --log /dev/null true >/dev/null
            ;;
    esac
}

# What became of the copy at $DST: "ok", or the word for the table. WHAT is all, mode, or count.
verdict() {
    local name=$1 status=$2 what=$3
    if ((status != 0)); then
        complain "$name failed:"
        tail -n 5 "$log" >&2
        echo "FAILED ($status)"
    elif [[ $what == count ]]; then
        if [[ $(names_in "$DST") == "$(names_in "$SRC")" ]]; then echo ok; else echo WRONG; fi
    elif "$PYTHON" "$TREES" compare "$SRC" "$DST" "$what"; then
        echo ok
    else
        echo WRONG
    fi
}

names_in() { find "$1" -printf . 2>/dev/null | wc -c; }

run_cell() {
    local cell=$1 tree source until keeps run name outcome what names
    local -A out=()
    keeps=${cell##*-} until=${cell%-*}; until=${until##*-} source=${cell%-*-*}; source=${source##*-} tree=${cell%-*-*-*}
    mapfile -t names < <(present "$keeps")
    # cp has no way to do that.
    [[ $until != each ]] || mapfile -t names < <(present "$keeps" | grep -vx cp)
    make_tree "$tree"
    SRC=$work/source/$tree what=$keeps
    printf '\n### %s, source %s, until %s, keeps %s\n\n' "$tree" "$source" "$until" "$keeps"
    for ((run = 1; run <= runs; run++)); do
        for name in "${names[@]}"; do
            [[ -z ${out[$name]:-} ]] || continue
            progress "$cell: run $run of $runs: $name"
            DST=$DIR/copy-$run
            if ! fresh_file_system; then
                failures=1
                echo 'Given up: no file system could be made.'
                return
            fi
            warm_up $((tree_bytes[$tree] + tree_files[$tree] * 1024))
            sync -f "$work" "$DIR"
            set_source "$source" "$name"
            measure "$name" "$(command_of "$name" "$keeps" "$until")"
            outcome=$(verdict "$name" "${MEASURED[0]}" "$what")
            [[ $outcome == ok ]] || { out[$name]=yes; failures=1; }
            record runs "$cell" "$name" "$outcome" "${MEASURED[@]:1}"
            leave_mount
        done
        what=count
    done
    progress ''
    "$PYTHON" "$MEASURE" tree-table "$state" "$cell"
}

# ---------------------------------------------------------------- memory over a million files

new_tmpfs() {
    mount -t tmpfs -o size=1G,nr_inodes=2500000 tmpfs "$1" && mounted+=("$1")
}

run_memory() {
    local layout kind count name names outcome
    printf '\n## Memory: empty files, keeps mode, until prompt\n\n'
    mapfile -t names < <(present mode)
    for layout in flat spread; do
        kind=${layout/flat/empty}
        for count in "${MEMORY_FILES[@]}"; do
            ((count /= scale, 1))
            new_tmpfs "$work/from" || { failures=1; echo 'Not measured: no tmpfs could be made.'; return; }
            progress "memory: $count files, $layout"
            "$PYTHON" "$TREES" make "$kind-$count" "$work/from/tree" >/dev/null
            for name in "${names[@]}"; do
                progress "memory: $count files, $layout: $name"
                new_tmpfs "$work/to" || { failures=1; echo 'Given up: no tmpfs could be made.'; return; }
                SRC=$work/from/tree DST=$work/to/copy
                measure "$name" "$(command_of "$name" mode prompt)"
                outcome=$(verdict "$name" "${MEASURED[0]}" count)
                [[ $outcome == ok || $name != highwater ]] || failures=1
                record memory "$layout" "$count" "$name" "$outcome" "${MEASURED[1]}" "${MEASURED[4]}"
                leave_mount
            done
            leave_mount
        done
    done
    progress ''
    "$PYTHON" "$MEASURE" memory "$state"
}

# ---------------------------------------------------------------- before any number

missing=()
for name in $(tr ' ' '\n' <<<"${CONTESTANTS[*]}" | sort -u); do
    [[ -n $only && ,$only, != *,$name,* ]] || command -v "$name" >/dev/null || missing+=("$name")
done
needed=$((4 * 1024 * 1024 * 1024 / scale))
available=$(df --output=avail -B1 "$work" | tail -n 1)
((available > needed)) || { complain "$work: $(mib "$needed") needed, $(mib "$available") available"; exit 1; }

fact runs "$runs"
fact scale "$scale"
fact missing "${missing[*]-}"

echo '# highwater beside its rivals, on trees'
echo
describe_machine
cat <<END
- Target: an ext4 made for each run, on a loop device; the source is on the file system above; $runs runs each, in turn
- Source: "cached" was wholly read just before; "cold": the kernel's caches were dropped (a hypervisor's or a disk's stay as they are)
- Until: "prompt" is the return of the command; "durable" includes a sync of the target's file system; in "each" every file
  is synced before it gets its name (highwater --atomic --sync file, rsync --fsync)
- CPU: user and system, children and sync included, write-back threads of the kernel not. Peak memory: the largest process, page cache not
  included; a program that does nothing has ${FACT[measuring_floor_kib]} KiB
- Wall / best of the others: below 1 is faster than all of them
- Verified: the first copy of each contestant in each cell, name by name and byte by byte
- Missing: ${FACT[missing]:-none}$( ((scale == 1)) || echo "; one file in $scale of the trees")
END

echo
echo '| | keeps | version | until prompt | until durable |'
echo '|---|---|---|---|---|'
for keeps in all mode; do
    for name in $(present "$keeps"); do
        row=("$name" "$keeps" "$(version_of "$name")" "$(command_of "$name" "$keeps" prompt)" "$(command_of "$name" "$keeps" durable)")
        record contestants "${row[@]}"
        printf '| %s | %s | %s | `%s` | `%s` |\n' "${row[@]}"
    done
done

# ---------------------------------------------------------------- the numbers

for cell in "${wanted[@]}"; do
    if [[ $cell == memory ]]; then
        run_memory
        continue
    fi
    if [[ -z $loop ]] && ! make_loop; then
        complain 'no loop device could be made'
        exit 1
    fi
    run_cell "$cell"
done
[[ -z $json ]] || "$PYTHON" "$MEASURE" tree-json "$state" >"$json"
exit "$failures"
