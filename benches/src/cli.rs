//! The commands: `gridveil bench …`, and the same as `cargo run -p gridveil-benches -- …`.

use clap::{Args, Subcommand};

use crate::{certificate, growth, load, log, operations, provers, run, scale, soak};

/// Options of `gridveil bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: Bench,
}

/// What to measure.
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Keys, proofs, memory and gas of the deployable shapes: benches/results/latest.json.
    Report(ReportArgs),
    /// Rows, proving time, memory and gas as members and intervals grow: benches/results/growth.json.
    Growth(growth::Args),
    /// One spending of a certificate, proved on one processor by both engines: benches/results/certificate.json.
    #[command(after_help = "Example:\n  gridveil bench certificate")]
    Certificate(certificate::Args),
    /// Rows, proofs and gas of operations, beside the version without them: benches/results/operations.json.
    Operations(operations::Args),
    /// A day of a simulated city, and what a larger one would take: benches/results/scale.json.
    Scale(scale::Args),
    /// Many proofs in one process: memory must not grow. benches/results/soak.json.
    Soak(soak::Args),
    /// The same batches by one prover process and by several: benches/results/provers.json.
    Provers(provers::Args),
    /// How long a sequencer's log takes to open, and how much memory: benches/results/log.json.
    Log(log::Args),
    /// A sequencer under load, while periods close, proofs are made and receipts are read: benches/results/load.json.
    Load(load::Args),
}

/// Options of `bench report`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "Example:\n  gridveil bench report home-32x24")]
pub struct ReportArgs {
    /// Shapes; all deployable ones if none is given.
    #[arg(value_name = "SHAPE")]
    shapes: Vec<String>,
}

impl ReportArgs {
    /// Measures.
    ///
    /// # Errors
    /// Those of [`run::main`].
    pub fn run(self) -> anyhow::Result<()> {
        run::main(self.shapes.into_iter())
    }
}

/// Runs a command.
///
/// # Errors
/// Those of the command.
pub fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.command {
        Bench::Report(args) => args.run(),
        Bench::Growth(args) => growth::run(&args),
        Bench::Certificate(args) => certificate::run(&args),
        Bench::Operations(args) => operations::run(&args),
        Bench::Scale(args) => scale::run(&args),
        Bench::Soak(args) => soak::run(&args),
        Bench::Provers(args) => provers::run(&args),
        Bench::Log(args) => log::run(&args),
        Bench::Load(args) => load::run(&args),
    }
}
