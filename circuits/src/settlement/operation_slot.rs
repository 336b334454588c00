//! An operation slot (OP.1 to OP.10): opens one leaf, applies one operation or none, puts the leaf back. What an
//! operation does is read from the effects of the circuit's version (`protocol::operation::effects_of`); no operation
//! has constraints of its own here but `close`, `enrol` and `forced`.

use gridveil_protocol::{
    field,
    operation::{self, Change, ClaimOf, Effect, Flow, Kind, Operation, SignedOperation, Subject, effects_of},
    operation_slots::AppliedOperationSlot,
    owner::OwnerKey,
    params::{Shape, UNIT_NANO, UNITS_BITS},
    poseidon::DomainTag,
    schnorr::{Signature, empty_slot_key},
    version::CircuitVersion,
};
use halo2curves::ff::Field;

use super::{
    account::Common,
    leaf::{self, LeafCells},
    members::{Members, native},
    records::{self, Records},
    signature,
    state::imported,
};
use crate::{
    Fr,
    chips::poseidon::Input,
    gadgets::{Builder, power},
    trace::Cell,
};

/// Rows for an operation that a later version adds: its bit, and a term in each sum that names it, two terms a row. A
/// payment adds four, and the builder refuses a block that is too small. A shape with many operation slots has few rows
/// left, so this is no generous bound.
const ROWS_OF_ANOTHER: usize = 4;

/// Rows of an operation slot's block.
#[must_use]
pub fn block_rows(shape: &Shape, effects: &[Effect]) -> usize {
    let rows = if shape.table_bits >= 16 { 172 } else { 168 };
    rows + ROWS_OF_ANOTHER * effects.len().saturating_sub(effects_of(CircuitVersion::V2).len())
}

/// Bits of an L1 address.
const ADDRESS_BITS: u32 = 160;

/// What an operation slot hands on.
#[derive(Clone, Copy, Debug)]
pub struct OperationSlotOutput {
    /// Debt after less debt before.
    pub debt_change: Cell,
    /// What a closed account leaves to the supplier account.
    pub rest: Cell,
}

