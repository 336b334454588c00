//! Mutants of the correction (ADJUST).

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
    trace::Trace,
};
use gridveil_protocol::{
    field,
    fixture::{mdm_key, meter_key, reroot, resign, resign_correction},
    packet::{Packet, Reading},
    settlement::{Transition, apply, compute},
};
use halo2curves::ff::Field;

use super::{
    Mutants,
    fixtures::{corrected, traced},
};
use crate::common::{clauses, falsified, lifted, only, refusals, tampered, tiny};

pub fn add_to(mutants: &mut Mutants) {
    mutants.add("ADJUST.1", "correct twice: the leaf waits for nothing any more", || {
        let mut i = corrected();
        let slot = i.operations.correction.as_ref().unwrap().slot();
        i.community.accounts[slot].pending_substitute = field::Fr::from(0u64);
        reroot(&mut i);
        traced(i)
    });
    mutants.add("ADJUST.1", "another substitute than the one that was settled", || {
        let mut i = corrected();
        let substitute = &mut i.operations.correction.as_mut().unwrap().substitute;
        substitute.packet.readings[0].import += 1;
        *substitute = substitute.packet.clone().sign(&mdm_key()).unwrap();
        traced(i)
    });
    mutants.add("ADJUST.1", "correct twice: the leaf goes on waiting", || {
        let t = apply(corrected()).unwrap();
        waiting_for(&t, t.applied.correction.before.pending_substitute)
    });
    mutants.add("ADJUST.1", "correct twice: a substitute that was corrected waits again", || {
        // Of the same slot, replaced before this one was settled.
        let i = corrected();
        let correction = i.operations.correction.as_ref().unwrap();
        let replaced = Packet { previous_substitute: field::Fr::from(0u64), ..correction.substitute.packet.clone() }
            .sign(&mdm_key())
            .unwrap();
        waiting_for(&apply(i.clone()).unwrap(), replaced.digest(&mdm_key().public()))
    });
    mutants.add("ADJUST.1", "the substitute beneath becomes final", || {
        waiting_for(&apply(corrected()).unwrap(), field::Fr::from(0u64))
    });
    for (theft, named) in [("named as nothing", 0), ("named as another", 9)] {
        mutants.add("ADJUST.1", theft, move || {
            tampered(&apply(corrected()).unwrap(), &[(("ADJUST.1", "previous_substitute", 0), Fr::from(named))])
        });
    }
    mutants.add("ADJUST.1", "an unused correction takes a substitute away", || {
        let mut i = corrected();
        i.operations.correction = None;
        let t = apply(i).unwrap();
        let slot = t.applied.correction.slot;
        assert_ne!(t.after.accounts[slot].pending_substitute, field::Fr::from(0u64));
        waiting_for(&t, field::Fr::from(0u64))
    });
    mutants.add("ADJUST.2", "a late packet that the operator signed", || {
        let mut i = corrected();
        let late = &mut i.operations.correction.as_mut().unwrap().late;
        *late = late.packet.clone().sign(&mdm_key()).unwrap();
        traced(i)
    });
    mutants.add("ADJUST.2", "a late packet in another unit", || {
        let mut i = corrected();
        let correction = i.operations.correction.as_mut().unwrap();
        let slot = correction.slot();
        assert_eq!(i.community.accounts[slot].meter, Some(meter_key(slot).public()));
        let packet = correction.late.packet.clone();
        let scale = if packet.scale == 1 { 10 } else { 1 };
        correction.late = Packet { scale, ..packet }.sign(&meter_key(slot)).unwrap();
        assert!(apply(i.clone()).is_err());
        traced(i)
    });
    mutants.add("ADJUST.2", "a late packet of another period", || late(|p| p.context.first_interval.0 -= 2));
    mutants.add("ADJUST.2", "a late packet of another community", || late(|p| p.context.community += 1));
    mutants.add("ADJUST.2", "a late packet for another slot", || late(|p| p.slot += 1));
    mutants.add("ADJUST.2", "a late packet that is substituted itself", || late(|p| p.substituted = true));
    mutants.add("ADJUST.2", "a late reading before the account was active", || {
        let mut i = corrected();
        let correction = i.operations.correction.as_mut().unwrap();
        correction.late.packet.readings[0] = Reading { import: 5, export: 0 };
        let (slot, first) = (correction.slot(), correction.substitute.packet.context.first_interval);
        i.community.accounts[slot].terms.active_from = first + 1;
        resign_correction(&mut i).unwrap();
        tampered(&compute(i), &[(("ADJUST.2", "inside", 0), Fr::ONE)])
    });
    mutants.add("ADJUST.2", "a late reading after the account's end", || {
        let mut i = corrected();
        let correction = i.operations.correction.as_mut().unwrap();
        correction.late.packet.readings[1] = Reading { import: 0, export: 9 };
        let (slot, first) = (correction.slot(), correction.substitute.packet.context.first_interval);
        i.community.accounts[slot].terms.active_until = first + 1;
        i.community.header.fee_account = 1 << 60;
        i.packets[slot].packet.readings.fill(Reading::default());
        resign(&mut i, slot).unwrap();
        resign_correction(&mut i).unwrap();
        traced(i)
    });
    mutants.add("ADJUST.3", "operator crediting an corrected account", || {
        let t = apply(corrected()).unwrap();
        let balance = t.applied.correction.used.as_ref().unwrap().1.after.balance;
        tampered(&t, &[(("ADJUST.3", "balance_after", 0), Fr::from(balance + 1))])
    });
    mutants.add("ADJUST.3", "fees of another amount", || {
        let t = apply(corrected()).unwrap();
        let last = *build(&t, table(&tiny())).computed_counts().get("ADJUST.3").unwrap();
        // Before the value (two rows), its split (two) and the change of debt.
        falsified(&t, "ADJUST.3", last - 6, Fr::from(1000))
    });
    mutants.add("ADJUST.4", "late energy that no register shows", || {
        falsified(&apply(corrected()).unwrap(), "ADJUST.4", 5, -Fr::ONE)
    });
    mutants.add("ADJUST.4", "a correction that is not counted", || {
        let t = apply(corrected()).unwrap();
        let last = *build(&t, table(&tiny())).computed_counts().get("ADJUST.4").unwrap() - 1;
        falsified(&t, "ADJUST.4", last, -Fr::ONE)
    });
    mutants.add("ADJUST.5", "the tariff of another period", || {
        let t = apply(corrected()).unwrap();
        let last = *build(&t, table(&tiny())).computed_counts().get("ADJUST.5").unwrap() - 1;
        falsified(&t, "ADJUST.5", last, Fr::from(1u64 << 56))
    });
}

