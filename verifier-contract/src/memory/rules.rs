//! The contract's rules: what a transaction changes, or why it is refused.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::books::{self, Books};
use super::council::Council;
use super::notes::CERTIFICATE_VERSION;
use super::{MODULUS, MemoryL1Config, MemoryTerms, records};
use crate::client::L1Error;
use crate::deployment::{Hex, Terms};
use crate::types::{
    Address, Announcement, Block, Call, Calls, CertificateCall, CommunityEnd, CommunityParams, ExitCall, ExitClaimCall,
    ForcedRequest, RollupEffect, RollupEvent, SettleCall, SettleReceipt, SettledBatch, Stage, TariffEntry, TxReceipt,
    VerifierState, Word,
};

/// Seconds for which every forced queue has had a place when an upgrade is announced.
const QUIET_S: u64 = 24 * 3600;

/// A verifier of a circuit version and a shape.
#[derive(Clone, Debug)]
pub(super) struct Verifier {
    pub(super) address: Address,
    /// Unix seconds.
    pub(super) active_from: u64,
    /// The first ones are trusted from the start.
    pub(super) used: bool,
    pub(super) hastened: bool,
    pub(super) unsound: bool,
}

impl Verifier {
    const fn new(address: Address, active_from: u64, used: bool) -> Self {
        Self { address, active_from, used, hastened: false, unsound: false }
    }
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) config: MemoryL1Config,
    pub(super) timestamp: u64,
    pub(super) block: u64,
    pub(super) roots: Vec<Word>,
    pub(super) communities: HashMap<u32, (CommunityParams, u64)>,
    /// Those whose end was announced.
    pub(super) ends: HashMap<u32, CommunityEnd>,
    pub(super) sets: HashMap<u32, (u16, u16)>,
    pub(super) tariffs: Vec<TariffEntry>,
    pub(super) batches: Vec<SettledBatch>,
    pub(super) verifiers: HashMap<(u32, u32), Verifier>,
    pub(super) retired: HashSet<u32>,
    announced: Announcement,
    pub(super) council: Council,
    /// Communities that settled.
    pub(super) started: HashSet<u32>,
    pub(super) books: Books,
    pub(super) events: Vec<RollupEvent>,
    /// Every block, from the one before the first transaction on.
    pub(super) blocks: Vec<Block>,
    /// Calls of transactions, as their calldata has them.
    pub(super) calls: BTreeMap<Word, Calls>,
    /// Who sends the next transactions.
    pub(super) caller: Address,
    pub(super) frozen: bool,
    pub(super) unreachable: u32,
}

pub(super) fn reverted<T>(name: &str) -> Result<T, L1Error> {
    Err(L1Error::Reverted { name: name.to_owned() })
}

pub(super) fn require(holds: bool, name: &str) -> Result<(), L1Error> {
    if holds { Ok(()) } else { reverted(name) }
}

pub(super) fn tx_hash(block: u64) -> Word {
    let mut hash = [0; 32];
    hash[24..].copy_from_slice(&block.to_be_bytes());
    hash
}

/// Where the fake says that a verifier is.
fn verifier_address(circuit_version: u32, shape: u32) -> Address {
    let mut address = [0x7e; 20];
    address[12..16].copy_from_slice(&circuit_version.to_be_bytes());
    address[16..].copy_from_slice(&shape.to_be_bytes());
    address
}

impl State {
    pub(super) fn new(config: MemoryL1Config) -> Self {
        let version = config.circuit_version;
        let trusted = |version, shape| ((version, shape), Verifier::new(verifier_address(version, shape), 0, true));
        // It has no shape.
        let certificates = [trusted(CERTIFICATE_VERSION, 0)];
        Self {
            timestamp: config.timestamp,
            block: 0,
            roots: vec![config.genesis_root],
            communities: HashMap::new(),
            ends: HashMap::new(),
            sets: HashMap::new(),
            tariffs: Vec::new(),
            batches: Vec::new(),
            verifiers: config.shapes.iter().map(|(shape, ..)| trusted(version, *shape)).chain(certificates).collect(),
            retired: HashSet::new(),
            announced: Announcement::default(),
            council: Council::default(),
            started: HashSet::new(),
            books: Books::default(),
            events: Vec::new(),
            blocks: vec![Block { number: 0, hash: tx_hash(0), time_s: config.timestamp }],
            calls: BTreeMap::new(),
            caller: [0xca; 20],
            frozen: false,
            unreachable: 0,
            config,
        }
    }

