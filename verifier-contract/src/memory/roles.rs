//! The fake in every role.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{MemoryL1, reverted};
use crate::client::{AuditorL1, ChainL1, L1Error, L1Future, MemberL1, OperatorL1, QueuesL1, SettlementL1};
use crate::deployment::Terms;
use crate::types::{
    Address, Announcement, Block, Calls, CertificateCall, CommunityEnd, CommunityParams, DepositEntry, ExitCall,
    ExitClaimCall, ForcedEntry, ForcedRequest, RollupEvent, SettleCall, SettleReceipt, SettledBatch, TariffEntry,
    TransferState, TxReceipt, Vault, VerifierState, WaitingPair, Word,
};

impl ChainL1 for MemoryL1 {
    fn chain_id(&self) -> L1Future<'_, u64> {
        self.with(|state| Ok(state.config.chain_id))
    }

    fn contract(&self) -> Address {
        self.lock().config.contract
    }

    fn timestamp(&self) -> L1Future<'_, u64> {
        self.with(|state| Ok(state.timestamp))
    }

    fn state_root(&self) -> L1Future<'_, Word> {
        self.with(|state| Ok(state.root()))
    }

    fn root_at(&self, batch: u64) -> L1Future<'_, Word> {
        self.with(move |state| {
            Ok(usize::try_from(batch).ok().and_then(|batch| state.roots.get(batch)).copied().unwrap_or_default())
        })
    }

    fn is_finalised(&self, root: Word) -> L1Future<'_, bool> {
        self.with(move |state| Ok(state.roots.contains(&root)))
    }

    fn community(&self, community: u32) -> L1Future<'_, Option<CommunityParams>> {
        self.with(move |state| Ok(state.communities.get(&community).map(|(params, _)| *params)))
    }

    fn end_of(&self, community: u32) -> L1Future<'_, CommunityEnd> {
        self.with(move |state| Ok(state.end_of(community)))
    }

    fn ends_of(&self, communities: Vec<u32>) -> L1Future<'_, BTreeMap<u32, CommunityEnd>> {
        self.with(move |state| Ok(communities.into_iter().map(|one| (one, state.end_of(one))).collect()))
    }

    fn in_emergency(&self, community: u32) -> L1Future<'_, bool> {
        self.with(move |state| state.in_emergency(community))
    }

    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>> {
        self.with(move |state| Ok(state.tariffs.iter().filter(|tariff| tariff.block >= from_block).copied().collect()))
    }
}

impl QueuesL1 for MemoryL1 {
    fn is_frozen(&self) -> L1Future<'_, bool> {
        self.with(move |state| Ok(state.frozen))
    }

    fn deposits(&self, from_block: u64) -> L1Future<'_, Vec<DepositEntry>> {
        self.with(move |state| {
            Ok(state.books.deposits().filter(|deposit| deposit.block >= from_block).copied().collect())
        })
    }

    fn claim_state(&self, claim: Word) -> L1Future<'_, TransferState> {
        self.with(move |state| Ok(state.books.transfer(&claim)))
    }

    fn forced_queue(&self, community: u32) -> L1Future<'_, Vec<ForcedEntry>> {
        self.with(move |state| Ok(state.books.queue(community)))
    }

    fn pending_notes(&self, limit: u32) -> L1Future<'_, Vec<Word>> {
        self.with(move |state| Ok(state.books.notes.pending(&state.retired).take(limit as usize).collect()))
    }

    fn supplier_funds(&self) -> L1Future<'_, u64> {
        self.with(move |state| Ok(state.books.supplier_units()))
    }
}

impl SettlementL1 for MemoryL1 {
    fn settle(&self, call: SettleCall) -> L1Future<'_, SettleReceipt> {
        Box::pin(async move {
            let set = |fault: &AtomicBool| fault.load(Ordering::SeqCst);
            if !set(&self.faults.down) {
                if set(&self.faults.refuses) {
                    return reverted("InvalidProof");
                }
                if set(&self.faults.hangs_before) {
                    std::future::pending::<()>().await;
                }
                self.faults.sent.fetch_add(1, Ordering::SeqCst);
            }
            let receipt = self.with(move |state| state.settle(call)).await?;
            if set(&self.faults.hangs_after) {
                std::future::pending::<()>().await;
            }
            Ok(receipt)
        })
    }

    fn confirmed(&self) -> L1Future<'_, Box<dyn QueuesL1>> {
        Box::pin(async {
            // A node that is down does not tell what is final either.
            self.with(|_| Ok(())).await?;
            let view = Self { questions: Arc::clone(&self.questions), ..Self::of(self.final_state()) };
            Ok(Box::new(view) as Box<dyn QueuesL1>)
        })
    }

    fn settlement_of(&self, new_root: Word) -> L1Future<'_, Option<SettleReceipt>> {
        self.with(move |state| {
            let batch = state.batches.iter().find(|batch| batch.call.new_root == new_root);
            Ok(batch.map(|b| SettleReceipt { batch: b.batch, tx: b.tx, block: b.block, gas_used: 21_000 }))
        })
    }

    fn forced_deadline_s(&self) -> L1Future<'_, u64> {
        self.with(move |state| Ok(state.config.terms.forced_deadline_s))
    }

    fn verifier(&self, circuit_version: u32, shape: u32) -> L1Future<'_, Option<VerifierState>> {
        self.with(move |state| Ok(state.verifier(circuit_version, shape)))
    }

    fn drop_retired_notes(&self) -> L1Future<'_, u64> {
        self.with(|state| {
            let waiting = state.books.notes.len();
            match state.transact(|books, context| books.notes.drop_pairs(context, u32::MAX)) {
                Err(error) if error.is_revert("NothingToDrop") => Ok(0),
                answer => answer.map(|_| waiting - state.books.notes.len()),
            }
        })
    }

    fn announcement(&self) -> L1Future<'_, Announcement> {
        self.with(|state| Ok(state.announcement()))
    }

    fn balance(&self) -> L1Future<'_, Option<u128>> {
        self.with(|state| Ok(Some(state.config.balance_wei)))
    }
}

