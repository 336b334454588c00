//! One slot of a community in version 3: what its leaf commits to (`docs/spec/district.md`, Leaf).

use serde::{Deserialize, Serialize};

use super::seed::Seed;
use crate::{
    account::Registers,
    field::{Fr, packed, reduce, shifted},
    poseidon::{DomainTag, hash4, sponge},
    schnorr::PublicKey,
    units::{Interval, Nano, Ticks, Wh},
};
use ark_ff::AdditiveGroup;

/// Wh of a reading's unit, by the number in the terms.
pub const SCALES: [u8; 3] = [1, 10, 100];
/// Number of a scale in terms and packets; `None` of one that does not exist.
#[must_use]
pub fn scale_index(scale: u8) -> Option<u64> {
    (0..).zip(SCALES).find(|(_, one)| *one == scale).map(|(index, _)| index)
}

/// Bits of an allocation key: 2^16 is the whole.
pub const KEY_BITS: u32 = 17;

/// The meter data manager's part of an account, with the order limits of the next period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// First interval that may carry readings.
    pub active_from: Interval,
    /// First interval that may not.
    pub active_until: Interval,
    /// Highest price at which the member buys locally.
    pub buy_limit: Ticks,
    /// Lowest price at which it sells locally.
    pub sell_limit: Ticks,
    /// Largest import of an interval, in units of the scale: connection power x interval.
    pub cap_import: u16,
    /// Largest export of an interval, in units of the scale.
    pub cap_export: u16,
    /// Generation technology; 0 earns no certificates.
    pub technology: u8,
    /// Wh per reading unit: one of [`SCALES`].
    pub scale: u8,
    /// Tariff class, 0 or 1.
    pub class: u8,
    /// Share of the community's production under a static key, 2^-16.
    pub key: u32,
    /// A meter behind the account's own (a battery, a charger): its packets are signed and appended, and nothing else.
    pub submeter: bool,
}

impl Terms {
    /// Those of an empty slot.
    pub const EMPTY: Self = Self {
        active_from: Interval::ZERO,
        active_until: Interval::ZERO,
        buy_limit: Ticks::ZERO,
        sell_limit: Ticks::ZERO,
        cap_import: 0,
        cap_export: 0,
        technology: 0,
        scale: 1,
        class: 0,
        key: 0,
        submeter: false,
    };

    /// `active_from | active_until<<32 | limits<<64 | caps<<96 | technology<<128 | scale index<<136 | class<<138 |
    /// key<<140 | submeter<<157`: 158 bits.
    #[must_use]
    pub fn packed(&self) -> Fr {
        packed([
            (u64::from(self.active_from), 0),
            (u64::from(self.active_until), 32),
            (u64::from(self.limits()), 64),
            (u64::from(self.cap_import), 96),
            (u64::from(self.cap_export), 112),
            (u64::from(self.technology), 128),
            (scale_index(self.scale).unwrap_or(0), 136),
            (u64::from(self.class), 138),
            (u64::from(self.key), 140),
            (u64::from(self.submeter), 157),
        ])
    }

    /// `buy_limit | sell_limit<<16`: what a packet of the member's own changes.
    #[must_use]
    pub fn limits(&self) -> u32 {
        u32::from(self.buy_limit.0) | u32::from(self.sell_limit.0) << 16
    }

    /// Do scale, class and key exist?
    #[must_use]
    pub fn exist(&self) -> bool {
        scale_index(self.scale).is_some() && self.class <= 1 && self.key <= super::market::WHOLE
    }
}

