//! Memory of this process.

/// Memory of its own that the process has now, resident or swapped out, bytes; 0 where the system does not say (not
/// Linux). Pages of files come and go as the system needs them, and are not counted.
#[must_use]
pub fn own_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    (kilobytes("RssAnon:").unwrap_or(0) + kilobytes("VmSwap:").unwrap_or(0)) * 1024
}

/// Bytes in MiB, for figures.
#[must_use]
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1u32 << 20)
}
