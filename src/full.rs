//! Every command, and the function behind each.

use std::{ffi::OsString, path::PathBuf};

use clap::{CommandFactory as _, Parser, Subcommand};
use gridveil_cli::{common::text::one_line, config, deployment, household, rpc_file};
use gridveil_telemetry::TelemetryArgs;

#[derive(Parser)]
#[command(
    name = "gridveil",
    version,
    about = "Private settlement of energy communities on a zero-knowledge rollup",
    after_help = "Example:\n  gridveil simulate"
)]
pub(crate) struct Cli {
    /// Deployment file (`gridveil operator deploy`): contract, chain, node, parameters and shapes, where no option says
    /// otherwise.
    #[arg(long, value_name = "FILE", global = true, env = "GRIDVEIL_DEPLOYMENT")]
    deployment: Option<PathBuf>,
    /// A household's file (`gridveil member init`), for `member` and `meter`: where, who and with what, where no option says
    /// otherwise. If absent, household.toml in this folder.
    #[arg(long, value_name = "FILE", global = true, env = "GRIDVEIL_HOUSEHOLD")]
    household: Option<PathBuf>,
    /// File with addresses of L1 nodes, one a line, mode 0600, where no --rpc says otherwise: for those with a key in them,
    /// which everybody on the machine can read on a command line.
    #[arg(long, value_name = "FILE", global = true, env = "GRIDVEIL_RPC_FILE")]
    rpc_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Clears one interval of a local market and draws its merit order.
    Market(gridveil_demo::market::Args),
    /// Settles measured days natively, without proofs, and checks that nothing is lost.
    Simulate(gridveil_demo::simulate::Args),
    /// Runs everything together on this machine: chain, sequencer, prover, meters, auditor.
    Demo(gridveil_demo::demo::Args),
    /// A member's side: keys, meter files, packets, statements.
    Meter(gridveil_cli::meter::Args),
    /// An account in its owner's hands: money, certificates, leaving.
    Member(gridveil_cli::member::Args),
    /// The meter data manager's side: enrolments, substitutes, decisions over a community.
    Mdm(gridveil_cli::mdm::Args),
    /// Admits packets, clears the market, batches, settles on L1, gives receipts.
    Sequencer(gridveil_cli::sequencer::Args),
    /// The sequencer's file: checked, shown, and an example of it.
    Config(config::Args),
    /// The operator's side of a running sequencer: status, closing, supplier accounts.
    Operator(gridveil_cli::operator::Args),
    /// A local chain with contract and sequencer, to try all of this on.
    Devnet(gridveil_demo::devnet::Args),
    /// Many simulated members against a real sequencer, with loss, late days, kills and lost folders.
    Fleet(gridveil_demo::fleet::Args),
    /// Proofs: parameters, keys, a worker process.
    Prover(gridveil_cli::prover::Args),
    /// Replays a deployment from L1 alone and verifies every proof.
    #[command(after_help = gridveil_cli::audit::EXAMPLE)]
    Audit(gridveil_cli::audit::AuditArgs),
    /// Compares a deployment file with the chain, and its verifiers with circuit and ceremony.
    VerifyDeployment(gridveil_cli::verify_deployment::Args),
    /// Measures this machine: proofs, growth with the shape, a simulated city, memory over many proofs.
    #[command(after_help = "Example:\n  gridveil bench scale --sample 16")]
    Bench(gridveil_benches::cli::BenchArgs),
}

/// Warnings go to stderr, and of a service what becomes of its work (`RUST_LOG` chooses others). What is logged never holds a
/// reading, key, salt, path or address.
///
/// # Errors
/// One line for a person.
pub(crate) fn begin(cli: &Cli) -> Result<(), String> {
    let default = match &cli.command {
        Command::Sequencer(_) => {
            "warn,rustls_platform_verifier=off,gridveil_sequencer=info,gridveil_prover::progress=info,gridveil_cli::sequencer=info"
        }
        Command::Prover(_) => "warn,rustls_platform_verifier=off,gridveil_prover=info",
        _ => "warn,rustls_platform_verifier=off",
    };
    let (service, args) = match &cli.command {
        Command::Sequencer(args) => ("gridveil-sequencer", Some(args.telemetry())),
        Command::Prover(args) => ("gridveil-prover", args.telemetry()),
        _ => ("gridveil", None),
    };
    let none = TelemetryArgs::default();
    gridveil_telemetry::begin(service, default, args.unwrap_or(&none)).map_err(|error| one_line(&error.into()))
}

/// The command line, with what files say where no option does.
///
/// # Errors
/// One line for a person.
pub(crate) fn command(words: &[OsString]) -> Result<clap::Command, String> {
    let command = deployment::command(Cli::command(), words).map_err(|error| one_line(&error))?;
    let command = household::command(command, words).map_err(|error| one_line(&error.into()))?;
    let command = config::settings::command(command, words).map_err(|error| one_line(&error.into()))?;
    rpc_file::command(command, words).map_err(|error| one_line(&error))
}

/// Runs a command.
///
/// # Errors
/// One line for a person.
pub(crate) fn run(cli: Cli) -> Result<(), String> {
    let result = match cli.command {
        Command::Market(args) => gridveil_demo::market::run(&args),
        Command::Simulate(args) => gridveil_demo::simulate::run(&args),
        Command::Demo(args) => gridveil_demo::demo::run(&args),
        Command::Meter(args) => gridveil_cli::meter::run(args).map_err(Into::into),
        Command::Member(args) => gridveil_cli::member::run(&args),
        Command::Mdm(args) => gridveil_cli::mdm::run(&args),
        Command::Config(args) => config::run(&args, Cli::command()),
        Command::Operator(args) => gridveil_cli::operator::run(&args),
        Command::Devnet(args) => gridveil_demo::devnet::run(&args),
        Command::Fleet(args) => gridveil_demo::fleet::run(&args),
        Command::Sequencer(args) => gridveil_cli::sequencer::run(&args),
        Command::Prover(args) => gridveil_cli::prover::run(args).map_err(Into::into),
        Command::Audit(args) => gridveil_cli::audit::run(&args),
        Command::VerifyDeployment(args) => gridveil_cli::verify_deployment::run(&args),
        Command::Bench(args) => gridveil_benches::cli::run(args),
    };
    gridveil_telemetry::end();
    result.map_err(|error| one_line(&error))
}
