//! `provers`: the same batches through one queue by one prover process and by several. Once with a stand-in that takes
//! a fixed time and no processor, which measures the queue alone; once with real proofs, one thread a process. And how
//! long the job of a killed prover waits for another.
//!
//! Every worker is a process of its own, this program again. It serves the queue as `gridveil prover run` does. The
//! clock runs from the first job handed over, when all workers are there, to the last result.

mod worker;

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_protocol::params::Shape;
use gridveil_prover::{
    cli::CacheArgs,
    job::{JobId, ProofJob},
    progress::{Progress as _, Reporter},
    prover::{Prover, ProverConfig},
    worker::LEASE,
};
use serde::{Deserialize, Serialize};

pub(crate) use worker::{At, Task, Workers, child};

use crate::{
    bar::Bar,
    figure::{Figure, LEGEND, number},
    report::machine,
    soak::batch,
    table::{aligned, row},
};

/// Form of the file; changes with its fields.
pub const FORM: &str = "gridveil provers 1";
/// What one worker more has to bring, of real proofs with one thread each on two processors.
pub const REAL_AT_LEAST: f64 = 1.7;
/// What four workers have to bring with the stand-in.
pub const STAND_IN_AT_LEAST: f64 = 3.8;
const STAND_IN_WORKERS: usize = 4;
const REAL_WORKERS: usize = 2;
/// How long anything may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Between looks at the queue.
const LOOK: Duration = Duration::from_millis(20);

/// Options of `bench provers`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:
  gridveil bench provers
  gridveil bench provers --stand-in-alone

Measured through the PostgreSQL database that GRIDVEIL_QUEUE names, best one of
its own, and otherwise through a directory.")]
pub struct Args {
    /// Batches with the stand-in; a multiple of 4.
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(4..=400))]
    stand_in_batches: u16,
    /// How long the stand-in takes for a batch, milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    stand_in_ms: u32,
    /// Batches that are really proved; an even number.
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=1000))]
    batches: u16,
    /// Measures the stand-in alone: no processor is needed for it.
    #[arg(long)]
    stand_in_alone: bool,
    /// Shape.
    #[arg(long, default_value = "home-32x24")]
    shape: String,
    #[command(flatten)]
    cache: CacheArgs,
    /// Where `provers.json` is written; benches/results of the sources by default.
    #[arg(long, value_name = "DIRECTORY", default_value = crate::RESULTS, hide_default_value = true)]
    results: PathBuf,
    /// Prints the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// `benches/results/provers.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProversReport {
    /// [`FORM`].
    pub form: String,
    /// Processor, threads, memory, system.
    pub machine: String,
    /// Shape of the batches.
    pub shape: String,
    /// `directory` or `PostgreSQL database`.
    pub queue: String,
    /// With the stand-in.
    pub stand_in: Comparison,
    /// How long the stand-in takes for a batch.
    pub stand_in_takes: Figure,
    /// What one worker needs from a proof to the next one beside the stand-in: storing, claiming, opening.
    pub between: Figure,
    /// From the kill of a prover to the claim of its job by one that is idle.
    pub killed_waits: Figure,
    /// The lease.
    pub lease: Figure,
    /// With real proofs, if they were measured.
    pub real: Option<Comparison>,
}

/// One worker, and several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Batches, the same in both.
    pub batches: Figure,
    /// How many several are.
    pub workers: Figure,
    /// First job to last result, one worker.
    pub wall_one: Figure,
    /// The same, several.
    pub wall_several: Figure,
    /// Most leases that were held at once by several.
    pub leases_at_once: Figure,
    /// How many times as fast.
    pub times: Figure,
    /// What is asked for.
    pub at_least: Figure,
}

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// First job to last result, s.
    pub wall_s: f64,
    /// Most leases that were held at once.
    pub held: usize,
}

impl Comparison {
    /// Of two runs with so many batches.
    #[must_use]
    pub fn new(batches: usize, workers: usize, one: Run, several: Run, at_least: f64) -> Self {
        Self {
            batches: Figure::assumed(batches as f64, ""),
            workers: Figure::assumed(workers as f64, ""),
            wall_one: Figure::measured(one.wall_s, "s"),
            wall_several: Figure::measured(several.wall_s, "s"),
            leases_at_once: Figure::measured(several.held as f64, ""),
            times: Figure::measured(one.wall_s / several.wall_s.max(1e-9), "x"),
            at_least: Figure::assumed(at_least, "x"),
        }
    }

