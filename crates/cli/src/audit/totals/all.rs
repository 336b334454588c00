//! `gridveil audit totals FOLDER|ARCHIVE --csv`: every period of every community, as far as the operator has opened it.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use gridveil_auditor::{HoldingVerifier, Period, Published, Totals};
use gridveil_meter_client::{
    cli::utc,
    wallet::{Deployment, parse_file, read_file},
};
use gridveil_protocol::{
    certificate::{ShownHolding, ShownRetirement},
    field::to_bytes,
    opening::PeriodOpening,
    units::Wh,
};
use jiff::{civil::Date, tz::TimeZone};

use crate::audit::archive;

/// Files of a folder that are read as openings.
const EXTENSION: &str = "json";

const HEADER: [&str; 15] = [
    "community",
    "first_interval",
    "from",
    "until",
    "batch",
    "opened",
    "issued_wh",
    "traded_wh",
    "consumed_wh",
    "expired_wh",
    "exported_wh",
    "sealed_wh",
    "held_wh",
    "not_shown_wh",
    "retired_wh",
];

/// From the first day to before the last, UTC; all days where none is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Days {
    /// The first day.
    pub from: Option<Date>,
    /// The day after the last.
    pub to: Option<Date>,
}

impl Days {
    /// Does a period begin within?
    pub fn have(&self, period: &Period) -> anyhow::Result<bool> {
        let second = |date: Date| Ok::<_, anyhow::Error>(date.to_zoned(TimeZone::UTC)?.timestamp().as_second());
        let begins = i64::try_from(period.begins_s).unwrap_or(i64::MAX);
        let after = self.from.map(second).transpose()?.is_none_or(|from| from <= begins);
        Ok(after && self.to.map(second).transpose()?.is_none_or(|to| begins < to))
    }
}

/// The openings of a folder or an archive, by community and first interval.
fn openings(source: &Path, deployment: &Deployment) -> anyhow::Result<BTreeMap<(u32, u32), PeriodOpening>> {
    let mut found = BTreeMap::new();
    if archive::is_archive(source) {
        archive::read(source, |_, bytes| {
            let opening: PeriodOpening = parse_file(bytes, deployment)?;
            found.insert((opening.community, opening.first_interval.0), opening);
            Ok(())
        })?;
        return Ok(found);
    }
    for entry in std::fs::read_dir(source).with_context(|| source.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let opening: PeriodOpening = read_file(&path, deployment).with_context(|| path.display().to_string())?;
        found.insert((opening.community, opening.first_interval.0), opening);
    }
    Ok(found)
}

/// What holders show.
pub struct Shown<'a> {
    /// Sealed retirements.
    pub sealed: &'a [ShownRetirement],
    /// Certificates still held.
    pub held: &'a [ShownHolding],
    /// Checks the holdings.
    pub verifier: Option<&'a dyn HoldingVerifier>,
}

