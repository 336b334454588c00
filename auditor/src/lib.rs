//! Replays a Gridveil deployment from L1 alone, believing nobody.
//!
//! Input: the contract's events and calldata, and the list of community nodes published at deployment. Every root is computed anew, every
//! public input is rebuilt from calldata, every proof is verified natively. What L1 does not carry (readings, balances) is what the proofs
//! are about; the auditor needs none of it.
#![forbid(unsafe_code)]

pub mod cli;
mod effects;
pub mod genesis;
mod money;
pub mod native;
mod replay;
mod report;
mod retirement;

pub use money::Account;
pub use replay::{ProofVerifier, VerifierError, audit};
pub use retirement::{Retired, RetirementError, retirement};
pub use report::{AuditReport, Failure, Verdict};
