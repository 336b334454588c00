//! `operations`: what operations and certificates cost, beside the version of the circuit that had none.
//!
//! Rows are counted in tables of real batches; proofs are made in processes of their own, one batch with every operation slot
//! used and one with none; gas is that of whole transactions on a local chain.

pub mod area;
pub mod gas;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use gridveil_circuits::{settlement::SettlementCircuit, version::SettlementSize};
use gridveil_protocol::{
    fixture::{Extras, Recipe, with_operations},
    market::Mechanism,
    operation::Kind,
    params::{CIRCUIT_VERSION, QUEUE, Shape},
    settlement::SettlementInput,
};
use gridveil_prover::{
    engine::available,
    job::{ProofJob, ProofResult},
    keys::verifying_key,
    progress::{Progress, Reporter},
    srs::{Srs, SrsSource},
    statement::Statement as _,
};
use serde::{Deserialize, Serialize};

use crate::{
    certificate,
    figure::{Figure, LEGEND, number},
    memory::mib,
    native,
    report::{ShapeReport, machine},
    run::{self, LOCAL_CHAIN_ID},
    table::{aligned, row},
};
use area::{Area, area};
use gas::Gas;

/// Form of the file; changes with its fields.
pub const FORM: &str = "gridveil operations 1";
/// Shape whose proofs are settled.
const SETTLED: &str = "home-32x24";

/// Options of `bench operations`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  gridveil bench operations home-32x24 --certificates 5")]
pub struct Args {
    /// Shapes; all deployable ones if none is given. Gas is always that of home-32x24.
    #[arg(value_name = "SHAPE")]
    shapes: Vec<String>,
    /// Certificate proofs of each engine.
    #[arg(long, default_value_t = 20)]
    certificates: u64,
    /// Counts rows only, and writes nothing.
    #[arg(long)]
    rows_only: bool,
    /// Where `version-1.json` is read and `operations.json` written; benches/results of the sources by default.
    #[arg(long, value_name = "DIRECTORY", default_value = crate::RESULTS, hide_default_value = true)]
    results: PathBuf,
    /// Prints the report as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// A shape in version 1, as it was measured then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// Name.
    pub name: String,
    /// log2 of the rows.
    pub k: u32,
    /// Rows in use.
    pub rows: usize,
    /// Rows of one more slot.
    #[serde(default)]
    pub rows_a_slot: Option<f64>,
    /// Job to checked proof, first of a process, s.
    #[serde(default)]
    pub prove_s: Option<f64>,
    /// The same, processor time.
    #[serde(default)]
    pub prove_cpu_s: Option<f64>,
    /// Of a process that makes one proof.
    #[serde(default)]
    pub peak_rss_bytes: Option<u64>,
    /// Settling it.
    #[serde(default)]
    pub gas_settle: Option<u64>,
}

/// `benches/results/version-1.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version1 {
    /// 1.
    pub circuit_version: u64,
    /// Processor, threads, memory, system.
    pub machine: String,
    /// Shapes.
    pub shapes: Vec<Before>,
}

/// `benches/results/operations.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationsReport {
    /// [`FORM`].
    pub form: String,
    /// Processor, threads, memory, system.
    pub machine: String,
    /// The machine of version 1's figures.
    pub machine_before: String,
    /// Settlement proofs' engine.
    pub engine: String,
    /// Circuit version.
    pub circuit_version: Figure,
    /// Where rows go.
    pub areas: Vec<Area>,
    /// What proofs cost.
    pub proofs: Vec<ProofReport>,
    /// A certificate's proof, on one thread.
    pub certificate: Vec<Spending>,
    /// The shape whose proofs were settled.
    pub gas_shape: String,
    /// Gas of entry points.
    pub gas: Vec<Gas>,
}

/// Proofs of a shape, each the first of its process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProofReport {
    /// Name.
    pub name: String,
    /// Every operation slot used.
    pub full: Proof,
    /// No operation.
    pub empty: Proof,
    /// Version 1.
    pub before: Option<Proof>,
}

/// One proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Operations of accounts in the batch.
    pub operations: Figure,
    /// Job to checked proof.
    pub prove: Figure,
    /// The same, processor time.
    pub prove_cpu: Figure,
    /// Largest resident memory of the process.
    pub peak_memory: Figure,
    /// Readings a second.
    pub readings_per_s: Figure,
}

