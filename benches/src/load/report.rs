//! What a load came to: `benches/results/load.json`, a table, and what was not kept.

use serde::{Deserialize, Serialize};

use super::sender::Sent;
use crate::{
    figure::{Figure, LEGEND, number},
    table::{aligned, row as cells},
};

/// Form of the file; changes with its fields.
pub const FORM: &str = "gridveil load 1";

/// The stage in which one day comes after the other without a pause: what is accepted a second is settled a second, too. It
/// has to be the target.
pub(super) const WITHOUT_PAUSE: &str = "2x without a pause";

/// `benches/results/load.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// [`FORM`].
    pub form: String,
    /// Processor, threads, memory, system.
    pub machine: String,
    /// 100,000 homes within four minutes.
    pub target: Figure,
    /// A sequencer each.
    pub rows: Vec<Row>,
}

/// One sequencer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Who made the proofs.
    pub proofs: String,
    /// Shape of the communities.
    pub communities: String,
    /// Homes.
    pub homes: Figure,
    /// Packets, stage by stage.
    pub stages: Vec<StageRow>,
    /// Batches settled meanwhile.
    pub settled: Figure,
    /// From the first packet to the end.
    pub took: Figure,
    /// Own memory of the sequencer at the end of the first stage, less that after a third of it.
    pub growth: Figure,
    /// What it may be: the L1 in memory is in that process, and keeps every batch.
    pub growth_bound: Figure,
    /// Largest resident memory.
    pub peak_memory: Figure,
    /// Longest answer of `/livez`.
    pub health_longest: Figure,
    /// Longest answer of the operator's listener.
    pub operator_longest: Figure,
    /// Receipts read meanwhile.
    pub receipts: Figure,
    /// Asked for and refused, to be asked for again.
    pub receipts_refused: Figure,
    /// Time of one, of a hundred fifty.
    pub receipt_p50: Figure,
    /// The longest.
    pub receipt_longest: Figure,
    /// Packets that were acknowledged and are not in the log after `kill -9`.
    pub lost: Figure,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRow {
    /// How much was offered.
    pub name: String,
    /// Packets offered a second, if that does not follow the answers.
    pub offered_per_s: Option<Figure>,
    /// Connections.
    pub connections: Figure,
    /// Packets verified, durable and acknowledged.
    pub accepted: Figure,
    /// The same a second.
    pub accepted_per_s: Figure,
    /// From when a packet was due to its acknowledgement, by parts of a hundred.
    pub due_p50: Figure,
    /// 99 of a hundred.
    pub due_p99: Figure,
    /// 99.9 of a hundred.
    pub due_p999: Figure,
    /// Of the request that was acknowledged alone.
    pub request_p50: Figure,
    /// 99 of a hundred.
    pub request_p99: Figure,
    /// Requests that were answered 429 or 503, and sent again.
    pub turned_away: Figure,
    /// That came before the period before was closed, and were sent again.
    pub early: Figure,
    /// Any other refusal.
    pub refused_otherwise: Figure,
    /// Connections that broke.
    pub broken: Figure,
    /// Records of the log a group of decisions, which has one sync.
    pub records_per_sync: Figure,
    /// Processors that the sequencer had, pauses included.
    pub sequencer_processors: Figure,
    /// Processors that the meters' process had.
    pub sender_processors: Figure,
}

pub(super) fn stage(
    name: &str,
    rate: Option<f64>,
    connections: usize,
    sent: &Sent,
    sequencer_cpu_s: f64,
    records_per_sync: f64,
) -> StageRow {
    let measured = Figure::measured;
    let wall = sent.wall_s.max(1e-3);
    let of = |statuses: &[u16]| {
        let count: u64 = statuses.iter().filter_map(|status| sent.refused.get(status)).sum();
        measured(count as f64, "")
    };
    let known = [429, 503, 409, 425];
    let others: u64 = sent.refused.iter().filter(|(status, _)| !known.contains(status)).map(|(_, count)| count).sum();
    let accepted = (sent.accepted + sent.duplicates) as f64;
    let [due_p50, due_p99, due_p999, _] = sent.from_due_ms.map(|ms| measured(ms, "ms"));
    let [request_p50, request_p99, ..] = sent.of_request_ms.map(|ms| measured(ms, "ms"));
    StageRow {
        name: name.into(),
        offered_per_s: rate.map(|rate| Figure::assumed(rate, "1/s")),
        connections: Figure::assumed(connections as f64, ""),
        accepted: measured(accepted, ""),
        accepted_per_s: measured(accepted / wall, "1/s"),
        due_p50,
        due_p99,
        due_p999,
        request_p50,
        request_p99,
        turned_away: of(&[429, 503]),
        early: of(&[409, 425]),
        refused_otherwise: measured(others as f64, ""),
        broken: measured(sent.broken as f64, ""),
        records_per_sync: measured(records_per_sync, ""),
        sequencer_processors: measured(sequencer_cpu_s / (wall + sent.paused_s), ""),
        sender_processors: measured(sent.cpu_s / (wall + sent.paused_s), ""),
    }
}

