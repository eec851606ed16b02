#!/usr/bin/env bash
#
# Runs GNU coreutils' own tests of cp against highwater under the name cp.
#
# Usage: scripts/conformance.sh [OPTION]... [TEST]...
#
#   --bin PATH     the program under test           (default: target/release/highwater of this repository)
#   --fs LIST      run on new file systems, comma-separated, of ext4, xfs, btrfs, tmpfs; needs root
#                  (default: no new one, the tests run on the file system of --work)
#   --all-fs       the same as --fs ext4,xfs,btrfs,tmpfs
#   --user         as root: run every test as a plain user, and no test that needs root
#   --expensive    run the expensive tests, too
#   --timeout S    seconds that a test may take     (default: 120)
#   --jobs N       tests that run at once           (default: the number of processors)
#   --work DIR     where to run, in a new directory (default: $TMPDIR or /tmp)
#   --logs DIR     keep what the tests print, one file each; without it that of failed tests is kept in a new directory
#   --src DIR      an unpacked source tree of coreutils, instead of the one that is downloaded
#   -q, --quiet    no line for a test that passed
#   --list         print the tests with what this project knows of them, and run none
#   --help
#
# A TEST is a name as abuse or tests/cp/abuse.sh; none means all of tests/cp.
#
# The tests are GNU's and under the GPL, so they are downloaded, not kept here: coreutils 9.10 once, into
# ${XDG_CACHE_HOME:-~/.cache}/highwater-conformance, from the Debian mirror that this machine's apt uses (by apt, with a
# state of its own) or from ftp.gnu.org, checked against one checksum. Where neither has 9.10 any more, it is Debian's 9.7.
# coreutils is neither configured nor built: the tests find a directory that looks as if it was, in which cp is a symlink
# to a copy of the program under test. All other programs are the system's.
#
# As root, the tests that need root run as root, and the others as the user nobody with two more groups. Without root (or
# with --user) all run as the one user, and those that need root are not run.
#
# One line for each test: PASS; FAIL; or SKIP, with what the test says it lacks. A pass counts only where the program under
# test answered to cp in that test. Some tests pass with any program at all, even /bin/true: of the passes their number
# is told.
#
# scripts/conformance/expected.txt names the tests that have to pass. Exit status: 0 all of those that this run includes
# passed; 1 one did not, be it skipped (of another coreutils than 9.10: one failed), and each is named; 2 bad usage, or no
# tests to run; 128+n by signal n.

# Functions are called by name and by the trap, too.
# shellcheck disable=SC2317,SC2329

set -euo pipefail
export LC_ALL=C
umask 022

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
EXPECTED=$HERE/conformance/expected.txt
VERSION=9.10
SHA256=16535a9adf0b10037364e2d612aad3d9f4eca3a344949ced74d12faf4bd51d25
OLDER=9.7
GNU=https://ftp.gnu.org/gnu/coreutils/coreutils-$VERSION.tar.xz
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
CACHE=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/highwater-conformance
SYSTEM_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ALL_FS=ext4,xfs,btrfs,tmpfs
FS_SIZE=2G
NOBODY_GROUPS=(2345 2346)

# ---------------------------------------------------------------- what was typed

complain() { printf 'conformance.sh: %s\n' "$*" >&2; }
die() { complain "$*"; exit 2; }
usage_error() { die "$* (see --help)"; }

