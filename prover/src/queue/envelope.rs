//! What a row holds under seal: a job, a result or an error, bound to the job's id and shape.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::{MAX_JOB_BYTES, MAX_RESULT_BYTES, QueueError};
use crate::{
    job::{JobId, ProofJob, ProofResult},
    spool::SpoolKey,
};

const MAGIC: &[u8; 8] = b"GVQUEUE1";
/// Longest error text kept, bytes.
const MAX_ERROR_BYTES: usize = 2048;

/// What a sealed value is bound to.
#[derive(Clone, Copy)]
enum Kind {
    Job,
    Result,
    Error,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Job => "job",
            Self::Result => "result",
            Self::Error => "error",
        })
    }
}

/// Seals and opens what the rows hold. A value opens only under its own key, and in its own place.
#[derive(Debug)]
pub struct Envelopes(SpoolKey);

impl Envelopes {
    /// Under a key.
    #[must_use]
    pub const fn new(key: SpoolKey) -> Self {
        Self(key)
    }

    /// Tells keys apart without telling anything about them.
    pub(super) fn key_id(&self) -> Vec<u8> {
        self.0.id().to_vec()
    }

    fn seal(&self, kind: Kind, id: JobId, shape: &str, contents: &[u8]) -> Result<Vec<u8>, QueueError> {
        Ok(self.0.seal(MAGIC, &context(kind, id, shape), contents)?)
    }

    fn open(&self, kind: Kind, id: JobId, shape: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, QueueError> {
        let contents = self.0.open_sealed(MAGIC, &context(kind, id, shape), sealed);
        contents.map_err(|_| QueueError::Sealed { job: id })
    }

    /// A job under seal, and its id.
    ///
    /// # Errors
    /// [`QueueError::TooLarge`] above [`MAX_JOB_BYTES`]; [`QueueError::Job`], [`QueueError::Seal`].
    pub fn seal_job(&self, job: &ProofJob) -> Result<(JobId, Vec<u8>), QueueError> {
        let id = job.id()?;
        let mut json = job.to_json()?;
        let fits = check_length(json.len(), MAX_JOB_BYTES);
        let sealed = fits.and_then(|()| self.seal(Kind::Job, id, &job.shape, &json));
        json.zeroize();
        Ok((id, sealed?))
    }

    /// The job of a row.
    ///
    /// # Errors
    /// [`QueueError::Sealed`]; [`QueueError::Contents`] if it is another than the row's.
    pub fn open_job(&self, id: JobId, shape: &str, sealed: &[u8]) -> Result<ProofJob, QueueError> {
        let json = self.open(Kind::Job, id, shape, sealed)?;
        let job =
            ProofJob::from_json(&json).ok().filter(|job| job.shape == shape && job.id().is_ok_and(|named| named == id));
        job.ok_or(QueueError::Contents { job: id })
    }

    /// A result under seal.
    ///
    /// # Errors
    /// [`QueueError::TooLarge`] above [`MAX_RESULT_BYTES`]; [`QueueError::Encoding`], [`QueueError::Seal`].
    pub fn seal_result(&self, id: JobId, shape: &str, result: &ProofResult) -> Result<Vec<u8>, QueueError> {
        let json = serde_json::to_vec(result).map_err(|_| QueueError::Encoding)?;
        check_length(json.len(), MAX_RESULT_BYTES)?;
        self.seal(Kind::Result, id, shape, &json)
    }

    /// The result of a row. Its proof is not looked at.
    ///
    /// # Errors
    /// As [`Self::open_job`].
    pub fn open_result(&self, id: JobId, shape: &str, sealed: &[u8]) -> Result<ProofResult, QueueError> {
        let json = self.open(Kind::Result, id, shape, sealed)?;
        let result = serde_json::from_slice::<ProofResult>(&json).ok().filter(|result| result.job == id);
        result.ok_or(QueueError::Contents { job: id })
    }

    /// The text of an error under seal, cut at a bound.
    ///
    /// # Errors
    /// [`QueueError::Seal`].
    pub fn seal_error(&self, id: JobId, shape: &str, error: &str) -> Result<Vec<u8>, QueueError> {
        self.seal(Kind::Error, id, shape, &error.as_bytes()[..error.floor_char_boundary(MAX_ERROR_BYTES)])
    }

    /// The text of a row's error.
    ///
    /// # Errors
    /// [`QueueError::Sealed`].
    pub fn open_error(&self, id: JobId, shape: &str, sealed: &[u8]) -> Result<String, QueueError> {
        Ok(String::from_utf8_lossy(&self.open(Kind::Error, id, shape, sealed)?).into_owned())
    }
}

fn context(kind: Kind, id: JobId, shape: &str) -> String {
    format!("gridveil queue 1 {kind} {id} {shape}")
}

const fn check_length(bytes: usize, limit: usize) -> Result<(), QueueError> {
    if bytes <= limit { Ok(()) } else { Err(QueueError::TooLarge { bytes, limit }) }
}
