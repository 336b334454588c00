//! A queue that is a PostgreSQL database, between a sequencer and prover processes on any number of machines
//! (docs/spec/queue.md).
//!
//! [`Queue`] is the sequencer's end, [`Serving`] a worker's. Every step is one statement that changes one row, so a
//! process killed at any point leaves a job in exactly one state. Claims are exclusive (`FOR UPDATE SKIP LOCKED`) and
//! end with a lease that only the database's clock measures. Jobs are named by their contents: one delivered twice has
//! one result.
//!
//! Witnesses, results and errors are sealed with the key of [`crate::spool::SpoolKey`], bound to the job's id and
//! shape: the database sees batch numbers, shapes, sizes and times.

mod address;
mod admin;
mod database;
mod envelope;
mod jobs;
mod serving;

use std::fmt;

pub use address::{QueueUrl, URL_VARIABLE};
pub use admin::{Admin, QueueStatus, SetAside, StateCount, WorkerSeen};
pub use envelope::Envelopes;
pub use jobs::Queue;
pub use serving::{Claim, Serving, ServingConfig};

use gridveil_keystore::SealError;
use serde::Serialize;

use crate::{
    job::{JobEncoding, JobId},
    prover::ProverError,
};

/// Longest witness (canonical JSON) the queue takes. A full `district-128x96` batch has about 0.6 MB.
pub const MAX_JOB_BYTES: usize = 16 << 20;
/// Longest result (JSON). A result has about 11 kB.
pub const MAX_RESULT_BYTES: usize = 1 << 20;
/// Attempts before a job is set aside, unless a worker was told otherwise.
pub const ATTEMPTS: u32 = 3;

/// Why the queue did not do what it was asked. No message holds the address, a password, or what the server says: that
/// could repeat a row.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The address.
    #[error("the queue's address: {0}")]
    Address(&'static str),
    /// No answer now; worth another try.
    #[error("the queue's database cannot be reached: {0}")]
    Unavailable(String),
    /// An answer that will stay the same.
    #[error("the queue's database refuses: {what}{}", sqlstate(.code.as_deref()))]
    Refused {
        /// In words.
        what: &'static str,
        /// The server's code, if it came from there.
        code: Option<String>,
    },
    /// The connection cannot be made private.
    #[error("TLS to the queue's database: {0}")]
    Tls(&'static str),
    /// Tables of another version of this program.
    #[error("the queue's tables have version {found}; this program knows version {known}: upgrade it")]
    Version {
        /// In the database.
        found: i32,
        /// This program's.
        known: i32,
    },
    /// A job or result that does not fit.
    #[error("{bytes} bytes, more than the {limit} the queue takes")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// Not sealed with this key, for this job, or damaged.
    #[error("job {job}: not sealed with this key, or damaged")]
    Sealed {
        /// The job.
        job: JobId,
    },
    /// Nothing can be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Sealed properly, but not what it says it is.
    #[error("job {job}: not the job or result its row says")]
    Contents {
        /// The job.
        job: JobId,
    },
    /// Everything that waits is for workers with another key.
    #[error("{jobs} jobs wait, all sealed with another key than this worker's")]
    OtherKey {
        /// How many.
        jobs: u64,
    },
    /// A job that is not there.
    #[error("job {job} is not in the queue")]
    Unknown {
        /// The job.
        job: JobId,
    },
    /// Only a poisoned job can be put back.
    #[error("job {job} is {state}: only a poisoned job can be put back")]
    NotPoisoned {
        /// The job.
        job: JobId,
        /// Its state.
        state: String,
    },
    /// The job.
    #[error(transparent)]
    Job(#[from] JobEncoding),
    /// The result could not be written as JSON.
    #[error("a result could not be encoded")]
    Encoding,
}

fn sqlstate(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| format!(" (SQLSTATE {code})"))
}

/// Why a job is set aside. Its code is readable by everybody who reads the database: it says nothing of the witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Every worker that took it went silent (killed, or out of memory).
    WorkerSilent,
    /// Provers failed in a way that could pass, but did not.
    ProofFailed,
    /// The stored witness cannot be read: damaged or exchanged.
    Unreadable,
    /// A worker handed in what is no proof of the job.
    InvalidProof,
    /// The rules refuse the batch.
    Rules,
    /// A batch for another circuit version.
    Version,
    /// A shape that is not the community's.
    Shape,
    /// A batch for another deployment.
    Domain,
    /// The circuit and the rules differ: a defect of this version.
    Circuit,
    /// Not a job.
    Job,
    /// Told by a newer version of this program.
    Other,
}

const REASONS: [(Reason, &str); 11] = [
    (Reason::WorkerSilent, "worker_silent"),
    (Reason::ProofFailed, "proof_failed"),
    (Reason::Unreadable, "unreadable"),
    (Reason::InvalidProof, "invalid_proof"),
    (Reason::Rules, "rules"),
    (Reason::Version, "version"),
    (Reason::Shape, "shape"),
    (Reason::Domain, "domain"),
    (Reason::Circuit, "circuit"),
    (Reason::Job, "job"),
    (Reason::Other, "other"),
];

impl Reason {
    /// Its code in the database.
    #[must_use]
    pub fn code(self) -> &'static str {
        REASONS.iter().find(|(reason, _)| *reason == self).map_or("other", |(_, code)| code)
    }

    fn parse(code: &str) -> Self {
        REASONS.iter().find(|(_, known)| *known == code).map_or(Self::Other, |(reason, _)| *reason)
    }

    /// Of a failed attempt.
    #[must_use]
    pub fn of(error: &ProverError) -> Self {
        match error {
            ProverError::Settlement(_) => Self::Rules,
            ProverError::Version { .. } => Self::Version,
            ProverError::Shape(_) => Self::Shape,
            ProverError::Domain => Self::Domain,
            ProverError::InstanceMismatch { .. } => Self::Circuit,
            ProverError::Job(_) => Self::Job,
            _ if error.is_permanent() => Self::Other,
            _ => Self::ProofFailed,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// Not in this queue.
    Unknown,
    /// Waiting for a worker, or its worker's lease has ended.
    Waiting {
        /// Workers alive that could take it.
        workers: u64,
    },
    /// Claimed by a worker that is alive.
    Claimed,
    /// Proved.
    Proven,
    /// Set aside after its attempts; a person can put it back.
    Poisoned {
        /// Why.
        reason: Reason,
        /// Attempts made.
        attempts: u32,
        /// The last error, where this key reads it; names no witness value.
        error: String,
    },
    /// Another attempt would end the same way.
    Refused {
        /// Why.
        reason: Reason,
        /// The error, where this key reads it; names no witness value.
        error: String,
    },
}

#[cfg(test)]
#[path = "../tests/suite/common/postgres.rs"]
pub(crate) mod postgres_cluster;

#[cfg(test)]
mod tests;
