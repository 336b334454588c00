//! Unusual but honest settlements: what the native rules accept at the ends of all ranges, the circuit proves.

use std::collections::BTreeSet;

use gridveil_protocol::{
    field,
    fixture::{Recipe, resign, settlement},
    market::Mechanism,
    packet::Reading,
    params::Shape,
    settlement::{SettlementInput, apply},
    tariff::ClassPrices,
    tree::SparseTree,
    units::{Interval, Ticks, Wh},
};

use crate::common::{input, refusals, tiny, trace};

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

/// A name, and the edit of an honest settlement.
type Case = (&'static str, Box<dyn Fn(&mut SettlementInput)>);

/// The table of them.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, name: &'static str, edit: impl Fn(&mut SettlementInput) + 'static) {
        self.0.push((name, Box::new(edit)));
    }
}

fn unusual() -> Vec<Case> {
    let mut cases = Cases::default();
    cases.add("zero readings", |i| all_readings(i, 0, 0));
    for (name, buy, sell, cap, floor, reference) in [
        ("everything at 0", 0, 0, 0, 0, 0),
        ("everything at the top", 65535, 65535, 65535, 65535, 65535),
        ("widest limits, widest bounds", 65535, 0, 65535, 0, 65535),
        ("widest limits, reference 0", 65535, 0, 65535, 0, 0),
        ("bounds that cross", 65535, 0, 0, 65535, 7),
        ("limits that cross", 0, 65535, 65535, 0, 30000),
        ("floor at the cap", 65535, 0, 1000, 1000, 1000),
    ] {
        cases.add(name, move |i| {
            rich(i);
            for a in i.community.accounts.iter_mut().filter(|a| a.meter.is_some()) {
                (a.terms.buy_limit, a.terms.sell_limit) = (Ticks(buy), Ticks(sell));
            }
            for t in &mut i.tariff.intervals {
                (t.cap, t.floor, t.reference) = (Ticks(cap), Ticks(floor), Ticks(reference));
            }
        });
    }
    for (name, prices) in [
        ("lowest prices", extreme(i32::MIN, i32::MIN, i32::MIN, i32::MIN)),
        ("highest prices", extreme(i32::MAX, i32::MAX, i32::MAX, i32::MAX)),
        ("lowest and highest", extreme(i32::MIN, i32::MAX, i32::MAX, i32::MIN)),
        ("highest and lowest", extreme(i32::MAX, i32::MIN, i32::MIN, i32::MAX)),
    ] {
        for (import, export) in [(65535, 65535), (65535, 0), (0, 65535), (1, 65535)] {
            cases.add(name, move |i| {
                rich(i);
                i.community.accounts.iter_mut().filter(|a| a.meter.is_some()).for_each(|a| a.terms.scale = 100);
                all_prices(i, |_| prices);
                all_readings(i, import, export);
            });
        }
    }
    cases.add("one class at the bottom, one at the top", |i| {
        rich(i);
        all_prices(i, |class| {
            if class == 0 {
                extreme(i32::MIN, i32::MAX, i32::MIN, i32::MAX)
            } else {
                extreme(i32::MAX, i32::MIN, i32::MAX, i32::MIN)
            }
        });
        all_readings(i, 65535, 65534);
    });
    for (from, until) in
        [(0u32, 0u32), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (1, 0), (3, 1), (0, u32::MAX), (u32::MAX, u32::MAX)]
    {
        cases.add("window", move |i| {
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
        });
    }
    cases.add("windows open for ever, or never", |i| {
        for (slot, (from, until)) in [(0, u32::MAX), (u32::MAX, 0), (u32::MAX, u32::MAX)].into_iter().enumerate() {
            let a = &mut i.community.accounts[slot];
            (a.terms.active_from, a.terms.active_until) = (Interval(from), Interval(until));
            if slot > 0 {
                i.packets[slot].packet.readings.fill(Reading::default());
            }
        }
    });
    cases.add("the last period there is", |i| {
        i.community.header.next_interval = Interval::MAX - 2;
        all_readings(i, 3, 4);
        i.community.accounts[3].terms.active_until = Interval::MAX;
    });
    cases.add("the first period there is", |i| {
        i.community.header.next_interval = Interval::ZERO;
        all_readings(i, 3, 4);
        i.community.accounts[2].terms.active_from = Interval(1);
        i.packets[2].packet.readings[0] = Reading::default();
    });
    cases.add("all fields of the terms full", |i| {
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
    });
    cases.add("everybody is a debtor", |i| {
        for a in &mut i.community.accounts {
            (a.balance, a.debt) = (0, u64::MAX / 8);
        }
        i.community.header.totals.debt = u64::MAX / 8 * 4;
        i.community.header.supplier_account = 1 << 62;
        all_readings(i, 5000, 5000);
    });
    cases.add("a debtor pays exactly", |i| {
        all_readings(i, 0, 0);
        i.community.accounts[1].debt = 0;
        i.community.header.totals.debt = 0;
        i.community.accounts[0].balance = 0;
    });
    cases.add("balance at its end", |i| {
        all_readings(i, 0, 0);
        i.community.accounts[0].balance = u64::MAX;
    });
    cases.add("a substituted debtor at its cap", |i| {
        let a = &mut i.community.accounts[3];
        (a.balance, a.debt, a.terms.cap_import, a.terms.cap_export) = (0, 10, u16::MAX, u16::MAX);
        (a.terms.active_from, a.terms.active_until) = (Interval::ZERO, Interval::MAX);
        i.community.header.totals.debt += 10;
        i.packets[3].packet.readings = vec![Reading { import: u16::MAX, export: u16::MAX }; 2];
    });
    cases.add("substituted with caps of zero", |i| {
        let a = &mut i.community.accounts[3];
        (a.terms.cap_import, a.terms.cap_export) = (0, 0);
        i.packets[3].packet.readings.fill(Reading::default());
    });
    cases.add("everybody substituted", |i| {
        all_readings(i, 70, 80);
        i.packets.iter_mut().for_each(|p| p.packet.substituted = true);
    });
    cases.add("the last certificate", |i| {
        let last = (1u64 << 20) - 1;
        i.community.certificates.set(last - 1, field::Fr::from(7u64));
        i.community.header.certificate_count = last;
    });
    cases.add("the last community", |i| i.community.index = 65535);
    cases.add("odd header", |i| {
        let h = &mut i.community.header;
        (h.interval_length, h.reserve, h.nonce) = (u16::MAX, u64::MAX, u64::MAX);
    });
    cases.add("old totals and registers", |i| {
        let t = &mut i.community.header.totals;
        let most = Wh(1 << 62);
        (t.import, t.export, t.traded, t.issued) = (most, most, most, most);
        (t.retired, t.outstanding, t.substituted_packets, t.substituted_wh) = (most, most, most.0, most);
        let r = &mut i.community.accounts[0].registers;
        (r.import, r.export, r.bought, r.sold) = [most - Wh(1 << 20); 4].into();
    });
    cases.add("one order on each side, equal", |i| {
        all_readings(i, 0, 0);
        i.packets[0].packet.readings.fill(Reading { import: 100, export: 0 });
        i.packets[2].packet.readings.fill(Reading { import: 0, export: 1000 });
    });
    cases.add("one Wh against the most there is", |i| {
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
    });
    cases.0
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

/// Every bound at once in the largest shape: 128 slots of scale 100, full readings in 96 intervals, prices at their
/// ends.
#[test]
fn the_largest_sums_fit() {
    let shape = Shape::by_name("district-128x96").unwrap();
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
