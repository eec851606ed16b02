#!/usr/bin/env bash
#
# What trust costs: highwater's --verify, --atomic and --resume beside what is left out of them, and beside what people do
# today.
#
# Usage: scripts/compare-trust.sh [OPTION]...
#
#   --bin PATH     highwater                           (default: target/release/highwater of this repository)
#   --dir DIR      where to copy, in a new directory   (default: the current directory)
#   --size SIZE    bytes of the one file, as 512M      (default: 512M)
#   --runs N       runs of each contestant             (default: 5)
#   --cells LIST   comma-separated, of verify, atomic, resume-large, resume-small
#                  (default: all)
#   --help
#
# verify: one file whose pages were dropped, copied to a new name, made durable, and compared with what is on the disk.
# "highwater" is `highwater copy --verify`. "read" is the same copy without it, then the target once more by O_DIRECT,
# which is the least that any comparison costs; "reread" does that with as many reads in flight as highwater has. cp and
# rsync sync, drop the target's pages (else they would compare the page cache with itself) and compare: by cmp, and by
# `rsync -c`, which hashes both sides.
#
# atomic: 5,000 files of 512 B to 32 KiB in 350 directories, cached, each synced before it gets its name. cp has no way to
# do that.
#
# resume-large, resume-small: a cached file, and those 5,000, until they are durable, with a journal and without one.
#
# The contestants run in turn, A B C, A B C. Before each run the file system is synced, as much as will be written is
# written and deleted (nobody pays for the first touch of memory), and the source is taken out of the page cache, or read
# into it. Copies of a tree are removed when all of their cell are made: ext4 is slow to use an inode again.
#
# Exit status: 0 all measured; 1 something failed; 2 bad usage; 128+n by signal n.

# Commands are kept as the text that is both printed and run, so $SRC and $DST must stay as they are.
# shellcheck disable=SC2016

set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$HERE/lib.sh"

DROP='dd if="$DST" iflag=nocache count=0 status=none'
declare -A CONTESTANTS=(
    [verify]='highwater copy read reread cp rsync'
    [atomic]='highwater rsync'
    [resume-large]='highwater without'
    [resume-small]='highwater without'
)
declare -A TITLE=(
    [verify]='One file, until it is durable and compared'
    [atomic]='5,000 small files, each durable before it has its name'
    [resume-large]='A journal of one file'
    [resume-small]='A journal of 5,000 small files'
)
declare -A COMMAND=(
    [verify,highwater]='highwater copy -q --verify "$SRC" "$DST"'
    [verify,copy]='highwater copy -q "$SRC" "$DST"'
    [verify,read]='highwater copy -q "$SRC" "$DST" && dd if="$DST" of=/dev/null bs=1M iflag=direct status=none'
    [verify,reread]='highwater copy -q "$SRC" "$DST" && highwater copy -q "$DST" /dev/null'
    [verify,cp]='cp "$SRC" "$DST" && sync "$DST" "$DIR" && '"$DROP"' && cmp "$SRC" "$DST"'
    [verify,rsync]='rsync --whole-file --inplace "$SRC" "$DST" && sync "$DST" "$DIR" && '"$DROP"' && test -z "$(rsync -c --dry-run --out-format=%n "$SRC" "$DST")"'
    [atomic,highwater]='highwater copy -q -a --atomic --sync file "$SRC" "$DST"'
    [atomic,rsync]='rsync -a --fsync "$SRC/" "$DST"'
    [resume-large,highwater]='highwater copy -q --resume "$SRC" "$DST"'
    [resume-large,without]='highwater copy -q "$SRC" "$DST"'
    [resume-small,highwater]='highwater copy -q -r --resume "$SRC" "$DST"'
    [resume-small,without]='highwater copy -q -r "$SRC" "$DST"'
)
ALL_CELLS='verify atomic resume-large resume-small'
TREES=$HERE/trees.py

bin=$HERE/../target/release/highwater
parent=.
size=512M
runs=5
cells=$ALL_CELLS

read_options '--bin bin  --dir parent  --size size  --runs runs  --cells cells' "$@"

