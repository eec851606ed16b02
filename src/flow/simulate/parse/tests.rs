use std::time::Duration;

use proptest::prelude::*;

use super::super::spec::Sync;
use super::*;
use crate::sys::counted::peak_of;

const MIB: u64 = 1 << 20;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn every_part_is_read() {
    let spec = Spec::parse(
        "bandwidth=20MiB/s,write-iops=3000,latency=lognormal:5ms:0.8,read-latency=uniform:1ms:5ms,stall=2s~10s,\
         error=EIO:0.1%,write-error=EIO@64MiB,full=1GiB,short=10%,sync-latency=30ms,sync-error=EIO:100%,\
         cliff=5MiB/s@256MiB,seed=42",
    )
    .unwrap();
    let chance = |billionths| Chance { errno: libc::EIO, share: Share(billionths) };
    let way = Way {
        bandwidth: Some(20 * MIB),
        error: Some(chance(1_000_000)),
        short: Some(Share(100_000_000)),
        ..Way::default()
    };
    let expected = Spec {
        read: Way { latency: Some(Latency::Uniform(ms(1), ms(5))), ..way.clone() },
        write: Way {
            iops: Some(3000),
            latency: Some(Latency::Lognormal(ms(5), 800)),
            bad: Some(Bad { errno: libc::EIO, offset: 64 * MIB }),
            ..way
        },
        sync: Sync { latency: Some(Latency::Constant(ms(30))), error: Some(chance(Share::WHOLE)) },
        cliff: Some(Cliff { bandwidth: 5 * MIB, after: 256 * MIB }),
        stall: Some(Stall { length: ms(2000), every: ms(10_000), is_random: true }),
        full: Some(1 << 30),
        seed: Some(42),
    };
    assert_eq!(spec, expected);
    assert_eq!(
        spec.to_string(),
        "bandwidth=20MiB/s,cliff=5MiB/s@256MiB,write-iops=3000,read-latency=uniform:1ms:5ms,\
         write-latency=lognormal:5ms:0.8,sync-latency=30ms,stall=2s~10s,error=EIO:0.1%,write-error=EIO@64MiB,\
         sync-error=EIO:100%,full=1GiB,short=10%,seed=42"
    );
}

