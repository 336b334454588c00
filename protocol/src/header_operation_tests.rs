//! One refusal for each fact; then what the header slot does.

use super::*;
use crate::{
    fixture::{Extras, Recipe, following, next_mdm_key, reroot, resign, resign_management, with_operations},
    operation_slots::OperationsError,
    packet::PacketError,
    params::Shape,
    record::RecordKind,
    settlement::{SettlementError, SettlementInput, Transition, apply},
    units::{Interval, Nano},
};

fn with(header: Option<Pool>, management: bool) -> SettlementInput {
    let recipe = Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed: 5, mechanism: Mechanism::Auction, used: 3 };
    with_operations(&recipe, &[], Extras { header, management, ..Extras::default() }).unwrap()
}

fn refusal(input: SettlementInput) -> HeaderError {
    let refused = apply(input).unwrap_err();
    let SettlementError::Operations(OperationsError::Header(error)) = refused.clone() else { panic!("{refused}") };
    error
}

fn transfer(pool: Pool, units: u64) -> SettlementInput {
    let mut input = with(Some(pool), false);
    input.operations.header.transfer = Some(Transfer { pool, units });
    input
}

fn management(edit: impl FnOnce(&mut Management)) -> SettlementInput {
    let mut input = with(None, true);
    edit(&mut input.operations.header.management.as_mut().unwrap().management);
    resign_management(&mut input).unwrap();
    input
}

#[test]
fn every_refusal_is_reached() {
    let mut beyond = management(|m| m.skip = u16::MAX);
    beyond.community.header.next_interval = Interval::MAX - 2 * 65_536 + 1;
    for slot in 0..4 {
        beyond.packets[slot].packet.context.first_interval = beyond.community.header.next_interval;
        beyond.packets[slot].packet.readings.iter_mut().for_each(|r| *r = crate::packet::Reading::default());
        resign(&mut beyond, slot).unwrap();
    }
    resign_management(&mut beyond).unwrap();
    reroot(&mut beyond);
    let mut last = beyond.clone();
    last.operations.header.management.as_mut().unwrap().management.skip -= 1;
    resign_management(&mut last).unwrap();
    apply(last).unwrap();
    let mut unsigned = with(None, true);
    unsigned.operations.header.management.as_mut().unwrap().management.reserve += 1;
    let plain = apply(with(None, false)).unwrap();
    let (supplier_account, fee_account) = (plain.after.header.supplier_account, plain.after.header.fee_account);
    let cases = [
        (refusal(transfer(Pool::SupplierIn, 1 << 48)), HeaderError::Units),
        (refusal(transfer(Pool::SupplierOut, 1 + (supplier_account - 1000) / UNIT_NANO)), HeaderError::Reserve),
        (refusal(transfer(Pool::FeeOut, 1 + fee_account / UNIT_NANO)), HeaderError::FeeAccount),
        (refusal(unsigned), HeaderError::Signature(SchnorrError::Mismatch)),
        (refusal(beyond), HeaderError::Skip),
    ];
    for (got, expected) in cases {
        assert_eq!(got, expected);
        assert!(got.clause().starts_with("HEADER.") && got.to_string().starts_with(got.clause()));
    }
    for (pool, units) in
        [(Pool::SupplierOut, (supplier_account - 1000) / UNIT_NANO), (Pool::FeeOut, fee_account / UNIT_NANO)]
    {
        apply(transfer(pool, units)).unwrap();
    }
}

#[test]
fn money_moves_by_whole_units_and_counts() {
    let plain = apply(with(None, false)).unwrap();
    let (none, nano) = (Nano::ZERO, Nano(7 * i128::from(UNIT_NANO)));
    let cases = [
        (Pool::SupplierIn, (nano, none), RecordKind::SupplierIn),
        (Pool::SupplierOut, (-nano, none), RecordKind::SupplierOut),
        (Pool::FeeOut, (none, -nano), RecordKind::FeeOut),
    ];
    for (pool, (supplier_account, fee_account), kind) in cases {
        let t = apply(with(Some(pool), true)).unwrap();
        assert_eq!(
            (t.supplier_after - plain.supplier_after, t.fee_account_after - plain.fee_account_after),
            (supplier_account, fee_account)
        );
        assert_eq!(t.applied.records, [Record::new(kind, 7, 0, Fr::ZERO)]);
        assert_eq!(t.after.header.nonce, 2);
    }
}

#[test]
fn the_reserve_that_counts_is_the_new_one() {
    let plain = apply(with(None, false)).unwrap();
    let all = plain.after.header.supplier_account / UNIT_NANO;
    let mut input = with(Some(Pool::SupplierOut), true);
    input.operations.header.transfer = Some(Transfer { pool: Pool::SupplierOut, units: all });
    input.operations.header.management.as_mut().unwrap().management.reserve = UNIT_NANO;
    resign_management(&mut input).unwrap();
    assert_eq!(refusal(input.clone()), HeaderError::Reserve);
    input.operations.header.management.as_mut().unwrap().management.reserve = 0;
    resign_management(&mut input).unwrap();
    apply(input).unwrap();
}

#[test]
fn the_mdm_decides_once_for_the_periods_after() {
    let first = with(None, true);
    let decided = first.operations.header.management.clone();
    let t = apply(first).unwrap();
    let (before, after) = (&t.input.community.header, &t.after.header);
    assert_eq!(after.next_interval, before.next_interval + 2 + 3 * 2);
    assert_eq!(
        (after.mechanism, after.reserve, after.nonce),
        (Mechanism::CommunityPrice, before.reserve + 5, before.nonce + 1)
    );
    assert_eq!(after.mdm, next_mdm_key().public());
    assert!(t.applied.records.is_empty());
    let next = following(&t, 1, |slot| slot == 2).unwrap();
    assert_eq!(next.context().first_interval, after.next_interval);
    apply(next.clone()).unwrap();
    // Neither a replay nor the old meter data manager.
    let mut replay: SettlementInput = next.clone();
    replay.operations.header.management = decided.clone();
    assert!(matches!(refusal(replay), HeaderError::Signature(_)));
    let mut old = next;
    let signed =
        decided.unwrap().management.sign(old.domain, &Place::of(&old.community), &crate::fixture::mdm_key()).unwrap();
    old.operations.header.management = Some(signed);
    assert!(matches!(refusal(old), HeaderError::Signature(_)));
}

#[test]
fn a_substitute_of_the_old_mdm_ends_with_it() {
    let t: Transition = apply(with(None, true)).unwrap();
    let mut next = following(&t, 1, |slot| slot == 2).unwrap();
    next.packets[2] = next.packets[2].packet.clone().sign(&crate::fixture::mdm_key()).unwrap();
    assert!(matches!(apply(next).unwrap_err(), SettlementError::Packet(PacketError::Signature { slot: 2, .. })));
}
