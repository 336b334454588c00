//! From the times of a file to instants. Local times meet the clock change here, and nowhere else.

use jiff::{
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, Offset, TimeZone},
};

use crate::{Finding, Place, Rule, SourceError};

/// A zone by name, or a fixed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// `Europe/Vienna`, `UTC`, `+10:00`.
    ///
    /// # Errors
    /// [`SourceError::Zone`].
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let text = text.trim();
        let refused = || SourceError::Zone(crate::error::shown(text));
        let rules = match text.strip_prefix(['+', '-']) {
            Some(digits) => {
                let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
                let (hours, minutes): (i32, i32) =
                    (hours.parse().map_err(|_| refused())?, minutes.parse().map_err(|_| refused())?);
                if !(0..=14).contains(&hours) || !(0..60).contains(&minutes) {
                    return Err(refused());
                }
                let seconds = (hours * 60 + minutes) * 60 * if text.starts_with('-') { -1 } else { 1 };
                TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| refused())?)
            }
            None => TimeZone::get(text).map_err(|_| refused())?,
        };
        Ok(Self { name: text.to_owned(), rules })
    }

    /// Where no zone is named.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: TimeZone::UTC }
    }

    /// The first instant of a day; `None` outside the calendar.
    #[must_use]
    pub fn midnight(&self, day: Date) -> Option<i64> {
        day.to_zoned(self.rules.clone()).ok().map(|start| start.timestamp().as_second())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instants that a clock shows as `local`: none where the change leaves it out, two where it repeats it.
    #[must_use]
    pub fn instants(&self, local: DateTime) -> Vec<i64> {
        let at = |offset: Offset| offset.to_timestamp(local).ok().map(|t| t.as_second());
        let offsets = match self.rules.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => vec![offset],
            AmbiguousOffset::Gap { .. } => vec![],
            AmbiguousOffset::Fold { before, after } => vec![before, after],
        };
        offsets.into_iter().filter_map(at).collect()
    }

    /// Local time of an instant, `2025-10-26 02:00 +02:00`.
    #[must_use]
    pub fn local(&self, seconds: i64) -> String {
        let Ok(instant) = jiff::Timestamp::from_second(seconds) else { return seconds.to_string() };
        let (offset, local) = (self.rules.to_offset(instant), self.rules.to_datetime(instant));
        let minutes = offset.seconds() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        format!(
            "{} {:02}:{:02} {sign}{:02}:{:02}",
            local.date(),
            local.hour(),
            local.minute(),
            minutes.abs() / 60,
            minutes.abs() % 60
        )
    }
}

/// RFC 3339, UTC.
#[must_use]
pub fn utc(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

/// A time as a file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// With an offset, or unix seconds.
    Instant(i64),
    /// Without.
    Local(DateTime),
}

impl Stamp {
    /// Seconds on a clock that never changes: for distances.
    #[must_use]
    pub fn clock(self) -> i64 {
        match self {
            Self::Instant(seconds) => seconds,
            Self::Local(local) => Offset::UTC.to_timestamp(local).map_or(0, |t| t.as_second()),
        }
    }
}

/// Which of two equal times of autumn a marker names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    /// The first.
    Summer,
    /// The second.
    Winter,
}

/// A row's time.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// As it stands there.
    pub stamp: Stamp,
    /// Marker of a clock change.
    pub season: Option<Season>,
    /// Has the row no energy (zero, or empty)?
    pub empty: bool,
    /// Where.
    pub at: Place,
    /// Seconds.
    pub length: u32,
}

