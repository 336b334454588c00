//! The meter's packet in version 3: what is signed, what of it stays provable, and which packets a slot takes (SETTLE.1 to
//! SETTLE.3, SETTLE.16).
//!
//! A packet carries no salts: those come from the leaf's seed. A substitute is zero in every interval; an estimate is a
//! correction of it. So no period needs anybody else's number, and nobody estimates at a cap.

use ark_ff::AdditiveGroup;

use super::account::{Account, SCALES, Terms, scale_index};
use crate::{
    field::{Fr, packed, shifted},
    packet::{Context, Reading, groups},
    poseidon::{DomainTag, hash4, sponge},
    schnorr::{self, PublicKey, SchnorrError, SecretKey, Signature},
    units::{Interval, Ticks},
};

/// One slot's packet of one period.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// Deployment, community and period.
    pub context: Context,
    /// Slot of the community.
    pub slot: u16,
    /// One reading an interval, in units of `scale` Wh.
    pub readings: Vec<Reading>,
    /// Buy limit of the next period.
    pub buy_limit: Ticks,
    /// Sell limit of the next period.
    pub sell_limit: Ticks,
    /// Wh of a reading's unit: the account's scale, so that readings are not taken in another unit after its terms changed.
    pub scale: u8,
    /// Who speaks.
    pub author: Author,
}

/// Who a packet is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The slot's meter.
    Meter,
    /// The meter data manager, in the place of the meter with this x: a substitute. The meter that it names, and no later
    /// one of the slot, replaces it by itself.
    Mdm {
        /// x of the meter's key at that time.
        meter_x: Fr,
    },
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packet").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Packet {
    /// Is it a substitute?
    #[must_use]
    pub const fn substituted(&self) -> bool {
        matches!(self.author, Author::Mdm { .. })
    }

    /// `slot | buy_limit<<16 | sell_limit<<32 | substituted<<48 | scale index<<49`.
    #[must_use]
    pub fn slot_info(&self) -> Fr {
        let scale = scale_index(self.scale).unwrap_or(SCALES.len() as u64);
        Fr::from(u64::from(self.slot) | u64::from(self.buy_limit) << 16 | u64::from(self.sell_limit) << 32)
            + shifted(u64::from(self.substituted()) | scale << 1, 48)
    }

    /// The signed elements: context and slot, the meter in whose place the meter data manager speaks or zero, the readings.
    #[must_use]
    pub fn message(&self) -> Vec<Fr> {
        let meter_x = match self.author {
            Author::Meter => Fr::ZERO,
            Author::Mdm { meter_x } => meter_x,
        };
        let mut message = vec![self.context.element() + self.slot_info(), meter_x];
        message.extend(groups(&self.readings));
        message
    }

    /// Signs.
    ///
    /// # Errors
    /// [`SchnorrError::Degenerate`], practically never.
    pub fn sign(self, key: &SecretKey) -> Result<SignedPacket, SchnorrError> {
        let signature = key.sign(DomainTag::DistrictPacket, &self.message())?;
        Ok(SignedPacket { packet: self, signature })
    }
}

/// A packet with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPacket {
    /// What is signed.
    pub packet: Packet,
    /// By its author.
    pub signature: Signature,
}

impl SignedPacket {
    /// The challenge digest under `key`.
    #[must_use]
    pub fn digest(&self, key: &PublicKey) -> Fr {
        schnorr::challenge(DomainTag::DistrictPacket, self.signature.r_x, key, &self.packet.message())
    }

    /// Verifies under `key`.
    ///
    /// # Errors
    /// Those of [`schnorr::verify`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), SchnorrError> {
        schnorr::verify(DomainTag::DistrictPacket, key, &self.packet.message(), &self.signature)
    }

    /// Whose key signs for a slot whose account this is.
    #[must_use]
    pub fn key(&self, account: &Account, mdm: &PublicKey) -> PublicKey {
        match (self.packet.author, account.meter) {
            (Author::Mdm { .. }, _) => *mdm,
            (Author::Meter, Some(meter)) => meter,
            (Author::Meter, None) => schnorr::empty_slot_key().public(),
        }
    }
}

