//! The deployment file: what was deployed where, with what, for whom. Every command takes it instead of single options.

use std::path::{Path, PathBuf};

use gridveil_protocol::hex::{hex_bytes, hex0, parse0};
use serde::{Deserialize, Serialize};

use crate::roles::Role;

/// The form that this program writes and reads.
pub const FORM: u32 = 1;
/// Largest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 20;
/// In the name of everything that was made with the development setup.
pub const INSECURE: &str = "INSECURE";

/// Bytes that are written as `0x` and hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hex<const N: usize>(
    /// The bytes.
    #[serde(with = "hex_bytes")]
    pub [u8; N],
);

impl<const N: usize> std::fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex0(self.0))
    }
}

/// An account or a contract.
pub type Account = Hex<20>;

/// Why a text is no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Another form.
    #[error("not an address: 0x and 40 hex digits")]
    Form,
    /// Letters of both cases that are not the checksum's (EIP-55): a digit is wrong.
    #[error("the address has a wrong checksum: copy it again")]
    Checksum,
}

/// An account as people write it: with its checksum, or in letters of one case.
///
/// # Errors
/// [`AccountError`].
pub fn account(text: &str) -> Result<Account, AccountError> {
    let bytes = parse0::<20>(text).ok_or(AccountError::Form)?;
    let digits = text.get(2..).unwrap_or_default();
    let one_case = !digits.bytes().any(|c| c.is_ascii_uppercase()) || !digits.bytes().any(|c| c.is_ascii_lowercase());
    if one_case || ethers::utils::to_checksum(&bytes.into(), None) == text {
        Ok(Hex(bytes))
    } else {
        Err(AccountError::Checksum)
    }
}

/// What was deployed, where, with what and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentFile {
    /// [`FORM`].
    pub form: u32,
    /// The chain.
    pub chain_id: u64,
    /// A node that everybody may use; none if the configuration names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<String>,
    /// The rollup's first block.
    pub created_block: u64,
    /// The contracts.
    pub contracts: Contracts,
    /// The parameters of the proofs.
    pub setup: Setup,
    /// Verifiers of settlements.
    pub settlement: Vec<SettlementVerifier>,
    /// The verifier of certificate proofs.
    pub certificate: CertificateVerifier,
    /// What is fixed for ever.
    pub terms: Terms,
    /// Who has each role.
    pub roles: Vec<Holders>,
    /// Who may shorten a delay after a proof that a verifier is unsound; nobody if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub council: Option<Account>,
}

/// A contract and its code's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployed {
    /// Address.
    pub address: Account,
    /// keccak256 of the runtime code.
    pub code_hash: Hex<32>,
}

/// The contracts of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contracts {
    /// Roots and money: the one that others ask for by `--contract`.
    pub rollup: Deployed,
    /// Roles, verifiers, tariffs, communities.
    pub registry: Deployed,
    /// Certificates.
    pub certificates: Deployed,
    /// Openings after a freeze.
    pub exits: Deployed,
    /// The hasher of the exits.
    pub poseidon: Deployed,
    /// The upgrader's timelock, if one was deployed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timelock: Option<Timelock>,
    /// Heads of the operator's audit log, if they are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_heads: Option<Deployed>,
}

/// A timelock: what it does was announced on it before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timelock {
    /// Address.
    pub address: Account,
    /// keccak256 of the runtime code.
    pub code_hash: Hex<32>,
    /// A block before its creation.
    pub from_block: u64,
    /// Seconds from an announcement to what it announces.
    pub delay_s: u64,
    /// Who announce and cancel.
    pub proposers: Vec<Account>,
    /// Who carry out what was announced; the zero address: anybody.
    pub executors: Vec<Account>,
}

/// The parameters of the proofs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// `ptau-` and 16 hex digits of the ceremony file's hash, or `INSECURE-dev`.
    pub name: String,
    /// The ceremony file's name, without its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its BLAKE2b-512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake2b: Option<Hex<64>>,
}

impl Setup {
    /// Was this the development setup, under which anyone forges proofs?
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.name.contains(INSECURE)
    }
}

/// A verifier of settlements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettlementVerifier {
    /// Its contract's name; it begins with `INSECURE-` under the development setup.
    pub name: String,
    /// Circuit version.
    pub circuit_version: u32,
    /// Shape's name.
    pub shape: String,
    /// Shape's identifier on L1.
    pub shape_id: u32,
    /// Member slots N.
    pub slots: u32,
    /// Intervals of a period.
    pub m: u16,
    /// Exact proof length, bytes.
    pub proof_length: u32,
    /// Address.
    pub address: Account,
    /// keccak256 of the runtime code.
    pub code_hash: Hex<32>,
}