/// Local times in order, with `length` before or after each, as starts of intervals. `None`: a placeholder to leave out.
///
/// The double hour of autumn is told by its marker, else by order: what follows without a gap is taken, and of two equal
/// times the earlier comes first.
///
/// # Errors
/// [`SourceError::NoZone`], [`SourceError::NoSuchTime`], [`SourceError::Ambiguous`].
pub fn starts(
    labels: &[Label],
    zone: Option<&Zone>,
    end: bool,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Option<i64>>, SourceError> {
    let clock: Vec<i64> = labels.iter().map(|label| label.stamp.clock()).collect();
    if newest_first(&clock) {
        let reversed: Vec<Label> = labels.iter().rev().copied().collect();
        let mut found = starts_in_order(&reversed, zone, end, findings)?;
        found.reverse();
        return Ok(found);
    }
    starts_in_order(labels, zone, end, findings)
}

/// Do the times fall, but for a change of clocks? Then rows are read from the other end.
fn newest_first(clock: &[i64]) -> bool {
    let up = clock.windows(2).filter(|w| matches!(w, [a, b] if b > a)).count();
    clock.len() > 2 && 2 * up + 1 < clock.len()
}

fn starts_in_order(
    labels: &[Label],
    zone: Option<&Zone>,
    end: bool,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Option<i64>>, SourceError> {
    let mut found = Vec::with_capacity(labels.len());
    // The next interval begins here if nothing is missing.
    let mut next: Option<i64> = None;
    for (i, label) in labels.iter().enumerate() {
        let length = i64::from(label.length);
        let local = match label.stamp {
            Stamp::Instant(instant) => {
                found.push(Some(if end { instant - length } else { instant }));
                continue;
            }
            Stamp::Local(local) => local,
        };
        let zone = zone.ok_or(SourceError::NoZone { at: label.at })?;
        let candidates = candidates(zone, local, length, end);
        let said = || (local.to_string().replace('T', " "), zone.name().to_owned());
        let start = match (candidates.as_slice(), label.season, next) {
            ([], ..) if label.empty => None,
            ([], ..) => {
                let (local, zone) = said();
                return Err(SourceError::NoSuchTime { at: label.at, local, zone });
            }
            ([first, .., last], Some(season), _) => Some(if season == Season::Summer { *first } else { *last }),
            (all, _, Some(next)) if all.contains(&next) => Some(next),
            ([only], _, next) => {
                // The missing hour, printed as zeros, falls on an instant that was already there.
                let start = local.checked_sub(jiff::SignedDuration::from_secs(length)).unwrap_or(local);
                let printed = end && label.empty && next.is_some_and(|n| *only < n) && zone.instants(start).is_empty();
                (!printed).then_some(*only)
            }
            (all, _, next) => {
                let nth =
                    labels.get(..i).unwrap_or(&[]).iter().rev().take(400).filter(|l| l.stamp == label.stamp).count();
                let again = labels.get(i + 1..).unwrap_or(&[]).iter().take(400).any(|l| l.stamp == label.stamp);
                let later = next.and_then(|next| all.iter().find(|c| **c >= next));
                match (nth, again, later) {
                    (0, true, _) => all.first().copied(),
                    (1, ..) => all.last().copied(),
                    _ => {
                        let (local, zone) = said();
                        return Err(SourceError::Ambiguous { at: label.at, local, zone });
                    }
                }
            }
        };
        match start {
            Some(start) => {
                note_single_hour(labels, i, zone, start, end, findings);
                next = Some(start + length);
            }
            None => {
                let begins = next.unwrap_or(0);
                findings.push(Finding { count: 1, ..Finding::interval(Rule::Placeholder, begins, 0, label.at) });
            }
        }
        found.push(start);
    }
    Ok(found)
}

/// Starts that a label may mean. Of an end, both readings: the clock at the end, and the clock at the start plus the length.
fn candidates(zone: &Zone, local: DateTime, length: i64, end: bool) -> Vec<i64> {
    if !end {
        return zone.instants(local);
    }
    let mut all: Vec<i64> = zone.instants(local).into_iter().map(|end| end - length).collect();
    if let Ok(start) = local.checked_sub(jiff::SignedDuration::from_secs(length)) {
        all.extend(zone.instants(start));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// An hour that comes twice and stands there once: its second time is a gap, or was added to the first.
fn note_single_hour(labels: &[Label], i: usize, zone: &Zone, start: i64, end: bool, findings: &mut Vec<Finding>) {
    const DAY: usize = 400;
    let Some(Label { stamp: Stamp::Local(local), season: None, length, at, .. }) = labels.get(i).copied() else {
        return;
    };
    let before = if end { i64::from(length) } else { 0 };
    let begins = local.checked_sub(jiff::SignedDuration::from_secs(before)).unwrap_or(local);
    let [first, second] = zone.instants(begins)[..] else { return };
    let clock = Stamp::Local(local).clock();
    let mut ahead = labels.iter().skip(i + 1).take(DAY).map(|l| l.stamp.clock());
    let goes_back = ahead.clone().any(|other| other <= clock);
    let goes_on = ahead.any(|other| other >= clock + (second - first));
    let came_before = labels.iter().take(i).rev().take(DAY).any(|l| l.stamp.clock() >= clock);
    if first == start && goes_on && !goes_back && !came_before {
        findings.push(Finding::interval(Rule::DoubleHourOnce, start, length, at));
    }
}

/// Length of every row, from the distances of their times, and whether it is an assumption.
///
/// A file may change its pace: a run of four equal distances counts as one. Anything else above the smallest distance is
/// a gap.
///
/// # Errors
/// [`SourceError::UnknownLength`], [`SourceError::Length`].
pub fn lengths(clock: &[i64], end: bool, first: Place) -> Result<(Vec<u32>, bool), SourceError> {
    if newest_first(clock) {
        let reversed: Vec<i64> = clock.iter().rev().copied().collect();
        let (mut found, assumed) = lengths_in_order(&reversed, end, first)?;
        found.reverse();
        return Ok((found, assumed));
    }
    lengths_in_order(clock, end, first)
}

fn lengths_in_order(clock: &[i64], end: bool, first: Place) -> Result<(Vec<u32>, bool), SourceError> {
    let distances: Vec<i64> = clock.windows(2).map(|w| if let [a, b] = w { (b - a).abs() } else { 0 }).collect();
    let smallest = distances.iter().copied().filter(|d| *d > 0).min().ok_or(SourceError::UnknownLength)?;
    let length_error = || SourceError::Length { at: first, length: smallest.unsigned_abs() };
    if smallest > 3600 {
        // No hour is next to another one. Days are no intervals; else hours with holes, if anything.
        if smallest >= 82_800 || distances.iter().any(|d| d % 3600 != 0) {
            return Err(length_error());
        }
        return Ok((vec![3600; clock.len()], true));
    }
    let smallest = checked_length(smallest.unsigned_abs(), first)?;
    let is_pace = |d: i64| u32::try_from(d).is_ok_and(|d| d >= smallest && d <= 3600 && 3600 % d == 0);
    let mut lengths = vec![0u32; clock.len()];
    let mut i = 0;
    while i < distances.len() {
        let distance = distances.get(i).copied().unwrap_or(0);
        let run = distances.iter().skip(i).take_while(|d| **d == distance).count();
        if is_pace(distance) && (run >= 4 || distance == i64::from(smallest)) {
            // Distance k lies between rows k and k+1: it is the length of the first of a start, of the second of an end.
            let from = if end { i + 1 } else { i };
            for slot in lengths.iter_mut().skip(from).take(run) {
                *slot = u32::try_from(distance).unwrap_or(0);
            }
        }
        i += run.max(1);
    }
    // A row at the edge of a gap has its neighbour's length.
    let mut last = lengths.iter().copied().find(|l| *l > 0).unwrap_or(smallest);
    for slot in &mut lengths {
        if *slot == 0 {
            *slot = last;
        }
        last = *slot;
    }
    Ok((lengths, false))
}

/// A length that divides an hour.
///
/// # Errors
/// [`SourceError::Length`].
pub fn checked_length(length: u64, at: Place) -> Result<u32, SourceError> {
    match u32::try_from(length) {
        Ok(l) if (60..=3600).contains(&l) && 3600 % l == 0 => Ok(l),
        _ => Err(SourceError::Length { at, length }),
    }
}

#[cfg(test)]
mod tests;
