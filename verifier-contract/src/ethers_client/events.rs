//! The contracts' events as effects.

use ethers::abi::RawLog;
use ethers::contract::EthLogDecode;
use ethers::types::{Address as EthAddress, Log, U256};

use super::bindings::{
    GridveilCertificatesEvents as OfCertificates, GridveilRegistryEvents as OfRegistry,
    GridveilRollupEvents as OfRollup,
};
use super::{Parts, block_of, malformed};
use crate::client::L1Error;
use crate::types::{CommunityParams, RollupEffect as Effect, RollupEvent};

/// # Errors
/// [`L1Error::Malformed`] for what does not fit: no amount of the contract is that large.
pub(super) fn u128_of(value: U256) -> Result<u128, L1Error> {
    u128::try_from(value).map_err(malformed)
}

/// The effect that a log of the rollup at `rollup`, or of a contract that belongs to it, tells; `None` for a change of
/// who administers a role, which no contract of ours makes.
pub(super) fn event_of(rollup: EthAddress, parts: &Parts, log: &Log) -> Result<Option<RollupEvent>, L1Error> {
    let raw = RawLog { topics: log.topics.clone(), data: log.data.to_vec() };
    let effect = match log.address {
        at if at == rollup => Some(of_rollup(OfRollup::decode_log(&raw).map_err(malformed)?)?),
        at if at == parts.registry => of_registry(OfRegistry::decode_log(&raw).map_err(malformed)?),
        at if at == parts.certificates => Some(of_certificates(OfCertificates::decode_log(&raw).map_err(malformed)?)?),
        _ => return Err(malformed("a log of a contract that was not asked for")),
    };
    let Some(effect) = effect else { return Ok(None) };
    let tx = log.transaction_hash.ok_or_else(|| malformed("a log without a transaction"))?.0;
    Ok(Some(RollupEvent { block: block_of(log)?, tx, effect }))
}

fn of_rollup(event: OfRollup) -> Result<Effect, L1Error> {
    Ok(match event {
        OfRollup::BatchSettledFilter(e) => Effect::BatchSettled {
            batch: e.batch,
            community: e.community,
            first_interval: e.first_interval,
            old_root: e.old_root,
            new_root: e.new_root,
            circuit_version: e.circuit_version,
        },
        OfRollup::GenesisFilter(e) => Effect::Genesis { root: e.root, circuit_version: e.circuit_version },
        OfRollup::CommunityInitialisedFilter(e) => {
            Effect::CommunityInitialised { community: e.community, genesis_terms: e.genesis_terms }
        }
        OfRollup::CorrectedFilter(e) => Effect::Corrected {
            community: e.community,
            first_interval: e.first_interval,
            tariff_commitment: e.tariff_commitment,
        },
        OfRollup::DepositMadeFilter(e) => {
            Effect::DepositMade { claim: e.claim, depositor: e.depositor.0, units: e.units }
        }
        OfRollup::DepositConsumedFilter(e) => Effect::DepositConsumed { claim: e.claim, units: e.units },
        OfRollup::RefundRequestedFilter(e) => {
            Effect::RefundRequested { claim: e.claim, refundable_at: e.refundable_at }
        }
        OfRollup::RefundedFilter(e) => Effect::Refunded { claim: e.claim, depositor: e.depositor.0, units: e.units },
        OfRollup::DepositsPausedFilter(e) => Effect::DepositsPaused { paused: e.paused },
        OfRollup::WithdrawalCreditedFilter(e) => Effect::WithdrawalCredited { account: e.account.0, units: e.units },
        OfRollup::WithdrawnFilter(e) => Effect::Withdrawn { account: e.account.0, amount: u128_of(e.amount)? },
        OfRollup::EthWithdrawnFilter(e) => Effect::EthWithdrawn { account: e.account.0, amount: u128_of(e.amount)? },
        OfRollup::TransferOpenedFilter(e) => Effect::TransferOpened { claim: e.claim },
        OfRollup::TransferReceivedFilter(e) => Effect::TransferReceived { claim: e.claim },
        OfRollup::SupplierFundedFilter(e) => Effect::SupplierFunded { units: e.units },
        OfRollup::SupplierUnfundedFilter(e) => Effect::SupplierUnfunded { units: e.units },
        OfRollup::HeaderMoneyMovedFilter(e) => {
            Effect::SupplierMoved { community: e.community, kind: e.kind, units: e.units }
        }
        OfRollup::ForcedRequestedFilter(e) => Effect::ForcedRequested {
            community: e.community,
            slot: e.slot,
            requester: e.requester.0,
            position: e.position,
            payer: e.payer.0,
            bond: e.bond,
        },
        OfRollup::ForcedServedFilter(e) => Effect::ForcedServed {
            community: e.community,
            slot: e.slot,
            requester: e.requester.0,
            units: e.units,
            bond: e.bond,
        },
        OfRollup::UpgradeAnnouncedFilter(e) => {
            Effect::UpgradeAnnounced { circuit_version: e.circuit_version, waiting: e.waiting }
        }
        OfRollup::BondReturnedFilter(e) => {
            Effect::BondReturned { community: e.community, payer: e.payer.0, bond: e.bond }
        }
        OfRollup::FrozenFilter(e) => Effect::Frozen { community: e.community, root: e.root },
        OfRollup::FrozenForNotesFilter(e) => Effect::FrozenForNotes { number: e.number, root: e.root },
        OfRollup::ExitedFilter(e) => Effect::Exited {
            community: e.community,
            slot: e.slot,
            payout: e.payout.0,
            balance: e.balance,
            amount: u128_of(e.amount)?,
        },
        OfRollup::RestSweptFilter(e) => Effect::RestSwept { balance: e.balance, amount: u128_of(e.amount)? },
        OfRollup::ClaimExitedFilter(e) => {
            Effect::ClaimExited { claim: e.claim, payout: e.payout.0, balance: e.balance, amount: u128_of(e.amount)? }
        }
    })
}

