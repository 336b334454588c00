//! `bench [COMMAND]`: see the library. Without a command, the report.

use clap::Parser;
use gridveil_benches::{
    cli::{self, BenchArgs, ReportArgs},
    run,
};

#[derive(Parser)]
#[command(
    name = "bench",
    about = "What Gridveil costs, measured",
    after_help = "Example:\n  cargo run -p gridveil-benches -- scale --sample 16"
)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

fn main() -> anyhow::Result<()> {
    // A measuring process is this program again; it takes no arguments.
    if run::is_child() || std::env::args().len() == 1 {
        return ReportArgs::default().run();
    }
    cli::run(Cli::parse().bench)
}