    /// As fast as asked for, with a lease a worker?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.times.value >= self.at_least.value && self.leases_at_once.value >= self.workers.value
    }
}

/// Proves the jobs by so many workers.
fn run_with(at: &At, task: &Task, workers: usize, jobs: &[ProofJob], bar: &Bar) -> anyhow::Result<Run> {
    let _workers = Workers::start(at, task, workers)?;
    let start = Instant::now();
    let ids = jobs.iter().map(|job| at.submit(job)).collect::<anyhow::Result<Vec<JobId>>>()?;
    let (mut held, mut done) = (0, 0);
    while done < ids.len() {
        ensure!(start.elapsed() < PATIENCE, "a batch was not proved within an hour");
        held = held.max(at.held()?.len());
        let proved = at.proved(&ids)?;
        (done..proved).for_each(|_| bar.step());
        done = proved;
        thread::sleep(LOOK);
    }
    let wall_s = start.elapsed().as_secs_f64();
    // The next run begins with an empty queue, and proves the same again.
    ids.iter().try_for_each(|id| at.forget(*id))?;
    Ok(Run { wall_s, held })
}

/// One worker, then several.
fn compare(
    at: &At,
    task: &Task,
    workers: usize,
    jobs: &[ProofJob],
    at_least: f64,
    bar: &Bar,
) -> anyhow::Result<Comparison> {
    let one = run_with(at, task, 1, jobs, bar)?;
    let several = run_with(at, task, workers, jobs, bar)?;
    Ok(Comparison::new(jobs.len(), workers, one, several, at_least))
}

/// Kills the worker of a job while another is idle: seconds until that one has it.
fn killed(at: &At, task: &Task, job: &ProofJob) -> anyhow::Result<f64> {
    let mut workers = Workers::start(at, task, 2)?;
    let id = at.submit(job)?;
    let start = Instant::now();
    let first = loop {
        ensure!(start.elapsed() < PATIENCE, "nobody took a job");
        match at.held()?.pop() {
            Some(worker) => break worker,
            None => thread::sleep(LOOK),
        }
    };
    workers.kill(&first)?;
    let killed = Instant::now();
    while !at.held()?.iter().any(|worker| *worker != first) {
        ensure!(killed.elapsed() < PATIENCE, "nobody took the killed worker's job");
        thread::sleep(LOOK);
    }
    let waited = killed.elapsed().as_secs_f64();
    drop(workers);
    at.forget(id)?;
    Ok(waited)
}

/// Runs the command.
///
/// # Errors
/// A batch that is not proved; less than what is asked for.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let shape = Shape::by_name(&args.shape).with_context(|| format!("no shape {}", args.shape))?;
    ensure!(
        args.stand_in_batches.is_multiple_of(4),
        "--stand-in-batches: a multiple of 4, so that four have equal shares"
    );
    ensure!(args.batches.is_multiple_of(2), "--batches: an even number, so that two have equal shares");
    let dir = tempfile::tempdir()?;
    let at = At::open(dir.path(), shape)?;
    let jobs = |count: u16| (1..=u64::from(count)).map(|seed| batch(shape, seed)).collect::<anyhow::Result<Vec<_>>>();

    let takes = Duration::from_millis(args.stand_in_ms.into());
    let bar = Bar::stderr("batches by the stand-in", 2 * u64::from(args.stand_in_batches));
    let task = Task::stand_in(&at, takes);
    let stand_in = compare(&at, &task, STAND_IN_WORKERS, &jobs(args.stand_in_batches)?, STAND_IN_AT_LEAST, &bar)?;
    drop(bar);
    let long = Task::stand_in(&at, PATIENCE);
    let killed_waits = killed(&at, &long, &batch(shape, 1)?)?;

    let real = if args.stand_in_alone { None } else { Some(real(args, &at, shape, &jobs(args.batches)?)?) };
    let between = stand_in.wall_one.value / f64::from(args.stand_in_batches) - takes.as_secs_f64();
    let report = ProversReport {
        form: FORM.into(),
        machine: machine(),
        shape: shape.name.into(),
        queue: at.name().into(),
        stand_in,
        stand_in_takes: Figure::assumed(takes.as_secs_f64(), "s"),
        between: Figure::computed(between, "s"),
        killed_waits: Figure::measured(killed_waits, "s"),
        lease: Figure::assumed(LEASE.as_secs_f64(), "s"),
        real,
    };
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let file = args.results.join("provers.json");
    fs::write(&file, &json).with_context(|| file.display().to_string())?;
    crate::print(&if args.json { json } else { report.render() })?;
    eprintln!("written to {}", file.display());
    for (what, part) in report.parts() {
        ensure!(
            part.holds(),
            "{what}: {} workers were {} times as fast as one, with {} leases at once; at least {} times and a lease a worker are asked for",
            number(part.workers.value),
            number(part.times.value),
            number(part.leases_at_once.value),
            number(part.at_least.value)
        );
    }
    Ok(())
}

