//! The system's cp and `highwater` under the name `cp`, side by side: for each of many seeds a small
//! source tree, a state of the target and a command line, made twice and copied by each of the two.
//! Exit status, messages, `-v`'s lines and the trees that result must be the same.
//!
//! `HIGHWATER_CP_SEEDS=N` runs N seeds, `HIGHWATER_CP_SEED=N` runs that one and shows it,
//! `HIGHWATER_CP=PATH` compares with another cp than the PATH's.
//!
//! Left out, since cp 9.1 (Debian 12) and 9.10 differ there on purpose (NEWS of coreutils 9.2 to 9.10):
//! - `--update=...`, `--keep-directory-symlink`: not in 9.1; `--debug`: not in 9.1;
//! - `-n` with `-i`, `-u` or `--backup`, and `-f` after it: who wins, and the exit status (9.2, 9.5, 9.6);
//! - `--no-preserve=mode` on directories with setgid (9.5), and the sticky bit of a directory whose owner
//!   can't be kept: no such bits in these trees;
//! - the source's name in "cannot overwrite directory 'x' with non-directory 'y'" is cut off;
//! - backups of anything but a file (9.3), `--backup=simple` (9.1 moves them to where it runs);
//! - holes: 9.2 and 9.10 find more of them. Content is compared, allocation isn't.
//!
//! Left out, since the order of the walk shows: hard links onto files that exist, sources that overlap,
//! symlinks in the target to what is copied, too.

use std::fs;
use std::path::Path;

use crate::support::tree::*;
use crate::support::*;
use fastrand::Rng;

/// Times of the source and the target, in the past: what is younger was made by the copy.
const TIMES: [Time; 4] = [(1_000_000_000, 0), (1_100_000_000, 5), (1_200_000_000, 999_999_999), (7, 7)];
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e x", "f'"];

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

/// One command line and the trees it meets.
struct Case {
    seed: u64,
    options: Vec<String>,
    operands: Vec<String>,
    /// FIFOs may be met: nothing opens them.
    fifos: bool,
    /// Something stands in the target.
    occupied: bool,
    /// Only files stand there.
    flat: bool,
}

