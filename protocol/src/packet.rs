//! The meter's packet: what it says, what is signed, and how empty slots are filled.

mod check;

pub use check::{PacketError, check_form, check_packet};

use serde::{Deserialize, Serialize};

use crate::{
    account::Terms,
    field::{Fr, hex_fr, shifted},
    params::INTERVALS_PER_GROUP,
    poseidon::{DomainTag, sponge},
    schnorr::{self, PublicKey, SchnorrError, SecretKey, Signature},
    units::{Interval, Ticks},
};
use ark_ff::AdditiveGroup;

/// Where and when a packet is valid. A packet for one deployment, community or period is worth nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// [`crate::instance::domain`].
    #[serde(with = "hex_fr")]
    pub domain: Fr,
    /// Community index.
    pub community: u32,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Seconds.
    pub interval_length: u16,
    /// Intervals of the period.
    pub intervals: u16,
}

impl Context {
    /// `ctx` of `docs/spec/state.md`.
    #[must_use]
    pub fn element(&self) -> Fr {
        let n = Fr::from;
        sponge(
            DomainTag::Context,
            &[
                self.domain,
                n(u64::from(self.community)),
                n(u64::from(self.first_interval)),
                n(u64::from(self.interval_length)),
                n(u64::from(self.intervals)),
            ],
        )
    }
}

/// Register advances of one interval, in units of the account's `scale` Wh.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reading {
    /// Taken from the network.
    pub import: u16,
    /// Fed in.
    pub export: u16,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reading(4 bytes)")
    }
}

/// Horner packing of up to seven intervals an element.
#[must_use]
pub fn groups(readings: &[Reading]) -> Vec<Fr> {
    readings
        .chunks(INTERVALS_PER_GROUP)
        .map(|chunk| {
            chunk.iter().fold(Fr::ZERO, |acc, r| {
                acc * Fr::from(1u64 << 32) + Fr::from((u64::from(r.import) << 16) + u64::from(r.export))
            })
        })
        .collect()
}

/// Six fresh uniformly random field elements: two for each commitment the packet leads to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PacketSalts {
    /// s1, s2.
    #[serde(with = "hex_fr::seq")]
    pub exit: [Fr; 2],
    /// s3, s4.
    #[serde(with = "hex_fr::seq")]
    pub private: [Fr; 2],
    /// s5, s6.
    #[serde(with = "hex_fr::seq")]
    pub note: [Fr; 2],
}

impl std::fmt::Debug for PacketSalts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PacketSalts(6 elements)")
    }
}

impl PacketSalts {
    /// From 6 x 64 uniformly random bytes, one independent block an element.
    #[must_use]
    pub fn from_random(bytes: &[u8; 384]) -> Self {
        let mut blocks = bytes.chunks(64).map(crate::field::reduce::<Fr>);
        let mut next = || blocks.next().unwrap_or(Fr::ZERO);
        Self { exit: [next(), next()], private: [next(), next()], note: [next(), next()] }
    }
}

/// One slot's packet of one period.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// Deployment, community and period.
    pub context: Context,
    /// Slot of the community.
    pub slot: u16,
    /// One reading an interval.
    pub readings: Vec<Reading>,
    /// Buy limit of the next period.
    pub buy_limit: Ticks,
    /// Sell limit of the next period.
    pub sell_limit: Ticks,
    /// Substituted: signed by the meter data manager: no local trade, no certificates.
    pub substituted: bool,
    /// Wh of a reading's unit: the account's scale. Signed, so that readings are not taken in another unit after the
    /// account's terms changed.
    pub scale: u8,
    /// Fresh salts.
    pub salts: PacketSalts,
    /// Of a substitute: digest of the slot's newest pending substitute before this one; zero if there is none. Of any
    /// other packet: zero.
    #[serde(with = "hex_fr")]
    pub previous_substitute: Fr,
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packet")
            .field("slot", &self.slot)
            .field("readings", &self.readings.len())
            .finish_non_exhaustive()
    }
}

impl Packet {
    /// [`groups`] of the readings.
    #[must_use]
    pub fn groups(&self) -> Vec<Fr> {
        groups(&self.readings)
    }

    /// `slot | buy_limit<<16 | sell_limit<<32 | substituted<<48 | scale<<49`.
    #[must_use]
    pub fn slot_info(&self) -> Fr {
        Fr::from(u64::from(self.slot) | u64::from(self.buy_limit) << 16 | u64::from(self.sell_limit) << 32)
            + shifted(u64::from(self.substituted) | u64::from(self.scale) << 1, 48)
    }

    /// The signed message elements (without the `R.x, P.x` prefix).
    #[must_use]
    pub fn message(&self) -> Vec<Fr> {
        let s = &self.salts;
        let mut out = vec![self.context.element() + self.slot_info(), self.previous_substitute];
        out.extend(s.exit.iter().chain(&s.private).chain(&s.note));
        out.extend(self.groups());
        out
    }

    /// Signs.
    ///
    /// # Errors
    /// [`SchnorrError::Degenerate`], practically never.
    pub fn sign(self, key: &SecretKey) -> Result<SignedPacket, SchnorrError> {
        let signature = key.sign(DomainTag::Packet, &self.message())?;
        Ok(SignedPacket { packet: self, signature })
    }
}

/// A packet with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPacket {
    /// What is signed.
    #[serde(flatten)]
    pub packet: Packet,
    /// By the meter (or the meter data manager, if substituted).
    pub signature: Signature,
}

impl SignedPacket {
    /// The challenge digest under `key`: what a leaf keeps of a substituted packet (ADJUST.1).
    #[must_use]
    pub fn digest(&self, key: &PublicKey) -> Fr {
        schnorr::challenge(DomainTag::Packet, self.signature.r_x, key, &self.packet.message())
    }

    /// Verifies under `key`.
    ///
    /// # Errors
    /// Those of [`schnorr::verify`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), SchnorrError> {
        schnorr::verify(DomainTag::Packet, key, &self.packet.message(), &self.signature)
    }
}

/// The packet of an empty slot: no readings, fresh salts, signed with the public empty-slot key.
///
/// # Errors
/// Practically never ([`SchnorrError::Degenerate`]).
pub fn empty_slot(context: Context, slot: u16, salts: PacketSalts) -> Result<SignedPacket, SchnorrError> {
    Packet {
        context,
        slot,
        readings: vec![Reading::default(); usize::from(context.intervals)],
        buy_limit: Ticks::ZERO,
        sell_limit: Ticks::ZERO,
        substituted: false,
        scale: Terms::EMPTY.scale,
        salts,
        previous_substitute: Fr::ZERO,
    }
    .sign(&schnorr::empty_slot_key())
}