    pub(super) fn register_verifier(&mut self, circuit_version: u32, shape: u32) -> Result<TxReceipt, L1Error> {
        require(!self.retired.contains(&circuit_version), "VersionRetired")?;
        require(!self.verifiers.contains_key(&(circuit_version, shape)), "VerifierAlreadyRegistered")?;
        let has_shape = circuit_version < CERTIFICATE_VERSION;
        require(if has_shape { self.slots(shape) != 0 } else { shape == 0 }, "ShapeMismatch")?;
        let address = verifier_address(circuit_version, shape);
        let active_from = self.timestamp + self.config.terms.verifier_delay_s;
        self.verifiers.insert((circuit_version, shape), Verifier::new(address, active_from, false));
        let proof_length = self.config.proof_length.and_then(|length| u32::try_from(length).ok()).unwrap_or_default();
        Ok(self.mine_with(vec![RollupEffect::VerifierRegistered {
            circuit_version,
            shape,
            verifier: address,
            codehash: [0; 32],
            proof_length,
            active_from,
        }]))
    }

    pub(super) fn verifier(&self, circuit_version: u32, shape: u32) -> Option<VerifierState> {
        let verifier = self.verifiers.get(&(circuit_version, shape))?;
        let state = self.state_of(verifier, shape);
        (!self.retired.contains(&circuit_version)).then_some(state)
    }

    fn state_of(&self, verifier: &Verifier, shape: u32) -> VerifierState {
        let Verifier { active_from, used, hastened, unsound, .. } = *verifier;
        let hastened = hastened && self.emergency_lasts(shape);
        VerifierState { active_from_s: active_from, used, hastened, unsound }
    }

    pub(super) fn announce_upgrade(&mut self, circuit_version: u32) -> Result<TxReceipt, L1Error> {
        require(!self.frozen, "IsFrozen")?;
        self.require_places()?;
        let waiting = self.books.mark_waiting();
        self.announced = Announcement { circuit_version, at_s: self.timestamp, waiting };
        Ok(self.mine_with(vec![RollupEffect::UpgradeAnnounced { circuit_version, waiting }]))
    }

    /// No forced queue is full, nor was within the last day.
    pub(super) fn require_places(&self) -> Result<(), L1Error> {
        let quiet = self.books.full_at().is_none_or(|at| at + QUIET_S <= self.timestamp);
        require(quiet && !self.books.is_any_full(), "QueueWasFull")
    }

    pub(super) fn announcement(&self) -> Announcement {
        Announcement { waiting: self.books.marked(), ..self.announced }
    }

    pub(super) fn retire_version(&mut self, circuit_version: u32) -> TxReceipt {
        self.retired.insert(circuit_version);
        self.mine_with(vec![RollupEffect::VersionRetired { circuit_version }])
    }

    /// The verifier of a batch takes the proof. The first batch of a later verifier is announced, waits until everybody
    /// who asked before has left, and has an event.
    fn verify(&self, version: u32, shape: u32, proof: &[u8]) -> Result<Option<RollupEffect>, L1Error> {
        require(!self.retired.contains(&version), "VersionRetired")?;
        let Some(verifier) = self.verifiers.get(&(version, shape)) else { return reverted("UnknownVerifier") };
        require(!verifier.unsound, "VerifierIsUnsound")?;
        require(verifier.active_from <= self.timestamp, "VerifierNotActive")?;
        let length = self.config.proof_length.filter(|_| version < CERTIFICATE_VERSION);
        require(length.is_none_or(|length| length == proof.len()), "ProofLength")?;
        if verifier.used {
            return Ok(None);
        }
        let state = self.state_of(verifier, shape);
        if !state.hastened {
            require(self.announced.is_of(version, &state), "UpgradeNotAnnounced")?;
            require(self.books.marked() == 0, "UpgradeWaits")?;
        }
        let verifier = verifier.address;
        Ok(Some(RollupEffect::VerifierFirstUsed { circuit_version: version, shape, verifier }))
    }

    pub(super) fn terms(&self) -> Terms {
        let MemoryTerms {
            token_per_unit,
            forced_deadline_s,
            refund_delay_s,
            forced_bond_wei,
            verifier_delay_s,
            treasury,
        } = self.config.terms;
        Terms {
            genesis_root: Hex(self.config.genesis_root),
            token: Hex([0x70; 20]),
            token_per_unit,
            forced_deadline_s,
            refund_delay_s,
            verifier_delay_s,
            forced_bond_wei,
            enforce_future_tariffs: self.config.enforce_future_tariffs,
            treasury: Hex(treasury),
        }
    }

