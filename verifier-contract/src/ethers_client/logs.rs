//! Logs: from the deployment on, in ranges that the node takes, and what is final only once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ethers::contract::EthEvent;
use ethers::providers::{Middleware, RpcError};
use ethers::types::{Address as EthAddress, BlockNumber, Filter, H256, Log};
use tokio::sync::OnceCell;

use super::bindings::GenesisFilter;
use super::{EthersClient, REQUEST_TIMEOUT, block_of, malformed, provider_error, request};
use crate::client::L1Error;

/// Blocks asked for at first in one query.
const FIRST_RANGE: u64 = 5_000;
/// Most blocks asked for in one query.
const WIDEST: u64 = 100_000;

/// Whose logs, and of which event; `None`: of all.
pub(super) type Asked = (Vec<EthAddress>, Option<H256>);

/// Logs up to a final block, all from the deployment on.
#[derive(Clone, Debug, Default)]
struct Read {
    /// The first block that is not read.
    next: u64,
    /// Hash of the block before it.
    hash: H256,
    logs: Vec<Log>,
}

/// What was read of a chain, and how.
#[derive(Debug)]
pub(super) struct Kept {
    first_block: OnceCell<u64>,
    range: AtomicU64,
    read: Mutex<HashMap<Asked, Read>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { first_block: OnceCell::new(), range: AtomicU64::new(FIRST_RANGE), read: Mutex::default() }
    }
}

impl Kept {
    /// Blocks that the node took in one query last.
    pub(super) fn range(&self) -> u64 {
        self.range.load(Ordering::Relaxed).max(1)
    }

    /// Adds final logs from block `from` on, after which `next` is the first block that is not read, and `hash` that of
    /// the block before it. Where another task has read on in the meantime, its reading stays.
    fn keep(&self, asked: Asked, from: u64, (next, hash): (u64, H256), logs: Vec<Log>) {
        let mut kept = self.read();
        let read = kept.entry(asked).or_default();
        if read.next == from && next > from {
            (read.next, read.hash) = (next, hash);
            read.logs.extend(logs);
        }
    }

    fn read(&self) -> MutexGuard<'_, HashMap<Asked, Read>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EthersClient {
    /// Logs of one of the rollup's events from `from_block` to the latest block.
    pub(super) async fn logs(&self, topic: H256, from_block: u64) -> Result<Vec<Log>, L1Error> {
        self.logs_of(vec![EthAddress::from(self.contract)], Some(topic), from_block).await
    }

    /// Logs of one of the registry's events.
    pub(super) async fn registry_logs(&self, topic: H256, from_block: u64) -> Result<Vec<Log>, L1Error> {
        self.logs_of(vec![self.parts().await?.registry], Some(topic), from_block).await
    }

    /// Logs of these contracts, of one event or of all, in their order.
    pub(super) async fn logs_of(
        &self,
        contracts: Vec<EthAddress>,
        topic: Option<H256>,
        from_block: u64,
    ) -> Result<Vec<Log>, L1Error> {
        let first = self.first_block().await?;
        let latest = self.latest().await?;
        let asked = (contracts, topic);
        if from_block > first {
            return self.read_logs(&asked, from_block, latest).await;
        }
        // Asked before the logs are read: what is read afterwards of a final block stays.
        let last_final = self.last_final(latest).await;
        let hash = self.block_hash(last_final).await?;
        let mut read = self.kept.read().get(&asked).cloned().unwrap_or_default();
        // What is kept is of this chain, as the node that answers now has it: another one may have answered before.
        if read.next > 0 && read.next <= latest + 1 && self.block_hash(read.next - 1).await? != read.hash {
            self.kept.read().remove(&asked);
            read = Read::default();
        }
        let Read { next, logs: mut all, .. } = read;
        let fresh = self.read_logs(&asked, next.max(first), latest).await?;
        let kept = all.len();
        for log in fresh {
            block_of(&log)?;
            all.push(log);
        }
        // Two nodes may have answered in turn. They have the same logs where they have the same final block.
        if next <= last_final && self.block_hash(last_final).await? != hash {
            return Err(L1Error::Unreachable("a final block has changed while logs were read".to_owned()));
        }
        let is_final = |log: &&Log| block_of(log).is_ok_and(|block| block <= last_final);
        let stays = all.iter().skip(kept).take_while(is_final).cloned().collect();
        self.kept.keep(asked, next, (last_final + 1, hash), stays);
        all.retain(|log| block_of(log).is_ok_and(|block| block <= latest));
        Ok(all)
    }

