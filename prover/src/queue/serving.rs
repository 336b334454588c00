//! A worker's end of the queue.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gridveil_protocol::version::CircuitVersion;

use super::{ATTEMPTS, Queue, QueueError, QueueUrl, Reason, database::TELL, jobs::count};
use crate::{
    job::{JobId, ProofJob, ProofResult},
    prover::ProverError,
    spool::SpoolKey,
    worker::{self, ALERT, Beat, LEASE, sleep_until},
};

/// Jobs a worker takes, and how.
#[derive(Clone, Debug)]
pub struct ServingConfig {
    /// Circuit version it proves: a worker has the keys of one.
    pub version: CircuitVersion,
    /// Shapes it proves.
    pub shapes: Vec<String>,
    /// A claim without a heartbeat for this long is another worker's.
    pub lease: Duration,
    /// Attempts before a job is set aside.
    pub attempts: u32,
}

impl Default for ServingConfig {
    fn default() -> Self {
        Self { version: CircuitVersion::CURRENT, shapes: Vec::new(), lease: LEASE, attempts: ATTEMPTS }
    }
}

/// A claimed job.
#[derive(Debug)]
pub struct Claim {
    /// Its id.
    pub id: JobId,
    /// Attempt, from 1.
    pub attempt: u32,
    /// The job.
    pub job: ProofJob,
    token: Token,
}

/// What a claim is known by: nobody else's has the same worker and attempt.
#[derive(Clone, Debug)]
struct Token {
    id: [u8; 32],
    worker: String,
    attempt: i32,
}

/// The queue as one worker serves it.
#[derive(Debug)]
pub struct Serving {
    queue: Queue,
    config: ServingConfig,
    version: i64,
    lease_ms: i64,
    attempts: i32,
    told: Mutex<Told>,
}

/// When things that need not be said at every look were said last.
#[derive(Debug, Default)]
struct Told {
    alive: Option<Instant>,
    other_key: Option<Instant>,
}

const REMINDER: Duration = Duration::from_secs(300);

const ALIVE: &str = "
INSERT INTO gridveil_queue.workers (name, key_id, shapes, circuit_version, lease_ms) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET beat_at = now()";

/// Workers that went without a word, long ago.
const BURY: &str = "DELETE FROM gridveil_queue.workers WHERE beat_at < now() - interval '1 day'";

const LEAVE: &str = "DELETE FROM gridveil_queue.workers WHERE name = $1";

/// What nobody may claim again.
const SPENT: &str = "
UPDATE gridveil_queue.jobs
SET reason = CASE WHEN state = 'claimed' THEN 'worker_silent' ELSE coalesce(reason, 'other') END,
    error = CASE WHEN state = 'claimed' THEN NULL ELSE error END,
    state = 'poisoned', lease_until = NULL, changed_at = now()
WHERE id IN (
    SELECT id FROM gridveil_queue.jobs
    WHERE (state = 'waiting' OR state = 'claimed' AND lease_until < now())
      AND key_id = $1 AND shape = ANY ($2) AND circuit_version = $3 AND attempts >= $4
    FOR UPDATE SKIP LOCKED)
RETURNING id, attempts";

/// The oldest batch first. A worker proves one job at a time. If a job is claimed by this worker already, the answer to
/// that claim was lost with a connection. The worker gets the job again, as the same attempt.
const CLAIM: &str = "
WITH next AS MATERIALIZED (
    SELECT id, state = 'claimed' AND worker = $1 AS own FROM gridveil_queue.jobs
    WHERE (state = 'waiting' OR state = 'claimed' AND (lease_until < now() OR worker = $1))
      AND key_id = $2 AND shape = ANY ($3) AND circuit_version = $4 AND attempts < $5 + CASE WHEN state = 'claimed' AND worker = $1 THEN 1 ELSE 0 END
    ORDER BY batch, created_at, id
    FOR UPDATE SKIP LOCKED
    LIMIT 1)
