//! One period's packets of a community of homes, signed with the public demonstration keys.

use gridveil_protocol::{
    field::Fr,
    packet::{Context, Packet, PacketSalts, Reading, SignedPacket, empty_slot},
    schnorr::SchnorrError,
};

use crate::genesis::{self, Limits, Plan};
use gridveil_api::beginning::PublicStream;

/// What one home's meter, or the meter data manager in its place, says about a period.
#[derive(Clone, Debug)]
pub struct HomeDay {
    /// One reading an interval.
    pub readings: Vec<Reading>,
    /// Signed by the meter data manager instead of the meter: a substitute.
    pub substituted: bool,
    /// Wh of a reading's unit.
    pub scale: u8,
}

impl HomeDay {
    /// The meter's own day.
    #[must_use]
    pub const fn metered(readings: Vec<Reading>) -> Self {
        Self { readings, substituted: false, scale: 1 }
    }

    /// A substitute from another day's readings, within the account's caps.
    #[must_use]
    pub fn substitute(like: &[Reading], caps_wh: [u16; 2]) -> Self {
        let capped = |r: &Reading| Reading { import: r.import.min(caps_wh[0]), export: r.export.min(caps_wh[1]) };
        Self { readings: like.iter().map(capped).collect(), substituted: true, scale: 1 }
    }
}

/// Packet of a used slot. A substitute has no previous one, unless `previous_substitute` is set afterwards.
#[must_use]
pub fn packet(context: Context, slot: u16, limits: Limits, day: HomeDay, salts: PacketSalts) -> Packet {
    Packet {
        context,
        slot,
        readings: day.readings,
        buy_limit: limits.buy,
        sell_limit: limits.sell,
        substituted: day.substituted,
        salts,
        scale: day.scale,
        previous_substitute: Fr::from(0u64),
    }
}

/// One packet a slot. `days` are those of `plan.homes`, in the same order. Salts follow from community, period and
/// slot: a simulation's salts hide nothing. `limits` are a home's for the next period, `previous_substitute` is what a slot's
/// substitute names.
///
/// # Errors
/// Signing errors, practically never.
pub fn sign_all(
    plan: &Plan,
    context: Context,
    days: Vec<HomeDay>,
    limits: impl Fn(u16) -> Limits,
    previous_substitute: impl Fn(usize) -> Fr,
) -> Result<Vec<SignedPacket>, SchnorrError> {
    let mut stream =
        PublicStream::new("packet salts", u64::from(context.community) << 32 | u64::from(context.first_interval));
    let mut days = days.into_iter();
    (0..plan.shape.members)
        .map(|slot| {
            let number = u16::try_from(slot).unwrap_or(u16::MAX);
            let salts = stream.packet_salts();
            let Some((home, day)) = plan.homes.get(slot).zip(days.next()) else {
                return empty_slot(context, number, salts);
            };
            let key = if day.substituted { genesis::mdm_key() } else { genesis::meter_key(*home) };
            let previous_substitute = if day.substituted { previous_substitute(slot) } else { Fr::from(0u64) };
            Packet { previous_substitute, ..packet(context, number, limits(*home), day, salts) }.sign(&key)
        })
        .collect()
}
