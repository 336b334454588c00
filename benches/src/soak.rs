//! `soak`: many batches of different communities through the prover's own queue, in one process. Memory must not grow.
//!
//! Two phases. First one job at a time, as a prover is run: memory of its own is read when a proof is done and the next
//! has not begun, so the samples are comparable. Then two at a time, so that the table of one batch is built while the
//! one before is proved: throughput and the memory that costs. In both the next batch is made (packets, signatures,
//! state) while a proof is under way.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_protocol::{
    fixture::{self, Recipe},
    market::Mechanism,
    params::Shape,
};
use gridveil_prover::{
    cli::CacheArgs,
    job::{JobId, ProofJob, ProofResult},
    measure::peak_rss_bytes,
    pool::{JobState, PoolConfig, PoolError, ProverPool},
    progress::{Progress as _, Reporter},
    prover::{Prove, Prover, ProverConfig},
};
use serde::{Deserialize, Serialize};

use crate::{
    bar::Bar,
    figure::{Figure, LEGEND, number},
    memory::{mib, own_bytes},
    report::machine,
    table::{aligned, row},
};

/// Form of the file; changes with its fields.
pub const FORM: &str = "gridveil soak 2";
/// Batches at the beginning that are not compared, while buffers and the allocator come to their size; then so many at
/// the beginning and at the end that are, by the least memory among them. What a leak keeps is there after every batch,
/// while the next one, which is being made, is there after some.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Not compared.
    pub skipped: usize,
    /// Compared, at either end.
    pub window: usize,
}

/// Of the command.
pub const WINDOWS: Windows = Windows { skipped: 40, window: 20 };
/// How long one proof may take before the soak gives up.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Options of `bench soak`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  gridveil bench soak --batches 200 --shape home-32x24")]
pub struct Args {
    /// Batches, one at a time; half as many follow two at a time.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(80..))]
    batches: u32,
    /// Shape.
    #[arg(long, default_value = "home-32x24")]
    shape: String,
    /// Largest growth of memory from the twenty batches from the 41st on to the last twenty, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    max_growth_percent: f64,
    #[command(flatten)]
    cache: CacheArgs,
    /// Where `soak.json` is written; benches/results of the sources by default.
    #[arg(long, value_name = "DIRECTORY", default_value = crate::RESULTS, hide_default_value = true)]
    results: PathBuf,
    /// Prints the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// `benches/results/soak.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoakReport {
    /// [`FORM`].
    pub form: String,
    /// Processor, threads, memory, system.
    pub machine: String,
    /// Shape.
    pub shape: String,
    /// Memory of its own before the first batch, keys loaded.
    pub before: Figure,
    /// The same after each batch, one at a time.
    pub after_batch: Vec<Figure>,
    /// [`Windows::growth_percent`].
    pub growth: Figure,
    /// Largest growth allowed.
    pub bound: Figure,
    /// One job at a time.
    pub one_at_a_time: Throughput,
    /// Two: the next table is built while a proof is made.
    pub two_at_a_time: Throughput,
}

/// Speed of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Proofs, each verified.
    pub proofs: Figure,
    /// Wall clock from the first job to the last proof.
    pub wall: Figure,
    /// Proofs an hour.
    pub per_hour: Figure,
    /// Job to checked proof, mean.
    pub per_proof: Figure,
    /// Largest resident memory of the process so far.
    pub peak_memory: Figure,
}

/// What a phase came to.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    /// Memory of its own when each proof was done, bytes, in the order they were.
    pub memory: Vec<u64>,
    /// First job to last proof, s.
    pub wall_s: f64,
    /// Sum over proofs of job to checked proof, s.
    pub job_s: f64,
    /// Largest resident memory of the process so far, bytes.
    pub peak: u64,
}

impl Windows {
    /// The least memory of either window, bytes; `None` if they overlap.
    #[must_use]
    pub fn ends(self, memory: &[u64]) -> Option<[u64; 2]> {
        let settled = memory.get(self.skipped..).filter(|settled| settled.len() >= 2 * self.window)?;
        let (first, last) = (settled.get(..self.window)?, settled.get(settled.len() - self.window..)?);
        Some([*first.iter().min()?, *last.iter().min()?])
    }

    /// Growth between the two, in percent; `None` without them.
    #[must_use]
    pub fn growth_percent(self, memory: &[u64]) -> Option<f64> {
        let [start, end] = self.ends(memory)?.map(|bytes| bytes as f64);
        (start > 0.0).then(|| (end / start - 1.0) * 100.0)
    }
}

