//! Transactions: what they offer, how they take the place of one that is stuck, and when they are mined.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use ethers::providers::Middleware;
use ethers::signers::Signer;
use ethers::types::transaction::eip2718::TypedTransaction;
use ethers::types::{
    Address as EthAddress, BlockNumber, Bytes, Eip1559TransactionRequest, H256, TransactionReceipt, U64, U256,
};

use super::fees::{Fees, HISTORY_BLOCKS, TIP_PERCENTILE};
use super::{EthersClient, request, required, tx_receipt};
use crate::client::L1Error;
use crate::types::TxReceipt;

/// Longest wait for a sent transaction to be mined, with all that took its place.
const MINED_TIMEOUT: Duration = Duration::from_secs(180);
/// After so long a transaction is sent again, for more.
const REPLACED_AFTER: Duration = Duration::from_secs(45);
/// Between two looks for a sent transaction.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often more is offered at once, where a transaction of an earlier try is in the way: sixteenfold in all.
const RAISES: u32 = 24;

impl EthersClient {
    /// Calls first, to learn the contract's error, then sends and waits.
    pub(super) async fn transact(&self, calldata: Option<Bytes>) -> Result<TxReceipt, L1Error> {
        self.transact_at(EthAddress::from(self.contract), calldata).await
    }

    /// The same with another contract.
    pub(super) async fn transact_at(&self, to: EthAddress, calldata: Option<Bytes>) -> Result<TxReceipt, L1Error> {
        self.transact_with(to, calldata, U256::zero()).await
    }

    /// The same with wei.
    pub(super) async fn transact_with(
        &self,
        to: EthAddress,
        calldata: Option<Bytes>,
        wei: U256,
    ) -> Result<TxReceipt, L1Error> {
        let receipt = self.send_with(Some(to), required(calldata)?.to_vec(), wei).await?;
        tx_receipt(&receipt)
    }

    pub(super) async fn send(&self, to: Option<EthAddress>, data: Vec<u8>) -> Result<TransactionReceipt, L1Error> {
        self.send_with(to, data, U256::zero()).await
    }

    /// Sends under the first nonce that is not mined, and for more if that takes long or an earlier try is in the way: a
    /// retry replaces, also in another process, and never doubles.
    async fn send_with(&self, to: Option<EthAddress>, data: Vec<u8>, wei: U256) -> Result<TransactionReceipt, L1Error> {
        let wallet = self.wallet.as_ref().ok_or(L1Error::Config("the client has no key"))?;
        let _one_at_a_time = self.sending.lock().await;
        let from = wallet.address();
        let mut tx = Eip1559TransactionRequest::new().from(from).data(data).value(wei).chain_id(self.chain_id);
        if let Some(to) = to {
            tx = tx.to(to);
        }
        let typed: TypedTransaction = tx.clone().into();
        request(self.provider.call(&typed, None)).await?;
        let gas = request(self.provider.estimate_gas(&typed, None)).await?;
        let nonce = request(self.provider.get_transaction_count(from, Some(BlockNumber::Latest.into()))).await?;
        // The verifier is given a fixed amount of gas: 63/64 of what is left must cover it, so the estimate gets a
        // margin.
        let tx = tx.gas(gas * 5 / 4).nonce(nonce);
        let start = tokio::time::Instant::now();
        let mut fees = self.fees_now().await?;
        let mut sent = Vec::new();
        while start.elapsed() < MINED_TIMEOUT {
            fees = self.offer(&tx, fees, &mut sent).await?;
            let left = MINED_TIMEOUT.saturating_sub(start.elapsed());
            if let Some(receipt) = self.first_mined(&sent, REPLACED_AFTER.min(left)).await? {
                let good = receipt.status == Some(U64::one());
                return if good { Ok(receipt) } else { Err(L1Error::Reverted { name: "unknown".to_owned() }) };
            }
            // Where the cap allows no more, what was sent may still be mined.
            fees = fees.above(self.fees_now().await.unwrap_or(fees), self.fees).unwrap_or(fees);
        }
        Err(L1Error::Pending(format!("{} was not mined within {} s", shown(&sent), MINED_TIMEOUT.as_secs())))
    }

