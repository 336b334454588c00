//! A member's commands: their help, their refusals, and the whole way of money against a scripted sequencer and the
//! fake L1.

mod certificates;
mod commands;
mod device;
mod exporting;
mod money;
mod recovery;
mod service;
mod small;
mod totals;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::Output,
    sync::{Arc, Mutex, OnceLock},
};

use crate::common;
use gridveil_api::public::{CommunityInfo, GivenBack, OpenPeriod, SettledPeriod};
use gridveil_auditor::{HeldError, Published, TotalsError, native::NativeCertificates};
use gridveil_cli::member::{
    Chain, Left, Session, abandon, deposit, exit_of, hex0, hold, leave, operate, receive, refresh, send, spend,
};
use gridveil_keystore::SealingKey;
use gridveil_meter_client::{
    device::{Device, Lock},
    key_store::Keys,
    operation::{self, BuildError},
    outbox::Outbox,
    packet::Draft,
    submit::{Retry, Sequencer},
    wallet::{Exit, ExitError, Progress, Spending},
};
use gridveil_protocol::{
    certificate::{Purpose, ShownHolding, ShownRetirement},
    codec::{operation_id, packet_id},
    field::{Fr, to_bytes},
    fixture::{self, Recipe},
    header_operation::{Pool, Transfer},
    market::Mechanism,
    opening::{GenesisPlace, PeriodOpening},
    operation::SignedOperation,
    owner::owner_of,
    packet::SignedPacket,
    params::{STATE_DEPTH, Shape, UNIT_NANO},
    receipt::{Receipt, ReceiptRequest},
    settlement::{SettlementInput, Transition, apply},
    tree::SparseTree,
    units::{Interval, Ticks, Wh},
};
use gridveil_prover::{
    certificate::{CertificateProver, CertificateProverConfig},
    progress::Silent,
    srs::{Srs, SrsSource},
};
use gridveil_verifier_contract::{
    CertificateCall, ChainL1, CommunityParams, MemberL1, OperatorL1, QueuesL1, SettleCall, SettlementL1, Stage,
    memory::{MemoryL1, MemoryL1Config, MemoryTerms},
};

fn gridveil(arguments: &[&str]) -> Output {
    common::gridveil()
        .args(arguments)
        .env_remove("GRIDVEIL_L1_KEY")
        .env("GRIDVEIL_PASSPHRASE", "a passphrase")
        .output()
        .unwrap()
}

/// Answers by path and body.
fn serve(handler: impl Fn(&str, &str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let (status, answer) = handler(first.split(' ').nth(1).unwrap_or(""), &String::from_utf8(body).unwrap());
            write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                answer.len()
            )
            .unwrap();
        }
    });
    url
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    hex0(bytes.as_ref()).split_off(2)
}

const CONTRACT: [u8; 20] = [0x11; 20];

/// What operator and L1 have.
#[derive(Default)]
struct Book {
    settled: Vec<Transition>,
    operations: BTreeMap<String, SignedOperation>,
    /// Packets in the order in which they were handed in.
    handed_in: Vec<SignedPacket>,
    refuse: Option<&'static str>,
    /// Packets of periods that are not settled, by slot and first interval.
    packets: BTreeMap<(u16, Interval), SignedPacket>,
    /// Settled periods that the sequencer hides, from the last one back.
    hidden: usize,
    /// Settled periods that the sequencer does not list any more, from the first one on.
    unlisted: usize,
    /// Receipts until it goes silent.
    receipts_left: Option<usize>,
    /// What L1 says beside roots and tariffs.
    l1: Worst,
    lies: Lies,
}

/// The worst that L1 can say.
#[derive(Clone, Copy, Default)]
struct Worst {
    frozen: bool,
    emergency: bool,
    exited: bool,
    /// As `endOf` numbers it.
    ending: u64,
}

type Lie<T> = Option<Box<dyn Fn(&[Transition], &mut T) + Send>>;

/// What the sequencer changes of its answers.
#[derive(Default)]
struct Lies {
    receipt: Lie<Receipt>,
    given_back: Lie<GivenBack>,
}

impl Book {
    fn told(&self) -> &[Transition] {
        &self.settled[..self.settled.len() - self.hidden]
    }

    /// Who may ask about a slot in a period: the owner before it, after it, or now.
    fn owners(&self, slot: u16, first_interval: Interval) -> Vec<Fr> {
        let then = self.told().iter().find(|t| t.input.community.header.next_interval == first_interval);
        let now = self.settled.last().filter(|_| then.is_none()).map(|t| &t.after);
        let communities = then.into_iter().flat_map(|t| [&t.input.community, &t.after]).chain(now);
        communities.filter_map(|c| c.accounts.get(usize::from(slot))).map(|account| account.owner).collect()
    }

