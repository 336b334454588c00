//! A fleet's result, for people and for machines.

use std::time::Duration;

use gridveil_cli::common::text::{self, grouped};
use serde::Serialize;

use super::{Args, checks::Check, days::Lived, town::Town};

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    homes: usize,
    communities: usize,
    days: usize,
    seed: u64,
    /// Batches settled on L1, each a community's day.
    batches: usize,
    /// Were they proven? Otherwise L1 took a stand-in.
    proven: bool,
    /// Packets that homes sent, each time that they sent them.
    packets_sent: u64,
    /// Packets that the sequencer took, and how many of them were late.
    packets: usize,
    packets_late: usize,
    corrected: usize,
    substitutes: u64,
    packets_repeated: u64,
    packets_refused: u64,
    requests: u64,
    requests_lost: u64,
    answers_lost: u64,
    requests_doubled: u64,
    requests_cut: u64,
    restarts: u64,
    folders_recovered: u64,
    copies_healed: u64,
    /// Homes in debt at the end.
    in_debt: usize,
    /// In which homes worked, in which days were settled, and all of it.
    homes_s: u64,
    settling_s: u64,
    took_s: u64,
    peak_rss_bytes: u64,
    sequencer_peak_rss_bytes: u64,
    /// What must hold.
    pub checks: Vec<Check>,
}

impl Report {
    pub(super) fn of(
        town: &Town,
        args: &Args,
        lived: &Lived,
        (checks, restarts): (Vec<Check>, u64),
        took: Duration,
    ) -> Self {
        let told = || lived.homes.iter().flat_map(|home| &home.told);
        let [peak_rss_bytes, sequencer_peak_rss_bytes] = lived.peak_bytes;
        let [homes_s, settling_s] = lived.took.map(|took| took.as_secs());
        let in_debt = |home: &&super::days::HomeLived| home.kept.account.as_ref().is_some_and(|a| a.debt > 0);
        Self {
            homes: lived.homes.len(),
            communities: town.plans.len(),
            days: town.days,
            seed: town.seed,
            batches: town.plans.len() * town.days,
            proven: args.with_proofs,
            packets_sent: lived.line.packets,
            packets: told().count(),
            packets_late: told().filter(|(_, late)| *late).count(),
            corrected: lived.homes.iter().flat_map(|home| home.kept.corrected.iter().flatten()).count(),
            substitutes: lived.substitutes,
            packets_repeated: lived.tally.repeated,
            packets_refused: lived.tally.refused,
            requests: lived.line.requests,
            requests_lost: lived.line.lost,
            answers_lost: lived.line.unanswered,
            requests_doubled: lived.line.doubled,
            requests_cut: lived.line.cut,
            restarts,
            folders_recovered: lived.tally.recovered,
            copies_healed: lived.tally.healed,
            in_debt: lived.homes.iter().filter(in_debt).count(),
            homes_s,
            settling_s,
            took_s: took.as_secs(),
            peak_rss_bytes,
            sequencer_peak_rss_bytes,
            checks,
        }
    }

    /// Checks that do not hold.
    pub(super) fn failed(&self) -> usize {
        self.checks.iter().filter(|check| !check.holds).count()
    }

    /// Two tables, 80 columns wide.
    pub(super) fn table(&self) -> String {
        let mut happened = text::table(&["what happened", "count"]);
        let count = |number: usize| grouped(number as i128);
        let number = |number: u64| grouped(number.into());
        let minutes = |seconds: u64| format!("{} min {:02} s", seconds / 60, seconds % 60);
        let mib = |bytes: u64| format!("{} MiB", grouped((bytes >> 20).into()));
        for (what, value) in [
            ("homes", count(self.homes)),
            ("communities", count(self.communities)),
            ("days", count(self.days)),
            ("packets sent, repeats included", number(self.packets_sent)),
            ("packets taken", count(self.packets)),
            ("  of which late", count(self.packets_late)),
            ("  late and booked as a correction", count(self.corrected)),
            ("substitutes", number(self.substitutes)),
            ("packets handed in again, same bytes", number(self.packets_repeated)),
            ("second packets of a period, refused", number(self.packets_refused)),
            ("requests of homes", number(self.requests)),
            ("  lost before the sequencer had them", number(self.requests_lost)),
            ("  answer lost", number(self.answers_lost)),
            ("  delivered twice", number(self.requests_doubled)),
            ("  cut by a kill", number(self.requests_cut)),
            ("times the sequencer was killed", number(self.restarts)),
            ("lost folders recovered", number(self.folders_recovered)),
            ("old copies healed", number(self.copies_healed)),
            ("homes in debt at the end", count(self.in_debt)),
            (if self.proven { "batches on L1, proven" } else { "batches on L1, without proofs" }, count(self.batches)),
            ("time, homes at work", minutes(self.homes_s)),
            ("time, closing and settling", minutes(self.settling_s)),
            ("time, all", minutes(self.took_s)),
            ("peak memory, homes", mib(self.peak_rss_bytes)),
            ("peak memory, sequencer", mib(self.sequencer_peak_rss_bytes)),
        ] {
            happened.add_row([what.to_owned(), value]);
        }
        let mut held = text::table(&["check", "found", "holds"]);
        let mut notes = String::new();
        for Check { name, holds, right, all, what, note } in &self.checks {
            let found = format!("{} of {} {what}", count(*right), count(*all));
            held.add_row([*name, &found, if *holds { "yes" } else { "NO" }]);
            // As long as it is: below the table.
            notes.extend(note.iter().map(|note| format!("{name}: no. {note}\n")));
        }
        let verifier = if self.proven {
            "Every batch was proven; L1 and the auditor checked each proof."
        } else {
            "L1's verifier took a stand-in for each proof (--with-proofs makes real ones)."
        };
        format!("{happened}\n{held}\n{notes}{verifier}\n")
    }
}
