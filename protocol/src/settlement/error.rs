//! Why a settlement is refused.

use crate::units::Nano;
use crate::{operation_slots::OperationsError, packet::PacketError};

/// Why a settlement is refused. Variants are in the order they are checked; each names its clause, the item and whose
/// input it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// The caller's packets are not one a slot.
    #[error("SETTLE.1: {got} packets for {expected} slots (sequencer)")]
    PacketCount {
        /// N.
        expected: usize,
        /// Packets given.
        got: usize,
    },
    /// One packet alone is refused.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A header whose total of debts is not the sum of its accounts' debts.
    #[error("SETTLE.11: the header's total of debts is not the sum of the accounts' (sequencer)")]
    DebtTotal,
    /// Next interval would overflow.
    #[error("SETTLE.2: the period ends after the last interval index (sequencer)")]
    PeriodOverflow,
    /// Tariff of another length than the period.
    #[error("SETTLE.7: tariff has {got} intervals, the period {expected} (tariff authority)")]
    TariffLength {
        /// m.
        expected: usize,
        /// Entries.
        got: usize,
    },
    /// Orders of one interval too large.
    #[error("SETTLE.4: interval {interval}: orders add up to 2^32 Wh or more (meters)")]
    TooMuchEnergy {
        /// Position in the period.
        interval: usize,
    },
    /// Balance or debt does not fit.
    #[error("SETTLE.8: slot {slot}: balance leaves 64 bits (tariff authority)")]
    BalanceOverflow {
        /// Slot.
        slot: usize,
    },
    /// The supplier's pool cannot pay for the energy fed in.
    #[error(
        "SETTLE.8: supplier account is {} nano short; the operator must pay into the supplier account before this period can settle (operator)",
        .missing.0
    )]
    SupplierTooSmall {
        /// What is missing.
        missing: Nano,
    },
    /// Fees of this period would make the fee account negative or too large.
    #[error("SETTLE.8: fee account leaves 0..2^64 (tariff authority)")]
    FeeAccount,
    /// A register would leave its 62 bits.
    #[error("SETTLE.9: slot {slot}: a register leaves its 62 bits (meter)")]
    RegisterOverflow {
        /// Slot.
        slot: usize,
    },
    /// A header total would overflow.
    #[error("SETTLE.11: a header total leaves 64 bits (sequencer)")]
    TotalOverflow,
    /// No room for another notes tree.
    #[error("SETTLE.13: the certificates tree is full or its counter disagrees (sequencer)")]
    Certificates,
    /// Operations, correction, header slot, queue or beginning.
    #[error(transparent)]
    Operations(#[from] OperationsError),
    /// The state path does not hold the community.
    #[error("SETTLE.13: the state path does not lead from this community (sequencer)")]
    StatePath,
}

impl SettlementError {
    /// Clause id, as in the specification, the gates and the tests.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::Packet(error) => error.clause(),
            Self::PacketCount { .. } => "SETTLE.1",
            Self::PeriodOverflow => "SETTLE.2",
            Self::TariffLength { .. } => "SETTLE.7",
            Self::TooMuchEnergy { .. } => "SETTLE.4",
            Self::BalanceOverflow { .. } | Self::SupplierTooSmall { .. } | Self::FeeAccount => "SETTLE.8",
            Self::RegisterOverflow { .. } => "SETTLE.9",
            Self::DebtTotal | Self::TotalOverflow => "SETTLE.11",
            Self::Certificates | Self::StatePath => "SETTLE.13",
            Self::Operations(error) => error.clause(),
        }
    }
}
