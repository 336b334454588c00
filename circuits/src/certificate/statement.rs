//! The whole statement, in the order of the specification.
//!
//! Some values are opened by one clause and checked by another. Each is a free cell, and a row of the checking clause
//! says that the difference is zero. So a refusal names the checking clause.

use gridveil_protocol::{
    certificate::{DENSE_LEVELS, NotePath, Purpose, Spend},
    field::Fr as NativeFr,
    note::{AMOUNT_BITS, ORIGIN_BITS},
    params::{CERTIFICATES_DEPTH, STATE_DEPTH},
    poseidon::DomainTag,
    tree::Children,
};
use halo2curves::ff::Field;

use crate::{
    Fr,
    chips::poseidon::Input,
    field::imported,
    gadgets::{Builder, power},
    signature::{self, Key},
    trace::{Cell, RowHalf, Trace},
};

/// Rows of the public inputs, by name.
mod public {
    pub const DOMAIN: usize = 0;
    pub const ANCHOR: usize = 1;
    pub const NULLIFIER: usize = 2;
    pub const NOTES: [usize; 2] = [3, 4];
    pub const RETIREMENT: usize = 5;
    pub const DISCLOSED: usize = 6;
    pub const BENEFICIARY: usize = 7;
    pub const KIND: usize = 8;
    /// The clause that each row serves.
    pub const CLAUSES: [&str; 9] =
        ["CERT.2", "CERT.1", "CERT.3", "CERT.4", "CERT.4", "CERT.5", "CERT.5", "CERT.5", "CERT.5"];
}

/// Rows of the block that all arithmetic and all ranges share (checked by the builder).
const BLOCK_ROWS: usize = 64;

struct Statement<'a> {
    b: Builder,
    spend: &'a Spend,
    public: Vec<Cell>,
}

/// The note that is spent.
struct Spent {
    note: Cell,
    owner: Cell,
    amount: Cell,
    origin: Cell,
}

/// Writes the statement of `spend` into `trace` (empty, but for a test's tampering).
#[must_use]
pub fn build(spend: &Spend, trace: Trace) -> Trace {
    let rows = spend.compute().rows().map(|x| imported(&x));
    let (mut b, public) = Builder::new(trace, super::TABLE_BITS, &rows);
    for (cell, clause) in public.iter().zip(public::CLAUSES) {
        b.set_clause(clause);
        b.trace.mark(cell.row, RowHalf::Main);
    }
    b.block(BLOCK_ROWS);
    let mut s = Statement { b, spend, public };
    let spent = s.note();
    s.path(spent.note);
    let (key, x, nullifier) = s.nullifier(&spent);
    let (notes, retired) = s.amounts(&spent);
    let [retirement, kind] = s.retirement(&spent, retired);
    s.signature(&key, x, &[nullifier, notes[0], notes[1], retirement, kind]);
    s.finish()
}

