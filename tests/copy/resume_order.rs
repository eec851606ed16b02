//! The order of a journal that claims no more than is durable, as strace(1) sees it: what is with the target is
//! synced, then a record is written, then the journal is synced; and no name is given in the target before the
//! journal has its own.
//!
//! What a record says is read by the library, from the file that the journal was.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use highwater::journal::{Reader, Record, Records};

use crate::support::command::BINARY;
use crate::support::trace::{Call, traced_by};
use crate::support::tree::Tree;
use crate::support::*;

const CALLS: &str = "openat,pwrite64,fdatasync,fsync,syncfs,linkat,mkdirat,renameat,renameat2,unlink";

/// What is hashed, and recorded, as one.
const UNIT: u64 = 64 * KIB;

/// What may be copied and not be recorded, in bytes: one interval.
const INTERVAL: u64 = 64 * MIB;

/// What a batch of the journal says.
enum Said {
    /// a directory is about to be made, a file to get its part's name
    WillMake,
    WillName,
    Made(Vec<u8>),
    Copied(Vec<u8>),
    /// of the only file: before this byte all is durable
    Durable(u64),
}

/// A batch: the call that wrote it, the first sync of the journal behind it, and what it says.
struct Batch<'c> {
    written: &'c Call,
    synced: &'c Call,
    said: Vec<Said>,
}

/// A copy with a journal under strace: its calls, and the journal as it was when it went.
struct Traced {
    outcome: Outcome,
    calls: Vec<Call>,
    journal: Vec<u8>,
}

impl Traced {
    fn new(command: &[&str], journal: PathBuf, args: impl FnOnce(Highwater) -> Highwater) -> Traced {
        let held = std::thread::spawn(move || {
            wait_for("the journal", || journal.exists());
            File::open(journal).unwrap()
        });
        let (outcome, calls) =
            traced_by(command, CALLS, |copy| args(copy.args(["--engine", "plain", "--resume"])));
        outcome.assert_silent();
        let held = held.join().unwrap();
        let journal = fs::read(format!("/proc/self/fd/{}", held.as_raw_fd())).unwrap();
        Traced { outcome, calls, journal }
    }

    /// The calls of this name, on this path.
    fn on<'c>(&'c self, name: &'c str, path: &'c str) -> impl Iterator<Item = &'c Call> {
        self.calls.iter().filter(move |call| call.name == name && call.path() == path)
    }

    /// The journal's path, without a name as strace saw it first.
    fn journal_path(&self) -> &str {
        let header = self.calls.iter().find(|call| call.arguments.contains("\"HWJOURNL"));
        header.expect("the journal is begun").path()
    }

    /// Every batch behind the header. Each is synced before the next one is written.
    fn batches(&self) -> Vec<Batch<'_>> {
        let read = |offset: u64, buffer: &mut [u8]| -> Result<usize, std::convert::Infallible> {
            let rest = self.journal.get(offset as usize..).unwrap_or_default();
            let bytes = rest.len().min(buffer.len());
            buffer[..bytes].copy_from_slice(&rest[..bytes]);
            Ok(bytes)
        };
        let path = self.journal_path();
        let mut written = self.on("pwrite64", path).skip(1).peekable();
        let (_, mut reader) = Reader::open(read).unwrap().unwrap();
        let mut batches = vec![];
        while let Some(batch) = reader.next(read).unwrap().unwrap() {
            let call = written.next().expect("each batch is one write");
            assert_eq!(place(call).0, batch.offset - 48, "{call:?}");
            let synced = self.on("fdatasync", path).find(|sync| sync.began > call.ended);
            let synced = synced.unwrap_or_else(|| panic!("not synced: {call:?}"));
            let next = written.peek();
            assert!(next.is_none_or(|next| synced.ended < next.began), "written before {synced:?}: {next:?}");
            let said = Records::of(batch.payload).map(|(_, record)| match record {
                Record::Made { inode: 0, .. } => Said::WillMake,
                Record::Made { path, .. } => Said::Made(path[4..].to_vec()),
                Record::Begun { .. } => Said::WillName,
                Record::Copied { path, .. } => Said::Copied(path[4..].to_vec()),
                Record::Whole { length, .. } => Said::Durable(length),
                Record::Durable { from, zeros, digests, .. } => {
                    Said::Durable(from + UNIT * (zeros + digests.len() as u64 / 32))
                }
            });
            batches.push(Batch { written: call, synced, said: said.collect() });
        }
        assert!(written.next().is_none(), "all that was written was read");
        batches
    }

    /// Asserts that the journal was whole, synced, and had its name, synced as well, before the target had one.
    #[track_caller]
    fn assert_journal_first(&self, journal: &Path) {
        let place = self.journal_path();
        let at = |call: Option<&Call>, what: &str| {
            let call = call.unwrap_or_else(|| panic!("no {what}: {:#?}", self.calls));
            (call.began, call.ended)
        };
        let written = at(self.on("pwrite64", place).next(), "header");
        let synced = at(self.on("fsync", place).next(), "sync of it");
        let is_name = |call: &&Call| name_given(call).is_some();
        let mut names = self.calls.iter().filter(is_name);
        let first = names.next();
        assert_eq!(first.and_then(name_given).as_deref(), journal.to_str(), "the first name");
        let named = at(first, "name of it");
        let directory = journal.parent().unwrap().to_str().unwrap();
        let behind = |call: &&Call| call.began > named.1;
        let lasting = at(self.on("fsync", directory).find(behind), "sync of its directory");
        let next = at(names.next(), "name in the target");
        for (earlier, later) in [(written, synced), (synced, named), (named, lasting), (lasting, next)] {
            assert!(earlier.1 < later.0, "{:#?}", self.calls);
        }
    }
}

