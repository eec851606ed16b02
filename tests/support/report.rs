//! The JSON report, looked into by name.

use serde_json::Value;

/// The whole number at a path such as "flow.high_water_bytes".
#[track_caller]
pub fn number(report: &Value, path: &str) -> u64 {
    at(report, path).as_u64().unwrap_or_else(|| panic!("{path} is not a whole number in {report}"))
}

/// The text at a path.
#[track_caller]
pub fn text<'a>(report: &'a Value, path: &str) -> &'a str {
    at(report, path).as_str().unwrap_or_else(|| panic!("{path} is not text in {report}"))
}

/// The truth at a path.
#[track_caller]
pub fn truth(report: &Value, path: &str) -> bool {
    at(report, path).as_bool().unwrap_or_else(|| panic!("{path} is not true or false in {report}"))
}

/// What stands at a path.
#[track_caller]
pub fn at<'a>(report: &'a Value, path: &str) -> &'a Value {
    let pointer = format!("/{}", path.replace('.', "/"));
    report.pointer(&pointer).unwrap_or_else(|| panic!("no {path} in {report}"))
}
