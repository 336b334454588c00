//! L1 as an audit reads it that goes on from a checkpoint: the past from memory, the rest from the node.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gridveil_verifier_contract::{
    Address, AuditorL1, Block, Call, Calls, ChainL1, CommunityEnd, CommunityParams, DepositEntry, DepositState,
    ForcedEntry, L1Future, QueuesL1, RollupEvent, SettledBatch, TariffEntry, TransferState, Vault, Word,
    deployment::{Hex, Terms},
};

use super::{Checkpoint, FORM, Verified};
use crate::report::AuditReport;

/// The node, and what was read before. What is read now is kept for the next checkpoint.
pub(crate) struct Remembered<'a> {
    l1: &'a dyn AuditorL1,
    past: Option<Checkpoint>,
    now: Mutex<Checkpoint>,
}

impl<'a> Remembered<'a> {
    pub(crate) fn new(l1: &'a dyn AuditorL1, past: Option<Checkpoint>) -> Self {
        Self { l1, past, now: Mutex::new(Checkpoint::empty()) }
    }

    /// What an earlier audit has verified.
    pub(crate) fn remembered(&self) -> Option<Verified> {
        self.past.as_ref().map(|past| Verified {
            block: past.block.number,
            batches: past.batches.last().map_or(0, |batch| batch.batch),
            unchecked: past.unchecked.clone(),
            calls: past.calls.keys().copied().collect(),
        })
    }

    /// Everything up to `block`, for the next audit.
    pub(crate) fn into_checkpoint(self, block: Block, read_blake3: Hex<32>, report: &AuditReport) -> Checkpoint {
        let mut now = self.now.into_inner().unwrap_or_else(PoisonError::into_inner);
        let past = self.past.unwrap_or_else(Checkpoint::empty);
        let mut calls = past.calls;
        calls.extend(std::mem::take(&mut now.calls));
        calls.retain(|tx, _| report.unverified.iter().all(|unverified| unverified.tx != hex::encode(tx)));
        let proofs = calls.values_mut().flat_map(|calls| &mut calls.calls);
        proofs.for_each(|call| {
            if let Call::Certify(call) = call {
                call.proof.clear();
            }
        });
        let mut times = past.times;
        times.extend(std::mem::take(&mut now.times));
        // What came after the block is the next audit's.
        let (last, Checkpoint { mut batches, mut tariffs, mut events, mut deposits, communities, .. }) =
            (block.number, now);
        batches.retain(|batch| batch.block <= last);
        tariffs.retain(|tariff| tariff.block <= last);
        events.retain(|event| event.block <= last);
        deposits.retain(|deposit| deposit.block <= last);
        batches.iter_mut().for_each(|batch| batch.call.proof.clear());
        let unchecked = report.versions.iter().flat_map(|used| used.by_verifier.runs()).flat_map(|(a, b)| *a..=*b);
        Checkpoint {
            form: FORM,
            chain_id: report.subject.chain_id,
            contract: Hex(self.l1.contract()),
            block,
            read_blake3,
            unchecked: unchecked.collect(),
            communities,
            tariffs,
            events,
            deposits,
            batches,
            calls,
            times,
        }
    }

    fn now(&self) -> MutexGuard<'_, Checkpoint> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The block from which on the node is asked.
    fn from(&self, from_block: u64) -> u64 {
        self.past.as_ref().map_or(from_block, |past| from_block.max(past.block.number + 1))
    }

    /// The remembered part of a list and the node's.
    fn whole<'b, T: Clone + Send + 'b>(
        &'b self,
        of: fn(&Checkpoint) -> &[T],
        fresh: L1Future<'b, Vec<T>>,
        keep: fn(&mut Checkpoint) -> &mut Vec<T>,
    ) -> L1Future<'b, Vec<T>> {
        Box::pin(async move {
            let mut all = self.past.as_ref().map_or_else(Vec::new, |past| of(past).to_vec());
            all.extend(fresh.await?);
            *keep(&mut self.now()) = all.clone();
            Ok(all)
        })
    }
}

