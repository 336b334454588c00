//! Is every cell of a settlement determined? First-order analysis of honest tables.

use gridveil_circuits::{
    settlement::{SettlementCircuit, build, table},
    trace::Cell,
    version::SettlementSize,
};
use gridveil_protocol::{
    market::Mechanism,
    operation::Kind,
    params::QUEUE,
    settlement::{Transition, apply},
};
use halo2_proofs::plonk::Circuit;

use crate::common::{
    in_full_use, input, on_all_cores, tiny, trace,
    underconstrained::{Given, Subject, Without, free_cell, movable, report},
};

pub const SETTLEMENT: Subject = Subject {
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
        let cells = movable(
            &SETTLEMENT,
            &t,
            &Given { cells: Vec::new(), entries: true, absorbed: true, without: Without::Nothing },
        );
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
        let cells = movable(
            &SETTLEMENT,
            &t,
            &Given { cells: chosen(&native), entries: false, absorbed: false, without: Without::Nothing },
        );
        report(&t, &cells);
        assert!(cells.is_empty());
    }
}

/// Without one copy constraint something can move. The analysis sees copies that *define* a cell; those that *check* one
/// (both ends determined), or whose factor is zero in this witness, are the mutants' business. That the analysis is not
/// blind is shown with the certificate's circuit in every run.
#[test]
#[ignore = "some minutes: `make nightly` runs it"]
fn copies_that_define_a_cell_matter() {
    const SAMPLES: usize = 16;
    let native = apply(in_full_use(&[Kind::Deposit, Kind::Withdraw, Kind::Send])).unwrap();
    let (t, cells) = (trace(&native), chosen(&native));
    let step = t.copies().len() / SAMPLES + 1;
    let moves = |without: &usize| {
        let given = Given { cells: cells.clone(), entries: false, absorbed: false, without: Without::Copy(*without) };
        !movable(&SETTLEMENT, &t, &given).is_empty()
    };
    let sample: Vec<usize> = (0..t.copies().len()).step_by(step).collect();
    let noticed = on_all_cores(&sample, moves).into_iter().filter(|moved| *moved).count();
    // Most copies of a statement in full use check, few define.
    assert!(noticed * 8 > SAMPLES, "{noticed}");
}
