//! Valid inputs of every target, made by the project's own writers.

use std::{fs, path::Path, sync::OnceLock};

use gridveil_auditor::genesis::{Genesis, Node};
use gridveil_fuzz::{client::PASSPHRASE, operator::SPOOL_KEY, protocol::Served};
use gridveil_meter_client::{
    key_store::{Cost, Keys},
    source::{self, Choice},
};
use gridveil_protocol::{
    certificate::ShownHolding,
    codec::{decode_packet, encode_packet},
    field::Fr,
    fixture::{self, Extras, Recipe, Stream},
    header_operation::{HeaderOperation, Pool},
    market::Mechanism,
    opening::PeriodOpening,
    operation::{Kind, SignedOperation},
    owner::{NullifierKey, owner_of},
    packet::SignedPacket,
    params::SHAPES,
    poseidon::DomainTag,
    receipt::{Receipt, ReceiptRequest},
    settlement::{SettlementInput, Transition, apply},
    units::Interval,
};
use gridveil_prover::{
    job::{ProofJob, ProofResult, Timings},
    spool::{Spool, SpoolConfig, SpoolKey},
    srs::ptau,
};
use gridveil_sequencer::store::{
    data_keys::Sealed,
    log::Log,
    record::{Applied, Event, PacketAccepted, Proven, TariffPublished, encode_body},
};
use halo2curves::{
    bn256::{Fr as Scalar, G1, G2},
    group::Curve,
    serde::SerdeObject,
};
use serde::{Serialize, de::DeserializeOwned};

/// The seeds of a target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let t = transition();
    match target {
        "packet" => t.input.packets.iter().map(encode_packet).collect(),
        "packet_json" => t.input.packets.iter().map(json).collect(),
        "operation" => t.input.operations.slots.iter().map(json).collect(),
        "header_operation" => vec![json(&t.input.operations.header), json(&HeaderOperation::default())],
        "receipt_request" => vec![json(&receipt_request())],
        "receipt" => (0..3).filter_map(|slot| Receipt::of(t, slot)).map(|r| json(&served(r))).collect(),
        "opening" => vec![json(&opening())],
        "holding" => vec![json(&holding())],
        "meter_csv" => vec![
            data("home.csv"),
            b"interval_start,import_wh,export_wh,home\n0,5,0,a\n900,6,1,a\n1800,0,0,a\n".to_vec(),
        ],
        "meter_green_button" => vec![data("two-registers.xml")],
        "key_file" => vec![key_file()],
        "genesis" => vec![json(&genesis())],
        "log_record" => events().iter().map(|event| [&event.kind().to_be_bytes()[..], &body(event)].concat()).collect(),
        "log_file" => vec![log_file(), Vec::new()],
        "proof_job" => vec![ProofJob::new(1, t.input.clone()).to_json().unwrap()],
        "spool_result" => spool_files(),
        "ptau" => vec![ceremony()],
        other => panic!("{other} has no seeds"),
    }
}

/// Does the target's decoder take this seed?
pub fn is_read(target: &str, seed: &[u8]) -> bool {
    fn is<T: DeserializeOwned>(seed: &[u8]) -> bool {
        serde_json::from_slice::<T>(seed).is_ok()
    }
    match target {
        "packet" => decode_packet(seed).is_ok(),
        "packet_json" => is::<SignedPacket>(seed),
        "operation" => is::<SignedOperation>(seed),
        "header_operation" => is::<HeaderOperation>(seed),
        "receipt_request" => is::<ReceiptRequest>(seed),
        "receipt" => serde_json::from_slice::<Served>(seed).is_ok_and(|Served { receipt, tariff }| {
            receipt.verify(Some(&receipt.readings), &tariff, receipt.root).is_ok()
        }),
        "opening" => is::<PeriodOpening>(seed),
        "holding" => is::<ShownHolding>(seed),
        "meter_csv" | "meter_green_button" => source::read(seed, &Choice::default()).is_ok(),
        "genesis" => is::<Genesis>(seed),
        "proof_job" => ProofJob::from_json(seed).is_ok_and(|job| apply(job.input).is_ok()),
        // These are written by their own writers and read back by their targets.
        _ => true,
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../meter-client/tests/data").join(name)).unwrap()
}

/// A small settlement with operations and a header operation.
fn transition() -> &'static Transition {
    static TRANSITION: OnceLock<Transition> = OnceLock::new();
    TRANSITION.get_or_init(|| {
        let recipe = Recipe { shape: SHAPES[0], seed: 3, mechanism: Mechanism::Auction, used: 4 };
        let extras = Extras { header: Some(Pool::SupplierIn), management: true, ..Extras::default() };
        let input: SettlementInput = fixture::with_operations(&recipe, &[Kind::Deposit, Kind::Terms], extras).unwrap();
        apply(input).unwrap()
    })
}

fn served(receipt: Receipt) -> Served {
    Served { receipt, tariff: transition().input.tariff.clone() }
}

