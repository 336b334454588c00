//! A small deployment: two fixture communities of shape tiny-4x2, an L1 in memory, a prover that answers at once or
//! never.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

mod prover;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use prover::*;

use gridveil_protocol::{
    account::Account,
    community::Community,
    field::{Fr, hex_fr, to_bytes},
    fixture::{self, Recipe, Stream},
    header::Totals,
    market::Mechanism,
    operation::{Kind, Operation, SignedOperation},
    owner::owner_of,
    packet::{Context, Packet, PacketSalts, Reading, SignedPacket},
    params::{CERTIFICATES_DEPTH, Shape, UNIT_NANO},
    schnorr::SecretKey,
    tariff::Tariff,
    tree::SparseTree,
    units::Interval,
};
use gridveil_sequencer::{AdminToken, Backoff, Config, GenesisState, Handle, create_master_key, serve};
use gridveil_verifier_contract::{
    AuditorL1, CommunityParams, DepositEntry, DepositState, OperatorL1, RollupEffect, SettlementL1, Word,
    memory::{MemoryL1, MemoryL1Config},
};
use serde_json::{Value, json};

pub const CHAIN: u64 = 31337;
pub const CONTRACT: [u8; 20] = [0x11; 20];
pub const TOKEN: &str = "a token of enough bytes";
/// More than any genesis here has.
const POOL_NANO: u64 = 1 << 60;
/// Used slots of a fixture community; slot 3 is empty.
pub const USED: usize = 3;
pub const SET: u32 = 9;

/// A deployment: what survives a crash of the sequencer, and the means to start it again.
pub struct World {
    pub dir: tempfile::TempDir,
    pub genesis: GenesisState,
    pub tariff: Tariff,
    pub l1: Arc<MemoryL1>,
    pub prover: Arc<FakeProver>,
}

pub fn owner_key(slot: usize) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(40 + slot).unwrap(); 64])
}

fn community(index: u32) -> Community {
    let recipe =
        Recipe { shape: Shape::by_name("tiny-4x2").unwrap(), seed: 2, mechanism: Mechanism::Auction, used: USED };
    let mut community = fixture::settlement(&recipe).unwrap().community;
    community.index = index;
    for (slot, account) in community.accounts.iter_mut().enumerate().take(USED) {
        account.owner = owner_of(&owner_key(slot)).commitment();
        account.terms.active_from = Interval::ZERO;
    }
    community
}

