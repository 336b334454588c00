//! Blocks: headers that are chained to a pinned one by their parents' hashes, and what is in them, by the roots that
//! their headers have.

use std::collections::BTreeSet;

use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_consensus::{EthereumTxEnvelope, Header, ReceiptEnvelope, TxEip4844};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bloom, BloomInput, keccak256};
use serde_json::{Value, json};

use crate::deployment::Hex;
use crate::lie::Lie;

/// What is kept of a header.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) hash: B256,
    pub(super) time_s: u64,
    parent: B256,
    transactions_root: B256,
    receipts_root: B256,
    bloom: Bloom,
}

impl Link {
    /// The hash is computed here, whatever the node says.
    pub(super) fn of(header: &Header) -> Self {
        Self {
            number: header.number,
            hash: header.hash_slow(),
            time_s: header.timestamp,
            parent: header.parent_hash,
            transactions_root: header.transactions_root,
            receipts_root: header.receipts_root,
            bloom: header.logs_bloom,
        }
    }

    /// May the block have a log of one of the contracts whose addresses have these hashes? If not, it has none.
    pub(super) fn may_tell_of(&self, hashes: &[B256]) -> bool {
        hashes.iter().any(|hash| self.bloom.contains_input(BloomInput::Hash(*hash)))
    }

    /// The block as a node gives it: only what is proven.
    pub(super) fn told(&self) -> Value {
        json!({
            "number": quantity(self.number),
            "hash": self.hash,
            "parentHash": self.parent,
            "timestamp": quantity(self.time_s),
        })
    }
}

/// A number as nodes write it.
pub(super) fn quantity(number: u64) -> String {
    format!("{number:#x}")
}

/// Headers from the pinned one down.
#[derive(Debug)]
pub(super) struct Chain {
    links: Vec<Link>,
    top: u64,
}

impl Chain {
    pub(super) fn new(pinned: Link) -> Self {
        Self { top: pinned.number, links: vec![pinned] }
    }

    /// The lowest block that is chained so far.
    pub(super) fn lowest(&self) -> u64 {
        self.top.saturating_sub(self.links.len().saturating_sub(1) as u64)
    }

    pub(super) fn link(&self, number: u64) -> Option<&Link> {
        self.links.get(usize::try_from(self.top.checked_sub(number)?).ok()?)
    }

    /// Adds the header before the lowest one.
    ///
    /// # Errors
    /// [`Lie::Chain`].
    pub(super) fn extend(&mut self, header: &Header) -> Result<(), Lie> {
        let link = Link::of(header);
        let (block, parent) = (self.lowest().saturating_sub(1), self.links.last().map(|last| last.parent));
        if parent != Some(link.hash) || link.number != block {
            let expected = Hex(parent.unwrap_or_default().0);
            return Err(Lie::Chain { block, expected, found: Hex(link.hash.0) });
        }
        self.links.push(link);
        Ok(())
    }
}

/// Receipts of a block, as they are told.
pub(super) type Receipts = Vec<ReceiptEnvelope>;
/// Transactions of a block, as they are told: of every kind that Ethereum has.
pub(super) type Transactions = Vec<EthereumTxEnvelope<TxEip4844>>;

/// The logs of some contracts in one block, and the transactions that they are of.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    /// Whose logs are here.
    pub(super) of: BTreeSet<Address>,
    /// As a node gives them: only what is proven.
    pub(super) logs: Vec<Value>,
    /// The same, by their hashes.
    pub(super) transactions: Vec<(B256, Value)>,
}

/// Do the receipts come to the header's root?
///
/// # Errors
/// [`Lie::Receipts`].
pub(super) fn check_receipts(link: &Link, receipts: &Receipts) -> Result<(), Lie> {
    let same = calculate_receipt_root(receipts) == link.receipts_root;
    if same { Ok(()) } else { Err(Lie::Receipts { block: link.number }) }
}

/// Is there a log of these contracts?
pub(super) fn tells_of(receipts: &Receipts, of: &BTreeSet<Address>) -> bool {
    receipts.iter().flat_map(ReceiptEnvelope::logs).any(|log| of.contains(&log.address))
}

impl Body {
    /// The logs of these contracts, out of receipts that are checked.
    ///
    /// # Errors
    /// [`Lie::Transactions`]; nothing if a transaction cannot be written as JSON.
    pub(super) fn new(
        link: &Link,
        receipts: &Receipts,
        transactions: &Transactions,
        of: BTreeSet<Address>,
    ) -> Result<Self, Lie> {
        let lie = || Lie::Transactions { block: link.number };
        if calculate_transaction_root(transactions) != link.transactions_root || transactions.len() != receipts.len() {
            return Err(lie());
        }
        let (mut logs, mut told, mut number) = (Vec::new(), Vec::new(), 0u64);
        for (index, (receipt, transaction)) in receipts.iter().zip(transactions).enumerate() {
            // The hash that comes with it is the node's word.
            let hash = keccak256(transaction.encoded_2718());
            let place = json!({
                "blockNumber": quantity(link.number),
                "blockHash": link.hash,
                "transactionIndex": quantity(index as u64),
            });
            let before = logs.len();
            for log in receipt.logs() {
                if of.contains(&log.address) {
                    let mut log = json!({ "address": log.address, "topics": log.topics(), "data": log.data.data });
                    set(&mut log, &place);
                    set(&mut log, &json!({ "transactionHash": hash, "logIndex": quantity(number), "removed": false }));
                    logs.push(log);
                }
                number += 1;
            }
            if logs.len() > before {
                let mut transaction = serde_json::to_value(transaction).map_err(|_| lie())?;
                set(&mut transaction, &place);
                set(&mut transaction, &json!({ "hash": hash }));
                told.push((hash, transaction));
            }
        }
        Ok(Self { of, logs, transactions: told })
    }
}

/// Sets fields of an object.
fn set(object: &mut Value, fields: &Value) {
    if let (Some(object), Some(fields)) = (object.as_object_mut(), fields.as_object()) {
        object.extend(fields.clone());
    }
}
