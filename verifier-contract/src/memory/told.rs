//! A chain as a node tells it: every answer is a field, so that a test can change it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::MemoryL1;
use crate::client::{AuditorL1, ChainL1, L1Error, L1Future, QueuesL1};
use crate::deployment::Terms;
use crate::types::{
    Address, Block, Calls, CommunityEnd, CommunityParams, DepositEntry, ForcedEntry, RollupEffect, RollupEvent,
    SettledBatch, TariffEntry, TransferState, Vault, Word,
};

/// An answer that an auditor reads as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Registered communities.
    Communities,
    /// Published tariffs.
    Tariffs,
    /// Settled batches, with their calldata.
    Batches,
    /// Events from the beginning.
    Events,
    /// Events from a later block.
    LaterEvents,
}

/// The answers of a node. [`Told::by`] makes them of an honest chain.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Chain id.
    pub chain_id: u64,
    /// Contract.
    pub contract: Address,
    /// Unix seconds of the latest block.
    pub timestamp: u64,
    /// State roots after each batch, the genesis state's first.
    pub roots: Vec<Word>,
    /// Roots that are final.
    pub finalised: BTreeSet<Word>,
    /// The current root.
    pub state_root: Word,
    /// Batches that the contract counts.
    pub count: u64,
    /// The first answer to the count lacks one batch, as if another batch came while the node is being asked.
    pub grows: Arc<AtomicBool>,
    /// Registered communities.
    pub communities: Vec<CommunityParams>,
    /// Communities that end, by index.
    pub ends: BTreeMap<u32, CommunityEnd>,
    /// Communities whose members may exit because of a verifier that is proven unsound.
    pub emergencies: BTreeSet<u32>,
    /// Published tariffs.
    pub tariffs: Vec<TariffEntry>,
    /// Settled batches.
    pub batches: Vec<SettledBatch>,
    /// An answer that is not what the contract can have said or taken.
    pub malformed: Option<Answer>,
    /// Effects, in order.
    pub events: Vec<RollupEvent>,
    /// The last events, which are told only to who asks from a later block.
    pub late: usize,
    /// The present, below, is not told.
    pub silent: bool,
    /// The rollup is frozen.
    pub frozen: bool,
    /// Units put aside for supplier accounts.
    pub supplier_units: u64,
    /// Notes that wait for a batch.
    pub notes: Vec<Word>,
    /// Deposits, with their present state.
    pub deposits: Vec<DepositEntry>,
    /// Forced queues by community.
    pub forced: BTreeMap<u32, Vec<ForcedEntry>>,
    /// What is fixed.
    pub terms: Option<Terms>,
    /// What the vault has, and what it counts.
    pub vault: Vault,
    /// Calls of transactions, as their calldata has them.
    pub calls: BTreeMap<Word, Calls>,
    /// Blocks, the first one with number 0.
    pub blocks: Vec<Block>,
}

impl Told {
    /// What an honest node says of a chain.
    ///
    /// # Errors
    /// [`L1Error`] if the chain was told to fail.
    pub async fn by(l1: &MemoryL1) -> Result<Self, L1Error> {
        let communities = l1.communities(0).await?;
        let (mut forced, mut ends, mut emergencies) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for CommunityParams { community, .. } in &communities {
            ends.insert(*community, l1.end_of(*community).await?);
            forced.insert(*community, l1.forced_queue(*community).await?);
            if l1.in_emergency(*community).await? {
                emergencies.insert(*community);
            }
        }
        let count = l1.batch_count().await?;
        let mut roots = Vec::new();
        for batch in 0..=count {
            roots.push(l1.root_at(batch).await?);
        }
        let (calls, blocks) = {
            let state = l1.lock();
            (state.calls.clone(), state.blocks.clone())
        };
        Ok(Self {
            chain_id: l1.chain_id().await?,
            contract: l1.contract(),
            timestamp: l1.timestamp().await?,
            finalised: roots.iter().copied().collect(),
            roots,
            state_root: l1.state_root().await?,
            count,
            communities,
            ends,
            emergencies,
            tariffs: l1.tariffs(0).await?,
            batches: l1.settled_batches(0).await?,
            events: l1.events(0).await?,
            frozen: l1.is_frozen().await?,
            supplier_units: l1.supplier_funds().await?,
            notes: l1.pending_notes(u32::MAX).await?,
            deposits: l1.deposits(0).await?,
            forced,
            terms: Some(l1.terms().await?),
            vault: l1.vault().await?,
            calls,
            blocks,
            ..Self::default()
        })
    }

    fn present<'a, T: Send + 'a>(&'a self, of: impl FnOnce(&Self) -> T + Send + 'a) -> L1Future<'a, T> {
        Box::pin(async move {
            if self.silent { Err(L1Error::Config("this node does not tell the present")) } else { Ok(of(self)) }
        })
    }

    fn whole<T: Send + 'static>(&self, answer: Answer, value: T) -> L1Future<'_, T> {
        let malformed = self.malformed == Some(answer);
        let what = || L1Error::Malformed("it is not the contract's standard encoding".into());
        Box::pin(async move { if malformed { Err(what()) } else { Ok(value) } })
    }
}

