#!/usr/bin/env python3
"""Makes and compares directory trees: the helper of compare-trees.sh.

    trees.py make KIND DIR [SCALE]    make the tree DIR, which must not exist; SCALE divides the number of files.
                                      Prints files, other names (directories and symlinks), bytes, tab-separated
    trees.py read DIR                 read every name, every inode and every byte, so that all are cached
    trees.py compare SOURCE TARGET WHAT
                                      exit 1 and one line a difference, where TARGET is no copy of SOURCE. WHAT is
                                      mode: names, kinds, content, symlinks, permissions; or all: owner, times to the
                                      nanosecond and hard links, too

KIND is one of:

    tree-small    5,000 files of 512 B to 32 KiB, in 350 directories
    tree-mixed    3,000 files as of a source tree: some empty, most small, a few up to 4 MiB; symlinks, 200 directories
    large-64      64 files of 8 MiB, in one directory
    empty-N       N empty files in one directory; N may end in k or m
    spread-N      N empty files, 100 in a directory

The same KIND and SCALE give the same names, content, permissions and times everywhere.
"""

import os
import random
import stat
import sys
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
# A time in 2001, before any clock that this runs on.
EPOCH_NS = 1_000_000_000_000_000_000
CHUNK = 1 * MIB


class Tree:
    """A tree that grows below a directory, and what it holds so far."""

    def __init__(self, root, seed):
        self.root = root
        self.random = random.Random(seed)
        self.directories = [root]
        self.files = []
        self.links = []
        self.bytes = 0
        os.mkdir(root)

    def add_directories(self, count, depth):
        """Each in a random one of those before it that is not too deep."""
        for number in range(count):
            parents = [path for path in self.directories if len(path.relative_to(self.root).parts) < depth]
            path = self.random.choice(parents) / f"dir-{number:03}"
            os.mkdir(path)
            self.directories.append(path)

    def add_file(self, name, size):
        path = self.random.choice(self.directories) / name
        with open(path, "wb", buffering=0) as file:
            for _ in range(size // CHUNK):
                file.write(self.random.randbytes(CHUNK))
            file.write(self.random.randbytes(size % CHUNK))
        os.chmod(path, self.random.choice([0o644, 0o644, 0o644, 0o755, 0o600, 0o444]))
        self.files.append(path)
        self.bytes += size

    def add_link(self, name):
        parent = self.random.choice(self.directories)
        target = self.random.choice(self.files) if self.random.random() < 0.9 else parent / "missing"
        os.symlink(os.path.relpath(target, parent), parent / name)
        self.links.append(parent / name)

    def settle(self):
        """Owners, where this user may give files away, and times, from the leaves up."""
        for path in self.files:
            if os.geteuid() == 0 and self.random.random() < 0.1:
                os.chown(path, 1000, 1000)
            self.set_time(path)
        for path in self.links + self.directories[::-1]:
            self.set_time(path)

    def set_time(self, path):
        time_ns = EPOCH_NS + self.random.randrange(10**17)
        os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)

    def sizes(self):
        """What was made, as it is printed."""
        return len(self.files), len(self.directories) + len(self.links), self.bytes