# The header above is the help: it begins at "# Runs" and ends at the first line that is no comment.
help() { sed -n '3,${/^#/!q; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"; }

bin=$HERE/../target/release/highwater
file_systems='' plain_user=0 expensive=no timeout_s=120 jobs=$(nproc) parent=${TMPDIR:-/tmp} logs='' source='' quiet=0 list=0
named=()

while (($#)); do
    option=$1
    case $option in
        --all-fs) file_systems=$ALL_FS; shift; continue ;;
        --user) plain_user=1; shift; continue ;;
        --expensive) expensive=yes; shift; continue ;;
        -q|--quiet) quiet=1; shift; continue ;;
        --list) list=1; shift; continue ;;
        --help|-h) help; exit 0 ;;
        --) shift; named+=("$@"); break ;;
        --*=*) set -- "${option%%=*}" "${option#*=}" "${@:2}"; continue ;;
        -*) ;;
        *) named+=("$option"); shift; continue ;;
    esac
    (($# > 1)) || usage_error "$option: unknown, or its value is missing"
    case $option in
        --bin) bin=$2 ;;
        --fs) file_systems=$2 ;;
        --timeout) timeout_s=$2 ;;
        --jobs) jobs=$2 ;;
        --work) parent=$2 ;;
        --logs) logs=$2 ;;
        --src) source=$2 ;;
        *) usage_error "$option: unknown" ;;
    esac
    shift 2
done

