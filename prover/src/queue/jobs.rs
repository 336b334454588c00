//! The jobs' rows: what each end writes and reads.

use std::collections::BTreeMap;

use postgres::{Row, types::ToSql};

use super::{
    ATTEMPTS, Envelopes, MAX_RESULT_BYTES, QueueError, QueueState, QueueUrl, Reason,
    database::{Database, TELL},
};
use crate::{
    job::{JobId, ProofJob, ProofResult},
    spool::SpoolKey,
};

/// The sequencer's end, and what both ends share.
#[derive(Debug)]
pub struct Queue {
    pub(super) db: Database,
    pub(super) envelopes: Envelopes,
    pub(super) key_id: Vec<u8>,
}

/// A known job stays as it is. There is one exception: it was sealed with another key, and no worker has it now. Then
/// it is sealed anew, because only who asks now can read the answer.
const SUBMIT: &str = "
INSERT INTO gridveil_queue.jobs AS old (id, key_id, batch, shape, circuit_version, payload) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE
SET key_id = EXCLUDED.key_id, payload = EXCLUDED.payload, state = 'waiting', attempts = 0, reason = NULL, error = NULL, worker = NULL,
    changed_at = now()
WHERE old.key_id <> EXCLUDED.key_id AND old.state IN ('waiting', 'poisoned', 'refused')";

/// Proofs that nobody has fetched. They hold no witness. If one is asked for again, it is made again.
const TIDY: &str = "DELETE FROM gridveil_queue.jobs WHERE state = 'proven' AND changed_at < now() - interval '30 days'";

const STATES: &str = "
SELECT shape, state, reason, error, attempts, lease_until < now(),
    (SELECT count(*) FROM gridveil_queue.workers w
     WHERE w.key_id = j.key_id AND j.shape = ANY (w.shapes) AND w.circuit_version = j.circuit_version
       AND w.beat_at > now() - w.lease_ms * interval '1 millisecond'), id
FROM gridveil_queue.jobs j WHERE id = ANY ($1)";

const PROVERS: &str = "
SELECT count(*) FROM gridveil_queue.workers
WHERE key_id = $1 AND beat_at > now() - lease_ms * interval '1 millisecond'";

const AGAIN: &str = "
UPDATE gridveil_queue.jobs
SET state = CASE WHEN attempts >= $4 THEN 'poisoned' ELSE 'waiting' END, reason = $3, error = NULL, worker = NULL, lease_until = NULL,
    payload = $2, result = NULL, key_id = $5, changed_at = now()
WHERE id = $1 AND (state = 'proven' OR state = 'poisoned' AND reason = 'unreadable')";

const READ: &str =
    "SELECT shape, result FROM gridveil_queue.jobs WHERE id = $1 AND state = 'proven' AND octet_length(result) <= $2";

const FORGET: &str = "DELETE FROM gridveil_queue.jobs WHERE id = $1";

impl Queue {
    /// A queue at an address. Nothing is connected to yet.
    ///
    /// # Errors
    /// [`QueueError::Address`], [`QueueError::Tls`].
    pub fn new(url: &QueueUrl, key: SpoolKey) -> Result<Self, QueueError> {
        let envelopes = Envelopes::new(key);
        let key_id = envelopes.key_id();
        Ok(Self { db: Database::new(url)?, envelopes, key_id })
    }

    /// Puts a job in. One that is known already, whatever its state, is not put in twice.
    ///
    /// # Errors
    /// [`QueueError::TooLarge`] above [`super::MAX_JOB_BYTES`]; [`QueueError`] of the database.
    pub fn submit(&self, job: &ProofJob) -> Result<JobId, QueueError> {
        let (id, sealed) = self.envelopes.seal_job(job)?;
        let (batch, version) = (number(job.batch, id)?, number(job.circuit_version, id)?);
        self.db.with(|client| {
            client.execute(TIDY, &[])?;
            client
                .execute(SUBMIT, &[&id.as_bytes().as_slice(), &self.key_id, &batch, &job.shape, &version, &sealed])?;
            client.batch_execute(TELL)
        })?;
        Ok(id)
    }

