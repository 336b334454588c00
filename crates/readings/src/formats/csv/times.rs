//! Times of the rows: starts and lengths of intervals.

use std::collections::BTreeMap;

use super::{
    rows::{Reader, Row},
    stamp::stamp,
};
use crate::{
    Choice, Finding, Place, Rule, SourceError,
    energy::Decimal,
    error::shown,
    zone::{self, Label, Stamp, Zone},
};

/// Starts of the rows, none for one that is left out, and their lengths.
type Starts = (Vec<Option<i64>>, Vec<u32>);

impl Reader<'_> {
    pub(super) fn time(&self, record: &csv::StringRecord, columns: &[usize], line: u64) -> Result<Stamp, SourceError> {
        let parts: Vec<String> = columns.iter().map(|i| self.cell(record, *i)).collect();
        let text = parts.join(" ");
        let at = Place { line, column: columns.first().map_or(0, |i| *i as u64 + 1) };
        let expected = "a time (with the order of day and month that the profile says)";
        let refused = || SourceError::Cell { at, found: shown(&text), expected };
        if self.mapping.hour.is_some() {
            let [date, hour] = parts.as_slice() else { return Err(refused()) };
            let Some(Stamp::Local(midnight)) = stamp(date, self.mapping.order) else { return Err(refused()) };
            let hour: i64 = hour.split(':').next().and_then(|h| h.trim().parse().ok()).ok_or_else(refused)?;
            let zone = self.zone.as_ref().ok_or(SourceError::NoZone { at })?;
            let begins = zone.instants(midnight).first().copied().filter(|_| (1..=25).contains(&hour));
            return Ok(Stamp::Instant(begins.ok_or_else(refused)? + hour * 3600));
        }
        stamp(&text, self.mapping.order).ok_or_else(refused)
    }

    /// Starts and lengths of the rows, which may be put in order.
    pub(super) fn starts(
        &mut self,
        rows: &mut [Row],
        choice: &Choice,
        first: Place,
        registers: bool,
    ) -> Result<Starts, SourceError> {
        let minutes = self.above(self.mapping.preamble.minutes.as_deref()).and_then(|m| m.parse::<u32>().ok());
        let named = choice.length.or(self.mapping.length).or(minutes.map(|m| m.saturating_mul(60)));
        let instants = rows.iter().all(|r| matches!(r.stamp, Stamp::Instant(_)));
        let labels = |rows: &[Row], lengths: &[u32]| -> Vec<Label> {
            let label = |(row, length): (&Row, &u32)| Label {
                stamp: row.stamp,
                season: row.season,
                empty: row.values.iter().all(|v| v.is_none_or(|(d, _)| d == Decimal::whole(0))),
                at: Place { line: row.line, column: first.column },
                length: *length,
            };
            rows.iter().zip(lengths).map(label).collect()
        };
        if instants && !registers {
            if let Some(found) = self.false_zone(rows, choice, named, first)? {
                return Ok(found);
            }
            rows.sort_by_key(|r| r.stamp.clock());
        }
        let end = self.end && !registers;
        let lengths = self.lengths(rows, named, end, first, registers)?;
        let starts = zone::starts(&labels(rows, &lengths), self.zone.as_ref(), end, &mut self.findings)?;
        Ok((starts, lengths))
    }

    fn lengths(
        &mut self,
        rows: &[Row],
        named: Option<u32>,
        end: bool,
        first: Place,
        registers: bool,
    ) -> Result<Vec<u32>, SourceError> {
        if registers {
            // The instants count. A typical distance only tells the two hours of autumn apart.
            let clock: Vec<i64> = rows.iter().map(|r| r.stamp.clock()).collect();
            return Ok(
                zone::lengths(&clock, end, first).map_or_else(|_| vec![3600; rows.len()], |(lengths, _)| lengths)
            );
        }
        if let Some(named) = named {
            return Ok(vec![zone::checked_length(u64::from(named), first)?; rows.len()]);
        }
        let local = rows.iter().any(|r| matches!(r.stamp, Stamp::Local(_)));
        let mut count: BTreeMap<u32, usize> = BTreeMap::new();
        for length in rows.iter().filter_map(|r| r.own_length) {
            *count.entry(length).or_default() += 1;
        }
        if let Some((usual, _)) = count.iter().max_by_key(|(_, n)| **n) {
            let usual = zone::checked_length(u64::from(*usual), first)?;
            // Two local times of one row may lie on both sides of the clock change: then the usual length holds.
            let of = |r: &Row| if local { usual } else { r.own_length.unwrap_or(usual) };
            return Ok(rows.iter().map(of).collect());
        }
        let clock: Vec<i64> = rows.iter().map(|r| r.stamp.clock()).collect();
        let (lengths, assumed) = zone::lengths(&clock, end, first)?;
        if assumed {
            let detail = "no two intervals are adjacent: an hour is assumed; --interval-length names it";
            self.findings.push(Finding::file(Rule::AssumedLength, detail));
        }
        Ok(lengths)
    }

    /// Times in UTC cannot repeat. Where they do, they are local: in the zone that is named, or in the only one whose clock
    /// change makes a sequence without holes of them.
    fn false_zone(
        &mut self,
        rows: &[Row],
        choice: &Choice,
        named: Option<u32>,
        first: Place,
    ) -> Result<Option<Starts>, SourceError> {
        /// One for every rule of clock changes there is at home meters.
        const ZONES: [&str; 14] = [
            "Europe/London",
            "Europe/Berlin",
            "Europe/Athens",
            "America/St_Johns",
            "America/Halifax",
            "America/New_York",
            "America/Chicago",
            "America/Denver",
            "America/Los_Angeles",
            "Australia/Sydney",
            "Australia/Adelaide",
            "Pacific/Auckland",
            "Asia/Jerusalem",
            "America/Santiago",
        ];
        let mut clock: Vec<i64> = rows.iter().map(|r| r.stamp.clock()).collect();
        clock.sort_unstable();
        if clock.windows(2).all(|w| matches!(w, [a, b] if a < b)) {
            return Ok(None);
        }
        let lengths = self.lengths(rows, named, self.end, first, false)?;
        let local = |row: &Row| {
            let instant = jiff::Timestamp::from_second(row.stamp.clock()).unwrap_or_default();
            Stamp::Local(instant.to_zoned(jiff::tz::TimeZone::UTC).datetime())
        };
        let label = |(row, length): (&Row, &u32)| Label {
            stamp: local(row),
            season: None,
            empty: false,
            at: Place { line: row.line, column: first.column },
            length: *length,
        };
        let labels: Vec<Label> = rows.iter().zip(&lengths).map(label).collect();
        let zones: Vec<Zone> = match &choice.zone {
            Some(zone) => vec![zone.clone()],
            None => ZONES.iter().filter_map(|name| Zone::parse(name).ok()).collect(),
        };
        let mut found: Vec<(Zone, Vec<Option<i64>>)> = Vec::new();
        for zone in zones {
            let Ok(starts) = zone::starts(&labels, Some(&zone), self.end, &mut Vec::new()) else { continue };
            let mut placed: Vec<(Option<i64>, u32)> = starts.iter().copied().zip(lengths.iter().copied()).collect();
            // Newest first.
            if placed.first() > placed.last() {
                placed.reverse();
            }
            let follows = |pair: &[(Option<i64>, u32)]| match pair {
                [(Some(a), length), (Some(b), _)] => b - a == i64::from(*length),
                _ => false,
            };
            if placed.windows(2).all(follows) && !found.iter().any(|(_, other)| *other == starts) {
                found.push((zone, starts));
            }
        }
        let count = found.len();
        match found.pop() {
            Some((zone, starts)) if count == 1 => {
                let detail =
                    format!("times said to be UTC repeat; they are local times of {} or its like", zone.name());
                self.findings.push(Finding::file(Rule::FalseZone, detail));
                self.zone = Some(zone);
                Ok(Some((starts, lengths)))
            }
            _ => Ok(None),
        }
    }
}