/// Offset and length of a write.
fn place(write: &Call) -> (u64, u64) {
    let mut numbers = write.arguments.rsplit(", ").map(|number| number.trim().parse().unwrap());
    let (offset, length) = (numbers.next().unwrap(), numbers.next().unwrap());
    (offset, length)
}

/// The name that a call gives to something, with its directory's.
fn name_given(call: &Call) -> Option<String> {
    let makes = match call.name.as_str() {
        "openat" => call.arguments.contains("O_CREAT"),
        name => ["linkat", "mkdirat", "renameat", "renameat2"].contains(&name),
    };
    let directory = call.arguments.rsplit(">, \"").nth(1)?.rsplit('<').next()?;
    let name = call.last_name();
    makes.then(|| format!("{directory}/{}", name.strip_prefix("./").unwrap_or(name)))
}

#[test]
fn of_a_file_nothing_is_recorded_before_it_is_durable_and_no_more_than_an_interval_waits() {
    need_fs!(Fs::Ext4);
    need_tool!("strace");
    const LEN: u64 = 160 * MIB + 4321;
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let disk = LoopDisk::new(Fs::Ext4, 256 * MIB);
    let journal = disk.path(".target.highwater-journal");
    let traced = Traced::new(&[BINARY, "copy"], journal.clone(), |copy| {
        copy.args(["--json", "-"]).arg(dir.path("source")).arg("target").current_dir(disk.dir())
    });
    traced.assert_journal_first(&journal);
    let report = traced.outcome.json();
    let ring = report::number(&report, "ring.block_bytes") * report::number(&report, "ring.buffers");
    let data = |call: &&Call| call.name == "pwrite64" && call.path() != traced.journal_path();
    let writes: Vec<&Call> = traced.calls.iter().filter(data).collect();
    let target = writes[0].path();
    let syncs: Vec<&Call> = traced.on("fdatasync", target).chain(traced.on("fsync", target)).collect();
    let batches = traced.batches();
    let mut recorded_to = vec![];
    for batch in &batches {
        for said in &batch.said {
            match said {
                Said::WillName => {
                    let is_part = |call: &&Call| call.last_name().starts_with(".highwater-part-");
                    let named = traced.calls.iter().find(is_part).expect("a part's name");
                    assert!(batch.synced.ended < named.began, "{named:?} before {:?}", batch.synced);
                }
                Said::Durable(to) => {
                    let before = |sync: &&&Call| sync.ended < batch.written.began;
                    let sync = syncs.iter().filter(before).max_by_key(|sync| sync.ended).expect("a sync");
                    let late = |write: &&&Call| place(write).0 < *to && write.ended > sync.began;
                    let late = writes.iter().find(late);
                    assert!(late.is_none(), "{to} bytes are recorded after {sync:?}, before {late:?}");
                    recorded_to.push((batch.synced.ended, *to));
                }
                Said::WillMake | Said::Made(_) | Said::Copied(_) => panic!("of one file"),
            }
        }
    }
    assert_eq!(recorded_to.last().map(|(_, to)| *to), Some(LEN));
    assert!(recorded_to.len() >= 3, "{recorded_to:?}");
    let mut most = 0;
    for write in &writes {
        let complete = writes.iter().filter(|other| other.ended < write.began).map(|other| place(other).1);
        let recorded = recorded_to.iter().filter(|(ended, _)| *ended < write.began).map(|(_, to)| *to);
        most = most.max(complete.sum::<u64>().saturating_sub(recorded.max().unwrap_or(0)));
    }
    println!("{} records, at most {most} bytes waited for one", recorded_to.len());
    assert!(most <= INTERVAL + ring, "{most} bytes were complete and not recorded");
    assert_holds(&disk.path("target"), 1, LEN);
}

