//! Register readings into energies of intervals: the difference of two readings, booked between their instants.
//!
//! A first reading books nothing. A register that falls is a fault, unless it is known where it rolls over.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{Finding, Place, Rule, SourceError, energy::Energy, model::Raw};

/// Differences of successive readings. Each is the interval from one reading to the next.
///
/// # Errors
/// [`SourceError::RegisterFalls`]; [`SourceError::Duplicate`] for two readings of one instant that differ;
/// [`SourceError::NoInterval`] for a single reading.
pub fn differences(
    mut readings: Vec<Raw>,
    modulus: Option<Energy>,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Raw>, SourceError> {
    readings.sort_by_key(|r| r.start);
    let mut raws = Vec::with_capacity(readings.len());
    for pair in readings.windows(2) {
        let [a, b] = pair else { continue };
        if a.start == b.start {
            if a.energy == b.energy {
                continue;
            }
            let at = b.at;
            return Err(SourceError::Duplicate { at, start: b.start, first_line: a.at.line, night: false });
        }
        let mut energy = b.energy - a.energy;
        if energy.is_negative() {
            let modulus = modulus.ok_or(SourceError::RegisterFalls { at: b.at, before: a.at.line })?;
            energy += modulus;
            // Half a round or more in one interval is no roll-over.
            if energy.is_negative() || energy + energy > modulus {
                return Err(SourceError::RegisterFalls { at: b.at, before: a.at.line });
            }
            findings.push(Finding::interval(Rule::RollOver, a.start, 0, b.at));
        }
        let length = u32::try_from(b.start - a.start).unwrap_or(u32::MAX);
        let quality = a.quality.max(b.quality);
        raws.push(Raw { length, energy, quality, begins_block: false, ..a.clone() });
    }
    // Readings farther apart than usual span intervals whose energies nothing tells apart.
    let mut count: BTreeMap<u32, usize> = BTreeMap::new();
    for raw in &raws {
        *count.entry(raw.length).or_default() += 1;
    }
    let usual = count.iter().max_by_key(|(length, n)| (**n, Reverse(**length))).map_or(0, |(length, _)| *length);
    for raw in raws.iter().filter(|raw| raw.length > usual) {
        findings.push(Finding::interval(Rule::Missing, raw.start, raw.length, raw.at));
    }
    raws.retain(|raw| raw.length <= usual);
    if raws.is_empty() {
        let found = format!("{} register reading", readings.len());
        return Err(SourceError::NoInterval { found });
    }
    Ok(raws)
}

/// Readings as a meter sends them, every few seconds, at the borders of intervals of `length` seconds: the first reading
/// within `late` seconds after each border. A border without one has none.
#[must_use]
pub fn at_borders(mut readings: Vec<Raw>, length: u32, late: i64) -> Vec<Raw> {
    readings.sort_by_key(|r| r.start);
    let length = i64::from(length.max(1));
    let mut kept: Vec<Raw> = Vec::new();
    for reading in readings {
        let border = reading.start - reading.start.rem_euclid(length);
        if reading.start - border <= late && kept.last().is_none_or(|last| last.start < border) {
            kept.push(Raw { start: border, ..reading });
        }
    }
    kept
}

/// A device was replaced: its last reading and the new one's first are of one instant. Readings of both, in order of time,
/// become one register that goes on from the old one's end.
///
/// # Errors
/// [`SourceError::Swap`] if the two do not meet.
pub fn joined(devices: &[(String, Vec<Raw>)], findings: &mut Vec<Finding>) -> Result<Vec<Raw>, SourceError> {
    let mut devices: Vec<_> = devices.iter().filter(|(_, raws)| !raws.is_empty()).cloned().collect();
    for (_, raws) in &mut devices {
        raws.sort_by_key(|r| r.start);
    }
    devices.sort_by_key(|(_, raws)| raws.first().map(|r| r.start));
    let mut all: Vec<Raw> = Vec::new();
    let mut offset = Energy::ZERO;
    let mut before: Option<String> = None;
    for (name, raws) in devices {
        if let (Some(last), Some(first)) = (all.last(), raws.first()) {
            if last.start != first.start {
                let old = before.unwrap_or_default();
                return Err(SourceError::Swap { at: first.at, old, new: name });
            }
            offset = last.energy - first.energy;
            findings.push(Finding::interval(Rule::Swapped, first.start, 0, first.at));
        }
        let skip = usize::from(!all.is_empty());
        all.extend(raws.into_iter().skip(skip).map(|raw| Raw { energy: raw.energy + offset, ..raw }));
        before = Some(name);
    }
    Ok(all)
}

/// Where a channel of registers begins, for an error.
#[must_use]
pub fn place(readings: &[Raw]) -> Place {
    readings.first().map(|r| r.at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        energy::{Decimal, Unit},
        model::Quality,
    };

    fn reading(start: i64, wh: &str, line: u64) -> Raw {
        let energy = Energy::of(Decimal::parse(wh, '.').unwrap(), Unit::Wh, 0).unwrap();
        let (length, part, begins_block, quality) = (0, 0, false, Quality::Measured);
        Raw { start, length, energy, quality, at: Place::line(line), part, begins_block }
    }

    #[test]
    fn a_first_reading_books_nothing() {
        let mut findings = vec![];
        assert!(matches!(
            differences(vec![reading(0, "5000", 1)], None, &mut findings),
            Err(SourceError::NoInterval { .. })
        ));
        let raws = differences(vec![reading(900, "5010", 2), reading(0, "5000", 1)], None, &mut findings).unwrap();
        assert_eq!((raws.len(), raws[0].start, raws[0].length, raws[0].energy.floor_wh()), (1, 0, 900, 10));
    }

    #[test]
    fn a_register_rolls_over_only_where_it_is_known_to() {
        let readings = || vec![reading(0, "838858.2", 3), reading(3600, "2.4", 4)];
        let mut findings = vec![];
        assert_eq!(
            differences(readings(), None, &mut findings).unwrap_err(),
            SourceError::RegisterFalls { at: Place::line(4), before: 3 }
        );
        let modulus = Energy::of(Decimal::parse("838860.8", '.').unwrap(), Unit::Wh, 0);
        let raws = differences(readings(), modulus, &mut findings).unwrap();
        assert_eq!((raws[0].energy.floor_wh(), findings.len()), (5, 1));
        // A drop that is no roll-over is a fault even then.
        let dropped = vec![reading(0, "400000", 3), reading(3600, "100000", 4)];
        assert!(matches!(differences(dropped, modulus, &mut findings), Err(SourceError::RegisterFalls { .. })));
    }

    #[test]
    fn a_swap_needs_both_readings() {
        let old = ("A".to_owned(), vec![reading(0, "9000", 1), reading(3600, "9100", 2)]);
        let new = |start| ("B".to_owned(), vec![reading(start, "7", 3), reading(start + 3600, "57", 4)]);
        let mut findings = vec![];
        let all = joined(&[new(3600), old.clone()], &mut findings).unwrap();
        let wh: Vec<i64> = differences(all, None, &mut findings).unwrap().iter().map(|r| r.energy.floor_wh()).collect();
        assert_eq!(wh, [100, 50]);
        assert!(matches!(
            joined(&[old, new(7200)], &mut findings),
            Err(SourceError::Swap { old, new, .. }) if old == "A" && new == "B"
        ));
    }

    #[test]
    fn telegrams_count_at_the_borders() {
        let every_ten = (0..200).map(|i| reading(3 + i * 10, &i.to_string(), 1)).collect();
        let kept = at_borders(every_ten, 900, 10);
        assert_eq!(
            kept.iter().map(|r| (r.start, r.energy.floor_wh())).collect::<Vec<_>>(),
            [(0, 0), (900, 90), (1800, 180)]
        );
        assert!(at_borders(vec![reading(911, "1", 1)], 900, 10).is_empty());
    }
}