/// What was measured of one sequencer.
pub(super) struct Measured {
    pub proofs: &'static str,
    pub shape: &'static str,
    pub homes: u32,
    pub stages: Vec<StageRow>,
    pub growth_mib: f64,
    pub growth_bound_mib: f64,
    pub peak_mib: f64,
    pub settled: u64,
    pub closed: u64,
    pub took_s: f64,
    pub health_s: f64,
    pub operator_s: f64,
    pub receipts: Vec<f64>,
    pub receipts_refused: u64,
    pub lost: u64,
}

pub(super) fn row(of: &Measured) -> Row {
    let measured = Figure::measured;
    let mut receipts = of.receipts.clone();
    receipts.sort_by(f64::total_cmp);
    let at = |index: usize| measured(receipts.get(index).copied().unwrap_or(0.0), "s");
    Row {
        proofs: of.proofs.into(),
        communities: of.shape.into(),
        homes: Figure::assumed(of.homes.into(), ""),
        stages: of.stages.clone(),
        settled: measured(of.settled.max(of.closed.min(of.settled)) as f64, ""),
        took: measured(of.took_s, "s"),
        growth: measured(of.growth_mib, "MiB"),
        growth_bound: Figure::assumed(of.growth_bound_mib, "MiB"),
        peak_memory: measured(of.peak_mib, "MiB"),
        health_longest: measured(of.health_s, "s"),
        operator_longest: measured(of.operator_s, "s"),
        receipts: measured(receipts.len() as f64, ""),
        receipts_refused: measured(of.receipts_refused as f64, ""),
        receipt_p50: at(receipts.len() / 2),
        receipt_longest: at(receipts.len().saturating_sub(1)),
        lost: measured(of.lost as f64, ""),
    }
}

impl LoadReport {
    /// Of these rows.
    #[must_use]
    pub fn new(machine: String, target_per_s: f64, rows: Vec<Row>) -> Self {
        Self { form: FORM.into(), machine, target: Figure::computed(target_per_s, "1/s"), rows }
    }

    /// What was not kept: a loss, a collapse, memory that grew, somebody who waited.
    #[must_use]
    pub fn broken(&self, keeps: f64, prompt_s: f64) -> Vec<String> {
        let mut broken = Vec::new();
        for row in &self.rows {
            let mut say = |what: String| broken.push(format!("{}: {what}", row.proofs));
            if row.lost.value > 0.0 {
                say(format!("{} acknowledged packets are not in the log", number(row.lost.value)));
            }
            if row.settled.value < 1.0 {
                say("nothing was settled".into());
            }
            if row.growth.value > row.growth_bound.value {
                say(format!("memory grew by {}, more than {}", row.growth, row.growth_bound));
            }
            if row.health_longest.value.max(row.operator_longest.value) > prompt_s {
                say(format!("health waited {}, the operator {}", row.health_longest, row.operator_longest));
            }
            let best = row.stages.iter().map(|stage| stage.accepted_per_s.value).fold(0.0, f64::max);
            for stage in &row.stages {
                let offered = stage.offered_per_s.as_ref().map_or(f64::INFINITY, |offered| offered.value);
                let due = if stage.name == WITHOUT_PAUSE { self.target.value } else { best.min(offered) * keeps };
                if stage.accepted_per_s.value < due {
                    say(format!("{}: {} accepted, and {} were due", stage.name, stage.accepted_per_s, number(due)));
                }
                if stage.refused_otherwise.value > 0.0 {
                    say(format!("{}: {} refusals for another reason than load", stage.name, stage.refused_otherwise));
                }
            }
        }
        broken
    }

