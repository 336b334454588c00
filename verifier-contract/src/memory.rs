//! A fake L1 in memory: the contract's rules without proofs, for the sequencer's tests. It takes exits' paths on trust
//! too, and everybody has tokens and ether enough.

mod books;
mod records;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use crate::client::{L1Client, L1Error, L1Future};
use crate::types::{
    Address, CertificateCall, CommunityParams, DepositEntry, ExitCall, ExitClaimCall, ForcedEntry, RollupEffect,
    RollupEvent, SettleCall, SettleReceipt, SettledBatch, TariffEntry, TransferState, TxReceipt, Word,
};
use books::Books;

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
    /// The circuit version with verifiers.
    pub circuit_version: u32,
    /// Exact proof length, bytes; any if `None`.
    pub proof_length: Option<usize>,
    /// Tariffs must be registered before they start.
    pub enforce_future_tariffs: bool,
    /// Money and deadlines.
    pub terms: MemoryTerms,
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
            treasury: [0x77; 20],
        }
    }
}

#[derive(Debug)]
struct State {
    config: MemoryL1Config,
    timestamp: u64,
    block: u64,
    roots: Vec<Word>,
    communities: HashMap<u32, (CommunityParams, u64)>,
    sets: HashMap<u32, (u16, u16)>,
    tariffs: Vec<TariffEntry>,
    batches: Vec<SettledBatch>,
    /// Communities that settled.
    started: HashSet<u32>,
    books: Books,
    events: Vec<RollupEvent>,
    /// Who sends the next transactions.
    caller: Address,
    frozen: bool,
    unreachable: u32,
}

/// The fake. Every transaction is a block; time moves only by [`MemoryL1::set_timestamp`].
#[derive(Debug)]
pub struct MemoryL1 {
    state: Mutex<State>,
}

fn reverted<T>(name: &str) -> Result<T, L1Error> {
    Err(L1Error::Reverted { name: name.to_owned() })
}

fn require(holds: bool, name: &str) -> Result<(), L1Error> {
    if holds { Ok(()) } else { reverted(name) }
}

fn tx_hash(block: u64) -> Word {
    let mut hash = [0; 32];
    hash[24..].copy_from_slice(&block.to_be_bytes());
    hash
}

impl State {
    fn root(&self) -> Word {
        self.roots.last().copied().unwrap_or_default()
    }

    fn mine(&mut self) -> TxReceipt {
        self.block += 1;
        TxReceipt { tx: tx_hash(self.block), block: self.block, gas_used: 21_000 }
    }

    /// A block with these effects.
    fn mine_with(&mut self, effects: Vec<RollupEffect>) -> TxReceipt {
        let receipt = self.mine();
        self.events.extend(effects.into_iter().map(|effect| RollupEvent {
            block: receipt.block,
            tx: receipt.tx,
            effect,
        }));
        receipt
    }

    /// A transaction on the books: all of it or, if it is refused, nothing.
    fn transact(
        &mut self,
        operation: impl FnOnce(&mut Books, &books::Context) -> Result<Vec<RollupEffect>, L1Error>,
    ) -> Result<TxReceipt, L1Error> {
        let context =
            books::Context { terms: self.config.terms, now: self.timestamp, caller: self.caller, frozen: self.frozen };
        let mut books = self.books.clone();
        let effects = operation(&mut books, &context)?;
        self.books = books;
        Ok(self.mine_with(effects))
    }

    fn force_withdraw(&mut self, community: u32, slot: u32) -> Result<TxReceipt, L1Error> {
        require(!self.frozen, "IsFrozen")?;
        let Some((params, _)) = self.communities.get(&community).copied() else { return reverted("UnknownCommunity") };
        require(self.started.contains(&community), "NotStarted")?;
        require(slot < self.slots(params.shape), "SlotOutOfRange")?;
        self.transact(|books, context| books.force_withdraw(context, community, slot))
    }

    fn freeze(&mut self, community: u32) -> Result<TxReceipt, L1Error> {
        require(!self.frozen, "IsFrozen")?;
        let head = self.books.queue(community).first().copied();
        let over = head.is_some_and(|head| head.time + self.config.terms.forced_deadline_s < self.timestamp);
        require(over, "DeadlineNotOver")?;
        self.frozen = true;
        Ok(self.mine_with(vec![RollupEffect::Frozen { community, root: self.root() }]))
    }

