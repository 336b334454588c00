//! What the tests of measurements share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys and parameters that all tests and `make demo` share: made once, then kept. Tests run in the package's folder.
pub const CACHE: &str = "../target/cache/gridveil";

/// The process alone: what one test measures, its memory among it, no other test may change.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