    async fn block_hash(&self, number: u64) -> Result<H256, L1Error> {
        let block = request(self.provider.get_block(number)).await?;
        let hash = block.filter(|block| block.number == Some(number.into())).and_then(|block| block.hash);
        // A node behind the one that told of it.
        hash.ok_or_else(|| L1Error::Unreachable(format!("the node does not have block {number}")))
    }

    /// The deployment's block, as the contract says and its first event confirms. Where they do not fit, because the
    /// EVM's block numbers are not the node's, the first block with its code, or 0. A client that is pinned to a block's
    /// hash has computed what the contract says.
    pub(super) async fn first_block(&self) -> Result<u64, L1Error> {
        let first = self.kept.first_block.get_or_try_init(|| async {
            let said: u64 = self.view(self.bound().created_at().calldata()).await?;
            if self.proven.is_some() {
                return Ok(said);
            }
            let genesis = (vec![EthAddress::from(self.contract)], Some(GenesisFilter::signature()));
            let latest = request(self.provider.get_block_number()).await?.as_u64();
            let fits = said <= latest && !self.read_logs(&genesis, said, said).await?.is_empty();
            // A node that keeps no old states cannot be asked: then everything is read.
            Ok::<u64, L1Error>(if fits { said } else { self.first_with_code(latest).await.unwrap_or_default() })
        });
        first.await.copied()
    }

    /// The first block in which the contract has code, found by halving: a node that keeps old states can tell.
    ///
    /// # Errors
    /// [`L1Error`]; `Malformed` if there is no contract.
    pub async fn first_with_code(&self, latest: u64) -> Result<u64, L1Error> {
        let has_code = async |block: u64| {
            let at = Some(BlockNumber::from(block).into());
            let code = request(self.provider.get_code(EthAddress::from(self.contract), at)).await?;
            Ok::<bool, L1Error>(!code.is_empty())
        };
        if !has_code(latest).await? {
            return Err(malformed("no contract at the address"));
        }
        // No code before the first of them, code from the last of them on.
        let (mut from, mut to) = (0, latest);
        while from < to {
            let middle = from + (to - from) / 2;
            if has_code(middle).await? { to = middle } else { from = middle + 1 }
        }
        Ok(to)
    }

    /// Blocks `from` to `to`, in ranges as wide as the node takes: half as wide where it refuses, twice as wide where it
    /// does not.
    pub(super) async fn read_logs(
        &self,
        (contracts, topic): &Asked,
        mut from: u64,
        to: u64,
    ) -> Result<Vec<Log>, L1Error> {
        let mut out = Vec::new();
        while from <= to {
            let range = self.kept.range();
            let last = to.min(from.saturating_add(range - 1));
            let mut filter = Filter::new().address(contracts.clone()).from_block(from).to_block(last);
            if let Some(topic) = topic {
                filter = filter.topic0(*topic);
            }
            let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.provider.get_logs(&filter)).await;
            let width = last - from + 1;
            match answer {
                Ok(Ok(logs)) => {
                    for log in &logs {
                        let wanted = contracts.contains(&log.address)
                            && topic.is_none_or(|topic| log.topics.first() == Some(&topic))
                            && (from..=last).contains(&block_of(log)?);
                        if !wanted {
                            return Err(malformed("a log that was not asked for"));
                        }
                    }
                    out.extend(logs);
                    from = last + 1;
                    if width == range {
                        self.kept.range.store((range * 2).min(WIDEST), Ordering::Relaxed);
                    }
                }
                // It answers, but not that much.
                Ok(Err(error)) if error.as_error_response().is_some() && width > 1 => {
                    self.kept.range.store(width / 2, Ordering::Relaxed);
                }
                Ok(Err(error)) => return Err(provider_error(error)),
                Err(_) => {
                    return Err(L1Error::Unreachable(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())));
                }
            }
        }
        Ok(out)
    }
}