    pub(super) fn root(&self) -> Word {
        self.roots.last().copied().unwrap_or_default()
    }

    pub(super) fn mine(&mut self) -> TxReceipt {
        self.block += 1;
        self.blocks.push(Block { number: self.block, hash: tx_hash(self.block), time_s: self.timestamp });
        TxReceipt { tx: tx_hash(self.block), block: self.block, gas_used: 21_000 }
    }

    /// A block with these effects.
    pub(super) fn mine_with(&mut self, effects: Vec<RollupEffect>) -> TxReceipt {
        let receipt = self.mine();
        self.events.extend(effects.into_iter().map(|effect| RollupEvent {
            block: receipt.block,
            tx: receipt.tx,
            effect,
        }));
        receipt
    }

    fn context(&self) -> books::Context {
        books::Context {
            terms: self.config.terms,
            now: self.timestamp,
            caller: self.caller,
            frozen: self.frozen,
            retired: self.retired.clone(),
        }
    }

    /// A transaction on the books: all of it or, if it is refused, nothing.
    pub(super) fn transact(
        &mut self,
        operation: impl FnOnce(&mut Books, &books::Context) -> Result<Vec<RollupEffect>, L1Error>,
    ) -> Result<TxReceipt, L1Error> {
        let context = self.context();
        let mut books = self.books.clone();
        let effects = operation(&mut books, &context)?;
        self.books = books;
        Ok(self.mine_with(effects))
    }

    /// FORCED.7.
    pub(super) fn force_withdraw_for(&mut self, request: &ForcedRequest) -> Result<TxReceipt, L1Error> {
        require(self.timestamp <= request.deadline_s, "RequestExpired")?;
        let here = (request.chain_id, request.contract) == (self.config.chain_id, self.config.contract);
        let next = request.nonce == self.books.forced_nonce(&request.requester);
        require(here && next && request.is_signed(), "NotSigned")?;
        let receipt = self.ask(request.community, request.slot, request.requester)?;
        self.books.use_forced_nonce(request.requester);
        Ok(receipt)
    }

    pub(super) fn force_withdraw(&mut self, community: u32, slot: u32) -> Result<TxReceipt, L1Error> {
        self.ask(community, slot, self.caller)
    }

    fn ask(&mut self, community: u32, slot: u32, requester: Address) -> Result<TxReceipt, L1Error> {
        require(!self.frozen, "IsFrozen")?;
        let Some((params, _)) = self.communities.get(&community).copied() else { return reverted("UnknownCommunity") };
        require(self.end_of(community).stage <= Stage::Closing, "CommunityIsClosed")?;
        require(self.started.contains(&community), "NotStarted")?;
        require(slot < self.slots(params.shape), "SlotOutOfRange")?;
        self.transact(|books, context| books.force_withdraw(context, community, slot, requester))
    }

    pub(super) fn freeze(&mut self, community: u32) -> Result<TxReceipt, L1Error> {
        require(self.end_of(community).stage != Stage::Closed, "CommunityIsClosed")?;
        let head = self.books.queue(community).first().copied();
        let held_until = self.held_until(community);
        let due = |time: u64| (time + self.config.terms.forced_deadline_s).max(held_until);
        let over = head.is_some_and(|head| due(head.time) < self.timestamp);
        require(over, "DeadlineNotOver")?;
        require(!self.frozen, "IsFrozen")?;
        self.frozen = true;
        Ok(self.mine_with(vec![RollupEffect::Frozen { community, root: self.root() }]))
    }

    pub(super) fn freeze_for_notes(&mut self, number: u64) -> Result<TxReceipt, L1Error> {
        require(self.books.notes.is_overdue(&self.context(), number), "NotOverdue")?;
        require(!self.frozen, "IsFrozen")?;
        self.frozen = true;
        Ok(self.mine_with(vec![RollupEffect::FrozenForNotes { number, root: self.root() }]))
    }

    /// A transaction that is one of these calls.
    fn called(&mut self, call: Call, done: Result<TxReceipt, L1Error>) -> Result<TxReceipt, L1Error> {
        let receipt = done?;
        self.calls.insert(receipt.tx, Calls { direct: true, calls: vec![call] });
        Ok(receipt)
    }

    pub(super) fn exit_claim(&mut self, call: &ExitClaimCall) -> Result<TxReceipt, L1Error> {
        let done = self.transact(|books, context| books.exit_claim(context, call));
        self.called(Call::ExitClaim(*call), done)
    }

