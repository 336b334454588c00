//! What is in memory stays there. Every command opens keys or readings, and a core dump is a file with all of them, which
//! services of the system collect, keep and send elsewhere.

use rustix::process::{Resource, Rlimit, setrlimit};

/// No core dump of this process or of those it starts, and no look into it by others of the same user.
///
/// # Errors
/// The system refuses.
pub(crate) fn keep_in_this_process() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // A limit does not hold for a program that the system pipes dumps into; this does.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
