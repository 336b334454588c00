//! One slot: its packet's signature, its readings, its money, its leaf before and after (SETTLE.1 to 3, 5, 7 to 10,
//! 12).

use gridveil_protocol::{
    account::Account,
    packet::SignedPacket,
    params::{MODULUS_TOP, PRICE_OFFSET, REGISTER_BITS, Shape},
    poseidon::DomainTag,
    schnorr,
    units::Interval,
};
use halo2curves::ff::Field;

use super::{
    leaf::{self, LeafCells, LeafValues, Terms},
    signature,
    state::imported,
};
use crate::{
    Fr,
    chips::{
        arith::Operand,
        market::{self, IntervalCells, ReadingWitness, SlotCells},
        poseidon::Input,
    },
    gadgets::{Builder, power},
    trace::Cell,
};

/// Cells the whole batch shares.
#[derive(Clone, Debug)]
pub struct Common {
    /// Packet context element.
    pub context: Cell,
    /// Next interval before.
    pub first_interval: Cell,
    /// Domain.
    pub domain: Cell,
    /// Community index.
    pub community: Cell,
    /// Seconds of an interval.
    pub length: Cell,
    /// m.
    pub m: Cell,
    /// 1 if the community begins.
    pub init: Cell,
    /// The meter data manager's key.
    pub mdm: [Cell; 2],
    /// `first_interval 2^48 + m 2^80 + community 2^96`.
    pub note_base: Cell,
    /// One an interval.
    pub intervals: Vec<IntervalCells>,
}

/// What a slot adds to the community.
#[derive(Clone, Copy, Debug)]
pub struct SlotOutput {
    /// Leaf before.
    pub old_leaf: Cell,
    /// Leaf after.
    pub new_leaf: Cell,
    /// What it holds.
    pub settled: LeafCells,
    /// Certificate note.
    pub note: Cell,
    /// import, export, traded, issued, retired, outstanding, debt after, substituted packets, substituted Wh: as in the
    /// header.
    pub totals: [Cell; 9],
    /// Supplier flow and fees.
    pub supply: Cell,
    /// Network and local fees.
    pub fees: Cell,
}

/// Rows of a slot's block, by table width (checked by the builder).
#[must_use]
pub const fn block_rows(shape: &Shape) -> usize {
    if shape.table_bits >= 16 { 105 } else { 120 }
}

/// The slot's inputs.
#[derive(Clone, Copy, Debug)]
pub struct SlotWitness<'a> {
    /// Account before.
    pub account: &'a Account,
    /// Its packet.
    pub signed: &'a SignedPacket,
    /// First interval of the period.
    pub first_interval: Interval,
}

struct Packet {
    flag: Cell,
    buy: Cell,
    sell: Cell,
    salts: [Cell; 6],
    empty: Cell,
    digest: Cell,
}

struct Money {
    supply: Cell,
    fees: Cell,
    value: Cell,
    import: Cell,
    export: Cell,
    bought: Cell,
    sold: Cell,
    /// Intervals at or after the start of the active window.
    started: Cell,
}

/// Writes one slot; its market rows start at `market_row`.
pub fn slot(
    b: &mut Builder,
    shape: &Shape,
    index: usize,
    market_row: usize,
    common: &Common,
    w: &SlotWitness<'_>,
) -> SlotOutput {
    b.block(block_rows(shape));
    b.set_clause("SETTLE.13");
    let (old, old_leaf) = leaf::open(b, "SETTLE.13", index, &LeafValues::of(w.account));
    let terms = leaf::unpack_terms(b, "SETTLE.13", index, old.terms);
    let flag = b.bit(("SETTLE.1b", "substituted", index), w.signed.packet.substituted);
    let slot_cells = limits(b, index, &terms, flag);
    b.set_clause("SETTLE.6");
    let geometry = super::geometry(shape);
    let readings = readings(w, shape.intervals);
    let zero = b.zero();
    let sums = market::assign_slot(
        &mut b.trace,
        geometry,
        market_row,
        (index, zero),
        &slot_cells,
        &common.intervals,
        &readings,
    );
    let packet = packet(b, index, common, &old, terms.scale, flag, &sums.groups, w);
    let money = money(b, index, shape, common, &old, &terms, &sums.sums, w);
    b.set_clause("SETTLE.1b");
    // An empty slot is neither substituted nor active in any interval: flag and count are not negative, so a zero sum
    // is two zeros.
    let signs_of_use = b.linear(&[(Fr::ONE, flag), (Fr::ONE, money.started)], Fr::ZERO);
    b.assert_product_zero(packet.empty, signs_of_use);
    b.set_clause("STATE.INIT");
    b.assert_product_zero(common.init, old.balance);
    b.assert_product_zero(common.init, old.owner);
    // Debt, nonce and the bit are not negative, so a zero sum is three zeros.
    let in_use = b.linear(&[(Fr::ONE, terms.debt), (Fr::ONE, terms.nonce), (-Fr::ONE, packet.empty)], Fr::ONE);
    b.assert_product_zero(common.init, in_use);
    after(b, index, common, old_leaf, &old, &terms, &packet, &money)
}