/// A spending's proof under one engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// `avx512-ifma` or `portable`.
    pub engine: String,
    /// Spending to checked proof, median.
    pub prove: Figure,
    /// Processor time, mean.
    pub prove_cpu: Figure,
    /// Of a process that reads its keys and makes the proofs.
    pub peak_memory: Figure,
    /// Proof.
    pub proof: Figure,
}

fn memory(bytes: u64) -> Figure {
    Figure::measured((mib(bytes) * 10.0).round() / 10.0, "MiB")
}

fn proof(shape: &Shape, operations: usize, (prove_s, cpu_s, peak): (f64, f64, u64)) -> Proof {
    Proof {
        operations: Figure::assumed(operations as f64, ""),
        prove: Figure::measured(prove_s, "s"),
        prove_cpu: Figure::measured(cpu_s, "s"),
        peak_memory: memory(peak),
        readings_per_s: Figure::measured(ShapeReport::readings(shape.members, shape.intervals) / prove_s, "1/s"),
    }
}

/// A batch with every operation slot, the correction, the header's management and the queue in use.
///
/// # Errors
/// Signing errors, practically never.
pub fn full(shape: Shape) -> anyhow::Result<SettlementInput> {
    const KINDS: [Kind; 6] = [Kind::Deposit, Kind::Withdraw, Kind::Send, Kind::Receive, Kind::Rotate, Kind::Terms];
    let kinds: Vec<Kind> = KINDS.into_iter().cycle().take(shape.operations).collect();
    let recipe = Recipe { shape, seed: 1, mechanism: Mechanism::Auction, used: shape.members };
    Ok(with_operations(&recipe, &kinds, Extras { correction: true, management: true, notes: QUEUE, header: None })?)
}

/// Proves in a process of its own.
fn prove(dir: &Path, input: SettlementInput) -> anyhow::Result<ProofResult> {
    let (job, result) = (dir.join("job.json"), dir.join("result.json"));
    fs::write(&job, ProofJob::new(1, input).to_json()?)?;
    run::spawn(&run::Task::Prove { job, result: result.clone(), cache: dir.to_path_buf() })?;
    Ok(serde_json::from_slice(&fs::read(result)?)?)
}

/// Proofs of a shape and, for the one that is settled, gas.
fn proofs(
    shape: Shape,
    before: Option<&Before>,
    gas: bool,
    proved: bool,
    progress: &dyn Progress,
) -> anyhow::Result<(Option<ProofReport>, Vec<Gas>)> {
    let dir = tempfile::tempdir()?;
    let srs = Srs::for_chain(LOCAL_CHAIN_ID, SrsSource::InsecureDev, dir.path())?;
    let params = srs.params(SettlementCircuit::k(&SettlementSize::current(shape)), progress)?;
    progress.stage("keys", shape.name);
    run::spawn(&run::Task::Keygen { shape: shape.name.into(), cache: dir.path().to_path_buf() })?;
    let report = if proved {
        drop(params);
        progress.stage("proofs", shape.name);
        let measured = |input: SettlementInput| {
            let operations = input.operations.slots.len();
            let result = prove(dir.path(), input)?;
            let t = result.timings;
            let seconds = (t.witness_ms + t.prove_ms + t.verify_ms) as f64 / 1000.0;
            anyhow::Ok(proof(&shape, operations, (seconds, t.cpu_ms as f64 / 1000.0, result.peak_rss_bytes)))
        };
        let before = before.and_then(|b| Some(proof(&shape, 0, (b.prove_s?, b.prove_cpu_s?, b.peak_rss_bytes?))));
        Some(ProofReport {
            name: shape.name.into(),
            full: measured(full(shape)?)?,
            empty: measured(native::batch(shape)?)?,
            before,
        })
    } else {
        None
    };
    if !gas {
        return Ok((report, Vec::new()));
    }
    progress.stage("gas", shape.name);
    let params = srs.params(SettlementCircuit::k(&SettlementSize::current(shape)), progress)?;
    let vk = verifying_key::<SettlementCircuit>(SettlementSize::current(shape), &params)?;
    let figures = gas::measure(shape, &srs, (&params, &vk), dir.path(), &|input| Ok(prove(dir.path(), input)?.proof))?;
    Ok((report, figures))
}

