//! The operations of every role on L1, one call or one query each.

use std::collections::{BTreeMap, BTreeSet};

use ethers::contract::EthEvent;
use ethers::providers::Middleware;
use ethers::types::{Address as EthAddress, BlockNumber, H256};

use super::bindings::{
    BatchSettledFilter, CommunityClosingFilter, CommunityRegisteredFilter, DepositMadeFilter,
    ForcedEntry as AbiForcedEntry, TariffRegisteredFilter, Waiting, WaitingPair as AbiWaitingPair,
};
use super::events::{self, u128_of};
use super::{Act, EthersClient, block_of, calldata::call_at, calls_in, decode_log, malformed, request, settle_receipt};
use crate::client::{AuditorL1, ChainL1, L1Error, L1Future, MemberL1 as _, OperatorL1, QueuesL1, SettlementL1};
use crate::deployment::Terms;
use crate::types::{
    Address, Announcement, Block, Calls, CommunityEnd, CommunityParams, DepositEntry, DepositState, ForcedEntry,
    RollupEvent, SettleCall, SettleReceipt, SettledBatch, Stage, TariffEntry, TransferState, TxReceipt, Vault,
    VerifierState, WaitingPair, Word,
};

/// Pairs of notes that one transaction drops: about three million gas.
const DROPPED_AT_ONCE: u32 = 64;

impl EthersClient {
    pub(super) async fn pairs(&self, limit: u32) -> Result<Vec<WaitingPair>, L1Error> {
        let certificates = self.certificates().await?;
        let pairs: Vec<AbiWaitingPair> =
            self.view_at(certificates.address(), certificates.waiting_pairs(limit.into()).calldata()).await?;
        let pair = |pair: AbiWaitingPair| {
            Ok(WaitingPair {
                number: pair.number,
                half: pair.half,
                nullifier: pair.nullifier,
                notes: [pair.note_1, pair.note_2],
                circuit_version: pair.circuit_version,
                due_s: u64::try_from(pair.due).map_err(malformed)?,
            })
        };
        pairs.into_iter().map(pair).collect()
    }

    async fn deposit_by_claim(&self, claim: Word) -> Result<Option<DepositState>, L1Error> {
        let (_, _, refundable_at, state): (EthAddress, u64, u64, u8) =
            self.view(self.bound().deposit_of(claim).calldata()).await?;
        Ok(Some(match (state, refundable_at) {
            (0, _) => return Ok(None),
            (1, 0) => DepositState::Open,
            (1, at) => DepositState::RefundRequested(at),
            (2, _) => DepositState::Consumed,
            (3, _) => DepositState::Refunded,
            _ => return Err(malformed("a deposit in no known state")),
        }))
    }
}