/// What a settled packet was applied with: everything of the account that its energy and money depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The account's number.
    pub number: u32,
    /// Terms before the period: class, technology, key, submeter and both limits.
    pub terms: Terms,
    /// A substitute.
    pub substituted: bool,
    /// The account was in debt: it bought nothing.
    pub in_debt: bool,
}

impl Applied {
    /// `number | class<<32 | technology<<34 | substituted<<42 | submeter<<43 | in_debt<<44 | buy_limit<<45 | sell_limit<<61 |
    /// key<<77 | scale index<<94`: 96 bits.
    #[must_use]
    pub fn packed(&self) -> Fr {
        let terms = &self.terms;
        packed([
            (u64::from(self.number), 0),
            (u64::from(terms.class), 32),
            (u64::from(terms.technology), 34),
            (u64::from(self.substituted), 42),
            (u64::from(terms.submeter), 43),
            (u64::from(self.in_debt), 44),
            (u64::from(terms.limits()), 45),
            (u64::from(terms.key), 77),
            (scale_index(terms.scale).unwrap_or(0), 94),
        ])
    }
}

/// `packet_c = P(digest, blinding, info, origin)`: a settled packet as later statements open it. `origin` is zero, of a
/// correction the commitment of the version that was settled.
#[must_use]
pub fn commitment(digest: Fr, blinding: Fr, applied: &Applied, origin: Fr) -> Fr {
    hash4([digest, blinding, applied.packed(), origin])
}

/// What L1 sees of a version that is replaced: each is replaced once.
#[must_use]
pub fn version(commitment: Fr) -> Fr {
    sponge(DomainTag::PacketVersion, &[commitment])
}

/// Why a packet is refused: in the order in which it is checked, with its clause and whose input it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// It sits in another slot's place.
    #[error("SETTLE.2: packet for slot {got} in the place of slot {slot} (sequencer)")]
    Slot {
        /// Place.
        slot: u16,
        /// Slot the packet names.
        got: u16,
    },
    /// Another deployment, community, period or interval length.
    #[error("SETTLE.2: slot {slot}: packet for another deployment, community or period (meter)")]
    Context {
        /// Slot.
        slot: u16,
    },
    /// Another number of readings than the period has intervals.
    #[error("SETTLE.2: slot {slot}: {got} readings for {expected} intervals (meter)")]
    Length {
        /// Slot.
        slot: u16,
        /// m.
        expected: usize,
        /// Readings.
        got: usize,
    },
    /// A substitute that says how much.
    #[error(
        "SETTLE.1b: slot {slot}, interval {interval}: a substitute is zero; an estimate is a correction of it (meter data manager)"
    )]
    SubstituteNotZero {
        /// Slot.
        slot: u16,
        /// Position in the period.
        interval: usize,
    },
    /// A substitute for an empty slot.
    #[error("SETTLE.1b: slot {slot}: an empty slot cannot be substituted (meter data manager)")]
    SubstitutedEmpty {
        /// Slot.
        slot: u16,
    },
    /// An empty slot whose leaf is not empty: energy could enter under the public empty-slot key.
    #[error("SETTLE.1b: slot {slot}: an empty slot has an active window (meter data manager)")]
    ActiveEmpty {
        /// Slot.
        slot: u16,
    },
    /// Terms that do not exist.
    #[error(
        "SETTLE.13: slot {slot}: scale is 1, 10 or 100, class 0 or 1, the key at most the whole (meter data manager)"
    )]
    Terms {
        /// Slot.
        slot: u16,
    },
    /// The signature does not verify under the author's key.
    #[error("SETTLE.1: slot {slot}: {source} (meter)")]
    Signature {
        /// Slot.
        slot: u16,
        /// Why.
        source: SchnorrError,
    },
    /// A substitute in the place of another meter.
    #[error("SETTLE.1b: slot {slot}: the substitute names another meter than the slot's (meter data manager)")]
    Meter {
        /// Slot.
        slot: u16,
    },
    /// Readings in another unit than the account's.
    #[error("SETTLE.1: slot {slot}: the readings are in units of another scale than the account's (meter)")]
    Scale {
        /// Slot.
        slot: u16,
    },
    /// A reading outside the active window.
    #[error("SETTLE.2: slot {slot}, interval {interval}: reading outside the account's active window (meter)")]
    Inactive {
        /// Slot.
        slot: u16,
        /// Position in the period.
        interval: usize,
    },
    /// A reading above the account's connection.
    #[error(
        "SETTLE.3: slot {slot}, interval {interval}: reading above the cap of the account; it is a correction once new terms count (meter)"
    )]
    AboveCap {
        /// Slot.
        slot: u16,
        /// Position in the period.
        interval: usize,
    },
}