    fn exit(&mut self, call: &ExitCall) -> Result<TxReceipt, L1Error> {
        require(self.frozen, "NotFrozen")?;
        let Some((params, _)) = self.communities.get(&call.community).copied() else {
            return reverted("UnknownCommunity");
        };
        require(call.slot < self.slots(params.shape), "SlotOutOfRange")?;
        self.transact(|books, context| books.exit(context, call))
    }

    fn certify(&mut self, call: &CertificateCall) -> Result<TxReceipt, L1Error> {
        require(self.roots.contains(&call.anchor), "NotFinalised")?;
        let words = [call.nullifier, call.note_1, call.note_2, call.retirement, call.disclosed, call.beneficiary];
        require(words.iter().all(|word| *word < MODULUS), "NotCanonical")?;
        self.transact(|books, context| books.certify(context, call))
    }

    fn slots(&self, shape: u32) -> u32 {
        self.config.shapes.iter().find(|(id, ..)| *id == shape).map_or(0, |(_, slots, _)| *slots)
    }

    fn register_community(&mut self, params: CommunityParams) -> Result<TxReceipt, L1Error> {
        require(params.community < 65_536, "CommunityOutOfRange")?;
        require(!self.communities.contains_key(&params.community), "CommunityAlreadyRegistered")?;
        require([900, 1800, 3600].contains(&params.interval_length_s), "BadIntervalLength")?;
        let shape = self.config.shapes.iter().find(|(shape, ..)| *shape == params.shape);
        let Some((_, _, m)) = shape else { return reverted("UnknownShape") };
        require(*m == params.m, "ShapeMismatch")?;
        let Some(set) = self.sets.get(&params.tariff_set) else { return reverted("UnknownTariffSet") };
        require(*set == (params.interval_length_s, params.m), "TariffSetMismatch")?;
        let period_s = u64::from(params.m) * u64::from(params.interval_length_s);
        require(2 * period_s <= self.config.terms.forced_deadline_s, "PeriodTooLong")?;
        require(params.genesis_terms < MODULUS, "NotCanonical")?;
        let receipt = self.mine_with(vec![RollupEffect::CommunityRegistered(params)]);
        self.communities.insert(params.community, (params, receipt.block));
        Ok(receipt)
    }

    fn open_tariff_set(&mut self, tariff_set: u32, interval_length_s: u16, m: u16) -> Result<TxReceipt, L1Error> {
        require([900, 1800, 3600].contains(&interval_length_s), "BadIntervalLength")?;
        require(m != 0, "TariffSetMismatch")?;
        require(!self.sets.contains_key(&tariff_set), "TariffSetAlreadyOpen")?;
        self.sets.insert(tariff_set, (interval_length_s, m));
        Ok(self.mine_with(vec![RollupEffect::TariffSetOpened { tariff_set, interval_length_s, m }]))
    }

    fn register_tariff(
        &mut self,
        tariff_set: u32,
        first_interval: u32,
        commitment: Word,
    ) -> Result<TxReceipt, L1Error> {
        let Some((length, _)) = self.sets.get(&tariff_set).copied() else { return reverted("UnknownTariffSet") };
        require(commitment < MODULUS, "NotCanonical")?;
        let last = self.tariffs.iter().rfind(|tariff| tariff.tariff_set == tariff_set).copied();
        require(last.is_none_or(|last| last.first_interval < first_interval), "TariffNotLater")?;
        let starts_at = u64::from(first_interval) * u64::from(length);
        require(!self.config.enforce_future_tariffs || starts_at > self.timestamp, "TariffAlreadyStarted")?;
        let index = last.map_or(0, |last| last.index + 1);
        let receipt =
            self.mine_with(vec![RollupEffect::TariffRegistered { tariff_set, index, first_interval, commitment }]);
        self.tariffs.push(TariffEntry { tariff_set, index, first_interval, commitment, block: receipt.block });
        Ok(receipt)
    }

