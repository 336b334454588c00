//! Soundness: what each clause refuses, and that nothing free goes unnoticed.
//!
//! A mutant is an honest statement with one edit; everything downstream of the edit follows it, also the public inputs,
//! so that only the clause that guards the edit can refuse.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{clauses, falsified, in_full_use, input, only, refusals, refusals_for, tampered, tiny, value_of};
use gridveil_circuits::{
    Fr,
    settlement::{build, table},
    trace::Trace,
};
use gridveil_protocol::{
    field,
    fixture::{meter_key, resign},
    market::{Mechanism, Rationed, clear_at},
    operation::Kind,
    packet::Reading,
    settlement::{SettlementInput, Transition, apply, clear_all, compute, compute_with},
    tree::SparseTree,
    units::{Interval, Ticks, Wh},
};
use halo2curves::ff::Field;

fn honest(seed: u64) -> SettlementInput {
    input(tiny(), seed, Mechanism::Auction)
}

fn repaired(mut input: SettlementInput, slot: usize) -> SettlementInput {
    resign(&mut input, slot).unwrap();
    let mut state = SparseTree::new(8);
    state.set(5, input.community.node());
    input.state_path = state.path(5);
    input
}

type Mutant = (&'static str, &'static str, Box<dyn Fn() -> Trace>);

