//! `growth`: how rows, proving time, memory and gas grow with the members and intervals of a shape.
//!
//! Shapes of the curves are made for the measurement: each has the smallest k that holds its statement, and none is
//! deployable. Rows are those of the real table of a real batch. Some shapes are proved as well, keys and proof in
//! processes of their own, and settled on a local chain.

mod gas;

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, ensure};
use gridveil_circuits::{
    chips::columns::ADVICE,
    settlement::{RESERVED_ROWS, SettlementCircuit, build},
    trace::Trace,
    version::SettlementSize,
};
use gridveil_protocol::{
    params::{MAX_INTERVALS, MAX_MEMBERS, SHAPES, Shape},
    settlement::{self, Transition, compute},
};
use gridveil_prover::{
    job::{ProofJob, ProofResult},
    keys::verifying_key,
    progress::{Progress, Reporter, Silent},
    prover::Prove as _,
    srs::{Srs, SrsSource},
    statement::Statement as _,
};
use serde::{Deserialize, Serialize};

use crate::{
    contract::Chain,
    figure::{Basis, Figure, LEGEND, number},
    memory::mib,
    native,
    report::machine,
    run::{self, LOCAL_CHAIN_ID, move_to},
    table::{aligned, row},
};

pub use gas::GasModel;

/// Form of the file; changes with its fields.
pub const FORM: &str = "gridveil growth 1";
/// Rows of the table statements are counted in: more than any shape of the curves needs.
const COUNTING_ROWS: usize = 1 << 19;
/// Range-table entries of 16 bits need 2^16 rows.
const WIDE: u32 = 16;
const WIDE_K: u32 = 17;
const NARROW: u32 = 8;

/// Members and intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Slots N.
    pub members: usize,
    /// Intervals m.
    pub intervals: usize,
}

impl FromStr for Size {
    type Err = String;

    /// `32x24`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed =
            text.split_once('x').and_then(|(n, m)| Some(Self { members: n.parse().ok()?, intervals: m.parse().ok()? }));
        let size = parsed.ok_or_else(|| format!("{text} is not of the form 32x24"))?;
        let members = size.members.is_power_of_two() && (4..=256).contains(&size.members);
        if members && (2..=MAX_INTERVALS).contains(&size.intervals) {
            Ok(size)
        } else {
            Err(format!("{text}: members are a power of two from 4 to 256, intervals 2 to {MAX_INTERVALS}"))
        }
    }
}

const _: () = assert!(MAX_MEMBERS >= 256);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.members, self.intervals)
    }
}

/// Options of `bench growth`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  gridveil bench growth\n  gridveil bench growth --members 16 --members 64 --intervals 24 --prove 64x24"
)]
pub struct Args {
    /// Members of the curves.
    #[arg(long, value_name = "N", default_values_t = [16, 32, 64, 128, 256])]
    members: Vec<usize>,
    /// Intervals of the curves.
    #[arg(long, value_name = "M", default_values_t = [24, 48, 96])]
    intervals: Vec<usize>,
    /// Shapes that are proved and settled as well.
    #[arg(long, value_name = "NxM", default_values_t = PROVED)]
    prove: Vec<Size>,
    /// Counts rows only.
    #[arg(long, conflicts_with = "prove")]
    rows_only: bool,
    /// Where `growth.json` is written, and `latest.json` read for computed gas; benches/results of the sources by
    /// default.
    #[arg(long, value_name = "DIRECTORY", default_value = crate::RESULTS, hide_default_value = true)]
    results: PathBuf,
    /// Prints the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Proved by default: members at 24 intervals, and the largest that fits 2^17 rows.
const PROVED: [Size; 4] = [
    Size { members: 16, intervals: 24 },
    Size { members: 32, intervals: 24 },
    Size { members: 64, intervals: 24 },
    Size { members: 128, intervals: 96 },
];

/// `benches/results/growth.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrowthReport {
    /// [`FORM`].
    pub form: String,
    /// Processor, threads, memory, system.
    pub machine: String,
    /// Where computed gas comes from.
    pub gas_model: String,
    /// By members, then intervals.
    pub points: Vec<Point>,
}

