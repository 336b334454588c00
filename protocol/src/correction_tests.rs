//! One refusal for each fact; then substitutes from the period in which they are settled to the one in which they are
//! replaced, or final.

use std::collections::HashSet;

use super::*;
use crate::{
    fixture::{
        Extras, Recipe, Stream, following, meter_key, next_meter_key, operate, packet, reroot, resign_correction,
        resign_operation, with_operations,
    },
    market::Mechanism,
    operation::Kind,
    operation_slots::OperationsError,
    packet::{Packet, PacketSalts, Reading},
    params::Shape,
    schnorr::SecretKey,
    settlement::{SettlementError, SettlementInput, Transition, apply},
    units::{Nano, Ticks, Wh},
};

fn with(kinds: &[Kind], extras: Extras) -> SettlementInput {
    let shape = Shape { operations: 6, ..Shape::by_name("tiny-4x2").unwrap() };
    with_operations(&Recipe { shape, seed: 5, mechanism: Mechanism::Auction, used: 3 }, kinds, extras).unwrap()
}

fn valid() -> SettlementInput {
    with(&[], Extras { correction: true, ..Extras::default() })
}

fn refusal(input: SettlementInput) -> CorrectionError {
    let refused = apply(input).unwrap_err();
    let SettlementError::Operations(OperationsError::Correction(error)) = refused.clone() else { panic!("{refused}") };
    error
}

/// Refused after an edit, with everything signed again and the leaf waiting for the edited substitute.
fn edited(edit: impl FnOnce(&mut SettlementInput, &mut Correction)) -> CorrectionError {
    let mut input = valid();
    let mut correction = input.operations.correction.clone().unwrap();
    edit(&mut input, &mut correction);
    input.operations.correction = Some(correction);
    resign_correction(&mut input).unwrap();
    refusal(input)
}

fn refused(error: PacketError) -> CorrectionError {
    CorrectionError::Packet(error)
}

#[test]
fn every_refusal_is_reached() {
    let mut unsigned = valid();
    unsigned.operations.correction.as_mut().unwrap().late.packet.readings[0].import += 1;
    let CorrectionError::Packet(signature) = refusal(unsigned) else { panic!("not the packet") };
    assert!(matches!(signature, PacketError::Signature { slot: 0, .. }));
    let context = |field| refused(PacketError::Context { slot: 0, field });
    let cases = [
        (edited(|_, a| a.late.packet.substituted = true), context("substituted flag")),
        (edited(|_, a| a.late.packet.context.first_interval += 2), context("first interval")),
        (edited(|_, a| a.late.packet.context.community += 1), context("community")),
        (edited(|_, a| a.late.packet.context.domain += Fr::from(1u64)), context("domain")),
        // Settled under another circuit version: the circuit cannot open its digest any more.
        (edited(|_, a| a.substitute.packet.context.domain += Fr::from(1u64)), CorrectionError::NotPending { slot: 0 }),
        (edited(|_, a| a.late.packet.slot = 2), refused(PacketError::Slot { slot: 0, got: 2 })),
        (
            edited(|_, a| a.late.packet.previous_substitute = Fr::from(1u64)),
            refused(PacketError::PreviousInMetered { slot: 0 }),
        ),
        (
            edited(|_, a| a.late.packet.readings.truncate(1)),
            refused(PacketError::Length { slot: 0, expected: 2, got: 1 }),
        ),
        (
            edited(|i, a| {
                i.community.accounts[0].terms.active_from = a.late.packet.context.first_interval + 1;
            }),
            refused(PacketError::Inactive { slot: 0, interval: 0 }),
        ),
        (edited(|_, a| a.tariff.intervals.truncate(1)), CorrectionError::Tariff),
        (
            edited(|i, a| {
                i.community.accounts[0].balance = u64::MAX - 1_000_000_000_000;
                a.tariff.intervals[0].classes[0].energy = i32::MIN;
                a.late.packet.readings[0] = Reading { import: u16::MAX, export: 0 };
                a.substitute.packet.readings[0] = Reading::default();
            }),
            CorrectionError::Overflow,
        ),
        (
            edited(|i, a| {
                i.community.accounts[0].registers.export = Wh::ZERO;
                i.packets[0].packet.readings.iter_mut().for_each(|r| r.export = 0);
                crate::fixture::resign(i, 0).unwrap();
                a.late.packet.readings[0].export = 0;
                a.late.packet.readings[1].export = 0;
            }),
            CorrectionError::Registers,
        ),
        (edited(|_, a| a.substitute.packet.substituted = false), CorrectionError::NotPending { slot: 0 }),
    ];
    let mut reached = HashSet::new();
    for (got, expected) in cases {
        assert_eq!(got, expected);
        assert!(got.to_string().starts_with(got.clause()));
        reached.insert(std::mem::discriminant(&got));
    }
    assert_eq!(reached.len(), 5);
}