    /// Tables.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("{}\ntarget {}; {LEGEND}\n", self.machine, self.target);
        for row in &self.rows {
            text += &format!("\n{}, {} homes, proofs: {}\n\n", row.communities, number(row.homes.value), row.proofs);
            let head = ["stage", "accepted", "a second", "p50 ms", "p99 ms", "p99.9 ms", "429, 503", "a sync"];
            let mut table = vec![cells(head)];
            for stage in &row.stages {
                let figures = [
                    &stage.accepted,
                    &stage.accepted_per_s,
                    &stage.due_p50,
                    &stage.due_p99,
                    &stage.due_p999,
                    &stage.turned_away,
                    &stage.records_per_sync,
                ];
                table.push(std::iter::once(stage.name.clone()).chain(figures.map(Figure::cell)).collect());
            }
            text += &aligned(&table);
            let mut table = vec![cells(["stage", "sequencer, processors", "meters", "early", "request p99 ms"])];
            for stage in &row.stages {
                let figures = [&stage.sequencer_processors, &stage.sender_processors, &stage.early, &stage.request_p99];
                table.push(std::iter::once(stage.name.clone()).chain(figures.map(Figure::cell)).collect());
            }
            text += &format!("\n{}\n", aligned(&table));
            let lines = [
                ("batches settled", &row.settled),
                ("time, all stages", &row.took),
                ("memory grown in the first stage", &row.growth),
                ("  allowed", &row.growth_bound),
                ("most memory", &row.peak_memory),
                ("longest answer of /livez", &row.health_longest),
                ("longest answer of the operator's listener", &row.operator_longest),
                ("receipts read", &row.receipts),
                ("  half of them within", &row.receipt_p50),
                ("  the longest", &row.receipt_longest),
                ("acknowledged and not in the log", &row.lost),
            ];
            let lines: Vec<Vec<String>> =
                lines.into_iter().map(|(name, figure)| vec![name.to_owned(), figure.to_string()]).collect();
            text += &aligned(&lines);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::unlabelled;

    fn without_pause(accepted: u64) -> StageRow {
        stage(WITHOUT_PAUSE, Some(833.0), 64, &Sent { accepted, wall_s: 10.0, ..Sent::default() }, 10.0, 8.0)
    }

    fn report(edit: impl Fn(&mut Sent, &mut Measured)) -> LoadReport {
        let mut sent = Sent { accepted: 10_000, wall_s: 10.0, cpu_s: 1.0, ..Sent::default() };
        let mut of = Measured {
            proofs: "stand-in",
            shape: "tiny-4x2",
            homes: 100,
            stages: vec![stage("5x", Some(1000.0), 64, &sent, 10.0, 8.0), without_pause(4200)],
            growth_mib: 1.0,
            growth_bound_mib: 96.0,
            peak_mib: 200.0,
            settled: 5,
            closed: 0,
            took_s: 20.0,
            health_s: 0.01,
            operator_s: 0.02,
            receipts: vec![0.2, 0.1],
            receipts_refused: 1,
            lost: 0,
        };
        edit(&mut sent, &mut of);
        of.stages.push(stage("flood", None, 1500, &sent, 10.0, 100.0));
        LoadReport::new("a machine".into(), 417.0, vec![row(&of)])
    }

    #[test]
    fn every_figure_is_labelled_and_what_is_not_kept_is_said() {
        let good = report(|_, _| ());
        let json = serde_json::to_value(&good).unwrap();
        assert_eq!(unlabelled(&json), Vec::<String>::new());
        assert_eq!(serde_json::from_value::<LoadReport>(json).unwrap(), good);
        assert_eq!(good.broken(0.8, 2.0), Vec::<String>::new());
        assert!(good.render().contains("10,000 m") && good.render().lines().all(|line| line.chars().count() <= 100));
        for (edit, said) in [
            (&(|sent: &mut Sent, _: &mut Measured| sent.accepted = 7000) as &dyn Fn(&mut Sent, &mut Measured), "due"),
            (&|_, of| of.stages[1] = without_pause(4100), "410 1/s m accepted"),
            (&|sent, _| sent.refused = [(500, 1)].into(), "another reason"),
            (&|_, of| of.lost = 1, "not in the log"),
            (&|_, of| of.settled = 0, "nothing was settled"),
            (&|_, of| of.growth_mib = 97.0, "memory grew"),
            (&|_, of| of.operator_s = 3.0, "the operator"),
        ] {
            let broken = report(edit).broken(0.8, 2.0);
            assert!(broken.len() == 1 && broken[0].contains(said), "{said}: {broken:?}");
        }
    }
}
