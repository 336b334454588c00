//! Worker processes, and the queue between them and the measurement.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use gridveil_circuits::settlement::SettlementCircuit;
use gridveil_protocol::params::Shape;
use gridveil_prover::{
    job::{JobId, ProofJob, ProofResult, Timings},
    progress::{Progress, Silent},
    prover::{Prove, Prover, ProverConfig, ProverError},
    queue::{Admin, Queue, QueueState, QueueUrl, Serving, ServingConfig, URL_VARIABLE},
    spool::{Spool, SpoolConfig, SpoolKey, SpoolState},
    worker::{self, WorkerConfig, serve},
};
use serde::{Deserialize, Serialize};

use super::{LOOK, PATIENCE};
use crate::run::{self, CHILD};

/// What a worker process does: serves a queue until it is killed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// A database, whose address is in the environment, instead of the directory.
    database: bool,
    dir: PathBuf,
    shape: String,
    prover: What,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum What {
    /// Takes so long for a batch.
    StandIn(Duration),
    /// Proves, with the keys of this cache and one thread.
    Real(PathBuf),
}

impl Task {
    pub(super) fn stand_in(at: &At, takes: Duration) -> Self {
        at.task(What::StandIn(takes))
    }

    pub(crate) fn real(at: &At, cache: PathBuf) -> Self {
        at.task(What::Real(cache))
    }
}

/// Answers after a fixed time.
struct StandIn(Duration);

impl Prove for StandIn {
    fn prove_job(&self, job: &ProofJob, progress: &dyn Progress) -> Result<ProofResult, ProverError> {
        let end = Instant::now() + self.0;
        while Instant::now() < end {
            if progress.is_cancelled() {
                return Err(ProverError::Cancelled);
            }
            thread::sleep(end.saturating_duration_since(Instant::now()).min(LOOK));
        }
        Ok(ProofResult {
            job: job.id()?,
            batch: job.batch,
            shape: job.shape.clone(),
            circuit_version: job.circuit_version,
            srs: "none".into(),
            proof: vec![0; 32],
            instance: Vec::new(),
            timings: Timings::default(),
            peak_rss_bytes: 0,
        })
    }
}

/// The body of a worker process.
pub(crate) fn child(task: &Task) -> anyhow::Result<()> {
    let shape = Shape::by_name(&task.shape).with_context(|| format!("no shape {}", task.shape))?;
    let prover: Box<dyn Prove> = match &task.prover {
        What::StandIn(takes) => Box::new(StandIn(*takes)),
        What::Real(cache) => {
            let config = ProverConfig { threads: Some(1), ..ProverConfig::local(cache, vec![shape]) };
            Box::new(Prover::<SettlementCircuit>::open(&config, &Silent)?)
        }
    };
    let (config, never, key) = (WorkerConfig::default(), AtomicBool::new(false), key(&task.dir)?);
    if task.database {
        let url = QueueUrl::from_env().with_context(|| format!("no {URL_VARIABLE}"))?;
        let serving = ServingConfig { shapes: vec![shape.name.into()], ..ServingConfig::default() };
        serve(prover.as_ref(), &Serving::new(&url, key, serving)?, &config, &never, &Silent)?;
    } else {
        serve(prover.as_ref(), &spool(&task.dir, key)?, &config, &never, &Silent)?;
    }
    Ok(())
}

fn key(dir: &Path) -> anyhow::Result<SpoolKey> {
    Ok(SpoolKey::open_or_create(&dir.join("key"))?)
}

fn spool(dir: &Path, key: SpoolKey) -> anyhow::Result<Spool> {
    Ok(Spool::open(&dir.join("spool"), key, SpoolConfig::default())?)
}

/// The queue, as who hands over jobs sees it.
pub(crate) struct At {
    dir: PathBuf,
    shape: Shape,
    queue: Between,
}

enum Between {
    Directory(Spool),
    Database(Box<Database>),
}

struct Database {
    url: QueueUrl,
    queue: Queue,
    admin: Admin,
}

impl At {
    /// The database that the environment names, or else a directory.
    pub(super) fn open(dir: &Path, shape: Shape) -> anyhow::Result<Self> {
        let key = key(dir)?;
        let queue = match QueueUrl::from_env() {
            Some(url) => {
                let (queue, admin) = (Queue::new(&url, key)?, Admin::new(&url)?);
                Between::Database(Box::new(Database { url, queue, admin }))
            }
            None => Between::Directory(spool(dir, key)?),
        };
        Ok(Self { dir: dir.to_path_buf(), shape, queue })
    }

    /// A directory, whatever the environment names.
    pub(crate) fn directory(dir: &Path, shape: Shape) -> anyhow::Result<Self> {
        Ok(Self { dir: dir.to_path_buf(), shape, queue: Between::Directory(spool(dir, key(dir)?)?) })
    }

