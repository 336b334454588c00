//! How long what is held is kept, as the operator's file says it. What carries it out is beside it.

use std::{fmt, time::Duration};

use documented::DocumentedFields;
use jiff::{
    Span, SpanRelativeTo, Timestamp, Unit, fmt::serde::unsigned_duration::friendly::compact::required as friendly,
    tz::TimeZone,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Shortest time that an ended account can be kept, days: its last receipt has to be fetched, and L1 to pay out.
const LEAST_DAYS: i64 = 30;
/// Longest, days: a hundred years.
const MOST_DAYS: i64 = 36_525;

/// How long something is kept.
#[derive(Clone, Copy, Debug, Default)]
pub enum Keep {
    /// Until somebody erases it.
    #[default]
    UntilErased,
    /// So long, by the calendar.
    For(Span),
}

impl PartialEq for Keep {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Keep {}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UntilErased => f.write_str("until erased"),
            Self::For(span) => write!(f, "{span:#}"),
        }
    }
}

const TAKES: &str = "it takes `until erased`, or a time such as `90 days`, `18 months` or `10 years`: 30 days or more, at \
                     most 100 years";

impl std::str::FromStr for Keep {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "until erased" {
            return Ok(Self::UntilErased);
        }
        let span: Span = text.trim().parse().map_err(|_| TAKES)?;
        let days = span.total((Unit::Day, SpanRelativeTo::days_are_24_hours()));
        // Months and years have a length from a day on.
        let days = days.or_else(|_| span.total((Unit::Day, jiff::civil::date(2001, 1, 1)))).map_err(|_| TAKES)?;
        let fits = Some(days).filter(|days| days.is_finite()).is_some_and(|days| {
            let least = f64::from(i32::try_from(LEAST_DAYS).unwrap_or(i32::MAX));
            let most = f64::from(i32::try_from(MOST_DAYS).unwrap_or(i32::MAX));
            (least..=most).contains(&days)
        });
        if fits { Ok(Self::For(span)) } else { Err(TAKES) }
    }
}

impl Serialize for Keep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|takes| D::Error::custom(format!("`{text}`: {takes}")))
    }
}

impl Keep {
    /// The second from which something that ended at `end_s` is not kept any more; `None` if it always is.
    #[must_use]
    pub fn until_s(&self, end_s: u64) -> Option<u64> {
        let Self::For(span) = self else { return None };
        let end = Timestamp::from_second(i64::try_from(end_s).ok()?).ok()?.to_zoned(TimeZone::UTC);
        let until = end.checked_add(*span).ok()?;
        u64::try_from(until.timestamp().as_second()).ok()
    }
}

/// Rules of retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// How long an account that has ended is kept after its last period: `until erased`, or a time such as `18 months`, of
    /// 30 days or more. Then it is erased by itself, as by `gridveil operator member erase`, once its last batch is final on
    /// L1. Nothing is erased while L1's deadline for forced withdrawals is longer, or L1 does not answer.
    pub ended_accounts: Keep,
    /// How long files of the spool directory stay that nobody has touched: `168h`, a week, and never less than a day. In them
    /// are readings. A job that is still needed is put in again.
    #[serde(serialize_with = "friendly::serialize", deserialize_with = "a_day")]
    pub spool_files: Duration,
    /// How often it is looked whether something is not to be kept any more: 1 hour.
    #[serde(with = "friendly")]
    pub look_every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            ended_accounts: Keep::UntilErased,
            spool_files: Duration::from_secs(7 * 86_400),
            look_every: Duration::from_secs(3600),
        }
    }
}

/// A proof may take hours, and a prover may be away for a night.
fn a_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let time = friendly::deserialize(deserializer)?;
    if time >= Duration::from_secs(86_400) { Ok(time) } else { Err(D::Error::custom("it takes 24h or more")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_in_words_and_bounded() {
        for text in
            ["until erased", "30 days", "90 days", "18 months", "10 years", "1 year 6 months", "52 weeks", "100 years"]
        {
            let keep: Keep = text.parse().unwrap();
            assert_eq!(keep.to_string().parse::<Keep>().unwrap(), keep, "{text}");
        }
        for text in
            ["", "never", "29 days", "0 days", "-90 days", "1 hour", "101 years", "90", "90 days and more", "forever"]
        {
            assert_eq!(text.parse::<Keep>(), Err(TAKES), "{text}");
        }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let keep: Keep = "1 month".parse().unwrap();
        let s = |text: &str| u64::try_from(text.parse::<Timestamp>().unwrap().as_second()).unwrap();
        assert_eq!(keep.until_s(s("2026-01-31T00:00:00Z")), Some(s("2026-02-28T00:00:00Z")));
        assert_eq!(keep.until_s(s("2026-11-30T12:00:00Z")), Some(s("2026-12-30T12:00:00Z")));
        assert_eq!(Keep::UntilErased.until_s(0), None);
        assert_eq!(keep.until_s(u64::MAX), None);
    }
}