impl AuditorL1 for MemoryL1 {
    fn batch_count(&self) -> L1Future<'_, u64> {
        self.with(|state| Ok(state.batches.len() as u64))
    }

    fn communities(&self, from_block: u64) -> L1Future<'_, Vec<CommunityParams>> {
        self.with(move |state| {
            let mut all: Vec<_> =
                state.communities.values().filter(|(_, block)| *block >= from_block).copied().collect();
            all.sort_by_key(|(_, block)| *block);
            Ok(all.into_iter().map(|(params, _)| params).collect())
        })
    }

    fn settled_batches(&self, from_block: u64) -> L1Future<'_, Vec<SettledBatch>> {
        self.with(move |state| Ok(state.batches.iter().filter(|batch| batch.block >= from_block).cloned().collect()))
    }

    fn events(&self, from_block: u64) -> L1Future<'_, Vec<RollupEvent>> {
        self.with(move |state| Ok(state.events.iter().filter(|event| event.block >= from_block).copied().collect()))
    }

    fn calls(&self, tx: Word) -> L1Future<'_, Calls> {
        self.with(move |state| Ok(state.calls.get(&tx).cloned().unwrap_or_default()))
    }

    fn vault(&self) -> L1Future<'_, Vault> {
        self.with(|state| Ok(state.books.vault()))
    }

    fn terms(&self) -> L1Future<'_, Terms> {
        self.with(|state| Ok(state.terms()))
    }

    fn block(&self, number: Option<u64>) -> L1Future<'_, Block> {
        self.with(move |state| {
            let number = number.unwrap_or(state.block);
            let block = usize::try_from(number).ok().and_then(|at| state.blocks.get(at)).copied();
            block.ok_or_else(|| L1Error::Malformed("no such block".to_owned()))
        })
    }
}

impl MemberL1 for MemoryL1 {
    fn deposit(&self, claim: Word, units: u64) -> L1Future<'_, TxReceipt> {
        self.with(move |state| {
            let block = state.block + 1;
            state.transact(|books, context| books.deposit(context, claim, units, block))
        })
    }

    fn request_refund(&self, claim: Word) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, context| books.request_refund(context, claim)))
    }

    fn refund(&self, claim: Word) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, context| books.refund(context, claim)))
    }

    fn withdrawable(&self, account: Address) -> L1Future<'_, u128> {
        self.with(move |state| Ok(state.books.withdrawable(&account)))
    }

    fn withdraw(&self, account: Address) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, _| books.withdraw(account)))
    }

    fn bonds_owed(&self, account: Address) -> L1Future<'_, u128> {
        self.with(move |state| Ok(state.books.bonds_owed(&account)))
    }

    fn return_bonds(&self, community: u32) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.return_bonds(community))
    }

    fn withdraw_eth(&self, account: Address) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, _| books.withdraw_eth(account)))
    }

    fn force_withdraw(&self, community: u32, slot: u32) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.force_withdraw(community, slot))
    }

    fn forced_nonce(&self, account: Address) -> L1Future<'_, u64> {
        self.with(move |state| Ok(state.books.forced_nonce(&account)))
    }

    fn force_withdraw_for(&self, request: ForcedRequest) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.force_withdraw_for(&request))
    }

    fn freeze(&self, community: u32) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.freeze(community))
    }

    fn exit(&self, call: ExitCall) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.called_exit(&call))
    }

    fn exit_claim(&self, call: ExitClaimCall) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.exit_claim(&call))
    }

    fn certify(&self, call: CertificateCall) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.certify(&call))
    }

    fn freeze_for_notes(&self, number: u64) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.freeze_for_notes(number))
    }

    fn certificate_fee(&self) -> L1Future<'_, u128> {
        self.with(|state| Ok(if state.frozen { 0 } else { state.books.notes.fee(&state.config.terms) }))
    }

    fn nullifier_used(&self, nullifier: Word) -> L1Future<'_, bool> {
        self.with(move |state| Ok(state.books.notes.is_spent(&nullifier)))
    }

    fn waiting_pairs(&self, limit: u32) -> L1Future<'_, Vec<WaitingPair>> {
        self.with(move |state| Ok(state.books.notes.pairs(&state.config.terms).take(limit as usize).collect()))
    }

    fn drop_notes(&self, limit: u32) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, context| books.notes.drop_pairs(context, limit)))
    }

    fn fee_owed(&self, account: Address) -> L1Future<'_, u128> {
        self.with(move |state| Ok(state.books.notes.fee_owed(&account)))
    }

    fn withdraw_fee(&self, account: Address) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, _| books.notes.withdraw_fee(account)))
    }
}

impl OperatorL1 for MemoryL1 {
    fn register_community(&self, params: CommunityParams) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.register_community(params))
    }

    fn open_tariff_set(&self, tariff_set: u32, interval_length_s: u16, m: u16) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.open_tariff_set(tariff_set, interval_length_s, m))
    }

    fn register_tariff(&self, tariff_set: u32, first_interval: u32, commitment: Word) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.register_tariff(tariff_set, first_interval, commitment))
    }

    fn fund_supplier_account(&self, units: u64) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, context| books.fund_supplier_account(context, units)))
    }
}