impl Case {
    fn new(seed: u64) -> Case {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let how = [
            "",
            "-r",
            "-R",
            "-a",
            "-a",
            "-dr",
            "-rp",
            "-rL",
            "-rH",
            "-rP",
            "-d",
            "-p",
            "-rl",
            "-rs",
            "-s",
            "-l",
            "-aL",
            "-aH",
            "--recursive",
            "--archive",
            "--rec",
            "-P",
            "-L",
            "-pR",
        ];
        let how = pick(rng, &how);
        let mut options: Vec<String> = vec![];
        options.extend((!how.is_empty()).then(|| how.into()));
        let mut add = |n, rng: &mut Rng, choices: &[&str]| {
            if one_in(rng, n) {
                options.extend(pick(rng, choices).split(' ').map(String::from));
            }
        };
        add(2, rng, &["-v", "--verbose"]);
        match rng.u32(..8) {
            0 => add(1, rng, &["-u", "--update"]),
            1 => add(1, rng, &["-n", "--no-clobber"]),
            2 => add(
                1,
                rng,
                &["-b", "--backup", "--backup=numbered", "--backup=existing -S .old", "--suffix=.bak"],
            ),
            _ => (),
        }
        add(6, rng, &["-f", "--force", "--remove-destination"]);
        add(12, rng, &["--attributes-only"]);
        add(
            8,
            rng,
            &["--preserve=mode", "--preserve=timestamps,links", "--preserve=ownership", "--preserve=all"],
        );
        add(8, rng, &["--no-preserve=mode", "--no-preserve=timestamps", "--no-preserve=links,xattr"]);
        add(
            10,
            rng,
            &["--sparse=always", "--sparse=never", "--sparse=auto", "--reflink=never", "--reflink=auto"],
        );
        add(12, rng, &["-x", "--one-file-system", "--strip-trailing-slashes"]);
        add(12, rng, &["--no-dereference", "--dereference", "-H", "--no-deref"]);
        add(16, rng, &["--copy-contents"]);
        add(40, rng, &["--no-such-option", "--no", "--preserve=nothing", "-y", "--sparse=sometimes"]);

        let has = |word: &str| options.iter().any(|option| option == word);
        let recursive = how.to_lowercase().contains('r') || how.contains("-a");
        let fifos = recursive && !has("--copy-contents");
        // A file met twice becomes a hard link, and which name is met first is the walk's affair.
        let links = how.contains('a')
            || options.iter().any(|option| option.contains("=all") || option.contains("links"));
        let follows = how.contains(['L', 'H']) || has("--dereference") || has("-H");
        let backs_up = options
            .iter()
            .any(|option| option.contains("backup") || option == "-b" || option.contains("suffix"));
        let alone = links && follows || backs_up && recursive;
        let occupied = !alone && !one_in(rng, 4);

        // Sources that don't overlap: else the second one meets what the first has made.
        let name =
            |rng: &mut Rng| format!("s/{}{}", pick(rng, &NAMES), if one_in(rng, 6) { "/" } else { "" });
        let mut operands: Vec<String> = match rng.u32(..12) {
            0..=3 if recursive || one_in(rng, 6) => vec!["s".into()],
            4 => vec![pick(rng, &["s/", "./s", "s/.", "s/../s", "s//", "missing"]).into()],
            10.. => (0..3).map(|_| if one_in(rng, 8) { "missing".into() } else { name(rng) }).collect(),
            _ => vec![name(rng)],
        };
        let target = match rng.u32(..14) {
            0..=6 => "t".to_owned(),
            7 => "t/".into(),
            8 => "new".into(),
            9 => pick(rng, &["new/", "t/new/", "no/such/new", "t/.", "."]).into(),
            _ => format!("t/{}", pick(rng, &NAMES)),
        };
        match rng.u32(..10) {
            0 if !backs_up => options.push("-T".into()),
            1 => options.push(format!("--target-directory={target}")),
            2 => options.push("--parents".into()),
            _ => (),
        }
        if !options.last().is_some_and(|option| option.starts_with("--target-directory")) {
            operands.push(target);
        }
        Case { seed, options, operands, fifos, occupied, flat: backs_up }
    }

    /// Fills a directory: the same names in source and target, so that they meet.
    fn fill(&self, rng: &mut Rng, tree: &mut Tree, dir: &str, depth: u32, source: bool, plain: Option<u32>) {
        if !source {
            tree.file(format!("{dir}/kept"), "kept").times(TIMES[0], TIMES[0]);
            if !self.flat {
                tree.dir(format!("{dir}/kept-directory")).times(TIMES[0], TIMES[0]);
            }
        }
        for name in NAMES {
            let path = format!("{dir}/{name}");
            let times = (pick(rng, &TIMES), pick(rng, &TIMES));
            let owner = pick(rng, &[(0, 0), (0, 0), (5, 6)]);
            let owner = plain.map_or(owner, |uid| if one_in(rng, 20) { (0, 0) } else { (uid, 65534) });
            let kind = rng.u32(..12);
            let made = match kind {
                0..=2 => {
                    let size = pick(rng, &[0, 1, 4096, 5000, 70_000]);
                    tree.file(&path, bytes(rng.u64(..4), size)).owner(owner.0, owner.1)
                }
                3..=5 if depth < 3 && (source || !self.flat) => {
                    let made = tree.dir(&path).owner(owner.0, owner.1);
                    let made = made.mode(pick(rng, &[0o755, 0o755, 0o700, 0o775, 0o711, 0o777]));
                    made.times(times.0, times.1);
                    self.fill(rng, tree, &path, depth + 1, source, plain);
                    continue;
                }
                6 | 7 if source || !self.flat => {
                    // In the target to what isn't copied onto under a name of its own.
                    let inside = ["a", "b", "nowhere", "/nowhere/at/all", ".", "d", "a/a", "e x"];
                    let outside = ["kept", "kept", "kept-directory", "nowhere", "/nowhere/at/all", "kept"];
                    let to = if source { pick(rng, &inside) } else { pick(rng, &outside) };
                    tree.symlink(&path, to).owner(owner.0, owner.1).times(times.0, times.1);
                    continue;
                }
                8 if source && self.fifos => tree.node(&path, libc::S_IFIFO, (0, 0)).owner(owner.0, owner.1),
                9 if source => {
                    let link = tree.file(format!("{path}-link"), bytes(rng.u64(..4), 300));
                    link.times(times.0, times.1);
                    tree.link(format!("{path}-other"), format!("{path}-link"));
                    continue;
                }
                _ => continue,
            };
            let mode = pick(rng, &[0o644, 0o600, 0o755, 0o444, 0o666, 0o640]);
            let mode = if one_in(rng, 40) { 0o000 } else { mode };
            let made = if one_in(rng, 8) && kind <= 2 { made.xattr("user.test", b"value") } else { made };
            made.mode(mode).times(times.0, times.1);
        }
    }