/// The verifier of certificate proofs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateVerifier {
    /// Its contract's name; it begins with `INSECURE-` under the development setup.
    pub name: String,
    /// Circuit version.
    pub circuit_version: u32,
    /// Exact proof length, bytes.
    pub proof_length: u32,
    /// Address.
    pub address: Account,
    /// keccak256 of the runtime code.
    pub code_hash: Hex<32>,
}

/// What is fixed for ever at deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// State root before the first batch.
    pub genesis_root: Hex<32>,
    /// The ERC-20 that is settled in.
    pub token: Account,
    /// Smallest parts of the token in a unit of 10,000,000 nano.
    pub token_per_unit: u64,
    /// Seconds within which a forced withdrawal must be served.
    pub forced_deadline_s: u64,
    /// Seconds from a refund's request to its payment.
    pub refund_delay_s: u64,
    /// Seconds from a later verifier's registration to its first use.
    pub verifier_delay_s: u64,
    /// Bond of the first request in a forced queue, wei, in decimal digits.
    #[serde(with = "decimal")]
    pub forced_bond_wei: u128,
    /// Tariffs must be registered before they start.
    pub enforce_future_tariffs: bool,
    /// Gets what leaves supplier accounts and fee accounts.
    pub treasury: Account,
}

/// Who has a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holders {
    /// The role.
    pub role: Role,
    /// Its accounts.
    pub accounts: Vec<Account>,
}

/// Whole numbers above 2^53 as text: a reader of JSON may have floats alone.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u128, D::Error> {
        String::deserialize(d)?.parse().map_err(|_| D::Error::custom("expected decimal digits in quotes"))
    }
}

/// Why a deployment file is not read.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentFileError {
    /// The operating system refused.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// Longer than any deployment file.
    #[error("{0}: longer than a deployment file (1 MiB)")]
    TooLong(PathBuf),
    /// Another form.
    #[error("{path}: a deployment file of form {form}; this program reads form {FORM}: use the program that wrote it")]
    Form {
        /// File.
        path: PathBuf,
        /// Its form.
        form: u64,
    },
    /// Not JSON of a deployment.
    #[error("{0}: not a deployment file: {1}")]
    Malformed(PathBuf, serde_json::Error),
}

impl DeploymentFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`DeploymentFileError`].
    pub fn read(path: &Path) -> Result<Self, DeploymentFileError> {
        use std::io::Read as _;
        let io = |error| DeploymentFileError::Io(path.to_path_buf(), error);
        let malformed = |error| DeploymentFileError::Malformed(path.to_path_buf(), error);
        let mut bytes = Vec::new();
        std::fs::File::open(path).map_err(io)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(DeploymentFileError::TooLong(path.to_path_buf()));
        }
        let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(malformed)?;
        match json.get("form").and_then(serde_json::Value::as_u64) {
            Some(form) if form != u64::from(FORM) => Err(DeploymentFileError::Form { path: path.to_path_buf(), form }),
            _ => serde_json::from_value(json).map_err(malformed),
        }
    }

    /// The accounts that should have a role.
    #[must_use]
    pub fn holders(&self, role: Role) -> &[Account] {
        self.roles.iter().find(|holders| holders.role == role).map_or(&[], |holders| &holders.accounts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_wrong_digit_is_refused() {
        let good = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
        assert_eq!(account(good).unwrap().to_string(), good.to_lowercase());
        assert!(account(&good.to_lowercase()).is_ok());
        assert_eq!(account("0x5FbDB2315678afecb367f032d93F642f64180aa4"), Err(AccountError::Checksum));
        assert_eq!(account("5fbdb2315678afecb367f032d93f642f64180aa3"), Err(AccountError::Form));
        assert_eq!(account("0x5fbdb2315678afecb367f032d93f642f64180a"), Err(AccountError::Form));
    }

    #[test]
    fn a_file_of_another_form_is_named() {
        let dir = std::env::temp_dir().join(format!("gridveil-deployment-{}", std::process::id()));
        std::fs::write(&dir, r#"{"form":2,"anything":1}"#).unwrap();
        assert!(matches!(DeploymentFile::read(&dir), Err(DeploymentFileError::Form { form: 2, .. })));
        std::fs::write(&dir, r#"{"form":1}"#).unwrap();
        assert!(matches!(DeploymentFile::read(&dir), Err(DeploymentFileError::Malformed(..))));
        std::fs::remove_file(&dir).unwrap();
    }
}