/// One shape of the curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Members and intervals.
    pub shape: Size,
    /// Name of the deployable shape of this size, if there is one.
    pub deployable: Option<String>,
    /// Bits of a range-table entry, chosen for the smallest k.
    pub table_bits: Figure,
    /// Smallest k.
    pub k: Figure,
    /// Rows of the table in use.
    pub rows: Figure,
    /// Part of the usable rows in use.
    pub fill: Figure,
    /// Advice cells of these rows.
    pub cells: Figure,
    /// Copies.
    pub copies: Figure,
    /// Rows of one interval of one slot.
    pub rows_per_reading: Figure,
    /// Gas of the settling transaction; computed where it was not settled.
    pub gas: Option<Figure>,
    /// Gas of one interval of one slot.
    pub gas_per_reading: Option<Figure>,
    /// What proving it cost, if it was proved.
    pub proof: Option<ProofPoint>,
}

/// A proved shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProofPoint {
    /// Keys.
    pub keygen: Figure,
    /// Job to checked proof, wall clock.
    pub prove: Figure,
    /// The same, processor time.
    pub prove_cpu: Figure,
    /// Of a process that reads keys and makes one proof.
    pub peak_memory: Figure,
    /// Proof.
    pub proof: Figure,
    /// Runtime code of the verifier.
    pub verifier: Option<Figure>,
    /// Readings proved a second.
    pub readings_per_s: Figure,
}

/// What a statement takes in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Rows in use.
    pub rows: usize,
    /// Copies.
    pub copies: usize,
    /// Smallest k.
    pub k: u32,
    /// Bits of a range-table entry.
    pub table_bits: u32,
}

fn smallest_k(rows: usize) -> u32 {
    (rows + RESERVED_ROWS).next_power_of_two().ilog2()
}

/// Operation slots of a measured shape: one for four members, 64 at most.
const fn operation_slots(members: usize) -> usize {
    if members / 4 > 64 { 64 } else { members / 4 }
}

/// The shape of a size, at the smallest k that holds it. Shapes of the curves are made once each and live as long as
/// the process.
///
/// # Errors
/// A batch that cannot be made.
pub fn fit(size: Size) -> anyhow::Result<(Shape, Area)> {
    let name = format!("curve-{size}");
    let counted = |table_bits: u32| {
        let shape = Shape {
            name: "curve",
            id: 0,
            members: size.members,
            intervals: size.intervals,
            operations: operation_slots(size.members),
            k: 0,
            table_bits,
        };
        let trace = build(&compute(native::batch(shape)?), Trace::new(COUNTING_ROWS));
        let rows = trace.next_row();
        // The range table itself must fit as well.
        let k = smallest_k(rows).max(if table_bits == WIDE { WIDE_K } else { 0 });
        anyhow::Ok(Area { rows, copies: trace.copies().len(), k, table_bits })
    };
    let narrow = counted(NARROW)?;
    // Entries of 16 bits halve the rows of a reading, but only large tables hold them.
    let area = if narrow.k < WIDE_K { narrow } else { counted(WIDE)? };
    let name = Box::leak(name.into_boxed_str());
    let (members, intervals) = (size.members, size.intervals);
    let shape = Shape {
        name,
        id: 1_000,
        members,
        intervals,
        operations: operation_slots(members),
        k: area.k,
        table_bits: area.table_bits,
    };
    Ok((shape, area))
}

/// Runs the command.
///
/// # Errors
/// Anything that cannot be measured, except L1 figures, which are then computed.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut sizes: Vec<Size> =
        args.members.iter().flat_map(|n| args.intervals.iter().map(|m| Size { members: *n, intervals: *m })).collect();
    let proved = if args.rows_only { &[][..] } else { &args.prove };
    sizes.extend(proved);
    sizes.sort_by_key(|size| (size.members, size.intervals));
    sizes.dedup();
    // The limits are those of one size on the command line.
    sizes.iter().try_for_each(|size| size.to_string().parse::<Size>().map(drop)).map_err(anyhow::Error::msg)?;
    let model = fs::read(args.results.join("latest.json"))
        .ok()
        .and_then(|bytes| GasModel::of(&serde_json::from_slice(&bytes).ok()?));

    let progress = Reporter::stderr();
    let mut points = Vec::new();
    for size in sizes {
        progress.stage("rows", &size.to_string());
        let (shape, area) = fit(size)?;
        let measured = if proved.contains(&size) { Some(prove(shape, &progress)?) } else { None };
        points.push(point(size, area, model.as_ref(), measured));
    }
    progress.finish();
    let gas_model =
        "computed gas: the line in members through the smallest and the largest shape of latest.json".into();
    let report = GrowthReport { form: FORM.into(), machine: machine(), gas_model, points };
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let file = args.results.join("growth.json");
    fs::write(&file, &json).with_context(|| file.display().to_string())?;
    crate::print(&if args.json { json } else { report.render() })?;
    eprintln!("written to {}", file.display());
    Ok(())
}

