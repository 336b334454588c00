//! The fake L1 in memory, for tests. [`MemoryL1`] has the contract's rules without proofs. [`Told`] has a node's
//! answers about a chain; a test can change each of them.
//!
//! The fake does not check the paths of exits either, and everybody has enough tokens and ether.

mod books;
mod council;
mod ending;
mod notes;
mod records;
mod roles;
mod rules;
mod told;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::client::{L1Error, L1Future};
use crate::types::{Address, Appointed, Contradiction, DepositEntry, Safe, TxReceipt, Word};
use rules::{State, require, reverted};
pub use told::{Answer, Told};

/// Scalar field modulus of BN254, big-endian.
const MODULUS: Word = [
    0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58, 0x5d, 0x28, 0x33, 0xe8,
    0x48, 0x79, 0xb9, 0x70, 0x91, 0x43, 0xe1, 0xf5, 0x93, 0xf0, 0x00, 0x00, 0x01,
];

/// What the fake is made with.
#[derive(Clone, Debug)]
pub struct MemoryL1Config {
    /// Chain id.
    pub chain_id: u64,
    /// Contract address.
    pub contract: Address,
    /// State root before the first batch.
    pub genesis_root: Word,
    /// Unix seconds of the first block.
    pub timestamp: u64,
    /// `(shape, slots, m)`.
    pub shapes: Vec<(u32, u32, u16)>,
    /// The circuit version whose verifiers every shape begins with.
    pub circuit_version: u32,
    /// Exact length of a settlement's proof, bytes; any if `None`.
    pub proof_length: Option<usize>,
    /// A proof begins with the state root that it is about, and is taken on no other, as a real one.
    pub proofs_name_their_root: bool,
    /// Tariffs must be registered before they start.
    pub enforce_future_tariffs: bool,
    /// Money and deadlines.
    pub terms: MemoryTerms,
}

impl Default for MemoryL1Config {
    /// A local chain with the shape `tiny-4x2` and any proof taken.
    fn default() -> Self {
        Self {
            chain_id: 31_337,
            contract: [0x11; 20],
            genesis_root: [0; 32],
            timestamp: 0,
            shapes: vec![(1, 4, 2)],
            circuit_version: 2,
            proof_length: None,
            proofs_name_their_root: false,
            enforce_future_tariffs: true,
            terms: MemoryTerms::default(),
        }
    }
}

/// What the fake's vault and forced queue are made with.
#[derive(Clone, Copy, Debug)]
pub struct MemoryTerms {
    /// Smallest parts of the token in a unit of 10,000,000 nano.
    pub token_per_unit: u64,
    /// Seconds within which a forced withdrawal must be served.
    pub forced_deadline_s: u64,
    /// Seconds from a refund's request to its payment.
    pub refund_delay_s: u64,
    /// Bond of the first request in a forced queue, wei.
    pub forced_bond_wei: u128,
    /// Seconds from a verifier's registration to its first use.
    pub verifier_delay_s: u64,
    /// Gets what leaves supplier accounts and fee accounts.
    pub treasury: Address,
}

impl Default for MemoryTerms {
    fn default() -> Self {
        Self {
            token_per_unit: 10_000,
            forced_deadline_s: 7 * 24 * 3600,
            refund_delay_s: 6 * 3600,
            forced_bond_wei: 10_000_000_000_000_000,
            verifier_delay_s: 14 * 24 * 3600,
            treasury: [0x77; 20],
        }
    }
}

/// How the node in front of the chain fails, while a flag is set.
#[derive(Debug, Default)]
pub struct Faults {
    /// Every call fails: no answer.
    pub down: AtomicBool,
    /// A settlement is refused, as if the proof did not hold.
    pub refuses: AtomicBool,
    /// A settlement never reaches the contract, and no answer comes.
    pub hangs_before: AtomicBool,
    /// A settlement reaches the contract, and no answer comes.
    pub hangs_after: AtomicBool,
    /// Settlements that reached the contract.
    pub sent: AtomicU32,
}

/// A chain as it was at some time.
#[derive(Clone, Debug)]
pub struct Chain(State);

/// The fake. Every transaction is a block; time moves only by [`MemoryL1::set_timestamp`].
#[derive(Debug)]
pub struct MemoryL1 {
    state: Mutex<State>,
    /// What counts as final; the latest block if `None`.
    last_final: Mutex<Option<State>>,
    /// How the node fails.
    pub faults: Faults,
    /// Questions and calls so far, those about a final block included.
    pub questions: Arc<AtomicU64>,
}

impl MemoryL1 {
    /// A new chain.
    #[must_use]
    pub fn new(config: MemoryL1Config) -> Self {
        Self::of(State::new(config))
    }

