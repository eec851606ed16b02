//! JSON reports made by hand: runs of which every sample is known.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde_json::{Map, Value, json};

/// A report of `command` with these kinds of operations (`write`, `response-write` ...), each with its
/// samples in nanoseconds, interval by interval of a second and a MiB.
pub fn recorded(command: &str, kinds: &[(&str, Vec<Vec<u64>>)]) -> Value {
    let seconds = kinds.iter().map(|(_, intervals)| intervals.len()).max().unwrap_or(0);
    let is_open = kinds.iter().any(|(tag, _)| tag.starts_with("response"));
    let bytes = 1_u64 << 20;
    let intervals: Vec<Value> = (0..seconds)
        .map(|nth| {
            let samples = |tag: &str| -> &[u64] {
                let of = kinds.iter().find(|(other, _)| *other == tag).and_then(|(_, all)| all.get(nth));
                of.map_or(&[], Vec::as_slice)
            };
            let mut histograms = Map::new();
            for (tag, _) in kinds.iter().filter(|(tag, _)| !samples(tag).is_empty()) {
                histograms.insert((*tag).to_owned(), encoded(&histogram(samples(tag))).into());
            }
            let mut interval = json!({
                "start_s": nth as f64, "length_s": 1.0, "bytes": bytes, "read_bytes": 0, "write_bytes": bytes,
                "latency": latency("", &samples), "histograms": histograms,
            });
            if is_open {
                interval["response"] = latency("response-", &samples);
                interval["admission"] = summary(samples("admission"));
            }
            interval
        })
        .collect();
    let all = |tag: &str| -> Vec<u64> {
        kinds.iter().filter(|(other, _)| *other == tag).flat_map(|(_, all)| all.concat()).collect()
    };
    let whole = |prefix: &str| {
        let of = |tag: &str| summary(&all(&format!("{prefix}{tag}")));
        json!({"read": of("read"), "write": of("write"), "sync": of("sync")})
    };
    let mut run = json!({
        "schema": 1, "command": command, "outcome": "ok", "bytes": bytes * seconds as u64,
        "elapsed_s": seconds as f64, "throughput_bytes_per_s": bytes as f64, "latency": whole(""),
        "intervals": intervals, "stalls": [], "errors": [], "notes": [],
    });
    if is_open {
        run["response"] = whole("response-");
        run["admission"] = summary(&all("admission"));
    }
    run
}

fn latency<'a>(prefix: &str, samples: &impl Fn(&str) -> &'a [u64]) -> Value {
    let of = |tag: &str| summary(samples(&format!("{prefix}{tag}")));
    json!({"read": of("read"), "write": of("write"), "sync": of("sync")})
}

fn histogram(samples: &[u64]) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 24 * 3600 * 1_000_000_000, 3).unwrap();
    samples.iter().for_each(|&ns| histogram.record(ns).unwrap());
    histogram
}

fn summary(samples: &[u64]) -> Value {
    let (histogram, count) = (histogram(samples), samples.len());
    let any = |ns: u64| (count > 0).then_some(ns);
    let percentile = |quantile, needed| (count >= needed).then(|| histogram.value_at_quantile(quantile));
    json!({
        "count": count, "mean_ns": (count > 0).then(|| histogram.mean()), "min_ns": any(histogram.min()),
        "p50_ns": percentile(0.5, 2), "p90_ns": percentile(0.9, 10), "p99_ns": percentile(0.99, 100),
        "p99_9_ns": percentile(0.999, 1_000), "p99_99_ns": percentile(0.9999, 10_000),
        "p99_999_ns": percentile(0.99999, 100_000), "p99_9999_ns": percentile(0.999999, 1_000_000),
        "max_ns": any(histogram.max()),
    })
}

fn encoded(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).unwrap();
    STANDARD.encode(bytes)
}
