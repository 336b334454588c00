//! What Gridveil costs, measured: `cargo run -p gridveil-benches` prints a table and writes
//! `benches/results/latest.json`.
//!
//! Columns: `keygen_s` circuit layout and both keys, without parameters; `prove_s` from a job to its checked proof,
//! `prove_cpu_s` the same in processor time; `peak_rss_bytes` of a process that reads keys and makes one proof;
//! `gas_settle` of the whole L1 transaction on anvil; a *reading* is one interval of one slot (import and export). Not
//! measured here: `null`.
//!
//! Beside the report ([`run`]): [`scale`], a day of a simulated city and what a larger one would take; [`growth`], how
//! cost grows with the shape; [`operations`], what operations and certificates add; [`certificate`], a wallet's proof;
//! [`soak`], many proofs in one process; [`provers`], one prover process and several;
//! [`load`], a sequencer under load. Their figures carry their basis ([`figure`]).

pub mod bar;
pub mod certificate;
pub mod cli;
pub mod contract;
pub mod figure;
pub mod growth;
pub mod load;
pub mod log;
pub mod memory;
pub mod native;
pub mod operations;
pub mod provers;
pub mod report;
pub mod run;
pub mod scale;
pub mod soak;
pub mod table;

/// Where results are kept.
pub const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

/// Writes to standard output; a reader that has gone away is not an error.
///
/// # Errors
/// Any other failure to write.
pub fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