/// One line a mutant: the clause that must refuse it alone, the theft it attempts, how.
fn table_of_mutants() -> Vec<Mutant> {
    let mut mutants: Vec<Mutant> = Vec::new();
    let mut add = |clause, theft, make: Box<dyn Fn() -> Trace>| mutants.push((clause, theft, make));
    add(
        "SETTLE.1",
        "operator lowers a reading after the meter signed",
        Box::new(|| {
            let mut i = honest(1);
            i.packets[0].packet.readings[0].import -= 1;
            build(&compute(i), table(&tiny()))
        }),
    );
    add(
        "SETTLE.1",
        "operator puts its own salts under a signed packet",
        Box::new(|| {
            let mut i = honest(1);
            i.packets[0].packet.salts.exit[0] += field::Fr::from(1u64);
            build(&compute(i), table(&tiny()))
        }),
    );
    add(
        "SETTLE.1",
        "operator changes the order limits of the next period",
        Box::new(|| {
            let mut i = honest(1);
            i.packets[0].packet.buy_limit.0 += 1;
            build(&compute(i), table(&tiny()))
        }),
    );
    add(
        "SETTLE.1",
        "packet of another community",
        Box::new(|| {
            let mut i = honest(1);
            i.packets[0].packet.context.community += 1;
            resign(&mut i, 0).unwrap();
            i.packets[0].packet.context.community -= 1;
            build(&compute(i), table(&tiny()))
        }),
    );
    add(
        "SETTLE.1",
        "another digest than the one that was signed",
        Box::new(|| {
            let t = apply(honest(1)).unwrap();
            tampered(&t, &[(("SETTLE.1", "digest_high", 0), Fr::from(5))])
        }),
    );
    add(
        "SETTLE.1b",
        "meter data manager substitutes more than the account's cap",
        Box::new(|| {
            let mut i = honest(1);
            i.packets[3].packet.readings[0] = Reading { import: 9001, export: 0 };
            build(&compute(repaired(i, 3)), table(&tiny()))
        }),
    );
    add(
        "SETTLE.1b",
        "a substituted empty slot",
        Box::new(|| {
            let mut i = with_empty_slot();
            i.packets[3].packet.substituted = true;
            build(&compute(repaired(i, 3)), table(&tiny()))
        }),
    );
    // The statement that the circuit asks a signature of names the right one, so one that is signed on top of another
    // is not signed at all.
    add(
        "SETTLE.1",
        "a substitute signed on top of another than the one that waits",
        Box::new(|| build(&stacked(3, 7, 8), table(&tiny()))),
    );
    add(
        "SETTLE.1",
        "a meter's packet signed on top of a substitute",
        Box::new(|| build(&stacked(0, 0, 8), table(&tiny()))),
    );
    for (theft, slot, waits, named) in [
        ("a substitute drops the one that waits", 3, 7, 0),
        ("a substitute invents one beneath it", 3, 0, 8),
        ("a substitute brings back one that was corrected", 3, 7, 8),
        ("a meter's packet names a substitute", 0, 0, 8),
        ("a meter's packet names the substitute that waits", 0, 7, 7),
    ] {
        add(
            "SETTLE.1b",
            theft,
            Box::new(move || {
                let t = stacked(slot, waits, named);
                let expected = if slot == 3 { waits } else { 0 };
                let all = *build(&t, table(&tiny())).computed_counts().get("SETTLE.1b").unwrap();
                // After the limits (4) and the test for an empty slot (2).
                falsified(&t, "SETTLE.1b", all / 4 * slot + 6, Fr::from(named) - Fr::from(expected))
            }),
        );
    }
    add(
        "SETTLE.2",
        "a reading before the account is active",
        Box::new(|| {
            let mut i = honest(1);
            i.packets[2].packet.readings[0].import = 5;
            build(&compute(repaired(i, 2)), table(&tiny()))
        }),
    );
    add(
        "SETTLE.2",
        "the window is claimed to have started earlier",
        Box::new(|| {
            let mut i = honest(1);
            i.packets[2].packet.readings[0].import = 5;
            let t = compute(repaired(i, 2));
            tampered(&t, &[(("SETTLE.2", "started", 2 * 2), Fr::ONE)])
        }),
    );
    add(
        "SETTLE.2",
        "the period is not advanced",
        Box::new(|| {
            let t = apply(honest(1)).unwrap();
            let last = *build(&t, table(&tiny())).computed_counts().get("SETTLE.2").unwrap() - 1;
            falsified(&t, "SETTLE.2", last, -Fr::from(2))
        }),
    );
    add("SETTLE.3", "carry between import and export of the same packed reading", Box::new(carry));
    add(
        "SETTLE.4",
        "less is bought than sold",
        Box::new(|| {
            let t =
                apply(seed_with(|t| t.clearings[0].rationed == Rationed::Demand && t.clearings[0].remaining > Wh(2)))
                    .unwrap();
            let mut clearings = t.clearings.clone();
            clearings[0].ratio -= (1 << 32) / clearings[0].weight.0 + 1;
            for slot in 0..4usize {
                let share = |ratio| {
                    gridveil_protocol::market::cumulative(running_weight(&t, slot), ratio)
                        - slot
                            .checked_sub(1)
                            .map_or(Wh::ZERO, |s| gridveil_protocol::market::cumulative(running_weight(&t, s), ratio))
                };
                clearings[0].bought[slot] =
                    t.clearings[0].bought[slot] - share(t.clearings[0].ratio) + share(clearings[0].ratio);
            }
            build(&compute_with(t.input, clearings), table(&tiny()))
        }),
    );
    add("SETTLE.5", "a buyer is served above its limit", Box::new(|| standing_mutant("buyer_below", "buyer_above")));
    add("SETTLE.5", "a seller is served below its limit", Box::new(|| standing_mutant("seller_above", "seller_below")));
    add("SETTLE.6", "a price above the lowest clearing tick", Box::new(|| at_another_tick(1)));
    add(
        "SETTLE.6",
        "rationed energy moved between neighbours",
        Box::new(|| {
            let t = apply(seed_with(|t| rationed_slot(t).is_some())).unwrap();
            let slot = rationed_slot(&t).unwrap();
            let q = gridveil_protocol::market::cumulative(running_weight(&t, slot), t.clearings[0].ratio);
            let mut clearings = t.clearings.clone();
            let side = if clearings[0].rationed == Rationed::Demand {
                &mut clearings[0].bought
            } else {
                &mut clearings[0].sold
            };
            side[slot] -= Wh(1);
            side[slot + 1] += Wh(1);
            tampered(&compute_with(t.input, clearings), &[(("SETTLE.6", "cumulative", slot * 2), Fr::from(q.0 - 1))])
        }),
    );
    add(
        "SETTLE.7",
        "fees of one class charged to another",
        Box::new(|| {
            let t = apply(honest(1)).unwrap();
            falsified(&t, "SETTLE.7", 12, Fr::from(1000))
        }),
    );
    add(
        "SETTLE.8",
        "operator credits an account",
        Box::new(|| {
            let t = apply(honest(1)).unwrap();
            let value = t.outcomes[0].value.split().0;
            tampered(&t, &[(("SETTLE.8", "balance_after", 0), Fr::from(value + 1))])
        }),
    );
    add(
        "SETTLE.8",
        "balance and debt inflated together",
        Box::new(|| {
            let t = apply(honest(1)).unwrap();
            let (a, d) = (&t.after.accounts[0], 1000);
            tampered(
                &t,
                &[
                    (("SETTLE.8", "balance_after", 0), Fr::from(a.balance + d)),
                    (("SETTLE.8", "debt_after", 0), Fr::from(a.debt + d)),
                ],
            )
        }),
    );
    add(
        "SETTLE.8",
        "a supplier account that cannot pay",
        Box::new(|| {
            let mut i = honest(1);
            i.community.header.supplier_account = 0;
            i.tariff.intervals.iter_mut().for_each(|t| t.classes.iter_mut().for_each(|c| c.feed_in = 2_000_000_000));
            let mut state = SparseTree::new(8);
            state.set(5, i.community.node());
            i.state_path = state.path(5);
            build(&compute(i), table(&tiny()))
        }),
    );
    add(
        "SETTLE.9",
        "a register that skips energy",
        Box::new(|| falsified(&apply(honest(1)).unwrap(), "SETTLE.9", 0, -Fr::ONE)),
    );
    add(
        "SETTLE.1",
        "readings signed in another unit than the account's",
        Box::new(|| {
            let mut i = honest(1);
            assert_eq!(i.community.accounts[1].terms.scale, 1);
            i.packets[1].packet.scale = 10;
            i.packets[1] = i.packets[1].packet.clone().sign(&meter_key(1)).unwrap();
            assert!(apply(i.clone()).is_err());
            build(&compute(i), table(&tiny()))
        }),
    );
    add(
        "SETTLE.10",
        "certificates for a home without generation",
        Box::new(|| {
            let t = apply(honest(1)).unwrap();
            falsified(&t, "SETTLE.10", nth_of_slot(&t, "SETTLE.10", 1) + 2, Fr::ONE)
        }),
    );
    add(
        "SETTLE.10",
        "certificates for substituted readings",
        Box::new(|| {
            let t = apply(honest(1)).unwrap();
            falsified(&t, "SETTLE.10", nth_of_slot(&t, "SETTLE.10", 3) + 2, Fr::ONE)
        }),
    );
    add(
        "SETTLE.11",
        "a total that leaves out energy",
        Box::new(|| falsified(&apply(honest(1)).unwrap(), "SETTLE.11", 1, -Fr::ONE)),
    );
    add(
        "SETTLE.12",
        "limits of the next period that nobody asked for",
        Box::new(|| falsified(&apply(honest(1)).unwrap(), "SETTLE.12", 1, Fr::ONE)),
    );
    add(
        "SETTLE.13",
        "notes appended at another place",
        Box::new(|| {
            let t = apply(honest(1)).unwrap();
            tampered(&t, &[(("SETTLE.13", "append_bit", 0), Fr::ZERO)])
        }),
    );
    add(
        "SETTLE.13",
        "terms split otherwise: another class",
        Box::new(|| tampered(&apply(with_empty_slot()).unwrap(), &[(("SETTLE.13", "class", 3), Fr::ONE)])),
    );
    add(
        "SETTLE.14",
        "data that the state does not commit to",
        Box::new(|| falsified(&apply(honest(1)).unwrap(), "SETTLE.14", 1, Fr::ONE)),
    );
    mutants
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

fn with_empty_slot() -> SettlementInput {
    let recipe = gridveil_protocol::fixture::Recipe { shape: tiny(), seed: 1, mechanism: Mechanism::Auction, used: 3 };
    gridveil_protocol::fixture::settlement(&recipe).unwrap()
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

/// Index of the first value computed for `clause` in `slot` (each slot computes equally many).
fn nth_of_slot(t: &Transition, clause: &'static str, slot: usize) -> usize {
    let all = *build(t, table(&tiny())).computed_counts().get(clause).unwrap();
    // One value (the note's base) belongs to the batch.
    1 + (all - 1) / 4 * slot
}

fn seed_with(wanted: impl Fn(&Transition) -> bool) -> SettlementInput {
    (0..200).map(honest).find(|i| wanted(&compute(i.clone()))).unwrap()
}

/// Tries every reading and seed: some reading must be refused by SETTLE.5 alone when its standing is turned around.
fn standing_mutant(off: &'static str, on: &'static str) -> Trace {
    for seed in 0..40 {
        let t = apply(honest(seed)).unwrap();
        for index in 0..8 {
            let trace = tampered(&t, &[(("SETTLE.5", off, index), Fr::ZERO), (("SETTLE.5", on, index), Fr::ONE)]);
            if clauses(refusals(tiny(), &trace)) == only("SETTLE.5") {
                return trace;
            }
        }
    }
    panic!("no reading is guarded by SETTLE.5 alone")
}

/// One seller and one buyer of the same energy, cleared `step` ticks off the lowest clearing tick, everything else
/// consistent with it.
fn at_another_tick(step: i32) -> Trace {
    let mut i = honest(1);
    for slot in 0..4 {
        i.packets[slot].packet.readings.fill(Reading::default());
    }
    (i.packets[3].packet.substituted, i.packets[3].packet.previous_substitute) = (false, field::Fr::from(0u64));
    i.packets[0].packet.readings[0].export = 100; // scale 10
    i.community.accounts[3].terms.buy_limit = Ticks(1400);
    i.community.accounts[3].terms.active_until = Interval::MAX;
    i.community.accounts[0].terms.sell_limit = Ticks(900);
    i.packets[3].packet.readings[0].import = 1000;
    let i = repaired(repaired(i, 0), 3);
    let i = repaired(repaired(i, 1), 2);
    let mut clearings = clear_all(&i).unwrap();
    assert_eq!((clearings[0].tick, clearings[0].volume), (Ticks(900), Wh(1000)));
    let (demand, supply) = gridveil_protocol::settlement::orders(&i, 0);
    let t = &i.tariff.intervals[0];
    let rules = gridveil_protocol::market::Rules {
        mechanism: Mechanism::Auction,
        cap: t.cap,
        floor: t.floor,
        reference: t.reference,
    };
    clearings[0] = clear_at(&rules, &demand, &supply, Ticks(u16::try_from(900 + step).unwrap()));
    build(&compute_with(i, clearings), table(&tiny()))
}

#[test]
fn no_other_tick_is_accepted() {
    assert!(refusals(tiny(), &at_another_tick(0)).is_empty());
    for step in [-900, -100, -1, 1, 2, 100, 500, 501, 2000] {
        let found = clauses(refusals(tiny(), &at_another_tick(step)));
        assert!(found.contains("SETTLE.6"), "{step}: {found:?}");
    }
}

fn running_weight(t: &Transition, slot: usize) -> Wh {
    let (demand, supply) = gridveil_protocol::settlement::orders(&t.input, 0);
    let c = &t.clearings[0];
    let tariff = &t.input.tariff.intervals[0];
    let marginal = |i: usize| match c.rationed {
        Rationed::Demand => demand[i].limit.is_some_and(|l| l.min(tariff.cap) == c.tick).then_some(demand[i].wh),
        Rationed::Supply => supply[i].limit.is_some_and(|l| l.max(tariff.floor) == c.tick).then_some(supply[i].wh),
    };
    (0..=slot).filter_map(marginal).sum()
}

/// A marginal slot of the rationed side whose neighbour is marginal too.
fn rationed_slot(t: &Transition) -> Option<usize> {
    let c = &t.clearings[0];
    let side = if c.rationed == Rationed::Demand { &c.bought } else { &c.sold };
    (0..3usize).find(|&slot| {
        let before = slot.checked_sub(1).map_or(Wh::ZERO, |s| running_weight(t, s));
        let (here, after) = (running_weight(t, slot), running_weight(t, slot + 1));
        before < here && here < after && side[slot] > Wh(1) && side[slot + 1] + Wh(1) < after - here
    })
}

#[test]
fn every_mutant_is_refused_by_its_clause_alone() {
    let mut failed = Vec::new();
    for (clause, theft, make) in table_of_mutants() {
        let found = clauses(refusals(tiny(), &make()));
        if found != only(clause) {
            failed.push(format!("{clause} ({theft}): {found:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn no_clause_is_without_a_mutant() {
    let specification = include_str!("../../../docs/spec/settlement.md");
    let named: BTreeSet<&str> = specification
        .lines()
        .filter_map(|l| l.strip_prefix("## SETTLE."))
        .map(|l| l.split(' ').next().unwrap())
        .collect();
    let table = table_of_mutants();
    let covered: BTreeSet<&str> = table.iter().map(|(clause, ..)| clause.trim_start_matches("SETTLE.")).collect();
    assert_eq!(named, covered);
    assert_eq!(named.len(), 15);
}

#[test]
fn every_computed_value_is_guarded_by_its_own_clause() {
    let t = apply(in_full_use(&[Kind::Receive, Kind::Rotate, Kind::Terms])).unwrap();
    let counts: BTreeMap<&'static str, usize> = build(&t, table(&tiny())).computed_counts().clone();
    let mut failed = Vec::new();
    for (clause, count) in counts {
        // Each clause at about four places, spread evenly.
        for nth in (0..count).step_by((count / 4).max(1)) {
            let found = clauses(refusals(tiny(), &falsified(&t, clause, nth, Fr::from(3))));
            if !found.contains(clause) {
                failed.push(format!("{clause} value {nth}: {found:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Free cells that may take another value without a refusal and without another statement, and why that harms nobody.
const HARMLESS: [(&str, &str); 3] = [
    ("SETTLE.2", "started"), // a window may be claimed shorter than it is; a reading outside the claim is refused
    ("SETTLE.2", "ended"),
    ("SETTLE.2", "idle"),
];

/// Free cells that may take another value in another statement: L1 sees the difference.
const VISIBLE: [(&str, &str); 5] = [
    ("SETTLE.7", "tariff"),       // its commitment is a public input
    ("HEADER.1", "supplier_out"), // no transfer: no record
    ("HEADER.1", "units"),        // in the record
    ("ADJUST.5", "tariff"),       // its commitment is in the record
    ("NOTES.1", "note"),          // in the record
];

/// Every kind of free cell, in a statement whose every part is in use.
#[test]
fn no_free_cell_changes_unnoticed() {
    let t = apply(in_full_use(&[Kind::Deposit, Kind::Withdraw, Kind::Send])).unwrap();
    let mut trace = table(&tiny());
    trace.record_names();
    let honest = build(&t, trace);
    let statement = honest.instance().to_vec();
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (mut unnoticed, mut elsewhere) = (Vec::new(), BTreeSet::new());
    for name in honest.names() {
        // Two of each kind.
        let count = seen.entry((name.0, name.1)).or_default();
        *count += 1;
        if *count > 2 {
            continue;
        }
        let value = value_of(&t, *name);
        for edit in [value + Fr::ONE, Fr::ONE - value] {
            let trace = tampered(&t, &[(*name, edit)]);
            if edit != value && refusals(tiny(), &trace).is_empty() {
                if trace.instance() == statement {
                    unnoticed.push(*name);
                } else {
                    elsewhere.insert((name.0, name.1));
                }
            }
        }
    }
    // The "inverse" of a zero is multiplied by that zero.
    unnoticed.retain(|n| !HARMLESS.contains(&(n.0, n.1)) && !n.1.ends_with("_inverse"));
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
    assert_eq!(elsewhere, BTreeSet::from(VISIBLE));
    println!("{} kinds of free cells", seen.len());
}

#[test]
fn every_public_input_is_bound() {
    let t = apply(honest(2)).unwrap();
    let trace = build(&t, table(&tiny()));
    for (row, name) in gridveil_protocol::instance::ROWS.iter().enumerate() {
        let mut instance = trace.instance().to_vec();
        instance[row] += Fr::ONE;
        assert!(!refusals_for(tiny(), &trace, instance).is_empty(), "{name}");
    }
}
