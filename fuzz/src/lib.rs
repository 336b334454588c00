//! One function for every decoder of bytes that somebody else wrote.
//!
//! A function takes any bytes. It decodes them, and where that succeeds it checks that the value survives being written
//! and read again. It panics only where the project has a fault. `fuzz_targets/` gives each to libFuzzer;
//! `tests/smoke.rs` runs each with the mutations of [`harness`], on a stable compiler (`docs/how-to/fuzz.md`).
#![forbid(unsafe_code)]

pub mod client;
pub mod harness;
pub mod l1;
pub mod operator;
pub mod protocol;
pub mod prover;

use serde::{Serialize, de::DeserializeOwned};

/// A decoder's function.
pub type Check = fn(&[u8]);

/// Every target by the name of its file in `fuzz_targets/`.
pub const TARGETS: [(&str, Check); 39] = [
    ("packet", protocol::packet),
    ("packet_json", protocol::packet_json),
    ("operation", protocol::operation),
    ("header_operation", protocol::header_operation),
    ("receipt_request", protocol::receipt_request),
    ("receipt", protocol::receipt),
    ("opening", protocol::opening),
    ("holding", protocol::holding),
    ("retirement", protocol::retirement),
    ("curve_points", protocol::curve_points),
    ("text", protocol::text),
    ("records", l1::records),
    ("settle_calldata", l1::settle_calldata),
    ("proof", l1::proof),
    ("meter_csv", client::meter_csv),
    ("meter_green_button", client::meter_green_button),
    ("meter_nem12", client::meter_nem12),
    ("meter_p1", client::meter_p1),
    ("meter_sml", client::meter_sml),
    ("meter_xlsx", client::meter_xlsx),
    ("meter_mscons", client::meter_mscons),
    ("meter_ocmf", client::meter_ocmf),
    ("meter_mapping", client::meter_mapping),
    ("key_file", client::key_file),
    ("genesis", client::genesis),
    ("exchange_file", client::exchange_file),
    ("api_answer", client::api_answer),
    ("log_record", operator::log_record),
    ("log_file", operator::log_file),
    ("data_key_file", operator::data_key_file),
    ("secret_file", operator::secret_file),
    ("community_file", operator::community_file),
    ("admin_request", operator::admin_request),
    ("proof_job", prover::proof_job),
    ("spool_result", prover::spool_result),
    ("queue_envelope", prover::queue_envelope),
    ("queue_address", prover::queue_address),
    ("cache_file", prover::cache_file),
    ("ptau", prover::ptau),
];

/// Reads JSON; a value that was read is written, read again and written again, to the same value and the same bytes.
fn json<T: Serialize + DeserializeOwned + PartialEq>(data: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(data).ok()?;
    let written = serde_json::to_vec(&value).expect("a value that was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert!(again == value, "the value changed on its way through {}", String::from_utf8_lossy(&written));
    assert_eq!(serde_json::to_vec(&again).ok().as_ref(), Some(&written), "one value, two spellings");
    Some(value)
}

/// A directory with `data` in a file of that name, for decoders that take a path.
fn file_of(data: &[u8], name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().expect("the system gives a temporary directory");
    let path = directory.path().join(name);
    std::fs::write(&path, data).expect("a temporary file can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).expect("a temporary file is the process's own");
    (directory, path)
}