#[test]
fn a_total_that_would_fall_below_zero_is_refused() {
    let mut input = valid();
    input.community.header.totals.import = Wh::ZERO;
    input.community.header.fee_account = 1_000_000_000_000;
    input.packets.iter_mut().for_each(|signed| signed.packet.readings.iter_mut().for_each(|r| r.import = 0));
    (0..3).for_each(|slot| crate::fixture::resign(&mut input, slot).unwrap());
    let correction = input.operations.correction.as_mut().unwrap();
    correction.late.packet.readings.iter_mut().for_each(|r| r.import = 0);
    resign_correction(&mut input).unwrap();
    assert_eq!(apply(input).unwrap_err(), SettlementError::TotalOverflow);
}

#[test]
fn only_the_substitute_that_was_settled_and_only_once() {
    let mut other = valid();
    other.operations.correction.as_mut().unwrap().substitute.packet.readings[0].import += 1;
    assert_eq!(refusal(other), CorrectionError::NotPending { slot: 0 });
    let mut never = valid();
    never.community.accounts[0].pending_substitute = Fr::ZERO;
    reroot(&mut never);
    assert_eq!(refusal(never), CorrectionError::NotPending { slot: 0 });
    let mut elsewhere = valid();
    elsewhere.operations.correction.as_mut().unwrap().substitute.packet.slot = 9;
    assert_eq!(refusal(elsewhere), CorrectionError::NotPending { slot: 9 });
    let mut moved = valid();
    moved.operations.correction.as_mut().unwrap().substitute.packet.previous_substitute += Fr::from(1u64);
    assert_eq!(refusal(moved), CorrectionError::NotPending { slot: 0 });
    let t = apply(valid()).unwrap();
    let beneath = valid().operations.correction.unwrap().substitute.packet.previous_substitute;
    assert_ne!(beneath, Fr::ZERO);
    assert_eq!(t.after.accounts[0].pending_substitute, beneath);
    let mut again = following(&t, 1, |_| false).unwrap();
    again.operations.correction = t.input.operations.correction.clone();
    assert_eq!(refusal(again), CorrectionError::NotPending { slot: 0 });
}

/// `[0, x]` and `[x]` pack alike: a shorter substitute would have the same digest, and its readings other prices.
#[test]
fn a_substitute_with_an_interval_less_is_refused() {
    let mut input = valid();
    input.operations.correction.as_mut().unwrap().substitute.packet.readings[0] = Reading::default();
    resign_correction(&mut input).unwrap();
    apply(input.clone()).unwrap();
    let correction = input.operations.correction.as_mut().unwrap();
    let digest = correction.substitute.digest(&correction.signer);
    correction.substitute.packet.readings.remove(0);
    assert_eq!(correction.substitute.digest(&correction.signer), digest);
    assert_eq!(refusal(input), refused(PacketError::Length { slot: 0, expected: 2, got: 1 }));
}

/// The meter of `slot` finds its readings of the last period, which was substituted.
fn found(t: &Transition, slot: usize, key: &SecretKey) -> Correction {
    let substitute = t.input.packets[slot].clone();
    assert!(substitute.packet.substituted);
    let readings = vec![Reading { import: 700, export: 20 }, Reading { import: 3, export: 900 }];
    let late = packet(substitute.packet.context, substitute.packet.slot, readings, false, PacketSalts::default());
    let late = Packet { scale: substitute.packet.scale, ..late }.sign(key).unwrap();
    Correction { substitute, signer: t.input.community.header.mdm, late, tariff: t.input.tariff.clone() }
}

