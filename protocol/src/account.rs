//! One slot of a community: what its leaf commits to.

use serde::{Deserialize, Serialize};

use crate::{
    field::{Fr, hex_fr, packed, reduce, shifted},
    hex::hex_bytes,
    params::REGISTER_BITS,
    poseidon::{DomainTag, hash2, hash4, sponge},
    schnorr::PublicKey,
    units::{Interval, Nano, Ticks, Wh},
};
use ark_ff::AdditiveGroup;

/// Salts of one leaf: two for `exit_c`, two for `private_c`, never shared.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeafSalts {
    /// s1, s2.
    #[serde(with = "hex_fr::seq")]
    pub exit: [Fr; 2],
    /// s3, s4.
    #[serde(with = "hex_fr::seq")]
    pub private: [Fr; 2],
}

impl std::fmt::Debug for LeafSalts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeafSalts(4 elements)")
    }
}

/// Lifetime energy registers, Wh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Registers {
    /// Energy taken from the network.
    pub import: Wh,
    /// Energy fed in.
    pub export: Wh,
    /// Energy bought locally.
    pub bought: Wh,
    /// Energy sold locally.
    pub sold: Wh,
}

impl Registers {
    /// `import | export<<62 | bought<<124 | sold<<186`.
    #[must_use]
    pub fn packed(&self) -> Fr {
        [self.import, self.export, self.bought, self.sold]
            .into_iter()
            .zip(0u32..)
            .map(|(wh, i)| shifted(wh.0, i * REGISTER_BITS))
            .sum()
    }

    /// Sum of registers.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            import: self.import.saturating_add(other.import),
            export: self.export.saturating_add(other.export),
            bought: self.bought.saturating_add(other.bought),
            sold: self.sold.saturating_add(other.sold),
        }
    }
}

/// The meter data manager's part of an account: what enrolment and `terms` set, with the order limits of the next
/// period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Terms {
    /// First interval that may carry readings.
    pub active_from: Interval,
    /// First interval that may not.
    pub active_until: Interval,
    /// Highest price at which the member buys locally.
    pub buy_limit: Ticks,
    /// Lowest price at which it sells locally.
    pub sell_limit: Ticks,
    /// Largest substituted import of an interval, in units of `scale` Wh.
    pub cap_import: u16,
    /// Largest substituted export of an interval, in units of `scale` Wh.
    pub cap_export: u16,
    /// Generation technology; 0 earns no certificates.
    pub technology: u8,
    /// Wh per reading unit: 1, 10 or 100.
    pub scale: u8,
    /// Tariff class, 0 or 1.
    pub class: u8,
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
    };

    /// Bits 96 and up of a leaf's packed terms.
    #[must_use]
    pub fn packed(&self) -> Fr {
        packed([
            (u64::from(self.active_from), 96),
            (u64::from(self.active_until), 128),
            (u64::from(self.buy_limit), 160),
            (u64::from(self.sell_limit), 176),
            (u64::from(self.cap_import), 192),
            (u64::from(self.cap_export), 208),
            (u64::from(self.technology), 224),
            (u64::from(self.scale), 232),
            (u64::from(self.class), 240),
        ])
    }

    /// Do scale and class exist?
    #[must_use]
    pub fn exist(&self) -> bool {
        [1, 10, 100].contains(&self.scale) && self.class <= 1
    }
}