UPDATE gridveil_queue.jobs j
SET state = 'claimed', worker = $1, attempts = attempts + CASE WHEN next.own THEN 0 ELSE 1 END,
    lease_until = now() + $6::bigint * interval '1 millisecond', changed_at = now()
FROM next WHERE j.id = next.id
RETURNING j.id, j.attempts, j.shape, j.payload";

const BEAT: &str = "
UPDATE gridveil_queue.jobs SET lease_until = now() + $4::bigint * interval '1 millisecond'
WHERE id = $1 AND state = 'claimed' AND worker = $2 AND attempts = $3";

const IS_OPEN: &str = "SELECT state NOT IN ('proven', 'refused') FROM gridveil_queue.jobs WHERE id = $1";

/// It does not matter who holds the claim now: a proof is a proof. The statement that stores it deletes the witness.
const FINISH: &str = "
UPDATE gridveil_queue.jobs
SET state = 'proven', result = $3, payload = NULL, reason = NULL, error = NULL, worker = $2, lease_until = NULL, changed_at = now()
WHERE id = $1 AND state <> 'proven' AND key_id = $4";

const PROVED_BY: &str = "SELECT worker = $2 FROM gridveil_queue.jobs WHERE id = $1 AND state = 'proven'";

const FAIL: &str = "
UPDATE gridveil_queue.jobs
SET state = CASE WHEN attempts >= $4 THEN 'poisoned' ELSE 'waiting' END, reason = $5, error = $6, lease_until = NULL, changed_at = now()
WHERE id = $1 AND state = 'claimed' AND worker = $2 AND attempts = $3";

const REFUSE: &str = "
UPDATE gridveil_queue.jobs
SET state = 'refused', payload = NULL, reason = $4, error = $5, lease_until = NULL, changed_at = now()
WHERE id = $1 AND state = 'claimed' AND worker = $2 AND attempts = $3";

const RELEASE: &str = "
UPDATE gridveil_queue.jobs SET state = 'waiting', attempts = attempts - 1, worker = NULL, lease_until = NULL, changed_at = now()
WHERE id = $1 AND state = 'claimed' AND worker = $2 AND attempts = $3";

const OTHERS: &str = "
SELECT count(*) FILTER (WHERE key_id <> $1), count(*) FILTER (WHERE key_id = $1) FROM gridveil_queue.jobs
WHERE state = 'waiting' AND shape = ANY ($2) AND circuit_version = $3";

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandIn {
    /// It is the job's result.
    Accepted,
    /// The job had one.
    Late,
    /// The job is not there any more.
    Gone,
}

impl Serving {
    /// A worker's end at an address. Nothing is connected to yet.
    ///
    /// # Errors
    /// [`QueueError::Address`], [`QueueError::Tls`].
    pub fn new(url: &QueueUrl, key: SpoolKey, config: ServingConfig) -> Result<Self, QueueError> {
        Ok(Self {
            queue: Queue::new(url, key)?,
            version: i64::try_from(config.version.number()).unwrap_or(i64::MAX),
            lease_ms: i64::try_from(config.lease.as_millis()).unwrap_or(i64::MAX),
            attempts: i32::try_from(config.attempts.max(1)).unwrap_or(i32::MAX),
            config,
            told: Mutex::default(),
        })
    }

    /// The sequencer's end of the same queue.
    #[must_use]
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Refuses if all waiting jobs of these shapes are for workers with another key.
    ///
    /// # Errors
    /// [`QueueError::OtherKey`]; [`QueueError`] of the database.
    pub fn check_key(&self) -> Result<(), QueueError> {
        let row = self
            .queue
            .db
            .with(|client| client.query_one(OTHERS, &[&self.queue.key_id, &self.config.shapes, &self.version]))?;
        match (u64::try_from(row.get::<_, i64>(0)).unwrap_or(0), row.get::<_, i64>(1)) {
            (jobs @ 1.., 0) => Err(QueueError::OtherKey { jobs }),
            _ => Ok(()),
        }
    }

