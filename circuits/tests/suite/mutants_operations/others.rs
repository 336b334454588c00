//! Mutants of the correction, the header, the beginning and the queue of notes.

use super::*;

pub(super) fn other_mutants() -> Vec<Mutant> {
    let mut mutants: Vec<Mutant> = Vec::new();
    let mut add = |clause, theft, make: Box<dyn Fn() -> Trace>| mutants.push((clause, theft, make));
    add(
        "ADJUST.1",
        "correct twice: the leaf waits for nothing any more",
        Box::new(|| {
            let mut i = corrected();
            let slot = i.operations.correction.as_ref().unwrap().slot();
            i.community.accounts[slot].pending_substitute = field::Fr::from(0u64);
            reroot(&mut i);
            traced(i)
        }),
    );
    add(
        "ADJUST.1",
        "another substitute than the one that was settled",
        Box::new(|| {
            let mut i = corrected();
            let substitute = &mut i.operations.correction.as_mut().unwrap().substitute;
            substitute.packet.readings[0].import += 1;
            *substitute = substitute.packet.clone().sign(&mdm_key()).unwrap();
            traced(i)
        }),
    );
    add(
        "ADJUST.1",
        "correct twice: the leaf goes on waiting",
        Box::new(|| {
            let t = apply(corrected()).unwrap();
            waiting_for(&t, t.applied.correction.before.pending_substitute)
        }),
    );
    add(
        "ADJUST.1",
        "correct twice: a substitute that was corrected waits again",
        Box::new(|| {
            // Of the same slot, replaced before this one was settled.
            let i = corrected();
            let correction = i.operations.correction.as_ref().unwrap();
            let replaced =
                Packet { previous_substitute: field::Fr::from(0u64), ..correction.substitute.packet.clone() }
                    .sign(&mdm_key())
                    .unwrap();
            waiting_for(&apply(i.clone()).unwrap(), replaced.digest(&mdm_key().public()))
        }),
    );
    add(
        "ADJUST.1",
        "the substitute beneath becomes final",
        Box::new(|| waiting_for(&apply(corrected()).unwrap(), field::Fr::from(0u64))),
    );
    for (theft, named) in [("named as nothing", 0), ("named as another", 9)] {
        add(
            "ADJUST.1",
            theft,
            Box::new(move || {
                tampered(&apply(corrected()).unwrap(), &[(("ADJUST.1", "previous_substitute", 0), Fr::from(named))])
            }),
        );
    }
    add(
        "ADJUST.1",
        "an unused correction takes a substitute away",
        Box::new(|| {
            let mut i = corrected();
            i.operations.correction = None;
            let t = apply(i).unwrap();
            let slot = t.applied.correction.slot;
            assert_ne!(t.after.accounts[slot].pending_substitute, field::Fr::from(0u64));
            waiting_for(&t, field::Fr::from(0u64))
        }),
    );
    add(
        "ADJUST.2",
        "a late packet that the operator signed",
        Box::new(|| {
            let mut i = corrected();
            let late = &mut i.operations.correction.as_mut().unwrap().late;
            *late = late.packet.clone().sign(&mdm_key()).unwrap();
            traced(i)
        }),
    );
    add(
        "ADJUST.2",
        "a late packet in another unit",
        Box::new(|| {
            let mut i = corrected();
            let correction = i.operations.correction.as_mut().unwrap();
            let slot = correction.slot();
            assert_eq!(i.community.accounts[slot].meter, Some(meter_key(slot).public()));
            let packet = correction.late.packet.clone();
            let scale = if packet.scale == 1 { 10 } else { 1 };
            correction.late = Packet { scale, ..packet }.sign(&meter_key(slot)).unwrap();
            assert!(apply(i.clone()).is_err());
            traced(i)
        }),
    );
    add("ADJUST.2", "a late packet of another period", Box::new(|| late(|p| p.context.first_interval.0 -= 2)));
    add("ADJUST.2", "a late packet of another community", Box::new(|| late(|p| p.context.community += 1)));
    add("ADJUST.2", "a late packet for another slot", Box::new(|| late(|p| p.slot += 1)));
    add("ADJUST.2", "a late packet that is substituted itself", Box::new(|| late(|p| p.substituted = true)));
    add(
        "ADJUST.2",
        "a late reading before the account was active",
        Box::new(|| {
            let mut i = corrected();
            let correction = i.operations.correction.as_mut().unwrap();
            correction.late.packet.readings[0] = Reading { import: 5, export: 0 };
            let (slot, first) = (correction.slot(), correction.substitute.packet.context.first_interval);
            i.community.accounts[slot].terms.active_from = first + 1;
            resign_correction(&mut i).unwrap();
            tampered(&compute(i), &[(("ADJUST.2", "inside", 0), Fr::ONE)])
        }),
    );
    add(
        "ADJUST.2",
        "a late reading after the account's end",
        Box::new(|| {
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
        }),
    );
    add(
        "ADJUST.3",
        "operator crediting an corrected account",
        Box::new(|| {
            let t = apply(corrected()).unwrap();
            let balance = t.applied.correction.used.as_ref().unwrap().1.after.balance;
            tampered(&t, &[(("ADJUST.3", "balance_after", 0), Fr::from(balance + 1))])
        }),
    );
    add(
        "ADJUST.3",
        "fees of another amount",
        Box::new(|| {
            let t = apply(corrected()).unwrap();
            let last = *build(&t, table(&tiny())).computed_counts().get("ADJUST.3").unwrap();
            // Before the value (two rows), its split (two) and the change of debt.
            falsified(&t, "ADJUST.3", last - 6, Fr::from(1000))
        }),
    );
    add(
        "ADJUST.4",
        "late energy that no register shows",
        Box::new(|| falsified(&apply(corrected()).unwrap(), "ADJUST.4", 5, -Fr::ONE)),
    );
    add(
        "ADJUST.4",
        "a correction that is not counted",
        Box::new(|| {
            let t = apply(corrected()).unwrap();
            let last = *build(&t, table(&tiny())).computed_counts().get("ADJUST.4").unwrap() - 1;
            falsified(&t, "ADJUST.4", last, -Fr::ONE)
        }),
    );
    add(
        "ADJUST.5",
        "the tariff of another period",
        Box::new(|| {
            let t = apply(corrected()).unwrap();
            let last = *build(&t, table(&tiny())).computed_counts().get("ADJUST.5").unwrap() - 1;
            falsified(&t, "ADJUST.5", last, Fr::from(1u64 << 56))
        }),
    );
    add(
        "HEADER.1",
        "supplier account below reserve",
        Box::new(|| {
            let mut i = moved(Pool::SupplierOut);
            i.community.header.reserve = u64::try_from(compute(i.clone()).supplier_after.0).unwrap() + 1;
            reroot(&mut i);
            traced(i)
        }),
    );
    add(
        "HEADER.1",
        "supplier account below a reserve that the meter data manager raises at once",
        Box::new(|| {
            let mut i = with_extras(Extras { header: Some(Pool::SupplierOut), management: true, ..Extras::default() });
            let reserve = u64::try_from(compute(i.clone()).supplier_after.0).unwrap() + 1;
            i.operations.header.management.as_mut().unwrap().management.reserve = reserve;
            resign_management(&mut i).unwrap();
            traced(i)
        }),
    );
    add(
        "HEADER.1",
        "units that are none: the record reads 0",
        Box::new(|| {
            let mut i = moved(Pool::SupplierIn);
            i.operations.header.transfer.as_mut().unwrap().units = 1 << 48;
            i.community.header.supplier_account = 0;
            reroot(&mut i);
            // 2^48 units do not fit the supplier account: the mutant books what fits.
            falsified(&compute(i), "HEADER.1", 6, -Fr::from(UNIT_NANO) * Fr::from(1 << 48) + Fr::from(1 << 62))
        }),
    );
    add(
        "HEADER.1",
        "more in the supplier account than the operator paid",
        Box::new(|| falsified(&apply(moved(Pool::SupplierIn)).unwrap(), "HEADER.1", 6, Fr::from(1_000_000))),
    );
    add(
        "HEADER.1",
        "supplier account leaves and no reserve is asked for",
        Box::new(|| falsified(&apply(moved(Pool::SupplierOut)).unwrap(), "HEADER.1", 10, Fr::ONE)),
    );
    add(
        "HEADER.2",
        "less leaves the fee account than L1 pays out",
        Box::new(|| falsified(&apply(moved(Pool::FeeOut)).unwrap(), "HEADER.2", 0, Fr::from(UNIT_NANO))),
    );
    add(
        "HEADER.3",
        "meter data manager change without the meter data manager",
        Box::new(|| {
            let mut i = managed();
            let SignedManagement { management, .. } = i.operations.header.management.take().unwrap();
            let signed = management.sign(i.domain, &Place::of(&i.community), &next_mdm_key());
            i.operations.header.management = Some(signed.unwrap());
            traced(i)
        }),
    );
    for (theft, community, nonce, interval) in [
        ("a management of another community", 1, 0, 0),
        ("a management again", 0, 1, 0),
        ("a management held back for another period", 0, 0, 2),
    ] {
        add(
            "HEADER.3",
            theft,
            Box::new(move || {
                let mut i = managed();
                let SignedManagement { management, .. } = i.operations.header.management.take().unwrap();
                let place = Place::of(&i.community);
                let place = Place {
                    community: place.community + community,
                    nonce: place.nonce + nonce,
                    first_interval: place.first_interval - interval,
                };
                let signed = management.sign(i.domain, &place, &mdm_key());
                i.operations.header.management = Some(signed.unwrap());
                traced(i)
            }),
        );
    }
    add(
        "HEADER.3",
        "operator moves the meter data manager's key",
        Box::new(|| {
            let t = apply(with_extras(Extras::default())).unwrap();
            let last = *build(&t, table(&tiny())).computed_counts().get("HEADER.3").unwrap() - 1;
            falsified(&t, "HEADER.3", last, Fr::ONE)
        }),
    );
    add(
        "HEADER.4",
        "operator lowers the reserve",
        Box::new(|| falsified(&apply(with_extras(Extras::default())).unwrap(), "HEADER.4", 4, -Fr::ONE)),
    );
    add(
        "HEADER.4",
        "operator changes the mechanism",
        Box::new(|| falsified(&apply(with_extras(Extras::default())).unwrap(), "HEADER.4", 1, Fr::ONE)),
    );
    add("HEADER.4", "a mechanism that does not exist", Box::new(|| signed_header(2, 2)));
    add("HEADER.4", "a reserve that no supplier account reaches", Box::new(|| signed_header(5, 0)));
    add(
        "HEADER.5",
        "skip unsigned",
        Box::new(|| falsified(&apply(with_extras(Extras::default())).unwrap(), "HEADER.5", 0, Fr::ONE)),
    );
    add("HEADER.5", "skip of 2^16 periods", Box::new(|| signed_header(6, 1 << 16)));
    add(
        "HEADER.6",
        "a management that may be replayed",
        Box::new(|| falsified(&apply(managed()).unwrap(), "HEADER.6", 0, -Fr::ONE)),
    );
    for (theft, edit) in beginnings() {
        add(
            "STATE.INIT",
            theft,
            Box::new(move || {
                let mut i = beginning(tiny(), 3).unwrap();
                edit(&mut i);
                traced(i)
            }),
        );
    }
    add(
        "STATE.INIT",
        "a beginning under another meter data manager than the registered one",
        Box::new(|| {
            let t = apply(beginning(tiny(), 3).unwrap()).unwrap();
            let first = (0..)
                .find(|nth| {
                    clauses(refusals(tiny(), &falsified(&t, "STATE.INIT", *nth, Fr::from(5)))) == only("STATE.INIT")
                })
                .unwrap();
            falsified(&t, "STATE.INIT", first, Fr::from(5))
        }),
    );
    add(
        "NOTES.1",
        "a note that L1 does not see",
        Box::new(|| {
            let t = apply(with_extras(Extras { notes: 3, ..Extras::default() })).unwrap();
            tampered(&t, &[(("NOTES.1", "note_inverse", 1), Fr::ZERO)])
        }),
    );
    add(
        "NOTES.1",
        "a record for a note that is not there",
        Box::new(|| {
            let t = apply(with_extras(Extras { notes: 3, ..Extras::default() })).unwrap();
            // The code, then three values a note: not absent, their product, visible.
            falsified(&t, "NOTES.1", 1 + 3 * 5 + 2, Fr::ONE)
        }),
    );
    mutants
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

/// A management with one element that is none, signed by the meter data manager.
fn signed_header(element: usize, value: u64) -> Trace {
    let mut i = managed();
    let value = if element == 5 { field::shifted(1, 64) } else { field::Fr::from(value) };
    let (domain, place) = (i.domain, Place::of(&i.community));
    let SignedManagement { management, signature } = i.operations.header.management.as_mut().unwrap();
    let mut elements = management.elements(domain, &place);
    elements[element] = value;
    *signature = mdm_key().sign(DomainTag::HeaderOperation, &[sponge(DomainTag::HeaderOperation, &elements)]).unwrap();
    let name = ["mechanism", "mdm_x", "mdm_y", "reserve", "skip"][element - 2];
    tampered(&compute(i), &[(("HEADER.3", name, 0), lifted(&value))])
}

type Beginning = (&'static str, fn(&mut SettlementInput));

fn beginnings() -> Vec<Beginning> {
    vec![
        ("a community begins with a balance", |i| i.community.accounts[3].balance = 5),
        ("a community begins with an owner", |i| i.community.accounts[3].owner = field::Fr::from(5u64)),
        ("a community begins with a debt", |i| {
            i.community.accounts[3].debt = 5;
            i.operations.header.transfer = Some(Transfer { pool: Pool::SupplierIn, units: 1 });
        }),
        ("a community begins with a slot's nonces used up", |i| i.community.accounts[3].nonce = u32::MAX - 1),
        ("a community begins with an account", |i| {
            i.community.accounts[3].meter = Some(meter_key(3).public());
            resign(i, 3).unwrap();
        }),
        ("a community begins with a supplier account balance", |i| i.community.header.supplier_account = 1_000_000),
        ("a community begins with fee account", |i| i.community.header.fee_account = 1),
        ("a community begins with outstanding certificates", |i| {
            i.community.header.totals.outstanding = gridveil_protocol::units::Wh(1)
        }),
        ("a community begins with certificates", |i| i.community.certificates.set(5, field::Fr::from(9u64))),
        ("a community begins in the middle of its certificates", |i| i.community.header.certificate_count = 4),
        ("a community begins with a used nonce", |i| i.community.header.nonce = 1),
    ]
}
