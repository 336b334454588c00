//! A note that is still held, shown to an auditor.
//!
//! The holder proves a certificate statement that retires the whole note publicly, under a domain that no contract has.
//! So the statement cannot be carried out. It shows amount, origin, nullifier, and a root that the note is in. It does
//! not show the note, its owner, its path or the nullifier key. The auditor checks that L1 has not seen the nullifier.

use serde::{Deserialize, Serialize};

use super::{CERTIFICATE_VERSION, CertificateInstance, NotePath, Output, Purpose, Retirement, SpendPlan};
use crate::{
    field::Fr,
    hex::{hex_bytes, hex_vec},
    instance,
    note::Note,
    units::Wh,
};
use ark_ff::AdditiveGroup;

/// Version in the domain of holdings. A contract's circuit version has 32 bits: none has this domain.
pub const HOLDING_VERSION: u64 = (1 << 32) | CERTIFICATE_VERSION;

/// Domain of the holdings of a deployment.
#[must_use]
pub fn holding_domain(chain_id: u64, contract: &[u8; 20]) -> Fr {
    instance::domain(chain_id, contract, HOLDING_VERSION)
}

impl SpendPlan {
    /// The plan that shows a note as held: it retires all of it for no beneficiary, into two empty notes of the same
    /// owner. `salts` are fresh and kept by nobody.
    #[must_use]
    pub fn holding(chain_id: u64, contract: &[u8; 20], note: Note, path: NotePath, salts: [Fr; 6]) -> Self {
        let [a, b, c, d, s7, s8] = salts;
        let output = |salts| Output { owner: note.owner, amount: Wh::ZERO, salts };
        let outputs = [output([a, b]), output([c, d])];
        let retirement = Retirement {
            amount: note.amount,
            beneficiary: Fr::ZERO,
            purpose: Purpose::Consumption,
            sealed: false,
            salts: [s7, s8],
        };
        Self { domain: holding_domain(chain_id, contract), note, path, outputs, retirement: Some(retirement) }
    }
}

/// The file that a holder gives to an auditor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownHolding {
    /// L1 chain.
    pub chain_id: u64,
    /// Contract.
    #[serde(with = "hex_bytes")]
    pub contract: [u8; 20],
    /// Public inputs of the statement.
    pub instance: CertificateInstance,
    /// Its proof.
    #[serde(with = "hex_vec")]
    pub proof: Vec<u8>,
}