    /// Now and then: "this worker is here".
    fn alive(&self, worker: &str) -> Result<(), QueueError> {
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.alive.is_some_and(|at| at.elapsed() < self.config.lease / 4) {
                return Ok(());
            }
            told.alive = Some(Instant::now());
        }
        self.queue.db.with(|client| {
            client.execute(BURY, &[])?;
            client.execute(ALIVE, &[&worker, &self.queue.key_id, &self.config.shapes, &self.version, &self.lease_ms])
        })?;
        Ok(())
    }

    fn set_spent_aside(&self) -> Result<(), QueueError> {
        let parameters: [&(dyn postgres::types::ToSql + Sync); 4] =
            [&self.queue.key_id, &self.config.shapes, &self.version, &self.attempts];
        for row in self.queue.db.with(|client| client.query(SPENT, &parameters))? {
            tracing::warn!(job = %id(&row)?, attempts = row.get::<_, i32>(1), "a job is set aside: its attempts are spent");
        }
        Ok(())
    }

    fn remind_of_other_key(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.other_key.is_some_and(|at| at.elapsed() < REMINDER) {
            return;
        }
        told.other_key = Some(Instant::now());
        drop(told);
        if let Err(error @ QueueError::OtherKey { .. }) = self.check_key() {
            tracing::warn!(%error, "idle");
        }
    }

    fn failed(
        &self,
        token: &Token,
        shape: &str,
        attempts: i32,
        reason: Reason,
        error: &str,
    ) -> Result<bool, QueueError> {
        let error = self.queue.envelopes.seal_error(token.id.into(), shape, error)?;
        let done = self.queue.db.with(|client| {
            let done = client.execute(
                FAIL,
                &[&token.id.as_slice(), &token.worker, &token.attempt, &attempts, &reason.code(), &error],
            )?;
            client.batch_execute(TELL)?;
            Ok(done)
        })?;
        Ok(done == 1)
    }

    /// Hands a result in. It is taken as long as the job has none, whoever holds the claim by now.
    ///
    /// # Errors
    /// [`QueueError::Contents`] if it is another job's; [`QueueError::TooLarge`]; [`QueueError`] of the database.
    pub fn hand_in(&self, claim: &Claim, result: &ProofResult) -> Result<HandIn, QueueError> {
        let (job, of) = (&claim.job, (result.job, result.batch, &result.shape, result.circuit_version));
        if of != (claim.id, job.batch, &job.shape, job.circuit_version) || result.proof.is_empty() {
            return Err(QueueError::Contents { job: claim.id });
        }
        let sealed = self.queue.envelopes.seal_result(claim.id, &job.shape, result)?;
        let (id, worker) = (claim.token.id.as_slice(), &claim.token.worker);
        self.queue.db.with(|client| {
            if client.execute(FINISH, &[&id, worker, &sealed, &self.queue.key_id])? == 1 {
                return Ok(HandIn::Accepted);
            }
            // Its own, where the first answer was lost with the connection.
            let proved_by = client.query_opt(PROVED_BY, &[&id, worker])?;
            Ok(proved_by.map_or(HandIn::Gone, |row| if row.get(0) { HandIn::Accepted } else { HandIn::Late }))
        })
    }
}

fn id(row: &postgres::Row) -> Result<JobId, QueueError> {
    let bytes: Option<[u8; 32]> = row.get::<_, &[u8]>(0).try_into().ok();
    bytes.map(JobId::from).ok_or(QueueError::Refused { what: "a row that is not a job's", code: None })
}

impl worker::Queue for Serving {
    type Claim = Claim;
    type Error = QueueError;

    fn lease(&self) -> Duration {
        self.config.lease
    }

    fn is_temporary(error: &QueueError) -> bool {
        matches!(error, QueueError::Unavailable(_))
    }

    fn job(claim: &Claim) -> (JobId, u32, &ProofJob) {
        (claim.id, claim.attempt, &claim.job)
    }