/// The kind bits of an operation slot, one for each operation of the circuit's version.
struct Kinds(Vec<(&'static Effect, Cell)>);

impl Kinds {
    /// `sum weight(effect) bit` over the operations.
    fn sum(&self, b: &mut Builder, weight: impl Fn(&Effect) -> u64) -> Cell {
        let terms: Vec<(Fr, Cell)> =
            self.0.iter().map(|(e, bit)| (Fr::from(weight(e)), *bit)).filter(|(w, _)| *w != Fr::ZERO).collect();
        match terms.as_slice() {
            [(weight, bit)] if *weight == Fr::ONE => *bit,
            terms => b.linear(terms, Fr::ZERO),
        }
    }

    /// 1 if the operation is one of those.
    fn any(&self, b: &mut Builder, of: impl Fn(&Effect) -> bool) -> Cell {
        self.sum(b, |effect| u64::from(of(effect)))
    }

    /// The bit of one operation; zero where the version does not have it.
    fn is(&self, b: &Builder, kind: Kind) -> Cell {
        self.0.iter().find(|(e, _)| e.kind == kind).map_or(b.zero(), |(_, bit)| *bit)
    }
}

/// An operation slot's signatures and message where nothing is used.
fn idle(domain: &field::Fr) -> SignedOperation {
    let operation = Operation::new(Kind::Deposit, 0, 0, 0);
    sign_as_nobody(operation.message(*domain), operation)
}

fn nobodys(message: field::Fr) -> Signature {
    let signature = empty_slot_key().sign(DomainTag::Operation, &[message]);
    signature.unwrap_or(Signature { r_x: message, s: field::Scalar::from(0u64) })
}

fn sign_as_nobody(message: field::Fr, operation: Operation) -> SignedOperation {
    SignedOperation { operation, owner: operation::nobody(), signature: nobodys(message), mdm: None }
}

/// Cells of the message.
struct Message {
    amount: Cell,
    units: Cell,
    party: Cell,
    payout: Cell,
    salts: [Cell; 4],
    meter: [Cell; 2],
    terms: Cell,
    digest: Cell,
}

/// Writes operation slot `index` of a circuit that has the operations of `effects`.
#[allow(clippy::too_many_arguments)]
pub fn operation_slot(
    b: &mut Builder,
    shape: &Shape,
    effects: &'static [Effect],
    index: usize,
    common: &Common,
    members: &mut Members,
    records: &mut Records,
    w: &AppliedOperationSlot,
) -> OperationSlotOutput {
    let one = Fr::ONE;
    b.block(block_rows(shape, effects));
    b.set_clause("OP.3");
    let values = members.leaf(w.slot).values(b);
    let (old, old_leaf) = leaf::open(b, "OP.3", index, &values);
    let terms = leaf::unpack_terms(b, "OP.3", index, old.terms);
    let used = w.used.as_ref();
    let kind = |effect: &Effect| used.is_some_and(|(signed, _)| signed.operation.kind == effect.kind);
    let bits = effects.iter().enumerate();
    let kinds = Kinds(bits.map(|(i, e)| (e, b.bit(("OP.3", "kind", index * effects.len() + i), kind(e)))).collect());
    let exclusive = kinds.any(b, |_| true);
    b.assert_boolean(exclusive);
    let slot = b.witness(("OP.3", "slot", index), Fr::from(w.slot as u64));

    let nothing = idle(&gridveil_protocol::field::Fr::from(0u64));
    let signed = used.map_or(&nothing, |(signed, _)| signed);
    let message = message(b, index, common, &kinds, slot, terms.nonce, &signed.operation, used.is_some());
    sign(b, shape, index, common, &kinds, &old, &message, signed, used.is_some());

    let (balance, debt, rest) = money(b, index, &kinds, &old, terms.debt, &message);
    let claim = claim(b, &kinds, &old, &message);
    record(b, &kinds, &old, &message, slot, claim, records);

    b.set_clause("OP.9");
    let owner_signs = kinds.any(b, Effect::owner_signs);
    let nonce = b.linear(&[(one, terms.nonce), (one, owner_signs)], Fr::ZERO);
    let kept = b.linear(&[(one, old.terms), (-one, terms.debt), (-power(64), terms.nonce)], Fr::ZERO);
    let changed = changed(b, &kinds, |e| e.terms, kept, message.terms);
    let cleared = kinds.any(b, |e| e.terms == Change::Clear);
    let new_terms = b.linear(&[(one, changed), (one, debt), (power(64), nonce), (power(232), cleared)], Fr::ZERO);
    let split = leaf::unpack_terms(b, "OP.9", index, new_terms);
    b.equal(split.debt, debt);
    b.equal(split.nonce, nonce);
    // No account is without a meter: its slot would pass for an empty one.
    let sets_meter = kinds.any(b, |e| e.meter == Change::Set);
    let no_meter = b.is_zero(("OP.9", "meter_inverse", index), message.meter[0]);
    b.assert_product_zero(sets_meter, no_meter);
    let new = LeafCells {
        balance,
        payout: self::changed(b, &kinds, |e| e.payout, old.payout, message.payout),
        owner: self::changed(b, &kinds, |e| e.owner, old.owner, message.party),
        meter: std::array::from_fn(|i| self::changed(b, &kinds, |e| e.meter, old.meter[i], message.meter[i])),
        terms: new_terms,
        registers: cleared_by(b, &kinds, |e| e.registers == Change::Clear, old.registers),
        pending_substitute: cleared_by(b, &kinds, |e| e.finalises, old.pending_substitute),
        salts: std::array::from_fn(|i| self::changed(b, &kinds, |e| e.salts, old.salts[i], message.salts[i])),
    };
    b.set_clause("OP.8");
    // The slot of a new account is empty.
    let enrols = kinds.is(b, Kind::Enrol);
    b.assert_product_zero(enrols, old.meter[0]);
    let debt_change = b.sub(debt, terms.debt);
    b.set_clause("OP.3");
    let new_leaf = new.compose(b);
    members.replace(b, ("OP.3", "slot_bit", index << 8), (w.slot, slot), [old_leaf, new_leaf], new);
    OperationSlotOutput { debt_change, rest }
}

/// `set ? message's : clear ? 0 : old's`, as the effects' column says.
fn changed(b: &mut Builder, kinds: &Kinds, column: impl Fn(&Effect) -> Change, old: Cell, message: Cell) -> Cell {
    let set = kinds.any(b, |e| column(e) == Change::Set);
    let value = b.select(set, message, old);
    if kinds.0.iter().any(|(e, _)| column(e) == Change::Clear) {
        cleared_by(b, kinds, |e| column(e) == Change::Clear, value)
    } else {
        value
    }
}

fn cleared_by(b: &mut Builder, kinds: &Kinds, of: impl Fn(&Effect) -> bool, value: Cell) -> Cell {
    let cleared = kinds.any(b, of);
    b.unless(cleared, value)
}

#[allow(clippy::too_many_arguments)]
fn message(
    b: &mut Builder,
    index: usize,
    common: &Common,
    kinds: &Kinds,
    slot: Cell,
    nonce: Cell,
    o: &Operation,
    used: bool,
) -> Message {
    b.set_clause("OP.1");
    let one = Fr::ONE;
    let whole = used && o.kind.effect().whole_units;
    let amount = b.witness(("OP.4", "amount", index), Fr::from(if used { o.amount } else { 0 }));
    let units = b.witness(("OP.4", "units", index), Fr::from(if whole { o.units() } else { 0 }));
    let kind = kinds.sum(b, |e| e.kind as u64);
    let place =
        b.linear(&[(one, common.community), (power(32), slot), (power(48), kind), (power(56), nonce)], Fr::ZERO);
    let [_, _, _, party, payout, sa, sb, sc, sd, x, y, terms] = o.elements(field::Fr::from(0u64));
    let names = ["party", "payout", "sa", "sb", "sc", "sd", "meter_x", "meter_y", "terms"];
    let mut inputs = vec![Input::Copy(common.domain), Input::Copy(place), Input::Copy(amount)];
    for (name, value) in names.into_iter().zip([party, payout, sa, sb, sc, sd, x, y, terms]) {
        inputs.push(Input::Free(b.trace.free(("OP.1", name, index), imported(&value))));
    }
    let (digest, cells) = b.sponge(DomainTag::Operation, &inputs);
    let cell = |i: usize| cells.get(i).copied().unwrap_or(digest);
    Message {
        amount,
        units,
        party: cell(3),
        payout: cell(4),
        salts: [cell(5), cell(6), cell(7), cell(8)],
        meter: [cell(9), cell(10)],
        terms: cell(11),
        digest,
    }
}

/// OP.1 and OP.2.
#[allow(clippy::too_many_arguments)]
fn sign(
    b: &mut Builder,
    shape: &Shape,
    index: usize,
    common: &Common,
    kinds: &Kinds,
    old: &LeafCells,
    message: &Message,
    signed: &SignedOperation,
    used: bool,
) {
    b.set_clause("OP.1");
    // An unused or forced operation slot needs no signature of a member: the prover signs with the public key.
    let owned = used && signed.operation.kind.effect().owner_signs();
    let OwnerKey { key, nullifier } = if owned { signed.owner } else { operation::nobody() };
    let (x, y) = key.xy();
    let inputs = [("key_x", x), ("key_y", y), ("key_n", nullifier)];
    let [x, y, n] = inputs.map(|(name, value)| Input::Free(b.trace.free(("OP.1", name, index), imported(&value))));
    let (commitment, [x, y, ..]) = b.hash4([x, y, n, Input::Zero]);
    let enrols = kinds.is(b, Kind::Enrol);
    let owner = b.select(enrols, message.party, old.owner);
    let gap = b.sub(commitment, owner);
    let owner_signs = kinds.any(b, Effect::owner_signs);
    b.assert_product_zero(owner_signs, gap);
    let digest = native(b.value(message.digest));
    let own = if owned { signed.signature } else { nobodys(digest) };
    let first = shape.members + 2 * index;
    signature::verify(b, first, [x, y], DomainTag::Operation, &own, vec![Input::Copy(message.digest)]);
    b.set_clause("OP.2");
    let managed = kinds.any(b, |e| e.mdm);
    let key = signature::key_or_nobody(b, managed, common.mdm);
    let by_mdm = if used && signed.operation.kind.effect().mdm { signed.mdm } else { None };
    let by_mdm = by_mdm.unwrap_or_else(|| nobodys(digest));
    signature::verify(b, first + 1, key, DomainTag::Operation, &by_mdm, vec![Input::Copy(message.digest)]);
}

/// OP.4, OP.6, OP.7: balance and debt after, and what goes to the supplier account.
fn money(
    b: &mut Builder,
    index: usize,
    kinds: &Kinds,
    old: &LeafCells,
    old_debt: Cell,
    m: &Message,
) -> (Cell, Cell, Cell) {
    let one = Fr::ONE;
    b.set_clause("OP.4");
    b.assert_range(m.amount, 64);
    b.assert_range(m.units, UNITS_BITS);
    let whole = kinds.any(b, |e| e.whole_units);
    let gap = b.linear(&[(one, m.amount), (-Fr::from(UNIT_NANO), m.units)], Fr::ZERO);
    b.assert_product_zero(whole, gap);
    let stray = b.unless(whole, m.units);
    b.assert_zero(stray);

    b.set_clause("OP.7");
    let off = b.sub(old.payout, m.payout);
    let asked = b.is_zero(("OP.7", "requester_inverse", index), off);
    let (forced, close) = (kinds.is(b, Kind::Forced), kinds.is(b, Kind::Close));
    let served = b.mul(forced, asked);
    let stranger = b.sub(forced, served);
    b.assert_product_zero(stranger, m.amount);
    b.set_clause("OP.6");
    // What stays when all whole units are paid is less than a unit.
    let all = b.linear(&[(one, close), (one, served)], Fr::ZERO);
    let left = b.sub(old.balance, m.amount);
    let rest = b.mul(all, left);
    b.assert_range(rest, 24);
    let room = b.linear(&[(-one, rest)], Fr::from(UNIT_NANO - 1));
    b.assert_range(room, 24);
    let closing = b.mul(close, rest);

    b.set_clause("OP.4");
    let inward = kinds.any(b, |e| e.flow == Flow::In);
    let outward = kinds.any(b, |e| e.flow == Flow::Out);
    let direction = b.sub(inward, outward);
    let moved = b.mul(direction, m.amount);
    let value = b.linear(&[(one, old.balance), (-one, old_debt), (one, moved), (-one, closing)], Fr::ZERO);
    let (balance, debt) = leaf::split_value(b, "OP.4", index, value);
    let pays = kinds.any(b, |e| e.flow == Flow::Out && e.owner_signs());
    b.assert_product_zero(pays, debt);
    (balance, debt, closing)
}

/// OP.5.
fn claim(b: &mut Builder, kinds: &Kinds, old: &LeafCells, m: &Message) -> Cell {
    b.set_clause("OP.5");
    // Amount and payout have one sum: without this bound, a claim of one nano opens as any amount with a payout that is
    // no address.
    b.assert_range(m.payout, ADDRESS_BITS);
    let to_party = kinds.any(b, |e| e.claim == Some(ClaimOf::Party));
    let recipient = b.select(to_party, m.party, old.owner);
    let carried = b.linear(&[(Fr::ONE, m.amount), (power(64), m.payout)], Fr::ZERO);
    b.hash4([Input::Copy(recipient), Input::Copy(carried), Input::Copy(m.salts[0]), Input::Copy(m.salts[1])]).0
}

fn record(
    b: &mut Builder,
    kinds: &Kinds,
    old: &LeafCells,
    m: &Message,
    slot: Cell,
    claim: Cell,
    records: &mut Records,
) {
    b.set_clause("OP.10");
    let code = kinds.sum(b, |e| e.record.map_or(0, |(kind, _)| kind.code()));
    let subject = |e: &Effect, wanted: Subject| e.record.is_some_and(|(_, subject)| subject == wanted);
    let slot_is_public = kinds.any(b, |e| subject(e, Subject::Requester));
    let extra = b.mul(slot_is_public, slot);
    let w0 = records::first_word(b, code, m.units, extra);
    let of_claim = kinds.any(b, |e| subject(e, Subject::Claim));
    let of_payout = kinds.any(b, |e| subject(e, Subject::Payout));
    let first = b.mul(of_claim, claim);
    let second = b.mul_add(Fr::ONE, of_payout, old.payout, Fr::ONE, first);
    let w1 = b.mul_add(Fr::ONE, slot_is_public, m.payout, Fr::ONE, second);
    let visible = kinds.any(b, |e| e.record.is_some());
    records.push(b, visible, [w0, w1]);
}