    fn given_back(&self, request: &ReceiptRequest) -> GivenBack {
        let (slot, first) = (request.slot, request.first_interval);
        let then = self.told().iter().find(|t| t.input.community.header.next_interval == first);
        let settled =
            then.map(|t| t.input.packets[usize::from(slot)].clone()).filter(|signed| !signed.packet.substituted);
        let mut operations: Vec<_> = self.operations.values().filter(|s| s.operation.slot == slot).cloned().collect();
        operations.sort_by_key(|signed| signed.operation.nonce);
        let packet = settled.or_else(|| self.packets.get(&(slot, first)).cloned());
        let mut given_back = GivenBack { settled: then.is_some(), packet, late: None, operations };
        if let Some(lie) = &self.lies.given_back {
            lie(&self.settled, &mut given_back);
        }
        given_back
    }
}

fn problem(status: u16, code: &str) -> (u16, String) {
    (status, format!(r#"{{"type":"x","title":"refused","status":{status},"detail":"","code":"{code}"}}"#))
}

/// What the sequencer says of community 5.
fn served(settled: &[Transition]) -> CommunityInfo {
    let shape = Shape::by_name("tiny-4x2").unwrap();
    let next = settled.last().map_or(Interval::ZERO, |t| t.after.header.next_interval);
    let period = |(batch, t): (u64, &Transition)| SettledPeriod {
        first_interval: t.input.community.header.next_interval,
        root: t.instance.new_root,
        batch,
        tx: None,
        block: None,
    };
    CommunityInfo {
        community: 5,
        shape: shape.name.to_owned(),
        members: shape.members,
        intervals: 2,
        interval_length: 3600,
        mechanism: Mechanism::Auction,
        mdm: fixture::mdm_key().public(),
        next_interval: next,
        settled: (1..).zip(settled).map(period).collect(),
        open: OpenPeriod { first_interval: next, closed: false },
    }
}

fn sequencer(book: Arc<Mutex<Book>>, domain: Fr) -> String {
    serve(move |path, body| {
        let mut book = book.lock().unwrap();
        let contract = hex(CONTRACT);
        match path {
            "/v1/info" => (
                200,
                format!(
                    r#"{{"chain_id":31337,"contract":"0x{contract}","domain":"0x{}","circuit_version":2}}"#,
                    hex(to_bytes(&domain))
                ),
            ),
            "/v1/communities/5" => (200, serde_json::to_string(&served(&book.told()[book.unlisted..])).unwrap()),
            "/v1/given-back" => {
                let request: ReceiptRequest = serde_json::from_str(body).unwrap();
                let owners = book.owners(request.slot, request.first_interval);
                match owners.iter().any(|owner| request.verify(domain, *owner).is_ok()) {
                    true => (200, serde_json::to_string(&book.given_back(&request)).unwrap()),
                    false => problem(401, "request.signature"),
                }
            }
            "/v1/receipts" => {
                match &mut book.receipts_left {
                    Some(0) => return problem(503, "queue.full"),
                    Some(left) => *left -= 1,
                    None => {}
                }
                let request: ReceiptRequest = serde_json::from_str(body).unwrap();
                let Some(t) =
                    book.settled.iter().find(|t| t.input.community.header.next_interval == request.first_interval)
                else {
                    return problem(404, "receipt.not_settled");
                };
                let owners = book.owners(request.slot, request.first_interval);
                if !owners.iter().any(|owner| request.verify(domain, *owner).is_ok()) {
                    return problem(401, "request.signature");
                }
                let mut receipt = Receipt::of(t, usize::from(request.slot)).unwrap();
                if let Some(lie) = &book.lies.receipt {
                    lie(&book.settled, &mut receipt);
                }
                (200, serde_json::to_string(&receipt).unwrap())
            }
            "/v1/packets" => {
                let packet: SignedPacket = serde_json::from_str(body).unwrap();
                let next = served(book.told()).next_interval;
                let (status, word) =
                    if packet.packet.context.first_interval < next { (202, "late") } else { (201, "accepted") };
                let id = hex(packet_id(&packet));
                let (status, word) = if book.handed_in.contains(&packet) { (200, "duplicate") } else { (status, word) };
                if !packet.packet.substituted {
                    book.packets.insert((packet.packet.slot, packet.packet.context.first_interval), packet.clone());
                }
                book.handed_in.push(packet);
                (status, format!(r#"{{"packet_id":"{id}","status":"{word}"}}"#))
            }
            "/v1/operations" => {
                if let Some(code) = book.refuse {
                    return problem(422, code);
                }
                let signed: SignedOperation = serde_json::from_str(body).unwrap();
                let id = format!("0x{}", hex(operation_id(&signed)));
                let again = book.operations.insert(id.clone(), signed).is_some();
                (
                    if again { 200 } else { 201 },
                    format!(r#"{{"operation_id":"{id}","status":"{}"}}"#, if again { "duplicate" } else { "accepted" }),
                )
            }
            _ if path.starts_with("/v1/operations/") => match book.operations.contains_key(&path[15..]) {
                true => (200, r#"{"state":"pending"}"#.into()),
                false => problem(404, "operation.unknown"),
            },
            _ if path.starts_with("/v1/communities/5/tariffs/") => {
                let first: Interval = path.rsplit('/').next().unwrap().parse().unwrap();
                let t = book.settled.iter().find(|t| t.input.community.header.next_interval == first).unwrap();
                (200, serde_json::to_string(&t.input.tariff).unwrap())
            }
            _ => problem(404, "route.unknown"),
        }
    })
}

fn rpc(book: Arc<Mutex<Book>>) -> String {
    serve(move |_, body| {
        let book = book.lock().unwrap();
        let request: serde_json::Value = serde_json::from_str(body).unwrap();
        let data = request["params"][0]["data"].as_str().unwrap_or("").to_owned();
        if request["method"] == "eth_getLogs" {
            return (200, r#"{"jsonrpc":"2.0","id":1,"result":[]}"#.to_owned());
        }
        if request["method"] == "eth_blockNumber" {
            return (200, r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#.to_owned());
        }
        let word = |x: u64| format!("{x:064x}");
        let is = |root: &Fr| data.ends_with(&hex(to_bytes(root)));
        let first_of = |t: &Transition| t.input.community.header.next_interval;
        let result = match (request["method"].as_str().unwrap(), data.get(2..10).unwrap_or_default()) {
            ("eth_chainId", _) => "7a69".to_owned(),
            // registry(), then tariffInForce(7, first) and communityOf(5) of it.
            (_, "7b103999") => word(0x7e9),
            (_, "3ca589b1") => {
                let first = Interval(u32::from_str_radix(&data[130..], 16).unwrap());
                let t = book.settled.iter().rev().find(|t| first_of(t) <= first).unwrap();
                word(1) + &hex(to_bytes(&t.instance.tariff_commitment))
            }
            (_, "465b023c") if data.ends_with(&word(5)) => [1, 3600, 2, 1, 7].map(word).concat(),
            (_, "465b023c") => word(0).repeat(5),
            // isFrozen(), inEmergency(5), hasExited(5, slot).
            (_, "33eeb147") => word(book.l1.frozen.into()),
            (_, "bc16c77d") => word(book.l1.emergency.into()),
            (_, "aa792377") => word(book.l1.exited.into()),
            // stateRoot(), settledThrough(5), endOf(5), isFinalised(root); what else a member asks is not so.
            (_, "9588eca2") => hex(to_bytes(&book.settled.last().map(|t| t.instance.new_root).unwrap_or_default())),
            (_, "ac3a09e4") => word(book.settled.last().map_or(0, |t| u64::from(first_of(t) + 2) * 3600)),
            (_, "1f05a105") => [book.l1.ending, 0, 0].map(word).concat(),
            (_, "c1d2dfa0") => word(u64::from(book.settled.iter().any(|t| is(&t.instance.new_root)))),
            _ => word(0),
        };
        (200, format!(r#"{{"jsonrpc":"2.0","id":1,"result":"0x{result}"}}"#))
    })
}

struct World {
    book: Arc<Mutex<Book>>,
    l1: Arc<MemoryL1>,
    state: SparseTree,
    sequencer: String,
    rpc: String,
    members: [Keys; 2],
    dir: tempfile::TempDir,
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

impl World {
    /// A tiny community with two members of ours, and the L1 that knows it from its genesis on.
    fn new() -> (Self, SettlementInput) {
        Self::seeded(5)
    }

    fn seeded(seed: u64) -> (Self, SettlementInput) {
        let recipe =
            Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed, mechanism: Mechanism::Auction, used: 2 };
        let mut input = fixture::settlement(&recipe).unwrap();
        for (slot, account) in input.community.accounts.iter_mut().enumerate().take(2) {
            (account.balance, account.debt, account.payout) =
                (100_000 * UNIT_NANO, 0, [u8::try_from(slot).unwrap() + 0x40; 20]);
        }
        input.community.header.totals.debt = 0;
        let mut state = SparseTree::new(STATE_DEPTH);
        state.set(5, input.community.node());
        state.set(9, Fr::from(77u64));
        let l1 = Arc::new(MemoryL1::new(MemoryL1Config {
            chain_id: 31337,
            contract: CONTRACT,
            genesis_root: to_bytes(&state.root()),
            timestamp: 1_000,
            shapes: vec![(1, 4, 2)],
            circuit_version: 2,
            proof_length: None,
            proofs_name_their_root: false,
            enforce_future_tariffs: false,
            terms: MemoryTerms::default(),
            balance_wei: 0,
        }));
        let params = CommunityParams {
            community: 5,
            shape: 1,
            interval_length_s: 3600,
            m: 2,
            tariff_set: 7,
            genesis_terms: [0; 32],
        };
        wait(l1.open_tariff_set(7, 3600, 2)).unwrap();
        wait(l1.register_community(params)).unwrap();
        l1.set_timestamp(3_000_000_000);
        let book = Arc::new(Mutex::new(Book::default()));
        let members =
            [0u8, 1].map(|slot| Keys::of(fixture::owner_key(usize::from(slot)), SealingKey::new([slot + 1; 32])));
        let (sequencer, rpc) = (sequencer(book.clone(), input.domain), rpc(book.clone()));
        (Self { book, l1, state, sequencer, rpc, members, dir: tempfile::tempdir().unwrap() }, input)
    }

    fn session(&self, slot: u16) -> Session {
        let sequencer = Sequencer::new(&self.sequencer, Retry::default()).unwrap();
        let dir = self.dir.path().join(slot.to_string());
        Session::with(&self.rpc, CONTRACT, Some(sequencer), self.members[usize::from(slot)].clone(), &dir, (5, slot))
            .unwrap()
    }

    fn chain(&self) -> Chain {
        let client: Arc<dyn MemberL1> = self.l1.clone();
        Chain::new(client, Some([0xca; 20])).unwrap()
    }

    /// Both members sign their packets, and the period settles, with everything that was handed in.
    fn settle(&mut self, input: SettlementInput) -> Transition {
        self.settle_with(input, &[0, 1])
    }

    /// As [`Self::settle`]: these slots sign, the input's packets stand for the others.
    fn settle_with(&mut self, mut input: SettlementInput, sign: &[u16]) -> Transition {
        let context = input.context();
        for slot in sign.iter().copied() {
            let keys = &self.members[usize::from(slot)];
            let packet = &input.packets[usize::from(slot)].packet;
            let draft = Draft {
                context,
                slot,
                readings: packet.readings.clone(),
                buy_limit: Ticks(10),
                sell_limit: Ticks(20),
                scale: packet.scale,
            };
            let outbox = Outbox::open(&self.dir.path().join(slot.to_string()), keys).unwrap();
            input.packets[usize::from(slot)] = outbox.sign_once(draft, &fixture::meter_key(usize::from(slot))).unwrap();
        }
        let mut book = self.book.lock().unwrap();
        input.operations.slots = std::mem::take(&mut book.operations).into_values().collect();
        input.operations.slots.sort_by_key(|signed| (signed.operation.slot, signed.operation.nonce));
        input.state_path = self.state.path(5);
        let t = apply(input).unwrap();
        let index = u32::try_from(book.settled.len()).unwrap();
        let first_interval = t.input.community.header.next_interval;
        wait(self.l1.register_tariff(7, first_interval.0, to_bytes(&t.instance.tariff_commitment))).unwrap();
        let call = SettleCall {
            circuit_version: 2,
            community: 5,
            first_interval: first_interval.0,
            tariff_index: index,
            new_root: to_bytes(&t.instance.new_root),
            community_new: to_bytes(&t.instance.community_new),
            ops_digest: to_bytes(&t.instance.ops_digest),
            data: t.data.iter().map(to_bytes).collect(),
            proof: vec![],
        };
        wait(self.l1.settle(call)).unwrap();
        self.state.set(5, t.instance.community_new);
        book.settled.push(t.clone());
        t
    }
}

/// The certificate circuit's prover, opened once.
fn prover() -> &'static CertificateProver {
    static PROVER: OnceLock<CertificateProver> = OnceLock::new();
    PROVER.get_or_init(|| CertificateProver::open(&CertificateProverConfig::local(common::cache()), &Silent).unwrap())
}

/// A world whose first member has a certificate of more than 10 Wh.
fn with_certificate() -> (World, Transition) {
    certificates().next().unwrap()
}

/// Worlds in which slot 0 has a certificate, each another one.
fn certificates() -> impl Iterator<Item = (World, Transition)> {
    (0..40).filter_map(|seed| {
        let (mut world, input) = World::seeded(seed);
        let t = world.settle(input);
        (t.notes[0].amount > Wh(10)).then_some((world, t))
    })
}
