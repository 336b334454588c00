//! A retirement as its holder shows it: the statement, and where its commitment is.

use serde::{Deserialize, Serialize};

use super::RetirementStatement;
use crate::{
    field::{Fr, hex_fr},
    hex::hex_bytes,
};

/// A file that an auditor can check against L1 alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownRetirement {
    /// L1 chain.
    pub chain_id: u64,
    /// Contract.
    #[serde(with = "hex_bytes")]
    pub contract: [u8; 20],
    /// Was only the commitment published?
    pub sealed: bool,
    /// The commitment, to find it by. The statement must open it.
    #[serde(with = "hex_fr")]
    pub commitment: Fr,
    /// Its opening.
    pub statement: RetirementStatement,
}

impl ShownRetirement {
    /// Shows a statement.
    #[must_use]
    pub fn new(chain_id: u64, contract: [u8; 20], sealed: bool, statement: RetirementStatement) -> Self {
        Self { chain_id, contract, sealed, commitment: statement.commitment(), statement }
    }
}
