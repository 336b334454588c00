//! Red team: is every cell determined, are unusual but honest inputs provable, and are known attacks refused?
use std::collections::BTreeSet;

use crate::common::{
    in_full_use, input, refusals, refusals_for, tiny, trace,
    underconstrained::{Given, Subject, free_cell, movable, report},
};
use gridveil_circuits::{
    Fr,
    chips::columns::Selector,
    settlement::{SettlementCircuit, build, table},
    trace::{Cell, Name},
    version::SettlementSize,
};
use gridveil_protocol::{
    field,
    fixture::{Recipe, resign, settlement},
    market::Mechanism,
    operation::Kind,
    packet::Reading,
    params::QUEUE,
    settlement::{SettlementInput, Transition, apply},
    tariff::ClassPrices,
    tree::SparseTree,
    units::{Interval, Ticks, Wh},
};
use halo2_proofs::plonk::Circuit;
use halo2curves::ff::Field;

const SETTLEMENT: Subject = Subject {
    configure: |cs| SettlementCircuit::configure_with_params(cs, SettlementSize::current(tiny())),
    market: true,
    asked: &[1, 2, 5, 6, 9],
};

#[test]
fn no_cell_is_free() {
    let plain = [(1, Mechanism::Auction), (2, Mechanism::CommunityPrice)]
        .map(|(seed, mechanism)| input(tiny(), seed, mechanism));
    for i in plain.into_iter().chain([in_full_use(&[Kind::Close, Kind::Enrol, Kind::Deposit])]) {
        let t = trace(&apply(i).unwrap());
        let cells =
            movable(&SETTLEMENT, &t, &Given { cells: Vec::new(), entries: true, absorbed: true, without: None });
        report(&t, &cells);
        assert!(cells.is_empty());
    }
}

fn chosen(native: &Transition) -> Vec<Cell> {
    let of_interval = (0..2).flat_map(|i| [("SETTLE.6", "tick", i), ("SETTLE.4", "ratio", i)]);
    let of_slot = (0..4).flat_map(|i| [("SETTLE.12", "buy_limit", i), ("SETTLE.12", "sell_limit", i)]);
    let of_operation_slot = (0..tiny().operations).map(|i| ("OP.4", "amount", i));
    let limits =
        ["ADJUST.1", "ADJUST.2"].into_iter().flat_map(|clause| [(clause, "buy_limit", 0), (clause, "sell_limit", 0)]);
    let others = [("ADJUST.5", "first_interval", 0), ("HEADER.1", "units", 0)];
    let notes = (0..QUEUE).map(|i| ("NOTES.1", "note", i));
    let all = of_interval.chain(of_slot).chain(of_operation_slot).chain(limits).chain(others).chain(notes);
    all.map(|name| free_cell(name, |trace| build(native, trace), table(&tiny()))).collect()
}

/// Given old leaves, header, siblings, tariffs, what packets and operations sign, what the records of transfers and
/// notes show, and tick and ratio (fixed by inequalities), nothing is left to choose.
#[test]
fn the_new_state_follows_from_the_old_one_and_the_signed_packets() {
    let statements = [
        [Kind::Deposit, Kind::Withdraw, Kind::Send],
        [Kind::Receive, Kind::Close, Kind::Enrol],
        [Kind::Rotate, Kind::Deposit, Kind::Replace],
        [Kind::Rotate, Kind::Receive, Kind::Terms],
    ];
    for kinds in statements {
        let native = apply(in_full_use(&kinds)).unwrap();
        let t = trace(&native);
        let cells =
            movable(&SETTLEMENT, &t, &Given { cells: chosen(&native), entries: false, absorbed: false, without: None });
        report(&t, &cells);
        assert!(cells.is_empty());
    }
}

/// The analysis is not blind: without one copy constraint something can move. It sees copies that *define* a cell;
/// those that *check* one (both ends determined), or whose factor is zero in this witness, are the mutants' business.
#[test]
fn copies_that_define_a_cell_matter() {
    const SAMPLES: usize = 16;
    let native = apply(in_full_use(&[Kind::Deposit, Kind::Withdraw, Kind::Send])).unwrap();
    let (t, cells) = (trace(&native), chosen(&native));
    let step = t.copies().len() / SAMPLES + 1;
    let moves = |without: &usize| {
        let given = Given { cells: cells.clone(), entries: false, absorbed: false, without: Some(*without) };
        !movable(&SETTLEMENT, &t, &given).is_empty()
    };
    let noticed = (0..t.copies().len()).step_by(step).filter(moves).count();
    // Most copies of a statement in full use check, few define.
    assert!(noticed * 8 > SAMPLES, "{noticed}");
}