#[test]
fn every_fault_says_what_and_where() {
    let cases = [
        ("", "a part is missing at character 1"),
        (",", "a part is missing at character 1"),
        ("seed=1,", "a part is missing at character 8"),
        ("seed=1,,full=1", "a part is missing at character 8"),
        ("bandwith=1M", "unknown part 'bandwith' at character 1"),
        ("full=1M, seed=1", "unknown part ' seed' at character 9"),
        ("é=1,bandwidth=1M", "unknown part 'é' at character 1"),
        ("sync-bandwidth=1M", "unknown part 'sync-bandwidth' at character 1"),
        ("read-full=1M", "unknown part 'read-full' at character 1"),
        ("Bandwidth=1M", "unknown part 'Bandwidth' at character 1"),
        ("bandwidth", "'bandwidth' has no value at character 10"),
        ("seed=1,read-latency=", "'read-latency' has no value at character 21"),
        ("bandwidth=fast", "a digit is missing at character 11"),
        ("bandwidth=20MiX/s", "unknown unit 'MiX' at character 13"),
        ("bandwidth=0", "more than 0 is needed at character 11"),
        ("iops=0", "more than 0 is needed at character 6"),
        ("iops=many", "a digit is missing at character 6"),
        ("iops=30k", "a comma is missing at character 8"),
        ("seed=99999999999999999999", "more than 18446744073709551615 at character 6"),
        ("seed=-1", "a digit is missing at character 6"),
        ("latency=5", "a unit is missing at character 10"),
        ("latency=5 parsecs", "unknown unit 'parsecs' at character 11"),
        ("latency=2h", "longer than 1h at character 9"),
        (
            "latency=normal:5ms:1ms",
            "unknown distribution 'normal' (there are uniform, lognormal and replay) at character 9",
        ),
        ("latency=uniform:1ms", "a colon and the most is missing at character 20"),
        ("latency=uniform:5ms:1ms", "the most is less than the least at character 21"),
        ("latency=uniform:1ms:5", "a unit is missing at character 22"),
        ("latency=lognormal:5ms", "a colon and the deviation is missing at character 22"),
        ("latency=lognormal:5ms:x", "a digit is missing at character 23"),
        ("latency=lognormal:5ms:0.8x", "a comma is missing at character 26"),
        ("latency=lognormal:5ms:0.", "a digit is missing at character 25"),
        ("latency=lognormal:5ms:9", "more than 5 at character 23"),
        ("latency=replay:", "the name of a log is missing at character 16"),
        ("error=EIO", "a colon and a share, or an @ and an offset, is missing at character 10"),
        ("error=EFOO:1%", "unknown error 'EFOO' at character 7"),
        ("error=EBADF:1%", "unknown error 'EBADF' at character 7"),
        ("error=:1%", "the name of an error is missing at character 7"),
        ("error=EIO:1", "a percent sign is missing at character 12"),
        ("error=EIO:1%%", "a comma is missing at character 13"),
        ("error=EIO:100.5%", "more than 100% at character 11"),
        ("error=EIO:x%", "a digit is missing at character 11"),
        ("error=EIO@x", "a digit is missing at character 11"),
        ("sync-error=EIO@1M", "unknown error 'EIO@1M' at character 12"),
        ("sync-error=EIO", "a colon and a share is missing at character 15"),
        ("short=10", "a percent sign is missing at character 9"),
        ("short=999999999999999999999%", "more than 1844674407370 at character 7"),
        ("stall=2s", "an @ or a ~ and how often is missing at character 9"),
        ("stall=2s@", "a digit is missing at character 10"),
        ("stall=0@10s", "more than 0 is needed at character 7"),
        ("stall=1ms@5ms", "shorter than 10ms at character 11"),
        ("stall=2s@2s", "a stall that lasts until the next one at character 10"),
        ("stall=2days@3days", "longer than 1day at character 7"),
        ("cliff=5M/s", "an @ and a size is missing at character 11"),
        ("cliff=0@1G", "more than 0 is needed at character 7"),
        ("full=", "'full' has no value at character 6"),
        ("seed=1,seed=1", "'seed' is there already at character 8"),
        ("stall=2s@10s,stall=2s~10s", "'stall' is there already at character 14"),
        ("error=EIO@1M,error=EIO@2M", "'error' is there already at character 14"),
        (
            "read-latency=1ms,latency=2ms,write-latency=1ms",
            "'latency' holds for nothing beside 'read-latency' and 'write-latency' at character 18",
        ),
        (
            "bandwidth=5M/s,cliff=5M/s@1G",
            "a cliff up: 'cliff' is no slower than writes are before at character 16",
        ),
        ("full=64M,error=EIO@64M", "an error behind 'full', where nothing gets at character 10"),
    ];
    for (text, message) in cases {
        assert_eq!(Spec::parse(text).map_err(|e| e.to_string()), Err(message.to_owned()), "{text:?}");
    }
}

#[test]
fn what_says_less_is_filled_in() {
    let base = Spec::parse("bandwidth=1M/s,read-latency=1ms,stall=1s@2s,seed=3").unwrap();
    let over = Spec::parse("write-bandwidth=9M/s,seed=4").unwrap().over(base);
    assert_eq!(
        over.to_string(),
        "read-bandwidth=1MiB/s,write-bandwidth=9MiB/s,read-latency=1ms,stall=1s@2s,seed=4"
    );
}

fn part_text() -> impl Strategy<Value = String> {
    let key = "(read-|write-|sync-|)(bandwidth|iops|latency|error|short|cliff|stall|full|seed)";
    let value = "(EIO|uniform|lognormal|replay|[0-9]{1,4}(\\.[0-9]{1,8})?)?[:@~]?[0-9]{0,21}(\\.[0-9]{0,9})?\
                 (ms|s|us|h|M|MiB|KB|G|%|/s)?([:@~][0-9]{1,3}(\\.[0-9])?(ms|s|M|%)?)?";
    (key, value).prop_map(|(key, value)| format!("{key}={value}"))
}

proptest! {
    /// Nor does any take more memory than it is long, whatever its numbers say.
    #[test]
    fn no_text_panics(
        text in "\\PC{0,60}", parts in proptest::collection::vec(part_text(), 0..8), long in "\\PC{0,2000}",
    ) {
        for text in [text, parts.join(","), format!("latency=replay:{long}"), long] {
            let (spec, peak) = peak_of(|| Spec::parse(&text));
            prop_assert!(peak <= 3 * text.len() + 1024, "{} bytes for {}", peak, text.len());
            if let Err(error) = spec {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.at), "{error}");
                prop_assert!(error.to_string().contains(&format!("at character {}", error.at)), "{error}");
            }
        }
    }

    /// What is shown is read as the same.
    #[test]
    fn what_is_read_can_be_written(parts in proptest::collection::vec(part_text(), 1..5)) {
        if let Ok(spec) = Spec::parse(&parts.join(",")) {
            prop_assert_eq!(Spec::parse(&spec.to_string()), Ok(spec));
        }
    }
}