/// Everything a leaf commits to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Commitment of the owner's key ([`PublicKey::commitment`]); zero in an empty slot.
    #[serde(with = "hex_fr")]
    pub owner: Fr,
    /// Key of the meter; `None` marks an empty slot.
    pub meter: Option<PublicKey>,
    /// Nano-currency the member owns.
    pub balance: u64,
    /// L1 address paid on exit.
    #[serde(with = "hex_bytes")]
    pub payout: [u8; 20],
    /// Nano-currency the member owes; zero unless the balance is zero.
    pub debt: u64,
    /// Count of owner operations.
    pub nonce: u32,
    /// What the meter data manager set, with the order limits of the next period.
    #[serde(flatten)]
    pub terms: Terms,
    /// Lifetime registers.
    pub registers: Registers,
    /// Digest of the newest substitute that a correction may still replace, which names the previous one;
    /// else zero (ADJUST.1).
    #[serde(with = "hex_fr")]
    pub pending_substitute: Fr,
    /// Salts of the current leaf.
    pub salts: LeafSalts,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.meter.is_some() { "Account(used)" } else { "Account(empty)" })
    }
}

impl Account {
    /// An empty slot.
    #[must_use]
    pub fn empty(salts: LeafSalts) -> Self {
        Self {
            owner: Fr::ZERO,
            meter: None,
            balance: 0,
            payout: [0; 20],
            debt: 0,
            nonce: 0,
            terms: Terms::EMPTY,
            registers: Registers::default(),
            pending_substitute: Fr::ZERO,
            salts,
        }
    }

    /// `balance - debt`.
    #[must_use]
    pub fn value(&self) -> Nano {
        Nano::from(self.balance) - Nano::from(self.debt)
    }

    /// Takes over a value of `balance - debt`: the one is all of it, the other is zero (SETTLE.8). Stops at 2^64 - 1
    /// nano; [`Nano::fits`] says of a value whether it does.
    pub fn set_value(&mut self, value: Nano) {
        (self.balance, self.debt) = value.split();
    }

    /// Meter coordinates, (0,0) in an empty slot.
    #[must_use]
    pub fn meter_xy(&self) -> (Fr, Fr) {
        self.meter.map_or((Fr::ZERO, Fr::ZERO), |key| key.xy())
    }

    /// `exit_c = P(balance, payout, s1, s2)`.
    #[must_use]
    pub fn exit_commitment(&self) -> Fr {
        let [s1, s2] = self.salts.exit;
        hash4([Fr::from(self.balance), reduce(&self.payout), s1, s2])
    }

    /// Packed terms, 248 bits (`docs/spec/state.md`, Leaf).
    #[must_use]
    pub fn packed_terms(&self) -> Fr {
        Fr::from(self.debt) + shifted(u64::from(self.nonce), 64) + self.terms.packed()
    }

    /// `private_c`.
    #[must_use]
    pub fn private_commitment(&self) -> Fr {
        let (x, y) = self.meter_xy();
        let [s3, s4] = self.salts.private;
        sponge(
            DomainTag::Private,
            &[self.owner, x, y, self.packed_terms(), self.registers.packed(), s3, s4, self.pending_substitute],
        )
    }

    /// The leaf.
    #[must_use]
    pub fn leaf(&self) -> Fr {
        hash2(self.exit_commitment(), self.private_commitment())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, Recipe};
    use crate::{market::Mechanism, params::SHAPES};

    /// The terms are a struct of their own; on paper they stay among the account's fields.
    #[test]
    fn terms_are_written_among_the_fields_of_the_account() {
        let recipe = Recipe { shape: SHAPES[0], seed: 4, mechanism: Mechanism::Auction, used: 3 };
        for account in fixture::settlement(&recipe).unwrap().community.accounts {
            let json = serde_json::to_string(&account).unwrap();
            let names =
                ["owner", "meter", "balance", "payout", "debt", "nonce", "active_from", "active_until", "buy_limit"];
            let more = [
                "sell_limit",
                "cap_import",
                "cap_export",
                "technology",
                "scale",
                "class",
                "registers",
                "pending_substitute",
            ];
            let places: Vec<_> = names.iter().chain(&more).map(|name| json.find(&format!("\"{name}\":"))).collect();
            assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{json}");
            assert!(!json.contains("\"terms\""));
            assert_eq!(serde_json::from_str::<Account>(&json).unwrap(), account);
        }
    }
}
