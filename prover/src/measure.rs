//! What a step costs this process: processor time and peak memory.

use std::time::Duration;

/// Processor time of all threads of this process since it started.
#[must_use]
pub fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
    #[cfg(not(unix))]
    Duration::ZERO
}

/// Largest resident memory of this process so far, bytes; 0 where the system does not say (not Linux).
#[must_use]
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")).and_then(|number| number.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Whole milliseconds of a duration.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_grows() {
        let before = cpu_time();
        let mut x = 1u64;
        while cpu_time() == before {
            x = x.wrapping_mul(3);
        }
        assert!(cpu_time() > before, "{x}");
        if cfg!(target_os = "linux") {
            assert!(peak_rss_bytes() > 1 << 20);
        }
    }
}
