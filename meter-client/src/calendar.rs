//! Periods of a community as people write and read them: by local days and times, not by numbers of intervals.

use std::str::FromStr;

use gridveil_api::public::CommunityInfo;
use gridveil_protocol::units::Interval;
use gridveil_readings::zone::Zone;
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
};

use crate::{cli::utc, l1::Standing};

/// Longest text of a time.
const MAX_TEXT: usize = 32;

/// A text that says no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhenError {
    /// Anything else.
    #[error(
        "a period is written as its local day, 2017-05-03, or as the time at which it begins: 2017-05-03T00:00+02:00, or \
         2017-05-03T00:00 by the clock of the zone"
    )]
    Unknown,
    /// Eight digits may be a day or a number.
    #[error("eight digits may be a day or a number of an interval: a day is written 2017-05-03")]
    Digits,
}

/// What somebody writes for a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A local day, from midnight to midnight.
    Day(Date),
    /// Its beginning, by a clock on the wall.
    Local(DateTime),
    /// Its beginning, with the offset from UTC.
    Instant(Timestamp),
    /// The number of its first interval: for machines.
    Number(Interval),
}

impl FromStr for When {
    type Err = WhenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(WhenError::Unknown);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            if text.len() == 8 {
                return Err(WhenError::Digits);
            }
            return text.parse().map(|number| Self::Number(Interval(number))).map_err(|_| WhenError::Unknown);
        }
        let (day, time) = text.split_at_checked(10).ok_or(WhenError::Unknown)?;
        let day: Date = dashed(day).then(|| day.parse().ok()).flatten().ok_or(WhenError::Unknown)?;
        if time.is_empty() {
            return Ok(Self::Day(day));
        }
        // A name of a zone in brackets would be read and not looked at.
        if !time.bytes().skip(1).all(|b| b.is_ascii_digit() || b":+-zZ".contains(&b)) {
            return Err(WhenError::Unknown);
        }
        let local = time.bytes().skip(1).all(|b| b.is_ascii_digit() || b == b':');
        let found = if local { text.parse().ok().map(Self::Local) } else { text.parse().ok().map(Self::Instant) };
        found.ok_or(WhenError::Unknown)
    }
}

/// Has the text the form 2017-05-03?
fn dashed(text: &str) -> bool {
    text.bytes().enumerate().all(|(i, b)| if [4, 7].contains(&i) { b == b'-' } else { b.is_ascii_digit() })
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Local(local) => f.write_str(&local.strftime("%Y-%m-%dT%H:%M:%S").to_string()),
            Self::Instant(instant) => instant.fmt(f),
            Self::Number(number) => write!(f, "interval {number}"),
        }
    }
}

/// Why what is written is no period of a community.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// No period begins then, or the day is no period.
    #[error("{asked} is no whole period of this community: a period has {takes}, and the next ones begin {near}")]
    Other {
        /// What was written, with its zone.
        asked: String,
        /// Hours of a period.
        takes: String,
        /// When the periods around it begin, as they may be written.
        near: String,
    },
    /// Clocks are put forward over it.
    #[error("{asked} is on no clock, because clocks are put forward over it: the next periods begin {near}")]
    Skipped {
        /// What was written, with its zone.
        asked: String,
        /// When the periods around it begin, as they may be written.
        near: String,
    },
    /// Clocks are put back over it.
    #[error("{asked} is twice on the clock, because clocks are put back: write {first} or {second}")]
    Twice {
        /// What was written, with its zone.
        asked: String,
        /// The first time.
        first: String,
        /// The second time.
        second: String,
    },
    /// Before 1970, or after the last interval there can be.
    #[error("{asked} is outside the calendar, which begins in 1970")]
    Outside {
        /// What was written, with its zone.
        asked: String,
    },
}

/// The periods of a community, and the zone of who writes and reads of them.
#[derive(Clone, Debug)]
pub struct Periods {
    /// First interval of one of them; all others are whole periods away. `None` if none is known.
    any: Option<Interval>,
    intervals: u16,
    length_s: u16,
    zone: Zone,
}

impl Periods {
    /// Of `intervals` intervals of `length_s` seconds, one of which begins with the interval `any`.
    #[must_use]
    pub const fn new(any: Option<Interval>, intervals: u16, length_s: u16, zone: Zone) -> Self {
        Self { any, intervals, length_s, zone }
    }

    /// As the sequencer tells them.
    #[must_use]
    pub fn of(terms: &CommunityInfo, zone: Zone) -> Self {
        Self::new(Some(terms.next_interval), terms.intervals, terms.interval_length, zone)
    }