fn of_registry(event: OfRegistry) -> Option<Effect> {
    Some(match event {
        OfRegistry::ShapeRegisteredFilter(e) => Effect::ShapeRegistered { shape: e.shape, slots: e.slots, m: e.m },
        OfRegistry::VerifierRegisteredFilter(e) => Effect::VerifierRegistered {
            circuit_version: e.circuit_version,
            shape: e.shape,
            verifier: e.verifier.0,
            codehash: e.codehash,
            proof_length: e.proof_length,
            active_from: e.active_from,
        },
        OfRegistry::VerifierFirstUsedFilter(e) => {
            Effect::VerifierFirstUsed { circuit_version: e.circuit_version, shape: e.shape, verifier: e.verifier.0 }
        }
        OfRegistry::CouncilAppointedFilter(e) => Effect::CouncilAppointed { council: e.council.0, from: e.from },
        OfRegistry::VerifierUnsoundFilter(e) => {
            Effect::VerifierUnsound { circuit_version: e.circuit_version, shape: e.shape, verifier: e.verifier.0 }
        }
        OfRegistry::VerifierHastenedFilter(e) => {
            Effect::VerifierHastened { circuit_version: e.circuit_version, shape: e.shape, active_from: e.active_from }
        }
        OfRegistry::CircuitVersionRetiredFilter(e) => Effect::VersionRetired { circuit_version: e.circuit_version },
        OfRegistry::TariffSetOpenedFilter(e) => {
            Effect::TariffSetOpened { tariff_set: e.tariff_set, interval_length_s: e.interval_length, m: e.m }
        }
        OfRegistry::TariffRegisteredFilter(e) => Effect::TariffRegistered {
            tariff_set: e.tariff_set,
            index: e.index,
            first_interval: e.first_interval,
            commitment: e.commitment,
        },
        OfRegistry::CommunityRegisteredFilter(e) => Effect::CommunityRegistered(CommunityParams {
            community: e.community,
            shape: e.shape,
            interval_length_s: e.interval_length,
            m: e.m,
            tariff_set: e.tariff_set,
            genesis_terms: e.genesis_terms,
        }),
        OfRegistry::CommunityClosingFilter(e) => {
            Effect::CommunityClosing { community: e.community, closes_at: e.closes_at }
        }
        OfRegistry::CommunityEndingFilter(e) => Effect::CommunityEnding { community: e.community },
        OfRegistry::CommunityClosedFilter(e) => {
            Effect::CommunityClosed { community: e.community, last_batch: e.last_batch }
        }
        OfRegistry::RoleGrantedFilter(e) => {
            Effect::RoleChanged { role: e.role, account: e.account.0, granted: true, by: e.sender.0 }
        }
        OfRegistry::RoleRevokedFilter(e) => {
            Effect::RoleChanged { role: e.role, account: e.account.0, granted: false, by: e.sender.0 }
        }
        OfRegistry::RoleAdminChangedFilter(_) => return None,
    })
}

fn of_certificates(event: OfCertificates) -> Result<Effect, L1Error> {
    Ok(match event {
        OfCertificates::CertificateSpentFilter(e) => Effect::CertificateSpent {
            nullifier: e.nullifier,
            circuit_version: e.circuit_version,
            anchor: e.anchor,
            note_1: e.note_1,
            note_2: e.note_2,
            retirement: e.retirement,
            disclosed: e.disclosed,
            beneficiary: e.beneficiary,
            kind: u16::try_from(u128_of(e.kind)?).map_err(malformed)?,
        },
        OfCertificates::NoteAppendedFilter(e) => Effect::NoteAppended { note: e.note, community: e.community },
        OfCertificates::NotesDroppedFilter(e) => {
            Effect::NotesDropped { nullifier: e.nullifier, circuit_version: e.circuit_version, undone: e.undone }
        }
        OfCertificates::FeeWithdrawnFilter(e) => {
            Effect::FeeWithdrawn { account: e.account.0, amount: u128_of(e.amount)? }
        }
    })
}