fn receipt_request() -> ReceiptRequest {
    let (secret, domain) = (fixture::owner_key(2), transition().input.domain);
    let message = ReceiptRequest::message(domain, 5, 2, Interval(420_000), 1_700_000_000);
    ReceiptRequest {
        community: 5,
        slot: 2,
        first_interval: Interval(420_000),
        timestamp: 1_700_000_000,
        owner: owner_of(&secret),
        signature: secret.sign(DomainTag::Request, &message).unwrap(),
    }
}

fn opening() -> PeriodOpening {
    let t = transition();
    let before = t.input.community.header.clone();
    PeriodOpening {
        chain_id: 31_337,
        contract: [0x11; 20],
        community: t.after.index,
        first_interval: before.next_interval,
        before: Some(before),
        after: t.after.header.clone(),
        genesis: None,
    }
}

fn holding() -> ShownHolding {
    let key = NullifierKey::of(&fixture::certificate::owner_key(1));
    let instance = fixture::certificate::plan(1).instance(&key);
    ShownHolding { chain_id: 31_337, contract: [0x11; 20], instance, proof: vec![7; 96] }
}

fn genesis() -> Genesis {
    let mut stream = Stream::new(1);
    Genesis { communities: (0..3).map(|community| Node { community, node: stream.element() }).collect() }
}

fn key_file() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    Keys::generate().unwrap().create(&path, PASSPHRASE, Cost { memory_kib: 64, passes: 1, lanes: 1 }).unwrap();
    fs::read(path).unwrap()
}

fn events() -> Vec<Event> {
    let t = transition();
    let first_interval = t.input.community.header.next_interval;
    vec![
        Event::Packet(PacketAccepted { community: 5, first_interval, slot: 2, substituted: false, packet_id: [8; 32] }),
        Event::Tariff(TariffPublished {
            community: 5,
            first_interval,
            tariff: t.input.tariff.clone(),
            commitment: Fr::from(9u64),
        }),
        Event::Applied(Applied::of(1, None, t)),
        Event::Proven(Proven { batch: 1, prove_ms: 250, proof: "0x0102".to_owned() }),
    ]
}

fn body(event: &Event) -> Vec<u8> {
    let sealed = Sealed { community: 5, part: 2, generation: 0, nonce: [4; 24], ciphertext: vec![9; 33] };
    encode_body(&event.encode().unwrap(), &[sealed])
}

fn log_file() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut log = Log::open::<gridveil_sequencer::store::log::LogError>(&path, |_, _| Ok(())).unwrap();
    log.append(&events().iter().map(|event| (event.kind(), body(event))).collect::<Vec<_>>()).unwrap();
    fs::read(path).unwrap()
}

/// A waiting job and a result as the spool writes them, each behind its id; and the result's JSON.
fn spool_files() -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), SpoolKey::new(SPOOL_KEY), SpoolConfig::default()).unwrap();
    let job = ProofJob::new(1, transition().input.clone());
    let id = spool.submit(&job).unwrap();
    let file = |place: &str| [&id.as_bytes()[..], &fs::read(directory.path().join(place)).unwrap()].concat();
    let waiting = file(&format!("jobs/{id}.1"));
    let claim = spool.claim("seed").unwrap().unwrap();
    let result = ProofResult {
        job: id,
        batch: 1,
        shape: job.shape.clone(),
        circuit_version: job.circuit_version,
        srs: "INSECURE-dev".to_owned(),
        proof: vec![1; 64],
        instance: vec![Fr::from(5u64), Fr::from(6u64)],
        timings: Timings::default(),
        peak_rss_bytes: 1 << 30,
    };
    spool.finish(&claim, &result).unwrap();
    vec![waiting, file(&format!("results/{id}")), json(&result)]
}

/// A powers-of-tau file of four powers of the tau 5.
fn ceremony() -> Vec<u8> {
    const POWER: u32 = 2;
    let powers: Vec<Scalar> =
        std::iter::successors(Some(Scalar::from(1)), |power| Some(power * Scalar::from(5))).take(7).collect();
    let g1 = powers.iter().flat_map(|power| (G1::generator() * power).to_affine().to_raw_bytes()).collect();
    let g2 = powers[..4].iter().flat_map(|power| (G2::generator() * power).to_affine().to_raw_bytes()).collect();
    // The prime of the base field, little-endian.
    let prime = hex::decode("47fd7cd8168c203c8dca7168916a81975d588181b64550b829a031e1724e6430").unwrap();
    let header = [&32u32.to_le_bytes()[..], &prime, &POWER.to_le_bytes(), &POWER.to_le_bytes()].concat();
    let mut file = [&b"ptau"[..], &1u32.to_le_bytes(), &3u32.to_le_bytes()].concat();
    for (section, contents) in (1u32..).zip([header, g1, g2]) {
        file.extend(section.to_le_bytes());
        file.extend((contents.len() as u64).to_le_bytes());
        file.extend(contents);
    }
    file
}

/// The ceremony is one that the loader takes.
#[test]
fn the_small_ceremony_is_loaded() {
    use blake2::Digest;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.ptau");
    fs::write(&path, ceremony()).unwrap();
    let hash = blake2::Blake2b512::digest(ceremony()).into();
    for k in [1, 2] {
        ptau::load(&path, &hash, k, &gridveil_prover::progress::Silent).unwrap();
    }
}