    /// Sends an empty transaction of the key's account to itself, in the place of one that may still wait to be mined, and
    /// waits until it is in a block that counts as final: nothing that the account has sent before is mined any more.
    /// `waits` is told how many blocks are missing. May be called again.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn void_waiting(&self, waits: impl Fn(u64)) -> Result<(), L1Error> {
        let account = self.wallet.as_ref().map(Signer::address);
        let receipt = self.send(account, Vec::new()).await?;
        loop {
            let there = request(self.provider.get_transaction_receipt(receipt.transaction_hash)).await?;
            let block = there.and_then(|receipt| receipt.block_number);
            let block = block.ok_or_else(|| L1Error::Pending("a reorganisation took it back".to_owned()))?.as_u64();
            let last = self.final_block().await?;
            if last >= block {
                return Ok(());
            }
            waits(block - last);
            tokio::time::sleep(LONGEST_PAUSE).await;
        }
    }

    pub(super) async fn fees_now(&self) -> Result<Fees, L1Error> {
        let history = self.provider.fee_history(HISTORY_BLOCKS, BlockNumber::Latest, &[TIP_PERCENTILE]);
        Fees::now(&request(history).await?, self.fees)
    }

    /// Sends a transaction for these fees, or for as much more as a pool asks that has another one of its nonce.
    async fn offer(
        &self,
        tx: &Eip1559TransactionRequest,
        mut fees: Fees,
        sent: &mut Vec<H256>,
    ) -> Result<Fees, L1Error> {
        let wallet = self.wallet.as_ref().ok_or(L1Error::Config("the client has no key"))?;
        for _ in 0..RAISES {
            let tx = tx.clone().max_fee_per_gas(fees.most).max_priority_fee_per_gas(fees.tip);
            let typed: TypedTransaction = tx.into();
            let signature = wallet.sign_transaction(&typed).await.map_err(|_| L1Error::Config("signing failed"))?;
            let hash = typed.hash(&signature);
            match request(self.provider.send_raw_transaction(typed.rlp_signed(&signature))).await {
                Ok(_) => add_new(sent, hash),
                Err(L1Error::Pending(message)) if says(&message, "underpriced") => {
                    match fees.above(fees, self.fees) {
                        Ok(more) => fees = more,
                        // The cap allows no more; what was sent before may still be mined.
                        Err(_) if !sent.is_empty() => return Ok(fees),
                        Err(error) => return Err(error),
                    }
                    continue;
                }
                // An earlier try, perhaps of another process, sent the very same.
                Err(L1Error::Pending(message)) if says(&message, "already") => add_new(sent, hash),
                // One that was sent before was mined in the meantime.
                Err(L1Error::Pending(_)) if !sent.is_empty() => {}
                Err(error) => return Err(error),
            }
            return Ok(fees);
        }
        Err(L1Error::Pending("another transaction of this account is in the way, and offers more".to_owned()))
    }

    /// The receipt of the first of these that is mined.
    async fn first_mined(&self, sent: &[H256], within: Duration) -> Result<Option<TransactionReceipt>, L1Error> {
        let start = tokio::time::Instant::now();
        let pauses = ExponentialBuilder::new().with_factor(2.0).without_max_times();
        let mut pauses = pauses.with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE).build();
        loop {
            for hash in sent {
                if let Some(receipt) = request(self.provider.get_transaction_receipt(*hash)).await? {
                    return Ok(Some(receipt));
                }
            }
            if start.elapsed() >= within {
                return Ok(None);
            }
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// The receipt of a transaction that the node knows of.
    pub(super) async fn wait(&self, hash: H256) -> Result<TransactionReceipt, L1Error> {
        let late =
            || L1Error::Pending(format!("{} was not mined within {} s", shown(&[hash]), MINED_TIMEOUT.as_secs()));
        self.first_mined(&[hash], MINED_TIMEOUT).await?.ok_or_else(late)
    }
}

/// At the cap the same transaction is sent again, with the same hash.
fn add_new(sent: &mut Vec<H256>, hash: H256) {
    if !sent.contains(&hash) {
        sent.push(hash);
    }
}

fn says(message: &str, word: &str) -> bool {
    message.to_lowercase().contains(word)
}

fn shown(sent: &[H256]) -> String {
    sent.last().map_or_else(|| "the transaction".to_owned(), |hash| format!("transaction {hash:?}"))
}
