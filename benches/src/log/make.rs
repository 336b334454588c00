//! A log of many packets.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, ensure};
use gridveil_protocol::{
    codec::{Bytes32, encode_packet, packet_id},
    community::{Community, node},
    field::Fr,
    fixture::{self, Recipe, Stream},
    market::Mechanism,
    packet::{PacketSalts, SignedPacket},
    params::{CIRCUIT_VERSION, Shape},
    tree::SparseTree,
    units::Interval,
};
use gridveil_sequencer::store::{
    Draft, GenesisState, Opened, Store,
    data_keys::{COMMUNITY_PART, Label, create_master_key},
    log::{self},
    log_state::LogState,
    plain,
    record::{
        Applied, Closed, ClosedSecrets, Element, Event, PacketAccepted, Proven, Selected, Settled, TariffPublished,
        Used, kind,
    },
    state_parts,
};

use crate::bar::Bar;

/// Bytes of a proof of the largest shape.
const PROOF_BYTES: usize = 4512;

/// A log that was made.
pub(super) struct Made {
    pub records: u64,
    pub bytes: u64,
    pub wall_s: f64,
    /// Bytes of a packet's record, averaged.
    pub of_packet: f64,
    /// Bytes of everything else of a community's period, averaged.
    pub of_period: f64,
}

pub(super) fn master_in(at: &Path) -> PathBuf {
    at.join("master.key")
}

pub(super) fn data_in(at: &Path) -> PathBuf {
    at.join("data")
}

/// What a period begins from.
struct Maker {
    store: Store,
    log_state: LogState,
    communities: BTreeMap<u32, Community>,
    tree: SparseTree,
    /// One signed packet of every slot.
    packets: Vec<SignedPacket>,
    tariff: TariffPublished,
    /// Root of the members, who stay as they are.
    members_root: Fr,
    stream: Stream,
    batch: u64,
}

/// Writes a log of so many packets, and a snapshot when so many records are still to come.
pub(super) fn make(
    at: &Path,
    shape: Shape,
    communities: u32,
    packets: u32,
    behind: u64,
    bar: &Bar,
) -> anyhow::Result<Made> {
    create_master_key(&master_in(at))?;
    let recipe = Recipe { shape, seed: 3, mechanism: Mechanism::Auction, used: shape.members };
    let input = fixture::settlement(&recipe)?;
    let one = |index| Community { index, ..input.community.clone() };
    let genesis = GenesisState {
        chain_id: 31_337,
        contract: [0x11; 20],
        circuit_version: CIRCUIT_VERSION,
        communities: (0..communities).map(one).collect(),
        other_leaves: Vec::new(),
        begins: Vec::new(),
    };
    let start = Instant::now();
    let Opened { store, log_state, communities: opened, tree, .. } =
        Store::open(&data_in(at), &master_in(at), Some(&genesis))?;
    let tariff = input.tariff;
    let tariff = TariffPublished {
        community: 0,
        first_interval: input.community.header.next_interval,
        commitment: tariff.commitment(),
        tariff,
    };
    let members_root = input.community.members_root();
    let mut maker = Maker {
        store,
        log_state,
        communities: opened,
        tree,
        packets: input.packets,
        tariff,
        members_root,
        stream: Stream::new(1 << 40),
        batch: 0,
    };
    let (mut left, mut of_packets, mut of_periods) = (packets, 0, 0);
    let (mut written, mut snapshot) = (0u64, false);
    let per_period = u64::from(communities) * (shape.members as u64 + 5);
    let all = u64::from(packets) + u64::from(packets) / shape.members as u64 * 5;
    'periods: loop {
        for index in 0..communities {
            let begin = maker.store.tip().end;
            let taken = left.min(u32::try_from(shape.members)?);
            maker.packets(index, usize::try_from(taken)?)?;
            of_packets += maker.store.tip().end - begin;
            (left, written) = (left - taken, written + u64::from(taken));
            (0..taken).for_each(|_| bar.step());
            if left == 0 {
                break 'periods;
            }
        }
        for index in 0..communities {
            let begin = maker.store.tip().end;
            maker.period(index)?;
            of_periods += maker.store.tip().end - begin;
        }
        if !snapshot && maker.store.height() + behind + per_period > all {
            let (reader, tip) = (maker.store.reader(), maker.store.tip());
            snapshot = reader.write_snapshot(&tip, &maker.log_state, &maker.tree)?;
        }
    }
    ensure!(snapshot, "too few packets: one period of every community, and another one");
    let tip = maker.store.tip();
    let periods = maker.batch;
    maker.store.close();
    Ok(Made {
        records: tip.height,
        bytes: std::fs::metadata(log::path_in(&data_in(at)))?.len(),
        wall_s: start.elapsed().as_secs_f64(),
        of_packet: of_packets as f64 / written as f64,
        of_period: of_periods as f64 / periods.max(1) as f64,
    })
}