fn rooted(mut input: SettlementInput) -> SettlementInput {
    for slot in 0..input.packets.len() {
        let context = input.context();
        input.packets[slot].packet.context = context;
        resign(&mut input, slot).unwrap();
    }
    let index = u64::from(input.community.index);
    let mut state = SparseTree::new(8);
    state.set(index, input.community.node());
    input.state_path = state.path(index);
    input
}

fn all_readings(i: &mut SettlementInput, import: u16, export: u16) {
    for (slot, account) in i.community.accounts.iter_mut().enumerate().filter(|(_, a)| a.meter.is_some()) {
        (account.terms.active_from, account.terms.active_until) = (Interval::ZERO, Interval::MAX);
        (account.terms.cap_import, account.terms.cap_export) = (u16::MAX, u16::MAX);
        i.packets[slot].packet.readings.fill(Reading { import, export });
    }
}

fn all_prices(i: &mut SettlementInput, of: impl Fn(usize) -> ClassPrices) {
    for interval in &mut i.tariff.intervals {
        interval.classes = std::array::from_fn(&of);
    }
}

fn rich(i: &mut SettlementInput) {
    i.community.header.supplier_account = 1 << 63;
    i.community.header.fee_account = 1 << 62;
    for a in i.community.accounts.iter_mut().filter(|a| a.meter.is_some() && a.debt == 0) {
        a.balance = 1 << 61;
    }
}

fn extreme(energy: i32, network: i32, feed_in: i32, local_fee: i32) -> ClassPrices {
    ClassPrices { energy, network, feed_in, local_fee }
}

type Edit = Box<dyn Fn(&mut SettlementInput)>;