impl ChainL1 for EthersClient {
    fn chain_id(&self) -> L1Future<'_, u64> {
        Box::pin(async { Ok(self.chain_id) })
    }

    fn contract(&self) -> Address {
        self.contract
    }

    fn timestamp(&self) -> L1Future<'_, u64> {
        Box::pin(async {
            let asked = self.block.map_or(BlockNumber::Latest, BlockNumber::from);
            let block = request(self.provider.get_block(asked)).await?;
            Ok(block.ok_or_else(|| malformed("no latest block"))?.timestamp.as_u64())
        })
    }

    fn state_root(&self) -> L1Future<'_, Word> {
        Box::pin(async { self.view(self.bound().state_root().calldata()).await })
    }

    fn root_at(&self, batch: u64) -> L1Future<'_, Word> {
        Box::pin(self.root_after(batch))
    }

    fn is_finalised(&self, root: Word) -> L1Future<'_, bool> {
        Box::pin(async move { self.view(self.bound().is_finalised(root).calldata()).await })
    }

    fn community(&self, community: u32) -> L1Future<'_, Option<CommunityParams>> {
        Box::pin(async move {
            let registry = self.registry().await?;
            let (registered, interval_length_s, m, shape, tariff_set): (bool, u16, u16, u32, u32) =
                self.view_at(registry.address(), registry.community_of(community).calldata()).await?;
            if !registered {
                return Ok(None);
            }
            let genesis_terms =
                self.view_at(registry.address(), registry.genesis_terms_of(community).calldata()).await?;
            Ok(Some(CommunityParams { community, shape, interval_length_s, m, tariff_set, genesis_terms }))
        })
    }

    fn end_of(&self, community: u32) -> L1Future<'_, CommunityEnd> {
        Box::pin(async move {
            let registry = self.registry().await?;
            let (stage, closes_at_s, closed_after): (u8, u64, u64) =
                self.view_at(registry.address(), registry.end_of(community).calldata()).await?;
            let stage = Stage::by_number(stage).ok_or_else(|| malformed("a community in no known stage"))?;
            Ok(CommunityEnd { stage, closes_at_s, closed_after })
        })
    }

    fn ends_of(&self, communities: Vec<u32>) -> L1Future<'_, BTreeMap<u32, CommunityEnd>> {
        Box::pin(async move {
            let mut announced = BTreeSet::new();
            for log in self.registry_logs(CommunityClosingFilter::signature(), 0).await? {
                let event: CommunityClosingFilter = decode_log(&log)?;
                announced.insert(event.community);
            }
            let mut ends = BTreeMap::new();
            for community in communities {
                let open = !announced.contains(&community);
                ends.insert(community, if open { CommunityEnd::default() } else { self.end_of(community).await? });
            }
            Ok(ends)
        })
    }

    fn in_emergency(&self, community: u32) -> L1Future<'_, bool> {
        Box::pin(async move {
            let registry = self.registry().await?;
            self.view_at(registry.address(), registry.in_emergency(community).calldata()).await
        })
    }

    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>> {
        Box::pin(async move {
            let logs = self.registry_logs(TariffRegisteredFilter::signature(), from_block).await?;
            logs.iter()
                .map(|log| {
                    let event: TariffRegisteredFilter = decode_log(log)?;
                    Ok(TariffEntry {
                        tariff_set: event.tariff_set,
                        index: event.index,
                        first_interval: event.first_interval,
                        commitment: event.commitment,
                        block: block_of(log)?,
                    })
                })
                .collect()
        })
    }
}

impl QueuesL1 for EthersClient {
    fn is_frozen(&self) -> L1Future<'_, bool> {
        Box::pin(async move { self.view(self.bound().is_frozen().calldata()).await })
    }

    fn deposits(&self, from_block: u64) -> L1Future<'_, Vec<DepositEntry>> {
        Box::pin(async move {
            let mut out = Vec::new();
            for log in self.logs(DepositMadeFilter::signature(), from_block).await? {
                let DepositMadeFilter { claim, depositor, units } = decode_log(&log)?;
                let state =
                    self.deposit_by_claim(claim).await?.ok_or_else(|| malformed("a deposit in no known state"))?;
                out.push(DepositEntry { claim, depositor: depositor.0, units, block: block_of(&log)?, state });
            }
            Ok(out)
        })
    }

    fn claim_state(&self, claim: Word) -> L1Future<'_, TransferState> {
        Box::pin(async move {
            match self.view::<u8>(self.bound().transfer_of(claim).calldata()).await? {
                0 => Ok(TransferState::Unknown),
                1 => Ok(TransferState::Open),
                2 => Ok(TransferState::Received),
                3 => Ok(TransferState::Exited),
                _ => Err(malformed("a claim in no known state")),
            }
        })
    }

    fn forced_queue(&self, community: u32) -> L1Future<'_, Vec<ForcedEntry>> {
        Box::pin(async move {
            let entries: Vec<AbiForcedEntry> = self.view(self.bound().forced_queue_of(community).calldata()).await?;
            Ok(entries
                .into_iter()
                .map(|entry| ForcedEntry {
                    slot: entry.slot,
                    requester: entry.requester.0,
                    time: entry.time,
                    payer: entry.payer.0,
                    bond: entry.bond,
                })
                .collect())
        })
    }

    fn pending_notes(&self, limit: u32) -> L1Future<'_, Vec<Word>> {
        Box::pin(async move {
            let certificates = self.certificates().await?;
            self.view_at(certificates.address(), certificates.pending_notes(limit.into()).calldata()).await
        })
    }

    fn supplier_funds(&self) -> L1Future<'_, u64> {
        Box::pin(async move {
            let (_pool, _open, funds): (u64, u64, u64) = self.view(self.bound().totals().calldata()).await?;
            Ok(funds)
        })
    }
}

