# shellcheck shell=bash
# What compare.sh, compare-trees.sh and compare-trust.sh share: how to complain, what a machine is, one timed command.
#
# They set before a function here is called: work, the private directory; log, a file for what commands print; state, the
# directory of tab-separated files that measure.py turns into tables.
# shellcheck disable=SC2154

export LC_ALL=C

SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MEASURE=$SCRIPTS/measure.py
# The interpreter itself: a version manager's wrapper takes longer to start than some copies.
PYTHON=$(python3 -c 'import sys; print(sys.executable)') || exit

complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
usage_error() { complain "$*"; exit 2; }

# The header of a script is its help: it begins in line 3 and ends at the first line that is no comment.
help() { sed -n '3,${/^#/!q; s/^# \{0,1\}//; p}' "$0"; }

# read_options 'OPTION VARIABLE ...' "$@": each option takes a value, as --option VALUE or --option=VALUE, which its
# variable is set to. --help prints the comment at the top and ends the script.
read_options() {
    local -A variable=()
    local -a pairs
    read -r -a pairs <<<"$1"
    shift
    local nth
    for ((nth = 0; nth < ${#pairs[@]}; nth += 2)); do variable[${pairs[nth]}]=${pairs[nth + 1]}; done
    while (($#)); do
        case $1 in
            --help|-h) help; exit 0 ;;
            --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
        esac
        [[ -n ${variable[$1]-} ]] || usage_error "$1: unknown (see --help)"
        (($# > 1)) || usage_error "$1: its value is missing (see --help)"
        printf -v "${variable[$1]}" %s "$2"
        shift 2
    done
}

to_bytes() {
    local number=${1%B}
    numfmt --from=iec "${number%i}" 2>/dev/null || usage_error "not a size: $1"
}

fact() { printf '%s\t%s\n' "$1" "${2//[$'\t\n']/ }" >>"$state/facts"; }
record() { local IFS=$'\t'; printf '%s\n' "${*:2}" >>"$state/$1"; }
progress() { if [[ -t 2 ]]; then printf '\r\033[K%s' "$*" >&2; fi; }
mib() { echo "$(($1 / 1024 / 1024)) MiB"; }

file_system_of() {
    # Of several mounts on one directory the last is the one that is seen.
    { findmnt -n -o FSTYPE,SOURCE,OPTIONS -T "$1" 2>/dev/null || df --output=fstype,source "$1"; } | tail -n 1
}

version_of() {
    local text
    case $1 in
        highwater) text=$(highwater --version 2>&1 </dev/null | head -n 1) || true ;;
        *) text=$("$1" --version 2>&1 </dev/null | grep -m 1 '[0-9]') || true ;;
    esac
    echo "${text//$'\t'/ }"
}

# Times the command in $2 for contestant $1: leaves status, wall, user, system and peak in MEASURED.
measure() {
    local options=(--log "$log")
    [[ $1 != fio* ]] || options+=(--fio "$LIMIT_REPORT")
    printf '== %s: %s\n' "$1" "$2" >"$log"
    # In the foreground, where an interrupt reaches the command too.
    "$PYTHON" "$MEASURE" run "${options[@]}" "$2" >"$work/measured"
    IFS=$'\t' read -r -a MEASURED <"$work/measured"
}

# Notes what the machine is, and prints it as the first lines of a list.
describe_machine() {
    fact date "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    fact cores "$(nproc)"
    fact cpu "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
    fact memory_bytes "$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024))"
    fact kernel "$(uname -srm)"
    fact load "$(cut -d ' ' -f 1-3 /proc/loadavg)"
    fact file_system "$(file_system_of "$work" | tr -s ' ')"
    fact measuring_floor_kib "$(measure floor "env true" && echo "${MEASURED[4]}")"
    declare -gA FACT
    local key value
    while IFS=$'\t' read -r key value; do FACT[$key]=$value; done <"$state/facts"
    echo "- Machine: ${FACT[cores]} cores (${FACT[cpu]}), $(mib "${FACT[memory_bytes]}") of memory, ${FACT[kernel]}; load ${FACT[load]} before the first run"
    echo "- File system: ${FACT[file_system]}"
}
