//! Header operations: money of the operator, and what the meter data manager decides (`docs/spec/operations.md`, Header
//! slot).

use serde::{Deserialize, Serialize};

use crate::{
    community::Community,
    field::{Fr, shifted},
    header::Header,
    market::Mechanism,
    params::{UNIT_NANO, UNITS_BITS},
    poseidon::{DomainTag, sponge},
    record::{Record, RecordKind},
    schnorr::{self, PublicKey, SchnorrError, SecretKey, Signature},
    units::{Interval, Nano},
};
use ark_ff::AdditiveGroup;

/// Which pool, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// From the operator's funds on L1 into the supplier account.
    SupplierIn,
    /// From the supplier account to the treasury.
    SupplierOut,
    /// From the fee account to the treasury.
    FeeOut,
}

/// Units that move between L1 and a pool of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Pool and direction.
    pub pool: Pool,
    /// Whole units, below 2^48.
    pub units: u64,
}

impl Transfer {
    /// Nano-currency.
    #[must_use]
    pub fn nano(&self) -> Nano {
        Nano(i128::from(self.units) * i128::from(UNIT_NANO))
    }

    fn record(&self) -> Record {
        let kind = match self.pool {
            Pool::SupplierIn => RecordKind::SupplierIn,
            Pool::SupplierOut => RecordKind::SupplierOut,
            Pool::FeeOut => RecordKind::FeeOut,
        };
        Record::new(kind, self.units, 0, Fr::ZERO)
    }
}

/// The settlement that a decision is for. No other carries it: if held back, the decision is void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Community index.
    pub community: u32,
    /// The header's nonce before.
    pub nonce: u64,
    /// First interval of the period that is settled with it.
    pub first_interval: Interval,
}

impl Place {
    /// Of a community's next settlement.
    #[must_use]
    pub const fn of(community: &Community) -> Self {
        Self::at(community.index, &community.header)
    }

    /// Of the next settlement of the community with this header.
    #[must_use]
    pub const fn at(community: u32, header: &Header) -> Self {
        Self { community, nonce: header.nonce, first_interval: header.next_interval }
    }

    /// `community | nonce<<32 | first_interval<<96`.
    #[must_use]
    pub fn element(&self) -> Fr {
        Fr::from(u64::from(self.community)) + shifted(self.nonce, 32) + shifted(u64::from(self.first_interval), 96)
    }
}

/// What the meter data manager sets: all of it, each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Management {
    /// Clearing rule from the next period on.
    pub mechanism: Mechanism,
    /// The meter data manager's key from now on.
    pub mdm: PublicKey,
    /// Part of the supplier account that the operator may not withdraw, nano.
    pub reserve: u64,
    /// Periods that are not settled at all.
    pub skip: u16,
}

impl Management {
    /// Elements of the message: 7.
    #[must_use]
    pub fn elements(&self, domain: Fr, place: &Place) -> [Fr; 7] {
        let n = Fr::from;
        let (x, y) = self.mdm.xy();
        [domain, place.element(), n(self.mechanism as u64), x, y, n(self.reserve), n(u64::from(self.skip))]
    }

    /// What is signed.
    #[must_use]
    pub fn message(&self, domain: Fr, place: &Place) -> Fr {
        sponge(DomainTag::HeaderOperation, &self.elements(domain, place))
    }

    /// Signs with the meter data manager's present key.
    ///
    /// # Errors
    /// Practically never ([`SchnorrError::Degenerate`]).
    pub fn sign(self, domain: Fr, place: &Place, mdm: &SecretKey) -> Result<SignedManagement, SchnorrError> {
        let signature = mdm.sign(DomainTag::HeaderOperation, &[self.message(domain, place)])?;
        Ok(SignedManagement { management: self, signature })
    }
}

/// With the meter data manager's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedManagement {
    /// What is set.
    pub management: Management,
    /// By the meter data manager before.
    pub signature: Signature,
}

