//! What the open period still lacks before it can be closed.

use gridveil_protocol::{field::Fr, units::Interval};

use super::{state_of, unknown_community};
use crate::{problem::Problem, writer::Snapshot};

/// A used slot without any packet of the open period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Slot.
    pub slot: u16,
    /// What a substitute of the open period has to name ([`gridveil_protocol::packet::Packet::previous_substitute`]).
    pub previous_substitute: Fr,
    /// Wh of a reading's unit ([`gridveil_protocol::packet::Packet::scale`]).
    pub scale: u8,
}

/// What the meter data manager needs to know to sign substitutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPeriod {
    /// Its first interval.
    pub first_interval: Interval,
    /// Used slots without any packet; none while the period is closed and not settled.
    pub missing: Vec<Missing>,
}

/// Used slots of the open period without any packet, each with the pending substitute that a new one has to name.
///
/// # Errors
/// [`Problem`], for an unknown community.
pub fn open_period(snapshot: &Snapshot, community: u32) -> Result<OpenPeriod, Problem> {
    let log_state = state_of(snapshot, community)?;
    let missing = if log_state.closed.is_some() { Vec::new() } else { missing(snapshot, community)? };
    Ok(OpenPeriod { first_interval: log_state.next_interval, missing })
}

/// Used slots without any packet.
pub(super) fn missing(snapshot: &Snapshot, community: u32) -> Result<Vec<Missing>, Problem> {
    let log_state = state_of(snapshot, community)?;
    let accounts = &snapshot.communities.get(&community).ok_or_else(unknown_community)?.accounts;
    let used = (0u16..).zip(accounts).filter(|(_, account)| account.meter.is_some());
    let without = used.filter(|(slot, _)| [false, true].iter().all(|s| !log_state.packets.contains_key(&(*slot, *s))));
    Ok(without
        .map(|(slot, account)| Missing {
            slot,
            previous_substitute: account.pending_substitute,
            scale: account.terms.scale,
        })
        .collect())
}