    /// Makes the trees in `dir`. Called twice, it makes the same twice.
    fn build(&self, dir: &Path, plain: Option<u32>) {
        let mut rng = Rng::with_seed(self.seed ^ 0x5eed);
        let mut tree = Tree::new(dir);
        let root = plain.unwrap_or(0);
        tree.root().owner(root, root).mode(0o755).times(TIMES[0], TIMES[0]);
        tree.dir("s").owner(root, root).mode(0o755).times(TIMES[1], TIMES[2]);
        self.fill(&mut rng, &mut tree, "s", 1, true, plain);
        if !one_in(&mut rng, 8) {
            tree.dir("t").owner(root, root).mode(0o755).times(TIMES[0], TIMES[3]);
            if self.occupied {
                self.fill(&mut rng, &mut tree, "t", 1, false, plain);
            }
            if self.occupied && one_in(&mut rng, 2) {
                tree.dir("t/s").owner(root, root).mode(0o750).times(TIMES[0], TIMES[3]);
                self.fill(&mut rng, &mut tree, "t/s", 2, false, plain);
            }
        }
        tree.built();
    }
}

/// What a run left, in a form that two runs share: times of now have no value, reading leaves no
/// trace, holes don't count.
fn shown(dir: &Path) -> Fingerprint {
    let mut print = Fingerprint::of(dir).without(&["data", "atime"]);
    for aspects in print.0.values_mut() {
        let seconds: i64 = aspects["mtime"].split('.').next().unwrap().parse().unwrap();
        if seconds > 1_500_000_000 {
            aspects.insert("mtime", "now".into());
        }
    }
    print
}

/// The lines in order. 9.1 doesn't name the source of what may not overwrite a directory.
fn sorted(text: &str) -> Vec<String> {
    let line = |line: &str| match line.find(" with non-directory ") {
        Some(at) => line[..at].to_owned() + " with non-directory",
        None => line.to_owned(),
    };
    let mut lines: Vec<_> = text.lines().map(line).collect();
    lines.sort();
    lines
}

/// What a case did under one of the two.
struct Seen {
    code: Option<i32>,
    stdout: Vec<String>,
    stderr: Vec<String>,
    tree: Fingerprint,
}

fn see(case: &Case, cp: Highwater, dir: &Path) -> Seen {
    let cp = cp.named("cp").current_dir(dir).umask(0o022).args(&case.options).args(&case.operands);
    let outcome = cp.timeout(std::time::Duration::from_secs(20)).run();
    Seen {
        code: outcome.code,
        stdout: sorted(&String::from_utf8_lossy(&outcome.stdout)),
        stderr: sorted(&outcome.stderr),
        tree: shown(dir),
    }
}