fn real(args: &Args, at: &At, shape: Shape, jobs: &[ProofJob]) -> anyhow::Result<Comparison> {
    // Keys first, so that no worker makes them.
    let progress = Reporter::stderr();
    let cache = args.cache.directory();
    drop(Prover::<SettlementCircuit>::open(&ProverConfig::local(&cache, vec![shape]), &progress)?);
    progress.finish();
    let bar = Bar::stderr("batches proved", 2 * jobs.len() as u64);
    compare(at, &Task::real(at, cache), REAL_WORKERS, jobs, REAL_AT_LEAST, &bar)
}

impl ProversReport {
    fn parts(&self) -> impl Iterator<Item = (&'static str, &Comparison)> {
        std::iter::once(("stand-in", &self.stand_in)).chain(self.real.iter().map(|real| ("real proofs", real)))
    }

    /// Tables.
    #[must_use]
    pub fn render(&self) -> String {
        let mut lines =
            vec![std::iter::once(String::new()).chain(self.parts().map(|(what, _)| what.to_owned())).collect()];
        let mut line = |name: &str, of: fn(&Comparison) -> &Figure| {
            lines.push(std::iter::once(name.to_owned()).chain(self.parts().map(|(_, part)| of(part).cell())).collect());
        };
        line("batches", |part| &part.batches);
        line("one worker, first job to last result, s", |part| &part.wall_one);
        line("workers", |part| &part.workers);
        line("the same by all of them, s", |part| &part.wall_several);
        line("leases held at once", |part| &part.leases_at_once);
        line("times as fast", |part| &part.times);
        line("asked for", |part| &part.at_least);
        let silence = [
            row(["waits, s", ""]),
            vec!["one worker with the stand-in, from a proof to the next".into(), self.between.cell()],
            vec!["a killed prover's job, until another has it".into(), self.killed_waits.cell()],
            vec!["lease".into(), self.lease.cell()],
        ];
        format!(
            "{}\n{}, through a {}; the stand-in takes {} and no processor\n{LEGEND}\n\n{}\n{}",
            self.machine,
            self.shape,
            self.queue,
            self.stand_in_takes,
            aligned(&lines),
            aligned(&silence)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::unlabelled;

    #[test]
    fn every_figure_is_labelled_and_too_little_does_not_hold() {
        let of = |wall_s, held| Run { wall_s, held };
        let good = Comparison::new(8, 4, of(40.2, 1), of(10.2, 4), STAND_IN_AT_LEAST);
        assert!(good.holds());
        assert!(!Comparison::new(8, 4, of(40.2, 1), of(10.7, 4), STAND_IN_AT_LEAST).holds(), "too slow");
        assert!(!Comparison::new(8, 4, of(40.2, 1), of(10.2, 3), STAND_IN_AT_LEAST).holds(), "only three at once");
        let report = ProversReport {
            form: FORM.into(),
            machine: "a machine".into(),
            shape: "tiny-4x2".into(),
            queue: "directory".into(),
            stand_in: good,
            stand_in_takes: Figure::assumed(5.0, "s"),
            between: Figure::computed(0.025, "s"),
            killed_waits: Figure::measured(10.1, "s"),
            lease: Figure::assumed(10.0, "s"),
            real: None,
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(unlabelled(&json), Vec::<String>::new());
        assert_eq!(serde_json::from_value::<ProversReport>(json).unwrap(), report);
        let text = report.render();
        assert!(text.contains("3.941 m") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
