//! From readings to a signed packet, once per period.

use gridveil_protocol::{
    field::Fr,
    packet::{Context, Packet, PacketSalts, Reading, SignedPacket},
    schnorr::{SchnorrError, SecretKey},
    units::Ticks,
};
use zeroize::Zeroizing;

/// What a member decides of a period's packet. Everything else is fresh randomness and a signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Draft {
    /// Deployment, community and period.
    pub context: Context,
    /// Slot.
    pub slot: u16,
    /// One reading an interval.
    pub readings: Vec<Reading>,
    /// Buy limit of the next period, ticks.
    pub buy_limit: Ticks,
    /// Sell limit of the next period, ticks.
    pub sell_limit: Ticks,
    /// Wh of a reading's unit: the account's scale.
    pub scale: u8,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("slot", &self.slot)
            .field("readings", &self.readings.len())
            .finish_non_exhaustive()
    }
}

/// Why no packet was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Another number of readings than the period has intervals.
    #[error("{got} readings for a period of {expected} intervals")]
    Length {
        /// m.
        expected: u16,
        /// Readings.
        got: usize,
    },
    /// No randomness for the salts.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// Signing failed.
    #[error(transparent)]
    Signature(#[from] SchnorrError),
}

impl Draft {
    /// Draws six fresh salts and signs with the meter's key. Two calls give two different packets: keep the first
    /// ([`crate::outbox`]).
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn sign(self, meter: &SecretKey) -> Result<SignedPacket, PacketError> {
        if self.readings.len() != usize::from(self.context.intervals) {
            return Err(PacketError::Length { expected: self.context.intervals, got: self.readings.len() });
        }
        let random = Zeroizing::new(gridveil_keystore::random::<384>().map_err(|_| PacketError::Randomness)?);
        let packet = Packet {
            context: self.context,
            slot: self.slot,
            readings: self.readings,
            buy_limit: self.buy_limit,
            sell_limit: self.sell_limit,
            substituted: false,
            scale: self.scale,
            salts: PacketSalts::from_random(&random),
            previous_substitute: Fr::from(0u64),
        };
        Ok(packet.sign(meter)?)
    }

    /// What a packet says.
    #[must_use]
    pub fn of(signed: &SignedPacket) -> Self {
        let p = &signed.packet;
        Self {
            context: p.context,
            slot: p.slot,
            readings: p.readings.clone(),
            buy_limit: p.buy_limit,
            sell_limit: p.sell_limit,
            scale: p.scale,
        }
    }

    /// Does this packet say what the draft says?
    #[must_use]
    pub fn is_said_by(&self, signed: &SignedPacket) -> bool {
        *self == Self::of(signed) && !signed.packet.substituted
    }
}
