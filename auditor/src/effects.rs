//! What the contract says it did, against the records in calldata: one event a record, in order.

use std::collections::BTreeMap;

use gridveil_protocol::{
    field::to_bytes,
    params::UNIT_NANO,
    record::{Parsed, code},
};
use gridveil_verifier_contract::{RollupEffect, RollupEvent, Word};

/// The event that a record of `community` must have led to. A bond is the forced queue's own affair and left out.
fn expected(community: u32, record: &Parsed) -> Option<RollupEffect> {
    let (units, word) = (record.units, to_bytes(&record.w1));
    let address = || word.last_chunk::<20>().copied().unwrap_or_default();
    Some(match record.kind {
        code::DEPOSIT => RollupEffect::DepositConsumed { claim: word, units },
        code::WITHDRAW => RollupEffect::WithdrawalCredited { account: address(), units },
        code::SEND => RollupEffect::TransferOpened { claim: word },
        code::RECEIVE => RollupEffect::TransferReceived { claim: word },
        code::FORCED => RollupEffect::ForcedServed { community, slot: record.extra, requester: address(), units, bond: 0 },
        code::ADJUST => RollupEffect::Adjusted { community, first_interval: record.extra, tariff_commitment: word },
        code::FLOAT_IN | code::FLOAT_OUT | code::ACCRUAL_OUT => {
            RollupEffect::FloatMoved { community, kind: u8::try_from(record.kind).ok()?, units }
        }
        code::NOTE => RollupEffect::NoteAppended { note: word, community },
        code::INIT => RollupEffect::CommunityInitialised { community, genesis_terms: word },
        _ => return None,
    })
}

/// The event if it is a record's.
fn of_record(effect: &RollupEffect) -> Option<RollupEffect> {
    match *effect {
        RollupEffect::ForcedServed { community, slot, requester, units, .. } => {
            Some(RollupEffect::ForcedServed { community, slot, requester, units, bond: 0 })
        }
        RollupEffect::DepositConsumed { .. }
        | RollupEffect::WithdrawalCredited { .. }
        | RollupEffect::TransferOpened { .. }
        | RollupEffect::TransferReceived { .. }
        | RollupEffect::Adjusted { .. }
        | RollupEffect::FloatMoved { .. }
        | RollupEffect::NoteAppended { .. }
        | RollupEffect::CommunityInitialised { .. } => Some(*effect),
        _ => None,
    }
}

/// Events of records by transaction, and what left a frozen rollup.
#[derive(Default)]
pub(crate) struct Effects {
    by_tx: BTreeMap<Word, Vec<RollupEffect>>,
    /// Nano that left through exits.
    pub(crate) exited_nano: u128,
    /// Is it frozen?
    pub(crate) frozen: bool,
}

impl Effects {
    pub(crate) fn new(events: &[RollupEvent]) -> Self {
        let mut out = Self::default();
        for event in events {
            match event.effect {
                RollupEffect::Frozen { .. } => out.frozen = true,
                RollupEffect::Exited { balance, .. } | RollupEffect::ClaimExited { balance, .. } => out.exited_nano += u128::from(balance),
                _ => {}
            }
            if let Some(effect) = of_record(&event.effect) {
                out.by_tx.entry(event.tx).or_default().push(effect);
            }
        }
        out
    }

    /// Are the events of this batch's transaction those of its records?
    pub(crate) fn agree(&self, tx: &Word, community: u32, records: &[Parsed]) -> bool {
        let told = self.by_tx.get(tx).map_or(&[][..], Vec::as_slice);
        let due: Vec<_> = records.iter().filter_map(|record| expected(community, record)).collect();
        told == due
    }

    /// Can what left have been in the pool?
    pub(crate) fn covered(&self, pool_units: i128) -> bool {
        i128::try_from(self.exited_nano).is_ok_and(|exited| exited <= pool_units * i128::from(UNIT_NANO))
    }
}
