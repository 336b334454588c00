//! The L1 side of Gridveil: the rollup contract's bindings and, behind `codegen`, its verifiers.
//!
//! Words are 32 bytes big-endian at this boundary, as in calldata; field elements live in `gridveil_protocol`.
//! [`client`] has one trait a role (sequencer, member, auditor, operator). [`ethers_client::EthersClient`] fills all of
//! them over JSON-RPC, [`memory::MemoryL1`] in memory, for tests. Specification: docs/spec/l1.md.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod address;
pub mod anvil;
pub mod artifact;
pub mod client;
#[cfg(feature = "codegen")]
pub mod codegen;
pub mod deployment;
pub mod ethers_client;
pub mod lie;
#[cfg(any(test, feature = "test-util"))]
pub mod memory;
pub mod roles;
pub mod signing;
pub mod types;
pub mod verifiers;

pub use client::{AuditHeadsL1, AuditorL1, ChainL1, L1Error, L1Future, MemberL1, OperatorL1, QueuesL1, SettlementL1};
pub use ethers_client::{EthersClient, RollupConfig, VerifierInit, address_of};
pub use lie::Lie;
pub use roles::Role;
pub use types::{
    Address, Announcement, Appointed, AuditHead, Block, Call, Calls, CertificateCall, CommunityEnd, CommunityParams,
    Contradiction, DepositEntry, DepositState, ExitCall, ExitClaimCall, ForcedEntry, ForcedRequest, Halt,
    ProvenStatement, RollupEffect, RollupEvent, Safe, SettleCall, SettleReceipt, SettledBatch, Stage, TariffEntry,
    TransferState, TxReceipt, Vault, VerifierState, WaitingPair, Word,
};
