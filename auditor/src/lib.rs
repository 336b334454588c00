//! Replays a Gridveil deployment from L1 alone. It trusts no role.
//!
//! Input: the contract's events and calldata, and the list of community nodes published at deployment. Every root is
//! computed anew, every public input is rebuilt from calldata, every proof is verified natively. Readings and balances
//! are not on L1. The proofs are about them, and the auditor needs none of them. `docs/spec/audit.md` says what is
//! checked, and what cannot be seen.
#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm)]

mod certificates;
mod checkpoint;
pub mod cli;
mod clock;
mod date;
mod deadlines;
pub mod deployment;
mod failure;
pub mod genesis;
mod heard;
mod ledger;
mod money;
pub mod native;
mod proof;
mod replay;
mod report;
mod retirement;
mod subject;
mod timeline;
mod totals;
mod versions;

pub use certificates::{Certificates, RetiredPeriod};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use date::PeriodAt;
pub use failure::{Failure, Unverified};
pub use ledger::Books;
pub use money::Account;
pub use proof::{ProofVerifier, VerifierError};
pub use replay::{Audit, audit};
pub use report::{AuditReport, Verdict};
pub use retirement::{Retired, RetirementError, retirement};
pub use subject::{CommunitySubject, Subject};
pub use timeline::Decision;
pub use totals::{AccountError, OpenedBalance, OpenedBill, OpenedReading, Period};
pub use totals::{HeldError, HoldingVerifier, Published, SealedError, Totals, TotalsError, Which};
pub use versions::{BatchRanges, VersionUse};
