//! Mutants of the clearing: volumes, limits, tick and rationing (SETTLE.4 to SETTLE.6).

use gridveil_circuits::{
    Fr,
    settlement::{build, table},
    trace::Trace,
};
use gridveil_protocol::{
    field,
    market::{Mechanism, Rationed, clear_at},
    packet::Reading,
    settlement::{SettlementInput, Transition, apply, clear_all, compute, compute_with},
    units::{Interval, Ticks, Wh},
};
use halo2curves::ff::Field;

use super::{
    Mutants,
    fixtures::{honest, repaired},
};
use crate::common::{clauses, only, refusals, tampered, tiny};

pub fn add_to(mutants: &mut Mutants) {
    mutants.add("SETTLE.4", "less is bought than sold", || {
        let t = apply(seed_with(|t| t.clearings[0].rationed == Rationed::Demand && t.clearings[0].remaining > Wh(2)))
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
    });
    mutants.add("SETTLE.5", "a buyer is served above its limit", || standing_mutant("buyer_below", "buyer_above"));
    mutants.add("SETTLE.5", "a seller is served below its limit", || standing_mutant("seller_above", "seller_below"));
    mutants.add("SETTLE.6", "a price above the lowest clearing tick", || at_another_tick(1));
    mutants.add("SETTLE.6", "rationed energy moved between neighbours", || {
        let t = apply(seed_with(|t| rationed_slot(t).is_some())).unwrap();
        let slot = rationed_slot(&t).unwrap();
        let q = gridveil_protocol::market::cumulative(running_weight(&t, slot), t.clearings[0].ratio);
        let mut clearings = t.clearings.clone();
        let side =
            if clearings[0].rationed == Rationed::Demand { &mut clearings[0].bought } else { &mut clearings[0].sold };
        side[slot] -= Wh(1);
        side[slot + 1] += Wh(1);
        tampered(&compute_with(t.input, clearings), &[(("SETTLE.6", "cumulative", slot * 2), Fr::from(q.0 - 1))])
    });
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
