//! What goes to a prover and what comes back.

use std::fmt;

use gridveil_protocol::{
    field::{Fr, hex_fr},
    params::CIRCUIT_VERSION,
    settlement::SettlementInput,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

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

/// A batch to prove. Holds readings, salts and balances: on disk only encrypted ([`crate::spool`], [`crate::queue`]),
/// never in a log.
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
        Ok(serde_json::to_vec(self)?)
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
        Ok(JobId(blake3::derive_key("gridveil proof job 1", &self.to_json()?)))
    }
}

/// What a proof cost, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Native transition and witness.
    pub witness_ms: u64,
    /// Proof.
    pub prove_ms: u64,
    /// Check of the proof.
    pub verify_ms: u64,
    /// Processor time of the process meanwhile: of all three, all threads, and of the next job's witness if there is
    /// one.
    pub cpu_ms: u64,
}

/// A proof, already checked by the prover that made it. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofResult {
    /// The job it answers.
    pub job: JobId,
    /// The sequencer's batch number.
    pub batch: u64,
    /// Shape.
    pub shape: String,
    /// Circuit version.
    pub circuit_version: u64,
    /// Identity of the parameters: `INSECURE-dev` or `ptau-…`.
    pub srs: String,
    /// Proof bytes, as the contract takes them.
    #[serde(with = "hex_bytes")]
    pub proof: Vec<u8>,
    /// Public inputs, in row order.
    #[serde(with = "hex_fr::seq")]
    pub instance: Vec<Fr>,
    /// Cost in time.
    pub timings: Timings,
    /// Largest resident memory of the proving process so far, bytes.
    pub peak_rss_bytes: u64,
}

mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format!("0x{}", hex::encode(bytes)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("expected 0x"))?;
        hex::decode(digits).map_err(|_| D::Error::custom("expected hex digits"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use gridveil_protocol::{
        fixture::{Recipe, settlement},
        market::Mechanism,
        params::SHAPES,
    };

    /// A small batch.
    pub(crate) fn job(batch: u64) -> ProofJob {
        let recipe = Recipe { shape: SHAPES[0], seed: batch, mechanism: Mechanism::Auction, used: 4 };
        ProofJob::new(batch, settlement(&recipe).unwrap())
    }

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
