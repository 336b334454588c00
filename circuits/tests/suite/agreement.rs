//! Native rules and circuit agree: on random valid settlements, and on random invalid ones.

use std::collections::BTreeSet;

use crate::common::{input, refusals, tiny, trace};
use gridveil_protocol::{
    correction::Correction,
    field::Fr,
    fixture::{Extras, Recipe, Stream, following, meter_key, operate, packet, resign, with_operations},
    market::Mechanism,
    packet::{Packet, PacketSalts, Reading},
    settlement::{SettlementInput, Transition, apply, compute},
    tree::SparseTree,
    units::Ticks,
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
        let pick = |stream: &mut Stream, choices: &[u64]| {
            choices[usize::try_from(stream.below(choices.len() as u64)).unwrap()]
        };
        account.terms.buy_limit = Ticks(u16::try_from(pick(stream, &[0, 900, 1500, 65535])).unwrap());
        account.terms.sell_limit = Ticks(u16::try_from(pick(stream, &[0, 900, 1500, 65535])).unwrap());
        account.terms.scale = u8::try_from(pick(stream, &[1, 10, 100])).unwrap();
        account.terms.technology = u8::try_from(pick(stream, &[0, 1, 255])).unwrap();
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
    input.community.header.supplier_account = u64::MAX / 2;
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

/// The packet of `slot` names this substitute beneath it. Slot 3 is substituted.
fn named(i: &mut SettlementInput, slot: usize, previous_substitute: Fr) {
    i.packets[slot].packet.previous_substitute = previous_substitute;
    resign(i, slot).unwrap();
}

/// Edits that the native rules refuse; the circuit must refuse what they compute to, too.
const INVALID: [(&str, Edit); 17] = [
    ("unsigned reading", |i| i.packets[0].packet.readings[1].export ^= 1),
    ("unsigned salt", |i| i.packets[2].packet.salts.note[1] += Fr::from(1u64)),
    ("unsigned flag", |i| i.packets[0].packet.substituted = true),
    ("signature of another slot", |i| i.packets[0].signature = i.packets[2].signature),
    ("slots swapped", |i| i.packets.swap(0, 2)),
    ("another domain", |i| i.domain += Fr::from(1u64)),
    ("another period", |i| i.community.header.next_interval += 24),
    ("another interval length", |i| i.community.header.interval_length = 900),
    ("another meter key", |i| i.community.accounts[0].meter = i.community.accounts[2].meter),
    ("meter data manager's packet under the meter's flag", |i| i.packets[3].packet.substituted = false),
    ("a substitute that drops the one beneath", |i| named(i, 3, Fr::from(0u64))),
    ("a substitute that invents one beneath", |i| named(i, 3, Fr::from(5u64))),
    ("a meter's packet on top of a substitute", |i| named(i, 0, Fr::from(5u64))),
    ("a meter's packet on top of the substitute that waits", |i| {
        i.community.accounts[2].pending_substitute = Fr::from(5u64);
        named(i, 2, Fr::from(5u64));
    }),
    ("another meter data manager", |i| i.community.header.mdm = i.community.accounts[0].meter.unwrap()),
    ("supplier account short", |i| {
        i.community.header.supplier_account = 0;
        i.tariff.intervals.iter_mut().for_each(|t| t.classes.iter_mut().for_each(|c| c.feed_in = 2_000_000_000));
    }),
    ("fee account negative", |i| {
        i.community.header.fee_account = 0;
        i.tariff
            .intervals
            .iter_mut()
            .for_each(|t| t.classes.iter_mut().for_each(|c| (c.network, c.local_fee) = (-90_000, -90_000)));
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

/// A meter that is silent in two and in three periods of its slot: natively and in the circuit each late packet is
/// booked once, the newest first, one a batch, and none earns a certificate.
#[test]
fn pending_substitutes_of_several_periods() {
    let at = |t: &Transition, seed: u64, silent: bool| following(t, seed, |slot| slot == 0 && silent).unwrap();
    let agree = |i: SettlementInput| {
        let t = apply(i).unwrap();
        assert_eq!(refusals(tiny(), &trace(&t)), BTreeSet::new());
        t
    };
    for (deep, mdm_changes) in [(2, false), (3, false), (2, true)] {
        let recipe = Recipe { shape: tiny(), seed: 5, mechanism: Mechanism::Auction, used: 3 };
        let mut t = agree(with_operations(&recipe, &[], Extras::default()).unwrap());
        let mut pending_substitutes = Vec::new();
        for period in 0..deep {
            let mut i = at(&t, period, true);
            let management = mdm_changes && period == 0;
            operate(&mut i, &mut Stream::new(period), &[], Extras { management, ..Extras::default() }).unwrap();
            t = agree(i);
            let substitute = t.input.packets[0].clone();
            let readings = vec![Reading { import: 700, export: 20 }, Reading { import: 3, export: 900 }];
            let late = packet(substitute.packet.context, 0, readings, false, PacketSalts::default());
            let late = Packet { scale: substitute.packet.scale, ..late }.sign(&meter_key(0)).unwrap();
            let signer = t.input.community.header.mdm;
            pending_substitutes.push(Correction { substitute, signer, late, tariff: t.input.tariff.clone() });
        }
        let below = pending_substitutes[0].clone();
        let refused = |mut i: SettlementInput, correction: &Correction| {
            i.operations.correction = Some(correction.clone());
            assert!(apply(i.clone()).is_err());
            assert!(!refusals(tiny(), &trace(&compute(i))).is_empty());
        };
        refused(at(&t, 20, false), &below);
        while let Some(top) = pending_substitutes.pop() {
            let mut i = at(&t, 21, false);
            let without = apply(i.clone()).unwrap();
            i.operations.correction = Some(top.clone());
            t = agree(i);
            let earned = |t: &Transition| {
                (t.after.header.totals.issued, t.after.header.totals.retired, t.after.header.totals.outstanding)
            };
            assert_eq!((t.notes_root, earned(&t)), (without.notes_root, earned(&without)));
            refused(at(&t, 22, false), &top);
        }
        assert_eq!((t.after.accounts[0].pending_substitute, t.after.header.totals.corrected), (Fr::from(0u64), deep));
        refused(at(&t, 23, false), &below);
    }
}
