//! (placeholder until the room is merged)
use std::time::Duration;
/// k
#[derive(Clone, Copy)]
pub enum Kind {
    /// r
    Read,
    /// w
    Write,
    /// s
    Sync,
}
/// r
pub struct Recorder;
/// i
pub struct Interval;
/// t
pub struct Totals;
impl Recorder {
    /// n
    pub fn new(_: Option<Duration>) -> Self {
        Recorder
    }
    /// r
    pub fn record(&mut self, _: Kind, _: Duration, _: u64) {}
    /// t
    pub fn take_interval(&mut self, _: Duration) -> Option<Interval> {
        None
    }
    /// f
    pub fn finish(self, _: Duration) -> (Totals, Option<Interval>) {
        (Totals, None)
    }
}
