# shellcheck shell=bash
# Slow disks for compare-marks.sh and compare-neighbour.sh, and leaving the machine as it was. All need root.
#
# They set before a function here is called: work, the private directory. A disk is a loop device, named in DEVICE.
# shellcheck disable=SC2154

CGROUPS=/sys/fs/cgroup
THROTTLE=$CGROUPS/blkio/blkio.throttle
GROUP=$CGROUPS/highwater-compare.$$
loops=() mounts=() throttled=() servers=()
# In front of a command that is to feel a throttle.
JOIN=()

# Makes DEVICE over FILE, around the page cache below.
loop_over() {
    DEVICE=$(losetup -f --show --direct-io=on "$1") || return
    loops+=("$DEVICE")
}

# Makes DEVICE over a new file of so many bytes, all of which have their blocks.
make_disk() {
    fallocate -l "$2" "$work/$1.img" || return
    # Blocks that were never written are slower the first time.
    dd if=/dev/zero of="$work/$1.img" bs=1M count="$2" iflag=count_bytes oflag=direct conv=notrunc status=none || return
    loop_over "$work/$1.img"
}

# Makes DEVICE, of so many bytes, which forgets what is written and takes so many milliseconds for each operation, any
# number of them at a time.
make_far_disk() {
    local name=$1 bytes=$2 delay_ms=$3 socket=$work/$1.socket file=$work/$1.disk try
    : >"$file"
    nbdkit -f -U "$socket" -t 64 --filter=delay null "$bytes" "wdelay=${delay_ms}ms" "rdelay=${delay_ms}ms" &
    servers+=("$!")
    for ((try = 0; try < 100; try++)); do [[ ! -S $socket ]] || break; sleep 0.1; done
    nbdfuse "$file" --unix "$socket" &
    mounts+=("$file")
    for ((try = 0; try < 100; try++)); do [[ ! -s $file ]] || break; sleep 0.1; done
    loop_over "$file"
}

# DEVICE has so many bytes and operations a second at most, each way.
throttle() {
    local bytes_per_s=$1 operations_per_s=$2 number way
    number=$(cat "/sys/block/${DEVICE#/dev/}/dev")
    if [[ -e ${THROTTLE}.write_bps_device ]]; then
        # In the root group, where the kernel's write-back threads are.
        throttled+=("$number")
        for way in read write; do
            echo "$number $bytes_per_s" >"$THROTTLE.${way}_bps_device" || return
            [[ $operations_per_s == max ]] || echo "$number $operations_per_s" >"$THROTTLE.${way}_iops_device" || return
        done
        JOIN=(sh -c "echo \$\$ >$CGROUPS/blkio/cgroup.procs; exec \"\$@\"" sh)
    elif [[ " $(cat "$CGROUPS/cgroup.controllers" 2>/dev/null) " == *" io "* ]]; then
        echo '+io' >"$CGROUPS/cgroup.subtree_control" && mkdir -p "$GROUP" || return
        echo "$number rbps=$bytes_per_s wbps=$bytes_per_s riops=$operations_per_s wiops=$operations_per_s" >"$GROUP/io.max" || return
        JOIN=(sh -c "echo \$\$ >$GROUP/cgroup.procs; exec \"\$@\"" sh)
    else
        complain "no block cgroup under $CGROUPS"
        return 1
    fi
}

# Mounts DEVICE, with a new file system, or what is said, on DIRECTORY.
mount_on() {
    local directory=$1
    shift
    mkdir -p "$directory"
    if (($# == 0)); then
        mkfs.ext4 -Fq "$DEVICE" && mount "$DEVICE" "$directory" || return
    else
        mount "$@" "$directory" || return
    fi
    mounts+=("$directory")
}

# All of the above is undone, in reverse.
remove_disks() {
    local number way at
    for number in "${throttled[@]}"; do
        for way in read_bps write_bps read_iops write_iops; do echo "$number 0" >"$THROTTLE.${way}_device" || true; done
    done
    [[ ! -d $GROUP ]] || rmdir "$GROUP" 2>/dev/null || true
    for ((at = ${#mounts[@]} - 1; at >= 0; at--)); do
        if [[ -d ${mounts[at]} ]]; then umount "${mounts[at]}" || umount -l "${mounts[at]}" || true; fi
    done
    for at in "${loops[@]}"; do losetup -d "$at" || true; done
    for at in "${mounts[@]}"; do
        if [[ -f $at ]]; then fusermount3 -u "$at" || umount -l "$at" || true; fi
    done
    for at in "${servers[@]}"; do kill "$at" 2>/dev/null || true; done
}