/// The header slot of one settlement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderOperation {
    /// Money.
    #[serde(default)]
    pub transfer: Option<Transfer>,
    /// Decisions.
    #[serde(default)]
    pub management: Option<SignedManagement>,
}

/// Why a header operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// 48 bits.
    #[error("HEADER.1: too many units (operator)")]
    Units,
    /// Less than the reserve would stay.
    #[error("HEADER.1: the supplier account would fall below its reserve (operator)")]
    Reserve,
    /// More than the fee account.
    #[error("HEADER.2: more than the fee account (operator)")]
    FeeAccount,
    /// The meter data manager's signature.
    #[error("HEADER.3: {0} (meter data manager)")]
    Signature(SchnorrError),
    /// Beyond the last interval index.
    #[error("HEADER.5: skips beyond the last interval (meter data manager)")]
    Skip,
}

impl HeaderError {
    /// Clause id.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::Units | Self::Reserve => "HEADER.1",
            Self::FeeAccount => "HEADER.2",
            Self::Signature(_) => "HEADER.3",
            Self::Skip => "HEADER.5",
        }
    }
}

impl HeaderOperation {
    /// Change of supplier account and fee account, nano.
    #[must_use]
    pub fn moved(&self) -> (Nano, Nano) {
        self.transfer.map_or((Nano::ZERO, Nano::ZERO), |t| match t.pool {
            Pool::SupplierIn => (t.nano(), Nano::ZERO),
            Pool::SupplierOut => (-t.nano(), Nano::ZERO),
            Pool::FeeOut => (Nano::ZERO, -t.nano()),
        })
    }

    /// Number of operations: what the nonce advances by.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::from(self.transfer.is_some()) + u64::from(self.management.is_some())
    }

    /// What L1 sees.
    #[must_use]
    pub fn record(&self) -> Option<Record> {
        self.transfer.as_ref().map(Transfer::record)
    }

    /// Mechanism, meter data manager, reserve, nonce and next interval of a header that is settled already.
    pub fn advance(&self, header: &mut Header) {
        if let Some(SignedManagement { management, .. }) = &self.management {
            header.mechanism = management.mechanism;
            header.mdm = management.mdm;
            header.reserve = management.reserve;
            header.next_interval =
                header.next_interval.saturating_add(u32::from(management.skip) * u32::from(header.intervals));
        }
        header.nonce = header.nonce.saturating_add(self.count());
    }

    /// What depends on the header before and on the pools after.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn check(
        &self,
        domain: Fr,
        community: u32,
        before: &Header,
        after: &Header,
        pools: (Nano, Nano),
    ) -> Result<(), HeaderError> {
        if let Some(transfer) = &self.transfer {
            if transfer.units >> UNITS_BITS != 0 {
                return Err(HeaderError::Units);
            }
            if transfer.pool == Pool::SupplierOut && pools.0 < Nano::from(after.reserve) {
                return Err(HeaderError::Reserve);
            }
            if transfer.pool == Pool::FeeOut && pools.1 < Nano::ZERO {
                return Err(HeaderError::FeeAccount);
            }
        }
        if let Some(SignedManagement { management, signature }) = &self.management {
            let message = management.message(domain, &Place::at(community, before));
            schnorr::verify(DomainTag::HeaderOperation, &before.mdm, &[message], signature)
                .map_err(HeaderError::Signature)?;
            let end = u64::from(before.next_interval) + (u64::from(management.skip) + 1) * u64::from(before.intervals);
            if end > Interval::MAX.into() {
                return Err(HeaderError::Skip);
            }
        }
        Ok(())
    }
}

/// The key that signs a header slot without a decision. It is public, as that of empty slots is.
#[must_use]
pub fn nobody() -> PublicKey {
    schnorr::empty_slot_key().public()
}

#[cfg(test)]
#[path = "header_operation_tests.rs"]
mod tests;
