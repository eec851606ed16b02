//! A stream's memory under an overload, in a process of its own so that nobody else's counts.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use highwater::stream::{Options, WriteStream};

const MIB: usize = 1 << 20;

/// The failure of the README's story: data arrives faster than the target takes it, and nobody
/// waits. 24 MiB are offered at once to a target of 5 MiB/s with a mark of 1 MiB.
#[test]
fn an_overload_of_a_slow_target_does_not_grow_memory() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let total = 24 * MIB;
    let options = Options { high_water_bytes: MIB as u64, ..Options::default() };
    let reader = std::thread::spawn(move || {
        let (mut buffer, mut read) = (vec![0; 64 << 10], 0);
        let start = Instant::now();
        loop {
            let n = theirs.read(&mut buffer).unwrap();
            if n == 0 {
                return read;
            }
            read += n;
            let due = Duration::from_secs_f64(read as f64 / (5.0 * MIB as f64));
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    });
    let chunk = vec![1; MIB];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut stream = WriteStream::over(ours, "socket", options).unwrap();
        stream.write(&chunk).await.unwrap();
        let before = resident_bytes();
        for _ in 1..total / MIB {
            let _ = stream.write(&chunk).await.unwrap();
        }
        // A backlog of what the slow reader has not taken would be some 20 MiB.
        assert!(resident_bytes() < before + 4 * MIB, "{} -> {}", before, resident_bytes());
        let ended = stream.end().await.unwrap();
        assert!(ended.level.peak_bytes <= MIB as u64);
    });
    assert_eq!(reader.join().unwrap(), total);
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