/// The leaf of the correction slot waits for another substitute afterwards.
fn waiting_for(t: &Transition, pending_substitute: field::Fr) -> Trace {
    let mut after = t.after.clone();
    let leaf = &mut after.accounts[t.applied.correction.slot];
    let by = lifted(&(pending_substitute - leaf.pending_substitute));
    leaf.pending_substitute = pending_substitute;
    let node = lifted(&after.node());
    let count = *build(t, table(&tiny())).computed_counts().get("ADJUST.1").unwrap();
    let restores = |nth: &usize| {
        let trace = falsified(t, "ADJUST.1", *nth, by);
        clauses(refusals(tiny(), &trace)) == only("ADJUST.1") && trace.instance()[6] == node
    };
    let nth = (0..count).rev().find(restores).unwrap();
    falsified(t, "ADJUST.1", nth, by)
}

/// The late packet is another, signed by the meter, but passes for the one that belongs here.
fn late(change: impl Fn(&mut Packet)) -> Trace {
    let mut i = corrected();
    let late = &mut i.operations.correction.as_mut().unwrap().late;
    let packet = late.packet.clone();
    change(&mut late.packet);
    resign_correction(&mut i).unwrap();
    i.operations.correction.as_mut().unwrap().late.packet = packet;
    traced(i)
}
