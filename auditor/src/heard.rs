//! Everything that L1 answers, hashed as it comes, and told to whoever watches.

use std::sync::{Mutex, PoisonError};

use gridveil_verifier_contract::{
    Address, AuditorL1, Block, Calls, ChainL1, CommunityEnd, CommunityParams, DepositEntry, DepositState, ForcedEntry,
    L1Error, L1Future, QueuesL1, RollupEvent, SettledBatch, TariffEntry, TransferState, Vault, Word, deployment::Terms,
};
use serde::Serialize;

/// An L1 whose answers are hashed: question, arguments and answer as JSON, in the order in which they are asked.
pub(crate) struct Heard<'a> {
    l1: &'a dyn AuditorL1,
    hasher: Mutex<blake3::Hasher>,
}

impl<'a> Heard<'a> {
    /// What follows continues what was read before, if anything was.
    pub(crate) fn new(l1: &'a dyn AuditorL1, before: Option<&Word>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"gridveil audit: what was read");
        hasher.update(before.unwrap_or(&Word::default()));
        Self { l1, hasher: Mutex::new(hasher) }
    }

    /// Of everything so far.
    pub(crate) fn hash(&self) -> Word {
        *self.hasher.lock().unwrap_or_else(PoisonError::into_inner).finalize().as_bytes()
    }

    fn listen<'b, T: Serialize + Send + 'b>(
        &'b self,
        question: &'static str,
        of: impl Serialize + Send + 'b,
        answer: L1Future<'b, T>,
    ) -> L1Future<'b, T> {
        Box::pin(async move {
            let answer = answer.await;
            if let Ok(answer) = &answer {
                let heard = serde_json::to_vec(&(question, of, answer));
                let heard = heard.map_err(|_| L1Error::Malformed(format!("{question} has no JSON")))?;
                let mut hasher = self.hasher.lock().unwrap_or_else(PoisonError::into_inner);
                hasher.update(&(heard.len() as u64).to_be_bytes());
                hasher.update(&heard);
            }
            answer
        })
    }
}

impl ChainL1 for Heard<'_> {
    fn chain_id(&self) -> L1Future<'_, u64> {
        self.listen("chain_id", (), self.l1.chain_id())
    }

    fn contract(&self) -> Address {
        self.l1.contract()
    }

    fn timestamp(&self) -> L1Future<'_, u64> {
        self.listen("timestamp", (), self.l1.timestamp())
    }

    fn state_root(&self) -> L1Future<'_, Word> {
        self.listen("state_root", (), self.l1.state_root())
    }

    fn root_at(&self, batch: u64) -> L1Future<'_, Word> {
        self.listen("root_at", batch, self.l1.root_at(batch))
    }

    fn is_finalised(&self, root: Word) -> L1Future<'_, bool> {
        self.listen("is_finalised", root, self.l1.is_finalised(root))
    }

    fn community(&self, community: u32) -> L1Future<'_, Option<CommunityParams>> {
        self.listen("community", community, self.l1.community(community))
    }

    fn end_of(&self, community: u32) -> L1Future<'_, CommunityEnd> {
        self.listen("end_of", community, self.l1.end_of(community))
    }

    fn in_emergency(&self, community: u32) -> L1Future<'_, bool> {
        self.listen("in_emergency", community, self.l1.in_emergency(community))
    }

    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>> {
        self.listen("tariffs", from_block, self.l1.tariffs(from_block))
    }
}

impl QueuesL1 for Heard<'_> {
    fn is_frozen(&self) -> L1Future<'_, bool> {
        self.listen("is_frozen", (), self.l1.is_frozen())
    }

    fn deposits(&self, from_block: u64) -> L1Future<'_, Vec<DepositEntry>> {
        self.listen("deposits", from_block, self.l1.deposits(from_block))
    }

    fn claim_state(&self, claim: Word) -> L1Future<'_, TransferState> {
        self.listen("claim_state", claim, self.l1.claim_state(claim))
    }

    fn forced_queue(&self, community: u32) -> L1Future<'_, Vec<ForcedEntry>> {
        self.listen("forced_queue", community, self.l1.forced_queue(community))
    }

    fn pending_notes(&self, limit: u32) -> L1Future<'_, Vec<Word>> {
        self.listen("pending_notes", limit, self.l1.pending_notes(limit))
    }

    fn supplier_funds(&self) -> L1Future<'_, u64> {
        self.listen("supplier_funds", (), self.l1.supplier_funds())
    }
}

impl AuditorL1 for Heard<'_> {
    fn batch_count(&self) -> L1Future<'_, u64> {
        self.listen("batch_count", (), self.l1.batch_count())
    }

    fn communities(&self, from_block: u64) -> L1Future<'_, Vec<CommunityParams>> {
        self.listen("communities", from_block, self.l1.communities(from_block))
    }

    fn settled_batches(&self, from_block: u64) -> L1Future<'_, Vec<SettledBatch>> {
        self.listen("settled_batches", from_block, self.l1.settled_batches(from_block))
    }

    fn events(&self, from_block: u64) -> L1Future<'_, Vec<RollupEvent>> {
        self.listen("events", from_block, self.l1.events(from_block))
    }

    fn calls(&self, tx: Word) -> L1Future<'_, Calls> {
        self.listen("calls", tx, self.l1.calls(tx))
    }

    fn deposit_state(&self, claim: Word) -> L1Future<'_, Option<DepositState>> {
        self.listen("deposit_state", claim, self.l1.deposit_state(claim))
    }

    fn terms(&self) -> L1Future<'_, Terms> {
        self.listen("terms", (), self.l1.terms())
    }

    fn vault(&self) -> L1Future<'_, Vault> {
        self.listen("vault", (), self.l1.vault())
    }

    fn block(&self, number: Option<u64>) -> L1Future<'_, Block> {
        self.listen("block", number, self.l1.block(number))
    }
}
