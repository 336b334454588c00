//! Native rules and circuit agree: on random valid settlements, and on random invalid ones.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{input, refusals, tiny, trace};
use gridveil_protocol::{
    field::Fr,
    fixture::{Stream, resign},
    market::Mechanism,
    settlement::{SettlementInput, apply, compute},
    tree::SparseTree,
};

fn with_path(mut input: SettlementInput) -> SettlementInput {
    let mut state = SparseTree::new(8);
    state.set(5, input.community.node());
    input.state_path = state.path(5);
    input
}

/// Random honest changes: limits, readings, terms.
fn vary(stream: &mut Stream, input: &mut SettlementInput) {
    for slot in 0..input.packets.len() {
        let account = &mut input.community.accounts[slot];
        if account.meter.is_none() {
            continue;
        }
        let pick = |stream: &mut Stream, choices: &[u64]| choices[usize::try_from(stream.below(choices.len() as u64)).unwrap()];
        account.buy_limit = u16::try_from(pick(stream, &[0, 900, 1500, 65535])).unwrap();
        account.sell_limit = u16::try_from(pick(stream, &[0, 900, 1500, 65535])).unwrap();
        account.scale = u8::try_from(pick(stream, &[1, 10, 100])).unwrap();
        account.technology = u8::try_from(pick(stream, &[0, 1, 255])).unwrap();
        let readings = pick(stream, &[1, 2, 500, 65536]);
        let cap = if input.packets[slot].packet.substituted { 8000 } else { 65535 };
        for reading in &mut input.packets[slot].packet.readings {
            let mut value = || u16::try_from(stream.below(readings).min(cap)).unwrap();
            if reading.import != 0 || reading.export != 0 {
                (reading.import, reading.export) = (value(), value());
            }
        }
        resign(input, slot).unwrap();
    }
    input.community.header.float = u64::MAX / 2;
}

#[test]
fn random_settlements() {
    let mut accepted = 0;
    for seed in 0..40 {
        let mechanism = if seed % 3 == 0 { Mechanism::CommunityPrice } else { Mechanism::Auction };
        let mut stream = Stream::new(1_000 + seed);
        let mut i = input(tiny(), seed, mechanism);
        vary(&mut stream, &mut i);
        let i = with_path(i);
        let native = apply(i.clone());
        let refused = refusals(tiny(), &trace(&compute(i)));
        assert_eq!(native.is_ok(), refused.is_empty(), "seed {seed}: {native:?} {refused:?}");
        accepted += usize::from(native.is_ok());
    }
    assert!(accepted > 30, "{accepted}");
}

type Edit = fn(&mut SettlementInput);

/// Edits that the native rules refuse; the circuit must refuse what they compute to, too.
const INVALID: [(&str, Edit); 13] = [
    ("unsigned reading", |i| i.packets[0].packet.readings[1].export ^= 1),
    ("unsigned salt", |i| i.packets[2].packet.salts.note[1] += Fr::from(1u64)),
    ("unsigned flag", |i| i.packets[0].packet.substituted = true),
    ("signature of another slot", |i| i.packets[0].signature = i.packets[2].signature),
    ("slots swapped", |i| i.packets.swap(0, 2)),
    ("another domain", |i| i.domain += Fr::from(1u64)),
    ("another period", |i| i.community.header.next_interval += 24),
    ("another interval length", |i| i.community.header.interval_length = 900),
    ("another meter key", |i| i.community.accounts[0].meter = i.community.accounts[2].meter),
    ("manager's packet under the meter's flag", |i| i.packets[3].packet.substituted = false),
    ("another manager", |i| i.community.header.manager = i.community.accounts[0].meter.unwrap()),
    ("float short", |i| {
        i.community.header.float = 0;
        i.tariff.intervals.iter_mut().for_each(|t| t.classes.iter_mut().for_each(|c| c.feed_in = 2_000_000_000));
    }),
    ("accrual negative", |i| {
        i.community.header.accrual = 0;
        i.tariff.intervals.iter_mut().for_each(|t| t.classes.iter_mut().for_each(|c| (c.network, c.local_fee) = (-90_000, -90_000)));
    }),
];

#[test]
fn random_invalid_settlements() {
    for (name, edit) in INVALID {
        for seed in 0..4 {
            let mut i = input(tiny(), seed, Mechanism::Auction);
            edit(&mut i);
            let i = with_path(i);
            assert!(apply(i.clone()).is_err(), "native accepts: {name}, seed {seed}");
            let refused = refusals(tiny(), &trace(&compute(i)));
            assert!(!refused.is_empty(), "circuit accepts: {name}, seed {seed}");
        }
    }
}
