//! Mutants of the header, of the beginning and of the queue of notes (HEADER, STATE, NOTES).

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
    trace::Trace,
};
use gridveil_protocol::{
    field,
    fixture::{Extras, beginning, mdm_key, meter_key, next_mdm_key, reroot, resign, resign_management},
    header_operation::{Place, Pool, SignedManagement, Transfer},
    params::UNIT_NANO,
    poseidon::{DomainTag, sponge},
    settlement::{SettlementInput, apply, compute},
    units::Wh,
};
use halo2curves::ff::Field;

use super::{
    Mutants,
    fixtures::{managed, moved, traced, with_extras},
};
use crate::common::{clauses, falsified, lifted, only, refusals, tampered, tiny};

pub fn add_to(mutants: &mut Mutants) {
    mutants.add("HEADER.1", "supplier account below reserve", || {
        let mut i = moved(Pool::SupplierOut);
        i.community.header.reserve = u64::try_from(compute(i.clone()).supplier_after.0).unwrap() + 1;
        reroot(&mut i);
        traced(i)
    });
    mutants.add("HEADER.1", "supplier account below a reserve that the meter data manager raises at once", || {
        let mut i = with_extras(Extras { header: Some(Pool::SupplierOut), management: true, ..Extras::default() });
        let reserve = u64::try_from(compute(i.clone()).supplier_after.0).unwrap() + 1;
        i.operations.header.management.as_mut().unwrap().management.reserve = reserve;
        resign_management(&mut i).unwrap();
        traced(i)
    });
    mutants.add("HEADER.1", "units that are none: the record reads 0", || {
        let mut i = moved(Pool::SupplierIn);
        i.operations.header.transfer.as_mut().unwrap().units = 1 << 48;
        i.community.header.supplier_account = 0;
        reroot(&mut i);
        // 2^48 units do not fit the supplier account: the mutant books what fits.
        falsified(&compute(i), "HEADER.1", 6, -Fr::from(UNIT_NANO) * Fr::from(1 << 48) + Fr::from(1 << 62))
    });
    mutants.add("HEADER.1", "more in the supplier account than the operator paid", || {
        falsified(&apply(moved(Pool::SupplierIn)).unwrap(), "HEADER.1", 6, Fr::from(1_000_000))
    });
    mutants.add("HEADER.1", "supplier account leaves and no reserve is asked for", || {
        falsified(&apply(moved(Pool::SupplierOut)).unwrap(), "HEADER.1", 10, Fr::ONE)
    });
    mutants.add("HEADER.2", "less leaves the fee account than L1 pays out", || {
        falsified(&apply(moved(Pool::FeeOut)).unwrap(), "HEADER.2", 0, Fr::from(UNIT_NANO))
    });
    mutants.add("HEADER.3", "meter data manager change without the meter data manager", || {
        let mut i = managed();
        let SignedManagement { management, .. } = i.operations.header.management.take().unwrap();
        let signed = management.sign(i.domain, &Place::of(&i.community), &next_mdm_key());
        i.operations.header.management = Some(signed.unwrap());
        traced(i)
    });
    for (theft, community, nonce, interval) in [
        ("a management of another community", 1, 0, 0),
        ("a management again", 0, 1, 0),
        ("a management held back for another period", 0, 0, 2),
    ] {
        mutants.add("HEADER.3", theft, move || {
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
        });
    }
    mutants.add("HEADER.3", "operator moves the meter data manager's key", || {
        let t = apply(with_extras(Extras::default())).unwrap();
        let last = *build(&t, table(&tiny())).computed_counts().get("HEADER.3").unwrap() - 1;
        falsified(&t, "HEADER.3", last, Fr::ONE)
    });
    mutants.add("HEADER.4", "operator lowers the reserve", || {
        falsified(&apply(with_extras(Extras::default())).unwrap(), "HEADER.4", 4, -Fr::ONE)
    });
    mutants.add("HEADER.4", "operator changes the mechanism", || {
        falsified(&apply(with_extras(Extras::default())).unwrap(), "HEADER.4", 1, Fr::ONE)
    });
    mutants.add("HEADER.4", "a mechanism that does not exist", || signed_header(2, 2));
    mutants.add("HEADER.4", "a reserve that no supplier account reaches", || signed_header(5, 0));
    mutants.add("HEADER.5", "skip unsigned", || {
        falsified(&apply(with_extras(Extras::default())).unwrap(), "HEADER.5", 0, Fr::ONE)
    });
    mutants.add("HEADER.5", "skip of 2^16 periods", || signed_header(6, 1 << 16));
    mutants.add("HEADER.6", "a management that may be replayed", || {
        falsified(&apply(managed()).unwrap(), "HEADER.6", 0, -Fr::ONE)
    });
    for (theft, edit) in beginnings() {
        mutants.add("STATE.INIT", theft, move || {
            let mut i = beginning(tiny(), 3).unwrap();
            edit(&mut i);
            traced(i)
        });
    }
    mutants.add("STATE.INIT", "a beginning under another meter data manager than the registered one", || {
        let t = apply(beginning(tiny(), 3).unwrap()).unwrap();
        let first = (0..)
            .find(|nth| {
                clauses(refusals(tiny(), &falsified(&t, "STATE.INIT", *nth, Fr::from(5)))) == only("STATE.INIT")
            })
            .unwrap();
        falsified(&t, "STATE.INIT", first, Fr::from(5))
    });
    mutants.add("NOTES.1", "a note that L1 does not see", || {
        let t = apply(with_extras(Extras { notes: 3, ..Extras::default() })).unwrap();
        tampered(&t, &[(("NOTES.1", "note_inverse", 1), Fr::ZERO)])
    });
    mutants.add("NOTES.1", "a record for a note that is not there", || {
        let t = apply(with_extras(Extras { notes: 3, ..Extras::default() })).unwrap();
        // The code, then three values a note: not absent, their product, visible.
        falsified(&t, "NOTES.1", 1 + 3 * 5 + 2, Fr::ONE)
    });
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
        ("a community begins with outstanding certificates", |i| i.community.header.totals.outstanding = Wh(1)),
        ("a community begins with certificates", |i| i.community.certificates.set(5, field::Fr::from(9u64))),
        ("a community begins in the middle of its certificates", |i| i.community.header.certificate_count = 4),
        ("a community begins with a used nonce", |i| i.community.header.nonce = 1),
        ("a community begins with a reserve", |i| i.community.header.reserve = 1),
        ("a community begins with import", |i| i.community.header.totals.import = Wh(1)),
        ("a community begins with export", |i| i.community.header.totals.export = Wh(1)),
        ("a community begins with trade", |i| i.community.header.totals.traded = Wh(1)),
        ("a community begins with issued certificates", |i| i.community.header.totals.issued = Wh(1)),
        ("a community begins with retired certificates", |i| i.community.header.totals.retired = Wh(1)),
        ("a community begins with a sum of debts that nobody owes", |i| i.community.header.totals.debt = 1),
        ("a community begins with substitutes", |i| i.community.header.totals.substituted_packets = 1),
        ("a community begins with substituted energy", |i| i.community.header.totals.substituted_wh = Wh(1)),
        ("a community begins with corrections", |i| i.community.header.totals.corrected = 1),
    ]
}