impl Statement<'_> {
    /// The public input of a row.
    fn input(&self, row: usize) -> Cell {
        self.public.get(row).copied().unwrap_or(self.b.zero())
    }

    #[track_caller]
    fn publish(&mut self, row: usize, cell: Cell) {
        let target = self.input(row);
        self.b.publish(target, cell);
    }

    /// A free element to absorb.
    fn free(&mut self, clause: &'static str, name: &'static str, index: usize, value: &NativeFr) -> Input {
        Input::Free(self.b.trace.free((clause, name, index), imported(value)))
    }

    fn witness(&mut self, clause: &'static str, name: &'static str, index: usize, value: &NativeFr) -> Cell {
        self.b.witness((clause, name, index), imported(value))
    }

    /// `amount + 2^48 origin`.
    fn info(&mut self, amount: Cell, origin: Cell) -> Cell {
        self.b.linear(&[(Fr::ONE, amount), (power(AMOUNT_BITS), origin)], Fr::ZERO)
    }

    /// CERT.1: the opening.
    fn note(&mut self) -> Spent {
        self.b.set_clause("CERT.1");
        let note = &self.spend.plan.note;
        let amount = self.witness("CERT.1", "amount", 0, &NativeFr::from(note.amount.0));
        let origin = self.witness("CERT.1", "origin", 0, &note.origin().packed());
        let info = self.info(amount, origin);
        let [s5, s6] = note.salts;
        let owner = self.free("CERT.1", "owner", 0, &note.owner);
        let inputs =
            [owner, Input::Copy(info), self.free("CERT.1", "salt", 0, &s5), self.free("CERT.1", "salt", 1, &s6)];
        let (note, cells) = self.b.sponge(DomainTag::Note, &inputs);
        Spent { note, owner: cells.first().copied().unwrap_or(note), amount, origin }
    }

    /// CERT.1: the path. A level of the notes tree that the shape does not have passes the node on.
    fn path(&mut self, note: Cell) {
        let NotePath { dense, append, certificates, community, state } = &self.spend.plan.path;
        let mut node = note;
        for level in 0..DENSE_LEVELS {
            let used = dense.get(level);
            let on = self.b.bit(("CERT.1", "level_used", level), used.is_some());
            // Any level that holds the node serves where there is none.
            let children =
                if used.is_some() { native(used) } else { [self.b.value(node), Fr::ZERO, Fr::ZERO, Fr::ZERO] };
            let children = self.children(level, &children);
            let parent = self.b.level(Some(node), children);
            node = self.b.select(on, parent, node);
        }
        let [notes, queue] = *append;
        let roots = [self.free("CERT.1", "append", 0, &notes), self.free("CERT.1", "append", 1, &queue)];
        let mut node = self.b.level(Some(node), [roots[0], roots[1], Input::Zero, Input::Zero]);
        for level in 0..CERTIFICATES_DEPTH {
            let children = self.children(DENSE_LEVELS + level, &native(certificates.get(level)));
            node = self.b.level(None, children);
        }
        let [header, members] = *community;
        let siblings = [self.free("CERT.1", "community", 0, &header), self.free("CERT.1", "community", 1, &members)];
        let (community, _) = self.b.hash4([siblings[0], siblings[1], Input::Copy(node), Input::Zero]);
        node = community;
        for level in 0..STATE_DEPTH {
            let children = self.children(DENSE_LEVELS + CERTIFICATES_DEPTH + level, &native(state.get(level)));
            node = self.b.level(None, children);
        }
        self.publish(public::ANCHOR, node);
    }

    fn children(&mut self, level: usize, children: &[Fr; 4]) -> [Input; 4] {
        std::array::from_fn(|i| Input::Free(self.b.trace.free(("CERT.1", "child", 4 * level + i), children[i])))
    }

    /// CERT.2 (owner) and CERT.3: whose note it is, and its nullifier.
    fn nullifier(&mut self, spent: &Spent) -> (Key, Cell, Cell) {
        let Spend { owner, nullifier_key, .. } = self.spend;
        self.b.set_clause("CERT.2");
        let (x, y) = owner.key.xy();
        let [x, y] = [self.witness("CERT.2", "key", 0, &x), self.witness("CERT.2", "key", 1, &y)];
        let key = Key::new(&mut self.b, ("CERT.2", 0), x, y);
        let n = self.free("CERT.2", "nullifier_commitment", 0, &owner.nullifier);
        let (commitment, [.., n, _]) = self.b.hash4([Input::Copy(x), Input::Copy(y), n, Input::Zero]);
        let other = self.b.sub(commitment, spent.owner);
        self.b.assert_zero(other);

        self.b.set_clause("CERT.3");
        let nk = self.free("CERT.3", "nullifier_key", 0, &nullifier_key.element());
        let (commitment, cells) = self.b.sponge(DomainTag::NullifierKey, &[nk]);
        let other = self.b.sub(commitment, n);
        self.b.assert_zero(other);
        let nk = cells.first().copied().unwrap_or(commitment);
        let (nullifier, _) = self.b.sponge(DomainTag::Nullifier, &[Input::Copy(nk), Input::Copy(spent.note)]);
        self.publish(public::NULLIFIER, nullifier);
        (key, x, nullifier)
    }

    /// CERT.4: the new notes, and that nothing is made or lost. Returns the notes and the retired amount.
    fn amounts(&mut self, spent: &Spent) -> ([Cell; 2], Cell) {
        let one = Fr::ONE;
        self.b.set_clause("CERT.4");
        // The only split of `info`: a larger amount could be borrowed from the origin, or from the modulus.
        self.b.assert_range(spent.amount, AMOUNT_BITS);
        self.b.assert_range(spent.origin, ORIGIN_BITS);
        let plan = &self.spend.plan;
        let mut made = [(spent.note, spent.amount); 2];
        for (i, (output, made)) in plan.outputs.iter().zip(&mut made).enumerate() {
            let amount = self.witness("CERT.4", "amount", i, &NativeFr::from(output.amount.0));
            self.b.assert_range(amount, AMOUNT_BITS);
            let info = self.info(amount, spent.origin);
            let [s5, s6] = output.salts;
            let owner = self.free("CERT.4", "owner", i, &output.owner);
            let salts = [self.free("CERT.4", "salt", 2 * i, &s5), self.free("CERT.4", "salt", 2 * i + 1, &s6)];
            let (note, _) = self.b.sponge(DomainTag::Note, &[owner, Input::Copy(info), salts[0], salts[1]]);
            *made = (note, amount);
        }
        let retired = plan.retirement.as_ref().map_or(0, |retirement| retirement.amount.0);
        let retired = self.witness("CERT.4", "retired", 0, &NativeFr::from(retired));
        self.b.assert_range(retired, AMOUNT_BITS);
        let left =
            self.b.linear(&[(one, spent.amount), (-one, made[0].1), (-one, made[1].1), (-one, retired)], Fr::ZERO);
        self.b.assert_zero(left);
        let notes = made.map(|(note, _)| note);
        for (row, note) in public::NOTES.into_iter().zip(notes) {
            self.publish(row, note);
        }
        (notes, retired)
    }

    /// CERT.5: what is retired, how, and what L1 sees of it. One bit a kind: public consumption, expiry and export, and
    /// sealed consumption. Returns the public commitment and the kind.
    fn retirement(&mut self, spent: &Spent, retired: Cell) -> [Cell; 2] {
        let one = Fr::ONE;
        let number = |x: u64| Fr::from(x);
        self.b.set_clause("CERT.5");
        let retirement = self.spend.plan.retirement.as_ref();
        let sealed = retirement.is_some_and(|r| r.sealed);
        // A sealed expiry is written as both, and refused.
        let is = |purpose: Purpose| {
            retirement.is_some_and(|r| r.purpose == purpose && !(sealed && purpose == Purpose::Consumption))
        };
        let purposes = [Purpose::Consumption, Purpose::Expiry, Purpose::Export];
        let [consumption, expiry, export] =
            std::array::from_fn(|i| self.b.bit(("CERT.5", "purpose", i), is(purposes[i])));
        let sealed = self.b.bit(("CERT.5", "sealed", 0), sealed);
        let open = self.b.linear(&[(one, consumption), (one, expiry), (one, export)], Fr::ZERO);
        let retires = self.b.linear(&[(one, open), (one, sealed)], Fr::ZERO);
        self.b.assert_boolean(retires);
        let purpose = self.b.linear(&[(one, retires), (one, expiry), (number(2), export)], Fr::ZERO);
        let kind = self.b.linear(&[(one, open), (number(2), sealed), (power(8), purpose)], Fr::ZERO);
        self.publish(public::KIND, kind);

        let info = self.info(retired, spent.origin);
        let [s7, s8] = retirement.map_or([NativeFr::from(0u64); 2], |r| r.salts);
        let beneficiary = retirement.map_or(NativeFr::from(0u64), |r| r.beneficiary);
        let beneficiary = self.witness("CERT.5", "beneficiary", 0, &beneficiary);
        let salts = [self.free("CERT.5", "salt", 0, &s7), self.free("CERT.5", "salt", 1, &s8)];
        let inputs = [Input::Copy(info), Input::Copy(beneficiary), Input::Copy(purpose), salts[0], salts[1]];
        let (commitment, _) = self.b.sponge(DomainTag::Retirement, &inputs);
        // Retired without a retirement: nobody could show it.
        let lost = self.b.unless(retires, retired);
        self.b.assert_zero(lost);
        let commitment = self.b.mul(retires, commitment);
        self.publish(public::RETIREMENT, commitment);
        let disclosed = self.b.mul(open, info);
        self.publish(public::DISCLOSED, disclosed);
        let beneficiary = self.b.mul(open, beneficiary);
        self.publish(public::BENEFICIARY, beneficiary);
        [commitment, kind]
    }

    /// CERT.2: the owner signs all that is public but the anchor.
    fn signature(&mut self, key: &Key, x: Cell, signed: &[Cell; 5]) {
        self.b.set_clause("CERT.2");
        let Spend { signature, .. } = self.spend;
        let [nullifier, note_1, note_2, retirement, kind] = signed.map(Input::Copy);
        let r_x = self.free("CERT.2", "r_x", 0, &signature.r_x);
        let inputs =
            [r_x, Input::Copy(x), Input::Copy(self.input(public::DOMAIN)), nullifier, note_1, note_2, retirement, kind];
        let (digest, cells) = self.b.sponge(DomainTag::Certificate, &inputs);
        let r_x = cells.first().copied().unwrap_or(digest);
        signature::verify(&mut self.b, ("CERT.2", 0), key, r_x, digest, &signature.s);
    }

    fn finish(mut self) -> Trace {
        let instance = self.public.iter().map(|cell| self.b.value(*cell)).collect();
        self.b.trace.set_instance(instance);
        self.b.trace
    }
}

fn native(children: Option<&Children>) -> [Fr; 4] {
    children.map_or([Fr::ZERO; 4], |children| children.map(|child| imported(&child)))
}