    /// State of a job, by the database's clock.
    ///
    /// # Errors
    /// [`QueueError`] of the database.
    pub fn state(&self, id: JobId) -> Result<QueueState, QueueError> {
        Ok(self.states(&[id])?.remove(&id).unwrap_or(QueueState::Unknown))
    }

    /// States of several jobs, in one look. Those that are not in the queue are not in the answer.
    ///
    /// # Errors
    /// [`QueueError`] of the database.
    pub fn states(&self, ids: &[JobId]) -> Result<BTreeMap<JobId, QueueState>, QueueError> {
        let asked: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
        let rows = self.db.with(|client| client.query(STATES, &[&asked]))?;
        let named = rows.iter().filter_map(|row| {
            let id = JobId::from(<[u8; 32]>::try_from(row.get::<_, &[u8]>(7)).ok()?);
            Some((id, self.state_of(id, row)))
        });
        Ok(named.collect())
    }

    /// Workers with this key that are alive, by the database's clock.
    ///
    /// # Errors
    /// [`QueueError`] of the database.
    pub fn provers(&self) -> Result<usize, QueueError> {
        let row = self.db.with(|client| client.query_one(PROVERS, &[&self.key_id]))?;
        Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
    }

    fn state_of(&self, id: JobId, row: &Row) -> QueueState {
        let (shape, state): (String, String) = (row.get(0), row.get(1));
        let reason = || Reason::parse(row.get::<_, Option<&str>>(2).unwrap_or_default());
        let error = || {
            let text = self.envelopes.open_error(id, &shape, row.get::<_, Option<&[u8]>>(3).unwrap_or_default());
            text.unwrap_or_else(|_| reason().to_string())
        };
        match state.as_str() {
            "proven" => QueueState::Proven,
            "poisoned" => QueueState::Poisoned { reason: reason(), attempts: count(row.get(4)), error: error() },
            "refused" => QueueState::Refused { reason: reason(), error: error() },
            "claimed" if row.get::<_, Option<bool>>(5) != Some(true) => QueueState::Claimed,
            _ => QueueState::Waiting { workers: u64::try_from(row.get::<_, i64>(6)).unwrap_or(0) },
        }
    }

    /// The result of a job, if there is one. Whoever takes it checks the proof all the same ([`crate::check`]).
    ///
    /// # Errors
    /// [`QueueError::Sealed`], [`QueueError::Contents`]; [`QueueError`] of the database.
    pub fn result(&self, id: JobId) -> Result<Option<ProofResult>, QueueError> {
        let bound = i32::try_from(MAX_RESULT_BYTES + 128).unwrap_or(i32::MAX);
        let row = self.db.with(|client| client.query_opt(READ, &[&id.as_bytes().as_slice(), &bound]))?;
        row.map(|row| self.envelopes.open_result(id, row.get(0), row.get(1))).transpose()
    }

    /// Puts a job back whose result or stored witness cannot be used. Its attempts stay counted. Whether there
    /// was one to put back.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn again(&self, job: &ProofJob, reason: Reason) -> Result<bool, QueueError> {
        let (id, sealed) = self.envelopes.seal_job(job)?;
        let attempts = i32::try_from(ATTEMPTS).unwrap_or(i32::MAX);
        let done = self.db.with(|client| {
            let parameters: [&(dyn ToSql + Sync); 5] =
                [&id.as_bytes().as_slice(), &sealed, &reason.code(), &attempts, &self.key_id];
            let done = client.execute(AGAIN, &parameters)?;
            client.batch_execute(TELL)?;
            Ok(done)
        })?;
        Ok(done == 1)
    }

    /// Forgets a job, its witness, its result.
    ///
    /// # Errors
    /// [`QueueError`] of the database.
    pub fn forget(&self, id: JobId) -> Result<(), QueueError> {
        self.db.with(|client| client.execute(FORGET, &[&id.as_bytes().as_slice()])).map(drop)
    }
}

fn number(x: u64, job: JobId) -> Result<i64, QueueError> {
    i64::try_from(x).map_err(|_| QueueError::Contents { job })
}

pub(super) fn count(x: i32) -> u32 {
    u32::try_from(x).unwrap_or(0)
}
