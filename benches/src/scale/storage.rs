//! What a settled period takes in the sequencer's log: one full community, written through the sequencer's own store,
//! sealed and synced.

use std::time::Instant;

use anyhow::Context as _;
use gridveil_protocol::{
    codec::{Bytes32, encode_packet, packet_id},
    fixture::Stream,
    instance::domain,
    operation_slots::Operations,
    packet::{SignedPacket, empty_slot},
    params::CIRCUIT_VERSION,
    settlement::{SettlementInput, Transition, apply},
};
use gridveil_prover::measure::cpu_time;
use gridveil_sequencer::store::{
    Draft, GenesisState, Opened, Store,
    data_keys::{COMMUNITY_PART, Label, create_master_key},
    log_state::LogState,
    plain,
    record::{
        Applied, Closed, ClosedSecrets, Element, Event, PacketAccepted, Proven, Selected, Settled, TariffPublished,
        Used, kind,
    },
    state_parts,
};

use super::{
    city::{City, Profiles},
    pipeline::Cost,
};

/// Periods written: the first is not representative (no registers, no debt), so several are averaged.
const PERIODS: u32 = 3;
const CONTRACT: [u8; 20] = [0x11; 20];
const CHAIN: u64 = 31_337;

/// Bytes and time of one community and period, averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogCost {
    /// Packets, bytes of the log.
    pub packets: f64,
    /// Everything else of a period: tariff, closing, state after, proof, settlement.
    pub rest: f64,
    /// Genesis of the community, once, bytes.
    pub genesis: f64,
    /// Sealing, appending and syncing.
    pub time: Cost,
}

impl LogCost {
    /// Bytes of one community and period.
    #[must_use]
    pub fn period(&self) -> f64 {
        self.packets + self.rest
    }
}

/// Writes a full community's genesis and periods into a store of its own and measures them.
///
/// # Errors
/// The store, or the rules.
pub fn measure(city: &City, profiles: &Profiles, proof_bytes: usize) -> anyhow::Result<LogCost> {
    let full = City { homes: u32::try_from(city.shape.members)?, ..*city };
    let homes = full.members(profiles, 0);
    let community = full.community(0, &homes)?;
    let dir = tempfile::tempdir()?;
    let master = dir.path().join("master.key");
    create_master_key(&master)?;
    let genesis = GenesisState {
        chain_id: CHAIN,
        contract: CONTRACT,
        circuit_version: CIRCUIT_VERSION,
        communities: vec![community],
        other_leaves: Vec::new(),
        begins: Vec::new(),
    };
    let Opened { mut store, mut log_state, mut communities, mut tree, .. } =
        Store::open(dir.path(), &master, Some(&genesis))?;
    let mut cost = LogCost { genesis: log_bytes(dir.path())?, ..LogCost::default() };
    for period in 0..PERIODS {
        let community = communities.remove(&0).context("the community")?;
        let mut stream = Stream::new(u64::from(period) + (1 << 41));
        let header_salts = [stream.element(), stream.element()];
        let domain = domain(CHAIN, &CONTRACT, CIRCUIT_VERSION);
        let mut input = SettlementInput {
            domain,
            state_path: tree.path(0),
            community,
            packets: Vec::new(),
            tariff: full.tariff(),
            header_salts,
            operations: Operations::default(),
        };
        let context = input.context();
        input.packets = homes.iter().map(|home| home.packet(context).sign(&home.key)).collect::<Result<_, _>>()?;
        let empty = (homes.len()..full.shape.members)
            .map(|slot| empty_slot(context, u16::try_from(slot).unwrap_or(u16::MAX), stream_salts(&mut stream)));
        input.packets.extend(empty.collect::<Result<Vec<_>, _>>()?);
        let packets = input.packets.clone();
        let transition = apply(input)?;

        let before = log_bytes(dir.path())?;
        let (cpu, start) = (cpu_time(), Instant::now());
        write_packets(&mut store, &mut log_state, &packets)?;
        let between = log_bytes(dir.path())?;
        write_period(&mut store, &mut log_state, &transition, u64::from(period) + 1, proof_bytes)?;
        cost.time.wall_s += start.elapsed().as_secs_f64() / f64::from(PERIODS);
        cost.time.cpu_s += cpu_time().saturating_sub(cpu).as_secs_f64() / f64::from(PERIODS);
        cost.packets += (between - before) / f64::from(PERIODS);
        cost.rest += (log_bytes(dir.path())? - between) / f64::from(PERIODS);
        tree.set(0, transition.instance.community_new);
        communities.insert(0, transition.after);
    }
    store.close();
    Ok(cost)
}

