//! A job: what a prover needs to know, and its name.

use std::fmt;

use gridveil_protocol::{
    codec::{self, NotJson},
    params::CIRCUIT_VERSION,
    settlement::SettlementInput,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Separates names of jobs from all other hashes.
const CONTEXT: &str = "gridveil proof job 1";

/// Content address of a job: BLAKE3 (context `gridveil proof job 1`) of its canonical JSON. The same batch, asked for
/// twice, is one job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId([u8; 32]);

impl JobId {
    /// From 64 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        (hex::encode(bytes) == text).then_some(Self(bytes))
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for JobId {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).ok_or_else(|| D::Error::custom("expected 64 lower-case hex digits"))
    }
}

/// A batch to prove. Holds readings, salts and balances: on a disk or in a database only encrypted, never in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofJob {
    /// The sequencer's batch number.
    pub batch: u64,
    /// Shape of the statement.
    pub shape: String,
    /// Circuit version the batch is for.
    pub circuit_version: u64,
    /// What the transition is computed from.
    pub input: SettlementInput,
}

impl fmt::Debug for ProofJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofJob").field("batch", &self.batch).field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// A job that cannot be written or read. What it said is withheld: it could hold a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a proof job in canonical JSON (line {line}, column {column})")]
pub struct JobEncoding {
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for JobEncoding {
    fn from(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

impl From<NotJson> for JobEncoding {
    fn from(_: NotJson) -> Self {
        Self { line: 0, column: 0 }
    }
}

impl ProofJob {
    /// Job of a batch for the current circuit version.
    #[must_use]
    pub fn new(batch: u64, input: SettlementInput) -> Self {
        Self { batch, shape: input.community.shape.name.to_owned(), circuit_version: CIRCUIT_VERSION, input }
    }

    /// Canonical JSON: fields in declaration order, no white space.
    ///
    /// # Errors
    /// [`JobEncoding`]; none is known.
    pub fn to_json(&self) -> Result<Vec<u8>, JobEncoding> {
        Ok(codec::canonical_json(self)?)
    }

    /// Reads a job.
    ///
    /// # Errors
    /// [`JobEncoding`], which names a position and no contents.
    pub fn from_json(bytes: &[u8]) -> Result<Self, JobEncoding> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Content address.
    ///
    /// # Errors
    /// [`JobEncoding`].
    pub fn id(&self) -> Result<JobId, JobEncoding> {
        Ok(JobId(codec::json_id(CONTEXT, self)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fixture::job;

    #[test]
    fn a_job_is_its_contents() {
        let job = job(1);
        let json = job.to_json().unwrap();
        let read = ProofJob::from_json(&json).unwrap();
        assert_eq!((&read, read.to_json().unwrap(), read.id()), (&job, json, job.id()));
        let mut other = job.clone();
        other.batch += 1;
        assert_ne!(other.id(), job.id());
        let mut other = job.clone();
        other.input.packets[0].packet.readings[0].import ^= 1;
        assert_ne!(other.id(), job.id());
        let id = job.id().unwrap();
        assert_eq!(JobId::parse(&id.to_string()), Some(id));
        assert_eq!(JobId::parse(&id.to_string().to_uppercase()), None, "one spelling");
    }

    #[test]
    fn errors_and_debug_output_hold_no_contents() {
        let job = job(2);
        let reading = job.input.packets[0].packet.readings[0].import;
        assert!(!format!("{job:?}").contains(&reading.to_string()));
        let text = String::from_utf8(job.to_json().unwrap()).unwrap();
        let error =
            ProofJob::from_json(text.replacen("\"batch\":2", "\"batch\":\"4711-secret\"", 1).as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("4711"));
    }
}