/// SETTLE.5: the limits that count. A debtor's buy limit is -1, below every price; a substituted slot has its caps in
/// their place.
fn limits(b: &mut Builder, index: usize, terms: &Terms, flag: Cell) -> SlotCells {
    b.set_clause("SETTLE.5");
    let no_debt = b.is_zero(("SETTLE.5", "debt_inverse", index), terms.debt);
    let k = [Fr::ONE, Fr::ONE, Fr::ZERO, Fr::ZERO, -Fr::ONE];
    let buy = b.row(k, [Operand::Copy(no_debt), Operand::Copy(terms.buy), Operand::Unused]);
    b.set_clause("SETTLE.1b");
    let buy_limit = b.select(flag, terms.cap_import, buy);
    let sell_limit = b.select(flag, terms.cap_export, terms.sell);
    SlotCells { buy_limit, sell_limit, scale: terms.scale, flag }
}

fn readings(w: &SlotWitness<'_>, intervals: usize) -> Vec<ReadingWitness> {
    // A window that holds no interval of the period is written as never started.
    let first = u64::from(w.first_interval);
    let (from, until) = (u64::from(w.account.terms.active_from), u64::from(w.account.terms.active_until));
    let idle = until <= first || from >= first + intervals as u64 || from >= until;
    (0..intervals)
        .map(|t| {
            let at = first + t as u64;
            let reading = w.signed.packet.readings.get(t).copied().unwrap_or_default();
            ReadingWitness {
                import: reading.import,
                export: reading.export,
                started: !idle && at >= from,
                ended: !idle && at >= until,
            }
        })
        .collect()
}

/// SETTLE.1, 1b: the packet is signed by the meter, the meter data manager if substituted, the public empty-slot key if
/// the slot is empty.
#[allow(clippy::too_many_arguments)]
fn packet(
    b: &mut Builder,
    index: usize,
    common: &Common,
    old: &LeafCells,
    scale: Cell,
    flag: Cell,
    groups: &[Cell],
    w: &SlotWitness<'_>,
) -> Packet {
    let one = Fr::ONE;
    let packet = &w.signed.packet;
    b.set_clause("SETTLE.1b");
    let [meter_x, meter_y] = old.meter;
    let empty = b.is_zero(("SETTLE.1b", "meter_inverse", index), meter_x);
    b.set_clause("SETTLE.1");
    let (empty_x, empty_y) = schnorr::empty_slot_key().public().xy();
    let meter_x = b.linear(&[(one, meter_x), (imported(&empty_x), empty)], Fr::ZERO);
    let meter_y = b.linear(&[(one, meter_y), (imported(&empty_y), empty)], Fr::ZERO);
    let x = b.select(flag, common.mdm[0], meter_x);
    let y = b.select(flag, common.mdm[1], meter_y);

    let buy = b.witness(("SETTLE.12", "buy_limit", index), Fr::from(u64::from(packet.buy_limit)));
    let sell = b.witness(("SETTLE.12", "sell_limit", index), Fr::from(u64::from(packet.sell_limit)));
    b.assert_range(buy, 16);
    b.assert_range(sell, 16);
    let slot_number = Fr::from(index as u64);
    let info = b.linear(
        &[(one, common.context), (power(16), buy), (power(32), sell), (power(48), flag), (power(49), scale)],
        slot_number,
    );
    // A substitute names the leaf's pending substitute; any other packet has zero there.
    b.set_clause("SETTLE.1b");
    let previous_substitute = b.mul(flag, old.pending_substitute);
    b.set_clause("SETTLE.1");
    let s = &packet.salts;
    let mut inputs = vec![Input::Copy(info), Input::Copy(previous_substitute)];
    inputs.extend(s.exit.iter().chain(&s.private).chain(&s.note).map(|x| Input::Free(imported(x))));
    inputs.extend(groups.iter().map(|group| Input::Copy(*group)));
    let (digest, cells) = signature::verify(b, index, [x, y], DomainTag::Packet, &w.signed.signature, inputs);
    let cell = |i: usize| cells.get(i).copied().unwrap_or(digest);

    Packet { flag, buy, sell, salts: std::array::from_fn(|i| cell(2 + i)), empty, digest }
}