    fn of(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            last_final: Mutex::default(),
            faults: Faults::default(),
            questions: Arc::default(),
        }
    }

    /// The present is final, and from now on nothing later is, until this is called again.
    pub fn finalise(&self) {
        let present = self.lock().clone();
        *self.last_final.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(present);
    }

    /// The chain as it is now, to come back to.
    #[must_use]
    pub fn chain(&self) -> Chain {
        Chain(self.lock().clone())
    }

    /// A reorganisation: the chain is what it was, and time goes on.
    pub fn reorganise(&self, Chain(mut before): Chain) {
        let mut state = self.lock();
        before.timestamp = state.timestamp;
        *state = before;
    }

    fn final_state(&self) -> State {
        let last_final = self.last_final.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        last_final.unwrap_or_else(|| self.lock().clone())
    }

    /// Moves the clock, unix seconds.
    pub fn set_timestamp(&self, timestamp: u64) {
        self.lock().timestamp = timestamp;
    }

    /// The account that sends the following transactions.
    pub fn set_caller(&self, caller: Address) {
        self.lock().caller = caller;
    }

    /// Lets the next `calls` operations fail as if the node were down.
    pub fn fail_next(&self, calls: u32) {
        self.lock().unreachable = calls;
    }

    /// Registers a verifier of a shape for another circuit version (upgrader). It may be used after its delay, when its
    /// first use was announced.
    ///
    /// # Errors
    /// The contract's refusals.
    pub fn register_verifier(&self, circuit_version: u32, shape: u32) -> Result<TxReceipt, L1Error> {
        self.lock().register_verifier(circuit_version, shape)
    }

    /// Announces the first use of a circuit version's verifiers (upgrader).
    ///
    /// # Errors
    /// The contract's refusals.
    pub fn announce_upgrade(&self, circuit_version: u32) -> Result<TxReceipt, L1Error> {
        self.lock().announce_upgrade(circuit_version)
    }

    /// Announces a community's end (meter data manager).
    ///
    /// # Errors
    /// The contract's refusals.
    pub fn announce_closing(&self, community: u32) -> Result<TxReceipt, L1Error> {
        self.lock().announce_closing(community)
    }

    /// Goes on with a community's end (meter data manager).
    ///
    /// # Errors
    /// The contract's refusals.
    pub fn close_community(&self, community: u32) -> Result<TxReceipt, L1Error> {
        self.lock().close_community(community)
    }

    /// Retires a circuit version for ever (upgrader).
    pub fn retire_version(&self, circuit_version: u32) -> TxReceipt {
        self.lock().retire_version(circuit_version)
    }

    /// Makes an account a Safe, of owners that have no names.
    pub fn put_safe(&self, account: Address, threshold: u64, owners: usize) {
        let safe = Safe { threshold, owners: vec![Address::default(); owners] };
        self.lock().council.safes.insert(account, safe);
    }

    /// Appoints a council, which is one when the verifier delay is over (admin).
    ///
    /// # Errors
    /// The contract's refusals.
    pub fn appoint_council(&self, council: Option<Address>) -> Result<TxReceipt, L1Error> {
        self.lock().appoint_council(council)
    }

    /// Who is the council, and who was appointed and is not yet.
    #[must_use]
    pub fn appointed_council(&self) -> Appointed {
        self.lock().appointed()
    }

    /// Two statements about the present root that contradict each other, with proofs that the fake's verifiers take.
    #[must_use]
    pub fn contradiction(&self, circuit_version: u32, shape: u32) -> Contradiction {
        self.lock().contradiction(circuit_version, shape)
    }

    /// Proves that a verifier in use is unsound (anybody). The fake's verifiers take any proof of the right length.
    ///
    /// # Errors
    /// The contract's refusals.
    pub fn prove_unsound(&self, contradiction: &Contradiction) -> Result<TxReceipt, L1Error> {
        self.lock().prove_unsound(contradiction)
    }

    /// Shortens the delay of a registered verifier (council).
    ///
    /// # Errors
    /// The contract's refusals.
    pub fn hasten(&self, circuit_version: u32, shape: u32) -> Result<TxReceipt, L1Error> {
        self.lock().hasten(circuit_version, shape)
    }

    /// Puts a deposit there, or in the place of the one with its claim: for tests of a deposit's states.
    pub fn put_deposit(&self, deposit: DepositEntry) {
        self.lock().books.put_deposit(deposit);
    }

    /// Puts requests of `(slot, requester)` into a community's forced queue, whatever the rules say of who may ask.
    pub fn put_forced(&self, community: u32, requests: &[(u32, Address)]) {
        let mut state = self.lock();
        let time = state.timestamp;
        state.books.put_forced(community, time, requests);
    }

    /// Puts notes into the queue, as if they came from certificates.
    pub fn put_notes(&self, notes: impl IntoIterator<Item = Word>) {
        let mut state = self.lock();
        let time = state.timestamp;
        state.books.notes.put(time, notes);
    }

    /// Sets what the vault holds, nano. For a genesis state whose balances come from no deposit.
    pub fn put_pool(&self, nano: u64) {
        let mut state = self.lock();
        let token_per_unit = state.config.terms.token_per_unit;
        state.books.put_pool(nano, token_per_unit);
    }

    /// What the vault holds for balances, supplier accounts, fee accounts and open claims, nano.
    #[must_use]
    pub fn pool_nano(&self) -> u64 {
        u64::try_from(self.lock().books.pool_nano()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn with<'a, T: Send + 'a>(
        &'a self,
        operation: impl FnOnce(&mut State) -> Result<T, L1Error> + Send + 'a,
    ) -> L1Future<'a, T> {
        Box::pin(async move {
            self.questions.fetch_add(1, Ordering::Relaxed);
            if self.faults.down.load(Ordering::SeqCst) {
                return Err(L1Error::Unreachable("down".to_owned()));
            }
            let mut state = self.lock();
            if state.unreachable > 0 {
                state.unreachable -= 1;
                return Err(L1Error::Unreachable("told to fail".to_owned()));
            }
            operation(&mut state)
        })
    }
}
