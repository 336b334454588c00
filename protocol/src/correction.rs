//! `correction`: a late packet of the meter replaces a substitute, by the difference
//! (`docs/spec/operations/correction.md`).
//!
//! The leaf has the digest of the slot's newest substitute, and each substitute names the one before it
//! ([`crate::packet::Packet::previous_substitute`]).

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, Registers},
    bill::bill_line,
    field::Fr,
    header::Totals,
    packet::{Context, PacketError, SignedPacket, check_packet},
    record::{Record, RecordKind},
    schnorr::PublicKey,
    tariff::Tariff,
    units::{Nano, Ticks, Wh},
};
use ark_ff::AdditiveGroup;

/// One correction: the substitute that was settled, what the meter says, and the tariff of that period.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// As it was settled, with the meter data manager's signature.
    pub substitute: SignedPacket,
    /// Key of the meter data manager who signed it; the community may have another one today.
    pub signer: PublicKey,
    /// Of the same slot and period, by the meter.
    pub late: SignedPacket,
    /// In force for that period.
    pub tariff: Tariff,
}

impl std::fmt::Debug for Correction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Correction").field("slot", &self.late.packet.slot).finish_non_exhaustive()
    }
}

/// Why a correction is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionError {
    /// The leaf has no pending substitute, or another one.
    #[error("ADJUST.1: slot {slot}: this substitute is not the one that may still be corrected (sequencer)")]
    NotPending {
        /// Slot.
        slot: u16,
    },
    /// The late packet is for another slot, deployment, community or period than the substitute, is a substitute
    /// itself, or one of the two has another length.
    #[error("ADJUST.2: the late packet is not the meter's for the substitute's slot and period: {0} (meter)")]
    Packet(PacketError),
    /// Tariff of another length than the period.
    #[error("ADJUST.3: the tariff has another number of intervals than the period (sequencer)")]
    Tariff,
    /// Balance or debt does not fit.
    #[error("ADJUST.3: the balance leaves 64 bits (tariff authority)")]
    Overflow,
    /// The registers would leave their bits.
    #[error("ADJUST.4: a register falls below what was settled (sequencer)")]
    Registers,
}

impl CorrectionError {
    /// Clause id.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::NotPending { .. } => "ADJUST.1",
            Self::Packet(_) => "ADJUST.2",
            Self::Tariff | Self::Overflow => "ADJUST.3",
            Self::Registers => "ADJUST.4",
        }
    }
}

/// Result of a correction: differences, late less substitute.
#[derive(Clone, PartialEq, Eq)]
pub struct Corrected {
    /// The leaf after.
    pub after: Account,
    /// `balance - debt` after, before it is split.
    pub value: Nano,
    /// To the supplier, nano.
    pub supply: Nano,
    /// Network fees, nano.
    pub fees: Nano,
    /// Import, Wh.
    pub import: i128,
    /// Export, Wh.
    pub export: i128,
    /// What L1 sees.
    pub record: Record,
}

impl std::fmt::Debug for Corrected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Corrected(hidden)")
    }
}

/// Energy and money of a packet that does not trade: import, export (Wh), supply, fees (nano).
fn untraded(packet: &SignedPacket, account: &Account, tariff: &Tariff) -> (Registers, Nano, Nano) {
    let scale = account.terms.scale;
    let lines = packet.packet.readings.iter().zip(&tariff.intervals).map(|(reading, prices)| {
        let energy = Registers {
            import: Wh::of_units(reading.import, scale),
            export: Wh::of_units(reading.export, scale),
            ..Registers::default()
        };
        let class = prices.classes.get(usize::from(account.terms.class)).copied().unwrap_or_default();
        (energy, bill_line(&energy, &class, Ticks::ZERO))
    });
    lines.fold((Registers::default(), Nano::ZERO, Nano::ZERO), |(sum, supply, fees), (energy, line)| {
        (sum.plus(&energy), supply + line.supply, fees + line.fees)
    })
}

