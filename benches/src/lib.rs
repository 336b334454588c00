//! What Gridveil costs, measured: `cargo run -p gridveil-benches` prints a table and writes `benches/results/latest.json`.
//!
//! Columns: `keygen_s` circuit layout and both keys, without parameters; `prove_s` from a job to its checked proof, `prove_cpu_s` the same in
//! processor time; `peak_rss_bytes` of a process that reads keys and makes one proof; `gas_settle` of the whole L1 transaction on anvil; a
//! *reading* is one interval of one slot (import and export). Not measured here: `null`.

pub mod contract;
pub mod native;
pub mod report;
pub mod run;
