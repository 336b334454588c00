//! Files that members hand to each other and to the meter data manager: a claim to take in, a certificate note, a consent. Whoever
//! has one knows what is in it; only its owner, or the meter data manager, can use it.

use std::{io, path::Path};

use gridveil_api::grant::SignedGrant;
use gridveil_keystore::durable;
use gridveil_protocol::{
    certificate::{ShownHolding, ShownRetirement},
    header_operation::HeaderOperation,
    hex::hex_bytes,
    note::Note,
    opening::{BalanceOpening, BillOpening, PeriodOpening, ReadingOpening},
    operation::SignedOperation,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::operation::Claim;

/// Largest exchange file, bytes.
pub const MAX_EXCHANGE_FILE: u64 = 1 << 20;

/// Which rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// L1 chain.
    pub chain_id: u64,
    /// Contract.
    #[serde(with = "hex_bytes")]
    pub contract: [u8; 20],
}

/// A claim for its recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimFile {
    /// Where it is.
    #[serde(flatten)]
    pub deployment: Deployment,
    /// Its opening.
    pub claim: Claim,
}

/// A certificate note for its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteFile {
    /// Where it is.
    #[serde(flatten)]
    pub deployment: Deployment,
    /// Its opening.
    pub note: Note,
}

/// An operation that the meter data manager signs too (enrol, replace, terms): with the owner's signature for the meter data manager, then
/// with both for the sequencer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentFile {
    /// Where it is.
    #[serde(flatten)]
    pub deployment: Deployment,
    /// What the owner consents to.
    pub consent: SignedOperation,
}

/// What the meter data manager decided over a community, for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionFile {
    /// Where it is.
    #[serde(flatten)]
    pub deployment: Deployment,
    /// Community index.
    pub community: u32,
    /// The header operation, signed.
    pub decision: HeaderOperation,
}

/// Why a file is not read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// File system.
    #[error("{0}")]
    Io(io::ErrorKind),
    /// There is one of that name.
    #[error("there is a file of that name already")]
    Exists,
    /// Something else.
    #[error("not {what}: line {line}, column {column}")]
    Format {
        /// What was expected.
        what: &'static str,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// Another chain or contract.
    #[error("the file is for another deployment")]
    OtherDeployment,
}

/// What can be in such a file.
pub trait ExchangeFile: Serialize + DeserializeOwned {
    /// For errors.
    const WHAT: &'static str;
    /// Where it is valid.
    fn deployment(&self) -> Deployment;
}

impl ExchangeFile for ClaimFile {
    const WHAT: &'static str = "a claim";
    fn deployment(&self) -> Deployment {
        self.deployment
    }
}

impl ExchangeFile for NoteFile {
    const WHAT: &'static str = "a certificate note";
    fn deployment(&self) -> Deployment {
        self.deployment
    }
}

impl ExchangeFile for ConsentFile {
    const WHAT: &'static str = "an owner's consent";
    fn deployment(&self) -> Deployment {
        self.deployment
    }
}

impl ExchangeFile for DecisionFile {
    const WHAT: &'static str = "a meter data manager's decision";
    fn deployment(&self) -> Deployment {
        self.deployment
    }
}

impl ExchangeFile for ShownRetirement {
    const WHAT: &'static str = "a statement of retirement";
    fn deployment(&self) -> Deployment {
        Deployment { chain_id: self.chain_id, contract: self.contract }
    }
}

impl ExchangeFile for ShownHolding {
    const WHAT: &'static str = "a note shown as held";
    fn deployment(&self) -> Deployment {
        Deployment { chain_id: self.chain_id, contract: self.contract }
    }
}

impl ExchangeFile for BalanceOpening {
    const WHAT: &'static str = "an opening of a balance";
    fn deployment(&self) -> Deployment {
        Deployment { chain_id: self.chain_id, contract: self.contract }
    }
}

impl ExchangeFile for ReadingOpening {
    const WHAT: &'static str = "an opening of a reading";
    fn deployment(&self) -> Deployment {
        Deployment { chain_id: self.chain_id, contract: self.contract }
    }
}

impl ExchangeFile for BillOpening {
    const WHAT: &'static str = "an opening of a bill";
    fn deployment(&self) -> Deployment {
        Deployment { chain_id: self.chain_id, contract: self.contract }
    }
}

impl ExchangeFile for SignedGrant {
    const WHAT: &'static str = "a grant";
    fn deployment(&self) -> Deployment {
        Deployment { chain_id: self.grant.chain_id, contract: self.grant.contract }
    }
}

impl ExchangeFile for PeriodOpening {
    const WHAT: &'static str = "an opening of a period";
    fn deployment(&self) -> Deployment {
        Deployment { chain_id: self.chain_id, contract: self.contract }
    }
}

/// Reads a file for this deployment.
///
/// # Errors
/// [`FileError`].
pub fn read_file<T: ExchangeFile>(path: &Path, deployment: &Deployment) -> Result<T, FileError> {
    let bytes = durable::read_bounded(path, MAX_EXCHANGE_FILE).map_err(|e| FileError::Io(e.kind()))?;
    parse_file(&bytes, deployment)
}

/// As [`read_file`], of a file's content.
///
/// # Errors
/// [`FileError`].
pub fn parse_file<T: ExchangeFile>(bytes: &[u8], deployment: &Deployment) -> Result<T, FileError> {
    let file: T = serde_json::from_slice(bytes).map_err(|e| FileError::Format {
        what: T::WHAT,
        line: e.line(),
        column: e.column(),
    })?;
    if file.deployment() == *deployment { Ok(file) } else { Err(FileError::OtherDeployment) }
}

/// Writes a new file, for its owner's eyes only. The same content again is no error.
///
/// # Errors
/// [`FileError`].
pub fn write_file<T: ExchangeFile>(path: &Path, content: &T) -> Result<(), FileError> {
    let mut bytes = serde_json::to_vec_pretty(content).map_err(|e| FileError::Format {
        what: T::WHAT,
        line: e.line(),
        column: e.column(),
    })?;
    bytes.push(b'\n');
    match durable::create_new(path, &bytes) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let same = durable::read_bounded(path, MAX_EXCHANGE_FILE).is_ok_and(|there| there == bytes);
            if same { Ok(()) } else { Err(FileError::Exists) }
        }
        other => other.map_err(|e| FileError::Io(e.kind())),
    }
}
