//! What an operator can ask and change in the queue. It needs no key, because nothing sealed is opened.

use std::fmt;

use postgres::Row;
use serde::Serialize;

use super::{
    QueueError, QueueUrl, Reason,
    database::{Database, TELL},
    jobs::count,
};
use crate::job::JobId;

/// Set-aside jobs listed at most.
const LISTED: i64 = 50;

/// Jobs of one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateCount {
    /// `waiting`, `claimed`, `silent` (claimed, and the lease has ended), `proven`, `poisoned` or `refused`.
    pub state: &'static str,
    /// Jobs.
    pub jobs: u64,
    /// Attempts of all of them.
    pub attempts: u64,
    /// Seconds since the oldest of them was put in.
    pub oldest_s: Option<u64>,
}

/// A worker that is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerSeen {
    /// Its name.
    pub name: String,
    /// Shapes it proves.
    pub shapes: Vec<String>,
    /// Seconds since its last heartbeat.
    pub beat_s: u64,
    /// Batch it is proving.
    pub batch: Option<i64>,
}

/// A job nobody works on any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Its id, as `gridveil prover queue retry` takes it.
    pub job: JobId,
    /// Batch.
    pub batch: i64,
    /// `poisoned` or `refused`.
    pub state: String,
    /// Why.
    pub reason: Reason,
    /// Attempts made.
    pub attempts: u32,
}

/// The queue at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueStatus {
    /// Every state, in the order of a job's life.
    pub states: Vec<StateCount>,
    /// Workers alive, by name.
    pub workers: Vec<WorkerSeen>,
    /// Jobs set aside, oldest batch first; the first 50.
    pub set_aside: Vec<SetAside>,
}

const STATES: [&str; 6] = ["waiting", "claimed", "silent", "proven", "poisoned", "refused"];

const COUNTS: &str = "
SELECT CASE WHEN lease_until < now() THEN 'silent' ELSE state END, count(*), sum(attempts)::bigint,
    extract(epoch FROM now() - min(created_at))::bigint
FROM gridveil_queue.jobs GROUP BY 1";

const WORKERS: &str = "
SELECT name, shapes, extract(epoch FROM now() - beat_at)::bigint,
    (SELECT min(batch) FROM gridveil_queue.jobs j WHERE j.state = 'claimed' AND j.worker = w.name)
FROM gridveil_queue.workers w WHERE beat_at > now() - lease_ms * interval '1 millisecond' ORDER BY name";

const ASIDE: &str = "
SELECT id, batch, state, reason, attempts FROM gridveil_queue.jobs WHERE state IN ('poisoned', 'refused') ORDER BY batch, created_at, id LIMIT $1";

const RETRY: &str = "
UPDATE gridveil_queue.jobs
SET state = 'waiting', attempts = 0, reason = NULL, error = NULL, worker = NULL, changed_at = now() WHERE id = $1 AND state = 'poisoned'";

const STATE: &str = "SELECT state FROM gridveil_queue.jobs WHERE id = $1";

/// The queue as a person sees it.
#[derive(Debug)]
pub struct Admin(Database);

impl Admin {
    /// The queue at an address. Nothing is connected to yet.
    ///
    /// # Errors
    /// [`QueueError::Address`], [`QueueError::Tls`].
    pub fn new(url: &QueueUrl) -> Result<Self, QueueError> {
        Ok(Self(Database::new(url)?))
    }

    /// The queue now.
    ///
    /// # Errors
    /// [`QueueError`] of the database.
    pub fn status(&self) -> Result<QueueStatus, QueueError> {
        let (counts, workers, aside) = self.0.with(|client| {
            Ok((client.query(COUNTS, &[])?, client.query(WORKERS, &[])?, client.query(ASIDE, &[&LISTED])?))
        })?;
        let unsigned = |x: i64| u64::try_from(x).unwrap_or(0);
        let state = |state: &'static str| match counts.iter().find(|row| row.get::<_, &str>(0) == state) {
            Some(row) => StateCount {
                state,
                jobs: unsigned(row.get(1)),
                attempts: unsigned(row.get(2)),
                oldest_s: row.get::<_, Option<i64>>(3).map(unsigned),
            },
            None => StateCount { state, jobs: 0, attempts: 0, oldest_s: None },
        };
        let worker = |row: &Row| {
            let shapes = row.get::<_, Vec<&str>>(1).into_iter().map(plain).collect();
            WorkerSeen { name: plain(row.get(0)), shapes, beat_s: unsigned(row.get(2)), batch: row.get(3) }
        };
        let set_aside = |row: &Row| {
            let id: [u8; 32] = row.get::<_, &[u8]>(0).try_into().ok()?;
            let reason = Reason::parse(row.get::<_, Option<&str>>(3).unwrap_or_default());
            Some(SetAside {
                job: id.into(),
                batch: row.get(1),
                state: plain(row.get(2)),
                reason,
                attempts: count(row.get(4)),
            })
        };
        Ok(QueueStatus {
            states: STATES.map(state).to_vec(),
            workers: workers.iter().map(worker).collect(),
            set_aside: aside.iter().filter_map(set_aside).collect(),
        })
    }

    /// Puts a poisoned job back, with its attempts before it.
    ///
    /// # Errors
    /// [`QueueError::Unknown`], [`QueueError::NotPoisoned`]; [`QueueError`] of the database.
    pub fn retry(&self, job: JobId) -> Result<(), QueueError> {
        let id = job.as_bytes().as_slice();
        let (done, state) = self.0.with(|client| {
            let done = client.execute(RETRY, &[&id])?;
            client.batch_execute(TELL)?;
            Ok((done, client.query_opt(STATE, &[&id])?))
        })?;
        match state {
            _ if done == 1 => Ok(()),
            Some(row) => Err(QueueError::NotPoisoned { job, state: plain(row.get(0)) }),
            None => Err(QueueError::Unknown { job }),
        }
    }
}

/// Text of the database's, as it may be shown on a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(64).collect()
}

/// `75 s`, `12 min`, `3 h`, `4 d`: short, rounded down.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl fmt::Display for QueueStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<9} {:>7} {:>9} {:>9}", "state", "jobs", "attempts", "oldest")?;
        for StateCount { state, jobs, attempts, oldest_s } in &self.states {
            let oldest = oldest_s.map_or_else(|| "-".into(), age);
            writeln!(f, "{state:<9} {jobs:>7} {attempts:>9} {oldest:>9}")?;
        }
        writeln!(f, "\nworkers alive: {}", self.workers.len())?;
        let width = self.workers.iter().map(|worker| worker.name.chars().count()).max().unwrap_or(0);
        for WorkerSeen { name, shapes, beat_s, batch } in &self.workers {
            let doing = batch.map_or_else(|| "idle".into(), |batch| format!("batch {batch}"));
            writeln!(f, "  {name:<width$}  {doing:<12}  heard of {beat_s} s ago  {}", shapes.join(", "))?;
        }
        if !self.set_aside.is_empty() {
            writeln!(f, "\nset aside:")?;
        }
        for SetAside { job, batch, state, reason, attempts } in &self.set_aside {
            writeln!(f, "  batch {batch:<8}  {state:<8}  {:<13}  {attempts} attempts  {job}", reason.code())?;
        }
        Ok(())
    }
}
