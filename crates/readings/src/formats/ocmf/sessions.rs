//! Sessions of a charging station as intervals.
//!
//! What two readings differ by was used between them. Within one interval that is all that has to be known. Over several
//! it is spread evenly by the second, and that is an estimate, never signed as metered: a car does not charge evenly. A
//! station draws nothing outside its sessions, and says so: the register stands at the next begin where it stood at the
//! last end, and the intervals between are zero. Where it does not, they are missing.

use std::collections::BTreeMap;

use super::{Counted, Point, Session};
use crate::{
    Finding, MAX_READINGS, Place, Rule, SourceError,
    energy::Energy,
    model::{Quality, Raw},
};

type Intervals = BTreeMap<i64, (Energy, Quality, Place)>;

/// Energies of intervals of `length` seconds that a session touches or lies around.
///
/// # Errors
/// [`SourceError::Overlapping`], [`SourceError::RegisterFalls`], [`SourceError::TooManyReadings`];
/// [`SourceError::Malformed`] for a session whose time runs backwards, or with energy in no time.
pub fn intervals(counted: Counted, length: u32, findings: &mut Vec<Finding>) -> Result<Vec<Raw>, SourceError> {
    let Counted { of_session, mut sessions } = counted;
    sessions.retain(|session| !session.is_empty());
    sessions.sort_by_key(|session| session.first().map(|point| point.time));
    // A record that stands there twice is one.
    sessions.dedup_by(|b, a| same(a, b));
    let mut intervals = Intervals::new();
    let mut last: Option<Point> = None;
    for session in sessions {
        if let (Some(end), Some(begin)) = (last, session.first()) {
            between(end, *begin, of_session, length, &mut intervals, findings)?;
        }
        for pair in session.windows(2) {
            let [a, b] = pair else { continue };
            if b.time < a.time {
                return Err(SourceError::Malformed { at: b.at, what: "a session whose time runs backwards" });
            }
            spread(*a, *b, length, &mut intervals)?;
        }
        last = session.last().copied().or(last);
        if let Some(point) = last.filter(|_| intervals.len() > MAX_READINGS) {
            return Err(SourceError::TooManyReadings { at: point.at });
        }
    }
    let raw = |(start, (energy, quality, at))| Raw { start, length, energy, quality, at, part: 0, begins_block: false };
    Ok(intervals.into_iter().map(raw).collect())
}

fn same(a: &Session, b: &Session) -> bool {
    let shown = |session: &Session| -> Vec<_> { session.iter().map(|p| (p.time, p.energy, p.quality)).collect() };
    shown(a) == shown(b)
}

/// From the end of one session to the begin of the next.
fn between(
    end: Point,
    begin: Point,
    of_session: bool,
    length: u32,
    intervals: &mut Intervals,
    findings: &mut Vec<Finding>,
) -> Result<(), SourceError> {
    if begin.time < end.time {
        return Err(SourceError::Overlapping { at: begin.at, start: begin.time, first_line: end.at.line });
    }
    if !of_session && begin.energy == end.energy {
        return spread(end, begin, length, intervals);
    }
    if !of_session && begin.energy < end.energy {
        return Err(SourceError::RegisterFalls { at: begin.at, before: end.at.line });
    }
    let seconds = u32::try_from(begin.time - end.time).unwrap_or(u32::MAX);
    findings.push(Finding::interval(Rule::Missing, end.time, seconds, begin.at));
    Ok(())
}

/// Books the difference of two readings.
fn spread(a: Point, b: Point, length: u32, intervals: &mut Intervals) -> Result<(), SourceError> {
    let (at, energy) = (b.at, b.energy - a.energy);
    if energy.is_negative() {
        return Err(SourceError::RegisterFalls { at, before: a.at.line });
    }
    let seconds = b.time - a.time;
    if seconds == 0 && !energy.is_zero() {
        return Err(SourceError::Malformed { at, what: "energy in no time: two readings of one second" });
    }
    let length = i64::from(length);
    if seconds / length > MAX_READINGS as i64 {
        return Err(SourceError::TooManyReadings { at });
    }
    let first = a.time - a.time.rem_euclid(length);
    let several = first + length < b.time;
    let quality = a.quality.max(b.quality);
    let quality = if several && !energy.is_zero() { quality.max(Quality::Estimated) } else { quality };
    let (mut start, mut booked) = (first, Energy::ZERO);
    while start < b.time {
        let until = (start + length).min(b.time) - a.time;
        let sum = energy.part(until, seconds);
        let entry = intervals.entry(start).or_insert((Energy::ZERO, Quality::Measured, at));
        entry.0 += sum - booked;
        entry.1 = entry.1.max(quality);
        (booked, start) = (sum, start + length);
    }
    Ok(())
}
