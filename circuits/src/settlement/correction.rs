//! The correction slot (ADJUST.1 to ADJUST.5): the meter's late packet for a slot's newest substitute, booked by the
//! difference, or nothing.

use gridveil_protocol::{
    correction::Correction,
    operation_slots::AppliedCorrection,
    packet::{Context, Packet, PacketSalts, Reading, SignedPacket, empty_slot},
    params::{INTERVALS_PER_GROUP, PRICE_OFFSET, REGISTER_BITS, Shape},
    poseidon::DomainTag,
    record::RecordKind,
    tariff::{ClassPrices, IntervalTariff, Tariff},
    units::{Interval, Ticks},
};
use halo2curves::ff::Field;

use super::{
    account::{Common, price_limbs},
    leaf::{self, LeafCells, Terms},
    members::{Members, native},
    records::{self, Records},
    signature,
    state::imported,
};
use crate::{
    Fr,
    chips::{arith::Operand, poseidon::Input},
    gadgets::{Builder, power},
    trace::Cell,
};

/// Rows of the operation slot's blocks: before the readings, after them, a group of readings, an interval.
const fn opening_rows(shape: &Shape) -> usize {
    if shape.table_bits >= 16 { 35 } else { 48 }
}
const fn closing_rows(shape: &Shape) -> usize {
    if shape.table_bits >= 16 { 56 } else { 98 }
}
const GROUP_ROWS: usize = 15;
const INTERVAL_ROWS: usize = 6;

/// What the correction hands on: differences, zero if the operation slot is not used.
#[derive(Clone, Copy, Debug)]
pub struct CorrectionOutput {
    /// 1 if used.
    pub used: Cell,
    /// Debt after less debt before.
    pub debt_change: Cell,
    /// To the supplier.
    pub supply: Cell,
    /// Network fees.
    pub fees: Cell,
    /// Import, Wh.
    pub import: Cell,
    /// Export, Wh.
    pub export: Cell,
}

/// The witness of an operation slot that is not used: two packets without readings.
fn idle(shape: &Shape) -> Option<Correction> {
    let intervals = u16::try_from(shape.intervals).ok()?;
    let context =
        Context { domain: 0u64.into(), community: 0, first_interval: Interval::ZERO, interval_length: 0, intervals };
    let packet = empty_slot(context, 0, PacketSalts::default()).ok()?;
    let entry = IntervalTariff {
        classes: [ClassPrices::default(); 2],
        cap: Ticks::ZERO,
        floor: Ticks::ZERO,
        reference: Ticks::ZERO,
    };
    let signer = gridveil_protocol::header_operation::nobody();
    Some(Correction {
        substitute: packet.clone(),
        signer,
        late: packet,
        tariff: Tariff { intervals: vec![entry; shape.intervals] },
    })
}

/// One packet's readings: import and export of each interval.
type Readings = Vec<[Cell; 2]>;

struct Sums {
    /// Import, export in reading units.
    energy: [Cell; 2],
    supply: Cell,
    feed_in: Cell,
}