/// Everything known about one shape.
#[must_use]
pub fn point(size: Size, area: Area, model: Option<&GasModel>, proved: Option<(ProofPoint, Option<u64>)>) -> Point {
    let readings = (size.members * size.intervals) as f64;
    let (proof, settled) = proved.map_or((None, None), |(proof, gas)| (Some(proof), gas));
    let computed = || model.map(|model| Figure::computed(model.gas(size.members), "gas"));
    let gas = settled.map(|gas| Figure::measured(gas as f64, "gas")).or_else(computed);
    let deployable = SHAPES.iter().find(|s| (s.members, s.intervals) == (size.members, size.intervals));
    Point {
        shape: size,
        deployable: deployable.map(|shape| shape.name.to_owned()),
        table_bits: Figure::computed(area.table_bits.into(), "bit"),
        k: Figure::computed(area.k.into(), ""),
        rows: Figure::measured(area.rows as f64, ""),
        fill: Figure::computed(area.rows as f64 / ((1usize << area.k) - RESERVED_ROWS) as f64, ""),
        cells: Figure::computed((area.rows * ADVICE) as f64, ""),
        copies: Figure::measured(area.copies as f64, ""),
        rows_per_reading: Figure::computed(area.rows as f64 / readings, ""),
        gas_per_reading: gas.as_ref().map(|gas| Figure::new(gas.value / readings, "gas", gas.basis)),
        gas,
        proof,
    }
}

/// What a measuring process does.
#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    size: Size,
    k: u32,
    table_bits: u32,
    cache: PathBuf,
    /// Contract the batch is for, and where the result goes; keys alone if there is none.
    prove: Option<([u8; 20], PathBuf)>,
}

impl Task {
    fn shape(&self) -> Shape {
        let name = Box::leak(format!("curve-{}", self.size).into_boxed_str());
        let (members, intervals) = (self.size.members, self.size.intervals);
        Shape {
            name,
            id: 1_000,
            members,
            intervals,
            operations: operation_slots(members),
            k: self.k,
            table_bits: self.table_bits,
        }
    }
}

/// A measuring process: keys, or one proof with the keys another process made.
pub(crate) fn child(task: Task) -> anyhow::Result<()> {
    let shape = task.shape();
    let prover = run::open(shape, &task.cache)?;
    let keys = prover.keys(shape.name).context("keys of the shape")?;
    let Some((contract, result)) = task.prove else {
        ensure!(keys.made, "keys were in the cache: nothing was measured");
        println!("{}", keys.took.as_secs_f64());
        return Ok(());
    };
    ensure!(!keys.made, "keys were not in the cache: the memory would be theirs");
    let mut input = native::batch(shape)?;
    move_to(&mut input, &contract)?;
    let proved = prover.prove_job(&ProofJob::new(1, input), &Silent)?;
    Ok(fs::write(result, serde_json::to_vec(&proved)?)?)
}

