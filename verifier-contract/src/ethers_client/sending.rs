//! Transactions: what they offer, how they take the place of one that is stuck, and when they are mined.

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use ethers::providers::Middleware;
use ethers::types::transaction::eip2718::TypedTransaction;
use ethers::types::{
    Address as EthAddress, BlockNumber, Bytes, Eip1559TransactionRequest, H256, TransactionReceipt, U64, U256,
};

use super::fees::{Fees, HISTORY_BLOCKS, TIP_PERCENTILE};
use super::signing::Signed;
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

/// Most transactions of an account that wait to be mined at once.
pub const MOST_AT_ONCE: usize = 8;

/// What is to be done by a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) to: Option<EthAddress>,
    pub(super) data: Bytes,
    pub(super) wei: U256,
}

/// A transaction that was sent, and was not mined when that was asked last.
#[derive(Debug)]
pub(super) struct Waiting {
    call: Call,
    /// All but the fees.
    tx: Eip1559TransactionRequest,
    fees: Fees,
    sent: Vec<H256>,
    /// It was sent behind another one: its gas is a guess, and it may be mined where that one is not.
    guessed: bool,
}

/// What an account has sent, by number.
pub(super) type Sending = BTreeMap<u64, Waiting>;

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

    async fn send_with(&self, to: Option<EthAddress>, data: Vec<u8>, wei: U256) -> Result<TransactionReceipt, L1Error> {
        self.send_in_order(&[Call { to, data: data.into(), wei }]).await
    }

    /// Sends calls that each build on the one before, under the first numbers that are not mined, and waits for the first:
    /// for more if that takes long or an earlier try is in the way. A retry replaces, also in another process, and never
    /// doubles. Whoever asks again with what is left finds it on its way.
    ///
    /// Only the first is tried before it is sent. Of the others, the gas is a guess by the first, and one that is mined
    /// without the one before it reverts: both are met by sending it again as a first one.
    pub(super) async fn send_in_order(&self, calls: &[Call]) -> Result<TransactionReceipt, L1Error> {
        let account = EthAddress::from(self.account().ok_or(L1Error::Config("the client has no key"))?);
        let mut waiting = self.sending.lock().await;
        let nonce = self.mined_transactions(account.0).await?;
        waiting.retain(|number, _| *number >= nonce);
        let (first, others) = calls.split_first().ok_or(L1Error::Config("there is nothing to send"))?;
        let (gas, fees) = self.send_first(&mut waiting, (account, nonce), first).await?;
        for (call, number) in others.iter().zip(nonce + 1..).take(MOST_AT_ONCE - 1) {
            if waiting.get(&number).is_some_and(|one| one.call == *call) {
                continue;
            }
            let (length, of_first) = (call.data.len(), first.data.len().max(1));
            let guess = if length > of_first { gas * length / of_first } else { gas };
            let tx = self.request_of(account, call).gas(guess * 5 / 4).nonce(number);
            let mut one = Waiting { call: call.clone(), tx, fees, sent: Vec::new(), guessed: true };
            // It has time: it is sent again when it is the first.
            match self.offer(&one.tx, one.fees, &mut one.sent).await {
                Ok(fees) => one.fees = fees,
                Err(_) => break,
            }
            waiting.insert(number, one);
        }
        let Some(one) = waiting.get_mut(&nonce) else { return Err(L1Error::Config("there is nothing to wait for")) };
        let receipt = self.mined_at_last(account, nonce, one).await?;
        let guessed = one.guessed;
        waiting.remove(&nonce);
        if receipt.status == Some(U64::one()) {
            Ok(receipt)
        } else if guessed {
            Err(L1Error::Pending("it was mined too early; it is sent again".to_owned()))
        } else {
            Err(L1Error::Reverted { name: "unknown".to_owned() })
        }
    }

    /// Calls first, to learn the contract's error, then sends what is not on its way. Gives the gas that it needs, and what
    /// it offers.
    async fn send_first(
        &self,
        waiting: &mut Sending,
        (account, nonce): (EthAddress, u64),
        call: &Call,
    ) -> Result<(U256, Fees), L1Error> {
        let tx = self.request_of(account, call);
        let typed: TypedTransaction = tx.clone().into();
        request(self.provider.call(&typed, None)).await?;
        let gas = request(self.provider.estimate_gas(&typed, None)).await?;
        if let Some(one) = waiting.get(&nonce).filter(|one| one.call == *call) {
            return Ok((gas, one.fees));
        }
        // The verifier is given a fixed amount of gas: 63/64 of what is left must cover it, so the estimate gets a margin.
        let (tx, fees) = (tx.gas(gas * 5 / 4).nonce(nonce), self.fees_now().await?);
        let mut one = Waiting { call: call.clone(), tx, fees, sent: Vec::new(), guessed: false };
        one.fees = self.offer(&one.tx, fees, &mut one.sent).await?;
        let fees = one.fees;
        waiting.insert(nonce, one);
        Ok((gas, fees))
    }

    /// Waits until a transaction is mined, and offers more for it now and then.
    async fn mined_at_last(
        &self,
        account: EthAddress,
        nonce: u64,
        one: &mut Waiting,
    ) -> Result<TransactionReceipt, L1Error> {
        let start = tokio::time::Instant::now();
        loop {
            let left = MINED_TIMEOUT.saturating_sub(start.elapsed());
            if let Some(receipt) = self.first_mined(&one.sent, REPLACED_AFTER.min(left)).await? {
                return Ok(receipt);
            }
            if self.mined_transactions(account.0).await? > nonce {
                return match self.first_mined(&one.sent, Duration::ZERO).await? {
                    Some(receipt) => Ok(receipt),
                    None => Err(L1Error::Pending("another transaction of this account took its place".to_owned())),
                };
            }
            if start.elapsed() >= MINED_TIMEOUT {
                let waited = MINED_TIMEOUT.as_secs();
                return Err(L1Error::Pending(format!("{} was not mined within {waited} s", shown(&one.sent))));
            }
            // Where the cap allows no more, what was sent may still be mined.
            let now = self.fees_now().await.unwrap_or(one.fees);
            one.fees = one.fees.above(now, self.fees).unwrap_or(one.fees);
            one.fees = self.offer(&one.tx, one.fees, &mut one.sent).await?;
        }
    }

    fn request_of(&self, account: EthAddress, call: &Call) -> Eip1559TransactionRequest {
        let tx = Eip1559TransactionRequest::new().from(account).data(call.data.clone());
        let tx = tx.value(call.wei).chain_id(self.chain_id);
        match call.to {
            Some(to) => tx.to(to),
            None => tx,
        }
    }

    /// Sends empty transactions of the key's account to itself, in the place of all that may still wait to be mined, and
    /// waits until they are in a block that counts as final: nothing that the account has sent before is mined any more.
    /// `waits` is told how many blocks are missing. May be called again.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn void_waiting(&self, waits: impl Fn(u64)) -> Result<(), L1Error> {
        let account = EthAddress::from(self.account().ok_or(L1Error::Config("the client has no key"))?);
        let empty = Call { to: Some(account), data: Bytes::default(), wei: U256::zero() };
        let last = self.mined_transactions(account.0).await? + MOST_AT_ONCE as u64;
        let mut receipt = None;
        loop {
            let left =
                usize::try_from(last.saturating_sub(self.mined_transactions(account.0).await?)).unwrap_or(MOST_AT_ONCE);
            if left == 0 {
                break;
            }
            receipt = Some(self.send_in_order(&vec![empty.clone(); left]).await?);
        }
        let latest = self.latest().await?;
        let block = receipt.and_then(|receipt| receipt.block_number).map_or(latest, |block| block.as_u64().max(latest));
        loop {
            if self.mined_transactions(account.0).await? < last {
                return Err(L1Error::Pending("a reorganisation took it back".to_owned()));
            }
            let last_final = self.final_block().await?;
            if last_final >= block {
                return Ok(());
            }
            waits(block - last_final);
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
        let key = self.key.as_ref().ok_or(L1Error::Config("the client has no key"))?;
        for _ in 0..RAISES {
            let tx = tx.clone().max_fee_per_gas(fees.most).max_priority_fee_per_gas(fees.tip);
            let Signed { raw, hash } = key.sign(&tx).await?;
            let more = match request(self.provider.send_raw_transaction(raw)).await {
                Ok(_) => {
                    add_new(sent, hash);
                    return Ok(fees);
                }
                Err(L1Error::Pending(message)) if says(&message, "underpriced") => fees.above(fees, self.fees),
                // The very same waits already: of an earlier try, which has waited long enough, or from before in this
                // one, where the cap allows no more.
                Err(L1Error::Pending(message)) if says(&message, "already") => {
                    if !add_new(sent, hash) {
                        return Ok(fees);
                    }
                    fees.above(fees, self.fees)
                }
                // One that was sent before was mined in the meantime.
                Err(L1Error::Pending(_)) if !sent.is_empty() => return Ok(fees),
                Err(error) => return Err(error),
            };
            match more {
                Ok(more) => fees = more,
                // The cap allows no more; what was sent before may still be mined.
                Err(_) if !sent.is_empty() => return Ok(fees),
                Err(error) => return Err(error),
            }
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

/// At the cap the same transaction is sent again, with the same hash. Was it not there?
fn add_new(sent: &mut Vec<H256>, hash: H256) -> bool {
    let new = !sent.contains(&hash);
    if new {
        sent.push(hash);
    }
    new
}

pub(super) fn says(message: &str, word: &str) -> bool {
    message.to_lowercase().contains(word)
}

fn shown(sent: &[H256]) -> String {
    sent.last().map_or_else(|| "the transaction".to_owned(), |hash| format!("transaction {hash:?}"))
}
