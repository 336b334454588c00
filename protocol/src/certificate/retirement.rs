//! Retirements: what is retired, and what its holder shows.

use serde::{Deserialize, Serialize};

use crate::{
    field::{Fr, hex_fr},
    note::{AMOUNT_BITS, Origin},
    poseidon::{DomainTag, sponge},
    units::Wh,
};

/// What a certificate is retired for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u64)]
pub enum Purpose {
    /// The beneficiary's consumption.
    Consumption = 1,
    /// Its time is over.
    Expiry = 2,
    /// It goes on in another registry.
    Export = 3,
}

/// Row 8: how, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(u64);

impl Kind {
    /// Nothing is retired.
    pub const NONE: Self = Self(0);

    /// `1` public or `2` sealed, and the purpose shifted by 8.
    #[must_use]
    pub const fn new(sealed: bool, purpose: Purpose) -> Self {
        Self(if sealed { 2 } else { 1 } + ((purpose as u64) << 8))
    }

    /// The row's value.
    #[must_use]
    pub const fn code(self) -> u64 {
        self.0
    }

    /// Is only the commitment public?
    #[must_use]
    pub const fn is_sealed(self) -> bool {
        self.0 & 0xff == 2
    }
}

/// What is retired of a note.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// Wh, below 2^48.
    pub amount: Wh,
    /// Who may claim it: an L1 address, or a number of the registry.
    #[serde(with = "hex_fr")]
    pub beneficiary: Fr,
    /// What for. Expiry and export are public.
    pub purpose: Purpose,
    /// Only the commitment is public.
    pub sealed: bool,
    /// s7, s8, fresh.
    #[serde(with = "hex_fr::seq")]
    pub salts: [Fr; 2],
}

impl std::fmt::Debug for Retirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retirement").field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

impl Retirement {
    /// How and what for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::new(self.sealed, self.purpose)
    }

    /// What the holder keeps.
    #[must_use]
    pub fn statement(&self, origin: Origin) -> RetirementStatement {
        let Self { amount, beneficiary, purpose, salts, .. } = *self;
        RetirementStatement { amount, origin, beneficiary, purpose, salts }
    }
}

/// Why a shown retirement is not the committed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// An amount that no circuit accepts: as a field element it would also be another amount of another period.
    #[error("an amount of 2^48 Wh or more (holder)")]
    Amount,
    /// Another commitment.
    #[error("the statement does not open this commitment (holder)")]
    Commitment,
}

/// The opening of a retirement's commitment. L1 has the commitment; the holder shows the opening to whomever it likes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetirementStatement {
    /// Wh.
    pub amount: Wh,
    /// Period, community and technology of generation.
    pub origin: Origin,
    /// Who may claim it.
    #[serde(with = "hex_fr")]
    pub beneficiary: Fr,
    /// What for.
    pub purpose: Purpose,
    /// s7, s8.
    #[serde(with = "hex_fr::seq")]
    pub salts: [Fr; 2],
}

impl std::fmt::Debug for RetirementStatement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RetirementStatement(hidden)")
    }
}

impl RetirementStatement {
    /// `info'`: the origin with the retired amount.
    #[must_use]
    pub fn info(&self) -> Fr {
        self.origin.info(self.amount)
    }

    /// `Sponge(RETIREMENT, info', beneficiary, purpose, s7, s8)`.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        let [s7, s8] = self.salts;
        sponge(DomainTag::Retirement, &[self.info(), self.beneficiary, Fr::from(self.purpose as u64), s7, s8])
    }

    /// Is this what was retired under `commitment`?
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify(&self, commitment: Fr) -> Result<(), StatementError> {
        if !self.amount.fits(AMOUNT_BITS) {
            return Err(StatementError::Amount);
        }
        if self.commitment() == commitment { Ok(()) } else { Err(StatementError::Commitment) }
    }
}
