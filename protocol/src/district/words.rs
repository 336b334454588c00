//! The words of a slot in a batch's data: its commitments, and its opening under masks (SETTLE.14 of version 3).
//!
//! Anybody rebuilds every root from the first three words of all slots. The others are for who has the seed.

use super::{
    account::{Account, empty_record, exit_commitment, leaf, record},
    seed::SettlementSecrets,
};
use crate::{
    account::Registers,
    field::{Fr, shifted, to_bytes},
    params::REGISTER_BITS,
    units::{Ticks, Wh},
};

/// Words of a slot.
pub const SLOT_WORDS: usize = 6;

/// What the first two masked words hold: everything that an exit needs, and what the owner needs to go on.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// Nano.
    pub balance: u64,
    /// L1 address.
    pub payout: [u8; 20],
    /// Nano.
    pub debt: u64,
    /// Count of owner operations.
    pub nonce: u32,
    /// Wh.
    pub owed: Wh,
    /// Limits of the next period.
    pub limits: [Ticks; 2],
    /// The account's number.
    pub number: u32,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opening(hidden)")
    }
}

/// Bits `from..from + width` (at most 64) of an element.
fn bits(x: &Fr, from: usize, width: usize) -> u64 {
    let bytes = to_bytes(x);
    (0..width).fold(0, |value, bit| {
        let at = from + bit;
        let byte = bytes.iter().rev().nth(at / 8).copied().unwrap_or(0);
        value | u64::from(byte >> (at % 8) & 1) << bit
    })
}

/// Is an element below `2^width`?
fn fits(x: &Fr, width: usize) -> bool {
    (width..256).step_by(64).all(|from| bits(x, from, 64.min(256 - from)) == 0)
}

impl Opening {
    /// Of an account.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            balance: account.balance,
            payout: account.payout,
            debt: account.debt,
            nonce: account.nonce,
            owed: account.owed,
            limits: [account.terms.buy_limit, account.terms.sell_limit],
            number: account.number,
        }
    }

    /// `balance | payout<<64` and `debt | nonce<<64 | owed<<96 | limits<<160 | number<<192`: 224 bits each.
    #[must_use]
    pub fn packed(&self) -> [Fr; 2] {
        let payout: Fr = crate::field::reduce(&self.payout);
        let [buy, sell] = self.limits;
        let limits = u64::from(buy.0) | u64::from(sell.0) << 16;
        [
            Fr::from(self.balance) + payout * shifted(1, 64),
            Fr::from(self.debt)
                + shifted(u64::from(self.nonce), 64)
                + shifted(self.owed.0, 96)
                + shifted(limits, 160)
                + shifted(u64::from(self.number), 192),
        ]
    }

    /// Reads two words without their masks; `None` if they hold anything else.
    #[must_use]
    pub fn read(words: [Fr; 2]) -> Option<Self> {
        let [first, second] = words;
        if !fits(&first, 224) || !fits(&second, 224) {
            return None;
        }
        let bytes = to_bytes(&first);
        let mut payout = [0; 20];
        payout.copy_from_slice(bytes.get(4..24)?);
        let small = |from, width| u32::try_from(bits(&second, from, width)).ok();
        let limit = |from| u16::try_from(bits(&second, from, 16)).map(Ticks).ok();
        Some(Self {
            balance: bits(&first, 0, 64),
            payout,
            debt: bits(&second, 0, 64),
            nonce: small(64, 32)?,
            owed: Wh(bits(&second, 96, 64)),
            limits: [limit(160)?, limit(176)?],
            number: small(192, 32)?,
        })
    }

    /// Does it open this commitment?
    #[must_use]
    pub fn opens(&self, exit: Fr, exit_salt: Fr) -> bool {
        exit_commitment(self.balance, &self.payout, exit_salt) == exit
    }
}

/// The registers of a word without its mask; `None` if it holds anything else.
#[must_use]
pub fn read_registers(word: Fr) -> Option<Registers> {
    let width = REGISTER_BITS as usize;
    let of = |i: usize| Wh(bits(&word, i * width, width));
    fits(&word, 4 * width).then(|| Registers { import: of(0), export: of(1), bought: of(2), sold: of(3) })
}

/// Two elements masked. Hiding is that of the seed: computational.
#[must_use]
pub fn masked<const N: usize>(words: [Fr; N], masks: &[Fr; N]) -> [Fr; N] {
    std::array::from_fn(|i| words[i] + masks[i])
}

/// The inverse of [`masked`].
#[must_use]
pub fn unmasked<const N: usize>(words: [Fr; N], masks: &[Fr; N]) -> [Fr; N] {
    std::array::from_fn(|i| words[i] - masks[i])
}

/// The words of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotWords {
    /// `exit_c` of the leaf after the batch.
    pub exit: Fr,
    /// `private_c` of it.
    pub private: Fr,
    /// `record_c` of it.
    pub record: Fr,
    /// m1, m2, m3: of the leaf when the period is settled, before the batch's operations.
    pub masked: [Fr; 3],
}

impl SlotWords {
    /// In the order of the data.
    #[must_use]
    pub const fn elements(&self) -> [Fr; SLOT_WORDS] {
        let [m1, m2, m3] = self.masked;
        [self.exit, self.private, self.record, m1, m2, m3]
    }

    /// The leaf after the batch.
    #[must_use]
    pub fn leaf(&self) -> Fr {
        leaf(self.exit, self.private, self.record)
    }
}

/// What a settlement shows of an account under its masks. With `openings` off all are zero.
#[must_use]
pub fn settled_words(account: &Account, secrets: &SettlementSecrets, openings: bool) -> [Fr; 3] {
    if !openings {
        return [Fr::default(); 3];
    }
    let [first, second] = Opening::of(account).packed();
    masked([first, second, account.registers.packed()], &secrets.masks)
}

/// The record of a settled slot: its note and packet, or of an absent place neither.
#[must_use]
pub fn settled_record(contents: Option<[Fr; 2]>, words: [Fr; 3]) -> Fr {
    contents.map_or_else(|| empty_record(words), |[note, packet]| record(note, packet, words))
}
