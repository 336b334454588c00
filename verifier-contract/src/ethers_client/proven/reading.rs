//! Headers, and what is in the blocks that matter, several at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, keccak256};
use serde_json::{Value, json};
use tokio::task::{JoinError, JoinSet};

use super::blocks::{Body, Link, Receipts, Transactions, check_receipts, quantity, tells_of};
use super::{Nodes, NodesError, Proven, ask, locked, read};

/// Headers that are asked for at once.
const HEADERS_AT_ONCE: u64 = 64;
/// Blocks whose contents are asked for at once.
const BODIES_AT_ONCE: usize = 8;
/// Blocks between two words about progress.
const TOLD: u64 = 4_096;

fn cancelled(error: JoinError) -> NodesError {
    NodesError::None(format!("a request ended: {error}"))
}

async fn header(nodes: &Nodes, number: u64) -> Result<Header, NodesError> {
    let asked = ask(nodes, "eth_getBlockByNumber", json!([quantity(number), false])).await?;
    read(&format!("headers of block {number}"), asked)
}

/// The logs of some contracts in a block; `None` if it has none of them.
async fn body(nodes: &Nodes, link: &Link, of: BTreeSet<Address>) -> Result<Body, NodesError> {
    let number = quantity(link.number);
    let what = format!("receipts of block {}", link.number);
    let receipts: Receipts = read(&what, ask(nodes, "eth_getBlockReceipts", json!([number])).await?)?;
    check_receipts(link, &receipts)?;
    if !tells_of(&receipts, &of) {
        return Ok(Body { of, ..Body::default() });
    }
    let mut block = ask(nodes, "eth_getBlockByNumber", json!([number, true])).await?;
    let what = format!("transactions of block {}", link.number);
    let transactions: Transactions = read(&what, block.get_mut("transactions").map_or(Value::Null, Value::take))?;
    Ok(Body::new(link, &receipts, &transactions, of)?)
}

impl Proven {
    /// Reads headers down to a block, and what is in those that may tell of the watched contracts.
    pub(super) async fn read(&self, from: u64, told: &(dyn Fn(&str) + Sync)) -> Result<(), NodesError> {
        self.headers_from(from, told).await?;
        let watched = locked(&self.watched).clone();
        let mut numbers = self.fitting(from, self.number(), &watched);
        numbers.retain(|number| !locked(&self.bodies).get(number).is_some_and(|body| watched.is_subset(&body.of)));
        let count = numbers.len();
        for (step, some) in numbers.chunks(BODIES_AT_ONCE).enumerate() {
            told(&format!("what is in block {} of {count} that may matter", step * BODIES_AT_ONCE + 1));
            self.bodies_of(some, &watched).await?;
        }
        Ok(())
    }

    /// Chains headers down to a block.
    pub(super) async fn headers_from(&self, from: u64, told: &(dyn Fn(&str) + Sync)) -> Result<(), NodesError> {
        let _one_task = self.reading.lock().await;
        let mut next = 0;
        loop {
            let lowest = locked(&self.chain).lowest();
            if lowest <= from {
                return Ok(());
            }
            let done = self.number() - lowest;
            if done >= next {
                told(&format!("header {} of {}", done + 1, self.number() - from + 1));
                next = done + TOLD;
            }
            let mut asked = JoinSet::new();
            for number in from.max(lowest.saturating_sub(HEADERS_AT_ONCE))..lowest {
                let nodes = Arc::clone(&self.nodes);
                asked.spawn(async move { (number, header(&nodes, number).await) });
            }
            let mut headers = BTreeMap::new();
            while let Some(answer) = asked.join_next().await {
                let (number, header) = answer.map_err(cancelled)?;
                headers.insert(number, header?);
            }
            let mut chain = locked(&self.chain);
            for header in headers.into_values().rev() {
                chain.extend(&header)?;
            }
        }
    }

    /// Reads what is in blocks that are chained.
    async fn bodies_of(&self, numbers: &[u64], of: &BTreeSet<Address>) -> Result<(), NodesError> {
        let mut asked = JoinSet::new();
        for number in numbers {
            let link = locked(&self.chain).link(*number).cloned();
            let (Some(link), nodes, of) = (link, Arc::clone(&self.nodes), of.clone()) else { continue };
            asked.spawn(async move { (link.number, body(&nodes, &link, of).await) });
        }
        while let Some(answer) = asked.join_next().await {
            let (number, body) = answer.map_err(cancelled)?;
            let body = body?;
            locked(&self.transactions).extend(body.transactions.iter().cloned());
            locked(&self.bodies).insert(number, Arc::new(body));
        }
        Ok(())
    }

    /// Blocks of the chain that may tell of some contracts.
    pub(super) fn fitting(&self, from: u64, to: u64, of: &BTreeSet<Address>) -> Vec<u64> {
        let hashes: Vec<B256> = of.iter().map(keccak256).collect();
        let chain = locked(&self.chain);
        let fits = |number: &u64| chain.link(*number).is_some_and(|link| link.may_tell_of(&hashes));
        (from..=to).filter(fits).collect()
    }

    /// What a block of the chain has of some contracts.
    pub(super) async fn body(&self, number: u64, of: &BTreeSet<Address>) -> Result<Arc<Body>, NodesError> {
        let known = || locked(&self.bodies).get(&number).filter(|body| of.is_subset(&body.of)).cloned();
        if let Some(body) = known() {
            return Ok(body);
        }
        let all = locked(&self.watched).union(of).copied().collect();
        self.bodies_of(&[number], &all).await?;
        Ok(known().unwrap_or_default())
    }
}
