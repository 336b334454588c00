//! Dates for people.

use gridveil_protocol::units::Interval;

/// Unix seconds as a date and time, UTC; the number where it is no date.
pub(crate) fn utc(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

/// A period as errors name it: by its date, where it is known how long an interval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodAt {
    /// Its first interval.
    pub first_interval: Interval,
    /// Seconds of an interval.
    pub length_s: Option<u16>,
}

impl std::fmt::Display for PeriodAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.length_s {
            Some(length_s) => write!(f, "period from {}", utc(self.first_interval.start(length_s))),
            None => write!(f, "period from interval {}", self.first_interval),
        }
    }
}
