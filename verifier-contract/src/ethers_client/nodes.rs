//! One L1 node, or several of one chain: questions go to the first that answers and does not lag, transactions to all.
//!
//! Nothing here goes back: a node takes another's place only if it has the blocks that were seen before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ethers::providers::{JsonRpcClient, JsonRpcError, ProviderError, RpcError};
use ethers::types::U64;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::node::Node;
use super::sending::says;
use crate::client::L1Error;
use crate::lie::Lie;

/// Most nodes of one client.
const MOST_NODES: usize = 16;
/// Longest wait for an answer, where another node can be asked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a node that is asked how far it is.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two looks at all nodes.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// A node may be so many blocks behind another.
const LAG_BLOCKS: u64 = 2;
/// Longest wait for the nodes that are left to have the blocks that were seen: a slot of Ethereum.
const CATCH_UP: Duration = Duration::from_secs(12);
const CATCH_UP_PAUSE: Duration = Duration::from_millis(500);

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It did not answer when it was asked last.
    Silent,
    /// Its last block.
    At(u64),
    /// It is of another chain, and is not asked any more.
    Foreign,
}

#[derive(Debug)]
struct State {
    /// Which node answers.
    current: Option<usize>,
    standing: Vec<Standing>,
    looked: Instant,
}

/// The nodes of one chain, in the order in which they are to be asked.
pub(super) struct Nodes {
    all: Vec<Arc<Node>>,
    chain_id: u64,
    /// Has the only node said that it is of this chain?
    is_known: AtomicBool,
    /// The last block that any of them has told of.
    seen: AtomicU64,
    state: Mutex<State>,
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No URL: it may hold a key.
        f.debug_struct("Nodes").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NodesError {
    /// A node's refusal.
    #[error("{0}")]
    Node(JsonRpcError),
    /// The only node is of another chain.
    #[error("the node is of chain {chain}, and what is gone on with here is of chain {expected}")]
    WrongChain {
        /// Its chain.
        chain: u64,
        /// The chain that is known.
        expected: u64,
    },
    /// No node can be asked now. What is wrong with it, or with each.
    #[error("{0}")]
    None(String),
    /// An answer of another form.
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    /// The client is pinned to a block's hash, and a node said what does not follow from it.
    #[error(transparent)]
    Lie(#[from] Lie),
    /// The client is pinned to a block's hash, and this does not follow from it.
    #[error("{0}")]
    Unproven(String),
    /// A call that was computed here and did not succeed.
    #[error("{0}")]
    Computed(JsonRpcError),
}

impl RpcError for NodesError {
    fn as_error_response(&self) -> Option<&JsonRpcError> {
        match self {
            Self::Node(response) | Self::Computed(response) => Some(response),
            Self::WrongChain { .. } | Self::None(_) | Self::Form(_) | Self::Lie(_) | Self::Unproven(_) => None,
        }
    }

    fn as_serde_error(&self) -> Option<&serde_json::Error> {
        match self {
            Self::Form(error) => Some(error),
            Self::Node(_)
            | Self::WrongChain { .. }
            | Self::None(_)
            | Self::Lie(_)
            | Self::Unproven(_)
            | Self::Computed(_) => None,
        }
    }
}

impl From<NodesError> for ProviderError {
    fn from(error: NodesError) -> Self {
        Self::JsonRpcClientError(Box::new(error))
    }
}

/// A node's chain and its last block; `None` if it does not say.
async fn ask(node: &Node) -> Option<(u64, u64)> {
    let both = async {
        let chain: U64 = node.request("eth_chainId", json!([])).await.ok()?;
        let block: U64 = node.request("eth_blockNumber", json!([])).await.ok()?;
        Some((chain.as_u64(), block.as_u64()))
    };
    timeout(LOOK_TIMEOUT, both).await.ok().flatten()
}

impl Nodes {
    /// Nodes of one chain, at least one of which answers; gives the chain's id too. One that does not answer now is asked
    /// for its chain before it is asked for anything else.
    ///
    /// # Errors
    /// [`L1Error::OtherChain`], [`L1Error::Unreachable`], [`L1Error::Config`].
    pub(super) async fn connect(urls: &[impl AsRef<str>]) -> Result<(Self, u64), L1Error> {
        let all = parsed(urls)?;
        if let [node] = all.as_slice() {
            let answer = async { node.request("eth_chainId", json!([])).await.map_err(ProviderError::from) };
            let chain_id = super::request::<U64>(answer).await?.as_u64();
            let nodes = Self::new(all, chain_id, vec![Standing::At(0)]);
            nodes.is_known.store(true, Ordering::Relaxed);
            return Ok((nodes, chain_id));
        }
        let mut chain: Option<(usize, u64)> = None;
        for (at, answer) in look(&all).await.into_iter().enumerate() {
            let Some((id, _)) = answer else { continue };
            match chain {
                Some((first, expected)) if expected != id => {
                    return Err(L1Error::OtherChain { node: at + 1, chain: id, first: first + 1, expected });
                }
                Some(_) => {}
                None => chain = Some((at, id)),
            }
        }
        let (_, chain_id) = chain.ok_or_else(|| L1Error::Unreachable("no node answers".to_owned()))?;
        let standing = vec![Standing::Silent; all.len()];
        let nodes = Self::new(all, chain_id, standing);
        nodes.look_around().await;
        Ok((nodes, chain_id))
    }

    /// Nodes that are asked for nothing now.
    ///
    /// # Errors
    /// [`L1Error::Config`].
    pub(super) fn of_chain(urls: &[impl AsRef<str>], chain_id: u64) -> Result<Self, L1Error> {
        let all = parsed(urls)?;
        let standing = vec![Standing::Silent; all.len()];
        let nodes = Self::new(all, chain_id, standing);
        let mut state = nodes.state();
        // They are looked at before the first question.
        state.current = None;
        state.looked = state.looked.checked_sub(LOOK_EVERY).unwrap_or(state.looked);
        drop(state);
        Ok(nodes)
    }

    /// Is the only node of this chain? It is asked until it says so.
    async fn check_chain(&self, node: &Node) -> Result<(), NodesError> {
        if self.is_known.load(Ordering::Relaxed) {
            return Ok(());
        }
        let chain: U64 = node.request("eth_chainId", json!([])).await?;
        let (chain, expected) = (chain.as_u64(), self.chain_id);
        if chain != expected {
            return Err(NodesError::WrongChain { chain, expected });
        }
        self.is_known.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn new(all: Vec<Arc<Node>>, chain_id: u64, standing: Vec<Standing>) -> Self {
        let state = State { current: Some(0), standing, looked: Instant::now() };
        Self { all, chain_id, is_known: AtomicBool::new(false), seen: AtomicU64::new(0), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all nodes how far they are, and chooses one.
    async fn look_around(&self) {
        self.state().looked = Instant::now();
        let answers = look(&self.all).await;
        let seen = self.seen.load(Ordering::Relaxed);
        let mut state = self.state();
        for (standing, answer) in state.standing.iter_mut().zip(answers) {
            *standing = match answer {
                _ if *standing == Standing::Foreign => Standing::Foreign,
                Some((chain, _)) if chain != self.chain_id => Standing::Foreign,
                Some((_, block)) => Standing::At(block),
                None => Standing::Silent,
            };
        }
        state.current = chosen(&state.standing, state.current, seen);
        if let Some(Standing::At(block)) = state.current.and_then(|at| state.standing.get(at)) {
            self.seen.fetch_max(*block, Ordering::Relaxed);
        }
    }

    /// The node to ask.
    async fn current(&self) -> Result<(usize, Arc<Node>), NodesError> {
        if self.state().looked.elapsed() >= LOOK_EVERY {
            self.look_around().await;
        }
        let start = Instant::now();
        loop {
            let (current, lags) = {
                let state = self.state();
                (state.current, state.standing.iter().any(|standing| matches!(standing, Standing::At(_))))
            };
            if let Some((at, node)) = current.and_then(|at| Some((at, Arc::clone(self.all.get(at)?)))) {
                return Ok((at, node));
            }
            // What is left is some blocks behind, and soon will not be.
            if !lags || start.elapsed() >= CATCH_UP {
                return Err(NodesError::None(self.why()));
            }
            tokio::time::sleep(CATCH_UP_PAUSE).await;
            self.look_around().await;
        }
    }

    /// What is wrong with each node.
    fn why(&self) -> String {
        let seen = self.seen.load(Ordering::Relaxed);
        let one = |(at, standing): (usize, &Standing)| {
            let what = match standing {
                Standing::Silent => "does not answer".to_owned(),
                Standing::At(block) => format!("is at block {block}, before block {seen}, which was seen"),
                Standing::Foreign => "is of another chain".to_owned(),
            };
            format!("node {} {what}", at + 1)
        };
        self.state().standing.iter().enumerate().map(one).collect::<Vec<_>>().join("; ")
    }

    /// Asks the current node; the next one takes its place if it does not answer.
    pub(super) async fn question(&self, method: &str, params: &Value) -> Result<Value, NodesError> {
        if let [node] = self.all.as_slice() {
            self.check_chain(node).await?;
            return node.request(method, params).await;
        }
        for _ in 0..=self.all.len() {
            let (at, node) = self.current().await?;
            match timeout(ANSWER_TIMEOUT, node.request(method, params)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if error.is_error_response() => return Err(error),
                Ok(Err(_)) | Err(_) => {
                    self.look_around().await;
                    let mut state = self.state();
                    // It says where it is, and answers nothing else.
                    if state.current == Some(at) {
                        if let Some(standing) = state.standing.get_mut(at) {
                            *standing = Standing::Silent;
                        }
                        state.current = chosen(&state.standing, None, self.seen.load(Ordering::Relaxed));
                    }
                }
            }
        }
        Err(NodesError::None(self.why()))
    }

    /// Gives a transaction to all nodes of the chain: to one at least.
    async fn transaction(&self, params: &Value) -> Result<Value, NodesError> {
        const METHOD: &str = "eth_sendRawTransaction";
        // The current one is known to be of this chain, and its refusal counts first.
        let (current, node) = self.current().await?;
        let mut others = JoinSet::new();
        let standing = self.state().standing.clone();
        for (at, (node, standing)) in self.all.iter().zip(standing).enumerate() {
            if at != current && matches!(standing, Standing::At(_)) {
                let (node, params) = (Arc::clone(node), params.clone());
                others.spawn(async move { timeout(ANSWER_TIMEOUT, node.request::<_, Value>(METHOD, params)).await });
            }
        }
        let first = timeout(ANSWER_TIMEOUT, node.request::<_, Value>(METHOD, params)).await;
        let mut taken = None;
        while let Some(answer) = others.join_next().await {
            if let Ok(Ok(Ok(hash))) = answer {
                taken = Some(hash);
            }
        }
        match (first, taken) {
            (Ok(Ok(hash)), _) => Ok(hash),
            // It has another transaction of this number: that must be outbid, whatever the others have.
            (Ok(Err(error)), _) if error.as_error_response().is_some_and(|e| says(&e.message, "underpriced")) => {
                Err(error)
            }
            // It may have it of another node already.
            (_, Some(hash)) => Ok(hash),
            (Ok(Err(error)), None) => Err(error),
            (Err(_), None) => Err(NodesError::None(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
        }
    }
}

fn parsed(urls: &[impl AsRef<str>]) -> Result<Vec<Arc<Node>>, L1Error> {
    if urls.is_empty() || urls.len() > MOST_NODES {
        return Err(L1Error::Config("name one node, or up to 16"));
    }
    urls.iter().map(|url| Node::new(url.as_ref()).map(Arc::new)).collect()
}

async fn look(all: &[Arc<Node>]) -> Vec<Option<(u64, u64)>> {
    let mut asked = JoinSet::new();
    for (at, node) in all.iter().enumerate() {
        let node = Arc::clone(node);
        asked.spawn(async move { (at, ask(&node).await) });
    }
    let mut answers = vec![None; all.len()];
    while let Some(answer) = asked.join_next().await {
        if let Ok((at, answer)) = answer
            && let Some(place) = answers.get_mut(at)
        {
            *place = answer;
        }
    }
    answers
}

/// The first node that is not far behind the others and has the blocks that were seen. The one that was asked last may
/// have fewer than it had: a reorganisation takes blocks back.
fn chosen(standing: &[Standing], current: Option<usize>, seen: u64) -> Option<usize> {
    let block = |standing: &Standing| match standing {
        Standing::At(block) => Some(*block),
        Standing::Silent | Standing::Foreign => None,
    };
    let best = standing.iter().filter_map(block).max()?;
    let good = |(at, standing): (usize, &Standing)| {
        let block = block(standing)?;
        (block + LAG_BLOCKS >= best && (block >= seen || current == Some(at))).then_some(at)
    };
    standing.iter().enumerate().find_map(good)
}

#[async_trait]
impl JsonRpcClient for Nodes {
    type Error = NodesError;

    async fn request<T, R>(&self, method: &str, params: T) -> Result<R, NodesError>
    where
        T: std::fmt::Debug + Serialize + Send + Sync,
        R: DeserializeOwned + Send,
    {
        let mut params = serde_json::to_value(params)?;
        if params.is_null() {
            params = json!([]);
        }
        let answer = match method {
            "eth_sendRawTransaction" if self.all.len() > 1 => self.transaction(&params).await?,
            _ => self.question(method, &params).await?,
        };
        if method == "eth_blockNumber"
            && let Ok(block) = serde_json::from_value::<U64>(answer.clone())
        {
            self.seen.fetch_max(block.as_u64(), Ordering::Relaxed);
        }
        Ok(serde_json::from_value(answer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::Standing::{At, Foreign, Silent};
    use super::*;

    #[test]
    fn the_first_that_answers_and_does_not_lag() {
        assert_eq!(chosen(&[At(100), At(101)], None, 0), Some(0));
        assert_eq!(chosen(&[At(98), At(101)], Some(0), 0), Some(1), "three blocks behind");
        assert_eq!(chosen(&[Silent, At(5)], Some(0), 5), Some(1));
        assert_eq!(chosen(&[Foreign, At(5)], None, 0), Some(1), "however high");
        assert_eq!(chosen(&[Silent, Silent], Some(0), 0), None);
    }

    #[test]
    fn nothing_goes_back_but_the_chain_itself() {
        assert_eq!(chosen(&[Silent, At(99)], Some(0), 100), None, "it does not have what was seen: it is waited for");
        assert_eq!(chosen(&[Silent, At(100)], Some(0), 100), Some(1));
        assert_eq!(chosen(&[At(97), Silent], Some(0), 100), Some(0), "the chain was reorganised");
        assert_eq!(chosen(&[At(99), At(100)], Some(1), 100), Some(1), "the first is not yet back");
    }
}