impl SettlementL1 for EthersClient {
    fn settle(&self, call: SettleCall) -> L1Future<'_, SettleReceipt> {
        Box::pin(async move { self.settle_calls(&[call]).await })
    }

    fn settle_in_order(&self, calls: Vec<SettleCall>) -> L1Future<'_, SettleReceipt> {
        Box::pin(async move { self.settle_calls(&calls).await })
    }

    fn confirmed(&self) -> L1Future<'_, Box<dyn QueuesL1>> {
        Box::pin(async { Ok(Box::new(self.at_final_block().await?) as Box<dyn QueuesL1>) })
    }

    fn settlement_of(&self, new_root: Word) -> L1Future<'_, Option<SettleReceipt>> {
        Box::pin(async move {
            let Some(log) = self.settled_log(new_root).await? else { return Ok(None) };
            let hash = log.transaction_hash.ok_or_else(|| malformed("a log without a transaction"))?;
            let receipt = request(self.provider.get_transaction_receipt(hash)).await?;
            receipt.as_ref().map(settle_receipt).transpose()
        })
    }

    fn forced_deadline_s(&self) -> L1Future<'_, u64> {
        Box::pin(self.view(self.bound().forced_deadline().calldata()))
    }

    fn verifier(&self, circuit_version: u32, shape: u32) -> L1Future<'_, Option<VerifierState>> {
        Box::pin(async move {
            let registry = self.registry().await?;
            let at = registry.address();
            if self.view_at::<bool>(at, registry.is_retired(circuit_version).calldata()).await? {
                return Ok(None);
            }
            let record = self.verifier_record(circuit_version, shape).await?;
            let state = self.verifier_state(&record, shape).await?;
            Ok((record.verifier != EthAddress::zero()).then_some(state))
        })
    }

    fn drop_retired_notes(&self) -> L1Future<'_, u64> {
        Box::pin(async move {
            let pairs = self.pairs(DROPPED_AT_ONCE).await?;
            let registry = self.registry().await?;
            let mut retired = 0;
            for pair in pairs.iter().take_while(|pair| !pair.half) {
                let asked = registry.is_retired(pair.circuit_version).calldata();
                if !self.view_at::<bool>(registry.address(), asked).await? {
                    break;
                }
                retired += 1;
            }
            if retired > 0 {
                self.drop_notes(DROPPED_AT_ONCE).await?;
            }
            Ok(retired)
        })
    }

    fn announcement(&self) -> L1Future<'_, Announcement> {
        Box::pin(async move {
            let state: Waiting = self.view(self.bound().forced_waiting().calldata()).await?;
            Ok(Announcement { circuit_version: state.circuit_version, at_s: state.announced_at, waiting: state.before })
        })
    }

    fn balance(&self) -> L1Future<'_, Option<u128>> {
        Box::pin(async move {
            let Some(key) = &self.key else { return Ok(None) };
            self.balance_wei(key.account()).await.map(Some)
        })
    }
}

