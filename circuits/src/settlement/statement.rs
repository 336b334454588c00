//! The whole statement, in the order of the specification.

use gridveil_protocol::{
    operation::Effect,
    params::{CERTIFICATES_DEPTH, QUEUE, Shape},
    poseidon::DomainTag,
    record::RecordKind,
    settlement::Transition,
    tree::empty_ladder,
    version::CircuitVersion,
};
use halo2curves::ff::Field;

use super::{
    account::{self, Common, SlotOutput, SlotWitness},
    correction::{CorrectionOutput, correction},
    geometry,
    header_slot::{HeaderSlot, header_slot},
    interval,
    members::Members,
    operation_slot::{OperationSlotOutput, operation_slot},
    records::Records,
    state::{self, HeaderCells, at, imported},
};
use crate::{
    Fr,
    chips::{
        market::{self, IntervalCells},
        poseidon::Input,
    },
    gadgets::{Builder, power},
    trace::{Cell, RowHalf, Trace},
    version::operations_of,
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
        "SETTLE.1",
        "SETTLE.13",
        "SETTLE.13",
        "SETTLE.13",
        "SETTLE.2",
        "SETTLE.7",
        "SETTLE.13",
        "OP.10",
        "SETTLE.14",
        "SETTLE.14",
    ];
}

/// Rows that the header's range checks take with the narrow table.
const HEADER_RANGE_ROWS: usize = 64;
/// Rows of the block that all slots share.
const COMMON_ROWS: usize = 23;
/// Rows of one queued note.
const QUEUE_ROWS: usize = 5;

struct Statement<'a> {
    b: Builder,
    t: &'a Transition,
    shape: Shape,
    public: Vec<Cell>,
    records: Records,
}

/// What the operation slots hand on.
struct OperationSlots {
    members: Members,
    operations: Vec<OperationSlotOutput>,
    correction: CorrectionOutput,
}

/// Writes the statement of `t`, in the current version, into `trace` (empty, but for a test's tampering).
#[must_use]
pub fn build(t: &Transition, trace: Trace) -> Trace {
    build_version(CircuitVersion::CURRENT, t, trace)
}

/// [`build`], in a known version.
pub(super) fn build_version(version: CircuitVersion, t: &Transition, trace: Trace) -> Trace {
    let shape = t.input.community.shape;
    let rows = t.instance.rows().map(|x| imported(&x));
    let (mut b, public) = Builder::new(trace, shape.table_bits, &rows);
    for (cell, clause) in public.iter().zip(public::CLAUSES) {
        b.set_clause(clause);
        b.trace.mark(cell.row, RowHalf::Main);
    }
    let records = Records::new(b.zero());
    let mut s = Statement { b, t, shape, public, records };
    let (header, old_header) = s.header();
    let common = s.common(&header);
    let market = s.b.trace.alloc_rows(geometry(&shape).stride() * (shape.members + 1));
    let slots = s.slots(&common, market);
    s.intervals(&header, &common.intervals, market);
    let operation_slots = s.operation_slots(operations_of(version), &common, &slots);
    let header_slot = header_slot(&mut s.b, &shape, &common, &header, &mut s.records, &t.input.operations.header);
    let queue = s.queue();
    let new_header = s.new_header(&header, &slots, &operation_slots, &header_slot);
    s.trees(&common, &header, [old_header, new_header], &slots, &operation_slots, queue);
    s.added_by(version);
    s.finish()
}