/// Writes the correction slot.
pub fn correction(
    b: &mut Builder,
    shape: &Shape,
    common: &Common,
    members: &mut Members,
    records: &mut Records,
    w: &AppliedCorrection,
) -> CorrectionOutput {
    let one = Fr::ONE;
    let idle = idle(shape);
    let packet = w.used.as_ref().map(|(correction, _)| correction).or(idle.as_ref());
    let Some(packet) = packet else { unreachable!("an unused correction signs with a constant key") };

    b.block(opening_rows(shape));
    b.set_clause("ADJUST.1");
    let values = members.leaf(w.slot).values(b);
    let (old, old_leaf) = leaf::open(b, "ADJUST.1", 0, &values);
    let terms = leaf::unpack_terms(b, "ADJUST.1", 0, old.terms);
    let used = b.bit(("ADJUST.1", "used", 0), w.used.is_some());
    let slot = b.witness(("ADJUST.1", "slot", 0), Fr::from(w.slot as u64));
    let first = b.witness(
        ("ADJUST.5", "first_interval", 0),
        Fr::from(u64::from(packet.substitute.packet.context.first_interval)),
    );
    b.assert_range(first, 32);
    let context = [common.domain, common.community, first, common.length, common.m].map(Input::Copy);
    let (context, _) = b.sponge(DomainTag::Context, &context);

    // The substitute, by its digest alone: its signature was checked when it was settled.
    let info = slot_info(b, "ADJUST.1", context, slot, terms.scale, &packet.substitute.packet, one);
    // The meter data manager of that time; the digest binds it.
    let signer = Input::Free(b.trace.free(("ADJUST.1", "signer", 0), imported(&packet.signer.xy().0)));
    // The previous substitute, which becomes the leaf's pending one. The digest binds it too.
    let previous_substitute = Input::Free(
        b.trace.free(("ADJUST.1", "previous_substitute", 0), imported(&packet.substitute.packet.previous_substitute)),
    );
    let mut inputs =
        vec![Input::Free(imported(&packet.substitute.signature.r_x)), signer, Input::Copy(info), previous_substitute];
    inputs.extend(salts_and_groups("ADJUST.1", b, &packet.substitute));
    let (digest, cells) = b.sponge(DomainTag::Packet, &inputs);
    let previous_substitute = cells.get(3).copied().unwrap_or(digest);
    let substitute_groups = cells.get(10..).unwrap_or(&[]).to_vec();
    let gap = b.sub(digest, old.pending_substitute);
    b.assert_product_zero(used, gap);

    b.set_clause("ADJUST.2");
    let info = slot_info(b, "ADJUST.2", context, slot, terms.scale, &packet.late.packet, Fr::ZERO);
    let key = signature::key_or_nobody(b, used, old.meter);
    let mut inputs = vec![Input::Copy(info), Input::Zero];
    inputs.extend(salts_and_groups("ADJUST.2", b, &packet.late));
    let late_signature = if w.used.is_some() { packet.late.signature } else { own_signature(b, &packet.late, info) };
    let index = shape.members + 2 * shape.operations + 1;
    let (_, cells) = signature::verify(b, index, key, DomainTag::Packet, &late_signature, inputs);
    let late_groups = cells.get(8..).unwrap_or(&[]).to_vec();

    b.set_clause("ADJUST.5");
    let elements: Vec<_> = packet.tariff.intervals.iter().flat_map(IntervalTariff::elements).collect();
    let inputs: Vec<Input> = elements
        .iter()
        .enumerate()
        .map(|(i, x)| Input::Free(b.trace.free(("ADJUST.5", "tariff", i), imported(x))))
        .collect();
    let (commitment, tariff) = b.sponge(DomainTag::Tariff, &inputs);

    let substitute = readings(b, shape, "ADJUST.1", &substitute_groups);
    let late = readings(b, shape, "ADJUST.2", &late_groups);
    window(b, first, &terms, &late, w, packet);
    let [late, substitute] = [late, substitute].map(|r| sums(b, &tariff, &r));

    b.block(closing_rows(shape));
    let [import, export] = difference(b, used, terms.scale, &late, &substitute);
    let (supply, fees) = money(b, used, &terms, &late, &substitute);
    b.set_clause("ADJUST.3");
    let value = b.linear(&[(one, old.balance), (-one, terms.debt), (-one, supply), (-one, fees)], Fr::ZERO);
    let (balance, debt) = leaf::split_value(b, "ADJUST.3", 0, value);
    let debt_change = b.sub(debt, terms.debt);
    b.set_clause("ADJUST.4");
    let registers = b.linear(&[(one, old.registers), (one, import), (power(REGISTER_BITS), export)], Fr::ZERO);
    b.set_clause("ADJUST.1");
    let pending_substitute = b.select(used, previous_substitute, old.pending_substitute);
    let new_terms = b.linear(&[(one, old.terms), (one, debt_change)], Fr::ZERO);
    let new = LeafCells { balance, terms: new_terms, registers, pending_substitute, ..old };
    let new_leaf = new.compose(b);
    b.set_clause("ADJUST.5");
    let eleven = b.linear(&[(Fr::from(RecordKind::Correction.code()), used)], Fr::ZERO);
    let zero = b.zero();
    let w0 = records::first_word(b, eleven, zero, first);
    records.push(b, used, [w0, commitment]);
    b.set_clause("ADJUST.1");
    members.replace(b, ("ADJUST.1", "slot_bit", 0), (w.slot, slot), [old_leaf, new_leaf], new);
    CorrectionOutput { used, debt_change, supply, fees, import, export }
}