impl PacketError {
    /// Clause id.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::Scale { .. } | Self::Signature { .. } => "SETTLE.1",
            Self::SubstituteNotZero { .. }
            | Self::SubstitutedEmpty { .. }
            | Self::Meter { .. }
            | Self::ActiveEmpty { .. } => "SETTLE.1b",
            Self::Slot { .. } | Self::Context { .. } | Self::Length { .. } | Self::Inactive { .. } => "SETTLE.2",
            Self::AboveCap { .. } => "SETTLE.3",
            Self::Terms { .. } => "SETTLE.13",
        }
    }
}

/// Checks the packet of `slot`, whose account is `account` before the period. What tells something of the account is
/// checked after the signature: only who can sign for the slot may learn it.
///
/// # Errors
/// [`PacketError`], the first clause that refuses.
pub fn check_packet(
    context: &Context,
    slot: u16,
    account: &Account,
    mdm: &PublicKey,
    signed: &SignedPacket,
) -> Result<(), PacketError> {
    let packet = &signed.packet;
    if packet.slot != slot {
        return Err(PacketError::Slot { slot, got: packet.slot });
    }
    if packet.context != *context {
        return Err(PacketError::Context { slot });
    }
    let expected = usize::from(context.intervals);
    if packet.readings.len() != expected {
        return Err(PacketError::Length { slot, expected, got: packet.readings.len() });
    }
    let zero = |reading: &Reading| *reading == Reading::default();
    if packet.substituted()
        && let Some(interval) = packet.readings.iter().position(|reading| !zero(reading))
    {
        return Err(PacketError::SubstituteNotZero { slot, interval });
    }
    if packet.substituted() && account.meter.is_none() {
        return Err(PacketError::SubstitutedEmpty { slot });
    }
    let terms = &account.terms;
    if account.meter.is_none() && (terms.active_from, terms.active_until) != (Interval::ZERO, Interval::ZERO) {
        return Err(PacketError::ActiveEmpty { slot });
    }
    if !terms.exist() {
        return Err(PacketError::Terms { slot });
    }
    signed.verify(&signed.key(account, mdm)).map_err(|source| PacketError::Signature { slot, source })?;
    if let Author::Mdm { meter_x } = packet.author
        && meter_x != account.meter_xy().0
    {
        return Err(PacketError::Meter { slot });
    }
    if packet.scale != terms.scale {
        return Err(PacketError::Scale { slot });
    }
    for (interval, reading) in packet.readings.iter().enumerate().filter(|(_, reading)| !zero(reading)) {
        let at = u64::from(context.first_interval) + interval as u64;
        if !(u64::from(terms.active_from)..u64::from(terms.active_until)).contains(&at) {
            return Err(PacketError::Inactive { slot, interval });
        }
        if reading.import > terms.cap_import || reading.export > terms.cap_export {
            return Err(PacketError::AboveCap { slot, interval });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