for number in "$timeout_s" "$jobs"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || usage_error "not a number above 0: $number"
done
for fs in ${file_systems//,/ }; do
    [[ ,$ALL_FS, == *,$fs,* ]] || usage_error "no such file system: $fs"
done
[[ -z $file_systems || $EUID == 0 ]] || die 'a new file system needs root: leave --fs away, or say --work DIR on the one you mean'
((list)) || [[ -x $bin && ! -d $bin ]] || usage_error "$bin is no program: build highwater first, or say --bin PATH"
((EUID == 0)) || plain_user=1

# ---------------------------------------------------------------- GNU's tests

# The mirror of Debian that this machine's own apt uses.
debian_mirror() {
    # shellcheck disable=SC2016  # the names are apt's
    apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        sed -n '/security/d; s,^\(.*/debian/\) main$,\1,p' | head -n 1
}

# Fetches coreutils VERSION from SUITE as coreutils_VERSION.orig.tar.xz, with a state of apt of our own.
fetch_from_debian() {
    local version=$1 suite=$2 apt=$CACHE/apt mirror
    command -v apt-get >/dev/null && [[ -e $KEYRING ]] && mirror=$(debian_mirror) && [[ -n $mirror ]] || return 1
    mkdir -p "$apt"/{lists/partial,cache/archives/partial,parts}
    echo "deb-src [signed-by=$KEYRING] $mirror $suite main" >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/parts";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "";
CONF
    (
        cd "$CACHE"
        export APT_CONFIG=$apt/apt.conf
        apt-get -qq update && apt-cache showsrc --only-source coreutils | grep -q "^Version: $version-" &&
            apt-get -qq source --download-only --only-source coreutils
    ) >"$CACHE/apt.log" 2>&1 && [[ -e $CACHE/coreutils_$version.orig.tar.xz ]]
}

fetch_from_gnu() {
    local file=$CACHE/coreutils_$VERSION.orig.tar.xz
    if command -v curl >/dev/null; then
        curl -fsSL --connect-timeout 20 --max-time 300 -o "$file.part" "$GNU"
    else
        wget -q --timeout=20 --tries=2 -O "$file.part" "$GNU"
    fi && mv "$file.part" "$file"
}

# Unpacks what was fetched of VERSION, whole or not at all.
unpack() {
    local tarball=$CACHE/coreutils_$1.orig.tar.xz fresh
    [[ $1 != "$VERSION" ]] || sha256sum --quiet -c - <<<"$SHA256  $tarball" || { rm -f "$tarball"; return 1; }
    fresh=$(mktemp -d "$CACHE/unpack.XXXXXX")
    tar -xJf "$tarball" -C "$fresh" --strip-components=1 --no-same-owner && mv -T "$fresh" "$CACHE/coreutils-$1"
}

# Leaves the directory of the tests in $source.
obtain() {
    local attempt version fetch suite
    for attempt in "$VERSION fetch_from_debian sid" "$VERSION fetch_from_gnu -" "$OLDER fetch_from_debian trixie"; do
        read -r version fetch suite <<<"$attempt"
        source=$CACHE/coreutils-$version
        [[ ! -e $source/tests/init.sh ]] || return 0
        mkdir -p "$CACHE"
        complain "downloading coreutils $version to $CACHE, once"
        if "$fetch" "$version" "$suite" && unpack "$version"; then return 0; fi
    done
    die "no coreutils from Debian's mirror ($CACHE/apt.log) nor from $GNU: unpack $VERSION somewhere and say --src DIR"
}

if [[ -z $source ]]; then obtain; fi
source=$(realpath -- "$source")
[[ -e $source/tests/init.sh && -d $source/tests/cp ]] || die "$source is no source tree of coreutils: it has no tests/init.sh"
suite_version=$(cat "$source/.tarball-version" 2>/dev/null || echo unknown)
[[ $suite_version == "$VERSION" ]] || complain "these are the tests of coreutils $suite_version, not of $VERSION: one that is skipped is no failure"

# ---------------------------------------------------------------- which tests, and what is known of them

declare -A marks=() needs_root=()
while read -r name rest; do
    [[ -z $name || $name == \#* ]] || marks[$name]=" $rest "
done <"$EXPECTED"
while read -r name; do needs_root[$name]=1; done < <(sed -n '/^all_root_tests/,/[^\\]$/p' "$source/tests/local.mk" | grep -o 'tests/cp/[^ ]*\.sh')

tests=()
for name in "${named[@]}"; do
    name=tests/cp/$(basename "$name" .sh).sh
    [[ -e $source/$name ]] || usage_error "coreutils $suite_version has no $name"
    tests+=("$name")
done
((${#tests[@]})) || mapfile -t tests < <(cd "$source" && printf '%s\n' tests/cp/*.sh)

marked() { [[ ${marks[$1]:-} == *" $2 "* ]]; }

if ((list)); then
    # shellcheck disable=SC2086  # the marks are words
    for name in "${tests[@]}"; do
        echo "$name" ${needs_root[$name]:+root} ${marks[$name]-not-expected}
    done
    exit 0
fi

# Whether the test has to pass in this run.
expected_here() {
    [[ -n ${marks[$1]:-} ]] || return 1
    ! marked "$1" expensive || [[ $expensive == yes ]] || return 1
    ! marked "$1" two-groups || ((group_count > 1)) || return 1
    [[ -z ${needs_root[$1]:-} ]] || ((!plain_user))
}

# ---------------------------------------------------------------- the scene, and leaving it as it was

cleanup() {
    trap '' INT TERM HUP
    local pid
    for pid in "${!running[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    cd /
    unmount
    chmod -R u+rwx "$work" 2>/dev/null || true
    rm -rf "$work"
}

unmount() {
    [[ -z $mounted ]] || umount "$mounted" 2>/dev/null || umount -l "$mounted" 2>/dev/null || true
    mounted=''
}

declare -A running=()
mounted=''
mkdir -p "$parent"
work=$(mktemp -d "$(realpath "$parent")/highwater-conformance.XXXXXX")
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$work"

keep_logs=0
if [[ -n $logs ]]; then
    keep_logs=1
    mkdir -p "$logs"
    logs=$(realpath "$logs")
else
    logs=$(mktemp -d "${TMPDIR:-/tmp}/highwater-conformance-logs.XXXXXX")
fi

# How a test becomes the user it runs as, and that user's groups.
as_user=()
group_count=$(id -G | wc -w)
if ((EUID == 0)); then
    nobody_group=$(id -g nobody)
    all_groups=$(IFS=,; echo "$nobody_group,${NOBODY_GROUPS[*]}")
    as_user=(setpriv --reuid=nobody --regid="$nobody_group" --groups="$all_groups")
    group_count=$((1 + ${#NOBODY_GROUPS[@]}))
fi

# A file system of our own, mounted at $work/mnt.
make_file_system() {
    local image=$work/fs.img make=("mkfs.$1" -q -f)
    mkdir -p "$work/mnt"
    if [[ $1 == tmpfs ]]; then
        mount -t tmpfs -o "size=$FS_SIZE" tmpfs "$work/mnt"
    else
        [[ $1 != ext4 ]] || make=(mkfs.ext4 -q -F)
        rm -f "$image"
        truncate -s "$FS_SIZE" "$image"
        "${make[@]}" "$image" >/dev/null && mount -o loop "$image" "$work/mnt"
    fi || return
    mounted=$work/mnt
}

# Makes $1 look like the directory that coreutils was built in, as far as the tests look.
make_build() {
    build=$1
    mkdir -p "$build"/{src,gnu,home}
    cp -rp "$source/tests" "$source/init.cfg" "$build/gnu/"
    # The directory of the program itself may be closed to the user of the tests.
    install -m 755 "$(realpath "$bin")" "$build/under-test"
    ln -s ../under-test "$build/src/cp"
    # What configure finds on Linux, of that what the tests of cp ask for.
    cat >"$build/config.h" <<'CONFIG'
#define HAVE_OPENAT 1
#define USE_ACL 1
#define USE_XATTR 1
#define HAVE_CAP 1
#define HAVE_LINKAT 1
#undef LINKAT_SYMLINK_NOTSUP
#define LINK_FOLLOWS_SYMLINKS 0
#define HAVE_UTIMENSAT 1
#define HAVE_LUTIMES 1
#define HAVE_SELINUX_SELINUX_H 1
CONFIG
    ((EUID != 0)) || chown -R nobody: "$build"
    environment=(
        PATH="$build/src:$SYSTEM_PATH" HOME="$build/home" TMPDIR=/tmp LC_ALL=C TZ=UTC0 SHELL=/bin/bash
        LOGNAME="$(id -un)" VERBOSE=yes fail=0 EXEEXT= host_os=linux-gnu CC=gcc AWK=awk EGREP='grep -E' MAKE=make PERL=perl
        srcdir=gnu top_srcdir=gnu abs_srcdir="$build/gnu" abs_top_srcdir="$build/gnu" abs_top_builddir="$build"
        CONFIG_HEADER="$build/config.h" built_programs="$programs" VERSION="$suite_version"
        PACKAGE_VERSION="$(rm --version | sed -n '1s/.* //p')" LOCALE_FR=none LOCALE_FR_UTF8=none
        RUN_EXPENSIVE_TESTS="$expensive" RUN_VERY_EXPENSIVE_TESTS="$expensive" CANDIDATE_TMP_DIRS="/dev/shm /tmp /var/tmp"
    )
    ((EUID != 0)) || environment+=(COREUTILS_GROUPS="${NOBODY_GROUPS[*]}")
    # What the program under test says as the user, found as the tests find it. Its first line is in the log of every
    # test that it answers in, which ask for the version first.
    # shellcheck disable=SC2016  # for the inner shell
    answer=$(cd "$build" && "${as_user[@]}" env -i "${environment[@]}" bash -c '
        [[ $(type -P cp) == "$abs_top_builddir/src/cp" ]] || exit 9
        cp --version' 2>&1 | head -n 1) || true
    [[ -n $answer ]] ||
        die "$bin under the name cp does not answer to 'cp --version' in $build (is a directory above closed to plain users?)"
}

# The programs that coreutils has.
programs="[ install ginstall $(cd "$source/src" && printf '%s\n' *.c | sed 's/\.c$//' | tr '\n' ' ')"

# ---------------------------------------------------------------- the tests

# Starts the test in the background; the subshell becomes timeout, which runs the test in a process group of its own.
start_test() {
    local name=$1 become=("${as_user[@]}")
    [[ -z ${needs_root[$name]:-} ]] || become=()
    (
        trap - EXIT
        cd "$build"
        # Descriptor 9 is where the tests put the one line that says why.
        exec env -i "${environment[@]}" CU_TEST_NAME="gnu,${name//\//-}" "${become[@]}" \
            timeout -k 5 "$timeout_s" bash -c 'exec 9>&2; exec /bin/bash "$@"' sh "gnu/$name" </dev/null >"$(log_of "$name")" 2>&1
    ) &
    running[$!]=$name
}

log_of() { echo "$fs_logs/$(basename "$1" .sh).log"; }

# Waits for one test, and says what became of it.
finish_test() {
    local pid status=0 name log outcome reason=''
    wait -n -p pid || status=$?
    name=${running[$pid]}
    unset "running[$pid]"
    log=$(log_of "$name")
    case $status in
        0)
            outcome=PASS
            grep -qaF -- "$answer" "$log" || outcome=FAIL reason='passed without the program under test: its version is not in the log'
            ;;
        77) outcome=SKIP reason=$(sed -n 's/.*skipped test: //p' "$log" | tail -n 1) ;;
        99) outcome=FAIL reason=$(grep -aE 'set-up failure|hard error' "$log" | tail -n 1) ;;
        124|137) outcome=FAIL reason="more than $timeout_s s" ;;
        *) outcome=FAIL reason="exit status $status" ;;
    esac
    settle "$name" "$outcome" "$reason"
    # What a test that was killed leaves.
    leftovers=("$build/gt-$(basename "$name")".*)
    if [[ -e ${leftovers[0]} ]]; then
        chmod -R u+rwx "${leftovers[@]}" 2>/dev/null || true
        rm -rf "${leftovers[@]}"
    fi
}

settle() {
    local name=$1 log
    outcomes[$name]=$2 count[$2]=$((count[$2] + 1))
    reasons[$name]=${3:0:110}
    [[ $2 != PASS ]] || ! marked "$name" weak || weak=$((weak + 1))
    log=$(log_of "$name")
    [[ $2 != FAIL ]] || reasons[$name]+=" ($log)"
    [[ $2 == FAIL || $keep_logs == 1 ]] || rm -f "$log"
    [[ $2 == PASS && $quiet == 1 ]] || echo "$2 $name${reasons[$name]:+  ${reasons[$name]}}"
}

# All tests in the directory $1, which is on a file system called $2.
run_tests() {
    local name fs=$2 outcome missed=()
    local -A outcomes=() reasons=() count=([PASS]=0 [FAIL]=0 [SKIP]=0)
    local weak=0 user='as this user'
    fs_logs=$logs/$fs
    mkdir -p "$fs_logs"
    make_build "$1"
    ((EUID != 0)) || user='as nobody, those that need root as root'
    ((EUID != 0 || !plain_user)) || user='as nobody'
    echo "== $fs, $user: $answer, tests of coreutils $suite_version"
    for name in "${tests[@]}"; do
        if [[ -n ${needs_root[$name]:-} ]] && ((plain_user)); then
            settle "$name" SKIP 'must be run as root'
            continue
        fi
        ((${#running[@]} < jobs)) || finish_test
        start_test "$name"
    done
    while ((${#running[@]})); do finish_test; done

    for name in "${!marks[@]}"; do
        outcome=${outcomes[$name]:-not there}
        [[ $outcome != 'not there' || ${#named[@]} == 0 ]] || continue
        [[ $outcome == FAIL || $suite_version == "$VERSION" ]] || continue
        [[ $outcome == PASS ]] || ! expected_here "$name" || missed+=("$(basename "$name" .sh) ($outcome)")
    done
    echo "$fs: ${count[PASS]} passed, ${count[FAIL]} failed, ${count[SKIP]} not run; $weak of the passes would pass with /bin/true, too"
    ((${#missed[@]})) || return 0
    failures=1
    echo "$fs: ${#missed[@]} that have to pass did not: $(printf '%s\n' "${missed[@]}" | sort | sed '$!s/$/,/' | tr '\n' ' ')"
}

failures=0
if [[ -z $file_systems ]]; then
    run_tests "$work/build" "$(stat -f -c %T "$work" | sed 's,^ext2/ext3$,ext4,')"
fi
for fs in ${file_systems//,/ }; do
    if ! make_file_system "$fs"; then
        failures=1
        complain "no $fs could be made here"
        continue
    fi
    run_tests "$mounted/build" "$fs"
    unmount
done
# Of the logs nobody asked for, only those of failed tests are there.
((keep_logs)) || find "$logs" -depth -type d -empty -delete
exit "$failures"