[[ $runs =~ ^[1-9][0-9]*$ ]] || usage_error "not a number of runs: $runs"
SIZE=$(to_bytes "$size")
((SIZE > 0)) || usage_error "a size must be above 0"
for cell in ${cells//,/ }; do
    [[ -n ${CONTESTANTS[$cell]-} ]] || usage_error "no such cell: $cell"
done
[[ -x $bin && ! -d $bin ]] || usage_error "$bin is no program: build highwater first, or say --bin PATH"
[[ -d $parent ]] || usage_error "$parent is no directory"

work=$(cd "$parent" && mktemp -d "$PWD/highwater-trust.XXXXXX")
trap 'trap "" INT TERM HUP; cd /; rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

state=$work/state
log=$work/log
mkdir "$state" "$work/bin" "$work/target"
ln -s "$(realpath "$bin")" "$work/bin/highwater"
PATH=$work/bin:$PATH
SRC='' DST='' DIR=$work/target
export PATH SRC DST DIR
failures=0

# The source's pages go; what reclaim brings back between the two is dropped again.
drop_source() {
    local try
    for try in 1 2 3 4 5; do
        dd if="$SRC" iflag=nocache count=0 status=none
        (($("$PYTHON" "$MEASURE" resident "$SRC") > SIZE / 100)) || return 0
    done
    complain "the source's pages stay in the page cache, after $try attempts"
    return 1
}

# Makes what a cell copies, once: sets SRC to it, bytes to how much that is, and touched to what is to be warm for it.
set_source() {
    local sizes
    case $1 in
        verify|resume-large)
            SRC=$work/file bytes=$SIZE touched=$SIZE
            [[ -e $SRC ]] || head -c "$SIZE" /dev/urandom >"$SRC"
            ;;
        *)
            SRC=$work/tree
            [[ -e $SRC ]] || "$PYTHON" "$TREES" make tree-small "$SRC" >"$work/sizes"
            IFS=$'\t' read -r -a sizes <"$work/sizes"
            # An inode counts as a KiB.
            bytes=${sizes[2]} touched=$((sizes[2] + sizes[0] * 1024))
            ;;
    esac
    sync -f "$work"
}

# The source as the cell has it: cold, or cached.
touch_source() {
    case $1 in
        verify) drop_source ;;
        resume-large) cat "$SRC" >/dev/null ;;
        *) "$PYTHON" "$TREES" read "$SRC" ;;
    esac
}

run_cell() {
    local cell=$1 bytes touched run name outcome names=()
    for name in ${CONTESTANTS[$cell]}; do
        if [[ $name == rsync ]] && ! command -v rsync >/dev/null; then complain 'no rsync here'; else names+=("$name"); fi
    done
    progress "$cell: making the source"
    set_source "$cell"
    printf '\n## %s\n\n' "${TITLE[$cell]}"
    for name in "${names[@]}"; do echo "- $name: \`${COMMAND[$cell,$name]}\`"; done
    echo
    for ((run = 1; run <= runs; run++)); do
        for name in "${names[@]}"; do
            progress "$cell: run $run of $runs: $name"
            DST=$DIR/$name-$run
            dd if=/dev/zero of="$DIR/warm" bs=1M iflag=count_bytes count="$touched" status=none
            rm "$DIR/warm"
            sync -f "$DIR"
            touch_source "$cell" || { failures=1; return; }
            measure "$name" "${COMMAND[$cell,$name]}"
            outcome=ok
            if ((MEASURED[0] != 0)); then
                complain "$name failed:"
                tail -n 5 "$log" >&2
                outcome="FAILED (${MEASURED[0]})" failures=1
            elif [[ -d $SRC ]] && ! "$PYTHON" "$TREES" compare "$SRC" "$DST" mode; then
                outcome=WRONG failures=1
            fi
            record runs "$cell" "$name" "$outcome" "${MEASURED[@]:1}"
            [[ -d $DST ]] || rm -f "$DST"
        done
    done
    rm -rf "${DIR:?}"/*
    progress ''
    fact size_bytes "$bytes"
    "$PYTHON" "$MEASURE" table "$state" "$cell"
}

available=$(df --output=avail -B1 "$work" | tail -n 1)
((available > 4 * SIZE)) || { complain "$work: $(mib $((4 * SIZE))) needed, $(mib "$available") available"; exit 1; }

fact runs "$runs"
echo '# What trust costs'
echo
describe_machine
echo "- Data: $(mib "$SIZE"), incompressible, the source's pages dropped before each run of verify (checked with mincore); and a tree of 78 MiB; $runs runs each, in turn"
for cell in ${cells//,/ }; do run_cell "$cell"; done
exit "$failures"