    fn settle(&mut self, call: SettleCall) -> Result<SettleReceipt, L1Error> {
        if let Some(last) = self.batches.last() {
            let same = last.call.new_root == call.new_root
                && last.call.community == call.community
                && last.call.first_interval == call.first_interval
                && last.call.data == call.data;
            if same {
                return Ok(SettleReceipt { batch: last.batch, tx: last.tx, block: last.block, gas_used: 21_000 });
            }
        }
        require(!self.frozen, "IsFrozen")?;
        let Some((params, _)) = self.communities.get(&call.community).copied() else {
            return reverted("UnknownCommunity");
        };
        let ends_at = (u64::from(call.first_interval) + u64::from(params.m)) * u64::from(params.interval_length_s);
        require(ends_at <= self.timestamp, "PeriodNotOver")?;
        let leaves = self.slots(params.shape) as usize + 2;
        let words = call.data.len();
        require(
            words >= leaves && words <= leaves + 2 * records::MAX_RECORDS && (words - leaves).is_multiple_of(2),
            "DataLength",
        )?;
        let canonical =
            call.data.iter().chain([&call.new_root, &call.community_new, &call.ops_digest]).all(|word| *word < MODULUS);
        require(canonical, "NotCanonical")?;
        let set: Vec<TariffEntry> =
            self.tariffs.iter().filter(|tariff| tariff.tariff_set == params.tariff_set).copied().collect();
        require(
            crate::types::tariff_in_force(&set, call.first_interval) == Some(call.tariff_index),
            "TariffNotInForce",
        )?;
        let Some(tariff) = set.get(call.tariff_index as usize) else { return reverted("TariffNotInForce") };
        require(call.circuit_version == self.config.circuit_version, "UnknownVerifier")?;
        require(self.config.proof_length.is_none_or(|length| length == call.proof.len()), "ProofLength")?;
        require(!self.roots.contains(&call.new_root), "RootAlreadyFinalised")?;
        let old_root = self.root();
        let batch = self.batches.len() as u64 + 1;
        let SettleCall { community, first_interval, new_root, circuit_version, .. } = call;
        let batch_of =
            records::Batch { params, first_interval, started: self.started.contains(&community), tariffs: &set };
        let pairs = call.data.get(leaves..).unwrap_or_default();
        let TxReceipt { tx, block, gas_used } = self.transact(|books, context| {
            let mut effects = vec![RollupEffect::BatchSettled {
                batch,
                community,
                first_interval,
                old_root,
                new_root,
                circuit_version,
            }];
            effects.extend(records::apply(books, context, &batch_of, pairs)?);
            Ok(effects)
        })?;
        self.started.insert(community);
        self.roots.push(call.new_root);
        self.batches.push(SettledBatch { batch, old_root, tariff_commitment: tariff.commitment, call, tx, block });
        Ok(SettleReceipt { batch, tx, block, gas_used })
    }
}

impl MemoryL1 {
    /// A new chain.
    #[must_use]
    pub fn new(config: MemoryL1Config) -> Self {
        let state = State {
            timestamp: config.timestamp,
            block: 0,
            roots: vec![config.genesis_root],
            communities: HashMap::new(),
            sets: HashMap::new(),
            tariffs: Vec::new(),
            batches: Vec::new(),
            started: HashSet::new(),
            books: Books::default(),
            events: Vec::new(),
            caller: [0xca; 20],
            frozen: false,
            unreachable: 0,
            config,
        };
        Self { state: Mutex::new(state) }
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
            let mut state = self.lock();
            if state.unreachable > 0 {
                state.unreachable -= 1;
                return Err(L1Error::Unreachable("told to fail".to_owned()));
            }
            operation(&mut state)
        })
    }
}

impl L1Client for MemoryL1 {
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

    fn batch_count(&self) -> L1Future<'_, u64> {
        self.with(|state| Ok(state.batches.len() as u64))
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

