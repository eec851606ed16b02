//! The JSON report: one object on one line, so that the reports of many runs can share a file.

use super::Run;
use std::io::{self, Write};

/// Writes `run` as one line of JSON.
///
/// # Errors
/// Those of `out`.
pub fn write_json(out: &mut impl Write, run: &Run) -> io::Result<()> {
    serde_json::to_writer(&mut *out, run)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Cause, Error, Op};
    use crate::latency::{Kind, Recorder};
    use crate::report::{
        About, Command, Flow, Latency, Method, Outcome, Path, Process, Ring, SCHEMA, Stall, Verified,
    };
    use serde_json::{Value, json};
    use std::time::Duration;

    #[test]
    fn a_run_is_the_object_that_was_promised() {
        let mut recorder = Recorder::new(&Kind::SERVICE, None);
        recorder.record(Kind::Read, Duration::ZERO, 1_000);
        recorder.record(Kind::Read, Duration::ZERO, 2_000);
        let (totals, _) = recorder.finish(Duration::from_secs(2));
        let run = Run {
            schema: SCHEMA,
            command: Command::Copy,
            about: About { version: "1.2.3".into(), cpus: 2, ..About::default() },
            outcome: Outcome::Failed,
            bytes: 4096,
            files: 1,
            directories: 2,
            skipped: 3,
            deleted: 4,
            failures: 1,
            retries: 2,
            elapsed_s: 2.0,
            throughput_bytes_per_s: 2048.0,
            ring: Ring { block_bytes: 1024, buffers: 4, registered: true },
            flow: Flow {
                high_water_bytes: 4096,
                low_water_bytes: 1024,
                peak_in_flight_bytes: 3072,
                backpressure_events: 7,
                drain_events: 6,
                paused_s: 0.25,
            },
            tuner: None,
            path: Path { method: Method::Ring, source_direct: false, target_direct: true },
            resumed: None,
            load: None,
            sweep: None,
            latency: Latency::service(&totals),
            response: None,
            admission: None,
            intervals: Vec::new(),
            process: Process { peak_rss_bytes: 1 << 20, user_s: 0.5, system_s: 1.5 },
            simulated: Some(crate::report::Simulated { spec: "seed=1".into() }),
            verified: Some(Verified { files: 5, bytes: 6, wrong_files: 7 }),
            errors: vec![(&Error::new(Op::Write, "b", Cause::Errno(libc::ENOSPC)).at(512)).into()],
            stalls: vec![Stall {
                op: "write",
                path: "b".into(),
                path_bytes: None,
                offset: Some(512),
                start_s: 0.5,
                length_s: 1.5,
            }],
            cliff: None,
            check: None,
            stress: None,
            notes: vec!["buffers are not registered".into()],
        };

        let mut text = Vec::new();
        write_json(&mut text, &run).unwrap();
        assert_eq!(text.iter().filter(|&&byte| byte == b'\n').count(), 1);

        let none = json!({"count": 0, "mean_ns": null, "min_ns": null, "p50_ns": null, "p90_ns": null,
            "p99_ns": null, "p99_9_ns": null, "p99_99_ns": null, "p99_999_ns": null, "p99_9999_ns": null, "max_ns": null});
        let expected = json!({
            "schema": 1, "command": "copy",
            "about": {"version": "1.2.3", "started": "", "host": "", "kernel": "", "cpus": 2, "arguments": []},
            "outcome": "failed", "bytes": 4096, "files": 1,
            "directories": 2, "skipped": 3, "deleted": 4, "failures": 1, "retries": 2,
            "elapsed_s": 2.0, "throughput_bytes_per_s": 2048.0,
            "ring": {"block_bytes": 1024, "buffers": 4, "registered": true},
            "flow": {"high_water_bytes": 4096, "low_water_bytes": 1024, "peak_in_flight_bytes": 3072,
                "backpressure_events": 7, "drain_events": 6, "paused_s": 0.25},
            "simulated": {"spec": "seed=1"},
            "path": {"method": "ring", "source_direct": false, "target_direct": true},
            "latency": {
                "read": {"count": 2, "mean_ns": 1500.0, "min_ns": 1000, "p50_ns": 1000, "p90_ns": null,
                    "p99_ns": null, "p99_9_ns": null, "p99_99_ns": null, "p99_999_ns": null, "p99_9999_ns": null,
                    "max_ns": 2000},
                "write": none, "sync": none},
            "intervals": [],
            "process": {"peak_rss_bytes": 1048576, "user_s": 0.5, "system_s": 1.5},
            "verified": {"files": 5, "bytes": 6, "wrong_files": 7},
            "errors": [{"path": "b", "op": "write", "offset": 512, "errno": "ENOSPC",
                "message": "No space left on device"}],
            "stalls": [{"op": "write", "path": "b", "offset": 512, "start_s": 0.5, "length_s": 1.5}],
            "notes": ["buffers are not registered"],
        });
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), expected);
    }
}
