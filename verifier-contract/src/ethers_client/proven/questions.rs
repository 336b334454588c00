//! The questions of a client that is pinned to a block's hash, and how each answer is computed.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, Bytes};
use ethers::providers::JsonRpcError;
use evm::uint::{H160, H256};
use serde::Deserialize;
use serde_json::{Value, json};

use super::machine::{self, Call, Missing, Outcome};
use super::state::{Place, Told};
use super::{NodesError, Proven, ask, locked, quantity, read};

/// Words of storage that are asked for in one proof.
const WORDS_AT_ONCE: usize = 128;
/// Runs of one call: each finds out more of what it reads, however far from one another.
const RUNS: usize = 256;

/// Which logs are asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    address: OneOrMore<Address>,
    from_block: String,
    to_block: String,
    #[serde(default)]
    topics: Vec<Option<OneOrMore<B256>>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// A call, as nodes take it.
#[derive(Debug, Deserialize)]
struct AskedCall {
    #[serde(default)]
    from: Option<Address>,
    to: Address,
    #[serde(default)]
    data: Option<Bytes>,
}

impl Asked {
    fn wants(&self, log: &Value) -> bool {
        let has = |number: usize, wanted: &[B256]| {
            let topic = log.get("topics").and_then(|topics| topics.get(number)).cloned().unwrap_or_default();
            serde_json::from_value(topic).is_ok_and(|topic: B256| wanted.contains(&topic))
        };
        let address = log.get("address").cloned().unwrap_or_default();
        serde_json::from_value(address).is_ok_and(|address: Address| self.address.as_slice().contains(&address))
            && self
                .topics
                .iter()
                .enumerate()
                .all(|(number, wanted)| wanted.as_ref().is_none_or(|wanted| has(number, wanted.as_slice())))
    }
}

impl Proven {
    /// The answer to a question: computed, or an error.
    pub(super) async fn answer(&self, method: &str, params: &Value) -> Result<Value, NodesError> {
        let param = |number: usize| params.get(number).cloned().unwrap_or_default();
        match method {
            // In every signature of a transaction, and in what every proof is about.
            "eth_chainId" => Ok(json!(quantity(self.environment.chain_id))),
            "eth_blockNumber" => Ok(json!(quantity(self.number()))),
            "eth_getBlockByNumber" => self.block(&param(0)).await,
            "eth_getLogs" => self.logs(&read("the question for logs", param(0))?).await,
            "eth_getTransactionByHash" => self.transaction(&read("the question for a transaction", param(0))?),
            "eth_getCode" => {
                self.here(&param(1))?;
                let address = self.account(&param(0)).await?;
                let code = locked(&self.state).account(&address).map(|account| account.code.clone());
                Ok(json!(Bytes::from(code.unwrap_or_default())))
            }
            "eth_getBalance" => {
                self.here(&param(1))?;
                let address = self.account(&param(0)).await?;
                let balance = locked(&self.state).account(&address).map(|account| account.balance);
                Ok(json!(balance.unwrap_or_default()))
            }
            "eth_call" => {
                self.here(&param(1))?;
                self.call(read("the call", param(0))?).await
            }
            _ => Err(NodesError::Unproven(format!("{method} is no question about the block or what led to it"))),
        }
    }

    /// The number of a block as it is asked for; what is latest or final is the pinned one.
    fn numbered(&self, block: &Value) -> Result<u64, NodesError> {
        let unknown = || NodesError::Unproven(format!("block {block}"));
        match block.as_str().ok_or_else(unknown)? {
            "latest" | "finalized" | "safe" => Ok(self.number()),
            text => u64::from_str_radix(text.trim_start_matches("0x"), 16).map_err(|_| unknown()),
        }
    }

    /// Is a question about the pinned block?
    fn here(&self, block: &Value) -> Result<(), NodesError> {
        let number = self.numbered(block)?;
        let same = number == self.number();
        if same { Ok(()) } else { Err(NodesError::Unproven(format!("the state of block {number}"))) }
    }

