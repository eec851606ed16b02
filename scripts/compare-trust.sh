#!/usr/bin/env bash
#
# What trust costs: highwater's --verify beside a copy that is read once more, and beside what people do today.
#
# Usage: scripts/compare-trust.sh [OPTION]...
#
#   --bin PATH     highwater                           (default: target/release/highwater of this repository)
#   --dir DIR      where to copy, in a new directory   (default: the current directory)
#   --size SIZE    bytes to copy, as 512M or 1G        (default: 512M)
#   --runs N       runs of each contestant             (default: 5)
#   --cells LIST   comma-separated, of verify          (default: all)
#   --help
#
# verify: one file whose pages were dropped, copied to a new name, made durable, and compared with what is on the disk.
# "highwater" is `highwater copy --verify`. "read" is the same copy without it, then the target once more by O_DIRECT,
# which is the least that any comparison costs; "reread" does that with as many reads in flight as highwater has. cp and rsync sync, drop the target's pages (else they would compare the
# page cache with itself) and compare: by cmp, and by `rsync -c`, which hashes both sides.
#
# The contestants run in turn, A B C, A B C. Before each run the file system is synced, as much as will be written is
# written and deleted (nobody pays for the first touch of memory), and the source is taken out of the page cache.
#
# Exit status: 0 all measured; 1 something failed; 2 bad usage; 128+n by signal n.

# Commands are kept as the text that is both printed and run, so $SRC and $DST must stay as they are.
# shellcheck disable=SC2016

set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$HERE/lib.sh"

DROP='dd if="$DST" iflag=nocache count=0 status=none'
declare -A COMMAND=(
    [highwater]='highwater copy -q --verify "$SRC" "$DST"'
    [copy]='highwater copy -q "$SRC" "$DST"'
    [read]='highwater copy -q "$SRC" "$DST" && dd if="$DST" of=/dev/null bs=1M iflag=direct status=none'
    [reread]='highwater copy -q "$SRC" "$DST" && highwater copy -q "$DST" /dev/null'
    [cp]='cp "$SRC" "$DST" && sync "$DST" "$DIR" && '"$DROP"' && cmp "$SRC" "$DST"'
    [rsync]='rsync --whole-file --inplace "$SRC" "$DST" && sync "$DST" "$DIR" && '"$DROP"' && test -z "$(rsync -c --dry-run --out-format=%n "$SRC" "$DST")"'
)
CONTESTANTS=(highwater copy read reread cp rsync)

bin=$HERE/../target/release/highwater
parent=.
size=512M
runs=5
cells=verify

read_options '--bin bin  --dir parent  --size size  --runs runs  --cells cells' "$@"

[[ $runs =~ ^[1-9][0-9]*$ ]] || usage_error "not a number of runs: $runs"
SIZE=$(to_bytes "$size")
((SIZE > 0)) || usage_error "a size must be above 0"
for cell in ${cells//,/ }; do
    [[ $cell == verify ]] || usage_error "no such cell: $cell"
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
SRC=$work/source DST='' DIR=$work/target
export PATH SRC DST DIR SIZE
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

run_verify() {
    local run name outcome
    printf '\n## One file, until it is durable and compared\n\n'
    for name in "${present[@]}"; do echo "- $name: \`${COMMAND[$name]}\`"; done
    echo
    for ((run = 1; run <= runs; run++)); do
        for name in "${present[@]}"; do
            progress "verify: run $run of $runs: $name"
            DST=$DIR/$name-$run
            sync -f "$DIR"
            dd if=/dev/zero of="$DIR/warm" bs=1M iflag=count_bytes count="$SIZE" status=none
            rm "$DIR/warm"
            drop_source || { failures=1; return; }
            measure "$name" "${COMMAND[$name]}"
            outcome=ok
            if ((MEASURED[0] != 0)); then
                complain "$name failed:"
                tail -n 5 "$log" >&2
                outcome="FAILED (${MEASURED[0]})" failures=1
            fi
            record runs verify "$name" "$outcome" "${MEASURED[@]:1}"
            rm -f "$DST"
        done
    done
    progress ''
    "$PYTHON" "$MEASURE" table "$state" verify
}

present=()
for name in "${CONTESTANTS[@]}"; do
    if [[ $name == rsync ]] && ! command -v rsync >/dev/null; then complain 'no rsync here'; else present+=("$name"); fi
done
available=$(df --output=avail -B1 "$work" | tail -n 1)
((available > 4 * SIZE)) || { complain "$work: $(mib $((4 * SIZE))) needed, $(mib "$available") available"; exit 1; }

fact size_bytes "$SIZE"
fact runs "$runs"
echo '# What trust costs'
echo
describe_machine
echo "- Data: $(mib "$SIZE"), incompressible; the source's pages dropped before each run (checked with mincore); $runs runs each, in turn"
head -c "$SIZE" /dev/urandom >"$SRC"
sync "$SRC"
run_verify
exit "$failures"
