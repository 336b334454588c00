//! The sequencer on a real node, which reorganises its chain.
use std::sync::Arc;

use gridveil_protocol::field::to_bytes;
use gridveil_verifier_contract::{
    AuditorL1, ChainL1, CommunityParams, EthersClient, OperatorL1, RollupConfig, VerifierInit,
    anvil::{ANVIL_KEYS, Anvil, AnvilOptions},
    ethers_client::Confirmations,
};
use serde_json::{Value, json};

use crate::common::{Node, PROOF_BYTES, SET, World, first_interval, genesis_terms};

/// Creates a contract of fourteen bytes that returns if the second word, the old root, is also the eleventh, with which a
/// proof begins here: a verifier of proofs that name their root.
const NAMES_ITS_ROOT: &str = "6d60203561014035145f5260205ff35f52600e6012f3";
/// Blocks after one that is final.
const DEEP: u64 = 2;

/// Waits for what the chain does. A transaction that the node knows and does not mine any more, because its block is gone,
/// is replaced after 45 seconds.
async fn until(node: &Node, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds().await {
        if start.elapsed() > std::time::Duration::from_secs(120) {
            panic!("never: {what}: {}", node.health().await.1);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

struct Chain {
    anvil: Anvil,
    l1: EthersClient,
}

impl Chain {
    /// A rollup with the genesis of `world`, its community 5 and the tariff.
    async fn new(world: &World) -> Self {
        let before = u64::from(first_interval().0) * 3600 - 24 * 3600;
        let anvil = Anvil::spawn_with(&AnvilOptions { timestamp: Some(before), ..AnvilOptions::default() }).unwrap();
        let deployer = EthersClient::connect(&anvil.url(), Some(ANVIL_KEYS[0]), None).await.unwrap();
        let verifier = deployer.deploy_code(&hex::decode(NAMES_ITS_ROOT).unwrap()).await.unwrap();
        let proof_length = u32::try_from(PROOF_BYTES).unwrap();
        let verifier = VerifierInit { shape: 1, slots: 4, m: 2, verifier, proof_length };
        let root = to_bytes(&world.genesis.public().root);
        let config = RollupConfig::single_account(deployer.account().unwrap(), root, true);
        let l1 = deployer.deploy_rollup(&config, &[verifier]).await.unwrap();
        l1.open_tariff_set(SET, 3600, 2).await.unwrap();
        let (community, genesis_terms) = (5, genesis_terms(5));
        let params =
            CommunityParams { community, shape: 1, interval_length_s: 3600, m: 2, tariff_set: SET, genesis_terms };
        l1.register_community(params).await.unwrap();
        l1.register_tariff(SET, first_interval().0, to_bytes(&world.tariff.commitment())).await.unwrap();
        Self { anvil, l1 }
    }

    async fn ask(&self, method: &str, params: Value) {
        self.asked(method, params).await;
    }

    async fn asked(&self, method: &str, params: Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = reqwest::Client::new().post(self.anvil.url()).json(&call).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    /// The end of a period has come.
    async fn after(&self, period: u32) {
        self.l1.set_local_time(u64::from((first_interval() + 2 * (period + 1)).0) * 3600).await.unwrap();
    }
}

/// What the node has of the account, mined or not: the number of its next transaction.
async fn numbered(chain: &Chain, block: &str) -> u64 {
    let account = format!("0x{}", hex::encode(chain.l1.account().unwrap()));
    let answer = chain.asked("eth_getTransactionCount", json!([account, block])).await;
    u64::from_str_radix(answer.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Several settlements wait for one block. Then the first of several is gone, and another transaction takes its number: the
/// others revert, and all are sent again.
#[tokio::test(flavor = "multi_thread")]
async fn several_settlements_are_on_their_way_at_once() {
    let plain = World::new().await;
    let chain = Chain::new(&plain).await;
    let world = World::with(|genesis| genesis.contract = chain.l1.contract()).await;
    let l1 = EthersClient::connect(&chain.anvil.url(), Some(ANVIL_KEYS[0]), Some(chain.l1.contract())).await.unwrap();
    let mut config = world.config(&world.data());
    config.settling = 3;
    let node = world.start_on(config, Arc::new(l1.with_confirmations(Confirmations::Blocks(DEEP)))).await;
    let on_l1 = async || chain.l1.batch_count().await.unwrap();
    chain.after(7).await;
    chain.ask("evm_setAutomine", json!([false])).await;
    let mut periods = 0..;
    let mut run = async |count: usize| {
        for period in periods.by_ref().take(count) {
            node.run_period(&world, 5, period).await;
        }
    };
    run(4).await;
    let first = numbered(&chain, "latest").await;
    // The first went alone, as nothing else was proven; it is mined, and then three go at once.
    until(&node, "one waits", async || numbered(&chain, "pending").await > first).await;
    chain.ask("anvil_mine", json!([1])).await;
    until(&node, "all wait", async || numbered(&chain, "pending").await == first + 4).await;
    chain.ask("anvil_mine", json!([1])).await;
    until(&node, "in one block", async || on_l1().await == 4).await;
    assert_eq!(numbered(&chain, "latest").await, first + 4, "nothing was sent twice");
    chain.ask("anvil_mine", json!([DEEP])).await;
    node.settled(5, 4).await;

    // Three more; the first is lost, and its number is taken by something else.
    run(4).await;
    until(&node, "one waits", async || numbered(&chain, "pending").await > first + 4).await;
    chain.ask("anvil_mine", json!([1])).await;
    until(&node, "three wait", async || numbered(&chain, "pending").await == first + 8).await;
    let other = chain.l1.clone();
    let taken = tokio::spawn(async move { other.open_tariff_set(77, 3600, 2).await });
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    chain.ask("anvil_mine", json!([1])).await;
    taken.await.unwrap().unwrap();
    assert_eq!(on_l1().await, 5, "the two behind it reverted");
    chain.ask("evm_setAutomine", json!([true])).await;
    until(&node, "sent again", async || on_l1().await == 8).await;
    chain.ask("anvil_mine", json!([DEEP])).await;
    node.settled(5, 8).await;
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

/// One block of reorganisation stopped the sequencer for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_reorganises_is_survived() {
    let plain = World::new().await;
    let chain = Chain::new(&plain).await;
    let world = World::with(|genesis| genesis.contract = chain.l1.contract()).await;
    let connect = async || {
        let l1 =
            EthersClient::connect(&chain.anvil.url(), Some(ANVIL_KEYS[0]), Some(chain.l1.contract())).await.unwrap();
        let l1 = Arc::new(l1.with_confirmations(Confirmations::Blocks(DEEP)));
        world.start_on(world.config(&world.data()), l1).await
    };
    let settled = async |node: &Node| node.get("/v1/communities/5").await.1["settled"].as_array().unwrap().len();
    let on_l1 = async || chain.l1.batch_count().await.unwrap();

    let node = connect().await;
    chain.after(0).await;
    node.run_period(&world, 5, 0).await;
    until(&node, "on L1", async || on_l1().await == 1).await;
    let root = chain.l1.state_root().await.unwrap();
    assert_eq!(settled(&node).await, 0, "it is not final");
    chain.ask("anvil_reorg", json!([1, []])).await;
    until(&node, "sent again", async || on_l1().await == 1).await;
    assert_eq!(chain.l1.state_root().await.unwrap(), root, "the same batch");
    chain.ask("anvil_mine", json!([DEEP])).await;
    node.settled(5, 1).await;

    // Two batches in blocks that are gone, while the sequencer is down.
    chain.after(2).await;
    node.run_period(&world, 5, 1).await;
    node.run_period(&world, 5, 2).await;
    until(&node, "both on L1", async || on_l1().await == 3).await;
    node.handle.kill().await;
    chain.ask("anvil_reorg", json!([2, []])).await;
    assert_eq!(on_l1().await, 1);
    let node = connect().await;
    until(&node, "both sent again", async || on_l1().await == 3).await;
    assert_eq!(settled(&node).await, 1);
    chain.ask("anvil_mine", json!([DEEP])).await;
    node.settled(5, 3).await;
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}
