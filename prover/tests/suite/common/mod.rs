//! What the prover's tests share.

pub mod postgres;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys and parameters that all tests and `make demo` share: made once, then kept. Tests run in the package's folder.
pub const CACHE: &str = "../target/cache/gridveil";

/// One test at a time of those that start processes: each has processes enough for every processor, and leases of
/// seconds.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