fn now<'a, T: Send + 'a>(value: T) -> L1Future<'a, T> {
    Box::pin(async move { Ok(value) })
}

impl ChainL1 for Told {
    fn chain_id(&self) -> L1Future<'_, u64> {
        now(self.chain_id)
    }

    fn contract(&self) -> Address {
        self.contract
    }

    fn timestamp(&self) -> L1Future<'_, u64> {
        now(self.timestamp)
    }

    fn state_root(&self) -> L1Future<'_, Word> {
        now(self.state_root)
    }

    fn root_at(&self, batch: u64) -> L1Future<'_, Word> {
        now(usize::try_from(batch).ok().and_then(|batch| self.roots.get(batch)).copied().unwrap_or_default())
    }

    fn is_finalised(&self, root: Word) -> L1Future<'_, bool> {
        now(self.finalised.contains(&root))
    }

    fn community(&self, community: u32) -> L1Future<'_, Option<CommunityParams>> {
        now(self.communities.iter().find(|params| params.community == community).copied())
    }

    fn end_of(&self, community: u32) -> L1Future<'_, CommunityEnd> {
        now(self.ends.get(&community).copied().unwrap_or_default())
    }

    fn in_emergency(&self, community: u32) -> L1Future<'_, bool> {
        now(self.emergencies.contains(&community))
    }

    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>> {
        let tariffs = self.tariffs.iter().filter(|tariff| tariff.block >= from_block).copied().collect();
        self.whole(Answer::Tariffs, tariffs)
    }
}

impl QueuesL1 for Told {
    fn is_frozen(&self) -> L1Future<'_, bool> {
        self.present(|told| told.frozen)
    }

    fn deposits(&self, from_block: u64) -> L1Future<'_, Vec<DepositEntry>> {
        self.present(move |told| told.deposits.iter().filter(|deposit| deposit.block >= from_block).copied().collect())
    }

    fn claim_state(&self, _claim: Word) -> L1Future<'_, TransferState> {
        Box::pin(async { Err(L1Error::Config("this node does not tell claims")) })
    }

    fn forced_queue(&self, community: u32) -> L1Future<'_, Vec<ForcedEntry>> {
        self.present(move |told| told.forced.get(&community).cloned().unwrap_or_default())
    }

    fn pending_notes(&self, limit: u32) -> L1Future<'_, Vec<Word>> {
        self.present(move |told| told.notes.iter().take(limit as usize).copied().collect())
    }

    fn supplier_funds(&self) -> L1Future<'_, u64> {
        self.present(|told| told.supplier_units)
    }
}

impl AuditorL1 for Told {
    fn batch_count(&self) -> L1Future<'_, u64> {
        now(self.count - u64::from(self.grows.swap(false, Ordering::SeqCst)))
    }

    fn communities(&self, from_block: u64) -> L1Future<'_, Vec<CommunityParams>> {
        let since = |params: &&CommunityParams| {
            let registered = RollupEffect::CommunityRegistered(**params);
            from_block == 0 || self.events.iter().any(|event| event.block >= from_block && event.effect == registered)
        };
        self.whole(Answer::Communities, self.communities.iter().filter(since).copied().collect())
    }

    fn settled_batches(&self, from_block: u64) -> L1Future<'_, Vec<SettledBatch>> {
        let batches = self.batches.iter().filter(|batch| batch.block >= from_block).cloned().collect();
        self.whole(Answer::Batches, batches)
    }

    fn events(&self, from_block: u64) -> L1Future<'_, Vec<RollupEvent>> {
        let told = if from_block == 0 { self.events.len() - self.late } else { self.events.len() };
        let events = self.events.iter().take(told).filter(|event| event.block >= from_block).copied().collect();
        self.whole(if from_block == 0 { Answer::Events } else { Answer::LaterEvents }, events)
    }

    fn calls(&self, tx: Word) -> L1Future<'_, Calls> {
        now(self.calls.get(&tx).cloned().unwrap_or_default())
    }

    fn terms(&self) -> L1Future<'_, Terms> {
        let terms = self.terms.clone();
        Box::pin(async { terms.ok_or(L1Error::Config("this node does not tell terms")) })
    }

    fn vault(&self) -> L1Future<'_, Vault> {
        self.present(|told| told.vault)
    }

    fn block(&self, number: Option<u64>) -> L1Future<'_, Block> {
        // Where a test says nothing of blocks, all are the present.
        let present = Block { number: number.unwrap_or_default(), time_s: self.timestamp, ..Block::default() };
        let at = number.map_or(self.blocks.len().checked_sub(1), |number| usize::try_from(number).ok());
        let block = at.and_then(|at| self.blocks.get(at)).copied();
        let block = if self.blocks.is_empty() { Some(present) } else { block };
        Box::pin(async move { block.ok_or_else(|| L1Error::Malformed("no such block".to_owned())) })
    }
}