/// Proves the batches of `seeds` through a queue of `workers`, verifies each with `verify`, and forgets it, as the
/// sequencer does.
///
/// # Errors
/// A batch that is not proved, or a proof that does not verify.
pub fn phase(
    prover: Arc<dyn Prove>,
    workers: usize,
    seeds: std::ops::Range<u64>,
    batch: impl Fn(u64) -> anyhow::Result<ProofJob>,
    verify: impl Fn(&ProofResult) -> anyhow::Result<()>,
    bar: &Bar,
) -> anyhow::Result<Phase> {
    let samples = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&samples);
    // Told on the worker's thread, before it takes the next job: with one worker nothing is being proved when memory is
    // read.
    let notify = move |_: JobId, state: &JobState| {
        if state.is_final() {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(own_bytes());
        }
    };
    let pool = ProverPool::start_with(prover, PoolConfig { queue: 1, workers, attempts: 1 }, notify)?;
    let (start, mut waiting, mut phase) = (Instant::now(), std::collections::VecDeque::new(), Phase::default());
    let mut collect = |id: JobId| -> anyhow::Result<()> {
        match pool.wait(id, PATIENCE) {
            Some(JobState::Done(result)) => {
                verify(&result)?;
                let t = result.timings;
                phase.job_s += (t.witness_ms + t.prove_ms + t.verify_ms) as f64 / 1000.0;
                // The queue keeps results until they are fetched: that is not a leak, so it is emptied as the sequencer
                // empties it.
                pool.forget(id);
                bar.step();
                Ok(())
            }
            other => bail!("a batch was not proved: {other:?}"),
        }
    };
    for seed in seeds {
        // Made while the one before is proved; a full queue only means that it has to wait.
        let job = batch(seed)?;
        loop {
            match pool.submit(job.clone()) {
                Ok(id) => break waiting.push_back(id),
                Err(PoolError::Full { .. }) => match waiting.pop_front() {
                    Some(first) => collect(first)?,
                    // Its place is free as soon as the worker has taken the job before.
                    None => std::thread::sleep(Duration::from_millis(1)),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }
    waiting.into_iter().try_for_each(&mut collect)?;
    phase.wall_s = start.elapsed().as_secs_f64();
    pool.shutdown();
    phase.peak = peak_rss_bytes();
    phase.memory = std::mem::take(&mut *samples.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(phase)
}

/// A batch of a community of its own: accounts, readings and limits follow from the seed.
///
/// # Errors
/// Signing errors, practically never.
pub fn batch(shape: Shape, seed: u64) -> anyhow::Result<ProofJob> {
    let mechanism = if seed.is_multiple_of(2) { Mechanism::Auction } else { Mechanism::CommunityPrice };
    let used = shape.members - usize::try_from(seed % 3)?.min(shape.members - 1);
    Ok(ProofJob::new(seed, fixture::settlement(&Recipe { shape, seed, mechanism, used })?))
}

/// Runs the command.
///
/// # Errors
/// A batch that is not proved or does not verify; memory that grew by more than the bound.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let shape = Shape::by_name(&args.shape).with_context(|| format!("no shape {}", args.shape))?;
    let progress = Reporter::stderr();
    let config = ProverConfig::local(&args.cache.directory(), vec![shape]);
    let prover = Arc::new(Prover::<SettlementCircuit>::open(&config, &progress)?);
    progress.finish();
    let before = own_bytes();
    let (first, second) = (u64::from(args.batches), u64::from(args.batches / 2));
    let bar = Bar::stderr("proofs", first + second);
    let phase = |workers, seeds| {
        let verify = |result: &ProofResult| Ok(prover.verify(result)?);
        phase(Arc::clone(&prover) as Arc<dyn Prove>, workers, seeds, |seed| batch(shape, seed), verify, &bar)
    };
    let one = phase(1, 1..first + 1)?;
    let two = phase(2, first + 1..first + 1 + second)?;
    drop(bar);
    let report = report(shape.name, before, args.max_growth_percent, &one, &two)?;
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let file = args.results.join("soak.json");
    fs::write(&file, &json).with_context(|| file.display().to_string())?;
    crate::print(&if args.json { json } else { report.render() })?;
    eprintln!("written to {}", file.display());
    ensure!(
        report.holds(),
        "memory grew by {} % from the batches from the 41st on to the last ones, more than {}",
        number(report.growth.value),
        report.bound
    );
    Ok(())
}

/// The report of two phases.
///
/// # Errors
/// Too few batches to speak of growth.
pub fn report(shape: &str, before: u64, bound_percent: f64, one: &Phase, two: &Phase) -> anyhow::Result<SoakReport> {
    let growth = WINDOWS.growth_percent(&one.memory).with_context(|| {
        format!("growth needs {} batches, and a system that tells memory", WINDOWS.skipped + 2 * WINDOWS.window)
    })?;
    let memory = |bytes: u64| Figure::measured((mib(bytes) * 10.0).round() / 10.0, "MiB");
    let throughput = |phase: &Phase| {
        let proofs = phase.memory.len() as f64;
        Throughput {
            proofs: Figure::measured(proofs, ""),
            wall: Figure::measured(phase.wall_s, "s"),
            per_hour: Figure::measured(proofs * 3600.0 / phase.wall_s.max(1e-9), "1/h"),
            per_proof: Figure::measured(phase.job_s / proofs.max(1.0), "s"),
            peak_memory: memory(phase.peak),
        }
    };
    Ok(SoakReport {
        form: FORM.into(),
        machine: machine(),
        shape: shape.into(),
        before: memory(before),
        after_batch: one.memory.iter().copied().map(memory).collect(),
        growth: Figure::measured(growth, "%"),
        bound: Figure::assumed(bound_percent, "%"),
        one_at_a_time: throughput(one),
        two_at_a_time: throughput(two),
    })
}

impl SoakReport {
    /// Did memory stay within the bound?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.growth.value <= self.bound.value
    }

    /// Tables.
    #[must_use]
    pub fn render(&self) -> String {
        let mut memory =
            vec![row(["memory of its own, MiB", ""]), vec!["before the first batch".into(), self.before.cell()]];
        memory.extend(
            self.after_batch
                .iter()
                .enumerate()
                .map(|(index, memory)| vec![format!("after batch {}", index + 1), memory.cell()]),
        );
        memory.push(vec!["growth, least of 41 to 60 to least of the last 20".into(), self.growth.to_string()]);
        memory.push(vec!["allowed".into(), self.bound.to_string()]);
        let phases = [&self.one_at_a_time, &self.two_at_a_time];
        let line = |name: &str, of: fn(&Throughput) -> &Figure| -> Vec<String> {
            std::iter::once(name.to_owned()).chain(phases.iter().map(|p| of(p).cell())).collect()
        };
        let speed = [
            row(["throughput", "one at a time", "two at a time"]),
            line("proofs, each verified", |p| &p.proofs),
            line("wall clock, s", |p| &p.wall),
            line("proofs an hour", |p| &p.per_hour),
            line("job to checked proof, mean, s", |p| &p.per_proof),
            line("peak memory so far, MiB", |p| &p.peak_memory),
        ];
        format!(
            "{}\n{}, batches of different communities in one process; {LEGEND}\n\n{}\n{}",
            self.machine,
            self.shape,
            aligned(&memory),
            aligned(&speed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::unlabelled;

    #[test]
    fn growth_is_of_the_least_memory_of_several_batches() {
        let of = Windows { skipped: 4, window: 5 };
        // What is there after some batches is no growth; what is there after all is.
        let some = [900, 950, 990, 995, 1000, 1030, 1000, 1030, 1000, 1030, 1030, 1000, 1030, 1030];
        assert_eq!((of.ends(&some), of.growth_percent(&some)), (Some([1000, 1000]), Some(0.0)));
        let all = [900, 950, 990, 995, 1000, 1000, 1000, 1000, 1000, 1100, 1100, 1050, 1100, 1100];
        assert_eq!(of.growth_percent(&all).map(f64::round), Some(5.0));
        assert_eq!(of.growth_percent(&all[..13]), None, "the two ends overlap");
        assert_eq!(of.growth_percent(&[0; 20]), None, "a system that does not tell");
    }

    #[test]
    fn every_figure_is_labelled_and_a_leak_does_not_hold() {
        let phase = |step: u64| Phase {
            memory: (0..100).map(|i| (100 << 20) + i * step).collect(),
            wall_s: 40.0,
            job_s: 38.0,
            peak: 200 << 20,
        };
        let good = report("tiny-4x2", 90 << 20, 5.0, &phase(1 << 10), &phase(0)).unwrap();
        let json = serde_json::to_value(&good).unwrap();
        assert_eq!(unlabelled(&json), Vec::<String>::new());
        assert_eq!(serde_json::from_value::<SoakReport>(json).unwrap(), good);
        assert!(good.holds() && good.render().contains("9,000 m"));
        assert!(!report("tiny-4x2", 90 << 20, 5.0, &phase(1 << 20), &phase(0)).unwrap().holds());
    }
}
