//! Calls of contracts, computed here from code and storage that are proven.
//!
//! A call names what it reads only while it runs. What is not known yet reads as zero and is noted; the caller has it
//! proven and lets the call run again, until nothing is missing. So no layout of storage has to be known, neither of our
//! contracts nor of a token.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use evm::backend::{OverlayedBackend, RuntimeBaseBackend, RuntimeEnvironment};
use evm::interpreter::ExitError;
use evm::interpreter::etable::{Chained, Single};
use evm::standard::{
    Config, DispatchEtable, EtableResolver, Invoker, TransactArgs, TransactArgsCallCreate, TransactValueCallCreate,
    eval_gasometer,
};
use evm::uint::{H160, H256, U256};

use super::precompiles::Precompiles;
use super::state::State;

/// Gas of a call: what nodes give one, twice over. It bounds time and memory.
const GAS: u64 = 100_000_000;
/// Calls within calls that use this thread's stack; deeper ones are on the heap.
const ON_STACK: usize = 4;

/// The block that a call is about.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    pub(super) chain_id: u64,
    pub(super) number: u64,
    pub(super) time_s: u64,
    pub(super) gas_limit: u64,
    pub(super) beneficiary: H160,
    pub(super) randomness: H256,
}

/// A call that changes nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    pub(super) from: H160,
    pub(super) to: H160,
    pub(super) data: Vec<u8>,
}

/// What a call would read and nobody has proven yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) accounts: BTreeSet<H160>,
    pub(super) words: BTreeMap<H160, BTreeSet<H256>>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It returned this.
    Returned(Vec<u8>),
    /// It reverted.
    Reverted,
    /// It ended otherwise: no gas, or an instruction that there is not.
    Failed(String),
    /// It read what is not proven yet: its outcome means nothing.
    Needs(Missing),
    /// It did what is not computed here.
    Unknown(&'static str),
}

/// Proven state, and a note of what it lacks.
struct Known<'a> {
    state: &'a State,
    environment: &'a Environment,
    missing: RefCell<Missing>,
    unknown: &'a RefCell<Option<&'static str>>,
}

impl Known<'_> {
    fn unknown(&self, what: &'static str) {
        self.unknown.borrow_mut().get_or_insert(what);
    }
}

impl RuntimeEnvironment for Known<'_> {
    fn block_hash(&self, _: U256) -> H256 {
        self.unknown("the hash of another block");
        H256::default()
    }

    fn block_number(&self) -> U256 {
        self.environment.number.into()
    }

    fn block_coinbase(&self) -> H160 {
        self.environment.beneficiary
    }

    fn block_timestamp(&self) -> U256 {
        self.environment.time_s.into()
    }

    fn block_difficulty(&self) -> U256 {
        U256::zero()
    }

    fn block_randomness(&self) -> Option<H256> {
        Some(self.environment.randomness)
    }

    fn block_gas_limit(&self) -> U256 {
        self.environment.gas_limit.into()
    }

    /// A call costs nothing, as with a node.
    fn block_base_fee_per_gas(&self) -> U256 {
        U256::zero()
    }

    fn blob_versioned_hash(&self, _: U256) -> H256 {
        H256::default()
    }

    fn blob_base_fee_per_gas(&self) -> U256 {
        self.unknown("the price of blobs");
        U256::zero()
    }

    fn chain_id(&self) -> U256 {
        self.environment.chain_id.into()
    }
}

impl RuntimeBaseBackend for Known<'_> {
    fn balance(&self, address: H160) -> U256 {
        self.state.account(&address).map_or_else(
            || {
                self.missing.borrow_mut().accounts.insert(address);
                U256::zero()
            },
            |account| account.balance,
        )
    }

    fn code(&self, address: H160) -> Vec<u8> {
        self.state.account(&address).map_or_else(
            || {
                self.missing.borrow_mut().accounts.insert(address);
                Vec::new()
            },
            |account| account.code.clone(),
        )
    }

    fn storage(&self, address: H160, index: H256) -> H256 {
        match (self.state.account(&address), self.state.word(&address, &index)) {
            (None, _) => _ = self.missing.borrow_mut().accounts.insert(address),
            (Some(_), Some(word)) => return word,
            (Some(_), None) => {}
        }
        self.missing.borrow_mut().words.entry(address).or_default().insert(index);
        H256::default()
    }

    fn transient_storage(&self, _: H160, _: H256) -> H256 {
        H256::default()
    }

    fn exists(&self, address: H160) -> bool {
        !self.balance(address).is_zero() || !self.nonce(address).is_zero() || !self.code(address).is_empty()
    }

    fn nonce(&self, address: H160) -> U256 {
        self.state.account(&address).map_or_else(
            || {
                self.missing.borrow_mut().accounts.insert(address);
                U256::zero()
            },
            |account| account.nonce.into(),
        )
    }
}

/// Runs a call on what is proven.
pub(super) fn run(state: &State, environment: &Environment, call: &Call) -> Outcome {
    let config = Config::prague();
    let unknown = RefCell::default();
    let known = Known { state, environment, missing: RefCell::default(), unknown: &unknown };
    let mut backend = OverlayedBackend::new(known, &config.runtime);
    let table = Chained(Single::new(eval_gasometer), DispatchEtable::runtime());
    let precompiles = Precompiles { unknown: &unknown };
    let resolver = EtableResolver::new(&precompiles, &table);
    let invoker = Invoker::new(&resolver);
    let arguments = TransactArgs {
        call_create: TransactArgsCallCreate::Call { address: call.to, data: call.data.clone() },
        caller: call.from,
        value: U256::zero(),
        gas_limit: GAS.into(),
        gas_price: U256::zero().into(),
        access_list: Vec::new(),
        config: &config,
    };
    let result = evm::transact(arguments, Some(ON_STACK), &mut backend, &invoker);
    let missing = backend.deconstruct().0.missing.into_inner();
    if missing != Missing::default() {
        return Outcome::Needs(missing);
    }
    if let Some(what) = unknown.into_inner() {
        return Outcome::Unknown(what);
    }
    match result.map(|value| value.call_create) {
        Ok(TransactValueCallCreate::Call { retval, .. }) => Outcome::Returned(retval),
        Ok(TransactValueCallCreate::Create { .. }) => Outcome::Failed("a contract was created".to_owned()),
        Err(ExitError::Reverted) => Outcome::Reverted,
        Err(error @ (ExitError::Exception(_) | ExitError::Fatal(_))) => Outcome::Failed(format!("{error:?}")),
    }
}