    /// As L1 has them. Before the community's first settlement nothing says when its periods begin.
    #[must_use]
    pub fn on_l1(standing: &Standing, zone: Zone) -> Self {
        let any = i64::try_from(standing.settled_through_s).ok().filter(|seconds| *seconds != 0);
        let any = any.and_then(|seconds| Interval::of_time(seconds, standing.interval_length));
        Self::new(any, standing.intervals, standing.interval_length, zone)
    }

    /// The first interval of the period that is written.
    ///
    /// # Errors
    /// [`PeriodError`].
    pub fn find(&self, when: &When) -> Result<Interval, PeriodError> {
        let asked = || match when {
            When::Day(_) | When::Local(_) => format!("{when} ({})", self.zone.name()),
            When::Instant(_) | When::Number(_) => when.to_string(),
        };
        let outside = || PeriodError::Outside { asked: asked() };
        let (begins, ends) = match when {
            When::Day(day) => {
                let midnight = |day: Date| self.zone.midnight(day).ok_or_else(outside);
                (midnight(*day)?, Some(midnight(day.tomorrow().map_err(|_| outside())?)?))
            }
            When::Local(local) => (self.instant(*local, asked)?, None),
            When::Instant(instant) => (instant.as_second(), None),
            When::Number(number) => (i64::from(*number) * i64::from(self.length_s), None),
        };
        let interval = Interval::of_time(begins, self.length_s).ok_or_else(outside)?;
        let begins_one = begins == i64::from(interval) * i64::from(self.length_s) && self.is_first(interval);
        if begins_one && ends.is_none_or(|ends| ends - begins == self.period_s()) {
            return Ok(interval);
        }
        Err(PeriodError::Other { asked: asked(), takes: self.takes(), near: self.near(interval) })
    }

    fn instant(&self, local: DateTime, asked: impl Fn() -> String) -> Result<i64, PeriodError> {
        match self.zone.instants(local).as_slice() {
            [one] => Ok(*one),
            [first, second, ..] => {
                Err(PeriodError::Twice { asked: asked(), first: self.written(*first), second: self.written(*second) })
            }
            [] => {
                let midnight = self.zone.midnight(local.date());
                match midnight.and_then(|midnight| Interval::of_time(midnight, self.length_s)) {
                    Some(interval) => Err(PeriodError::Skipped { asked: asked(), near: self.near(interval) }),
                    None => Err(PeriodError::Outside { asked: asked() }),
                }
            }
        }
    }

    fn is_first(&self, interval: Interval) -> bool {
        self.any.is_none_or(|any| interval.distance(any).rem_euclid(i64::from(self.intervals.max(1))) == 0)
    }

    fn period_s(&self) -> i64 {
        i64::from(self.intervals) * i64::from(self.length_s)
    }

    fn takes(&self) -> String {
        let minutes = self.period_s() / 60;
        match (minutes / 60, minutes % 60) {
            (1, 0) => "1 hour".to_owned(),
            (0, minutes) => format!("{minutes} minutes"),
            (hours, 0) => format!("{hours} hours"),
            (hours, minutes) => format!("{hours}:{minutes:02} hours"),
        }
    }

    /// The beginnings around an interval: of the period that it is in, and of the one after.
    fn near(&self, interval: Interval) -> String {
        let Some(any) = self.any else { return "at whole intervals, none of which is settled yet".to_owned() };
        let into = interval.distance(any).rem_euclid(i64::from(self.intervals.max(1)));
        let first = (i64::from(interval) - into) * i64::from(self.length_s);
        format!("{} and {}", self.written(first), self.written(first + self.period_s()))
    }

    /// An instant as it can be written: `2017-05-03T00:00+02:00`.
    fn written(&self, seconds: i64) -> String {
        let local = self.zone.local(seconds);
        match local.split(' ').collect::<Vec<_>>().as_slice() {
            [day, time, "+00:00"] => format!("{day}T{time}Z"),
            [day, time, offset] => format!("{day}T{time}{offset}"),
            _ => local,
        }
    }

    /// When an interval begins, by the clock of the zone: `2017-05-03 00:00 +02:00`.
    #[must_use]
    pub fn begins(&self, interval: Interval) -> String {
        local(i64::from(interval) * i64::from(self.length_s), &self.zone)
    }

    /// From when to when a period is, by the clock of the zone.
    #[must_use]
    pub fn span(&self, first: Interval) -> String {
        self.spans(first, first)
    }

