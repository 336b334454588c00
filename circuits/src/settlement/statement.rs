//! The whole statement, in the order of the specification.

use gridveil_protocol::{params::Shape, poseidon::Use, settlement::Transition};
use halo2curves::ff::Field;

use super::{
    account::{self, Common, SlotOutput, SlotWitness},
    geometry, interval,
    state::{self, HeaderCells, at, imported},
};
use crate::{
    Fr,
    chips::{
        market::{self, IntervalCells},
        poseidon::Input,
    },
    gadgets::{Builder, power},
    trace::{Cell, Lane, Trace},
};

/// Rows of the public inputs, by name.
mod public {
    pub const DOMAIN: usize = 0;
    pub const OLD_ROOT: usize = 1;
    pub const NEW_ROOT: usize = 2;
    pub const COMMUNITY: usize = 3;
    pub const PERIOD: usize = 4;
    pub const TARIFF: usize = 5;
    pub const COMMUNITY_NEW: usize = 6;
    pub const OPS_DIGEST: usize = 7;
    pub const Z: usize = 8;
    pub const Y: usize = 9;
    /// The clause that each row serves.
    pub const CLAUSES: [&str; 10] = [
        "SETTLE.1", "SETTLE.13", "SETTLE.13", "SETTLE.13", "SETTLE.2", "SETTLE.7", "SETTLE.13", "SETTLE.14", "SETTLE.14", "SETTLE.14",
    ];
}

/// Rows that the header's range checks take with the narrow table.
const HEADER_RANGE_ROWS: usize = 58;

struct Statement<'a> {
    b: Builder,
    t: &'a Transition,
    shape: Shape,
    public: Vec<Cell>,
}

/// Writes the statement of `t` into `trace` (empty, but for a test's tampering).
#[must_use]
pub fn build(t: &Transition, trace: Trace) -> Trace {
    let shape = t.input.community.shape;
    let rows = t.instance.rows().map(|x| imported(&x));
    let (mut b, public) = Builder::new(trace, shape.table_bits, &rows);
    for (cell, clause) in public.iter().zip(public::CLAUSES) {
        b.serve(clause);
        b.trace.mark(cell.row, Lane::Main);
    }
    let mut s = Statement { b, t, shape, public };
    let header = s.header();
    let common = s.common(&header);
    let market = s.b.trace.take(geometry(&shape).stride() * (shape.members + 1));
    let slots = s.slots(&common, market);
    s.intervals(&header, &common.intervals, market);
    let new_header = s.new_header(&header, &slots);
    s.trees(&header, new_header, &slots);
    s.finish()
}

