//! Native checks, timed.

use std::time::{Duration, Instant};

use gridveil_protocol::{
    fixture::{self, Recipe},
    market::Mechanism,
    params::Shape,
    schnorr::PublicKey,
    settlement::SettlementInput,
};
use rayon::prelude::*;

/// A seeded batch of a shape, every slot used.
///
/// # Errors
/// Signing errors, practically never.
pub fn batch(shape: Shape) -> anyhow::Result<SettlementInput> {
    Ok(fixture::settlement(&Recipe { shape, seed: 1, mechanism: Mechanism::Auction, used: shape.members })?)
}

/// Key each packet of a batch is signed with.
#[must_use]
pub fn keys(input: &SettlementInput) -> Vec<PublicKey> {
    let mdm = input.community.header.mdm;
    let slots = input.community.accounts.iter().zip(&input.packets);
    slots
        .map(|(account, signed)| match account.meter {
            Some(meter) if !signed.packet.substituted => meter,
            Some(_) => mdm,
            None => gridveil_protocol::schnorr::empty_slot_key().public(),
        })
        .collect()
}

/// Packet signatures checked a second.
#[derive(Clone, Copy, Debug)]
pub struct PacketRate {
    /// On every thread.
    pub all_threads: f64,
    /// On one.
    pub one_thread: f64,
}

/// Measures for about two seconds.
#[must_use]
pub fn packets_verified_per_s(input: &SettlementInput) -> PacketRate {
    let keys = keys(input);
    let packets: Vec<_> = input.packets.iter().zip(&keys).collect();
    let one = || packets.iter().filter(|(signed, key)| signed.verify(key).is_ok()).count();
    let all = || packets.par_iter().filter(|(signed, key)| signed.verify(key).is_ok()).count();
    PacketRate { all_threads: rate(&all), one_thread: rate(&one) }
}

fn rate(round: &dyn Fn() -> usize) -> f64 {
    const ENOUGH: Duration = Duration::from_secs(1);
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < ENOUGH {
        count += round();
    }
    count as f64 / start.elapsed().as_secs_f64()
}