fn stream_salts(stream: &mut Stream) -> gridveil_protocol::packet::PacketSalts {
    gridveil_protocol::packet::PacketSalts::from_random(&stream.bytes())
}

fn log_bytes(directory: &std::path::Path) -> anyhow::Result<f64> {
    Ok(std::fs::metadata(gridveil_sequencer::store::log::path_in(directory))?.len() as f64)
}

/// One record a packet, one sync for all: as many wait for one sync when a city reports at midnight.
fn write_packets(store: &mut Store, log_state: &mut LogState, packets: &[SignedPacket]) -> anyhow::Result<()> {
    for signed in packets {
        let packet = &signed.packet;
        let (community, first_interval, slot) = (packet.context.community, packet.context.first_interval, packet.slot);
        let event = PacketAccepted {
            community,
            first_interval,
            slot,
            substituted: packet.substituted,
            packet_id: packet_id(signed),
        };
        let label = Label { kind: kind::PACKET, community, part: slot, first_interval };
        store.stage(
            log_state,
            Draft { event: Event::Packet(event), parts: vec![(label, encode_packet(signed).into())] },
        )?;
    }
    Ok(store.commit(log_state)?)
}

/// Tariff, closing, state after, proof and settlement, each with its sync: none may be lost before the next begins.
fn write_period(
    store: &mut Store,
    log_state: &mut LogState,
    t: &Transition,
    batch: u64,
    proof_bytes: usize,
) -> anyhow::Result<()> {
    let header = &t.input.community.header;
    let (community, first_interval) = (t.input.community.index, header.next_interval);
    let tariff = TariffPublished {
        community,
        first_interval,
        tariff: t.input.tariff.clone(),
        commitment: t.instance.tariff_commitment,
    };
    let slots = t.input.community.accounts.iter().zip(&t.input.packets);
    let used = slots
        .filter(|(account, _)| account.meter.is_some())
        .map(|(_, p)| Used { slot: p.packet.slot, substituted: p.packet.substituted });
    let closed = Closed { community, first_interval, used: used.collect(), tariff_from: first_interval };
    let secrets = plain(kind::CLOSED, &ClosedSecrets { header_salts: t.input.header_salts, empty: Vec::new() })?;
    let label = Label { kind: kind::CLOSED, community, part: COMMUNITY_PART, first_interval };
    let applied = Applied {
        refused: Vec::new(),
        ended: Vec::new(),
        batch,
        community,
        first_interval,
        old_root: t.instance.old_root,
        new_root: t.instance.new_root,
        previous: batch.checked_sub(1).filter(|batch| *batch > 0),
        next_interval: t.after.header.next_interval,
        appended: t.after.certificates.leaf(header.certificate_count),
        appended_at: header.certificate_count,
        notes_root: t.notes_root,
        header_leaf: t.after.header.leaf(),
        members_root: t.after.members_root(),
        state_path: t.input.state_path.iter().map(|level| level.map(Element)).collect(),
    };
    let proven = Proven { batch, prove_ms: 10_000, proof: "ab".repeat(proof_bytes) };
    let settled = Settled { batch, tx: Some(Bytes32([0xab; 32])), block: Some(20_000_000), gas_used: Some(750_000) };
    let drafts = [
        Draft::public(Event::Tariff(tariff)),
        Draft { event: Event::Closed(closed), parts: vec![(label, secrets)] },
        Draft::public(Event::Selected(Selected { community, first_interval, ..Selected::default() })),
        Draft {
            event: Event::Applied(applied),
            parts: state_parts(kind::APPLIED, first_interval, &t.after, Vec::new())?,
        },
        Draft::public(Event::Proven(proven)),
        Draft::public(Event::Settled(settled)),
    ];
    for draft in drafts {
        store.stage(log_state, draft)?;
        store.commit(log_state)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gridveil_protocol::params::SHAPES;

    #[test]
    fn a_period_takes_what_its_records_take() {
        let city = City { homes: 100, shape: SHAPES[0], seed: 1 };
        let cost = measure(&city, &Profiles::measured().unwrap(), 4512).unwrap();
        // Four packets of 346 bytes in the clear, each sealed, labelled, filled up to a kibibyte and chained.
        assert!((4.0 * 346.0..4.0 * 1200.0).contains(&cost.packets), "{cost:?}");
        assert!(cost.rest > 2.0 * 4512.0 && cost.rest < 80_000.0, "the proof is stored as hex: {cost:?}");
        assert!(cost.genesis > 1000.0 && cost.time.wall_s > 0.0);
    }
}