impl AuditorL1 for EthersClient {
    fn batch_count(&self) -> L1Future<'_, u64> {
        Box::pin(async { self.view(self.bound().batch_count().calldata()).await })
    }

    fn communities(&self, from_block: u64) -> L1Future<'_, Vec<CommunityParams>> {
        Box::pin(async move {
            let logs = self.registry_logs(CommunityRegisteredFilter::signature(), from_block).await?;
            logs.iter()
                .map(|log| {
                    let event: CommunityRegisteredFilter = decode_log(log)?;
                    Ok(CommunityParams {
                        community: event.community,
                        shape: event.shape,
                        interval_length_s: event.interval_length,
                        m: event.m,
                        tariff_set: event.tariff_set,
                        genesis_terms: event.genesis_terms,
                    })
                })
                .collect()
        })
    }

    fn settled_batches(&self, from_block: u64) -> L1Future<'_, Vec<SettledBatch>> {
        Box::pin(async move {
            let mut out: Vec<SettledBatch> = Vec::new();
            for log in self.logs(BatchSettledFilter::signature(), from_block).await? {
                let settled = self.settled(&log).await?;
                if out
                    .last()
                    .is_some_and(|last| last.batch + 1 != settled.batch || last.call.new_root != settled.old_root)
                {
                    return Err(malformed("the settled batches do not follow one another"));
                }
                out.push(settled);
            }
            Ok(out)
        })
    }

    fn events(&self, from_block: u64) -> L1Future<'_, Vec<RollupEvent>> {
        Box::pin(async move {
            let parts = self.parts().await?;
            let contracts = vec![EthAddress::from(self.contract), parts.registry, parts.certificates];
            let logs = self.logs_of(contracts, None, from_block).await?;
            let rollup = EthAddress::from(self.contract);
            logs.iter().filter_map(|log| events::event_of(rollup, &parts, log).transpose()).collect()
        })
    }

    fn calls(&self, tx: Word) -> L1Future<'_, Calls> {
        Box::pin(async move {
            let parts = self.parts().await?;
            let tx = self.transaction(H256(tx)).await?;
            let direct = tx.to == Some(parts.certificates) || tx.to == Some(parts.exits);
            let calls = if direct { call_at(&tx.input).into_iter().collect() } else { calls_in(&tx.input) };
            Ok(Calls { direct, calls })
        })
    }

    fn deposit_state(&self, claim: Word) -> L1Future<'_, Option<DepositState>> {
        Box::pin(self.deposit_by_claim(claim))
    }

    fn terms(&self) -> L1Future<'_, Terms> {
        Box::pin(self.read_terms())
    }

    fn vault(&self) -> L1Future<'_, Vault> {
        Box::pin(async move {
            let (pool_nano, open_units, supplier_units): (u64, u64, u64) =
                self.view(self.bound().totals().calldata()).await?;
            let coin = request(self.provider.get_balance(EthAddress::from(self.contract), self.at())).await?;
            Ok(Vault {
                pool_nano,
                open_units,
                supplier_units,
                token_balance: self.token_balance(self.contract).await?,
                coin_balance: u128_of(coin)?,
            })
        })
    }

    fn block(&self, number: Option<u64>) -> L1Future<'_, Block> {
        Box::pin(async move {
            let asked = number.or(self.block).map_or(BlockNumber::Latest, BlockNumber::from);
            let block = request(self.provider.get_block(asked)).await?.ok_or_else(|| malformed("no such block"))?;
            let (Some(told), Some(hash)) = (block.number, block.hash) else {
                return Err(malformed("a block without number and hash"));
            };
            if number.or(self.block).is_some_and(|number| number != told.as_u64()) {
                return Err(malformed("the node gave another block than was asked for"));
            }
            Ok(Block { number: told.as_u64(), hash: hash.0, time_s: block.timestamp.as_u64() })
        })
    }
}

impl OperatorL1 for EthersClient {
    fn register_community(&self, params: CommunityParams) -> L1Future<'_, TxReceipt> {
        Box::pin(self.act(Act::RegisterCommunity(params)))
    }

    fn open_tariff_set(&self, tariff_set: u32, interval_length_s: u16, m: u16) -> L1Future<'_, TxReceipt> {
        Box::pin(self.act(Act::OpenTariffSet(tariff_set, interval_length_s, m)))
    }

    fn register_tariff(&self, tariff_set: u32, first_interval: u32, commitment: Word) -> L1Future<'_, TxReceipt> {
        Box::pin(self.act(Act::RegisterTariff(tariff_set, first_interval, commitment)))
    }

    fn fund_supplier_account(&self, units: u64) -> L1Future<'_, TxReceipt> {
        Box::pin(async move {
            self.approve(units).await?;
            self.transact(self.bound().add_supplier_units(units).calldata()).await
        })
    }
}
