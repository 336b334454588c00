//! Valid inputs of every target, made by the project's own writers.

use std::{fs, path::Path, sync::OnceLock};

use gridveil_api::{
    Problem,
    admin::{CloseRequest, TariffRequest},
    code,
    problem::Members,
    public::{CommunityInfo, Info, OpenPeriod, OperationState, SettledPeriod},
};
use gridveil_auditor::genesis::{Genesis, Node};
use gridveil_circuits::verify::{CERTIFICATE_ROWS, proof_bytes};
use gridveil_fuzz::{
    client::PASSPHRASE,
    l1::verifier,
    operator::{KEYS_OF, data_keys},
    protocol::Served,
    prover::{CACHE_LABEL, QUEUE_PASSWORD, QUEUED_SHAPE, SPOOL_KEY},
};
use gridveil_meter_client::{
    device::{Device, Lock},
    key_store::{Cost, Keys},
    operation::Claim,
    source::{self, Choice},
    wallet::{ClaimFile, ConsentFile, DecisionFile, Deployment, NoteFile},
};
use gridveil_protocol::{
    account::Terms,
    certificate::{ShownHolding, ShownRetirement},
    codec::{decode_packet, encode_packet},
    community::Community,
    field::{Fr, to_bytes},
    fixture::{self, Extras, Recipe, Stream},
    header_operation::{HeaderOperation, Pool},
    hex::hex0,
    instance,
    market::Mechanism,
    opening::{BalanceOpening, BillOpening, PeriodOpening, ReadingOpening},
    operation::{Kind, SignedOperation},
    owner::{NullifierKey, owner_of},
    packet::SignedPacket,
    params::SHAPES,
    poseidon::DomainTag,
    receipt::{Receipt, ReceiptRequest},
    settlement::{SettlementInput, Transition, apply},
    tariff::Tariff,
    units::Interval,
    version::{CircuitVersion, VersionFrom},
};
use gridveil_prover::{
    job::{JobId, ProofJob, ProofResult, Timings},
    queue::Envelopes,
    spool::{Spool, SpoolConfig, SpoolKey},
    srs::ptau,
    store,
};
use gridveil_readings::{csv::PROFILES, sml};
use gridveil_sequencer::store::{
    data_keys::Sealed,
    log::Log,
    record::{Applied, Event, PacketAccepted, Proven, TariffPublished, encode_body},
};
use gridveil_verifier_contract::{
    SettleCall,
    ethers_client::{decode_settle_calldata, encode_settle_calldata},
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
        "opening" => vec![json(&opening()), json(&balance()), json(&reading()), json(&bill())],
        "holding" => vec![json(&holding())],
        "meter_csv" => vec![
            data("home.csv"),
            b"interval_start,import_wh,export_wh,home\n0,5,0,a\n900,6,1,a\n1800,0,0,a\n".to_vec(),
        ],
        "meter_green_button" => vec![data("two-registers.xml")],
        "meter_nem12" => vec![data("two-registers.nem12")],
        "meter_p1" => vec![data("three-telegrams.p1")],
        "meter_sml" => vec![data("two-telegrams.sml")],
        "meter_xlsx" => vec![data("quarters.xlsx")],
        "meter_mscons" => vec![data("load-profile.edi")],
        "meter_ocmf" => vec![data("two-sessions.ocmf")],
        "meter_mapping" => PROFILES.iter().map(|profile| profile.text.into()).collect(),
        "key_file" => vec![key_file(), device_file()],
        "genesis" => vec![json(&genesis())],
        "exchange_file" => exchange_files(),
        "api_answer" => answers(),
        "retirement" => vec![json(&retirement())],
        "curve_points" => vec![
            fixture::mdm_key().public().to_bytes().to_vec(),
            receipt_request().signature.to_bytes().to_vec(),
            fixture::mdm_key().to_bytes().to_vec(),
        ],
        "text" => [&hex0([7; 32]), &hex0([0xab; 20]), "1234", "0x00", &"5a".repeat(32)].map(|t| t.into()).to_vec(),
        "records" => vec![records(), Vec::new()],
        "settle_calldata" => vec![encode_settle_calldata(&settle_call())],
        "proof" => proofs(),
        "data_key_file" => data_key_files(),
        "secret_file" => vec![b"5a".repeat(32), [b"5a".repeat(32), b"\n".to_vec()].concat(), vec![7; 32]],
        "community_file" => vec![json(&t.input.community), json(&t.input.tariff), json(&t.after.accounts[0].terms)],
        "admin_request" => vec![
            json(&CloseRequest { first_interval: Interval(420_000) }),
            json(&TariffRequest { first_interval: Interval(420_000), tariff: t.input.tariff.clone() }),
        ],
        "queue_envelope" => queue_envelopes(),
        "queue_address" => queue_addresses(),
        "cache_file" => vec![cache_file()],
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
        "opening" => {
            is::<PeriodOpening>(seed)
                || is::<BalanceOpening>(seed)
                || is::<ReadingOpening>(seed)
                || is::<BillOpening>(seed)
        }
        "holding" => is::<ShownHolding>(seed),
        "meter_csv" | "meter_green_button" | "meter_nem12" | "meter_p1" | "meter_xlsx" | "meter_mscons"
        | "meter_ocmf" => source::read(seed, &Choice::default()).is_ok(),
        "meter_sml" => sml::telegrams(seed).0.len() == 2,
        "genesis" => is::<Genesis>(seed),
        "retirement" => is::<ShownRetirement>(seed),
        "exchange_file" => {
            is::<ClaimFile>(seed) || is::<NoteFile>(seed) || is::<ConsentFile>(seed) || is::<DecisionFile>(seed)
        }
        "api_answer" => {
            is::<Info>(seed) || is::<CommunityInfo>(seed) || is::<OperationState>(seed) || is::<Problem>(seed)
        }
        "settle_calldata" => decode_settle_calldata(seed).is_ok(),
        "community_file" => is::<Community>(seed) || is::<Tariff>(seed) || is::<Terms>(seed),
        "admin_request" => is::<CloseRequest>(seed) || is::<TariffRequest>(seed),
        "data_key_file" => {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(format!("{}.keys", KEYS_OF.0));
            fs::write(&path, seed).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            data_keys(directory.path()).load(KEYS_OF.0, KEYS_OF.1, &std::collections::BTreeSet::new()).is_ok()
        }
        "queue_envelope" => {
            let (id, sealed) = seed.split_first_chunk::<32>().unwrap();
            let (id, envelopes) = (JobId::from(*id), Envelopes::new(SpoolKey::new(SPOOL_KEY)));
            envelopes.open_job(id, QUEUED_SHAPE, sealed).is_ok()
                || envelopes.open_result(id, QUEUED_SHAPE, sealed).is_ok()
                || envelopes.open_error(id, QUEUED_SHAPE, sealed).is_ok()
        }
        "proof_job" => ProofJob::from_json(seed).is_ok_and(|job| apply(job.input).is_ok()),
        // These are written by their own writers and read back by their targets.
        _ => true,
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/readings/tests/data").join(name)).unwrap()
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

fn balance() -> BalanceOpening {
    BalanceOpening::of(31_337, [0x11; 20], &Receipt::of(transition(), 1).unwrap())
}

fn reading() -> ReadingOpening {
    ReadingOpening::of(31_337, [0x11; 20], &Receipt::of(transition(), 1).unwrap())
}

fn bill() -> BillOpening {
    BillOpening::of(31_337, [0x11; 20], &Receipt::of(transition(), 1).unwrap())
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

fn device_file() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("device");
    let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    Device::generate().unwrap().create(&path, Lock::Passphrase(PASSPHRASE, cost)).unwrap();
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
    let the_one_in =
        |folder: &str| fs::read_dir(directory.path().join(folder)).unwrap().next().unwrap().unwrap().path();
    let file = |folder: &str| [&id.as_bytes()[..], &fs::read(the_one_in(folder)).unwrap()].concat();
    let waiting = file("jobs");
    let claim = spool.claim("seed").unwrap().unwrap();
    let result = result(id, &job);
    spool.finish(&claim, &result).unwrap();
    vec![waiting, file("results"), json(&result)]
}

fn result(id: JobId, job: &ProofJob) -> ProofResult {
    ProofResult {
        job: id,
        batch: 1,
        shape: job.shape.clone(),
        circuit_version: job.circuit_version,
        srs: "INSECURE-dev".to_owned(),
        proof: vec![1; 64],
        instance: vec![Fr::from(5u64), Fr::from(6u64)],
        timings: Timings::default(),
        peak_rss_bytes: 1 << 30,
    }
}

/// The three kinds of a row, each behind the job's id.
fn queue_envelopes() -> Vec<Vec<u8>> {
    let envelopes = Envelopes::new(SpoolKey::new(SPOOL_KEY));
    let job = ProofJob::new(1, transition().input.clone());
    let (id, sealed) = envelopes.seal_job(&job).unwrap();
    let result = envelopes.seal_result(id, QUEUED_SHAPE, &result(id, &job)).unwrap();
    let error = envelopes.seal_error(id, QUEUED_SHAPE, "why not").unwrap();
    [sealed, result, error].map(|sealed| [&id.as_bytes()[..], &sealed].concat()).to_vec()
}

fn queue_addresses() -> Vec<Vec<u8>> {
    let of = |rest: &str| format!("postgres://gridveil:{QUEUE_PASSWORD}@{rest}").into_bytes();
    ["localhost/d", "127.0.0.1:5433/d?sslmode=disable", "%2Frun%2Fpostgresql/d", "h/d?sslcert=a"].map(of).to_vec()
}

fn cache_file() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cached");
    store::write(&path, CACHE_LABEL, |writer| writer.write_all(b"parameters")).unwrap();
    fs::read(path).unwrap()
}

