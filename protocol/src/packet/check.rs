//! What SETTLE.1, 1b and 2 ask of one packet alone. Admission, a correction and the settlement all ask it here.

use super::{Context, Packet, SignedPacket};
use crate::{
    account::Account,
    field::Fr,
    schnorr::{self, PublicKey, SchnorrError},
    units::Interval,
};
use ark_ff::AdditiveGroup;

/// Why a packet is refused. Variants are in the order they are checked; each names its clause, the slot and whose input
/// it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// A packet sits in another slot's place.
    #[error("SETTLE.2: packet for slot {got} in the place of slot {slot} (sequencer)")]
    Slot {
        /// Place.
        slot: usize,
        /// Slot the packet names.
        got: u16,
    },
    /// A packet is for another deployment, community, period or interval length.
    #[error("SETTLE.2: slot {slot}: packet has another {field} than the header (meter)")]
    Context {
        /// Slot.
        slot: usize,
        /// Which field.
        field: &'static str,
    },
    /// A packet has another number of readings than the shape.
    #[error("SETTLE.2: slot {slot}: {got} readings for {expected} intervals (meter)")]
    Length {
        /// Slot.
        slot: usize,
        /// m.
        expected: usize,
        /// Readings.
        got: usize,
    },
    /// A packet that is no substitute and names a previous one.
    #[error("SETTLE.1b: slot {slot}: only a substitute names an earlier one (meter)")]
    PreviousInMetered {
        /// Slot.
        slot: usize,
    },
    /// A substituted packet for an empty slot.
    #[error("SETTLE.1b: slot {slot}: an empty slot cannot be substituted (meter data manager)")]
    SubstitutedEmpty {
        /// Slot.
        slot: usize,
    },
    /// An empty slot whose leaf is not empty: energy could enter under the public empty-slot key.
    #[error("SETTLE.1b: slot {slot}: an empty slot has an active window (meter data manager)")]
    ActiveEmpty {
        /// Slot.
        slot: usize,
    },
    /// An account whose scale or class does not exist.
    #[error("SETTLE.13: slot {slot}: scale is 1, 10 or 100 and class 0 or 1 (meter data manager)")]
    Terms {
        /// Slot.
        slot: usize,
    },
    /// Signature does not verify under the meter key (or the meter data manager's, if substituted).
    #[error("SETTLE.1: slot {slot}: {source} (meter)")]
    Signature {
        /// Slot.
        slot: usize,
        /// Why.
        source: SchnorrError,
    },
    /// Readings in another unit than the account's.
    #[error("SETTLE.1: slot {slot}: the readings are in units of another scale than the account's (meter)")]
    Scale {
        /// Slot.
        slot: usize,
    },
    /// A substitute must name the slot's newest substitute that may still be corrected. Naming another one would make
    /// that newest one final, or reopen one that is final.
    #[error(
        "SETTLE.1b: slot {slot}: the substitute names another previous one than the slot's newest that may still be corrected (meter data manager)"
    )]
    PreviousIsAnother {
        /// Slot.
        slot: usize,
    },
    /// A reading outside the active window.
    #[error("SETTLE.2: slot {slot}, interval {interval}: reading outside the account's active window (meter)")]
    Inactive {
        /// Slot.
        slot: usize,
        /// Position in the period.
        interval: usize,
    },
    /// A substituted reading above the account's cap.
    #[error(
        "SETTLE.1b: slot {slot}, interval {interval}: substituted reading above the account's cap (meter data manager)"
    )]
    AboveCap {
        /// Slot.
        slot: usize,
        /// Position in the period.
        interval: usize,
    },
}

impl PacketError {
    /// Clause id, as in the specification, the gates and the tests.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::Scale { .. } | Self::Signature { .. } => "SETTLE.1",
            Self::PreviousInMetered { .. }
            | Self::SubstitutedEmpty { .. }
            | Self::PreviousIsAnother { .. }
            | Self::ActiveEmpty { .. }
            | Self::AboveCap { .. } => "SETTLE.1b",
            Self::Slot { .. } | Self::Context { .. } | Self::Length { .. } | Self::Inactive { .. } => "SETTLE.2",
            Self::Terms { .. } => "SETTLE.13",
        }
    }
}