#[test]
fn the_difference_is_booked_at_the_tariff_of_then() {
    for seed in 0..5 {
        let first = apply(with(&[], Extras::default())).unwrap();
        let second = apply(following(&first, seed, |slot| slot == 0).unwrap()).unwrap();
        let plain = following(&second, seed + 50, |_| false).unwrap();
        let without = apply(plain.clone()).unwrap();
        let mut input = plain;
        let correction = found(&second, 0, &meter_key(0));
        let pending_substitute = correction.substitute.digest(&correction.signer);
        assert_eq!(
            (second.after.accounts[0].pending_substitute, without.after.accounts[0].pending_substitute),
            (pending_substitute, pending_substitute)
        );
        input.operations.correction = Some(correction);
        let t = apply(input).unwrap();
        // What the second period would have been with the late packet: the slot trades nothing, as a substitute does
        // not.
        let bill = |signed: &SignedPacket| {
            let account = &second.input.community.accounts[0];
            let lines = signed.packet.readings.iter().zip(&second.input.tariff.intervals).map(|(r, prices)| {
                let scale = account.terms.scale;
                let energy = Registers {
                    import: Wh::of_units(r.import, scale),
                    export: Wh::of_units(r.export, scale),
                    ..Registers::default()
                };
                bill_line(&energy, &prices.classes[usize::from(account.terms.class)], Ticks::ZERO)
            });
            lines.fold((Nano::ZERO, Nano::ZERO), |(supply, fees), line| (supply + line.supply, fees + line.fees))
        };
        let correction = t.input.operations.correction.as_ref().unwrap();
        let ((new, new_fees), (old, old_fees)) = (bill(&correction.late), bill(&correction.substitute));
        let value = |t: &Transition| t.after.accounts[0].value();
        assert_eq!(value(&t) - value(&without), old + old_fees - new - new_fees);
        assert_eq!(t.fee_account_after - without.fee_account_after, new_fees - old_fees);
        assert_eq!(t.supplier_after - without.supplier_after, new - old);
        let scale = t.after.accounts[0].terms.scale;
        let energy = |p: &SignedPacket| p.packet.readings.iter().map(|r| Wh::of_units(r.import, scale)).sum::<Wh>();
        let (late, substitute) = (energy(&correction.late), energy(&correction.substitute));
        let registers = |t: &Transition| t.after.accounts[0].registers;
        assert_eq!(registers(&t).import + substitute, registers(&without).import + late);
        let (n, o) = (t.after.header.totals, without.after.header.totals);
        assert_eq!(n.import + substitute, o.import + late);
        assert_eq!(
            (n.corrected, n.issued, n.substituted_packets, n.outstanding),
            (o.corrected + 1, o.issued, o.substituted_packets, o.outstanding)
        );
        let record = Record::new(
            RecordKind::Correction,
            0,
            second.input.community.header.next_interval.0,
            second.input.tariff.commitment(),
        );
        assert_eq!(t.applied.records, [record]);
        assert_eq!(t.after.accounts[0].pending_substitute, Fr::ZERO);
    }
}

#[test]
fn a_substitute_is_not_replaced_in_its_own_period() {
    let first = apply(with(&[], Extras::default())).unwrap();
    let mut input = following(&first, 1, |slot| slot == 0).unwrap();
    let settled = apply(input.clone()).unwrap();
    input.operations.correction = Some(found(&settled, 0, &meter_key(0)));
    assert_eq!(refusal(input), CorrectionError::NotPending { slot: 0 });
}

/// A meter silent for `deep` periods, with a period of its own between them: every substitute is replaced, the newest
/// first, one a settlement.
#[test]
fn a_meter_silent_for_several_periods_is_corrected_for_each() {
    for deep in [2, 3] {
        let mut t = apply(with(&[], Extras::default())).unwrap();
        let mut pending_substitutes = Vec::new();
        for period in 0..=deep {
            let silent = period != 1;
            let below = t.after.accounts[0].pending_substitute;
            t = apply(following(&t, period, |slot| slot == 0 && silent).unwrap()).unwrap();
            assert_eq!(t.input.packets[0].packet.previous_substitute, if silent { below } else { Fr::ZERO });
            if silent {
                pending_substitutes.push(found(&t, 0, &meter_key(0)));
            } else {
                assert_eq!(t.after.accounts[0].pending_substitute, below);
            }
        }
        let earned = |t: &Transition| (t.after.header.totals.issued, t.after.header.totals.outstanding);
        while let Some(top) = pending_substitutes.pop() {
            // Only the newest.
            for other in &pending_substitutes {
                let mut early = following(&t, 60, |_| false).unwrap();
                early.operations.correction = Some(other.clone());
                assert_eq!(refusal(early), CorrectionError::NotPending { slot: 0 });
            }
            let plain = following(&t, 61, |_| false).unwrap();
            let without = apply(plain.clone()).unwrap();
            let mut input = plain;
            input.operations.correction = Some(top.clone());
            t = apply(input).unwrap();
            assert_eq!(earned(&t), earned(&without), "late energy earns nothing");
            assert_eq!(
                t.after.accounts[0].pending_substitute,
                pending_substitutes.last().map_or(Fr::ZERO, |a| a.substitute.digest(&a.signer))
            );
            // And once.
            let mut again = following(&t, 62, |_| false).unwrap();
            again.operations.correction = Some(top);
            assert_eq!(refusal(again), CorrectionError::NotPending { slot: 0 });
        }
        assert_eq!(t.after.header.totals.corrected, deep);
    }
}