/// Fresh keys; and the same after the keys of one slot were erased.
fn data_key_files() -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    data_keys(directory.path()).create(KEYS_OF.0, KEYS_OF.1).unwrap();
    let fresh = fs::read(directory.path().join(format!("{}.keys", KEYS_OF.0))).unwrap();
    let (head, entry) = (16, (fresh.len() - 16) / (KEYS_OF.1 + 1));
    let mut erased = fresh.clone();
    erased[head + 2 * entry..head + 3 * entry].fill(0);
    erased[head + 2 * entry + 3] = 1;
    vec![fresh, erased]
}

fn deployment() -> Deployment {
    Deployment { chain_id: 31_337, contract: [0x11; 20] }
}

fn exchange_files() -> Vec<Vec<u8>> {
    let (t, deployment) = (transition(), deployment());
    let [salt_1, salt_2] = [Fr::from(3u64), Fr::from(4u64)];
    let claim = Claim { recipient: Fr::from(2u64), amount: 5, payout: [2; 20], salts: [salt_1, salt_2] };
    let decision = t.input.operations.header.clone();
    vec![
        json(&ClaimFile { deployment, claim }),
        json(&NoteFile { deployment, note: fixture::certificate::plan(1).note }),
        json(&ConsentFile { deployment, consent: t.input.operations.slots[0].clone() }),
        json(&DecisionFile { deployment, community: 5, decision }),
    ]
}