impl Statement<'_> {
    /// The public input of a row.
    fn input(&self, row: usize) -> Cell {
        self.public.get(row).copied().unwrap_or(self.b.zero())
    }

    /// Ties a public input to the cell that determines it.
    #[track_caller]
    fn publish(&mut self, row: usize, cell: Cell) {
        let target = self.input(row);
        self.b.publish(target, cell);
    }

    fn header(&mut self) -> (HeaderCells, Cell) {
        self.b.set_clause("SETTLE.13");
        let elements = self.t.input.community.header.elements();
        let inputs: Vec<Input> = elements
            .iter()
            .enumerate()
            .map(|(i, x)| Input::Free(self.b.trace.free(("SETTLE.13", "header", i), imported(x))))
            .collect();
        let (leaf, cells) = self.b.sponge(DomainTag::Header, &inputs);
        (HeaderCells(std::array::from_fn(|i| cells.get(i).copied().unwrap_or(leaf))), leaf)
    }

    /// SETTLE.2 and what all slots share.
    fn common(&mut self, header: &HeaderCells) -> Common {
        let one = Fr::ONE;
        let (domain, community) = (self.input(public::DOMAIN), self.input(public::COMMUNITY));
        self.b.block(COMMON_ROWS);
        self.b.set_clause("SETTLE.2");
        let m = Fr::from(self.shape.intervals as u64);
        let intervals = self.b.constant(m);
        self.b.equal(intervals, header.0[at::INTERVALS]);
        let (first, length) = (header.0[at::NEXT], header.0[at::INTERVAL_LENGTH]);
        let period = self.b.linear(&[(one, first), (power(32), length), (power(48), intervals)], Fr::ZERO);
        self.publish(public::PERIOD, period);
        let mechanism = header.0[at::MECHANISM];
        self.b.set_clause("SETTLE.6");
        self.b.assert_boolean(mechanism);
        self.b.set_clause("SETTLE.10");
        let note_base = self.b.linear(&[(power(48), first), (power(96), community)], power(80) * m);
        let mdm = at::MDM.map(|i| header.0[i]);
        let init = self.init(header, mdm);
        self.b.set_clause("SETTLE.2");
        let inputs = [domain, community, first, length, intervals].map(Input::Copy);
        let (context, _) = self.b.sponge(DomainTag::Context, &inputs);
        let m = intervals;
        let intervals = self.tariff(mechanism);
        Common { domain, community, length, m, init, context, first_interval: first, mdm, note_base, intervals }
    }

    /// STATE.INIT without slots and trees: a community that begins has a header of zeros, and its record has its terms.
    fn init(&mut self, header: &HeaderCells, mdm: [Cell; 2]) -> Cell {
        self.b.set_clause("STATE.INIT");
        let init = self.b.bit(("STATE.INIT", "init", 0), self.t.input.operations.init);
        let zeros = (at::SUPPLIER_ACCOUNT..=at::CERTIFICATES).map(|i| header.0[i]);
        for cell in zeros {
            self.b.assert_product_zero(init, cell);
        }
        let [x, y] = mdm.map(Input::Copy);
        let terms = [x, y, Input::Copy(header.0[at::MECHANISM]), Input::Copy(header.0[at::NEXT])];
        let (terms, _) = self.b.hash4(terms);
        let code = self.b.linear(&[(Fr::from(RecordKind::Init.code()), init)], Fr::ZERO);
        self.records.push(&mut self.b, init, [code, terms]);
        init
    }

    fn tariff(&mut self, mechanism: Cell) -> Vec<IntervalCells> {
        self.b.set_clause("SETTLE.7");
        let elements: Vec<_> = self.t.input.tariff.intervals.iter().flat_map(|i| i.elements()).collect();
        let inputs: Vec<Input> = elements
            .iter()
            .enumerate()
            .map(|(i, x)| Input::Free(self.b.trace.free(("SETTLE.7", "tariff", i), imported(x))))
            .collect();
        let (commitment, cells) = self.b.sponge(DomainTag::Tariff, &inputs);
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
        self.b.set_clause("SETTLE.4");
        let zero = self.b.zero();
        market::assign_origin(&mut self.b.trace, geometry, market, zero);
        let input = &self.t.input;
        let witnesses = input.community.accounts.iter().zip(&input.packets).enumerate();
        let mut outputs = Vec::with_capacity(self.shape.members);
        for (index, (account, signed)) in witnesses {
            let first_interval = input.community.header.next_interval;
            let witness = SlotWitness { account, signed, first_interval };
            let row = market + geometry.stride() * (index + 1);
            outputs.push(account::slot(&mut self.b, &self.shape, index, row, common, &witness));
        }
        outputs
    }

    /// Operation slots and the correction, one after the other on the tree of settled leaves.
    fn operation_slots(&mut self, effects: &'static [Effect], common: &Common, slots: &[SlotOutput]) -> OperationSlots {
        self.b.set_clause("SETTLE.13");
        let nodes: Vec<Cell> = slots.iter().map(|slot| slot.new_leaf).collect();
        let mut members = Members::new(&mut self.b, slots.iter().map(|slot| slot.settled).collect(), &nodes);
        let (t, shape) = (self.t, self.shape);
        let mut operations = Vec::with_capacity(shape.operations);
        for (index, applied) in t.applied.slots.iter().take(shape.operations).enumerate() {
            operations.push(operation_slot(
                &mut self.b,
                &shape,
                effects,
                index,
                common,
                &mut members,
                &mut self.records,
                applied,
            ));
        }
        let correction =
            correction(&mut self.b, &shape, common, &mut members, &mut self.records, &t.applied.correction);
        OperationSlots { members, operations, correction }
    }

    /// NOTES.1: notes of L1's queue, each a record; their dense root.
    fn queue(&mut self) -> Cell {
        let notes = &self.t.input.operations.notes;
        self.b.block(QUEUE * QUEUE_ROWS + 1);
        self.b.set_clause("NOTES.1");
        let code = self.b.constant(Fr::from(RecordKind::Note.code()));
        let cells: Vec<Cell> = (0..QUEUE)
            .map(|i| {
                self.b.set_clause("NOTES.1");
                let value = notes.get(i).map_or(Fr::ZERO, |note| imported(&note.0));
                let note = self.b.witness(("NOTES.1", "note", i), value);
                let absent = self.b.is_zero(("NOTES.1", "note_inverse", i), note);
                let visible = self.b.linear(&[(-Fr::ONE, absent)], Fr::ONE);
                self.records.push(&mut self.b, visible, [code, note]);
                note
            })
            .collect();
        self.b.set_clause("NOTES.1");
        self.b.dense_root(&cells)
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
    fn new_header(
        &mut self,
        header: &HeaderCells,
        slots: &[SlotOutput],
        operation_slots: &OperationSlots,
        operation_slot: &HeaderSlot,
    ) -> Cell {
        let one = Fr::ONE;
        let sums = 11 * slots.len().div_ceil(2) + operation_slots.operations.len() + 40;
        self.b.block(sums.max(HEADER_RANGE_ROWS));
        let mut next = header.0;
        let correction = &operation_slots.correction;
        self.b.set_clause("SETTLE.11");
        for total in 0..9 {
            let position = at::TOTALS + total;
            let start = (position != at::DEBT).then_some(header.0[position]);
            let late = match total {
                0 => vec![correction.import],
                1 => vec![correction.export],
                _ if position == at::DEBT => {
                    operation_slots.operations.iter().map(|l| l.debt_change).chain([correction.debt_change]).collect()
                }
                _ => Vec::new(),
            };
            next[position] =
                sum(&mut self.b, start.into_iter().chain(slots.iter().map(|slot| slot.totals[total])).chain(late));
            self.b.assert_range(next[position], 64);
        }
        self.b.set_clause("ADJUST.4");
        next[at::CORRECTIONED] = sum(&mut self.b, [header.0[at::CORRECTIONED], correction.used]);
        self.b.set_clause("SETTLE.13");
        next[at::CERTIFICATES] = self.b.linear(&[(one, header.0[at::CERTIFICATES])], one);
        self.b.set_clause("SETTLE.8");
        let rests = operation_slots.operations.iter().map(|l| l.rest);
        let inflows = slots
            .iter()
            .map(|slot| slot.supply)
            .chain(rests)
            .chain([correction.supply, operation_slot.supplier_account]);
        let supply = sum(&mut self.b, [header.0[at::SUPPLIER_ACCOUNT]].into_iter().chain(inflows));
        next[at::SUPPLIER_ACCOUNT] =
            self.b.linear(&[(one, supply), (-one, next[at::DEBT]), (one, header.0[at::DEBT])], Fr::ZERO);
        let fees = slots.iter().map(|slot| slot.fees).chain([correction.fees, operation_slot.fee_account]);
        next[at::FEE_ACCOUNT] = sum(&mut self.b, [header.0[at::FEE_ACCOUNT]].into_iter().chain(fees));
        self.b.assert_range(next[at::SUPPLIER_ACCOUNT], 64);
        self.b.assert_range(next[at::FEE_ACCOUNT], 64);
        self.b.set_clause("HEADER.1");
        let above = self.b.sub(next[at::SUPPLIER_ACCOUNT], operation_slot.reserve);
        let above = self.b.mul(operation_slot.outflow, above);
        self.b.assert_range(above, 64);
        self.b.set_clause("SETTLE.2");
        let m = Fr::from(self.shape.intervals as u64);
        next[at::NEXT] = self.b.linear(&[(one, header.0[at::NEXT]), (m, operation_slot.skip)], m);
        self.b.assert_range(next[at::NEXT], 32);
        (next[at::MECHANISM], next[at::RESERVE], next[at::NONCE]) =
            (operation_slot.mechanism, operation_slot.reserve, operation_slot.nonce);
        (next[at::MDM[0]], next[at::MDM[1]]) = (operation_slot.mdm[0], operation_slot.mdm[1]);
        self.b.set_clause("SETTLE.12");
        let salts = self.t.input.header_salts.map(|x| imported(&x));
        let inputs: Vec<Input> = next
            .iter()
            .take(at::SALTS[0])
            .map(|cell| Input::Copy(*cell))
            .chain(salts.into_iter().map(Input::Free))
            .collect();
        self.b.sponge(DomainTag::Header, &inputs).0
    }

    /// The leaves after the last operation slot: free, but for their root.
    fn final_leaves(&mut self, members: &Members) -> Vec<Cell> {
        self.b.set_clause("SETTLE.14");
        let values = members.nodes().into_iter().enumerate();
        let inputs: Vec<Input> =
            values.map(|(i, x)| Input::Free(self.b.trace.free(("SETTLE.14", "leaf", i), x))).collect();
        let (reached, leaves) = self.b.dense_root_of(&inputs);
        self.b.equal(reached, members.root);
        leaves
    }

    /// SETTLE.13 (trees) and SETTLE.14 (L1 data).
    fn trees(
        &mut self,
        common: &Common,
        header: &HeaderCells,
        [old_header, new_header]: [Cell; 2],
        slots: &[SlotOutput],
        operation_slots: &OperationSlots,
        queue: Cell,
    ) {
        self.b.set_clause("SETTLE.13");
        let leaves = |of: fn(&SlotOutput) -> Cell| slots.iter().map(of).collect::<Vec<_>>();
        let old_members = self.b.dense_root(&leaves(|s| s.old_leaf));
        let notes = self.b.dense_root(&leaves(|s| s.note));
        let zero = self.b.zero();
        let t = self.t;
        self.b.set_clause("NOTES.1");
        let appended = self.b.hash4([Input::Copy(notes), Input::Copy(queue), Input::Zero, Input::Zero]).0;
        self.b.set_clause("SETTLE.13");
        let counter = header.0[at::CERTIFICATES];
        let certificates =
            state::replace(&mut self.b, ("SETTLE.13", "append_bit", 0), counter, &t.certificate_path, zero, appended);
        let node = |b: &mut Builder, header: Cell, members: Cell, certificates: Cell| {
            b.hash4([Input::Copy(header), Input::Copy(members), Input::Copy(certificates), Input::Zero]).0
        };
        let old_node = node(&mut self.b, old_header, old_members, certificates.old);
        let new_node = node(&mut self.b, new_header, operation_slots.members.root, certificates.new);
        self.b.block(4);
        self.b.set_clause("STATE.INIT");
        let empty = empty_ladder(CERTIFICATES_DEPTH).last().map_or(Fr::ZERO, imported);
        let used = self.b.linear(&[(Fr::ONE, certificates.old)], -empty);
        self.b.assert_product_zero(common.init, used);
        let before = self.b.unless(common.init, old_node);
        self.b.set_clause("SETTLE.13");
        let community = self.input(public::COMMUNITY);
        let roots = state::replace(
            &mut self.b,
            ("SETTLE.13", "community_bit", 0),
            community,
            &t.input.state_path,
            before,
            new_node,
        );
        self.publish(public::OLD_ROOT, roots.old);
        self.publish(public::NEW_ROOT, roots.new);
        self.publish(public::COMMUNITY_NEW, new_node);
        self.publish(public::OPS_DIGEST, self.records.digest());

        let final_leaves = self.final_leaves(&operation_slots.members);
        let z = self.input(public::Z);
        let mut y = self.records.evaluate(&mut self.b, z);
        self.b.set_clause("SETTLE.14");
        let data: Vec<Cell> = final_leaves.into_iter().chain([new_header, certificates.new]).collect();
        self.b.block(data.len());
        for word in data.into_iter().rev() {
            y = self.b.mul_add(Fr::ONE, y, z, Fr::ONE, word);
        }
        self.publish(public::Y, y);
    }

    /// What a later version constrains beyond version 2, after all of that.
    fn added_by(&mut self, version: CircuitVersion) {
        #[cfg(feature = "test-versions")]
        if version == crate::version::ONE_MORE {
            let domain = self.input(public::DOMAIN);
            self.b.block(1);
            let nothing = self.b.sub(domain, domain);
            self.b.assert_zero(nothing);
        }
        debug_assert!(crate::version::known().contains(&version), "a circuit of version {version}");
    }

    fn finish(mut self) -> Trace {
        let instance = self.public.iter().take(public::Y + 1).map(|cell| self.b.value(*cell)).collect();
        self.b.trace.set_instance(instance);
        self.b.trace
    }
}

fn sum(b: &mut Builder, cells: impl IntoIterator<Item = Cell>) -> Cell {
    let terms: Vec<_> = cells.into_iter().map(|cell| (Fr::ONE, cell)).collect();
    b.linear(&terms, Fr::ZERO)
}
