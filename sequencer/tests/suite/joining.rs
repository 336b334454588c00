//! Communities that join a sequencer in service.
use gridveil_api::beginning::Beginning;
use gridveil_protocol::{field::to_bytes, fixture, hex::hex0, init, market::Mechanism};
use gridveil_sequencer::{
    Error, serve,
    store::{Store, StoreError, log},
};
use gridveil_verifier_contract::{ChainL1 as _, CommunityParams, OperatorL1 as _};
use serde_json::{Value, json};

use crate::common::{Node, SET, TOKEN, World, first_interval};

const NEW: u32 = 9;

fn beginning() -> Beginning {
    Beginning {
        community: NEW,
        shape: "tiny-4x2".to_owned(),
        mechanism: Mechanism::Auction,
        interval_length: 3600,
        first_interval: first_interval(),
        mdm: hex0(fixture::mdm_key().public().to_bytes()),
    }
}

async fn register(world: &World, community: u32) {
    let header = beginning().registered().unwrap().empty().header;
    let genesis_terms = to_bytes(&init::genesis_terms(&header));
    let params = CommunityParams { community, shape: 1, interval_length_s: 3600, m: 2, tariff_set: SET, genesis_terms };
    world.l1.register_community(params).await.unwrap();
}

async fn join(node: &Node, beginning: &Beginning) -> (u16, Value) {
    let body = serde_json::to_value(beginning).unwrap();
    let (status, body) = node.admin("/admin/v1/communities", Some(&body), TOKEN).await;
    (status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_community_joins_while_others_are_settled() {
    let world = World::new().await;
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    let wrong = |edit: fn(&mut Beginning)| {
        let mut wrong = beginning();
        edit(&mut wrong);
        wrong
    };
    let code = async |beginning: Beginning| join(&node, &beginning).await.1["code"].clone();
    assert_eq!(code(beginning()).await, "community.unregistered");
    register(&world, NEW).await;
    register(&world, NEW + 1).await;
    world.l1.announce_closing(NEW + 1).unwrap();
    assert_eq!(code(Beginning { community: NEW + 1, ..beginning() }).await, "community.closed", "it is to end");
    assert_eq!(code(wrong(|b| b.shape = "vast-1x1".to_owned())).await, "community.invalid");
    assert_eq!(code(wrong(|b| b.mdm = "0x00".to_owned())).await, "community.invalid");
    assert_eq!(code(wrong(|b| b.community = 65_536)).await, "community.invalid");
    assert_eq!(code(wrong(|b| b.interval_length = 0)).await, "community.invalid");
    assert_eq!(code(wrong(|b| b.interval_length = 900)).await, "community.other");
    assert_eq!(code(wrong(|b| b.first_interval = first_interval() + 2)).await, "community.other");
    assert_eq!(code(wrong(|b| b.mechanism = Mechanism::CommunityPrice)).await, "community.other");
    assert_eq!(code(Beginning { community: 5, ..beginning() }).await, "community.other", "that one is here");
    let root = node.status().await["state_root"].clone();
    assert_eq!(join(&node, &beginning()).await, (201, json!({"community": NEW, "first_interval": first_interval()})));
    assert_eq!(join(&node, &beginning()).await.0, 200);
    assert_eq!(node.status().await["state_root"], root, "it is in no state root yet");

    // Killed and started with the file of the first start: it is in the log. Then with the file that has it as well.
    node.handle.kill().await;
    let node = world.start().await;
    assert_eq!(node.get("/v1/communities/9").await.0, 200);
    node.publish(&world, NEW).await;
    assert_eq!(node.close(NEW, 0).await.0, 200);
    node.settled(NEW, 1).await;
    node.run_period(&world, 5, 1).await;
    node.settled(5, 2).await;
    assert_eq!(join(&node, &beginning()).await.0, 200, "what it was added with does not change");
    node.handle.shutdown().await;
    assert_eq!(world.l1.state_root().await.unwrap(), {
        let node = world.start_with(grown(&world)).await;
        let root = node.handle.service().writer.snapshot().log_state.root;
        node.handle.shutdown().await;
        to_bytes(&root)
    });
}

/// A configuration whose genesis has the new community as well.
fn grown(world: &World) -> gridveil_sequencer::Config {
    let mut config = world.config(&world.data());
    let genesis = config.genesis.as_mut().unwrap();
    genesis.communities.push(beginning().registered().unwrap().empty());
    genesis.begins.push(NEW);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_interrupted_goes_on_and_nobody_joins_by_a_file() {
    let world = World::new().await;
    world.start().await.handle.shutdown().await;
    let refused = async |config| match serve(config, world.l1.clone(), world.prover.clone()).await {
        Err(Error::Store(StoreError::Inconsistent(why))) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(grown(&world)).await.contains("community serve"), "L1 was not asked");

    // As a crash leaves it: the last community's record is not there, its keys are.
    let path = log::path_in(&world.data());
    let records = crate::recovery::boundaries(&world.data());
    let (_, last) = records.last().unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(*last).unwrap();
    for seen in ["index", "snapshots"] {
        std::fs::remove_dir_all(world.data().join(seen)).unwrap();
    }
    let mut without = world.config(&world.data());
    without.genesis = None;
    assert!(refused(without).await.contains("interrupted"));
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    node.run_period(&world, 7, 0).await;
    node.settled(7, 1).await;
    node.handle.shutdown().await;
}

/// All communities were one record of at most 16 MiB: 18,688 homes.
#[test]
#[ignore = "minutes, and a gigabyte: `make nightly` runs it"]
fn a_million_homes_begin() {
    let directory = tempfile::tempdir().unwrap();
    let master = directory.path().join("master");
    gridveil_sequencer::create_master_key(&master).unwrap();
    let shape = "district-128x96";
    let begins: Vec<u32> = (0..7_813).collect();
    let one = |community: &u32| Beginning { community: *community, shape: shape.to_owned(), ..beginning() };
    let genesis = gridveil_sequencer::GenesisState {
        chain_id: 1,
        contract: [1; 20],
        circuit_version: 2,
        communities: begins.iter().map(|community| one(community).registered().unwrap().empty()).collect(),
        other_leaves: Vec::new(),
        begins,
    };
    let homes: usize = genesis.communities.iter().map(|community| community.accounts.len()).sum();
    assert!(homes >= 1_000_000);
    let data = directory.path().join("data");
    for (what, genesis) in [("made", Some(&genesis)), ("opened again", None)] {
        let start = std::time::Instant::now();
        let opened = Store::open(&data, &master, genesis).unwrap();
        assert_eq!(opened.communities.len(), 7_813);
        println!("{homes} homes {what}: {:.0} s", start.elapsed().as_secs_f64());
        opened.store.close();
    }
    println!("log: {} MiB", std::fs::metadata(log::path_in(&data)).unwrap().len() >> 20);
}
