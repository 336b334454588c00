//! What the tests of the binary share: how it is run, where it keeps keys, and whose turn it is.

#[path = "../../../prover/tests/suite/common/postgres.rs"]
pub mod postgres;
pub mod process;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The binary, from the project's folder.
pub fn gridveil() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridveil"));
    command.current_dir(ROOT);
    command
}

/// Keys and parameters that all tests and `make demo` share: made once, then kept.
pub fn cache() -> PathBuf {
    Path::new(ROOT).join("target/cache/gridveil")
}

/// One test at a time of those that run services and provers: each has processes enough for every processor, and waits
/// that a busy machine would not keep.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Is there no chain to run? Says so where not.
pub fn chain_is_missing() -> bool {
    let missing = !Path::new(ROOT).join("verifier-contract/node_modules/@foundry-rs").exists();
    if missing {
        println!("skipped: npm packages are not installed (make test installs them)");
    }
    missing
}

/// A file that only its owner reads.
pub fn write_secret(path: impl AsRef<Path>, secret: &str) {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).unwrap().write_all(secret.as_bytes()).unwrap();
}

/// What a node answers to any call.
pub fn node(url: &str, method: &str, params: serde_json::Value) -> serde_json::Value {
    use std::io::{Read as _, Write as _};
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let head = "POST / HTTP/1.1\r\nconnection: close\r\ncontent-type: application/json";
    let request = format!("{head}\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let answer: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    answer.get("result").unwrap_or_else(|| panic!("{method}: {answer}")).clone()
}