def make_small(root, scale):
    tree = Tree(root, "tree-small")
    tree.add_directories(350 // scale - 1, depth=6)
    for number in range(5000 // scale):
        tree.add_file(f"file-{number:04}.dat", tree.random.randint(512, 32 * KIB))
    tree.settle()
    return tree.sizes()


def make_mixed(root, scale):
    tree = Tree(root, "tree-mixed")
    tree.add_directories(200 // scale - 1, depth=8)
    for number in range(3000 // scale):
        tree.add_file(f"file-{number:04}.c", mixed_size(tree.random))
    for number in range(100 // scale):
        tree.add_link(f"link-{number:03}")
    tree.settle()
    return tree.sizes()


def mixed_size(generator):
    """5 % empty, 6 % of 64 KiB to 4 MiB, the rest of 64 B to 64 KiB; small sizes as often as large, octave by octave."""
    kind = generator.random()
    if kind < 0.05:
        return 0
    least, most = (64 * KIB, 4 * MIB) if kind < 0.11 else (64, 64 * KIB)
    return int(least * (most / least) ** generator.random())


def make_large(root, scale):
    tree = Tree(root, "large-64")
    for number in range(64 // scale):
        tree.add_file(f"file-{number:02}.bin", 8 * MIB)
    tree.settle()
    return tree.sizes()


def make_empty(root, count):
    os.mkdir(root)
    make_nodes(root, count)
    return count, 1, 0


def make_spread(root, count):
    os.mkdir(root)
    for first in range(0, count, 100):
        directory = root / f"dir-{first // 100:05}"
        os.mkdir(directory)
        make_nodes(directory, min(100, count - first))
    return count, 1 + (count + 99) // 100, 0


def make_nodes(directory, count):
    """One call a file, on a short path: a million in seconds."""
    os.chdir(directory)
    for number in range(count):
        os.mknod(f"file-{number:07}", stat.S_IFREG | 0o644)
    os.chdir("/")


def make(arguments):
    kind, root, scale = arguments[0], Path(os.path.abspath(arguments[1])), int(arguments[2]) if arguments[2:] else 1
    makers = {"tree-small": make_small, "tree-mixed": make_mixed, "large-64": make_large}
    if kind in makers:
        sizes = makers[kind](root, scale)
    else:
        layout, _, number = kind.partition("-")
        units = {"k": 1000, "m": 1000000}
        count = int(number.rstrip("km")) * units.get(number[-1], 1) // scale
        sizes = {"empty": make_empty, "spread": make_spread}[layout](root, count)
    print(*sizes, sep="\t")


def read(arguments):
    for path, status in walk(arguments[0]).items():
        if stat.S_ISREG(status.st_mode) and status.st_size:
            with open(os.path.join(arguments[0], path), "rb", buffering=0) as file:
                while file.read(CHUNK):
                    pass


def walk(root):
    """Every name below root, and root itself as the empty one, with its status."""
    found = {"": os.lstat(root)}
    pending = [""]
    while pending:
        parent = pending.pop()
        with os.scandir(os.path.join(root, parent)) as entries:
            for entry in entries:
                path = os.path.join(parent, entry.name)
                found[path] = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
    return found


def link_groups(tree):
    """The first name of each file that has several, by each of its names."""
    first = {}
    groups = {}
    for path in sorted(tree):
        status = tree[path]
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            groups[path] = first.setdefault((status.st_dev, status.st_ino), path)
    return groups


def differences(source, target, what):
    ours, theirs = walk(source), walk(target)
    for path in sorted(ours.keys() ^ theirs.keys()):
        yield path, "is missing" if path in ours else "is too much"
    for path in sorted(ours.keys() & theirs.keys()):
        left, right = ours[path], theirs[path]
        here, there = os.path.join(source, path), os.path.join(target, path)
        if stat.S_IFMT(left.st_mode) != stat.S_IFMT(right.st_mode):
            yield path, "is of another kind"
            continue
        if stat.S_ISLNK(left.st_mode):
            if os.readlink(here) != os.readlink(there):
                yield path, "leads elsewhere"
        elif left.st_mode != right.st_mode:
            yield path, f"has mode {stat.S_IMODE(right.st_mode):o}, not {stat.S_IMODE(left.st_mode):o}"
        if stat.S_ISREG(left.st_mode) and (left.st_size != right.st_size or not same_content(here, there, left.st_size)):
            yield path, "has other content"
        if what == "all":
            if (left.st_uid, left.st_gid) != (right.st_uid, right.st_gid):
                yield path, f"has owner {right.st_uid}:{right.st_gid}, not {left.st_uid}:{left.st_gid}"
            if left.st_mtime_ns != right.st_mtime_ns:
                yield path, f"has time {right.st_mtime_ns} ns, not {left.st_mtime_ns} ns"
    if what == "all" and link_groups(ours) != link_groups(theirs):
        yield "", "has other hard links"


def same_content(left, right, size):
    if not size:
        return True
    with open(left, "rb", buffering=0) as ours, open(right, "rb", buffering=0) as theirs:
        while chunk := ours.read(CHUNK):
            if chunk != theirs.read(CHUNK):
                return False
        return not theirs.read(1)


def compare(arguments):
    source, target, what = arguments
    wrong = 0
    for path, difference in differences(source, target, what):
        wrong += 1
        if wrong <= 5:
            print(f"trees.py: {os.path.join(target, path)} {difference}", file=sys.stderr)
    if wrong > 5:
        print(f"trees.py: and {wrong - 5} differences more", file=sys.stderr)
    sys.exit(1 if wrong else 0)


COMMANDS = {"make": make, "read": read, "compare": compare}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    try:
        COMMANDS[sys.argv[1]](sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(130)
