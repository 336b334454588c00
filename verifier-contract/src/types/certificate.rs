//! Certificates, and the queue of their notes.

use std::num::TryFromIntError;

use gridveil_protocol::{
    certificate::{CERTIFICATE_VERSION, CertificateInstance},
    field::to_bytes,
};
use serde::{Deserialize, Serialize};

use super::Word;

/// A certificate proof and its public inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateCall {
    /// Version of the certificate circuit, from 1,000,001 on.
    pub circuit_version: u32,
    /// A state root that was final.
    pub anchor: Word,
    /// Of the note that is spent.
    pub nullifier: Word,
    /// First new note.
    pub note_1: Word,
    /// Second new note.
    pub note_2: Word,
    /// Retirement commitment, 0 if nothing is retired.
    pub retirement: Word,
    /// What a public retirement discloses.
    pub disclosed: Word,
    /// Whom a public retirement is for.
    pub beneficiary: Word,
    /// 0, or 1 public, 2 sealed, plus purpose<<8.
    pub kind: u16,
    /// Proof, of the verifier's exact length in bytes.
    pub proof: Vec<u8>,
}

impl CertificateCall {
    /// A proof and its public inputs, as L1 takes them. The domain is not among them: the contract has its own.
    ///
    /// # Errors
    /// Of an instance whose kind is none: it has more than 16 bits.
    pub fn new(instance: &CertificateInstance, proof: Vec<u8>) -> Result<Self, TryFromIntError> {
        let [note_1, note_2] = instance.notes.map(|note| to_bytes(&note));
        Ok(Self {
            circuit_version: u32::try_from(CERTIFICATE_VERSION)?,
            anchor: to_bytes(&instance.anchor),
            nullifier: to_bytes(&instance.nullifier),
            note_1,
            note_2,
            retirement: to_bytes(&instance.retirement),
            disclosed: to_bytes(&instance.disclosed),
            beneficiary: to_bytes(&instance.beneficiary),
            kind: u16::try_from(instance.kind)?,
            proof,
        })
    }
}

/// Two notes of one certificate that wait for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingPair {
    /// Its number among all pairs that ever waited.
    pub number: u64,
    /// Is the first note in the state already?
    pub half: bool,
    /// Of the note they were made of.
    pub nullifier: Word,
    /// The two notes.
    pub notes: [Word; 2],
    /// Version of the certificate's proof.
    pub circuit_version: u32,
    /// Unix seconds after which anyone freezes the rollup on account of them.
    pub due_s: u64,
}