/// Copies a tree of files without parts, so slowly that there is time for some rounds.
fn traced_tree(disk: &LoopDisk, command: &[&str], options: &[&str]) -> Traced {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("source"));
    for nth in 0..4 {
        tree.dir(format!("{nth}"));
        (0..8).for_each(|file| drop(tree.file(format!("{nth}/{file}"), bytes(file, 8000 * file + 1))));
    }
    tree.built();
    let journal = disk.path(".target.highwater-journal");
    let traced = Traced::new(command, journal.clone(), |copy| {
        let copy = copy.args(["-r", "--simulate", "bandwidth=600K/s"]).args(options);
        copy.arg(dir.path("source")).arg("target").current_dir(disk.dir())
    });
    traced.assert_journal_first(&journal);
    traced
}

#[test]
fn of_a_tree_nothing_is_recorded_before_it_is_durable_under_its_name() {
    need_fs!(Fs::Ext4);
    need_tool!("strace");
    need_tool!("setarch");
    // By one syncfs for all; and by an fsync for each, as on a kernel that tells nothing of syncfs.
    let old = ["setarch", "--uname-2.6", BINARY, "copy"];
    for (command, is_whole) in [(&old[2..], true), (&old[..], false)] {
        for sync in ["end", "file", "none"] {
            let disk = LoopDisk::new(Fs::Ext4, 64 * MIB);
            let traced = traced_tree(&disk, command, &["--sync", sync]);
            let target = disk.path("target").to_str().unwrap().to_owned();
            let full = |path: &[u8]| match path {
                b"" => target.clone(),
                path => format!("{target}/{}", str::from_utf8(path).unwrap()),
            };
            let named = |path: &str| {
                let named = traced.calls.iter().rfind(|call| name_given(call).as_deref() == Some(path));
                named.unwrap_or_else(|| panic!("{path} got no name: {:#?}", traced.calls))
            };
            let synced = |name: &str, path: Option<&str>, from: usize, to: usize| {
                traced.calls.iter().any(|call| {
                    call.name == name
                        && path.is_none_or(|path| call.path() == path)
                        && from < call.began
                        && call.ended < to
                })
            };
            let (mut copied, mut rounds) = (0, 0);
            for Batch { written, synced: recorded, said } in traced.batches() {
                rounds += 1;
                for said in said {
                    match said {
                        Said::WillMake => assert!(recorded.ended < named(&target).began, "{recorded:?}"),
                        Said::Made(path) => {
                            let named = named(&full(&path));
                            assert!(named.ended < written.began, "{named:?} after {written:?}");
                        }
                        Said::Copied(path) => {
                            copied += 1;
                            let path = full(&path);
                            let named = named(&path);
                            let (data, directory) =
                                (data_of(&traced, named), path.rsplit_once('/').unwrap().0);
                            let is_durable = match is_whole {
                                true => synced("syncfs", None, named.ended, written.began),
                                false => {
                                    synced("fsync", Some(data.path()), data.ended, written.began)
                                        && synced("fsync", Some(directory), named.ended, written.began)
                                }
                            };
                            assert!(is_durable, "--sync {sync}: {path} in {written:?}: {:#?}", traced.calls);
                        }
                        Said::WillName | Said::Durable(_) => panic!("--sync {sync}: these are small"),
                    }
                }
            }
            // What is complete when the copy ends needs no record any more.
            assert!(copied > 0 && rounds >= 3, "{copied} files in {rounds} batches");
        }
    }
}

/// The last write to the file that is named by this call, which says so by its descriptor or by what it was
/// called before.
fn data_of<'t>(traced: &'t Traced, named: &Call) -> &'t Call {
    let descriptor = named.arguments.split("/proc/self/fd/").nth(1).and_then(|rest| rest.split('"').next());
    let is_it = |call: &&Call| match (descriptor, name_given(named)) {
        (Some(descriptor), _) => call.descriptor() == descriptor,
        (None, name) => Some(call.path()) == name.as_deref(),
    };
    let before = |call: &&Call| descriptor.is_none() || call.ended < named.began;
    let writes = traced.calls.iter().filter(|call| call.name == "pwrite64");
    writes.filter(is_it).rfind(before).unwrap_or_else(|| panic!("nothing was written to {named:?}"))
}