    fn register_community(&self, params: CommunityParams) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.register_community(params))
    }

    fn open_tariff_set(&self, tariff_set: u32, interval_length_s: u16, m: u16) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.open_tariff_set(tariff_set, interval_length_s, m))
    }

    fn register_tariff(&self, tariff_set: u32, first_interval: u32, commitment: Word) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.register_tariff(tariff_set, first_interval, commitment))
    }

    fn tariffs(&self, from_block: u64) -> L1Future<'_, Vec<TariffEntry>> {
        self.with(move |state| Ok(state.tariffs.iter().filter(|tariff| tariff.block >= from_block).copied().collect()))
    }

    fn communities(&self, from_block: u64) -> L1Future<'_, Vec<CommunityParams>> {
        self.with(move |state| {
            let mut all: Vec<_> =
                state.communities.values().filter(|(_, block)| *block >= from_block).copied().collect();
            all.sort_by_key(|(_, block)| *block);
            Ok(all.into_iter().map(|(params, _)| params).collect())
        })
    }

    fn settle(&self, call: SettleCall) -> L1Future<'_, SettleReceipt> {
        self.with(move |state| state.settle(call))
    }

    fn settled_batches(&self, from_block: u64) -> L1Future<'_, Vec<SettledBatch>> {
        self.with(move |state| Ok(state.batches.iter().filter(|batch| batch.block >= from_block).cloned().collect()))
    }

    fn events(&self, from_block: u64) -> L1Future<'_, Vec<RollupEvent>> {
        self.with(move |state| Ok(state.events.iter().filter(|event| event.block >= from_block).copied().collect()))
    }

    fn deposit(&self, claim: Word, units: u64) -> L1Future<'_, TxReceipt> {
        self.with(move |state| {
            let block = state.block + 1;
            state.transact(|books, context| books.deposit(context, claim, units, block))
        })
    }

    fn deposits(&self, from_block: u64) -> L1Future<'_, Vec<DepositEntry>> {
        self.with(move |state| {
            Ok(state.books.deposits().filter(|deposit| deposit.block >= from_block).copied().collect())
        })
    }

    fn request_refund(&self, claim: Word) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, context| books.request_refund(context, claim)))
    }

    fn refund(&self, claim: Word) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, context| books.refund(context, claim)))
    }

    fn claim_state(&self, claim: Word) -> L1Future<'_, TransferState> {
        self.with(move |state| Ok(state.books.transfer(&claim)))
    }

    fn withdrawable(&self, account: Address) -> L1Future<'_, u128> {
        self.with(move |state| Ok(state.books.withdrawable(&account)))
    }

    fn withdraw(&self, account: Address) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, _| books.withdraw(account)))
    }

    fn withdraw_eth(&self, account: Address) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, _| books.withdraw_eth(account)))
    }

    fn fund_supplier_account(&self, units: u64) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, context| books.fund_supplier_account(context, units)))
    }

    fn supplier_funds(&self) -> L1Future<'_, u64> {
        self.with(move |state| Ok(state.books.supplier_units()))
    }

    fn forced_queue(&self, community: u32) -> L1Future<'_, Vec<ForcedEntry>> {
        self.with(move |state| Ok(state.books.queue(community)))
    }

    fn forced_deadline_s(&self) -> L1Future<'_, u64> {
        self.with(move |state| Ok(state.config.terms.forced_deadline_s))
    }

    fn force_withdraw(&self, community: u32, slot: u32) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.force_withdraw(community, slot))
    }

    fn freeze(&self, community: u32) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.freeze(community))
    }

    fn is_frozen(&self) -> L1Future<'_, bool> {
        self.with(move |state| Ok(state.frozen))
    }

    fn exit(&self, call: ExitCall) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.exit(&call))
    }

    fn exit_claim(&self, call: ExitClaimCall) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.transact(|books, context| books.exit_claim(context, &call)))
    }

    fn certify(&self, call: CertificateCall) -> L1Future<'_, TxReceipt> {
        self.with(move |state| state.certify(&call))
    }

    fn nullifier_used(&self, nullifier: Word) -> L1Future<'_, bool> {
        self.with(move |state| Ok(state.books.nullifier_used(&nullifier)))
    }

    fn pending_notes(&self, limit: u32) -> L1Future<'_, Vec<Word>> {
        self.with(move |state| Ok(state.books.notes().take(limit as usize).copied().collect()))
    }
}