impl Statement<'_> {
    /// The public input of a row.
    fn input(&self, row: usize) -> Cell {
        self.public.get(row).copied().unwrap_or(self.b.zero())
    }

    /// Ties a public input to the cell that determines it.
    fn publish(&mut self, row: usize, cell: Cell) {
        let target = self.input(row);
        self.b.publish(target, cell);
    }

    fn header(&mut self) -> HeaderCells {
        self.b.serve("SETTLE.13");
        let elements = self.t.input.community.header.elements();
        let inputs: Vec<Input> = elements
            .iter()
            .enumerate()
            .map(|(i, x)| Input::Free(self.b.trace.free(("SETTLE.13", "header", i), imported(x))))
            .collect();
        let (leaf, cells) = self.b.sponge(Use::Header, &inputs);
        self.public.push(leaf);
        HeaderCells(std::array::from_fn(|i| cells.get(i).copied().unwrap_or(leaf)))
    }

    /// SETTLE.2 and what all slots share.
    fn common(&mut self, header: &HeaderCells) -> Common {
        let one = Fr::ONE;
        let (domain, community) = (self.input(public::DOMAIN), self.input(public::COMMUNITY));
        self.b.block(4);
        self.b.serve("SETTLE.2");
        let m = Fr::from(self.shape.intervals as u64);
        let intervals = self.b.constant(m);
        self.b.equal(intervals, header.0[at::INTERVALS]);
        let (first, length) = (header.0[at::NEXT], header.0[at::INTERVAL_LENGTH]);
        let period = self.b.linear(&[(one, first), (power(32), length), (power(48), intervals)], Fr::ZERO);
        self.publish(public::PERIOD, period);
        let mechanism = header.0[at::MECHANISM];
        self.b.serve("SETTLE.6");
        self.b.assert_boolean(mechanism);
        self.b.serve("SETTLE.10");
        let note_base = self.b.linear(&[(power(48), first), (power(96), community)], power(80) * m);
        self.b.serve("SETTLE.14");
        let zero = self.b.zero();
        self.publish(public::OPS_DIGEST, zero);
        self.b.serve("SETTLE.2");
        let inputs = [domain, community, first, length, intervals].map(Input::Copy);
        let (context, _) = self.b.sponge(Use::Context, &inputs);
        let intervals = self.tariff(mechanism);
        Common { context, first_interval: first, manager: at::MANAGER.map(|i| header.0[i]), note_base, intervals }
    }

    fn tariff(&mut self, mechanism: Cell) -> Vec<IntervalCells> {
        self.b.serve("SETTLE.7");
        let elements: Vec<_> = self.t.input.tariff.intervals.iter().flat_map(|i| i.elements()).collect();
        let inputs: Vec<Input> = elements
            .iter()
            .enumerate()
            .map(|(i, x)| Input::Free(self.b.trace.free(("SETTLE.7", "tariff", i), imported(x))))
            .collect();
        let (commitment, cells) = self.b.sponge(Use::Tariff, &inputs);
        self.publish(public::TARIFF, commitment);
        let t = self.t;
        cells
            .chunks(4)
            .zip(&t.clearings)
            .enumerate()
            .map(|(i, (tariff, clearing))| {
                self.b.block(interval::OPEN_ROWS);
                let tariff = std::array::from_fn(|j| tariff.get(j).copied().unwrap_or(commitment));
                interval::open(&mut self.b, i, mechanism, &tariff, clearing)
            })
            .collect()
    }

    fn slots(&mut self, common: &Common, market: usize) -> Vec<SlotOutput> {
        let geometry = geometry(&self.shape);
        self.b.serve("SETTLE.4");
        let zero = self.b.zero();
        market::assign_origin(&mut self.b.trace, geometry, market, zero);
        let input = &self.t.input;
        let witnesses = input.community.accounts.iter().zip(&input.packets).zip(&self.t.outcomes).enumerate();
        let mut outputs = Vec::with_capacity(self.shape.members);
        for (index, ((account, signed), outcome)) in witnesses {
            let first_interval = input.community.header.next_interval;
            let witness = SlotWitness { account, signed, outcome, first_interval };
            let row = market + geometry.stride() * (index + 1);
            outputs.push(account::slot(&mut self.b, &self.shape, index, row, common, &witness));
        }
        outputs
    }

    fn intervals(&mut self, header: &HeaderCells, cells: &[IntervalCells], market: usize) {
        let geometry = geometry(&self.shape);
        let last = market + geometry.stride() * self.shape.members;
        for (t, interval) in cells.iter().enumerate() {
            self.b.block(interval::CLOSE_ROWS);
            let totals = market::running(geometry, last, t);
            interval::close(&mut self.b, t, header.0[at::MECHANISM], interval, &totals);
        }
    }

    /// SETTLE.8 (pools) and SETTLE.11 (totals): the header after, its leaf first.
    fn new_header(&mut self, header: &HeaderCells, slots: &[SlotOutput]) -> Cell {
        let one = Fr::ONE;
        self.b.block((11 * slots.len().div_ceil(2) + 3).max(HEADER_RANGE_ROWS));
        let mut next = header.0;
        self.b.serve("SETTLE.2");
        next[at::NEXT] = self.b.linear(&[(one, header.0[at::NEXT])], Fr::from(self.shape.intervals as u64));
        self.b.assert_range(next[at::NEXT], 32);
        self.b.serve("SETTLE.11");
        let sum = |b: &mut Builder, start: Option<Cell>, of: &dyn Fn(&SlotOutput) -> Cell| {
            let terms: Vec<_> = start.into_iter().chain(slots.iter().map(of)).map(|cell| (one, cell)).collect();
            b.linear(&terms, Fr::ZERO)
        };
        for total in 0..9 {
            let position = at::TOTALS + total;
            let start = (position != at::DEBT).then_some(header.0[position]);
            next[position] = sum(&mut self.b, start, &|slot| slot.totals[total]);
            self.b.assert_range(next[position], 64);
        }
        next[at::CERTIFICATES] = self.b.linear(&[(one, header.0[at::CERTIFICATES])], one);
        self.b.serve("SETTLE.8");
        let supply = sum(&mut self.b, Some(header.0[at::FLOAT]), &|slot| slot.supply);
        next[at::FLOAT] = self.b.linear(&[(one, supply), (-one, next[at::DEBT]), (one, header.0[at::DEBT])], Fr::ZERO);
        next[at::ACCRUAL] = sum(&mut self.b, Some(header.0[at::ACCRUAL]), &|slot| slot.fees);
        self.b.assert_range(next[at::FLOAT], 64);
        self.b.assert_range(next[at::ACCRUAL], 64);
        self.b.serve("SETTLE.12");
        let salts = self.t.input.header_salts.map(|x| imported(&x));
        let inputs: Vec<Input> =
            next.iter().take(at::SALTS[0]).map(|cell| Input::Copy(*cell)).chain(salts.into_iter().map(Input::Free)).collect();
        self.b.sponge(Use::Header, &inputs).0
    }

    /// SETTLE.13 (trees) and SETTLE.14 (L1 data).
    fn trees(&mut self, header: &HeaderCells, new_header: Cell, slots: &[SlotOutput]) {
        self.b.serve("SETTLE.13");
        let leaves = |of: fn(&SlotOutput) -> Cell| slots.iter().map(of).collect::<Vec<_>>();
        let new_leaves = leaves(|s| s.new_leaf);
        let old_members = self.b.dense_root(&leaves(|s| s.old_leaf));
        let new_members = self.b.dense_root(&new_leaves);
        let notes = self.b.dense_root(&leaves(|s| s.note));
        let zero = self.b.zero();
        let t = self.t;
        let certificates = state::replace(&mut self.b, "append_bit", header.0[at::CERTIFICATES], &t.certificate_path, zero, notes);
        let old_header = self.public.last().copied().unwrap_or(zero);
        let node = |b: &mut Builder, header: Cell, members: Cell, certificates: Cell| {
            b.hash4([Input::Copy(header), Input::Copy(members), Input::Copy(certificates), Input::Zero]).0
        };
        let old_node = node(&mut self.b, old_header, old_members, certificates.old);
        let new_node = node(&mut self.b, new_header, new_members, certificates.new);
        let community = self.input(public::COMMUNITY);
        let roots = state::replace(&mut self.b, "community_bit", community, &t.input.state_path, old_node, new_node);
        self.publish(public::OLD_ROOT, roots.old);
        self.publish(public::NEW_ROOT, roots.new);
        self.publish(public::COMMUNITY_NEW, new_node);

        self.b.serve("SETTLE.14");
        let data: Vec<Cell> = new_leaves.into_iter().chain([new_header, certificates.new]).collect();
        self.b.block(data.len());
        let z = self.input(public::Z);
        let mut y = zero;
        for word in data.into_iter().rev() {
            y = self.b.mul_add(Fr::ONE, y, z, Fr::ONE, word);
        }
        self.publish(public::Y, y);
    }

    fn finish(mut self) -> Trace {
        let instance = self.public.iter().take(public::Y + 1).map(|cell| self.b.value(*cell)).collect();
        self.b.trace.set_instance(instance);
        self.b.trace
    }
}
