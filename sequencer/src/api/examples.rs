//! Examples of the description: answers as the types write them, and requests with digits that stand for something.

use gridveil_api::{
    Bytes32, CodeName,
    admin::{
        BatchStatus, ClosedPeriod, CommunityStatus, ErasedAccount, FirstPeriod, HeaderOperationTaken, MissingPacket,
        MissingPackets, PlannedUpgrade, PublishedTariff, Registration, ServedCommunity, Status, Step,
    },
    progress::{Happened, Progress},
    public::{
        CommunityInfo, GivenBack, Health, HealthStatus, Info, NotePath, OpenPeriod, OperationState, OperationTaken,
        PacketTaken, SettledPeriod, Taken,
    },
    rows::{Batches, Periods, Row, RowAnswer, Rows, TariffFrom, Tariffs},
};
use gridveil_protocol::{
    field::Fr,
    market::Mechanism,
    tariff::{ClassPrices, IntervalTariff, Tariff},
    units::{Interval, Ticks},
    version::{CircuitVersion, VersionFrom},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::problem::{self, Problem};

const FIRST: Interval = Interval(420_000);
const SOME: Bytes32 = Bytes32([0x11; 32]);

fn element() -> Fr {
    Fr::from(7u64)
}

fn hex(bytes: usize) -> String {
    format!("0x{}", "11".repeat(bytes))
}

fn element_text() -> String {
    format!("0x{:064x}", 7)
}

/// A line of many, as text.
pub(super) fn line(value: &impl Serialize) -> String {
    format!("{}\n", serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn packet() -> Value {
    let element = element_text();
    json!({
        "context": {"domain": element, "community": 5, "first_interval": FIRST, "interval_length": 3600, "intervals": 2},
        "slot": 3, "readings": [{"import": 120, "export": 0}, {"import": 90, "export": 15}],
        "buy_limit": 30, "sell_limit": 8, "substituted": false, "scale": 1,
        "salts": {"exit": [element, element], "private": [element, element], "note": [element, element]},
        "previous_substitute": format!("0x{:064x}", 0), "signature": hex(64),
    })
}

pub(super) fn operation() -> Value {
    json!({
        "operation": {"kind": "withdraw", "community": 5, "slot": 3, "nonce": 4, "amount": 2_000_000_000u64},
        "owner": owner(), "signature": hex(64),
    })
}

fn owner() -> Value {
    json!({"key": hex(64), "nullifier": element_text()})
}

pub(super) fn receipt_request() -> Value {
    json!({"community": 5, "slot": 3, "first_interval": FIRST, "timestamp": 1_512_086_400, "owner": owner(), "signature": hex(64)})
}

pub(super) fn header_operation() -> Value {
    json!({"transfer": {"pool": "supplier_in", "units": 500}})
}

pub(super) fn beginning() -> Value {
    json!({"community": 7, "shape": "home-32x24", "mechanism": "auction", "interval_length": 3600, "first_interval": FIRST, "mdm": hex(64)})
}

pub(super) fn tariff() -> Tariff {
    let class = ClassPrices { energy: 180_000, network: 70_000, feed_in: 80_000, local_fee: 20_000 };
    let one = IntervalTariff { classes: [class; 2], cap: Ticks(3000), floor: Ticks(800), reference: Ticks(1500) };
    Tariff { intervals: vec![one; 2] }
}

fn versions() -> Vec<VersionFrom> {
    vec![VersionFrom { circuit_version: CircuitVersion::CURRENT, from_s: 0 }]
}

pub(super) fn info() -> Info {
    let (chain_id, contract, circuit_version) = (31337, [0x11; 20], CircuitVersion::CURRENT.number());
    let domain = gridveil_protocol::instance::domain(chain_id, &contract, circuit_version);
    Info { chain_id, contract, domain, circuit_version, versions: versions() }
}

fn settled() -> SettledPeriod {
    SettledPeriod { first_interval: FIRST, root: element(), batch: 1, tx: Some(SOME), block: Some(12) }
}

pub(super) fn community() -> CommunityInfo {
    CommunityInfo {
        community: 5,
        shape: "home-32x24".to_owned(),
        members: 32,
        intervals: 24,
        interval_length: 3600,
        mechanism: Mechanism::Auction,
        // Any point of the curve: nobody's key.
        mdm: gridveil_protocol::schnorr::empty_slot_key().public(),
        next_interval: FIRST + 24,
        settled: vec![settled()],
        open: OpenPeriod { first_interval: FIRST + 24, closed: false },
    }
}

pub(super) fn periods() -> Periods {
    Periods { periods: vec![settled()], next: Some(FIRST.0) }
}

pub(super) fn tariffs() -> Tariffs {
    Tariffs { tariffs: vec![TariffFrom { first_interval: FIRST.0, commitment: element() }], next: None }
}

pub(super) const fn taken(status: Taken) -> PacketTaken {
    PacketTaken { packet_id: SOME, status }
}

pub(super) const fn operation_taken(status: Taken) -> OperationTaken {
    OperationTaken { operation_id: SOME, status }
}

pub(super) const fn operation_state() -> OperationState {
    OperationState::Applied { batch: 12, settled: true }
}

pub(super) fn note() -> NotePath {
    let path = vec![[element(); 4]; 22];
    NotePath { community: 5, first_interval: FIRST, batch: 12, index: 34_359_738_369, path, root: element() }
}

pub(super) fn given_back() -> GivenBack {
    GivenBack { settled: true, ..GivenBack::default() }
}

pub(super) const fn health(status: HealthStatus) -> Health {
    Health { status, reasons: Vec::new() }
}

pub(super) fn rows() -> Rows {
    let refusal = Problem::new(problem::PACKET_CLOSED, "the period is closed").document();
    let taken = Row { row: 1, answer: RowAnswer::Taken { id: SOME, status: Taken::Accepted } };
    Rows { taken: 1, refused: 1, rows: vec![taken, Row { row: 2, answer: RowAnswer::Refused { problem: refusal } }] }
}

pub(super) fn events() -> String {
    let told = Progress { community: 5, first_interval: FIRST, batch: Some(1), step: Happened::Settled };
    let data = serde_json::to_string(&told).unwrap_or_default();
    format!("id: 6\nretry: 1000\n\nid: 7\nevent: {}\ndata: {data}\n\n", told.step.as_str())
}

pub(super) fn closed() -> ClosedPeriod {
    ClosedPeriod { community: 5, first_interval: FIRST, batch: 2, new_root: element() }
}

pub(super) const fn erased() -> ErasedAccount {
    ErasedAccount { community: 5, slot: 2, account: 0, ended_with: 31, batches: 31 }
}

pub(super) fn missing() -> MissingPackets {
    let one = MissingPacket { slot: 2, previous_substitute: element(), scale: 1 };
    MissingPackets { community: 5, first_interval: FIRST, missing: vec![one], next: None }
}

pub(super) fn published(l1: Registration) -> PublishedTariff {
    PublishedTariff { commitment: element(), l1 }
}

pub(super) const fn header_taken(status: Taken) -> HeaderOperationTaken {
    HeaderOperationTaken { id: SOME, status }
}

pub(super) const fn served() -> ServedCommunity {
    ServedCommunity { community: 7, first_interval: FIRST }
}

pub(super) fn upgrade() -> PlannedUpgrade {
    let communities = vec![FirstPeriod { community: 5, first_interval: FIRST + 48 }];
    PlannedUpgrade { circuit_version: CircuitVersion::new(3), from_s: 1_512_086_400, communities }
}

fn batch() -> BatchStatus {
    let step = Step::Settled { gas_used: Some(412_000), tx: Some(SOME), block: Some(12) };
    BatchStatus { batch: 1, first_interval: FIRST, prove_ms: Some(9120), step }
}

pub(super) fn batches() -> Batches {
    Batches { batches: vec![batch()], next: None }
}

pub(super) fn status() -> Status {
    Status {
        state_root: element(),
        log_height: 912,
        versions: versions(),
        stopped: None,
        retrying: Vec::new(),
        communities: vec![CommunityStatus {
            community: 5,
            next_interval: FIRST + 24,
            intervals: 24,
            interval_length: 3600,
            packets: 17,
            accounts: 30,
            closed: false,
            operations: 2,
            late: 1,
            header_pending: true,
            header_refused: Some(CodeName::from(problem::HEADER_RESERVE)),
            header_nonce: Some(3),
            blocked: None,
            batches: vec![batch()],
        }],
        next: None,
    }
}