/// Everything a leaf commits to.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Commitment of the owner's keys ([`crate::owner::OwnerKey::commitment`]); zero in an empty slot.
    pub owner: Fr,
    /// Key of the meter; `None` marks an empty slot.
    pub meter: Option<PublicKey>,
    /// Nano-currency the member owns.
    pub balance: u64,
    /// L1 address paid on exit.
    pub payout: [u8; 20],
    /// Nano-currency the member owes; zero unless the balance is zero.
    pub debt: u64,
    /// Count of owner operations of the slot.
    pub nonce: u32,
    /// Certificates made of energy that a correction took back, Wh: the next notes are less by it (CORR).
    pub owed: Wh,
    /// The account's number in its community: a slot that is taken again inherits nothing.
    pub number: u32,
    /// Terms.
    pub terms: Terms,
    /// Lifetime registers.
    pub registers: Registers,
    /// Where the next batch takes salts and masks from. It blinds the private half.
    pub seed: Seed,
    /// s1: blinds balance and payout address.
    pub exit_salt: Fr,
    /// `record_c`: the last settlement's note, packet and masked words. Operations leave it as it is.
    pub record: Fr,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.meter.is_some() { "Account(used)" } else { "Account(empty)" })
    }
}

impl Account {
    /// An empty slot. It has a seed too: else anybody could compute its leaf, and see that it is empty.
    #[must_use]
    pub fn empty(seed: Seed, exit_salt: Fr) -> Self {
        Self {
            owner: Fr::ZERO,
            meter: None,
            balance: 0,
            payout: [0; 20],
            debt: 0,
            nonce: 0,
            owed: Wh::ZERO,
            number: 0,
            terms: Terms::EMPTY,
            registers: Registers::default(),
            seed,
            exit_salt,
            record: empty_record([Fr::ZERO; 3]),
        }
    }

    /// `balance - debt`.
    #[must_use]
    pub fn value(&self) -> Nano {
        Nano::from(self.balance) - Nano::from(self.debt)
    }

    /// Meter coordinates, (0,0) in an empty slot.
    #[must_use]
    pub fn meter_xy(&self) -> (Fr, Fr) {
        self.meter.map_or((Fr::ZERO, Fr::ZERO), |key| key.xy())
    }

    /// `debt | nonce<<64 | owed<<96 | number<<160`: 192 bits.
    #[must_use]
    pub fn standing(&self) -> Fr {
        Fr::from(self.debt)
            + shifted(u64::from(self.nonce), 64)
            + shifted(self.owed.0, 96)
            + shifted(u64::from(self.number), 160)
    }

    /// `exit_c = P(balance, payout, s1, 0)`.
    #[must_use]
    pub fn exit_commitment(&self) -> Fr {
        exit_commitment(self.balance, &self.payout, self.exit_salt)
    }

    /// `private_c`.
    #[must_use]
    pub fn private_commitment(&self) -> Fr {
        let (x, y) = self.meter_xy();
        sponge(
            DomainTag::DistrictPrivate,
            &[self.owner, x, y, self.terms.packed(), self.standing(), self.registers.packed(), self.seed.element()],
        )
    }

    /// The leaf.
    #[must_use]
    pub fn leaf(&self) -> Fr {
        leaf(self.exit_commitment(), self.private_commitment(), self.record)
    }
}

/// `exit_c = P(balance, payout, s1, 0)`: all that an exit opens.
#[must_use]
pub fn exit_commitment(balance: u64, payout: &[u8; 20], exit_salt: Fr) -> Fr {
    hash4([Fr::from(balance), reduce(payout), exit_salt, Fr::ZERO])
}

/// `leaf = P(exit_c, private_c, record_c, 0)`.
#[must_use]
pub fn leaf(exit: Fr, private: Fr, record: Fr) -> Fr {
    hash4([exit, private, record, Fr::ZERO])
}

/// `record_c = P(note, packet_c, P(m1, m2, m3, 0), 0)`. The note is child 0, in the leaf the record is child 2: a path that
/// shows a note names both places, so that a masked word, which its owner may choose, is never taken for a note.
#[must_use]
pub fn record(note: Fr, packet: Fr, masked: [Fr; 3]) -> Fr {
    let [m1, m2, m3] = masked;
    hash4([note, packet, hash4([m1, m2, m3, Fr::ZERO]), Fr::ZERO])
}

/// The record of a slot whose community is absent from a batch: no note, no packet. A second commitment to the same note
/// would be a second certificate.
#[must_use]
pub fn empty_record(masked: [Fr; 3]) -> Fr {
    record(Fr::ZERO, Fr::ZERO, masked)
}