/// SETTLE.2 (window), SETTLE.7 (money of the period).
#[allow(clippy::too_many_arguments)]
fn money(
    b: &mut Builder,
    index: usize,
    shape: &Shape,
    common: &Common,
    old: &LeafCells,
    terms: &Terms,
    sums: &[Cell; 3],
    w: &SlotWitness<'_>,
) -> Money {
    let one = Fr::ONE;
    b.set_clause("SETTLE.7");
    let fields = b.unpack(sums[2], &market::ACC3_WIDTHS.map(|w| if w == 8 { w.max(shape.table_bits) } else { w }));
    let field = |i: usize| fields.get(i).copied().unwrap_or(sums[2]);
    // The top field is below 2^8: the whole stays below the modulus.
    b.assert_range(field(0), 8);
    let (ended, started, trade_bought, trade_sold) = (field(0), field(1), field(2), field(3));
    let (sold, bought, export, import) = (field(4), field(5), field(6), field(7));
    window(b, index, shape, common.first_interval, terms, started, ended, w);

    b.set_clause("SETTLE.7");
    let [network_1, network_0, energy_1, energy_0] = price_limbs(b, sums[0]);
    let [local_1, local_0, feed_1, feed_0] = price_limbs(b, sums[1]);
    let energy = b.select(terms.class, energy_1, energy_0);
    let network = b.select(terms.class, network_1, network_0);
    let feed_in = b.select(terms.class, feed_1, feed_0);
    let local = b.select(terms.class, local_1, local_0);
    let offset = Fr::from(PRICE_OFFSET.unsigned_abs());
    // energy - offset (import - bought) - feed_in + offset (export - sold)
    let supply = b.linear(
        &[(one, energy), (-one, feed_in), (-offset, import), (offset, bought), (offset, export), (-offset, sold)],
        Fr::ZERO,
    );
    // network - offset (import - bought) + local - offset bought
    let fees = b.linear(&[(one, network), (one, local), (-offset, import)], Fr::ZERO);
    let tick = Fr::from(gridveil_protocol::params::NANO_PER_TICK.unsigned_abs());
    b.set_clause("SETTLE.8");
    let value = b.linear(
        &[
            (one, old.balance),
            (-one, terms.debt),
            (tick, trade_sold),
            (-tick, trade_bought),
            (-one, supply),
            (-one, fees),
        ],
        Fr::ZERO,
    );
    Money { supply, fees, value, import, export, bought, sold, started }
}

/// Splits four sums of offset prices, top first. The top limb stays below the modulus' own top limb, so four limbs
/// never wrap.
pub fn price_limbs(b: &mut Builder, packed: Cell) -> [Cell; 4] {
    let fields = b.unpack(packed, &[64; 4]);
    let limb: [Cell; 4] = std::array::from_fn(|i| fields.get(i).copied().unwrap_or(packed));
    let room = b.linear(&[(-Fr::ONE, limb[0])], Fr::from(MODULUS_TOP - 1));
    b.assert_range(room, 64);
    limb
}

