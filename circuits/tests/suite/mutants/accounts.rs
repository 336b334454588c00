//! Mutants of what a settlement leaves behind: money, registers, certificates, totals, state (SETTLE.7 to SETTLE.14).

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
};
use gridveil_protocol::{
    settlement::{Transition, apply, compute},
    tree::SparseTree,
};
use halo2curves::ff::Field;

use super::{
    Mutants,
    fixtures::{honest, with_empty_slot},
};
use crate::common::{falsified, tampered, tiny};

pub fn add_to(mutants: &mut Mutants) {
    mutants.add("SETTLE.7", "fees of one class charged to another", || {
        let t = apply(honest(1)).unwrap();
        falsified(&t, "SETTLE.7", 12, Fr::from(1000))
    });
    mutants.add("SETTLE.8", "operator credits an account", || {
        let t = apply(honest(1)).unwrap();
        let value = t.outcomes[0].value.split().0;
        tampered(&t, &[(("SETTLE.8", "balance_after", 0), Fr::from(value + 1))])
    });
    mutants.add("SETTLE.8", "balance and debt inflated together", || {
        let t = apply(honest(1)).unwrap();
        let (a, d) = (&t.after.accounts[0], 1000);
        tampered(
            &t,
            &[
                (("SETTLE.8", "balance_after", 0), Fr::from(a.balance + d)),
                (("SETTLE.8", "debt_after", 0), Fr::from(a.debt + d)),
            ],
        )
    });
    mutants.add("SETTLE.8", "a supplier account that cannot pay", || {
        let mut i = honest(1);
        i.community.header.supplier_account = 0;
        i.tariff.intervals.iter_mut().for_each(|t| t.classes.iter_mut().for_each(|c| c.feed_in = 2_000_000_000));
        let mut state = SparseTree::new(8);
        state.set(5, i.community.node());
        i.state_path = state.path(5);
        build(&compute(i), table(&tiny()))
    });
    mutants.add("SETTLE.9", "a register that skips energy", || {
        falsified(&apply(honest(1)).unwrap(), "SETTLE.9", 0, -Fr::ONE)
    });
    mutants.add("SETTLE.10", "certificates for a home without generation", || {
        let t = apply(honest(1)).unwrap();
        falsified(&t, "SETTLE.10", nth_of_slot(&t, "SETTLE.10", 1) + 2, Fr::ONE)
    });
    mutants.add("SETTLE.10", "certificates for substituted readings", || {
        let t = apply(honest(1)).unwrap();
        falsified(&t, "SETTLE.10", nth_of_slot(&t, "SETTLE.10", 3) + 2, Fr::ONE)
    });
    mutants.add("SETTLE.11", "a total that leaves out energy", || {
        falsified(&apply(honest(1)).unwrap(), "SETTLE.11", 1, -Fr::ONE)
    });
    mutants.add("SETTLE.12", "limits of the next period that nobody asked for", || {
        falsified(&apply(honest(1)).unwrap(), "SETTLE.12", 1, Fr::ONE)
    });
    mutants.add("SETTLE.13", "notes appended at another place", || {
        let t = apply(honest(1)).unwrap();
        tampered(&t, &[(("SETTLE.13", "append_bit", 0), Fr::ZERO)])
    });
    mutants.add("SETTLE.13", "terms split otherwise: another class", || {
        tampered(&apply(with_empty_slot()).unwrap(), &[(("SETTLE.13", "class", 3), Fr::ONE)])
    });
    mutants.add("SETTLE.14", "data that the state does not commit to", || {
        falsified(&apply(honest(1)).unwrap(), "SETTLE.14", 1, Fr::ONE)
    });
}

/// Index of the first value computed for `clause` in `slot` (each slot computes equally many).
fn nth_of_slot(t: &Transition, clause: &'static str, slot: usize) -> usize {
    let all = *build(t, table(&tiny())).computed_counts().get(clause).unwrap();
    // One value (the note's base) belongs to the batch.
    1 + (all - 1) / 4 * slot
}