fn unusual() -> Vec<(&'static str, Edit)> {
    let mut cases: Vec<(&'static str, Edit)> = Vec::new();
    let mut add = |name, edit: Edit| cases.push((name, edit));
    add("zero readings", Box::new(|i| all_readings(i, 0, 0)));
    for (name, buy, sell, cap, floor, reference) in [
        ("everything at 0", 0, 0, 0, 0, 0),
        ("everything at the top", 65535, 65535, 65535, 65535, 65535),
        ("widest limits, widest bounds", 65535, 0, 65535, 0, 65535),
        ("widest limits, reference 0", 65535, 0, 65535, 0, 0),
        ("bounds that cross", 65535, 0, 0, 65535, 7),
        ("limits that cross", 0, 65535, 65535, 0, 30000),
        ("floor at the cap", 65535, 0, 1000, 1000, 1000),
    ] {
        add(
            name,
            Box::new(move |i| {
                rich(i);
                for a in i.community.accounts.iter_mut().filter(|a| a.meter.is_some()) {
                    (a.terms.buy_limit, a.terms.sell_limit) = (Ticks(buy), Ticks(sell));
                }
                for t in &mut i.tariff.intervals {
                    (t.cap, t.floor, t.reference) = (Ticks(cap), Ticks(floor), Ticks(reference));
                }
            }),
        );
    }
    for (name, prices) in [
        ("lowest prices", extreme(i32::MIN, i32::MIN, i32::MIN, i32::MIN)),
        ("highest prices", extreme(i32::MAX, i32::MAX, i32::MAX, i32::MAX)),
        ("lowest and highest", extreme(i32::MIN, i32::MAX, i32::MAX, i32::MIN)),
        ("highest and lowest", extreme(i32::MAX, i32::MIN, i32::MIN, i32::MAX)),
    ] {
        for (import, export) in [(65535, 65535), (65535, 0), (0, 65535), (1, 65535)] {
            add(
                name,
                Box::new(move |i| {
                    rich(i);
                    i.community.accounts.iter_mut().filter(|a| a.meter.is_some()).for_each(|a| a.terms.scale = 100);
                    all_prices(i, |_| prices);
                    all_readings(i, import, export);
                }),
            );
        }
    }
    add(
        "one class at the bottom, one at the top",
        Box::new(|i| {
            rich(i);
            all_prices(i, |class| {
                if class == 0 {
                    extreme(i32::MIN, i32::MAX, i32::MIN, i32::MAX)
                } else {
                    extreme(i32::MAX, i32::MIN, i32::MAX, i32::MIN)
                }
            });
            all_readings(i, 65535, 65534);
        }),
    );
    for (from, until) in
        [(0u32, 0u32), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (1, 0), (3, 1), (0, u32::MAX), (u32::MAX, u32::MAX)]
    {
        add(
            "window",
            Box::new(move |i| {
                let first = i.community.header.next_interval;
                let shifted = |x: u32| if x > 100 { Interval(x) } else { first - 1 + x };
                for slot in 0..3 {
                    let a = &mut i.community.accounts[slot];
                    (a.terms.active_from, a.terms.active_until) = (shifted(from), shifted(until));
                    for t in 0..2 {
                        if first + t < shifted(from) || first + t >= shifted(until) {
                            i.packets[slot].packet.readings[t as usize] = Reading::default();
                        }
                    }
                }
            }),
        );
    }
    add(
        "windows open for ever, or never",
        Box::new(|i| {
            for (slot, (from, until)) in [(0, u32::MAX), (u32::MAX, 0), (u32::MAX, u32::MAX)].into_iter().enumerate() {
                let a = &mut i.community.accounts[slot];
                (a.terms.active_from, a.terms.active_until) = (Interval(from), Interval(until));
                if slot > 0 {
                    i.packets[slot].packet.readings.fill(Reading::default());
                }
            }
        }),
    );
    add(
        "the last period there is",
        Box::new(|i| {
            i.community.header.next_interval = Interval::MAX - 2;
            all_readings(i, 3, 4);
            i.community.accounts[3].terms.active_until = Interval::MAX;
        }),
    );
    add(
        "the first period there is",
        Box::new(|i| {
            i.community.header.next_interval = Interval::ZERO;
            all_readings(i, 3, 4);
            i.community.accounts[2].terms.active_from = Interval(1);
            i.packets[2].packet.readings[0] = Reading::default();
        }),
    );
    add(
        "all fields of the terms full",
        Box::new(|i| {
            rich(i);
            for a in i.community.accounts.iter_mut().filter(|a| a.meter.is_some()) {
                (a.nonce, a.terms.technology, a.terms.class, a.terms.scale) = (u32::MAX, 255, 1, 100);
                (a.terms.buy_limit, a.terms.sell_limit, a.terms.cap_import, a.terms.cap_export) =
                    (Ticks::MAX, Ticks::MAX, u16::MAX, u16::MAX);
                a.payout = [0xff; 20];
            }
            i.packets[0].packet.buy_limit = Ticks::MAX;
            i.packets[0].packet.sell_limit = Ticks::MAX;
            i.packets[2].packet.buy_limit = Ticks::ZERO;
            i.packets[2].packet.sell_limit = Ticks::ZERO;
        }),
    );
    add(
        "everybody is a debtor",
        Box::new(|i| {
            for a in &mut i.community.accounts {
                (a.balance, a.debt) = (0, u64::MAX / 8);
            }
            i.community.header.totals.debt = u64::MAX / 8 * 4;
            i.community.header.supplier_account = 1 << 62;
            all_readings(i, 5000, 5000);
        }),
    );
    add(
        "a debtor pays exactly",
        Box::new(|i| {
            all_readings(i, 0, 0);
            i.community.accounts[1].debt = 0;
            i.community.header.totals.debt = 0;
            i.community.accounts[0].balance = 0;
        }),
    );
    add(
        "balance at its end",
        Box::new(|i| {
            all_readings(i, 0, 0);
            i.community.accounts[0].balance = u64::MAX;
        }),
    );
    add(
        "a substituted debtor at its cap",
        Box::new(|i| {
            let a = &mut i.community.accounts[3];
            (a.balance, a.debt, a.terms.cap_import, a.terms.cap_export) = (0, 10, u16::MAX, u16::MAX);
            (a.terms.active_from, a.terms.active_until) = (Interval::ZERO, Interval::MAX);
            i.community.header.totals.debt += 10;
            i.packets[3].packet.readings = vec![Reading { import: u16::MAX, export: u16::MAX }; 2];
        }),
    );
    add(
        "substituted with caps of zero",
        Box::new(|i| {
            let a = &mut i.community.accounts[3];
            (a.terms.cap_import, a.terms.cap_export) = (0, 0);
            i.packets[3].packet.readings.fill(Reading::default());
        }),
    );
    add(
        "everybody substituted",
        Box::new(|i| {
            all_readings(i, 70, 80);
            i.packets.iter_mut().for_each(|p| p.packet.substituted = true);
        }),
    );
    add(
        "the last certificate",
        Box::new(|i| {
            let last = (1u64 << 20) - 1;
            i.community.certificates.set(last - 1, field::Fr::from(7u64));
            i.community.header.certificate_count = last;
        }),
    );
    add("the last community", Box::new(|i| i.community.index = 65535));
    add(
        "odd header",
        Box::new(|i| {
            let h = &mut i.community.header;
            (h.interval_length, h.reserve, h.nonce) = (u16::MAX, u64::MAX, u64::MAX);
        }),
    );
    add(
        "old totals and registers",
        Box::new(|i| {
            let t = &mut i.community.header.totals;
            let most = Wh(1 << 62);
            (t.import, t.export, t.traded, t.issued) = (most, most, most, most);
            (t.retired, t.outstanding, t.substituted_packets, t.substituted_wh) = (most, most, most.0, most);
            let r = &mut i.community.accounts[0].registers;
            (r.import, r.export, r.bought, r.sold) = [most - Wh(1 << 20); 4].into();
        }),
    );
    add(
        "one order on each side, equal",
        Box::new(|i| {
            all_readings(i, 0, 0);
            i.packets[0].packet.readings.fill(Reading { import: 100, export: 0 });
            i.packets[2].packet.readings.fill(Reading { import: 0, export: 1000 });
        }),
    );
    add(
        "one Wh against the most there is",
        Box::new(|i| {
            rich(i);
            all_readings(i, 65535, 0);
            i.community.accounts.iter_mut().for_each(|a| {
                (a.terms.scale, a.terms.buy_limit, a.terms.sell_limit, a.debt) = (100, Ticks(2000), Ticks::ZERO, 0)
            });
            i.community.accounts[2].terms.scale = 1;
            i.community.header.totals.debt = 0;
            i.packets[2].packet.readings.fill(Reading { import: 0, export: 1 });
            i.tariff
                .intervals
                .iter_mut()
                .for_each(|t| (t.cap, t.floor, t.reference) = (Ticks(2000), Ticks::ZERO, Ticks(2000)));
        }),
    );
    cases
}

/// What the native rules accept, the circuit proves.
#[test]
fn unusual_but_honest_settlements_are_provable() {
    let (mut failed, mut refused_natively) = (Vec::new(), Vec::new());
    for (number, (name, edit)) in unusual().into_iter().enumerate() {
        for mechanism in [Mechanism::Auction, Mechanism::CommunityPrice] {
            let mut i = input(tiny(), 3, mechanism);
            edit(&mut i);
            match apply(rooted(i)) {
                Err(e) => refused_natively.push(format!("{number} {name}: {e}")),
                Ok(t) => {
                    let found = refusals(tiny(), &trace(&t));
                    if !found.is_empty() {
                        failed.push(format!("{number} {name}: {found:?}"));
                    }
                }
            }
        }
    }
    assert!(refused_natively.is_empty(), "{refused_natively:#?}");
    assert!(failed.is_empty(), "{failed:#?}");
    for used in 0..4 {
        for mechanism in [Mechanism::Auction, Mechanism::CommunityPrice] {
            let i = settlement(&Recipe { shape: tiny(), seed: 9, mechanism, used }).unwrap();
            assert_eq!(refusals(tiny(), &trace(&apply(i).unwrap())), BTreeSet::new(), "{used} used slots");
        }
    }
}

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

/// Every bound at once in the largest shape: 128 slots of scale 100, full readings in 96 intervals, prices at their
/// ends.
#[test]
fn the_largest_sums_fit() {
    let shape = gridveil_protocol::params::Shape::by_name("district-128x96").unwrap();
    let mut i = input(shape, 3, Mechanism::Auction);
    rich(&mut i);
    i.community.header.totals.debt = 0;
    // Sums run over both classes at once; everybody is in the class without prices.
    all_prices(
        &mut i,
        |class| if class == 1 { extreme(i32::MAX, i32::MAX, i32::MAX, i32::MAX) } else { extreme(0, 0, 0, 0) },
    );
    i.tariff.intervals.iter_mut().for_each(|t| (t.cap, t.floor, t.reference) = (Ticks::MAX, Ticks::ZERO, Ticks::MAX));
    all_readings(&mut i, 65535, 65535);
    i.packets
        .iter_mut()
        .for_each(|p| (p.packet.substituted, p.packet.previous_substitute) = (false, field::Fr::from(0u64)));
    // All trade at the highest price, or nobody trades.
    for (buy, sell) in [(Ticks::MAX, Ticks::MAX), (Ticks::ZERO, Ticks::MAX)] {
        i.community.accounts.iter_mut().filter(|a| a.meter.is_some()).for_each(|a| {
            (a.terms.scale, a.terms.class, a.terms.buy_limit, a.terms.sell_limit, a.debt) = (100, 0, buy, sell, 0);
        });
        let t = apply(rooted(i.clone())).unwrap();
        assert_eq!(refusals(shape, &trace(&t)), BTreeSet::new());
    }
}