/// SETTLE.2: the `started` and `ended` intervals lie inside the account's window, or none has started.
#[allow(clippy::too_many_arguments)]
fn window(
    b: &mut Builder,
    index: usize,
    shape: &Shape,
    first: Cell,
    terms: &Terms,
    started: Cell,
    ended: Cell,
    w: &SlotWitness<'_>,
) {
    let one = Fr::ONE;
    b.set_clause("SETTLE.2");
    let idle = readings(w, shape.intervals).iter().all(|r| !r.started);
    let idle = b.bit(("SETTLE.2", "idle", index), idle);
    b.assert_product_zero(idle, started);
    let m = Fr::from(shape.intervals as u64);
    let after_from = b.linear(&[(one, first), (-one, started), (-one, terms.active_from)], m);
    let after_from = b.unless(idle, after_from);
    b.assert_range(after_from, 32);
    let before_until = b.linear(&[(one, terms.active_until), (-one, first), (one, ended)], -m);
    let before_until = b.unless(idle, before_until);
    b.assert_range(before_until, 32);
}

/// SETTLE.8, 9, 10, 12: balance, registers, note, leaf after.
#[allow(clippy::too_many_arguments)]
fn after(
    b: &mut Builder,
    index: usize,
    common: &Common,
    old_leaf: Cell,
    old: &LeafCells,
    terms: &Terms,
    packet: &Packet,
    money: &Money,
) -> SlotOutput {
    let one = Fr::ONE;
    b.set_clause("SETTLE.8");
    let (balance, debt) = leaf::split_value(b, "SETTLE.8", index, money.value);

    b.set_clause("SETTLE.9");
    let register = |i: u32| power(i * REGISTER_BITS);
    let registers = b.linear(
        &[
            (one, old.registers),
            (one, money.import),
            (register(1), money.export),
            (register(2), money.bought),
            (register(3), money.sold),
        ],
        Fr::ZERO,
    );

    b.set_clause("SETTLE.10");
    let no_technology = b.is_zero(("SETTLE.10", "technology_inverse", index), terms.technology);
    let k = [one, -one, -one, Fr::ZERO, one];
    let earns = b.row(k, [Operand::Copy(no_technology), Operand::Copy(packet.flag), Operand::Unused]);
    let issued = b.mul(earns, money.export);
    let retired = b.mul(earns, money.sold);
    let outstanding = b.sub(issued, retired);
    let info = b.linear(&[(one, outstanding), (power(128), terms.technology), (one, common.note_base)], Fr::ZERO);

    b.set_clause("SETTLE.12");
    let keep = b.linear(&[(one, packet.flag), (one, packet.empty)], Fr::ZERO);
    // Both limits at once, in their place of the terms.
    let (buy, sell) = (power(160), power(176));
    let change = b.linear(&[(buy, packet.buy), (-buy, terms.buy), (sell, packet.sell), (-sell, terms.sell)], Fr::ZERO);
    let change = b.unless(keep, change);
    let new_terms = b.linear(&[(one, old.terms), (one, debt), (-one, terms.debt), (one, change)], Fr::ZERO);
    // The newest substitute, until it is corrected or an operation makes all of the slot's substitutes final
    // (ADJUST.1).
    let pending_substitute = b.select(packet.flag, packet.digest, old.pending_substitute);
    let [s1, s2, s3, s4, s5, s6] = packet.salts;
    let new = LeafCells { balance, terms: new_terms, registers, pending_substitute, salts: [s1, s2, s3, s4], ..*old };
    let new_leaf = new.compose(b);
    let [s5, s6] = [s5, s6].map(Input::Copy);
    let (note, _) = b.sponge(DomainTag::Note, &[Input::Copy(old.owner), Input::Copy(info), s5, s6]);

    b.set_clause("SETTLE.1b");
    let energy = b.linear(&[(one, money.import), (one, money.export)], Fr::ZERO);
    let substituted_wh = b.mul(packet.flag, energy);
    SlotOutput {
        old_leaf,
        new_leaf,
        settled: new,
        note,
        totals: [
            money.import,
            money.export,
            money.bought,
            issued,
            retired,
            outstanding,
            debt,
            packet.flag,
            substituted_wh,
        ],
        supply: money.supply,
        fees: money.fees,
    }
}