/// Runs the command.
///
/// # Errors
/// Anything that cannot be measured.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let names: Vec<String> = if args.shapes.is_empty() {
        Shape::deployed().map(|shape| shape.name.to_owned()).to_vec()
    } else {
        args.shapes.clone()
    };
    let shapes = names
        .iter()
        .map(|name| Shape::by_name(name).with_context(|| format!("no shape {name}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let file = args.results.join("version-1.json");
    let version_1: Version1 = serde_json::from_slice(&fs::read(&file).with_context(|| file.display().to_string())?)?;
    let before = |shape: &Shape| version_1.shapes.iter().find(|b| b.name == shape.name);

    let progress = Reporter::stderr();
    let mut areas = Vec::new();
    // The smallest shape is proved nowhere, but its rows are told.
    for shape in Shape::by_name("tiny-4x2").into_iter().chain(shapes.iter().copied()) {
        progress.stage("rows", shape.name);
        areas.push(area(shape, before(&shape).with_context(|| format!("{} in version 1", shape.name))?)?);
    }
    let (mut reports, mut gas, mut certificate) = (Vec::new(), Vec::new(), Vec::new());
    if !args.rows_only {
        let settled = Shape::by_name(SETTLED).context("the settled shape")?;
        for shape in &shapes {
            let (report, figures) = proofs(*shape, before(shape), *shape == settled, true, &progress)?;
            reports.extend(report);
            gas.extend(figures);
        }
        if gas.is_empty() {
            gas = proofs(settled, None, true, false, &progress)?.1;
        }
        progress.stage("certificate", "one thread");
        let measured = certificate::measure(args.certificates)?;
        let proof = Figure::measured(measured.proof_bytes as f64, "B");
        let of = |e: &certificate::EngineReport| Spending {
            engine: e.engine.clone(),
            prove: Figure::measured(e.prove_s, "s"),
            prove_cpu: Figure::measured(e.prove_cpu_s, "s"),
            peak_memory: memory(e.peak_rss_bytes),
            proof: proof.clone(),
        };
        certificate = measured.engines.iter().map(of).collect();
    }
    progress.finish();
    let report = OperationsReport {
        form: FORM.into(),
        machine: machine(),
        machine_before: version_1.machine,
        engine: available().into(),
        circuit_version: Figure::computed(CIRCUIT_VERSION as f64, ""),
        areas,
        proofs: reports,
        certificate,
        gas_shape: SETTLED.into(),
        gas,
    };
    let json = serde_json::to_string_pretty(&report)? + "\n";
    crate::print(&if args.json { json.clone() } else { report.render() })?;
    if !args.rows_only {
        let file = args.results.join("operations.json");
        fs::write(&file, &json).with_context(|| file.display().to_string())?;
        eprintln!("written to {}", file.display());
    }
    Ok(())
}

impl OperationsReport {
    /// Tables.
    #[must_use]
    pub fn render(&self) -> String {
        let mut rows = vec![row(["rows of ten cells"])];
        type Of = fn(&Area) -> Option<&Figure>;
        let lines: [(&str, Of); 15] = [
            ("k in version 1", |a| Some(&a.k_before)),
            ("k", |a| Some(&a.k)),
            ("rows in version 1", |a| Some(&a.rows_before)),
            ("rows", |a| Some(&a.rows)),
            ("part of the usable rows", |a| Some(&a.fill)),
            ("a slot, version 1", |a| a.rows_a_slot_before.as_ref()),
            ("a slot", |a| Some(&a.rows_a_slot)),
            ("operation_slots", |a| Some(&a.operation_slots)),
            ("an operation slot", |a| Some(&a.rows_per_operation_slot)),
            ("correction", |a| Some(&a.correction)),
            ("header slot", |a| Some(&a.header_slot)),
            ("queue of notes", |a| Some(&a.queue)),
            ("beginning", |a| Some(&a.beginning)),
            ("data and final leaves", |a| Some(&a.data)),
            ("cells added a slot", |a| Some(&a.cells_added_a_slot)),
        ];
        rows[0].extend(self.areas.iter().map(|a| a.name.clone()));
        let cell = |figure: Option<&Figure>| figure.map_or_else(|| "-".into(), Figure::cell);
        rows.extend(lines.iter().map(|(name, of)| {
            std::iter::once((*name).to_owned()).chain(self.areas.iter().map(|a| cell(of(a)))).collect()
        }));

        let mut proofs =
            vec![row(["proof, first of a process", "operations", "s", "processor s", "MiB", "readings / s"])];
        for p in &self.proofs {
            for (what, proof) in [
                ("version 1", p.before.as_ref()),
                ("operation slots empty", Some(&p.empty)),
                ("operation slots full", Some(&p.full)),
            ] {
                let Some(of) = proof else { continue };
                let figures = [&of.operations, &of.prove, &of.prove_cpu, &of.peak_memory, &of.readings_per_s];
                proofs.push(std::iter::once(format!("{} {what}", p.name)).chain(figures.map(Figure::cell)).collect());
            }
        }
        let mut spendings = vec![row(["certificate, one thread", "s", "processor s", "MiB", "proof, B"])];
        for s in &self.certificate {
            spendings.push(
                std::iter::once(s.engine.clone())
                    .chain([&s.prove, &s.prove_cpu, &s.peak_memory, &s.proof].map(Figure::cell))
                    .collect(),
            );
        }
        let mut gas = vec![row(["whole transactions", "gas"])];
        gas.extend(
            self.gas.iter().map(|g| vec![[g.entry.as_str(), &g.what].join(" ").trim().to_owned(), g.gas.cell()]),
        );
        let mut out = format!(
            "{}\ncircuit version {}; {}; {LEGEND}\n\n{}",
            self.machine,
            number(self.circuit_version.value),
            self.engine,
            aligned(&rows)
        );
        if !self.proofs.is_empty() {
            out += &format!(
                "\n{}\n{}\n{}, real proofs\n{}",
                aligned(&proofs),
                aligned(&spendings),
                self.gas_shape,
                aligned(&gas)
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::unlabelled;

    fn version_1() -> Version1 {
        serde_json::from_slice(&fs::read(Path::new(crate::RESULTS).join("version-1.json")).unwrap()).unwrap()
    }

    #[test]
    fn every_figure_is_labelled_and_tables_line_up() {
        let shape = Shape::by_name("tiny-4x2").unwrap();
        let before = version_1();
        let of = || proof(&shape, 3, (0.5, 0.9, 1 << 28));
        let report = OperationsReport {
            form: FORM.into(),
            machine: "m".into(),
            machine_before: before.machine.clone(),
            engine: "portable".into(),
            circuit_version: Figure::computed(2.0, ""),
            areas: vec![area(shape, before.shapes.iter().find(|b| b.name == shape.name).unwrap()).unwrap()],
            proofs: vec![ProofReport { name: "x".into(), full: of(), empty: of(), before: None }],
            certificate: vec![Spending {
                engine: "portable".into(),
                prove: of().prove,
                prove_cpu: of().prove_cpu,
                peak_memory: memory(9 << 20),
                proof: Figure::measured(3776.0, "B"),
            }],
            gas_shape: SETTLED.into(),
            gas: vec![Gas { entry: "freeze".into(), what: String::new(), gas: Figure::measured(50_000.0, "gas") }],
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(unlabelled(&json), Vec::<String>::new());
        assert_eq!(serde_json::from_value::<OperationsReport>(json).unwrap(), report);
        assert!(report.render().contains("freeze") && report.render().contains("3,849 m"));
    }

    #[test]
    fn version_1_is_told_for_every_shape() {
        let before = version_1();
        assert!(gridveil_protocol::params::SHAPES.iter().all(|s| before.shapes.iter().any(|b| b.name == s.name)));
        assert_eq!(before.circuit_version, 1);
    }

    #[test]
    fn a_full_batch_uses_every_operation_slot_and_is_valid() {
        let shape = Shape { members: 16, operations: 12, ..Shape::by_name("tiny-4x2").unwrap() };
        let t = gridveil_protocol::settlement::apply(full(shape).unwrap()).unwrap();
        assert_eq!(t.applied.slots.iter().filter(|operation_slot| operation_slot.used.is_some()).count(), 12);
        assert!(t.applied.correction.used.is_some());
    }
}