pub fn first_interval() -> Interval {
    community(5).header.next_interval
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(edit: impl FnOnce(&mut GenesisState)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        create_master_key(&dir.path().join("master")).unwrap();
        let mut genesis = GenesisState {
            chain_id: CHAIN,
            contract: CONTRACT,
            circuit_version: 2,
            communities: vec![community(5), community(7)],
            other_leaves: vec![(1, Fr::from(77u64))],
            begins: Vec::new(),
        };
        edit(&mut genesis);
        let tariff = fixture::tariff(&mut Stream::new(8), 2);
        let l1 = Arc::new(new_l1(&genesis, &tariff).await);
        Self { dir, genesis, tariff, l1, prover: Arc::new(FakeProver::default()) }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn config(&self, data: &Path) -> Config {
        let mut config =
            Config::new(data.to_path_buf(), self.dir.path().join("master"), AdminToken::new(TOKEN).unwrap());
        config.genesis = Some(self.genesis.clone());
        config.backoff = Backoff { first: Duration::from_millis(5), longest: Duration::from_millis(20) };
        config.watch_every = Duration::from_millis(20);
        // The clock of this L1 is where a test puts it.
        config.l1_head_age = None;
        config
    }

    pub async fn start(&self) -> Node {
        self.start_with(self.config(&self.data())).await
    }

    pub async fn start_with(&self, config: Config) -> Node {
        self.start_on(config, self.l1.clone()).await
    }

    pub async fn start_on(&self, config: Config, l1: Arc<dyn SettlementL1>) -> Node {
        Node::over(serve(config, l1, self.prover.clone()).await.unwrap())
    }

    pub fn domain(&self) -> Fr {
        self.genesis.domain()
    }

    pub fn context(&self, community: u32, period: u32) -> Context {
        Context {
            domain: self.domain(),
            community,
            first_interval: first_interval() + 2 * period,
            interval_length: 3600,
            intervals: 2,
        }
    }

    /// The meter data manager's packet on top of what the slot waits for.
    pub fn substitute(&self, community: u32, period: u32, slot: usize, previous_substitute: Fr) -> SignedPacket {
        let packet = self.packet(community, period, slot, true).packet;
        Packet { previous_substitute, ..packet }.sign(&fixture::mdm_key()).unwrap()
    }

    /// The packet a meter makes: the same every time. A substitute has no previous one.
    pub fn packet(&self, community: u32, period: u32, slot: usize, substituted: bool) -> SignedPacket {
        let mut stream = Stream::new(
            u64::from(community) * 1000 + u64::from(period) * 10 + slot as u64 + if substituted { 500 } else { 0 },
        );
        let readings = (0..2).map(|_| Reading {
            import: u16::try_from(stream.below(900)).unwrap(),
            export: u16::try_from(stream.below(900)).unwrap(),
        });
        let account = self.genesis.communities.iter().find(|c| c.index == community).and_then(|c| c.accounts.get(slot));
        let packet = fixture::packet(
            self.context(community, period),
            u16::try_from(slot).unwrap(),
            readings.collect(),
            substituted,
            PacketSalts::from_random(&stream.bytes()),
        );
        let key = if substituted { fixture::mdm_key() } else { fixture::meter_key(slot) };
        Packet { scale: account.map_or(1, |a| a.terms.scale), ..packet }.sign(&key).unwrap()
    }
}

impl World {
    /// An operation of a slot, signed by its owner, and by the meter data manager where the kind asks for it.
    pub fn operation(&self, slot: u16, kind: Kind, nonce: u32, edit: impl FnOnce(&mut Operation)) -> SignedOperation {
        self.operation_by(&owner_key(usize::from(slot)), slot, kind, nonce, edit)
    }

    pub fn operation_by(
        &self,
        owner: &SecretKey,
        slot: u16,
        kind: Kind,
        nonce: u32,
        edit: impl FnOnce(&mut Operation),
    ) -> SignedOperation {
        let mut operation = Operation::new(kind, 5, slot, nonce);
        edit(&mut operation);
        let signed = operation.sign(self.domain(), owner, owner_of(owner)).unwrap();
        if kind.effect().mdm { signed.countersign(self.domain(), &fixture::mdm_key()).unwrap() } else { signed }
    }

    /// Nonce of a slot of community 5 in the genesis.
    pub fn nonce(&self, slot: usize) -> u32 {
        self.genesis.communities[0].accounts[slot].nonce
    }
}

/// A community before its beginning.
pub fn empty(community: &mut Community) {
    community.certificates = SparseTree::new(CERTIFICATES_DEPTH);
    let header = &mut community.header;
    (header.supplier_account, header.fee_account, header.reserve, header.certificate_count) = (0, 0, 0, 0);
    header.totals = Totals::default();
    for account in &mut community.accounts {
        *account = Account::empty(account.salts);
    }
}

/// What the meter data manager registers for the fixture's communities, should they begin.
pub fn genesis_terms(index: u32) -> Word {
    to_bytes(&gridveil_protocol::init::genesis_terms(&community(index).header))
}

pub fn units(units: u64) -> u64 {
    units * UNIT_NANO
}

/// An L1 from the genesis state, whose vault has what the genesis' accounts have.
pub async fn new_l1(genesis: &GenesisState, tariff: &Tariff) -> MemoryL1 {
    let l1 = MemoryL1::new(MemoryL1Config {
        chain_id: CHAIN,
        contract: CONTRACT,
        genesis_root: to_bytes(&genesis.public().root),
        timestamp: 4_000_000_000,
        circuit_version: 2,
        proof_length: Some(PROOF_BYTES),
        proofs_name_their_root: true,
        enforce_future_tariffs: false,
        ..MemoryL1Config::default()
    });
    l1.put_pool(POOL_NANO);
    l1.open_tariff_set(SET, 3600, 2).await.unwrap();
    for community in [5, 7] {
        l1.register_community(CommunityParams {
            community,
            shape: 1,
            interval_length_s: 3600,
            m: 2,
            tariff_set: SET,
            genesis_terms: genesis_terms(community),
        })
        .await
        .unwrap();
    }
    l1.register_tariff(SET, first_interval().0, to_bytes(&tariff.commitment())).await.unwrap();
    l1
}

/// An open deposit, made before the sequencer's time.
pub fn open_deposit(claim: Word, units: u64) -> DepositEntry {
    DepositEntry { claim, depositor: [0xdd; 20], units, block: 1, state: DepositState::Open }
}

/// What L1 tells of its batches' records.
pub async fn effects(l1: &MemoryL1) -> Vec<RollupEffect> {
    l1.events(0).await.unwrap().into_iter().map(|event| event.effect).collect()
}

/// Units that batches let leave the rollup, to payout accounts and to the treasury.
pub async fn paid_units(l1: &MemoryL1) -> (u64, u64) {
    let (mut accounts, mut treasury) = (0, 0);
    for effect in effects(l1).await {
        match effect {
            RollupEffect::WithdrawalCredited { units, .. } | RollupEffect::ForcedServed { units, .. } => {
                accounts += units;
            }
            RollupEffect::SupplierMoved { kind: 17 | 18, units, .. } => treasury += units,
            _ => {}
        }
    }
    (accounts, treasury)
}

/// A running sequencer and a client.
pub struct Node {
    pub handle: Handle,
    pub http: reqwest::Client,
}

pub type Answer = (u16, Value);

impl Node {
    pub fn over(handle: Handle) -> Self {
        // Plain HTTP, but a client asks for TLS all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { handle, http: reqwest::Client::new() }
    }

    async fn answer(mut request: reqwest::RequestBuilder) -> Answer {
        // A body that is too large is answered before it was read to its end. A client that still writes may see the
        // connection close first: it asks again, as HTTP clients do.
        let mut tries = 0;
        let response = loop {
            let again = request.try_clone();
            match (request.send().await, again) {
                (Err(error), Some(next)) if error.is_request() && tries < 5 => (request, tries) = (next, tries + 1),
                (sent, _) => break sent.unwrap(),
            }
        };
        let status = response.status().as_u16();
        let of_health = ["/healthz", "/livez", "/readyz"].contains(&response.url().path());
        if status >= 400 && !of_health {
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> Answer {
        Self::answer(self.http.get(format!("http://{}{path}", self.handle.public_address()))).await
    }

    /// Of the listener for health.
    pub async fn watched(&self, path: &str) -> Answer {
        Self::answer(self.http.get(format!("http://{}{path}", self.handle.health_address()))).await
    }

    /// What the operator is told of it.
    pub async fn health(&self) -> Answer {
        self.watched("/readyz").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Self::answer(self.http.post(format!("http://{}{path}", self.handle.public_address())).json(body)).await
    }

    pub async fn post_raw(&self, path: &str, media: &str, body: Vec<u8>) -> Answer {
        let request = self.http.post(format!("http://{}{path}", self.handle.public_address()));
        Self::answer(request.header("content-type", media).body(body)).await
    }

    pub async fn submit(&self, packet: &SignedPacket) -> Answer {
        self.post("/v1/packets", &serde_json::to_value(packet).unwrap()).await
    }

    pub async fn operate(&self, operation: &SignedOperation) -> Answer {
        self.post("/v1/operations", &serde_json::to_value(operation).unwrap()).await
    }

    /// Submits an operation that is accepted; the path of its state.
    pub async fn accepted(&self, operation: &SignedOperation) -> String {
        let (status, body) = self.operate(operation).await;
        assert_eq!(status, 201, "{body}");
        format!("/v1/operations/{}", body["operation_id"].as_str().unwrap())
    }

    pub async fn header(&self, community: u32, operation: &Value) -> Answer {
        self.admin(&format!("/admin/v1/communities/{community}/header-operation"), Some(operation), TOKEN).await
    }

    pub async fn admin(&self, path: &str, body: Option<&Value>, token: &str) -> Answer {
        let url = format!("http://{}{path}", self.handle.admin_address());
        let request = body.map_or_else(|| self.http.get(&url), |body| self.http.post(&url).json(body));
        Self::answer(request.bearer_auth(token)).await
    }

    pub async fn publish(&self, world: &World, community: u32) -> Answer {
        let body = json!({"first_interval": first_interval(), "tariff": world.tariff});
        self.admin(&format!("/admin/v1/communities/{community}/tariffs"), Some(&body), TOKEN).await
    }

    pub async fn close(&self, community: u32, period: u32) -> Answer {
        let body = json!({"first_interval": first_interval() + 2 * period});
        self.admin(&format!("/admin/v1/communities/{community}/close"), Some(&body), TOKEN).await
    }

    /// Slots without a packet, and the previous substitute of each.
    pub async fn missing(&self, community: u32) -> Vec<(usize, Fr)> {
        let (status, body) = self.admin(&format!("/admin/v1/communities/{community}/missing"), None, TOKEN).await;
        assert_eq!(status, 200, "{body}");
        let slot = |m: &Value| {
            (
                usize::try_from(m["slot"].as_u64().unwrap()).unwrap(),
                hex_fr::parse(m["previous_substitute"].as_str().unwrap()).unwrap(),
            )
        };
        body["missing"].as_array().unwrap().iter().map(slot).collect()
    }

    pub async fn status(&self) -> Value {
        self.admin("/admin/v1/status", None, TOKEN).await.1
    }

    /// Waits until this many periods of a community are final on L1.
    pub async fn settled(&self, community: u32, periods: usize) -> Value {
        for _ in 0..2000 {
            let (_, value) = self.get(&format!("/v1/communities/{community}")).await;
            if value["settled"].as_array().unwrap().len() >= periods {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("community {community} never settled {periods} periods: {}", self.status().await);
    }

    /// Submits the packets of a period of every meter but one.
    pub async fn submit_but(&self, world: &World, community: u32, period: u32, silent: usize) {
        for slot in (0..USED).filter(|slot| *slot != silent) {
            assert_eq!(self.submit(&world.packet(community, period, slot, false)).await.0, 201);
        }
    }

    /// Submits every meter's packet of a period.
    pub async fn submit_all(&self, world: &World, community: u32, period: u32) {
        for slot in 0..USED {
            let (status, body) = self.submit(&world.packet(community, period, slot, false)).await;
            assert!(status == 201 || status == 200, "{body}");
        }
    }

    /// Everything a period needs, from nothing to L1.
    pub async fn run_period(&self, world: &World, community: u32, period: u32) -> Value {
        self.publish(world, community).await;
        self.submit_all(world, community, period).await;
        let (status, body) = self.close(community, period).await;
        assert_eq!(status, 200, "{body}");
        body
    }
}

pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}
