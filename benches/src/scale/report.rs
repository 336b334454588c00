//! The form of `benches/results/scale.json`, and its tables.

use serde::{Deserialize, Serialize};

use super::pipeline::Step;
use crate::{
    figure::{Figure, LEGEND, number},
    table::{aligned, row},
};

/// Form of the file; changes with its fields.
pub const FORM: &str = "gridveil scale 2";

/// `benches/results/scale.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaleReport {
    /// [`FORM`].
    pub form: String,
    /// Processor, threads, memory, system.
    pub machine: String,
    /// Machine of the figures of proof and gas: that of `benches/results/latest.json`.
    pub proving_machine: String,
    /// Shape of the communities.
    pub shape: String,
    /// The simulated city.
    pub city: CityReport,
    /// By step, in the order of a day.
    pub stages: Vec<Stage>,
    /// Of the measuring process.
    pub peak_memory: Figure,
    /// Bytes.
    pub storage: Storage,
    /// What limits a deployment next.
    pub bottleneck: Bottleneck,
    /// Sizes at which something gives way, smallest first.
    pub limits: Vec<Limit>,
    /// The city itself, and larger ones.
    pub projections: Vec<ProjectionReport>,
    /// Prices and constants the projections rest on.
    pub assumptions: Vec<Assumption>,
}

/// The simulated city.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CityReport {
    /// Homes.
    pub homes: Figure,
    /// Communities.
    pub communities: Figure,
    /// Seed.
    pub seed: Figure,
    /// Communities that were run; all of them unless a sample was asked for.
    pub communities_run: Figure,
    /// Homes that were run.
    pub homes_run: Figure,
    /// Was it a sample?
    pub sample: bool,
    /// Energy from the network, of the homes that were run.
    pub import: Figure,
    /// Energy fed in.
    pub export: Figure,
    /// Energy traded locally.
    pub traded: Figure,
}

/// Whose time a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The homes' own meters: not the operator's time.
    Meters,
    /// The sequencer.
    Sequencer,
    /// A proving machine; already inside the measured time of a proof.
    InsideProof,
    /// Proving machines.
    Provers,
}

/// One step for the whole city.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Which.
    pub step: Step,
    /// In words.
    pub name: String,
    /// Whose time.
    pub place: Place,
    /// Threads used: `all` or `one`.
    pub threads: String,
    /// Wall clock for the whole city.
    pub seconds: Figure,
    /// Processor time for the whole city.
    pub cpu_seconds: Figure,
    /// Wall clock for 1,000 homes.
    pub seconds_per_1000_homes: Figure,
    /// Homes a second on this machine.
    pub homes_per_s: Figure,
    /// Part of the operator's time (sequencer and provers); none for what is not counted there.
    pub share: Option<Figure>,
}

/// Bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storage {
    /// One encoded packet, as a meter sends it.
    pub packet: Figure,
    /// The log, by home and day: packets.
    pub packets_per_home_day: Figure,
    /// The log, by home and day: tariff, closing, state after, proof, settlement.
    pub rest_per_home_day: Figure,
    /// The log, by home and year.
    pub log_per_home_year: Figure,
    /// Genesis, once, by home.
    pub genesis_per_home: Figure,
}

/// What comes after proving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// Largest step of the sequencer.
    pub largest_step_after_proving: String,
    /// Its part of the sequencer's time.
    pub share_of_sequencer: Figure,
    /// Sequencer's time for one community and period.
    pub sequencer_per_community: Figure,
    /// Prover's time for one community and period.
    pub prover_per_community: Figure,
    /// Proving machines one sequencer keeps busy.
    pub machines_per_sequencer: Figure,
}

/// A size at which something gives way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// What.
    pub name: String,
    /// Homes of one deployment.
    pub homes: Figure,
}

/// A city of some size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectionReport {
    /// Homes.
    pub homes: Figure,
    /// Proofs a day.
    pub proofs_per_day: Figure,
    /// Hours of proving a day, on one machine.
    pub proving_hours_per_day: Figure,
    /// Proving machines that finish a day's proofs in 24 hours.
    pub machines: Figure,
    /// Hours of one sequencer a day.
    pub sequencer_hours_per_day: Figure,
    /// Deployments of this version: none may be larger than the smallest limit.
    pub deployments: Figure,
    /// Gas a day; none where the shape's gas is not measured.
    pub gas_per_day: Option<Figure>,
    /// Part of all L1 gas.
    pub l1_share: Option<Figure>,
    /// Log, by year.
    pub log_per_year: Figure,
    /// Proving machines, by home and year.
    pub machines_per_home_year: Figure,
    /// L1, by home and year, at each gas price.
    pub gas_per_home_year: Vec<PricedGas>,
}

/// Euro at a gas price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PricedGas {
    /// Gas price.
    pub gas_price: Figure,
    /// L1, by home and year.
    pub l1: Figure,
    /// L1 and proving machines, by home and year.
    pub total: Figure,
}

/// What was assumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assumption {
    /// What.
    pub name: String,
    /// How much.
    pub figure: Figure,
}

fn percent(figure: &Figure) -> String {
    format!("{:.2} % {}", figure.value * 100.0, figure.basis.mark())
}

/// Without the unit's own suffix: bytes as people read them.
fn bytes(figure: &Figure) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = figure.value;
    let mut unit = "B";
    for larger in units.into_iter().skip(1) {
        if value < 10_000.0 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    format!("{} {unit} {}", number((value * 10.0).round() / 10.0), figure.basis.mark())
}