/// Checks one packet of `slot`, whose account is `account` before the packet's period. `intervals` is m, the number of
/// readings the shape asks for.
///
/// # Errors
/// [`PacketError`], the first clause that refuses.
pub fn check_packet(
    context: &Context,
    slot: usize,
    account: &Account,
    mdm: &PublicKey,
    signed: &SignedPacket,
    intervals: usize,
) -> Result<(), PacketError> {
    let packet = &signed.packet;
    if usize::from(packet.slot) != slot {
        return Err(PacketError::Slot { slot, got: packet.slot });
    }
    check_context(context, slot, &packet.context)?;
    check_form(slot, packet, intervals)?;
    check_account(slot, account, packet.substituted)?;
    let key = match (packet.substituted, account.meter) {
        (true, _) => *mdm,
        (false, Some(meter)) => meter,
        (false, None) => schnorr::empty_slot_key().public(),
    };
    signed.verify(&key).map_err(|source| PacketError::Signature { slot, source })?;
    // The checks below tell something of the account. Only who can sign for the slot may learn it.
    if packet.scale != account.terms.scale {
        return Err(PacketError::Scale { slot });
    }
    if packet.substituted && packet.previous_substitute != account.pending_substitute {
        return Err(PacketError::PreviousIsAnother { slot });
    }
    check_readings(context, slot, account, signed)
}

/// What of a packet for `slot` needs neither account nor key: it has `intervals` readings, and only a substitute names a
/// previous one.
///
/// # Errors
/// [`PacketError::Length`] (SETTLE.2), [`PacketError::PreviousInMetered`] (SETTLE.1b).
pub fn check_form(slot: usize, packet: &Packet, intervals: usize) -> Result<(), PacketError> {
    if packet.readings.len() != intervals {
        return Err(PacketError::Length { slot, expected: intervals, got: packet.readings.len() });
    }
    if !packet.substituted && packet.previous_substitute != Fr::ZERO {
        return Err(PacketError::PreviousInMetered { slot });
    }
    Ok(())
}

fn check_context(expected: &Context, slot: usize, got: &Context) -> Result<(), PacketError> {
    let wrong = |field| Err(PacketError::Context { slot, field });
    if got.domain != expected.domain {
        wrong("domain")
    } else if got.community != expected.community {
        wrong("community")
    } else if got.first_interval != expected.first_interval {
        wrong("first interval")
    } else if got.interval_length != expected.interval_length {
        wrong("interval length")
    } else if got.intervals != expected.intervals {
        wrong("number of intervals")
    } else {
        Ok(())
    }
}

/// What a packet of this kind asks of the slot's account.
fn check_account(slot: usize, account: &Account, substituted: bool) -> Result<(), PacketError> {
    if substituted && account.meter.is_none() {
        return Err(PacketError::SubstitutedEmpty { slot });
    }
    if account.meter.is_none()
        && (account.terms.active_from, account.terms.active_until) != (Interval::ZERO, Interval::ZERO)
    {
        return Err(PacketError::ActiveEmpty { slot });
    }
    if !account.terms.exist() {
        return Err(PacketError::Terms { slot });
    }
    Ok(())
}

fn check_readings(context: &Context, slot: usize, account: &Account, signed: &SignedPacket) -> Result<(), PacketError> {
    let packet = &signed.packet;
    for (interval, reading) in packet.readings.iter().enumerate() {
        let at = u64::from(context.first_interval) + interval as u64;
        let active = u64::from(account.terms.active_from) <= at && at < u64::from(account.terms.active_until);
        if !active && (reading.import, reading.export) != (0, 0) {
            return Err(PacketError::Inactive { slot, interval });
        }
        if packet.substituted
            && (reading.import > account.terms.cap_import || reading.export > account.terms.cap_export)
        {
            return Err(PacketError::AboveCap { slot, interval });
        }
    }
    Ok(())
}