/// Where the two differ, in words; `None` where they don't.
fn differ(case: &Case, want: &Seen, got: &Seen) -> Option<String> {
    let mut said = vec![];
    if want.code != got.code {
        said.push(format!("exit status {:?} != {:?}", want.code, got.code));
    }
    for (name, want, got) in [("stderr", &want.stderr, &got.stderr), ("stdout", &want.stdout, &got.stdout)] {
        said.extend(
            want.iter().filter(|line| !got.contains(line)).map(|line| format!("{name} lacks:    {line}")),
        );
        said.extend(
            got.iter().filter(|line| !want.contains(line)).map(|line| format!("{name} has more: {line}")),
        );
        if said.is_empty() && want != got {
            said.push(format!("{name}: a line more or less often\n{want:?}\n{got:?}"));
        }
    }
    said.extend(want.tree.differences(&got.tree));
    if said.is_empty() {
        return None;
    }
    said.truncate(12);
    let line = case.options.iter().chain(&case.operands).map(|word| format!(" {word:?}")).collect::<String>();
    Some(format!("HIGHWATER_CP_SEED={}: cp{line}\n    {}", case.seed, said.join("\n    ")))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Runs the seeds of one test, `share` of them in a normal run.
#[track_caller]
fn compare(base: u64, share: u64, run: impl Fn(&Case) -> (Seen, Seen)) {
    let seeds = match (number("HIGHWATER_CP_SEED"), number("HIGHWATER_CP_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (_, Some(seeds)) => base..base + seeds,
        _ => base..base + share,
    };
    let mut failures = vec![];
    let (mut succeeded, mut failed) = (0, 0);
    for seed in seeds.clone() {
        let case = Case::new(seed);
        let (want, got) = run(&case);
        *if want.code == Some(0) { &mut succeeded } else { &mut failed } += 1;
        if number("HIGHWATER_CP_SEED").is_some() {
            println!("{:?} {:?}\n{:#?}\n{:#?}", case.options, case.operands, want.stderr, want.stdout);
        }
        failures.extend(differ(&case, &want, &got));
    }
    let shown = failures.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        failures.is_empty(),
        "{} of {} cases differ (cp's != ours)\n{shown}",
        failures.len(),
        seeds.count()
    );
    println!("{succeeded} of {} succeeded", succeeded + failed);
    // Cases that all fail, or never do, compare nothing.
    if share > 50 && number("HIGHWATER_CP_SEED").is_none() {
        assert!(succeeded > share / 5 && failed > share / 10, "{succeeded} succeeded, {failed} failed");
    }
}

/// The cp to be like.
fn reference() -> Highwater {
    Highwater::binary(std::env::var_os("HIGHWATER_CP").unwrap_or("cp".into()))
}

#[test]
fn root_sees_the_same() {
    need_root!();
    let (link, memory) = (Scratch::new(), Tmpfs::new(64 * MIB));
    std::os::unix::fs::symlink(command::BINARY, link.path("cp")).unwrap();
    compare(0, 220, |case| {
        let [left, right] = ["left", "right"].map(|name| memory.path(name));
        case.build(&left, None);
        case.build(&right, None);
        let want = see(case, reference(), &left);
        let got = see(case, Highwater::binary(link.path("cp")), &right);
        fs::remove_dir_all(&left).unwrap();
        fs::remove_dir_all(&right).unwrap();
        (want, got)
    });
}

#[test]
fn a_plain_user_sees_the_same() {
    need_root!();
    let (place, binary) = command::binary_for_everyone();
    let link = place.path().join("cp");
    std::os::unix::fs::symlink(&binary, &link).unwrap();
    compare(1_000_000, 80, |case| {
        let (want, got) = (reference().by_a_plain_user(), Highwater::binary(&link).by_a_plain_user());
        let [left, right] = ["left", "right"].map(|name| place.path().join(name));
        // Each is its own user's: a user's number is of no account then.
        let ids = [want.uid(), got.uid()];
        case.build(&left, Some(ids[0]));
        case.build(&right, Some(ids[1]));
        let mut seen = [see(case, want, &left), see(case, got, &right)];
        for (seen, id) in seen.iter_mut().zip(ids) {
            for print in seen.tree.0.values_mut() {
                for aspect in ["uid", "gid"]
                    .iter()
                    .filter(|aspect| print[**aspect] == id.to_string())
                    .collect::<Vec<_>>()
                {
                    print.insert(aspect, "own".into());
                }
            }
        }
        fs::remove_dir_all(&left).unwrap();
        fs::remove_dir_all(&right).unwrap();
        let [want, got] = seen;
        (want, got)
    });
}
