//! Known attacks on a finished table: surplus public inputs, and several cells changed at once.
use std::collections::BTreeSet;

use gridveil_circuits::{
    Fr,
    chips::columns::Selector,
    settlement::{build, table},
    trace::{Cell, Name},
};
use gridveil_protocol::{market::Mechanism, settlement::apply};
use halo2curves::ff::Field;

use crate::common::{input, refusals, refusals_for, tiny};

/// halo2 does not refuse surplus public inputs, so they must reach no row: here slot 0 is credited 1,000,000 nano out
/// of nothing, and the difference in every arithmetic row is offered as a public input.
#[test]
fn surplus_public_inputs_reach_nothing() {
    let native = (0..9)
        .map(|seed| apply(input(tiny(), seed, Mechanism::Auction)).unwrap())
        .find(|t| t.after.accounts[0].balance > 0)
        .unwrap();
    let (stolen, honest) = (1_000_000, native.after.accounts[0].balance);
    let mut t = table(&tiny());
    t.tamper(("SETTLE.8", "balance_after", 0), Fr::from(honest + stolen));
    t.falsify("SETTLE.8", 2, Fr::from(stolen));
    let t = build(&native, t);
    assert_eq!(refusals(tiny(), &t), BTreeSet::from(["SETTLE.8".to_string()]));
    let mut instance = t.instance().to_vec();
    for row in instance.len()..t.advice().len() {
        let [c0, a, b, c] = [0, 5, 6, 7].map(|column| t.value(Cell { column, row }));
        let k = t.constants()[row];
        let arith = t.selected(Selector::Arith as usize, row);
        instance.push(if arith { c0 - (k[0] * a * b + k[1] * a + k[2] * b + k[3] * c + k[4]) } else { Fr::ZERO });
    }
    assert_eq!(refusals_for(tiny(), &t, instance), BTreeSet::from(["SETTLE.8".to_string()]));
}

/// Several cells at once, each choice consistent with every equation but the one that guards it.
#[test]
fn aliases_are_refused() {
    let minus = |x: u64| -Fr::from(x);
    let native = apply(input(tiny(), 3, Mechanism::Auction)).unwrap();
    let a = |slot: usize| &native.input.community.accounts[slot];
    let creditor = (0..4).find(|i| native.after.accounts[*i].balance > 0).unwrap();
    let debtor = (0..4).find(|i| native.after.accounts[*i].debt > 0).unwrap();
    let technology = |slot: usize| Fr::from(u64::from(a(slot).terms.technology));
    let (balance, debt) = (native.after.accounts[creditor].balance, native.after.accounts[debtor].debt);
    let cases: Vec<(&str, Vec<(Name, Fr)>)> = vec![
        (
            "a balance as a negative debt",
            vec![
                (("SETTLE.8", "balance_after", creditor), Fr::ZERO),
                (("SETTLE.8", "debt_after", creditor), minus(balance)),
            ],
        ),
        (
            "a debt as a negative balance",
            vec![(("SETTLE.8", "debt_after", debtor), Fr::ZERO), (("SETTLE.8", "balance_after", debtor), minus(debt))],
        ),
        (
            "scale 10 read as 1",
            vec![
                (("SETTLE.13", "scale", 0), Fr::ONE),
                (("SETTLE.13", "technology", 0), technology(0) + Fr::from(9 * 256)),
            ],
        ),
        (
            "scale 1 read as 10",
            vec![
                (("SETTLE.13", "scale", 2), Fr::from(10)),
                (("SETTLE.13", "technology", 2), technology(2) - Fr::from(9 * 256)),
            ],
        ),
        ("class 1 read as 0", vec![(("SETTLE.13", "class", 1), Fr::ZERO), (("SETTLE.13", "scale", 1), Fr::from(257))]),
        ("class 0 read as 1", vec![(("SETTLE.13", "class", 2), Fr::ONE), (("SETTLE.13", "scale", 2), minus(255))]),
        (
            "place 1 written as (-1, 1)",
            vec![(("SETTLE.13", "append_bit", 0), minus(1)), (("SETTLE.13", "append_bit", 1), Fr::ONE)],
        ),
        (
            "place 1 as -3 of four",
            vec![(("SETTLE.13", "append_bit", 0), minus(3)), (("SETTLE.13", "append_bit", 2), Fr::ONE)],
        ),
        ("half substituted", vec![(("SETTLE.1b", "substituted", 0), Fr::from(2).invert().unwrap())]),
        ("mechanism 2", vec![(("SETTLE.13", "header", 0), Fr::from(2))]),
        ("half a side", vec![(("SETTLE.6", "side", 0), Fr::from(2).invert().unwrap())]),
        (
            "ratio less the modulus' quotient",
            vec![(("SETTLE.4", "ratio", 0), Fr::from(native.clearings[0].ratio) + Fr::from(2).invert().unwrap())],
        ),
        ("started in the first interval alone", vec![(("SETTLE.2", "started", 1), Fr::ZERO)]),
        (
            "neither above, below nor at",
            vec![(("SETTLE.5", "buyer_above", 2), Fr::ZERO), (("SETTLE.5", "buyer_below", 2), Fr::ZERO)],
        ),
        (
            "a debtor's limit is above",
            vec![(("SETTLE.5", "buyer_above", 2), Fr::ONE), (("SETTLE.5", "buyer_below", 2), Fr::ZERO)],
        ),
        ("above and below", vec![(("SETTLE.5", "buyer_above", 0), Fr::ONE), (("SETTLE.5", "buyer_below", 0), Fr::ONE)]),
        ("debt forgotten", vec![(("SETTLE.5", "debt_inverse", 1), Fr::ZERO)]),
        ("meter forgotten", vec![(("SETTLE.1b", "meter_inverse", 0), Fr::ZERO)]),
        ("technology forgotten", vec![(("SETTLE.10", "technology_inverse", 0), Fr::ZERO)]),
        ("price forgotten", vec![(("SETTLE.6", "price_inverse", 0), Fr::ZERO)]),
    ];
    for (name, edits) in cases {
        let mut t = table(&tiny());
        for (cell, value) in edits {
            t.tamper(cell, value);
        }
        let found = refusals(tiny(), &build(&native, t));
        assert!(!found.is_empty(), "{name}");
    }
}