impl Maker {
    fn first_interval(&self, community: u32) -> anyhow::Result<Interval> {
        Ok(self.log_state.communities.get(&community).context("the community")?.next_interval)
    }

    /// Packets of the first slots, with one sync.
    fn packets(&mut self, community: u32, count: usize) -> anyhow::Result<()> {
        let first_interval = self.first_interval(community)?;
        let here = self.log_state.communities.get(&community).context("the community")?.packets.len();
        for signed in self.packets.iter().skip(here).take(count) {
            let mut signed = signed.clone();
            (signed.packet.context.community, signed.packet.context.first_interval) = (community, first_interval);
            signed.packet.salts = PacketSalts::from_random(&self.stream.bytes());
            let slot = signed.packet.slot;
            let event = PacketAccepted {
                community,
                first_interval,
                slot,
                substituted: signed.packet.substituted,
                packet_id: packet_id(&signed),
            };
            let label = Label { kind: kind::PACKET, community, part: slot, first_interval };
            let draft = Draft { event: Event::Packet(event), parts: vec![(label, encode_packet(&signed).into())] };
            self.store.stage(&mut self.log_state, draft)?;
        }
        Ok(self.store.commit(&self.log_state)?)
    }

    /// Closes the open period of a community, and settles it: accounts stay as they are, and the header goes on.
    fn period(&mut self, index: u32) -> anyhow::Result<()> {
        let first_interval = self.first_interval(index)?;
        if self.log_state.communities.get(&index).is_some_and(|state| state.tariffs.is_empty()) {
            let tariff = TariffPublished { community: index, first_interval, ..self.tariff.clone() };
            self.store.stage(&mut self.log_state, Draft::public(Event::Tariff(tariff)))?;
        }
        let community = self.communities.get_mut(&index).context("the community")?;
        let used = self.packets.iter().map(|p| Used { slot: p.packet.slot, substituted: p.packet.substituted });
        let closed =
            Closed { community: index, first_interval, used: used.collect(), tariff_from: self.tariff.first_interval };
        let header_salts = [self.stream.element(), self.stream.element()];
        let secrets = plain(kind::CLOSED, &ClosedSecrets { header_salts, empty: Vec::new() })?;
        let label = Label { kind: kind::CLOSED, community: index, part: COMMUNITY_PART, first_interval };
        let (path, old_root) = (self.tree.path(u64::from(index)), self.tree.root());
        let (appended, appended_at) = (self.stream.element(), community.header.certificate_count);
        community.header.next_interval = first_interval + u32::from(community.header.intervals);
        community.header.certificate_count += 1;
        community.certificates.set(appended_at, appended);
        let header_leaf = community.header.leaf();
        self.tree.set(u64::from(index), node(header_leaf, self.members_root, community.certificates.root()));
        self.batch += 1;
        let batch = self.batch;
        let applied = Applied {
            batch,
            community: index,
            first_interval,
            old_root,
            new_root: self.tree.root(),
            previous: self.log_state.communities.get(&index).and_then(|state| state.last_batch),
            next_interval: community.header.next_interval,
            appended,
            appended_at,
            notes_root: appended,
            header_leaf,
            members_root: self.members_root,
            state_path: path.iter().map(|level| level.map(Element)).collect(),
            refused: Vec::new(),
            ended: Vec::new(),
        };
        let selected = Selected { community: index, first_interval, ..Selected::default() };
        let proven = Proven { batch, prove_ms: 1700, proof: "ab".repeat(PROOF_BYTES) };
        let settled =
            Settled { batch, tx: Some(Bytes32([0xab; 32])), block: Some(20_000_000), gas_used: Some(750_000) };
        let parts = state_parts(kind::APPLIED, first_interval, community, Vec::new())?;
        let drafts = [
            Draft { event: Event::Closed(closed), parts: vec![(label, secrets)] },
            Draft::public(Event::Selected(selected)),
            Draft { event: Event::Applied(applied), parts },
            Draft::public(Event::Proven(proven)),
            Draft::public(Event::Settled(settled)),
        ];
        for draft in drafts {
            self.store.stage(&mut self.log_state, draft)?;
        }
        Ok(self.store.commit(&self.log_state)?)
    }
}
