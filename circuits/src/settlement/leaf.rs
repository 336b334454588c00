//! A leaf in cells: opens one from free values, composes one from cells, and splits its packed terms.

use gridveil_protocol::{account::Account, field, poseidon::DomainTag};
use halo2curves::ff::Field;

use super::state::imported;
use crate::{
    Fr,
    chips::{arith::Operand, poseidon::Input},
    gadgets::{Builder, limbs, power},
    trace::Cell,
};

/// What a leaf commits to.
#[derive(Clone, Copy, Debug)]
pub struct LeafCells {
    /// Nano.
    pub balance: Cell,
    /// L1 address.
    pub payout: Cell,
    /// Owner commitment.
    pub owner: Cell,
    /// Meter key.
    pub meter: [Cell; 2],
    /// Packed terms.
    pub terms: Cell,
    /// Packed registers.
    pub registers: Cell,
    /// Digest of the newest substitute that may be corrected, or zero.
    pub pending_substitute: Cell,
    /// s1 to s4.
    pub salts: [Cell; 4],
}

/// Values of a leaf, as a hint.
#[derive(Clone, Copy, Debug)]
pub struct LeafValues {
    exit: [Fr; 4],
    private: [Fr; 8],
}

impl LeafValues {
    /// Of an account.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        let [s1, s2] = account.salts.exit;
        let [s3, s4] = account.salts.private;
        let (x, y) = account.meter_xy();
        let private = [
            account.owner,
            x,
            y,
            account.packed_terms(),
            account.registers.packed(),
            s3,
            s4,
            account.pending_substitute,
        ];
        Self {
            exit: [account.balance.into(), field::reduce(&account.payout), s1, s2].map(|x| imported(&x)),
            private: private.map(|x| imported(&x)),
        }
    }
}

/// Names of the free cells of [`LeafValues`].
const EXIT: [&str; 4] = ["balance", "payout", "s1", "s2"];
const PRIVATE: [&str; 8] = ["owner", "meter_x", "meter_y", "terms", "registers", "s3", "s4", "pending_substitute"];

/// Opens a leaf: every value is free, the leaf is their hash.
pub fn open(b: &mut Builder, clause: &'static str, index: usize, values: &LeafValues) -> (LeafCells, Cell) {
    let mut free = |name, value| Input::Free(b.trace.free((clause, name, index), value));
    let exit: [Input; 4] = std::array::from_fn(|i| free(EXIT[i], values.exit[i]));
    let private: [Input; 8] = std::array::from_fn(|i| free(PRIVATE[i], values.private[i]));
    let (exit, [balance, payout, s1, s2]) = b.hash4(exit);
    let (private, cells) = b.sponge(DomainTag::Private, &private);
    let (leaf, _) = b.hash4([Input::Copy(exit), Input::Copy(private), Input::Zero, Input::Zero]);
    let cell = |i: usize| cells.get(i).copied().unwrap_or(leaf);
    let cells = LeafCells {
        balance,
        payout,
        owner: cell(0),
        meter: [cell(1), cell(2)],
        terms: cell(3),
        registers: cell(4),
        salts: [s1, s2, cell(5), cell(6)],
        pending_substitute: cell(7),
    };
    (cells, leaf)
}

impl LeafCells {
    /// What the cells hold.
    #[must_use]
    pub fn values(&self, b: &Builder) -> LeafValues {
        let [s1, s2, s3, s4] = self.salts;
        let [x, y] = self.meter;
        LeafValues {
            exit: [self.balance, self.payout, s1, s2].map(|cell| b.value(cell)),
            private: [self.owner, x, y, self.terms, self.registers, s3, s4, self.pending_substitute]
                .map(|cell| b.value(cell)),
        }
    }

    /// The leaf of these cells.
    pub fn compose(&self, b: &mut Builder) -> Cell {
        let [s1, s2, s3, s4] = self.salts.map(Input::Copy);
        let (exit, _) = b.hash4([Input::Copy(self.balance), Input::Copy(self.payout), s1, s2]);
        let [meter_x, meter_y] = self.meter.map(Input::Copy);
        let [owner, terms, registers, pending_substitute] =
            [self.owner, self.terms, self.registers, self.pending_substitute].map(Input::Copy);
        let (private, _) =
            b.sponge(DomainTag::Private, &[owner, meter_x, meter_y, terms, registers, s3, s4, pending_substitute]);
        b.hash4([Input::Copy(exit), Input::Copy(private), Input::Zero, Input::Zero]).0
    }
}

/// Fields of packed terms.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Nano.
    pub debt: Cell,
    /// Count of owner operations.
    pub nonce: Cell,
    /// Window.
    pub active_from: Cell,
    /// Window.
    pub active_until: Cell,
    /// Buy limit.
    pub buy: Cell,
    /// Sell limit.
    pub sell: Cell,
    /// Cap of substituted import.
    pub cap_import: Cell,
    /// Cap of substituted export.
    pub cap_export: Cell,
    /// 0 earns nothing.
    pub technology: Cell,
    /// 1, 10 or 100.
    pub scale: Cell,
    /// 0 or 1.
    pub class: Cell,
}

/// Unpacks terms; each field is range-checked, so the split is the only one.
pub fn unpack_terms(b: &mut Builder, clause: &'static str, index: usize, terms: Cell) -> Terms {
    b.set_clause(clause);
    let [.., top] = limbs(b.value(terms));
    let byte = |from: u32| Fr::from((top >> from) & 0xff);
    let fields = b.unpack(terms, &[32, 16, 16, 16, 16, 32, 32, 32, 64]);
    let field = |i: usize| fields.get(i).copied().unwrap_or(terms);
    let kind = field(0);
    let technology = b.witness((clause, "technology", index), byte(32));
    b.assert_range(technology, 8);
    let scale = b.witness((clause, "scale", index), byte(40));
    // (scale - 1)(scale - 10)(scale - 100) = 0
    let k = [Fr::ONE, -Fr::from(11), Fr::ZERO, Fr::ZERO, Fr::from(10)];
    let low = b.row(k, [Operand::Copy(scale), Operand::Copy(scale), Operand::Unused]);
    let rest = b.row(
        [Fr::ONE, -Fr::from(100), Fr::ZERO, Fr::ZERO, Fr::ZERO],
        [Operand::Copy(low), Operand::Copy(scale), Operand::Unused],
    );
    b.assert_zero(rest);
    let class = b.bit((clause, "class", index), byte(48) == Fr::ONE);
    let composed = b.linear(&[(Fr::ONE, technology), (power(8), scale), (power(16), class)], Fr::ZERO);
    b.equal(composed, kind);
    Terms {
        cap_export: field(1),
        cap_import: field(2),
        sell: field(3),
        buy: field(4),
        active_until: field(5),
        active_from: field(6),
        nonce: field(7),
        debt: field(8),
        technology,
        scale,
        class,
    }
}

/// Balance and debt of a value: `balance - debt = value`, one of them zero, both below 2^64.
pub fn split_value(b: &mut Builder, clause: &'static str, index: usize, value: Cell) -> (Cell, Cell) {
    let net = b.value(value);
    // Values are far from half of the modulus: the upper half is negative.
    let negative = limbs(net)[3] >> 60 != 0;
    let balance = b.witness((clause, "balance_after", index), if negative { Fr::ZERO } else { net });
    let debt = b.witness((clause, "debt_after", index), if negative { -net } else { Fr::ZERO });
    let net = b.sub(balance, debt);
    b.equal(net, value);
    b.assert_product_zero(balance, debt);
    b.assert_range(balance, 64);
    b.assert_range(debt, 64);
    (balance, debt)
}