    /// From when the period that begins with `first` is, to the end of the one that begins with `last`.
    #[must_use]
    pub fn spans(&self, first: Interval, last: Interval) -> String {
        let begins = |interval: Interval| i64::from(interval) * i64::from(self.length_s);
        let length_s = begins(last).saturating_sub(begins(first)).saturating_add(self.period_s());
        span(begins(first), length_s, &self.zone)
    }
}

/// An instant by the clock of a zone: `2017-05-03 00:00 +02:00`, or `2017-05-02 22:00 UTC`.
#[must_use]
pub fn local(seconds: i64, zone: &Zone) -> String {
    let local = zone.local(seconds);
    local.strip_suffix("+00:00").map_or_else(|| local.clone(), |time| format!("{time}UTC"))
}

/// `length_s` seconds from an instant on, by the clock of a zone.
#[must_use]
pub fn span(begins_s: i64, length_s: i64, zone: &Zone) -> String {
    let (from, to) = (local(begins_s, zone), local(begins_s.saturating_add(length_s), zone));
    match (from.rsplit_once(' '), to.rsplit_once(' ')) {
        (Some((time, one)), Some((_, other))) if one == other => format!("{time} to {to}"),
        _ => format!("{from} to {to}"),
    }
}

/// A period as errors name it: by its date, where it is known how long an interval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodAt {
    /// Its first interval.
    pub first_interval: Interval,
    /// Seconds of an interval.
    pub length_s: Option<u16>,
}

impl PeriodAt {
    /// With a date.
    #[must_use]
    pub const fn new(first_interval: Interval, length_s: u16) -> Self {
        Self { first_interval, length_s: Some(length_s) }
    }

    /// Without one yet.
    #[must_use]
    pub const fn undated(first_interval: Interval) -> Self {
        Self { first_interval, length_s: None }
    }
}

impl std::fmt::Display for PeriodAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.length_s {
            Some(length_s) => write!(f, "period from {}", utc(i64::from(self.first_interval) * i64::from(length_s))),
            None => write!(f, "period from interval {}", self.first_interval),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days of 24 hours from midnight in Vienna on, in summer.
    fn days(zone: &str) -> Periods {
        let first: Timestamp = "2017-05-01T00:00+02:00".parse().unwrap();
        let any = Interval::of_time(first.as_second(), 3600);
        Periods::new(any, 24, 3600, Zone::parse(zone).unwrap())
    }