/// An unused operation slot's signature by the public key, over the context that the statement itself has.
fn own_signature(b: &Builder, late: &SignedPacket, info: Cell) -> gridveil_protocol::schnorr::Signature {
    let mut message = vec![native(b.value(info)), 0u64.into()];
    let s = &late.packet.salts;
    message.extend(s.exit.iter().chain(&s.private).chain(&s.note));
    message.extend(late.packet.groups());
    let signed = gridveil_protocol::schnorr::empty_slot_key().sign(DomainTag::Packet, &message);
    signed.unwrap_or(late.signature)
}

/// `context + slot + buy_limit<<16 + sell_limit<<32 + flag<<48 + scale<<49`; limits and scale are in range, so that no
/// other context fits the sum.
fn slot_info(
    b: &mut Builder,
    clause: &'static str,
    context: Cell,
    slot: Cell,
    scale: Cell,
    packet: &Packet,
    flag: Fr,
) -> Cell {
    let buy = b.witness((clause, "buy_limit", 0), Fr::from(u64::from(packet.buy_limit)));
    let sell = b.witness((clause, "sell_limit", 0), Fr::from(u64::from(packet.sell_limit)));
    b.assert_range(buy, 16);
    b.assert_range(sell, 16);
    b.linear(
        &[(Fr::ONE, context), (Fr::ONE, slot), (power(16), buy), (power(32), sell), (power(49), scale)],
        power(48) * flag,
    )
}

fn salts_and_groups(clause: &'static str, b: &mut Builder, signed: &SignedPacket) -> Vec<Input> {
    let s = &signed.packet.salts;
    let mut inputs: Vec<Input> =
        s.exit.iter().chain(&s.private).chain(&s.note).map(|x| Input::Free(imported(x))).collect();
    for (i, group) in signed.packet.groups().iter().enumerate() {
        inputs.push(Input::Free(b.trace.free((clause, "group", i), imported(group))));
    }
    inputs
}

/// Splits groups into readings: 16 bits each, first interval on top.
fn readings(b: &mut Builder, shape: &Shape, clause: &'static str, groups: &[Cell]) -> Readings {
    let mut left = shape.intervals;
    let mut all = Vec::with_capacity(left);
    for group in groups {
        b.block(GROUP_ROWS);
        b.set_clause(clause);
        let here = left.min(INTERVALS_PER_GROUP);
        left -= here;
        let fields = b.unpack(*group, &vec![16; 2 * here]);
        all.extend(fields.chunks(2).map(|pair| [pair[0], pair[1]]));
    }
    all
}