    async fn block(&self, block: &Value) -> Result<Value, NodesError> {
        let number = self.numbered(block)?;
        if number > self.number() {
            return Ok(Value::Null);
        }
        self.headers_from(number, &|_| {}).await?;
        Ok(locked(&self.chain).link(number).map_or(Value::Null, super::Link::told))
    }

    async fn logs(&self, asked: &Asked) -> Result<Value, NodesError> {
        let (from, to) = (self.numbered(&json!(asked.from_block))?, self.numbered(&json!(asked.to_block))?);
        let of: BTreeSet<Address> = asked.address.as_slice().iter().copied().collect();
        self.headers_from(from, &|_| {}).await?;
        let mut logs = Vec::new();
        for number in self.fitting(from, to.min(self.number()), &of) {
            let body = self.body(number, &of).await?;
            logs.extend(body.logs.iter().filter(|log| asked.wants(log)).cloned());
        }
        Ok(Value::Array(logs))
    }

    fn transaction(&self, hash: &B256) -> Result<Value, NodesError> {
        let found = locked(&self.transactions).get(hash).cloned();
        found.ok_or_else(|| NodesError::Unproven(format!("transaction {hash}: none of the logs is of it")))
    }

    /// An account of the pinned block, proven.
    async fn account(&self, address: &Value) -> Result<H160, NodesError> {
        let address: Address = read("the question for an account", address.clone())?;
        let address = H160(address.into_array());
        if locked(&self.state).account(&address).is_none() {
            self.prove(address, &[]).await?;
        }
        Ok(address)
    }

    async fn call(&self, asked: AskedCall) -> Result<Value, NodesError> {
        let call = Call {
            from: H160(asked.from.unwrap_or_default().into_array()),
            to: H160(asked.to.into_array()),
            data: asked.data.unwrap_or_default().to_vec(),
        };
        let failed = |message: String| NodesError::Computed(JsonRpcError { code: 3, message, data: None });
        for _ in 0..RUNS {
            let outcome = machine::run(&locked(&self.state), &self.environment, &call);
            match outcome {
                Outcome::Returned(answer) => return Ok(json!(Bytes::from(answer))),
                Outcome::Reverted => return Err(failed("execution reverted".to_owned())),
                Outcome::Failed(how) => return Err(failed(format!("the call ended with {how}"))),
                Outcome::Needs(missing) => self.prove_all(missing).await?,
                Outcome::Unknown(what) => {
                    return Err(NodesError::Unproven(format!("a call of {} asks for {what}", asked.to)));
                }
            }
        }
        Err(NodesError::Unproven(format!("a call of {} reads in more than {RUNS} steps", asked.to)))
    }

    async fn prove_all(&self, mut missing: Missing) -> Result<(), NodesError> {
        for address in missing.accounts {
            let slots = Vec::from_iter(missing.words.remove(&address).unwrap_or_default());
            self.prove(address, &slots).await?;
        }
        for (address, slots) in missing.words {
            self.prove(address, &Vec::from_iter(slots)).await?;
        }
        Ok(())
    }

    /// Has an account and words of its storage proven, and learns them.
    async fn prove(&self, address: H160, slots: &[H256]) -> Result<(), NodesError> {
        let place = Place { address, block: self.number(), state_root: self.state_root };
        let block = quantity(self.number());
        let named = Address::from(address.0);
        let mut rest = slots;
        loop {
            let (some, after) = rest.split_at(rest.len().min(WORDS_AT_ONCE));
            let asked = ask(&self.nodes, "eth_getProof", json!([named, some, block])).await?;
            let told: Told = read(&format!("proofs of account {named}"), asked)?;
            let account = place.account(&told)?;
            let words = place.words(&account, some, &told)?;
            let code = if locked(&self.state).has_code(&address, &account.code_hash) {
                None
            } else {
                let asked = ask(&self.nodes, "eth_getCode", json!([named, block])).await?;
                let code: Bytes = read(&format!("code of {named}"), asked)?;
                place.code(&account, &code)?;
                Some(code.to_vec())
            };
            locked(&self.state).learn(address, &account, words, code);
            rest = after;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }
}