impl ChainL1 for Remembered<'_> {
    fn chain_id(&self) -> L1Future<'_, u64> {
        self.l1.chain_id()
    }

    fn contract(&self) -> Address {
        self.l1.contract()
    }

    fn timestamp(&self) -> L1Future<'_, u64> {
        self.l1.timestamp()
    }

    fn state_root(&self) -> L1Future<'_, Word> {
        self.l1.state_root()
    }

    fn root_at(&self, batch: u64) -> L1Future<'_, Word> {
        let past = self.past.iter().flat_map(|past| &past.batches).find(|past| past.batch == batch);
        match past.map(|past| past.call.new_root) {
            Some(root) => Box::pin(async move { Ok(root) }),
            None => self.l1.root_at(batch),
        }
    }

    fn is_finalised(&self, root: Word) -> L1Future<'_, bool> {
        if self.past.iter().flat_map(|past| &past.batches).any(|past| past.call.new_root == root) {
            return Box::pin(async { Ok(true) });
        }
        self.l1.is_finalised(root)
    }

    fn community(&self, community: u32) -> L1Future<'_, Option<CommunityParams>> {
        self.l1.community(community)
    }

    fn end_of(&self, community: u32) -> L1Future<'_, CommunityEnd> {
        self.l1.end_of(community)
    }

    fn in_emergency(&self, community: u32) -> L1Future<'_, bool> {
        self.l1.in_emergency(community)
    }

    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>> {
        self.whole(|past| &past.tariffs, self.l1.tariffs(self.from(from_block)), |now| &mut now.tariffs)
    }
}

impl QueuesL1 for Remembered<'_> {
    fn is_frozen(&self) -> L1Future<'_, bool> {
        self.l1.is_frozen()
    }

    /// Deposits that ended do not change; of the others the state is asked.
    fn deposits(&self, from_block: u64) -> L1Future<'_, Vec<DepositEntry>> {
        Box::pin(async move {
            let mut all = Vec::new();
            for deposit in self.past.iter().flat_map(|past| past.deposits.iter().copied()) {
                let ended = matches!(deposit.state, DepositState::Consumed | DepositState::Refunded);
                let state = if ended { Some(deposit.state) } else { self.l1.deposit_state(deposit.claim).await? };
                all.extend(state.map(|state| DepositEntry { state, ..deposit }));
            }
            all.extend(self.l1.deposits(self.from(from_block)).await?);
            self.now().deposits = all.clone();
            Ok(all)
        })
    }

    fn claim_state(&self, claim: Word) -> L1Future<'_, TransferState> {
        self.l1.claim_state(claim)
    }

    fn forced_queue(&self, community: u32) -> L1Future<'_, Vec<ForcedEntry>> {
        self.l1.forced_queue(community)
    }

    fn pending_notes(&self, limit: u32) -> L1Future<'_, Vec<Word>> {
        self.l1.pending_notes(limit)
    }

    fn supplier_funds(&self) -> L1Future<'_, u64> {
        self.l1.supplier_funds()
    }
}

impl AuditorL1 for Remembered<'_> {
    fn batch_count(&self) -> L1Future<'_, u64> {
        self.l1.batch_count()
    }

    fn communities(&self, from_block: u64) -> L1Future<'_, Vec<CommunityParams>> {
        self.whole(|past| &past.communities, self.l1.communities(self.from(from_block)), |now| &mut now.communities)
    }

    fn settled_batches(&self, from_block: u64) -> L1Future<'_, Vec<SettledBatch>> {
        self.whole(|past| &past.batches, self.l1.settled_batches(self.from(from_block)), |now| &mut now.batches)
    }

    fn events(&self, from_block: u64) -> L1Future<'_, Vec<RollupEvent>> {
        if self.now().events.is_empty() {
            let fresh = self.l1.events(self.from(from_block));
            return self.whole(|past| &past.events, fresh, |now| &mut now.events);
        }
        // What came meanwhile.
        Box::pin(async move {
            let later = self.l1.events(self.from(from_block)).await?;
            self.now().events.extend(later.iter().copied());
            Ok(later)
        })
    }

    fn calls(&self, tx: Word) -> L1Future<'_, Calls> {
        if let Some(calls) = self.past.as_ref().and_then(|past| past.calls.get(&tx)).cloned() {
            return Box::pin(async move { Ok(calls) });
        }
        Box::pin(async move {
            let calls = self.l1.calls(tx).await?;
            self.now().calls.insert(tx, calls.clone());
            Ok(calls)
        })
    }

    fn deposit_state(&self, claim: Word) -> L1Future<'_, Option<DepositState>> {
        self.l1.deposit_state(claim)
    }

    fn terms(&self) -> L1Future<'_, Terms> {
        self.l1.terms()
    }

    fn vault(&self) -> L1Future<'_, Vault> {
        self.l1.vault()
    }

    fn block(&self, number: Option<u64>) -> L1Future<'_, Block> {
        let known = self.past.as_ref().zip(number).and_then(|(past, number)| Some((number, *past.times.get(&number)?)));
        Box::pin(async move {
            match known {
                // Only its time is wanted.
                Some((number, time_s)) => Ok(Block { number, hash: Word::default(), time_s }),
                None => {
                    let block = self.l1.block(number).await?;
                    self.now().times.insert(block.number, block.time_s);
                    Ok(block)
                }
            }
        })
    }
}
