//! Certificate notes.

use crate::{
    field::{Fr, shifted},
    poseidon::{Use, sponge},
    units::{Interval, Wh},
};

/// A certificate note: the unsold export of one slot and period, owned by the member.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    /// Owner key commitment.
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
    pub salts: [Fr; 2],
}

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Note(hidden)")
    }
}

impl Note {
    /// `amount | first_interval<<48 | m<<80 | community<<96 | technology<<128`.
    #[must_use]
    pub fn info(&self) -> Fr {
        Fr::from(self.amount)
            + shifted(u64::from(self.first_interval), 48)
            + shifted(u64::from(self.intervals), 80)
            + shifted(u64::from(self.community), 96)
            + shifted(u64::from(self.technology), 128)
    }

    /// The note commitment.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        let [s5, s6] = self.salts;
        sponge(Use::Note, &[self.owner, self.info(), s5, s6])
    }
}