    pub(super) fn called_exit(&mut self, call: &ExitCall) -> Result<TxReceipt, L1Error> {
        let done = self.exit(call);
        self.called(Call::Exit(call.clone()), done)
    }

    pub(super) fn certify(&mut self, call: &CertificateCall) -> Result<TxReceipt, L1Error> {
        let zero = [0; 32];
        require(call.circuit_version >= CERTIFICATE_VERSION, "NotCertificateVersion")?;
        let named = call.disclosed != zero || call.beneficiary != zero;
        let good = match (call.kind & 0xff, call.kind >> 8) {
            (0, 0) => call.retirement == zero && !named,
            (2, 1) => call.retirement != zero && !named,
            (1, 1..=3) => call.retirement != zero && call.disclosed != zero,
            _ => false,
        };
        require(good, "BadKind")?;
        require(self.roots.contains(&call.anchor), "NotFinalised")?;
        let words = [call.nullifier, call.note_1, call.note_2, call.retirement, call.disclosed, call.beneficiary];
        let canonical = words.iter().all(|word| *word < MODULUS);
        let verified =
            require(canonical, "NotCanonical").and_then(|()| self.verify(call.circuit_version, 0, &call.proof));
        let mut first_use = None;
        let receipt = self.transact(|books, context| {
            let spent = books.notes.certify(context, call)?;
            first_use = verified?;
            Ok(first_use.into_iter().chain(spent).collect())
        })?;
        if first_use.is_some()
            && let Some(verifier) = self.verifiers.get_mut(&(call.circuit_version, 0))
        {
            verifier.used = true;
        }
        self.called(Call::Certify(call.clone()), Ok(receipt))
    }

    pub(super) fn slots(&self, shape: u32) -> u32 {
        self.config.shapes.iter().find(|(id, ..)| *id == shape).map_or(0, |(_, slots, _)| *slots)
    }

    pub(super) fn register_community(&mut self, params: CommunityParams) -> Result<TxReceipt, L1Error> {
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

    pub(super) fn open_tariff_set(
        &mut self,
        tariff_set: u32,
        interval_length_s: u16,
        m: u16,
    ) -> Result<TxReceipt, L1Error> {
        require([900, 1800, 3600].contains(&interval_length_s), "BadIntervalLength")?;
        require(m != 0, "TariffSetMismatch")?;
        require(!self.sets.contains_key(&tariff_set), "TariffSetAlreadyOpen")?;
        self.sets.insert(tariff_set, (interval_length_s, m));
        Ok(self.mine_with(vec![RollupEffect::TariffSetOpened { tariff_set, interval_length_s, m }]))
    }

    pub(super) fn register_tariff(
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

    pub(super) fn settle(&mut self, call: SettleCall) -> Result<SettleReceipt, L1Error> {
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
        require(self.end_of(call.community).stage != Stage::Closed, "CommunityIsClosed")?;
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
        let about = !self.config.proofs_name_their_root || call.proof.starts_with(&self.root());
        require(about, "ProofRejected")?;
        let first_use = self.verify(call.circuit_version, params.shape, &call.proof)?;
        require(!self.roots.contains(&call.new_root), "RootAlreadyFinalised")?;
        let old_root = self.root();
        let batch = self.batches.len() as u64 + 1;
        let SettleCall { community, first_interval, new_root, circuit_version, .. } = call;
        let batch_of =
            records::Batch { params, first_interval, started: self.started.contains(&community), tariffs: &set };
        let pairs = call.data.get(leaves..).unwrap_or_default();
        let is_first = first_use.is_some();
        let TxReceipt { tx, block, gas_used } = self.transact(|books, context| {
            let settled =
                RollupEffect::BatchSettled { batch, community, first_interval, old_root, new_root, circuit_version };
            let mut effects: Vec<_> = first_use.into_iter().chain([settled]).collect();
            effects.extend(records::apply(books, context, &batch_of, pairs)?);
            Ok(effects)
        })?;
        if let Some(verifier) = self.verifiers.get_mut(&(circuit_version, params.shape)) {
            verifier.used = true;
        }
        if is_first {
            self.resume(params.shape);
        }
        self.started.insert(community);
        self.roots.push(call.new_root);
        self.batches.push(SettledBatch { batch, old_root, tariff_commitment: tariff.commitment, call, tx, block });
        Ok(SettleReceipt { batch, tx, block, gas_used })
    }
}