/// Saturates at both ends: a register that would fall below zero is refused like one that would grow too large.
fn moved(register: Wh, by: i128) -> Wh {
    u64::try_from(i128::from(register) + by).map_or(Wh::MAX, Wh)
}

impl Corrected {
    /// ADJUST.4: the header's totals.
    pub fn count(&self, totals: &mut Totals) {
        totals.import = moved(totals.import, self.import);
        totals.export = moved(totals.export, self.export);
        totals.corrected = totals.corrected.saturating_add(1);
    }
}

impl Correction {
    /// The slot.
    #[must_use]
    pub fn slot(&self) -> usize {
        usize::from(self.substitute.packet.slot)
    }

    /// ADJUST.1: is this the leaf's pending substitute?
    #[must_use]
    pub fn opens(&self, before: &Account) -> bool {
        let waits = before.pending_substitute != Fr::ZERO && before.meter.is_some();
        waits && self.substitute.packet.substituted && before.pending_substitute == self.substitute.digest(&self.signer)
    }

    /// The corrected leaf, whatever is asked for. Its pending substitute is the previous one.
    #[must_use]
    pub fn compute(&self, before: &Account) -> Corrected {
        let (new, new_supply, new_fees) = untraded(&self.late, before, &self.tariff);
        let (old, old_supply, old_fees) = untraded(&self.substitute, before, &self.tariff);
        let (supply, fees) = (new_supply - old_supply, new_fees - old_fees);
        let difference = |new: Wh, old: Wh| i128::from(new) - i128::from(old);
        let (import, export) = (difference(new.import, old.import), difference(new.export, old.export));
        let value = before.value() - (supply + fees);
        let mut after = before.clone();
        after.set_value(value);
        after.registers.import = moved(before.registers.import, import);
        after.registers.export = moved(before.registers.export, export);
        after.pending_substitute = self.substitute.packet.previous_substitute;
        let record = Record::new(
            RecordKind::Correction,
            0,
            self.substitute.packet.context.first_interval.0,
            self.tariff.commitment(),
        );
        Corrected { after, value, supply, fees, import, export, record }
    }

    /// Everything that can be refused.
    ///
    /// # Errors
    /// [`CorrectionError`].
    pub fn check(&self, before: &Account, context: &Context, mdm: &PublicKey) -> Result<(), CorrectionError> {
        let (substitute, late) = (&self.substitute.packet, &self.late.packet);
        let slot = substitute.slot;
        // Its tariff is of a period that is over and settled: L1 refuses one of this batch's own period.
        let past = substitute.context.first_interval < context.first_interval;
        if !self.opens(before) || !past {
            return Err(CorrectionError::NotPending { slot });
        }
        let then = Context { first_interval: substitute.context.first_interval, ..*context };
        // The circuit opens the leaf's digest with the batch's own context: a substitute that was settled under another
        // circuit version has no opening under this one, and is final.
        if substitute.context != then {
            return Err(CorrectionError::NotPending { slot });
        }
        let m = usize::from(context.intervals);
        if late.substituted {
            return Err(CorrectionError::Packet(PacketError::Context { slot: self.slot(), field: "substituted flag" }));
        }
        // Packed readings do not show how many there are: one interval less would move all the others to another price.
        if substitute.readings.len() != m {
            return Err(CorrectionError::Packet(PacketError::Length {
                slot: self.slot(),
                expected: m,
                got: substitute.readings.len(),
            }));
        }
        check_packet(&then, self.slot(), before, mdm, &self.late, m).map_err(CorrectionError::Packet)?;
        if self.tariff.intervals.len() != m {
            return Err(CorrectionError::Tariff);
        }
        let corrected = self.compute(before);
        if !corrected.value.fits() {
            return Err(CorrectionError::Overflow);
        }
        let falls = |register: Wh, by: i128| i128::from(register) + by < 0;
        if falls(before.registers.import, corrected.import) || falls(before.registers.export, corrected.export) {
            return Err(CorrectionError::Registers);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "correction_tests.rs"]
mod tests;
