//! The report's form.

use serde::{Deserialize, Serialize};

use crate::table::aligned;

/// `benches/results/latest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Processor, threads, memory, system.
    pub machine: String,
    /// What proofs were made with: `avx512-ifma` or `portable` (halo2's own prover).
    #[serde(default)]
    pub engine: String,
    /// Packet signatures checked natively, all threads.
    pub packets_verified_per_s: f64,
    /// One entry a shape.
    pub shapes: Vec<ShapeReport>,
}

/// One shape. `None` is what could not be measured here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeReport {
    /// Shape.
    pub name: String,
    /// Slots.
    pub members: usize,
    /// Intervals of a period.
    pub intervals: usize,
    /// Keys, seconds.
    pub keygen_s: f64,
    /// Job to checked proof, seconds.
    pub prove_s: f64,
    /// The same, processor time, seconds.
    pub prove_cpu_s: f64,
    /// Peak memory of the proving process, bytes.
    pub peak_rss_bytes: u64,
    /// Proof, bytes.
    pub proof_bytes: usize,
    /// Runtime bytecode of the verifier, bytes.
    pub verifier_bytes: Option<usize>,
    /// Gas of the settling transaction.
    pub gas_settle: Option<u64>,
    /// Gas of one interval of one slot.
    pub gas_per_reading: Option<f64>,
    /// Intervals of slots proved a second.
    pub readings_per_s: f64,
}

impl ShapeReport {
    /// Readings of one batch.
    #[must_use]
    pub fn readings(members: usize, intervals: usize) -> f64 {
        (members * intervals) as f64
    }
}

fn decimals(value: f64, places: usize) -> String {
    format!("{value:.places$}")
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// Rounded to three decimals, so that the file does not claim more than was measured.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl Report {
    /// An aligned table: one row a quantity, one column a shape.
    #[must_use]
    pub fn table(&self) -> String {
        let row = |name: &str, cell: &dyn Fn(&ShapeReport) -> String| -> Vec<String> {
            std::iter::once(name.to_owned()).chain(self.shapes.iter().map(cell)).collect()
        };
        let rows = [
            row("", &|shape| shape.name.clone()),
            row("members x intervals", &|shape| format!("{} x {}", shape.members, shape.intervals)),
            row("keygen, s", &|shape| decimals(shape.keygen_s, 1)),
            row("prove, s", &|shape| decimals(shape.prove_s, 1)),
            row("prove, processor s", &|shape| decimals(shape.prove_cpu_s, 1)),
            row("peak memory, MiB", &|shape| (shape.peak_rss_bytes >> 20).to_string()),
            row("proof, bytes", &|shape| shape.proof_bytes.to_string()),
            row("verifier, bytes", &|shape| optional(shape.verifier_bytes)),
            row("gas, settle", &|shape| optional(shape.gas_settle)),
            row("gas, per reading", &|shape| optional(shape.gas_per_reading.map(|gas| decimals(gas, 1)))),
            row("readings per s", &|shape| decimals(shape.readings_per_s, 0)),
        ];
        format!("{}\n\n{}", self.machine, aligned(&rows))
    }
}

/// Processor, threads, memory and system of this machine.
#[must_use]
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let memory =
        field(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok());
    let memory = memory.map_or_else(String::new, |kib| format!(", {} GiB", (kib + (1 << 19)) >> 20));
    format!("{processor}, {threads} threads{memory}, {} {}", std::env::consts::OS, std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let shape = |name: &str, gas| ShapeReport {
            name: name.into(),
            members: 32,
            intervals: 24,
            keygen_s: 3.25,
            prove_s: 10.0,
            prove_cpu_s: 19.5,
            peak_rss_bytes: 1 << 30,
            proof_bytes: 2_000,
            verifier_bytes: Some(20_000),
            gas_settle: gas,
            gas_per_reading: gas.map(|gas| gas as f64 / 768.0),
            readings_per_s: 76.8,
        };
        Report {
            machine: "m".into(),
            engine: "portable".into(),
            packets_verified_per_s: 5000.0,
            shapes: vec![shape("home-32x24", Some(768_000)), shape("x", None)],
        }
    }

    #[test]
    fn the_file_has_exactly_its_fields() {
        let json = serde_json::to_value(report()).unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&json).len(), 4);
        assert_eq!(keys(&json["shapes"][0]).len(), 12);
        assert!(json["shapes"][1]["gas_settle"].is_null());
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report());
    }

    #[test]
    fn the_table_is_aligned() {
        let table = report().table();
        let widths: Vec<usize> = table.lines().skip(2).map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        assert!(table.contains("1000.0") && table.contains(" -"));
    }
}