/// Keys, proof and, where there is a local chain, settlement of a shape.
fn prove(shape: Shape, progress: &dyn Progress) -> anyhow::Result<(ProofPoint, Option<u64>)> {
    let size = Size { members: shape.members, intervals: shape.intervals };
    let name = size.to_string();
    let dir = tempfile::tempdir()?;
    let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, dir.path())?;
    // Parameters first, so that no figure has them in it.
    let params = srs.params(SettlementCircuit::k(&SettlementSize::current(shape)), progress)?;
    let task = |prove| Task { size, k: shape.k, table_bits: shape.table_bits, cache: dir.path().to_path_buf(), prove };
    progress.stage("keys", &name);
    let keygen_s: f64 = run::spawn(&run::Task::Curve(task(None)))?.trim().parse()?;

    progress.stage("contract", &name);
    let mut input = native::batch(shape)?;
    let vk = verifying_key::<SettlementCircuit>(SettlementSize::current(shape), &params)?;
    let chain = Chain::deploy(&shape, &params, &vk, &input)
        .inspect_err(|error| eprintln!("{name}: gas is computed: {error:#}"))
        .ok();
    drop(params);
    let contract = chain.as_ref().and_then(Chain::contract).unwrap_or([0x11; 20]);

    progress.stage("proof", &name);
    let file = dir.path().join("result.json");
    run::spawn(&run::Task::Curve(task(Some((contract, file.clone())))))?;
    let result: ProofResult = read(&file)?;

    progress.stage("settling", &name);
    move_to(&mut input, &contract)?;
    let transition = settlement::apply(input)?;
    let gas = chain.as_ref().and_then(|chain| settle(chain, &transition, &result, &name));
    let t = result.timings;
    let prove_s = (t.witness_ms + t.prove_ms + t.verify_ms) as f64 / 1000.0;
    let proof = ProofPoint {
        keygen: Figure::measured((keygen_s * 1000.0).round() / 1000.0, "s"),
        prove: Figure::measured(prove_s, "s"),
        prove_cpu: Figure::measured(t.cpu_ms as f64 / 1000.0, "s"),
        peak_memory: Figure::measured(mib(result.peak_rss_bytes).round(), "MiB"),
        proof: Figure::measured(result.proof.len() as f64, "B"),
        verifier: chain.as_ref().and_then(Chain::verifier_bytes).map(|bytes| Figure::measured(bytes as f64, "B")),
        readings_per_s: Figure::measured((size.members * size.intervals) as f64 / prove_s, "1/s"),
    };
    Ok((proof, gas))
}

fn read(file: &Path) -> anyhow::Result<ProofResult> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

fn settle(chain: &Chain, transition: &Transition, result: &ProofResult, name: &str) -> Option<u64> {
    chain
        .settle(transition, result.proof.clone())
        .inspect_err(|error| eprintln!("{name}: gas is computed: {error:#}"))
        .ok()
}

impl GrowthReport {
    /// An aligned table: one row a shape.
    #[must_use]
    pub fn render(&self) -> String {
        let head = [
            "members x intervals",
            "k",
            "rows",
            "fill",
            "cells",
            "rows / reading",
            "gas",
            "gas / reading",
            "keys, s",
            "prove, s",
            "processor s",
            "MiB",
            "proof, B",
            "readings / s",
        ];
        let mut rows = vec![row(head)];
        for p in &self.points {
            let name =
                p.deployable.as_ref().map_or_else(|| p.shape.to_string(), |name| format!("{} ({name})", p.shape));
            let fill = format!("{:.1} % {}", p.fill.value * 100.0, p.fill.basis.mark());
            let optional = |figure: Option<&Figure>| figure.map_or_else(|| "-".into(), Figure::cell);
            let proof = |of: fn(&ProofPoint) -> &Figure| optional(p.proof.as_ref().map(of));
            rows.push(vec![
                name,
                p.k.cell(),
                p.rows.cell(),
                fill,
                p.cells.cell(),
                p.rows_per_reading.cell(),
                optional(p.gas.as_ref()),
                optional(p.gas_per_reading.as_ref()),
                proof(|x| &x.keygen),
                proof(|x| &x.prove),
                proof(|x| &x.prove_cpu),
                proof(|x| &x.peak_memory),
                proof(|x| &x.proof),
                proof(|x| &x.readings_per_s),
            ]);
        }
        let measured: Vec<&Point> = self.points.iter().filter(|p| p.proof.is_some()).collect();
        let gas = if self.points.iter().any(|p| p.gas.as_ref().is_some_and(|gas| gas.basis == Basis::Computed)) {
            &self.gas_model
        } else {
            ""
        };
        let per_row: Vec<String> = measured
            .iter()
            .filter_map(|p| {
                Some(format!("2^{}: {}", p.k.value, number(p.proof.as_ref()?.prove_cpu.value / p.k.value.exp2() * 1e6)))
            })
            .collect();
        format!(
            "{}\n{LEGEND}\n\n{}\n{gas}\nproving, microseconds of processor time a row of the table (c): {}\n",
            self.machine,
            aligned(&rows),
            per_row.join(", ")
        )
    }
}

#[cfg(test)]
mod tests;