    fn claim(&self, worker: &str) -> Result<Option<Claim>, QueueError> {
        self.alive(worker)?;
        self.set_spent_aside()?;
        loop {
            let row = self.queue.db.with(|client| {
                let Self { queue, config, version, lease_ms, attempts, .. } = self;
                client.query_opt(CLAIM, &[&worker, &queue.key_id, &config.shapes, version, attempts, lease_ms])
            })?;
            let Some(row) = row else {
                self.remind_of_other_key();
                return Ok(None);
            };
            let (id, attempt, shape) = (id(&row)?, row.get(1), row.get::<_, &str>(2));
            let token = Token { id: *id.as_bytes(), worker: worker.to_owned(), attempt };
            match self.queue.envelopes.open_job(id, shape, row.get::<_, Option<&[u8]>>(3).unwrap_or_default()) {
                Ok(job) => return Ok(Some(Claim { id, attempt: count(attempt), job, token })),
                Err(error) => {
                    // Every worker with this key would fail the same way: the sequencer, which has the witness, puts it
                    // in again.
                    tracing::warn!(job = %id, attempt, %error, "a job is set aside");
                    self.failed(&token, shape, 0, Reason::Unreadable, &error.to_string())?;
                }
            }
        }
    }

    fn beat(&self, claim: &Claim) -> Result<Beat, QueueError> {
        let Token { id, worker, attempt } = &claim.token;
        self.alive(worker)?;
        self.queue.db.with(|client| {
            if client.execute(BEAT, &[&id.as_slice(), worker, attempt, &self.lease_ms])? == 1 {
                return Ok(Beat::Held);
            }
            let open = client.query_opt(IS_OPEN, &[&id.as_slice()])?;
            Ok(if open.is_some_and(|row| row.get(0)) { Beat::Lost } else { Beat::Settled })
        })
    }

    fn finish(&self, claim: &Claim, result: &ProofResult) -> Result<(), QueueError> {
        match self.hand_in(claim, result)? {
            HandIn::Accepted => {}
            HandIn::Late => tracing::info!(job = %claim.id, "another worker was faster"),
            HandIn::Gone => tracing::warn!(job = %claim.id, "nobody asks for this proof any more"),
        }
        Ok(())
    }

    fn fail(&self, claim: &Claim, error: &ProverError) -> Result<(), QueueError> {
        let (reason, text) = (Reason::of(error), error.to_string());
        if !error.is_permanent() {
            return self.failed(&claim.token, &claim.job.shape, self.attempts, reason, &text).map(drop);
        }
        let Token { id, worker, attempt } = &claim.token;
        let sealed = self.queue.envelopes.seal_error(claim.id, &claim.job.shape, &text)?;
        self.queue
            .db
            .with(|client| client.execute(REFUSE, &[&id.as_slice(), worker, attempt, &reason.code(), &sealed]))
            .map(drop)
    }

    fn release(&self, claim: &Claim) -> Result<(), QueueError> {
        let Token { id, worker, attempt } = &claim.token;
        self.queue.db.with(|client| {
            client.execute(RELEASE, &[&id.as_slice(), worker, attempt])?;
            client.batch_execute(TELL)
        })
    }

    /// Whoever puts a job in says so. A lease that ends is nobody's to say: for that, and for what was not heard, the
    /// queue is looked at after `poll`.
    fn idle(&self, poll: Duration, stop: &AtomicBool) {
        let end = Instant::now() + poll;
        let left = || end.saturating_duration_since(Instant::now());
        // Who begins to listen looks once more: what came before was said to nobody.
        let mut heard = self.queue.db.listen();
        while matches!(heard, Ok(false)) && !left().is_zero() && !stop.load(Ordering::Relaxed) {
            heard = self.queue.db.heard(left().min(ALERT));
        }
        if heard.is_err() {
            // The next look says what is wrong.
            sleep_until(left(), stop);
        }
    }

    fn leave(&self, worker: &str) -> Result<(), QueueError> {
        self.queue.db.with(|client| client.execute(LEAVE, &[&worker])).map(drop)
    }
}