/// One line a settled period, in order of community and time, and one with the sums. A period that the operator did not
/// open is a line too: its public retirements are known.
///
/// # Errors
/// A file, or an opening or statement that does not hold: the period is named.
pub fn listed(
    published: &Published,
    source: &Path,
    deployment: &Deployment,
    days: Days,
    shown: &Shown<'_>,
) -> anyhow::Result<String> {
    let openings = openings(source, deployment)?;
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(HEADER)?;
    let (mut sum, mut opened) = (Totals::default(), 0u64);
    let mut periods = published.periods();
    periods.sort_by_key(|period| (period.community, period.first_interval));
    for period in periods {
        if !days.have(&period)? {
            continue;
        }
        let from = utc(i64::try_from(period.begins_s).unwrap_or(i64::MAX));
        let name = format!("community {}, period from {from}", period.community);
        let totals = match openings.get(&(period.community, period.first_interval.0)) {
            Some(opening) => {
                opened += 1;
                let own = |origin: &gridveil_protocol::note::Origin| {
                    (origin.community, origin.first_interval) == (period.community, period.first_interval)
                };
                let sealed: Vec<_> = shown.sealed.iter().filter(|one| own(&one.statement.origin)).cloned().collect();
                let held = shown.held.iter().filter(|one| period.has_disclosed(&to_bytes(&one.instance.disclosed)));
                let held: Vec<_> = held.into_iter().cloned().collect();
                Some(published.totals(opening, &sealed, &held, shown.verifier).with_context(|| name)?)
            }
            None => None,
        };
        let begins = [period.community.to_string(), period.first_interval.to_string()];
        let times = [period.begins_s, period.ends_s].map(|at| utc(i64::try_from(at).unwrap_or(i64::MAX)));
        let known = totals.unwrap_or(Totals {
            consumed_wh: period.retired.consumed_wh,
            expired_wh: period.retired.expired_wh,
            exported_wh: period.retired.exported_wh,
            ..Totals::default()
        });
        let place = [period.batch.to_string(), if totals.is_some() { "yes" } else { "no" }.to_owned()];
        out.write_record(begins.iter().chain(&times).chain(&place).chain(&amounts(&known, totals.is_some())))?;
        add(&mut sum, &known);
    }
    let all = ["all", "", "", "", ""].map(str::to_owned);
    out.write_record(all.iter().chain(&[opened.to_string()]).chain(&amounts(&sum, true)))?;
    Ok(String::from_utf8(out.into_inner().context("csv")?)?)
}

/// Amounts in the order of the header; only the public ones where nothing else is known.
fn amounts(totals: &Totals, opened: bool) -> Vec<String> {
    let known = |wh: Wh| if opened { wh.0.to_string() } else { String::new() };
    let public = [totals.consumed_wh, totals.expired_wh, totals.exported_wh].map(|wh| wh.0.to_string());
    let before = [totals.issued_wh, totals.traded_wh].map(known);
    let after = [totals.sealed_wh, totals.held_wh, totals.not_shown_wh, totals.retired_wh()].map(known);
    [before.as_slice(), &public, &after].concat()
}

fn add(sum: &mut Totals, one: &Totals) {
    for (sum, wh) in [
        (&mut sum.issued_wh, one.issued_wh),
        (&mut sum.traded_wh, one.traded_wh),
        (&mut sum.consumed_wh, one.consumed_wh),
        (&mut sum.expired_wh, one.expired_wh),
        (&mut sum.exported_wh, one.exported_wh),
        (&mut sum.sealed_wh, one.sealed_wh),
        (&mut sum.held_wh, one.held_wh),
        (&mut sum.not_shown_wh, one.not_shown_wh),
    ] {
        *sum = sum.saturating_add(wh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gridveil_protocol::units::Interval;

    fn period(begins_s: u64) -> Period {
        let first_interval = Interval(0);
        Period {
            community: 3,
            first_interval,
            batch: 1,
            begins_s,
            ends_s: begins_s + 7_200,
            retired: Default::default(),
        }
    }

    #[test]
    fn days_begin_at_midnight_and_the_last_is_left_out() {
        // 2026-01-01 and 2027-01-01, UTC.
        let (first, last) = (1_767_225_600, 1_798_761_600);
        let days = Days { from: "2026-01-01".parse().ok(), to: "2027-01-01".parse().ok() };
        let have = |begins| days.have(&period(begins)).unwrap();
        assert_eq!([first - 1, first, last - 1, last].map(have), [false, true, true, false]);
        assert!(Days::default().have(&period(0)).unwrap());
    }

    #[test]
    fn a_line_has_a_value_for_every_column_and_only_what_is_known() {
        let totals =
            Totals { issued_wh: Wh(9), traded_wh: Wh(2), consumed_wh: Wh(3), not_shown_wh: Wh(4), ..Totals::default() };
        let opened = amounts(&totals, true);
        assert_eq!(opened, ["9", "2", "3", "0", "0", "0", "0", "4", "5"]);
        assert_eq!(6 + opened.len(), HEADER.len());
        assert_eq!(amounts(&totals, false), ["", "", "3", "0", "0", "", "", "", ""]);
    }
}
