//! Certificate notes.

use serde::{Deserialize, Serialize};

use crate::{
    field::{Fr, hex_fr, shifted},
    poseidon::{DomainTag, sponge},
    units::{Interval, Wh},
};

/// Bits of an amount, Wh. A larger amount would overflow into the first interval.
pub const AMOUNT_BITS: u32 = 48;
/// Bits of everything above the amount.
pub const ORIGIN_BITS: u32 = 88;

/// Where and when energy was generated. No spending changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// First interval of the period of generation.
    pub first_interval: Interval,
    /// Intervals of that period.
    pub intervals: u16,
    /// Community index.
    pub community: u32,
    /// Generation technology.
    pub technology: u8,
}

impl Origin {
    /// `first_interval | m<<32 | community<<48 | technology<<80`: what `info` holds above the amount.
    #[must_use]
    pub fn packed(&self) -> Fr {
        Fr::from(u64::from(self.first_interval))
            + shifted(u64::from(self.intervals), 32)
            + shifted(u64::from(self.community), 48)
            + shifted(u64::from(self.technology), 80)
    }

    /// `amount | first_interval<<48 | m<<80 | community<<96 | technology<<128`. Two readings share a value unless
    /// amounts are below 2^48.
    #[must_use]
    pub fn info(&self, amount: Wh) -> Fr {
        Fr::from(amount.0) + shifted(1, AMOUNT_BITS) * self.packed()
    }
}

/// A certificate note: the unsold export of one slot and period, owned by the member. Written to a file, it is the
/// note's opening.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Owner key commitment.
    #[serde(with = "hex_fr")]
    pub owner: Fr,
    /// Amount, Wh, below 2^48.
    pub amount: Wh,
    /// First interval of the period of generation.
    pub first_interval: Interval,
    /// Intervals of that period.
    pub intervals: u16,
    /// Community index.
    pub community: u32,
    /// Generation technology.
    pub technology: u8,
    /// s5, s6.
    #[serde(with = "hex_fr::seq")]
    pub salts: [Fr; 2],
}

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Note(hidden)")
    }
}

impl Note {
    /// What no spending changes.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        Origin {
            first_interval: self.first_interval,
            intervals: self.intervals,
            community: self.community,
            technology: self.technology,
        }
    }

    /// [`Origin::info`] of the amount.
    #[must_use]
    pub fn info(&self) -> Fr {
        self.origin().info(self.amount)
    }

    /// The note commitment.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        let [s5, s6] = self.salts;
        sponge(DomainTag::Note, &[self.owner, self.info(), s5, s6])
    }
}