    fn found(periods: &Periods, text: &str) -> Result<String, String> {
        let first = periods.find(&text.parse::<When>().map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        Ok(periods.begins(first))
    }

    #[test]
    fn a_day_and_its_first_moment_are_the_same_period() {
        let vienna = days("Europe/Vienna");
        let number = vienna.find(&"2017-05-03".parse().unwrap()).unwrap().to_string();
        for text in [
            "2017-05-03",
            "2017-05-03T00:00",
            "2017-05-03 00:00",
            "2017-05-03T00:00:00",
            "2017-05-03T00:00+02:00",
            "2017-05-02T22:00Z",
            "2017-05-02 22:00:00Z",
            "2017-05-02T18:00-04:00",
            &number,
        ] {
            assert_eq!(found(&vienna, text), Ok("2017-05-03 00:00 +02:00".to_owned()), "{text}");
        }
        // Before what is known, too.
        assert_eq!(found(&vienna, "2017-04-29"), Ok("2017-04-29 00:00 +02:00".to_owned()));
        assert_eq!(vienna.span(Interval(number.parse().unwrap())), "2017-05-03 00:00 to 2017-05-04 00:00 +02:00");
    }

    #[test]
    fn a_day_that_is_no_period_is_refused_with_those_that_are() {
        let of_24_hours = "a period has 24 hours";
        for (zone, text, near) in [
            ("UTC", "2017-05-03", "2017-05-02T22:00Z and 2017-05-03T22:00Z"),
            ("Europe/Vienna", "2017-05-03T01:00", "2017-05-03T00:00+02:00 and 2017-05-04T00:00+02:00"),
            ("Europe/Vienna", "2017-05-03T00:30+02:00", "2017-05-03T00:00+02:00 and 2017-05-04T00:00+02:00"),
            ("Europe/Vienna", "2017-05-03T00:00:01+02:00", "2017-05-03T00:00+02:00 and 2017-05-04T00:00+02:00"),
            // In winter this community's periods begin at eleven.
            ("Europe/Vienna", "2017-12-03", "2017-12-02T23:00+01:00 and 2017-12-03T23:00+01:00"),
            // 25 hours, from midnight to midnight: 24 of them are a period.
            ("Europe/Vienna", "2017-10-29", "2017-10-29T00:00+02:00 and 2017-10-29T23:00+01:00"),
            // 23 hours.
            ("Europe/Vienna", "2017-03-26", "2017-03-25T23:00+01:00 and 2017-03-27T00:00+02:00"),
            ("+10:00", "2017-05-03", "2017-05-02T08:00+10:00 and 2017-05-03T08:00+10:00"),
        ] {
            let error = found(&days(zone), text).unwrap_err();
            assert!(error.contains(near) && error.contains(of_24_hours), "{zone} {text}: {error}");
            // What it says can be written.
            for written in near.split(" and ") {
                found(&days(zone), written).unwrap();
            }
        }
        let number = days("UTC").find(&"2017-05-02T22:00Z".parse().unwrap()).unwrap().0 + 1;
        let error = found(&days("UTC"), &number.to_string()).unwrap_err();
        assert!(error.starts_with(&format!("interval {number} is no whole period")), "{error}");
    }

    #[test]
    fn periods_that_are_no_days_are_named_by_their_times() {
        let any = Interval::of_time(0, 900);
        let quarters = Periods::new(any, 4, 900, Zone::parse("Europe/Vienna").unwrap());
        assert_eq!(found(&quarters, "2017-05-03T06:00"), Ok("2017-05-03 06:00 +02:00".to_owned()));
        let error = found(&quarters, "2017-05-03").unwrap_err();
        assert_eq!(
            error,
            "2017-05-03 (Europe/Vienna) is no whole period of this community: a period has 1 hour, and the next ones begin \
             2017-05-03T00:00+02:00 and 2017-05-03T01:00+02:00"
        );
        // The hour that is not, and the one that is twice.
        assert_eq!(
            found(&quarters, "2017-03-26T02:00").unwrap_err(),
            "2017-03-26T02:00:00 (Europe/Vienna) is on no clock, because clocks are put forward over it: the next periods begin \
             2017-03-26T00:00+01:00 and 2017-03-26T01:00+01:00"
        );
        assert_eq!(
            found(&quarters, "2017-10-29T02:00").unwrap_err(),
            "2017-10-29T02:00:00 (Europe/Vienna) is twice on the clock, because clocks are put back: write \
             2017-10-29T02:00+02:00 or 2017-10-29T02:00+01:00"
        );
        assert_eq!(found(&quarters, "2017-10-29T02:00+01:00"), Ok("2017-10-29 02:00 +01:00".to_owned()));
        // Half an hour, and an hour and a half.
        for (intervals, takes) in [(2, "30 minutes"), (6, "1:30 hours")] {
            let error = found(&Periods::new(any, intervals, 900, Zone::utc()), "2017-05-03").unwrap_err();
            assert!(error.contains(takes), "{error}");
        }
    }

    #[test]
    fn where_no_period_is_known_a_whole_day_is_one() {
        let new = Periods::new(None, 24, 3600, Zone::parse("Europe/Vienna").unwrap());
        assert_eq!(found(&new, "2017-12-03"), Ok("2017-12-03 00:00 +01:00".to_owned()));
        assert!(found(&new, "2017-10-29").unwrap_err().contains("none of which is settled yet"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "3.5.2017",
            "05/03/2017",
            "2017-5-3",
            "2017-02-29",
            "2017-05-03T",
            "2017-05-03T25:00",
            "2017-05-03T00:00+2:00",
            "2017-05-03T00:00[Europe/Vienna]",
            "2017-05-03T00:00+05:00[Europe/Vienna]",
            "2017-05-03T00:00 +02:00",
            "2017-05-03T00:00:00.5",
            "-413856",
            "+413856",
            "413856.0",
            "4294967296",
            "２０１７-05-03",
            "2017-05-03T00:00:00.000000000000000000+02:00",
        ] {
            assert_eq!(text.parse::<When>(), Err(WhenError::Unknown), "{text}");
        }
        assert_eq!("20170503".parse::<When>(), Err(WhenError::Digits));
        let outside = |text: &str| found(&days("UTC"), text).unwrap_err();
        assert_eq!(outside("1969-12-31"), "1969-12-31 (UTC) is outside the calendar, which begins in 1970");
        assert!(outside("9999-12-31").contains("outside"));
    }

    #[test]
    fn a_span_over_a_clock_change_has_both_offsets() {
        let vienna = days("Europe/Vienna");
        let first = vienna.find(&"2017-10-29T00:00+02:00".parse().unwrap()).unwrap();
        assert_eq!(vienna.span(first), "2017-10-29 00:00 +02:00 to 2017-10-29 23:00 +01:00");
        assert_eq!(days("UTC").span(first), "2017-10-28 22:00 to 2017-10-29 22:00 UTC");
    }
}