/// A substitute on top of one that was corrected does not bring it back; a substitute after a correction names what is
/// left.
#[test]
fn silence_goes_on_between_corrections() {
    let first = apply(with(&[], Extras::default())).unwrap();
    let a = apply(following(&first, 1, |slot| slot == 0).unwrap()).unwrap();
    let b = apply(following(&a, 2, |slot| slot == 0).unwrap()).unwrap();
    let mut input = following(&b, 3, |_| false).unwrap();
    input.operations.correction = Some(found(&b, 0, &meter_key(0)));
    let c = apply(input).unwrap();
    // Silent again: on top of the first, and not of the one that is replaced.
    for below in [b.after.accounts[0].pending_substitute, Fr::ZERO] {
        let mut wrong = following(&c, 4, |slot| slot == 0).unwrap();
        wrong.packets[0].packet.previous_substitute = below;
        crate::fixture::resign(&mut wrong, 0).unwrap();
        assert_eq!(apply(wrong).unwrap_err(), PacketError::PreviousIsAnother { slot: 0 }.into());
    }
    let d = apply(following(&c, 4, |slot| slot == 0).unwrap()).unwrap();
    let mut e = following(&d, 5, |_| false).unwrap();
    e.operations.correction = Some(found(&d, 0, &meter_key(0)));
    let e = apply(e).unwrap();
    let mut f = following(&e, 6, |_| false).unwrap();
    f.operations.correction = Some(found(&a, 0, &meter_key(0)));
    let f = apply(f).unwrap();
    assert_eq!((f.after.accounts[0].pending_substitute, f.after.header.totals.corrected), (Fr::ZERO, 3));
}

#[test]
fn an_operation_makes_all_of_a_stack_final() {
    let first = apply(with(&[], Extras::default())).unwrap();
    let beneath = apply(following(&first, 4, |slot| slot == 0).unwrap()).unwrap();
    let second = apply(following(&beneath, 1, |slot| slot == 0).unwrap()).unwrap();
    let correction = found(&second, 0, &meter_key(0));
    assert_eq!(correction.substitute.packet.previous_substitute, beneath.after.accounts[0].pending_substitute);
    for kind in [Kind::Replace, Kind::Terms, Kind::Close] {
        let mut input = following(&second, 3, |_| false).unwrap();
        operate(&mut input, &mut Stream::new(1), &[kind], Extras::default()).unwrap();
        if kind == Kind::Close {
            let account = &apply(following(&second, 3, |_| false).unwrap()).unwrap().settled[0];
            let operation = &mut input.operations.slots[0].operation;
            (operation.slot, operation.nonce, operation.amount) =
                (0, account.nonce, account.balance - account.balance % 10_000_000);
            input.operations.slots[0].owner = crate::owner::owner_of(&crate::fixture::owner_key(0));
            resign_operation(&mut input, 0).unwrap();
        }
        assert_eq!(input.operations.slots[0].operation.slot, 0);
        input.operations.correction = Some(correction.clone());
        assert_eq!(refusal(input.clone()), CorrectionError::NotPending { slot: 0 }, "{kind:?}");
        input.operations.correction = None;
        assert_eq!(apply(input).unwrap().after.accounts[0].pending_substitute, Fr::ZERO);
    }
}

#[test]
fn another_mdm_makes_nothing_final() {
    let first = apply(with(&[], Extras::default())).unwrap();
    let mut second = following(&first, 1, |slot| slot == 0).unwrap();
    operate(&mut second, &mut Stream::new(1), &[], Extras { management: true, ..Extras::default() }).unwrap();
    let second = apply(second).unwrap();
    assert_ne!(second.after.header.mdm, second.input.community.header.mdm);
    let mut third = following(&second, 2, |_| false).unwrap();
    let correction = found(&second, 0, &meter_key(0));
    third.operations.correction = Some(Correction { signer: second.after.header.mdm, ..correction.clone() });
    assert_eq!(refusal(third.clone()), CorrectionError::NotPending { slot: 0 });
    third.operations.correction = Some(correction);
    apply(third).unwrap();
}

#[test]
fn the_late_packet_is_the_meters() {
    let first = apply(with(&[], Extras::default())).unwrap();
    let second = apply(following(&first, 1, |slot| slot == 0).unwrap()).unwrap();
    for key in [next_meter_key(0), crate::fixture::mdm_key(), meter_key(2)] {
        let mut third = following(&second, 2, |_| false).unwrap();
        third.operations.correction = Some(found(&second, 0, &key));
        assert!(matches!(refusal(third), CorrectionError::Packet(_)));
    }
}