/// ADJUST.2: a late reading outside the account's window is zero.
fn window(b: &mut Builder, first: Cell, terms: &Terms, late: &Readings, w: &AppliedCorrection, packet: &Correction) {
    let one = Fr::ONE;
    let start = u64::from(packet.substitute.packet.context.first_interval);
    let (from, until) = (u64::from(w.before.terms.active_from), u64::from(w.before.terms.active_until));
    b.block(2);
    b.set_clause("ADJUST.2");
    let since = b.sub(first, terms.active_from);
    let before_end = b.linear(&[(one, terms.active_until), (-one, first)], -one);
    for (t, [import, export]) in late.iter().enumerate() {
        b.block(INTERVAL_ROWS);
        b.set_clause("ADJUST.2");
        let at = start + t as u64;
        let reading = packet.late.packet.readings.get(t).copied().unwrap_or_default();
        let inside = w.used.is_some() && reading != Reading::default() && from <= at && at < until;
        let inside = b.bit(("ADJUST.2", "inside", t), inside);
        for reading in [import, export] {
            let outside = b.unless(inside, *reading);
            b.assert_zero(outside);
        }
        let t = Fr::from(t as u64);
        let k = [one, t, Fr::ZERO, Fr::ZERO, Fr::ZERO];
        let after_from = b.row(k, [Operand::Copy(inside), Operand::Copy(since), Operand::Unused]);
        b.assert_range(after_from, 32);
        let k = [one, -t, Fr::ZERO, Fr::ZERO, Fr::ZERO];
        let before_until = b.row(k, [Operand::Copy(inside), Operand::Copy(before_end), Operand::Unused]);
        b.assert_range(before_until, 32);
    }
}

/// Price x energy of one packet, packed as the tariff is, and its energy.
fn sums(b: &mut Builder, tariff: &[Cell], readings: &Readings) -> Sums {
    let one = Fr::ONE;
    b.block(4 * readings.len());
    b.set_clause("ADJUST.3");
    let zero = b.zero();
    let mut sums = Sums { energy: [zero; 2], supply: zero, feed_in: zero };
    for ([import, export], elements) in readings.iter().zip(tariff.chunks(4)) {
        let element = |i: usize| elements.get(i).copied().unwrap_or(zero);
        sums.supply = b.mul_add(one, *import, element(0), one, sums.supply);
        sums.feed_in = b.mul_add(one, *export, element(1), one, sums.feed_in);
        sums.energy[0] = b.linear(&[(one, sums.energy[0]), (one, *import)], Fr::ZERO);
        sums.energy[1] = b.linear(&[(one, sums.energy[1]), (one, *export)], Fr::ZERO);
    }
    sums
}

/// ADJUST.4: energy, late less substitute, Wh.
fn difference(b: &mut Builder, used: Cell, scale: Cell, late: &Sums, substitute: &Sums) -> [Cell; 2] {
    b.set_clause("ADJUST.4");
    let scaled = b.mul(used, scale);
    std::array::from_fn(|i| {
        let units = b.sub(late.energy[i], substitute.energy[i]);
        b.mul(scaled, units)
    })
}

/// ADJUST.3: supplier's flow and fees, late less substitute, nano.
fn money(b: &mut Builder, used: Cell, terms: &Terms, late: &Sums, substitute: &Sums) -> (Cell, Cell) {
    let one = Fr::ONE;
    b.set_clause("ADJUST.3");
    let scaled = b.mul(used, terms.scale);
    let units: [Cell; 2] = std::array::from_fn(|i| b.sub(late.energy[i], substitute.energy[i]));
    let [import, export] = units;
    // Limbs are listed from the top; of each pair, class 0 is the lower one.
    let gaps = |b: &mut Builder, of: fn(&Sums) -> Cell| -> [Cell; 4] {
        let [late, substitute] = [late, substitute].map(|sums| price_limbs(b, of(sums)));
        std::array::from_fn(|i| b.sub(late[i], substitute[i]))
    };
    let [network_1, network_0, energy_1, energy_0] = gaps(b, |sums| sums.supply);
    let energy = b.select(terms.class, energy_1, energy_0);
    let network = b.select(terms.class, network_1, network_0);
    let [_, _, feed_1, feed_0] = gaps(b, |sums| sums.feed_in);
    let feed_in = b.select(terms.class, feed_1, feed_0);
    let offset = Fr::from(PRICE_OFFSET.unsigned_abs());
    let supply = b.linear(&[(one, energy), (-one, feed_in), (-offset, import), (offset, export)], Fr::ZERO);
    let fees = b.linear(&[(one, network), (-offset, import)], Fr::ZERO);
    (b.mul(scaled, supply), b.mul(scaled, fees))
}
