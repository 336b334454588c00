//! What an audit has read and found right, so that the next one reads only what came since.
//!
//! A checkpoint is what L1 said up to one block: events, calldata without proofs, registries. The next audit replays it
//! without asking again, and verifies no proof twice. It goes on only on the same chain: that block's hash must still be
//! the one that was read. The file begins with the blake3 of what follows; the report says which checkpoint it wrote.

mod remembered;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
};

use gridveil_verifier_contract::{
    AuditorL1, Block, Calls, CommunityParams, DepositEntry, L1Error, RollupEvent, SettledBatch, TariffEntry, Word,
    deployment::{Account, Hex},
};
use serde::{Deserialize, Serialize};

pub(crate) use remembered::Remembered;

/// The form that this program writes and reads.
const FORM: u32 = 1;
/// Hex digits of the hash before the contents.
const HASH_DIGITS: usize = 64;

/// Why an audit does not go on from a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Cut off, or changed.
    #[error("not the contents that its hash is of: audit from the beginning, without this file")]
    Damaged,
    /// Another form.
    #[error("not a checkpoint of form {FORM}: audit from the beginning, without this file")]
    Form,
    /// Of another rollup.
    #[error("of contract {contract} on chain {chain_id}")]
    Other {
        /// Its chain.
        chain_id: u64,
        /// Its contract.
        contract: Account,
    },
    /// A reorganisation, or a node that lies.
    #[error(
        "its block {block} has the hash {found} on this chain, and had {expected} when it was audited: the chain was reorganised, or the node lies"
    )]
    OffChain {
        /// Number.
        block: u64,
        /// Hash now.
        found: Hex<32>,
        /// Hash then.
        expected: Hex<32>,
    },
    /// The node is behind.
    #[error("it was made at block {block}, and the node is only at block {head}")]
    Behind {
        /// Block of the checkpoint.
        block: u64,
        /// Of the node.
        head: u64,
    },
    /// L1.
    #[error("L1: {0}")]
    L1(#[from] L1Error),
}

/// What was read up to a block, and found right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    form: u32,
    chain_id: u64,
    contract: Account,
    /// Everything up to and with this block was audited.
    pub block: Block,
    /// blake3 of every question and answer of L1, by the audits up to here.
    pub read_blake3: Hex<32>,
    communities: Vec<CommunityParams>,
    tariffs: Vec<TariffEntry>,
    /// Without their proofs.
    batches: Vec<SettledBatch>,
    /// Batches that nobody but the contract has verified: their version was not known.
    unchecked: Vec<u64>,
    events: Vec<RollupEvent>,
    /// Without their proofs; not of transactions that could not be verified.
    #[serde(with = "pairs")]
    calls: BTreeMap<Word, Calls>,
    deposits: Vec<DepositEntry>,
    /// Unix seconds of blocks.
    #[serde(with = "pairs")]
    times: BTreeMap<u64, u64>,
}

/// Which batches an earlier audit has verified, and up to which block.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) block: u64,
    batches: u64,
    unchecked: Vec<u64>,
    /// Transactions whose calldata was verified.
    pub(crate) calls: BTreeSet<Word>,
}

impl Verified {
    pub(crate) fn has(&self, batch: u64) -> bool {
        batch <= self.batches && !self.unchecked.contains(&batch)
    }
}

impl Checkpoint {
    /// Before the first block.
    fn empty() -> Self {
        Self {
            form: FORM,
            chain_id: 0,
            contract: Hex([0; 20]),
            block: Block::default(),
            read_blake3: Hex([0; 32]),
            communities: Vec::new(),
            tariffs: Vec::new(),
            batches: Vec::new(),
            unchecked: Vec::new(),
            events: Vec::new(),
            calls: BTreeMap::new(),
            deposits: Vec::new(),
            times: BTreeMap::new(),
        }
    }

    /// Communities that were registered.
    pub(crate) fn communities(&self) -> &[CommunityParams] {
        &self.communities
    }

    /// Every event, in order.
    #[must_use]
    pub fn events(&self) -> &[RollupEvent] {
        &self.events
    }

    /// Reads a file; `None` if there is none yet.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn read(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (hash, contents) = bytes.split_at_checked(HASH_DIGITS + 1).ok_or(CheckpointError::Damaged)?;
        if hash.strip_suffix(b"\n") != Some(blake3::hash(contents).to_hex().as_bytes()) {
            return Err(CheckpointError::Damaged);
        }
        let read: Self = serde_json::from_slice(contents).map_err(|_| CheckpointError::Form)?;
        if read.form == FORM { Ok(Some(read)) } else { Err(CheckpointError::Form) }
    }

    /// Writes the file, whole or not at all, and gives the hash that it begins with.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn write(&self, path: &Path) -> Result<String, CheckpointError> {
        let contents = serde_json::to_vec(self).map_err(std::io::Error::from)?;
        let hash = blake3::hash(&contents).to_hex().to_string();
        let beside = path.with_extension("new");
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(hash.as_bytes())?;
        file.write_all(b"\n")?;
        file.write_all(&contents)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        Ok(hash)
    }

    /// Does the chain that L1 tells go on from here?
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub async fn lies_on(&self, l1: &dyn AuditorL1) -> Result<(), CheckpointError> {
        let (chain_id, contract) = (l1.chain_id().await?, Hex(l1.contract()));
        if (self.chain_id, self.contract) != (chain_id, contract) {
            return Err(CheckpointError::Other { chain_id: self.chain_id, contract: self.contract });
        }
        let (block, head) = (self.block.number, l1.block(None).await?.number);
        if head < block {
            return Err(CheckpointError::Behind { block, head });
        }
        let (found, expected) = (Hex(l1.block(Some(block)).await?.hash), Hex(self.block.hash));
        if found == expected { Ok(()) } else { Err(CheckpointError::OffChain { block, found, expected }) }
    }
}

/// Maps whose keys are no strings, as pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, K: Serialize, V: Serialize>(
        map: &BTreeMap<K, V>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, K: Deserialize<'de> + Ord, V: Deserialize<'de>>(
        d: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(d)?.into_iter().collect())
    }
}