fn retirement() -> ShownRetirement {
    let (sealed, statement) = (0..24)
        .find_map(|seed| {
            let plan = fixture::certificate::plan(seed);
            let sealed = plan.retirement.as_ref()?.sealed;
            Some((sealed, plan.statement()?))
        })
        .unwrap();
    ShownRetirement::new(31_337, [0x11; 20], sealed, statement)
}

/// What a sequencer answers.
fn answers() -> Vec<Vec<u8>> {
    let t = transition();
    let (contract, next_interval) = ([0x11; 20], t.after.header.next_interval);
    let info = Info {
        chain_id: 31_337,
        contract,
        domain: instance::domain(31_337, &contract, 2),
        circuit_version: 2,
        versions: vec![
            VersionFrom { circuit_version: CircuitVersion::V2, from_s: 0 },
            VersionFrom { circuit_version: CircuitVersion::new(3), from_s: 1_512_086_400 },
        ],
    };
    let community = CommunityInfo {
        community: 5,
        shape: "tiny-4x2".to_owned(),
        members: 4,
        intervals: 2,
        interval_length: 3600,
        mechanism: Mechanism::Auction,
        mdm: fixture::mdm_key().public(),
        next_interval,
        settled: vec![SettledPeriod {
            first_interval: Interval(420_000),
            root: t.instance.new_root,
            batch: 1,
            tx: None,
            block: None,
        }],
        open: OpenPeriod { first_interval: next_interval, closed: false },
    };
    let members = Members { expected: Some(7), ..Members::default() };
    vec![
        json(&info),
        json(&community),
        json(&OperationState::Applied { batch: 1, settled: true }),
        json(&Problem::new(code::OPERATION_NONCE, "why".to_owned(), members)),
    ]
}

/// The words of the settlement's records.
fn records() -> Vec<u8> {
    let words = &transition().data[transition().input.community.shape.members + 2..];
    words.iter().flat_map(to_bytes).collect()
}

fn settle_call() -> SettleCall {
    let t = transition();
    SettleCall {
        circuit_version: 2,
        community: 5,
        first_interval: t.input.community.header.next_interval.0,
        tariff_index: 1,
        new_root: to_bytes(&t.instance.new_root),
        community_new: to_bytes(&t.instance.community_new),
        ops_digest: to_bytes(&t.instance.ops_digest),
        data: t.data.iter().map(to_bytes).collect(),
        proof: vec![7; 96],
    }
}

/// Nine public inputs, and bytes of a proof's length: zeros, or points of the curve and small scalars.
fn proofs() -> Vec<Vec<u8>> {
    let rows = (1..=CERTIFICATE_ROWS as u64).flat_map(|row| to_bytes(&Fr::from(row))).collect::<Vec<u8>>();
    let length = proof_bytes(verifier().vk().cs());
    let [one, two] = [Fr::from(1u64), Fr::from(2u64)].map(|x| to_bytes(&x));
    // (1, 2) is the generator. After an odd number of scalars the last points begin a word later.
    let turns =
        [[one, two], [two, one]].map(|turn| turn.concat().into_iter().cycle().take(length).collect::<Vec<u8>>());
    turns.into_iter().chain([vec![0; length]]).map(|proof| [rows.clone(), proof].concat()).collect()
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
