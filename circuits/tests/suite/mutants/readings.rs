//! Mutants of the packets: whose readings they are, of which period, and how they are packed (SETTLE.1 to SETTLE.3).

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
    trace::Trace,
};
use gridveil_protocol::{
    field,
    fixture::{meter_key, resign},
    packet::Reading,
    settlement::{Transition, apply, compute},
    units::Ticks,
};
use halo2curves::ff::Field;

use super::{
    Mutants,
    fixtures::{honest, repaired, with_empty_slot},
};
use crate::common::{falsified, tampered, tiny};

pub fn add_to(mutants: &mut Mutants) {
    mutants.add("SETTLE.1", "operator lowers a reading after the meter signed", || {
        let mut i = honest(1);
        i.packets[0].packet.readings[0].import -= 1;
        build(&compute(i), table(&tiny()))
    });
    mutants.add("SETTLE.1", "operator puts its own salts under a signed packet", || {
        let mut i = honest(1);
        i.packets[0].packet.salts.exit[0] += field::Fr::from(1u64);
        build(&compute(i), table(&tiny()))
    });
    mutants.add("SETTLE.1", "operator changes the order limits of the next period", || {
        let mut i = honest(1);
        i.packets[0].packet.buy_limit.0 += 1;
        build(&compute(i), table(&tiny()))
    });
    mutants.add("SETTLE.1", "packet of another community", || {
        let mut i = honest(1);
        i.packets[0].packet.context.community += 1;
        resign(&mut i, 0).unwrap();
        i.packets[0].packet.context.community -= 1;
        build(&compute(i), table(&tiny()))
    });
    mutants.add("SETTLE.1", "another digest than the one that was signed", || {
        let t = apply(honest(1)).unwrap();
        tampered(&t, &[(("SETTLE.1", "digest_high", 0), Fr::from(5))])
    });
    mutants.add("SETTLE.1b", "meter data manager substitutes more than the account's cap", || {
        let mut i = honest(1);
        i.packets[3].packet.readings[0] = Reading { import: 9001, export: 0 };
        build(&compute(repaired(i, 3)), table(&tiny()))
    });
    mutants.add("SETTLE.1b", "a substituted empty slot", || {
        let mut i = with_empty_slot();
        i.packets[3].packet.substituted = true;
        build(&compute(repaired(i, 3)), table(&tiny()))
    });
    // The statement that the circuit asks a signature of names the right one, so one that is signed on top of another
    // is not signed at all.
    mutants.add("SETTLE.1", "a substitute signed on top of another than the one that waits", || {
        build(&stacked(3, 7, 8), table(&tiny()))
    });
    mutants
        .add("SETTLE.1", "a meter's packet signed on top of a substitute", || build(&stacked(0, 0, 8), table(&tiny())));
    for (theft, slot, waits, named) in [
        ("a substitute drops the one that waits", 3, 7, 0),
        ("a substitute invents one beneath it", 3, 0, 8),
        ("a substitute brings back one that was corrected", 3, 7, 8),
        ("a meter's packet names a substitute", 0, 0, 8),
        ("a meter's packet names the substitute that waits", 0, 7, 7),
    ] {
        mutants.add("SETTLE.1b", theft, move || {
            let t = stacked(slot, waits, named);
            let expected = if slot == 3 { waits } else { 0 };
            let all = *build(&t, table(&tiny())).computed_counts().get("SETTLE.1b").unwrap();
            // After the limits (4) and the test for an empty slot (2).
            falsified(&t, "SETTLE.1b", all / 4 * slot + 6, Fr::from(named) - Fr::from(expected))
        });
    }
    mutants.add("SETTLE.2", "a reading before the account is active", || {
        let mut i = honest(1);
        i.packets[2].packet.readings[0].import = 5;
        build(&compute(repaired(i, 2)), table(&tiny()))
    });
    mutants.add("SETTLE.2", "the window is claimed to have started earlier", || {
        let mut i = honest(1);
        i.packets[2].packet.readings[0].import = 5;
        let t = compute(repaired(i, 2));
        tampered(&t, &[(("SETTLE.2", "started", 2 * 2), Fr::ONE)])
    });
    mutants.add("SETTLE.2", "the period is not advanced", || {
        let t = apply(honest(1)).unwrap();
        let last = *build(&t, table(&tiny())).computed_counts().get("SETTLE.2").unwrap() - 1;
        falsified(&t, "SETTLE.2", last, -Fr::from(2))
    });
    mutants.add("SETTLE.3", "carry between import and export of the same packed reading", carry);
    mutants.add("SETTLE.1", "readings signed in another unit than the account's", || {
        let mut i = honest(1);
        assert_eq!(i.community.accounts[1].terms.scale, 1);
        i.packets[1].packet.scale = 10;
        i.packets[1] = i.packets[1].packet.clone().sign(&meter_key(1)).unwrap();
        assert!(apply(i.clone()).is_err());
        build(&compute(i), table(&tiny()))
    });
}

/// The leaf of `slot` waits for one substitute, and its packet names another. Slot 3 is substituted.
fn stacked(slot: usize, waits: u64, named: u64) -> Transition {
    let mut i = honest(1);
    i.community.accounts[slot].pending_substitute = field::Fr::from(waits);
    i.packets[slot].packet.previous_substitute = field::Fr::from(named);
    let i = repaired(i, slot);
    assert!(apply(i.clone()).is_err());
    compute(i)
}

/// A slot that does not trade claims one unit less import and 2^16 more export: the same packed (signed) reading, much
/// more feed-in.
fn carry() -> Trace {
    let mut i = honest(1);
    i.community.accounts[1].terms.sell_limit = Ticks::MAX;
    i.packets[1].packet.readings[0] = Reading { import: 1200, export: 7 };
    let t = compute(repaired(i, 1));
    let prices = t.input.tariff.intervals[0].classes[1];
    let gain = i128::from(prices.energy) + i128::from(prices.network) + 65536 * i128::from(prices.feed_in);
    let value = t.outcomes[1].value.0 + gain;
    let amount = |x: i128| Fr::from(u64::try_from(x.max(0)).unwrap());
    let edits = [
        (("SETTLE.3", "import", 2), Fr::from(1199)),
        (("SETTLE.3", "export", 2), Fr::from(65536 + 7)),
        (("SETTLE.8", "balance_after", 1), amount(value)),
        (("SETTLE.8", "debt_after", 1), amount(-value)),
    ];
    tampered(&t, &edits)
}
