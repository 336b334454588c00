//! The contract's events as effects.

use ethers::abi::RawLog;
use ethers::contract::EthLogDecode;
use ethers::types::{Log, U256};

use super::bindings::GridveilRollupEvents as Event;
use super::{block_of, malformed};
use crate::client::L1Error;
use crate::types::{CommunityParams, RollupEffect as Effect, RollupEvent};

/// # Errors
/// [`L1Error::Malformed`] for what does not fit: no amount of the contract is that large.
pub(super) fn u128_of(value: U256) -> Result<u128, L1Error> {
    u128::try_from(value).map_err(malformed)
}

/// The effect that a log tells; `None` for a change of roles.
pub(super) fn event_of(log: &Log) -> Result<Option<RollupEvent>, L1Error> {
    let raw = RawLog { topics: log.topics.clone(), data: log.data.to_vec() };
    let effect = match Event::decode_log(&raw).map_err(malformed)? {
        Event::BatchSettledFilter(e) => Effect::BatchSettled {
            batch: e.batch,
            community: e.community,
            first_interval: e.first_interval,
            old_root: e.old_root,
            new_root: e.new_root,
            circuit_version: e.circuit_version,
        },
        Event::GenesisFilter(e) => Effect::Genesis { root: e.root, circuit_version: e.circuit_version },
        Event::ShapeRegisteredFilter(e) => Effect::ShapeRegistered { shape: e.shape, slots: e.slots, m: e.m },
        Event::VerifierRegisteredFilter(e) => Effect::VerifierRegistered {
            circuit_version: e.circuit_version,
            shape: e.shape,
            verifier: e.verifier.0,
            codehash: e.codehash,
            proof_length: e.proof_length,
            active_from: e.active_from,
        },
        Event::VerifierFirstUsedFilter(e) => {
            Effect::VerifierFirstUsed { circuit_version: e.circuit_version, shape: e.shape, verifier: e.verifier.0 }
        }
        Event::CircuitVersionRetiredFilter(e) => Effect::VersionRetired { circuit_version: e.circuit_version },
        Event::TariffSetOpenedFilter(e) => {
            Effect::TariffSetOpened { tariff_set: e.tariff_set, interval_length_s: e.interval_length, m: e.m }
        }
        Event::TariffRegisteredFilter(e) => Effect::TariffRegistered {
            tariff_set: e.tariff_set,
            index: e.index,
            first_interval: e.first_interval,
            commitment: e.commitment,
        },
        Event::CommunityRegisteredFilter(e) => Effect::CommunityRegistered(CommunityParams {
            community: e.community,
            shape: e.shape,
            interval_length_s: e.interval_length,
            m: e.m,
            tariff_set: e.tariff_set,
            genesis_terms: e.genesis_terms,
        }),
        Event::CommunityInitialisedFilter(e) => {
            Effect::CommunityInitialised { community: e.community, genesis_terms: e.genesis_terms }
        }
        Event::CorrectedFilter(e) => Effect::Corrected {
            community: e.community,
            first_interval: e.first_interval,
            tariff_commitment: e.tariff_commitment,
        },
        Event::DepositMadeFilter(e) => Effect::DepositMade { claim: e.claim, depositor: e.depositor.0, units: e.units },
        Event::DepositConsumedFilter(e) => Effect::DepositConsumed { claim: e.claim, units: e.units },
        Event::RefundRequestedFilter(e) => Effect::RefundRequested { claim: e.claim, refundable_at: e.refundable_at },
        Event::RefundedFilter(e) => Effect::Refunded { claim: e.claim, depositor: e.depositor.0, units: e.units },
        Event::DepositsPausedFilter(e) => Effect::DepositsPaused { paused: e.paused },
        Event::WithdrawalCreditedFilter(e) => Effect::WithdrawalCredited { account: e.account.0, units: e.units },
        Event::WithdrawnFilter(e) => Effect::Withdrawn { account: e.account.0, amount: u128_of(e.amount)? },
        Event::EthWithdrawnFilter(e) => Effect::EthWithdrawn { account: e.account.0, amount: u128_of(e.amount)? },
        Event::TransferOpenedFilter(e) => Effect::TransferOpened { claim: e.claim },
        Event::TransferReceivedFilter(e) => Effect::TransferReceived { claim: e.claim },
        Event::SupplierFundedFilter(e) => Effect::SupplierFunded { units: e.units },
        Event::SupplierUnfundedFilter(e) => Effect::SupplierUnfunded { units: e.units },
        Event::HeaderMoneyMovedFilter(e) => {
            Effect::SupplierMoved { community: e.community, kind: e.kind, units: e.units }
        }
        Event::ForcedRequestedFilter(e) => Effect::ForcedRequested {
            community: e.community,
            slot: e.slot,
            requester: e.requester.0,
            position: e.position,
            bond: e.bond,
        },
        Event::ForcedServedFilter(e) => Effect::ForcedServed {
            community: e.community,
            slot: e.slot,
            requester: e.requester.0,
            units: e.units,
            bond: e.bond,
        },
        Event::BondReturnedFilter(e) => {
            Effect::BondReturned { community: e.community, requester: e.requester.0, bond: e.bond }
        }
        Event::FrozenFilter(e) => Effect::Frozen { community: e.community, root: e.root },
        Event::ExitedFilter(e) => Effect::Exited {
            community: e.community,
            slot: e.slot,
            payout: e.payout.0,
            balance: e.balance,
            amount: u128_of(e.amount)?,
        },
        Event::ClaimExitedFilter(e) => {
            Effect::ClaimExited { claim: e.claim, payout: e.payout.0, balance: e.balance, amount: u128_of(e.amount)? }
        }
        Event::CertificateSpentFilter(e) => Effect::CertificateSpent {
            nullifier: e.nullifier,
            note_1: e.note_1,
            note_2: e.note_2,
            retirement: e.retirement,
            disclosed: e.disclosed,
            beneficiary: e.beneficiary,
            kind: u16::try_from(u128_of(e.kind)?).map_err(malformed)?,
        },
        Event::NoteAppendedFilter(e) => Effect::NoteAppended { note: e.note, community: e.community },
        Event::RoleAdminChangedFilter(_) | Event::RoleGrantedFilter(_) | Event::RoleRevokedFilter(_) => {
            return Ok(None);
        }
    };
    let tx = log.transaction_hash.ok_or_else(|| malformed("a log without a transaction"))?.0;
    Ok(Some(RollupEvent { block: block_of(log)?, tx, effect }))
}