impl ScaleReport {
    /// All tables.
    #[must_use]
    pub fn render(&self) -> String {
        let city = &self.city;
        let mut out = format!("{}\n", self.machine);
        let run = if city.sample { "a sample of it was run" } else { "all of it was run" };
        out += &format!(
            "city: {} homes, {} communities of {}, one day; {run}: {} homes, {} communities\n",
            city.homes, city.communities, self.shape, city.homes_run, city.communities_run
        );
        out += &format!(
            "energy of the homes that were run: import {}, fed in {}, traded locally {}\n",
            city.import, city.export, city.traded
        );
        out += &format!("{LEGEND}\n\n{}\n", self.stage_table());
        out += &format!(
            "proof: measured on {} (benches/results/latest.json); seconds are of one machine\n",
            self.proving_machine
        );
        out += "share: of the operator's time, sequencer and provers; meters sign and encode their own packets\n";
        out += &format!("peak memory of this run: {}\n\n", self.peak_memory);
        out += &format!(
            "{}\n{}\n{}\n{}",
            self.storage_table(),
            self.bottleneck_table(),
            self.projection_table(),
            self.assumption_table()
        );
        out
    }

    fn stage_table(&self) -> String {
        let mut rows =
            vec![row(["step", "whose", "threads", "s", "processor s", "s / 1,000 homes", "homes / s", "share"])];
        for stage in &self.stages {
            let place = match stage.place {
                Place::Meters => "meters",
                Place::Sequencer => "sequencer",
                Place::InsideProof => "(in proof)",
                Place::Provers => "provers",
            };
            let share = stage.share.as_ref().map_or_else(|| "-".into(), percent);
            let figures = [&stage.seconds, &stage.cpu_seconds, &stage.seconds_per_1000_homes, &stage.homes_per_s]
                .map(Figure::cell);
            rows.push(
                [&stage.name, place, &stage.threads]
                    .map(ToString::to_string)
                    .into_iter()
                    .chain(figures)
                    .chain([share])
                    .collect(),
            );
        }
        aligned(&rows)
    }

    fn storage_table(&self) -> String {
        let s = &self.storage;
        aligned(&[
            row(["storage", ""]),
            row(["one packet, encoded", &bytes(&s.packet)]),
            row(["log, a home and day: packets", &bytes(&s.packets_per_home_day)]),
            row(["log, a home and day: state, proof and the rest", &bytes(&s.rest_per_home_day)]),
            row(["log, a home and year", &bytes(&s.log_per_home_year)]),
            row(["genesis, a home, once", &bytes(&s.genesis_per_home)]),
        ])
    }

    fn bottleneck_table(&self) -> String {
        let b = &self.bottleneck;
        let mut rows = vec![
            row(["next bottleneck", ""]),
            row(["largest step after proving", &b.largest_step_after_proving]),
            row(["its part of the sequencer's time", &percent(&b.share_of_sequencer)]),
            row(["sequencer, a community and period", &b.sequencer_per_community.to_string()]),
            row(["prover, a community and period", &b.prover_per_community.to_string()]),
            row(["proving machines one sequencer feeds", &b.machines_per_sequencer.cell()]),
            row(["", ""]),
            row(["a deployment gives way", "at homes"]),
        ];
        rows.extend(self.limits.iter().map(|limit| vec![limit.name.clone(), limit.homes.cell()]));
        aligned(&rows)
    }

    fn projection_table(&self) -> String {
        let column = |name: &str, cell: &dyn Fn(&ProjectionReport) -> String| -> Vec<String> {
            std::iter::once(name.to_owned()).chain(self.projections.iter().map(cell)).collect()
        };
        let optional = |figure: &Option<Figure>, cell: &dyn Fn(&Figure) -> String| {
            figure.as_ref().map_or_else(|| "-".into(), cell)
        };
        let mut rows = vec![
            column("homes", &|p| p.homes.cell()),
            column("proofs a day", &|p| p.proofs_per_day.cell()),
            column("proving, machine hours a day", &|p| p.proving_hours_per_day.cell()),
            column("proving machines for a 24 h day", &|p| p.machines.cell()),
            column("sequencer, hours a day", &|p| p.sequencer_hours_per_day.cell()),
            column("deployments of this version", &|p| p.deployments.cell()),
            column("gas a day, millions", &|p| {
                optional(&p.gas_per_day, &|gas| format!("{} {}", number(gas.value / 1e6), gas.basis.mark()))
            }),
            column("part of all L1 gas", &|p| optional(&p.l1_share, &percent)),
            column("log, a year", &|p| bytes(&p.log_per_year)),
            column("machines, EUR a home and year", &|p| p.machines_per_home_year.cell()),
        ];
        let prices = self.projections.first().map_or(0, |p| p.gas_per_home_year.len());
        for index in 0..prices {
            let priced = |p: &ProjectionReport| p.gas_per_home_year.get(index).cloned();
            let price =
                self.projections.first().and_then(priced).map_or_else(String::new, |p| p.gas_price.value.to_string());
            column_of(&mut rows, &format!("L1 at {price} gwei, EUR a home and year"), &self.projections, &|p| {
                priced(p).map(|p| p.l1.cell())
            });
            column_of(&mut rows, "  with machines", &self.projections, &|p| priced(p).map(|p| p.total.cell()));
        }
        aligned(&rows)
    }

    fn assumption_table(&self) -> String {
        let rows: Vec<_> = self.assumptions.iter().map(|a| vec![a.name.clone(), a.figure.to_string()]).collect();
        format!("assumptions\n{}", aligned(&rows))
    }
}

fn column_of(
    rows: &mut Vec<Vec<String>>,
    name: &str,
    projections: &[ProjectionReport],
    cell: &dyn Fn(&ProjectionReport) -> Option<String>,
) {
    let cells = projections.iter().map(|p| cell(p).unwrap_or_else(|| "-".into()));
    rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
}
