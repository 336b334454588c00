//! A fake L1 in memory: the contract's rules without proofs, for the sequencer's tests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use crate::client::{L1Client, L1Error, L1Future};
use crate::types::{Address, CommunityParams, SettleCall, SettleReceipt, SettledBatch, TariffEntry, TxReceipt, Word};

/// Scalar field modulus of BN254, big-endian.
const MODULUS: Word = [
    0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58, 0x5d, 0x28, 0x33, 0xe8, 0x48, 0x79, 0xb9, 0x70, 0x91,
    0x43, 0xe1, 0xf5, 0x93, 0xf0, 0x00, 0x00, 0x01,
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

    fn register_community(&mut self, params: CommunityParams) -> Result<TxReceipt, L1Error> {
        require(params.community < 65_536, "CommunityOutOfRange")?;
        require(!self.communities.contains_key(&params.community), "CommunityAlreadyRegistered")?;
        require([900, 1800, 3600].contains(&params.interval_length_s), "BadIntervalLength")?;
        let shape = self.config.shapes.iter().find(|(shape, ..)| *shape == params.shape);
        let Some((_, _, m)) = shape else { return reverted("UnknownShape") };
        require(*m == params.m, "ShapeMismatch")?;
        let Some(set) = self.sets.get(&params.tariff_set) else { return reverted("UnknownTariffSet") };
        require(*set == (params.interval_length_s, params.m), "TariffSetMismatch")?;
        let receipt = self.mine();
        self.communities.insert(params.community, (params, receipt.block));
        Ok(receipt)
    }

    fn open_tariff_set(&mut self, tariff_set: u32, interval_length_s: u16, m: u16) -> Result<TxReceipt, L1Error> {
        require([900, 1800, 3600].contains(&interval_length_s), "BadIntervalLength")?;
        require(m != 0, "TariffSetMismatch")?;
        require(!self.sets.contains_key(&tariff_set), "TariffSetAlreadyOpen")?;
        self.sets.insert(tariff_set, (interval_length_s, m));
        Ok(self.mine())
    }

    fn register_tariff(&mut self, tariff_set: u32, first_interval: u32, commitment: Word) -> Result<TxReceipt, L1Error> {
        let Some((length, _)) = self.sets.get(&tariff_set).copied() else { return reverted("UnknownTariffSet") };
        require(commitment < MODULUS, "NotCanonical")?;
        let last = self.tariffs.iter().rfind(|tariff| tariff.tariff_set == tariff_set).copied();
        require(last.is_none_or(|last| last.first_interval < first_interval), "TariffNotLater")?;
        let starts_at = u64::from(first_interval) * u64::from(length);
        require(!self.config.enforce_future_tariffs || starts_at > self.timestamp, "TariffAlreadyStarted")?;
        let receipt = self.mine();
        let index = last.map_or(0, |last| last.index + 1);
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
        let Some((params, _)) = self.communities.get(&call.community).copied() else { return reverted("UnknownCommunity") };
        let ends_at = (u64::from(call.first_interval) + u64::from(params.m)) * u64::from(params.interval_length_s);
        require(ends_at <= self.timestamp, "PeriodNotOver")?;
        let slots = self.config.shapes.iter().find(|(shape, ..)| *shape == params.shape).map_or(0, |(_, slots, _)| *slots as usize);
        require(call.data.len() == slots + 2, "DataLength")?;
        let canonical = call.data.iter().chain([&call.new_root, &call.community_new]).all(|word| *word < MODULUS);
        require(canonical, "NotCanonical")?;
        let set: Vec<TariffEntry> = self.tariffs.iter().filter(|tariff| tariff.tariff_set == params.tariff_set).copied().collect();
        require(crate::types::tariff_in_force(&set, call.first_interval) == Some(call.tariff_index), "TariffNotInForce")?;
        let Some(tariff) = set.get(call.tariff_index as usize) else { return reverted("TariffNotInForce") };
        require(call.circuit_version == self.config.circuit_version, "UnknownVerifier")?;
        require(self.config.proof_length.is_none_or(|length| length == call.proof.len()), "ProofLength")?;
        require(!self.roots.contains(&call.new_root), "RootAlreadyFinalised")?;
        let old_root = self.root();
        let TxReceipt { tx, block, gas_used } = self.mine();
        let batch = self.batches.len() as u64 + 1;
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
            unreachable: 0,
            config,
        };
        Self { state: Mutex::new(state) }
    }

    /// Moves the clock, unix seconds.
    pub fn set_timestamp(&self, timestamp: u64) {
        self.lock().timestamp = timestamp;
    }

    /// Lets the next `calls` operations fail as if the node were down.
    pub fn fail_next(&self, calls: u32) {
        self.lock().unreachable = calls;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn with<'a, T: Send + 'a>(&'a self, operation: impl FnOnce(&mut State) -> Result<T, L1Error> + Send + 'a) -> L1Future<'a, T> {
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
        self.with(move |state| Ok(usize::try_from(batch).ok().and_then(|batch| state.roots.get(batch)).copied().unwrap_or_default()))
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
            let mut all: Vec<_> = state.communities.values().filter(|(_, block)| *block >= from_block).copied().collect();
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
}
