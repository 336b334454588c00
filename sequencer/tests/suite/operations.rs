//! Operations, late packets, header operations and L1's queues, from the interface to L1.
mod always_late;
mod beginning;
mod ending;
mod erasing;
mod exporting;
mod given_back;
mod header;
mod late;
mod money;
mod queues;
mod refusals;
mod reorganisation;
mod retaining;

use std::sync::{Arc, atomic::Ordering};

use crate::common::{Node, World, effects, first_interval, open_deposit, owner_key, paid_units, units, until};
use gridveil_api::public::NotePath;
use gridveil_protocol::{
    account::Terms,
    field::{Fr, hex_fr, to_bytes},
    fixture,
    header_operation::{HeaderOperation, Management, Place, Pool, Transfer},
    market::Mechanism,
    operation::{Kind, Operation, SignedOperation},
    owner::owner_of,
    packet::SignedPacket,
    poseidon::DomainTag,
    receipt::{Receipt, ReceiptRequest},
    schnorr::SecretKey,
    units::Interval,
};
use gridveil_sequencer::{Clock, GenesisState, serve};
use gridveil_verifier_contract::{
    ChainL1, DepositEntry, DepositState, MemberL1, OperatorL1, QueuesL1, RollupEffect, TransferState,
};
use serde_json::{Value, json};

const PAYOUT: [u8; 20] = [0xab; 20];
const TOKEN_PER_UNIT: u128 = 10_000;

/// Slots 0 and 2 have money, slot 1 owes.
fn rich(genesis: &mut GenesisState) {
    let accounts = &mut genesis.communities[0].accounts;
    (accounts[0].balance, accounts[2].balance) = (units(1000), units(2000) + 7);
    accounts[0].payout = PAYOUT;
}

async fn world() -> World {
    World::with(rich).await
}

fn salts(seed: u64) -> [Fr; 4] {
    [Fr::from(seed), Fr::from(seed + 1), Fr::from(0u64), Fr::from(0u64)]
}

fn withdraw(world: &World, slot: u16, nonce: u32, amount: u64) -> SignedOperation {
    world.operation(slot, Kind::Withdraw, nonce, |o| o.amount = amount)
}

fn send(world: &World, to: Fr, nonce: u32, amount: u64, seed: u64) -> SignedOperation {
    world.operation(0, Kind::Send, nonce, |o| {
        (o.amount, o.party, o.payout, o.salts) = (amount, to, [2; 20], salts(seed))
    })
}

fn take(world: &World, slot: u16, kind: Kind, nonce: u32, amount: u64, seed: u64) -> SignedOperation {
    world.operation(slot, kind, nonce, |o| (o.amount, o.payout, o.salts) = (amount, [2; 20], salts(seed)))
}

fn owner(slot: usize) -> Fr {
    owner_of(&owner_key(slot)).commitment()
}

fn claim_of(signed: &SignedOperation, recipient: Fr) -> [u8; 32] {
    to_bytes(&signed.operation.claim(recipient))
}

async fn receipt(node: &Node, world: &World, signer: &SecretKey, slot: u16, period: u32) -> (u16, Value) {
    node.post("/v1/receipts", &signed_request(world, signer, slot, period)).await
}

fn signed_request(world: &World, signer: &SecretKey, slot: u16, period: u32) -> Value {
    let (first_interval, timestamp) = (first_interval() + 2 * period, Clock::system().now());
    let message = ReceiptRequest::message(world.domain(), 5, slot, first_interval, timestamp);
    let signature = signer.sign(DomainTag::Request, &message).unwrap();
    let request = ReceiptRequest { community: 5, slot, first_interval, timestamp, owner: owner_of(signer), signature };
    serde_json::to_value(request).unwrap()
}

async fn verified(node: &Node, world: &World, signer: &SecretKey, slot: u16, period: u32) -> Receipt {
    let (status, body) = receipt(node, world, signer, slot, period).await;
    assert_eq!(status, 200, "{body}");
    let receipt: Receipt = serde_json::from_value(body).unwrap();
    let (_, state) = node.get("/v1/communities/5").await;
    let settled =
        state["settled"].as_array().unwrap().iter().find(|s| s["first_interval"] == receipt.first_interval.0).unwrap();
    let root = hex_fr::parse(settled["root"].as_str().unwrap()).unwrap();
    receipt.verify(None, &world.tariff, root).unwrap();
    receipt
}

/// Which settlement of community 5 a decision is for.
fn place(nonce: u64, period: u32) -> Place {
    Place { community: 5, nonce, first_interval: first_interval() + 2 * period }
}

fn transfer(pool: Pool, units: u64) -> Value {
    serde_json::to_value(HeaderOperation { transfer: Some(Transfer { pool, units }), management: None }).unwrap()
}

/// A community whose supplier account cannot pay what the tariff feeds in: a closed period of it waits.
async fn short_of_supplier() -> World {
    let mut world = World::with(|g| g.communities[0].header.supplier_account = 0).await;
    for interval in &mut world.tariff.intervals {
        interval.classes.iter_mut().for_each(|c| (c.feed_in, c.energy) = (900_000, 0));
    }
    world.l1 = Arc::new(crate::common::new_l1(&world.genesis, &world.tariff).await);
    world
}
