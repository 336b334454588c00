//! Times of CSV files. Separators do not count; the order of a date's numbers is named by the mapping.

use jiff::civil::{Date, DateTime};
use serde::Deserialize;

use crate::zone::Stamp;

/// Order of a date's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Year first.
    Ymd,
    /// Day first.
    Dmy,
    /// Month first.
    Mdy,
}

/// Longest time that is read.
const LONGEST: usize = 48;

/// Reads a time: with an offset an instant, without one a local time. Bare digits are unix seconds, or a compact date of
/// 8, 12 or 14 digits where the mapping says `ymd`. Year first is known without being named. `None` for anything else.
#[must_use]
pub fn stamp(text: &str, order: Option<Order>) -> Option<Stamp> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST || !text.is_ascii() {
        return None;
    }
    let bare = text.strip_prefix('-').unwrap_or(text);
    if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()) {
        return match (bare.len(), order) {
            (8 | 12 | 14, Some(Order::Ymd)) => compact(bare),
            (..=12, None) => text.parse().ok().map(Stamp::Instant),
            _ => None,
        };
    }
    let (clock, offset) = split_offset(text)?;
    let (clock, afternoon) = split_half(clock);
    let mut numbers = Vec::new();
    let mut separators = Vec::new();
    let mut rest = clock.trim();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        numbers.push(number);
        let gap = after.bytes().take_while(|b| !b.is_ascii_digit()).count();
        let (separator, after) = after.split_at_checked(gap)?;
        separators.push(separator);
        rest = after;
    }
    let fine = |s: &&str| matches!(s.trim(), "" | "-" | "/" | "." | ":" | "T" | ",");
    if numbers.len() < 3 || numbers.len() > 7 || numbers.iter().any(|n| n.is_empty()) || !separators.iter().all(fine) {
        return None;
    }
    let date = date(numbers.get(..3)?, order)?;
    let part = |i: usize| numbers.get(i).map_or(Some(0), |n| n.parse::<i64>().ok().filter(|_| n.len() <= 2));
    let (mut hour, minute, second) = (part(3)?, part(4)?, part(5)?);
    // A fraction of a second is read if it is none.
    if numbers.get(6).is_some_and(|f| f.bytes().any(|b| b != b'0')) || minute > 59 || second > 59 {
        return None;
    }
    if let Some(afternoon) = afternoon {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    let date = match (hour, minute, second) {
        (24, 0, 0) => date.tomorrow().ok()?,
        (24.., ..) => return None,
        _ => date,
    };
    let (hour, minute, second) =
        (i8::try_from(hour % 24).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?);
    let local = date.at(hour, minute, second, 0);
    Some(match offset {
        Some(seconds) => {
            let offset = jiff::tz::Offset::from_seconds(seconds).ok()?;
            Stamp::Instant(offset.to_timestamp(local).ok()?.as_second())
        }
        None => Stamp::Local(local),
    })
}

fn date(numbers: &[&str], order: Option<Order>) -> Option<Date> {
    let [a, b, c] = numbers else { return None };
    let (year, month, day) = match order {
        _ if a.len() == 4 => (a, b, c),
        Some(Order::Dmy) => (c, b, a),
        Some(Order::Mdy) => (c, a, b),
        _ => return None,
    };
    let century = match year.len() {
        4 => 0,
        2 => 2000,
        _ => return None,
    };
    if month.len() > 2 || day.len() > 2 {
        return None;
    }
    Date::new(century + year.parse::<i16>().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

fn compact(digits: &str) -> Option<Stamp> {
    let number = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |d| d.parse::<i8>().ok());
    let year = digits.get(..4)?.parse::<i16>().ok()?;
    let date = Date::new(year, number(4, 6)?, number(6, 8)?).ok()?;
    let time = jiff::civil::Time::new(number(8, 10)?, number(10, 12)?, number(12, 14)?, 0).ok()?;
    Some(Stamp::Local(DateTime::from_parts(date, time)))
}

/// `Z`, `+01:00`, `+0100`, `+01` at the end of a time of day.
fn split_offset(text: &str) -> Option<(&str, Option<i32>)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, Some(0)));
    }
    let Some(colon) = text.find(':') else { return Some((text, None)) };
    let Some(sign) = text.get(colon..)?.find(['+', '-']).map(|at| at + colon) else { return Some((text, None)) };
    let (clock, offset) = text.split_at_checked(sign)?;
    let digits: String = offset.chars().skip(1).filter(|c| *c != ':').collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    let (hours, minutes) =
        (digits.get(..2)?.parse::<i32>().ok()?, digits.get(2..4).map_or(Some(0), |m| m.parse().ok())?);
    let seconds = (hours * 60 + minutes) * 60;
    Some((clock, Some(if offset.starts_with('-') { -seconds } else { seconds })))
}

/// `AM` or `PM`.
fn split_half(text: &str) -> (&str, Option<bool>) {
    let text = text.trim();
    let end = text.len().saturating_sub(2);
    match text.get(end..).map(str::to_ascii_lowercase).as_deref() {
        Some("am") => (text.get(..end).unwrap_or(""), Some(false)),
        Some("pm") => (text.get(..end).unwrap_or(""), Some(true)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_many_portals() {
        let local = |y, mo, d, h, mi| Some(Stamp::Local(DateTime::new(y, mo, d, h, mi, 0, 0).unwrap()));
        let (dmy, mdy, ymd) = (Some(Order::Dmy), Some(Order::Mdy), Some(Order::Ymd));
        assert_eq!(stamp("26.10.2025 00:15", dmy), local(2025, 10, 26, 0, 15));
        assert_eq!(stamp("26-10-2025 00:15:00", dmy), local(2025, 10, 26, 0, 15));
        assert_eq!(stamp("26.10.25 00:15", dmy), local(2025, 10, 26, 0, 15));
        assert_eq!(stamp("11/02/2025 12:00 AM", mdy), local(2025, 11, 2, 0, 0));
        assert_eq!(stamp("11/02/2025 12:00:00 PM", mdy), local(2025, 11, 2, 12, 0));
        assert_eq!(stamp("2025/06/18 24:00", ymd), local(2025, 6, 19, 0, 0));
        assert_eq!(stamp("2025-06-18T00:15:00.000", None), local(2025, 6, 18, 0, 15));
        assert_eq!(stamp("202506180015", ymd), local(2025, 6, 18, 0, 15));
        assert_eq!(stamp("2025-10-26T02:30:00+02:00", None), Some(Stamp::Instant(1_761_438_600)));
        assert_eq!(stamp("2025-10-26 02:30:00 +0200", None), Some(Stamp::Instant(1_761_438_600)));
        assert_eq!(stamp("2025-10-26T00:30:00Z", None), Some(Stamp::Instant(1_761_438_600)));
        assert_eq!(stamp("1750204800", None), Some(Stamp::Instant(1_750_204_800)));
    }

    #[test]
    fn what_is_open_is_not_guessed() {
        // Month or day first?
        assert_eq!(stamp("03/04/2025 00:00", None), None);
        for text in [
            "",
            "x",
            "2025-13-01 00:00",
            "2025-02-30 00:00",
            "2025-06-18 25:00",
            "2025-06-18 24:15",
            "2025-06-18 00:00:00.5",
            "2016-12-31T23:59:60Z",
            "2025-06-18 13:00 PM",
            "2025-06-18T00:00+1",
            "18 June 2025",
            "2025-06-18 00:00 CET",
            "99999999999999999999",
        ] {
            assert_eq!(stamp(text, None), None, "{text}");
        }
    }
}