    fn task(&self, prover: What) -> Task {
        let database = matches!(self.queue, Between::Database(_));
        Task { database, dir: self.dir.clone(), shape: self.shape.name.into(), prover }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self.queue {
            Between::Directory(_) => "directory",
            Between::Database(_) => "PostgreSQL database",
        }
    }

    pub(super) fn submit(&self, job: &ProofJob) -> anyhow::Result<JobId> {
        Ok(match &self.queue {
            Between::Directory(spool) => spool.submit(job)?,
            Between::Database(database) => database.queue.submit(job)?,
        })
    }

    /// How many of these have a result.
    pub(super) fn proved(&self, ids: &[JobId]) -> anyhow::Result<usize> {
        let mut proved = 0;
        match &self.queue {
            Between::Directory(spool) => {
                for id in ids {
                    if spool.is_done(*id) {
                        proved += 1;
                    } else if let SpoolState::Poisoned(why) = spool.state(*id)? {
                        anyhow::bail!("a batch was not proved: {why}");
                    }
                }
            }
            Between::Database(database) => {
                for state in database.queue.states(ids)?.into_values() {
                    match state {
                        QueueState::Proven => proved += 1,
                        QueueState::Poisoned { error, .. } | QueueState::Refused { error, .. } => {
                            anyhow::bail!("a batch was not proved: {error}")
                        }
                        QueueState::Unknown | QueueState::Waiting { .. } | QueueState::Claimed => {}
                    }
                }
            }
        }
        Ok(proved)
    }

    /// The workers that hold a lease, by name.
    pub(super) fn held(&self) -> anyhow::Result<Vec<String>> {
        match &self.queue {
            Between::Directory(_) => {
                let names = std::fs::read_dir(self.dir.join("spool").join("claimed"))?;
                let name = |entry: std::io::Result<std::fs::DirEntry>| {
                    Some(entry.ok()?.file_name().to_str()?.split('.').nth(2)?.to_owned())
                };
                Ok(names.filter_map(name).collect())
            }
            Between::Database(database) => {
                let workers = database.admin.status()?.workers;
                Ok(workers.into_iter().filter(|worker| worker.batch.is_some()).map(|worker| worker.name).collect())
            }
        }
    }

    fn provers(&self) -> anyhow::Result<usize> {
        Ok(match &self.queue {
            Between::Directory(spool) => spool.provers()?,
            Between::Database(database) => database.queue.provers()?,
        })
    }

    /// Who was killed takes no leave.
    fn bury(&self, process: u32) -> anyhow::Result<()> {
        let prefix = format!("worker-{process}-");
        match &self.queue {
            Between::Directory(spool) => {
                for entry in std::fs::read_dir(self.dir.join("spool").join("workers"))?.flatten() {
                    if let Some(name) = entry.file_name().to_str().filter(|name| name.starts_with(&prefix)) {
                        worker::Queue::leave(spool, name)?;
                    }
                }
            }
            Between::Database(database) => {
                let serving = Serving::new(&database.url, key(&self.dir)?, ServingConfig::default())?;
                for seen in database.admin.status()?.workers.iter().filter(|seen| seen.name.starts_with(&prefix)) {
                    worker::Queue::leave(&serving, &seen.name)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn forget(&self, id: JobId) -> anyhow::Result<()> {
        match &self.queue {
            Between::Directory(spool) => spool.forget(id)?,
            Between::Database(database) => database.queue.forget(id)?,
        }
        Ok(())
    }
}

/// Worker processes, killed when they are dropped.
pub(crate) struct Workers<'a> {
    at: &'a At,
    processes: Vec<Child>,
}

impl<'a> Workers<'a> {
    /// So many, each there and idle.
    pub(crate) fn start(at: &'a At, task: &Task, count: usize) -> anyhow::Result<Self> {
        let mut workers = Self { at, processes: Vec::new() };
        let task = serde_json::to_string(&run::Task::Serve(task.clone()))?;
        for _ in 0..count {
            // The address of a database is in the environment, where it came from.
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["bench", "report"]).env(CHILD, &task).stdin(Stdio::null()).stdout(Stdio::null());
            workers.processes.push(command.spawn()?);
        }
        let start = Instant::now();
        while at.provers()? < count {
            ensure!(start.elapsed() < PATIENCE, "the workers do not come");
            for process in &mut workers.processes {
                let ended = process.try_wait()?;
                ensure!(ended.is_none(), "a worker process ended: {ended:?}");
            }
            thread::sleep(LOOK);
        }
        Ok(workers)
    }

    /// Kills the one of this name.
    pub(super) fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let of = |process: &Child| name.starts_with(&format!("worker-{}-", process.id()));
        let at = self.processes.iter().position(of).context("a worker that was not started here")?;
        let mut process = self.processes.swap_remove(at);
        let killed = process.kill();
        process.wait()?;
        killed?;
        self.at.bury(process.id())
    }
}

impl Drop for Workers<'_> {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
            let _ = self.at.bury(process.id());
        }
    }
}
