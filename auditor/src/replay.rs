//! The replay. Every check names its clause; a failed check never hides a later one.

mod batch;

use std::collections::{BTreeMap, btree_map::Entry};

use gridveil_protocol::{
    field::{Fr, to_bytes},
    params::{STATE_DEPTH, Shape},
    record::Parsed,
    tree::SparseTree,
    version::CircuitVersion,
};
use gridveil_verifier_contract::{
    AuditorL1, Block, ChainL1, CommunityParams, L1Error, QueuesL1, RollupEffect, RollupEvent, SettledBatch,
    TariffEntry, Word, deployment::Hex,
};

use crate::{
    checkpoint::{Checkpoint, Remembered, Verified},
    clock::Clock,
    deadlines,
    failure::Failure,
    heard::Heard,
    ledger::{Followed, Ledger, Request, Settled, Standing},
    money::Money,
    proof::ProofVerifier,
    report::{AuditReport, Verdict},
    subject::{Subject, setup},
    timeline::{Decision, timeline},
    versions::Versions,
};

/// An audit to be made.
pub struct Audit<'a> {
    /// L1, read at one block if the client can.
    pub l1: &'a dyn AuditorL1,
    /// Who checks proofs.
    pub verifier: &'a dyn ProofVerifier,
    /// Community nodes published at deployment.
    pub genesis: &'a [(u32, Fr)],
    /// The deployment's block, or an earlier one.
    pub from_block: u64,
    /// What an earlier audit read and found right: it is not read again.
    pub past: Option<Checkpoint>,
    /// Told how far it is.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// [`Audit`] of a chain from its beginning, told to nobody.
///
/// # Errors
/// As there.
pub async fn audit(
    l1: &dyn AuditorL1,
    verifier: &dyn ProofVerifier,
    genesis: &[(u32, Fr)],
    from_block: u64,
) -> Result<AuditReport, L1Error> {
    let audit = Audit { l1, verifier, genesis, from_block, past: None, progress: &|_| {} };
    Ok(audit.run().await?.0)
}

impl Audit<'_> {
    /// Replays everything. Batches that are settled while the audit runs are left to the next one. The checkpoint is for
    /// the next audit; it is none to keep where something does not hold.
    ///
    /// # Errors
    /// [`L1Error`] if the node gives no answer: then nothing was audited. What the node answers wrongly is a finding of
    /// the report.
    pub async fn run(self) -> Result<(AuditReport, Checkpoint), L1Error> {
        let Self { l1, verifier, genesis, from_block, past, progress } = self;
        let heard = Heard::new(l1, past.as_ref().map(|past| &past.read_blake3.0));
        let l1 = Remembered::new(&heard, past);
        let (report, block) = replayed(&l1, verifier, genesis, from_block, progress).await?;
        let read_blake3 = Hex(heard.hash());
        let report = AuditReport { read_blake3: read_blake3.to_string(), ..report };
        let checkpoint = l1.into_checkpoint(block, read_blake3, &report);
        Ok((report, checkpoint))
    }
}

/// Batches or events between two words about progress.
const TOLD: usize = 200;

async fn replayed(
    l1: &Remembered<'_>,
    verifier: &dyn ProofVerifier,
    genesis: &[(u32, Fr)],
    from_block: u64,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<(AuditReport, Block), L1Error> {
    let mut replay = Replay::new(l1.chain_id().await?, l1.contract(), verifier);
    replay.remembered = l1.remembered();
    progress("reading L1");
    let count = l1.batch_count().await?;
    let genesis_root = l1.root_at(0).await?;
    replay.genesis(genesis, &genesis_root);
    let head = replay.read("the block", l1.block(None).await)?;
    replay.now = l1.timestamp().await?;
    for params in replay.read("communities", l1.communities(from_block).await)? {
        replay.register(params);
    }
    for tariff in replay.read("tariffs", l1.tariffs(from_block).await)? {
        replay.publish(tariff);
    }
    let mut batches = replay.read("events and calldata", l1.settled_batches(from_block).await)?;
    // Read in this order, an unchanged count means that the root is the one after `count` batches.
    let (mut root, grown) = (l1.state_root().await?, l1.batch_count().await? > count);
    if grown {
        batches.retain(|batch| batch.batch <= count);
        root = l1.root_at(count).await?;
    }
    for (number, batch) in batches.iter().enumerate() {
        if number % TOLD == 0 {
            progress(&format!("batch {} of {count}: {} proofs verified", number + 1, replay.proofs));
        }
        replay.batch(batch);
        replay.finalised(batch, &l1.root_at(batch.batch).await?, l1.is_finalised(batch.call.new_root).await?);
    }
    replay.end(count, &root);
    let mut events = replay.read("events", l1.events(from_block).await)?;
    replay.registries(&events);
    replay.versions(&events, count);
    progress(&format!("following {} events", events.len()));
    let terms = told(l1.terms().await)?;
    let settled = Settled {
        chain_id: replay.chain_id,
        contract: replay.contract,
        verifier,
        remembered: replay.remembered.as_ref().map(|past| past.calls.clone()).unwrap_or_default(),
        terms: terms.clone(),
        count,
        genesis_root,
        communities: &replay.communities,
        next_interval: &replay.next_interval,
        batches: batches.iter().map(|batch| (batch.batch, batch)).collect(),
        records: &replay.records,
    };
    let mut money = std::mem::take(&mut replay.money);
    let mut ledger = Ledger::new(settled, &mut money);
    let stood = match walk(l1, &mut ledger, &events).await {
        Ok(true) => stand(l1, from_block, &mut ledger).await,
        answer => answer.map(|_| Vec::new()),
    };
    let followed = ledger.finish();
    replay.money = money;
    events.extend(replay.read("figures and later events", stood)?);
    let mut clock = Clock::new(l1);
    let decisions = timeline(&mut clock, &events).await;
    replay.timeline = replay.read("blocks of decisions", decisions)?;
    let early = deadlines::check(replay.chain_id, &mut clock, &events, terms.as_ref()).await;
    let early = replay.read("blocks of deadlines", early)?;
    replay.failures.extend(early);
    let setup = setup(verifier.setup(), replay.proofs, &events);
    let place = (replay.chain_id, replay.contract, head);
    let subject = Subject::new(place, terms, setup, &replay.communities, &batches);
    Ok((replay.report(subject, followed), head))
}

/// Events whose calldata is held in memory at once.
const STEP: usize = 1_000;

/// Follows events with the calldata of those that are checked by it; false as [`Ledger::walk`].
async fn walk(l1: &Remembered<'_>, ledger: &mut Ledger<'_>, events: &[RollupEvent]) -> Result<bool, L1Error> {
    for step in events.chunks(STEP) {
        let mut calls = BTreeMap::new();
        for event in step.iter().filter(|event| brought_by_calldata(&event.effect)) {
            if let Entry::Vacant(new) = calls.entry(event.tx) {
                match l1.calls(event.tx).await {
                    Ok(found) => _ = new.insert(found),
                    // Nothing is read from it: what it should have brought is then unverified.
                    Err(L1Error::Malformed(how)) => ledger.fail("L1.CALLDATA", format!("block {}: {how}", event.block)),
                    Err(error) => return Err(error),
                }
            }
        }
        if !ledger.walk(step, calls) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Is a proof or an opening in the calldata of the effect's transaction?
const fn brought_by_calldata(effect: &RollupEffect) -> bool {
    matches!(
        effect,
        RollupEffect::CertificateSpent { .. } | RollupEffect::Exited { .. } | RollupEffect::ClaimExited { .. }
    )
}

/// Times that the contract's figures are asked for again because something happened meanwhile.
const STANDING_ATTEMPTS: usize = 4;

/// Compares the books with the contract's own figures, read between two looks at its events that find nothing new. What
/// was found meanwhile.
async fn stand(l1: &Remembered<'_>, from_block: u64, ledger: &mut Ledger<'_>) -> Result<Vec<RollupEvent>, L1Error> {
    let mut later = Vec::new();
    for _ in 0..STANDING_ATTEMPTS {
        let limit = u32::try_from(ledger.notes().len() + 1).unwrap_or(u32::MAX);
        let mut standing = Standing {
            frozen: told(l1.is_frozen().await)?,
            supplier_units: told(l1.supplier_funds().await)?,
            notes: told(l1.pending_notes(limit).await)?,
            deposits: told(l1.deposits(from_block).await)?,
            vault: told(l1.vault().await)?,
            ..Standing::default()
        };
        let communities: Vec<u32> = ledger.communities().collect();
        for community in communities {
            if let Some(queue) = told(l1.forced_queue(community).await)? {
                let requests = queue.iter().map(|entry| Request {
                    slot: entry.slot,
                    requester: entry.requester,
                    payer: entry.payer,
                    bond: entry.bond,
                });
                standing.forced.insert(community, requests.collect());
            }
        }
        let meanwhile = l1.events(ledger.next_block(from_block)).await?;
        if meanwhile.is_empty() {
            ledger.standing(&standing);
            break;
        }
        let followed = walk(l1, ledger, &meanwhile).await?;
        later.extend(meanwhile);
        if !followed {
            break;
        }
    }
    Ok(later)
}

/// `None` if the client does not have the operation.
fn told<T>(answer: Result<T, L1Error>) -> Result<Option<T>, L1Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(L1Error::Config(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

struct Replay<'a> {
    chain_id: u64,
    contract: [u8; 20],
    verifier: &'a dyn ProofVerifier,
    now: u64,
    state: SparseTree,
    /// New root of the batch before, as L1 has it.
    root: Word,
    communities: BTreeMap<u32, CommunityParams>,
    tariffs: BTreeMap<u32, Vec<TariffEntry>>,
    next_interval: BTreeMap<u32, u64>,
    batches: u64,
    proofs: u64,
    /// Records of the batches whose calldata could be read.
    records: BTreeMap<u64, Vec<Parsed>>,
    /// What the records come to.
    money: Money,
    versions: Versions,
    timeline: Vec<Decision>,
    /// What an earlier audit has verified.
    remembered: Option<Verified>,
    /// Batch under examination.
    at: Option<u64>,
    failures: Vec<Failure>,
}

impl<'a> Replay<'a> {
    fn new(chain_id: u64, contract: [u8; 20], verifier: &'a dyn ProofVerifier) -> Self {
        Self {
            chain_id,
            contract,
            verifier,
            now: 0,
            state: SparseTree::new(STATE_DEPTH),
            root: [0; 32],
            communities: BTreeMap::new(),
            tariffs: BTreeMap::new(),
            next_interval: BTreeMap::new(),
            batches: 0,
            proofs: 0,
            records: BTreeMap::new(),
            money: Money::default(),
            versions: Versions::default(),
            timeline: Vec::new(),
            remembered: None,
            at: None,
            failures: Vec::new(),
        }
    }

    fn fail(&mut self, clause: &'static str, what: impl Into<String>) {
        self.failures.push(Failure { batch: self.at, clause, what: what.into() });
    }

    fn require(&mut self, holds: bool, clause: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(clause, what());
        }
    }

    /// An answer of the node: what is not the contract's is a finding, and nothing is read from it.
    fn read<T: Default>(&mut self, what: &str, answer: Result<T, L1Error>) -> Result<T, L1Error> {
        if let Err(L1Error::Malformed(how)) = &answer {
            self.fail("L1.CALLDATA", format!("{what} are not those of the contract: {how}"));
            return Ok(T::default());
        }
        answer
    }

    /// STATE.INIT as far as L1 carries it: the published nodes lead to the contract's genesis root.
    fn genesis(&mut self, nodes: &[(u32, Fr)], root: &Word) {
        for (community, node) in nodes {
            let index = u64::from(*community);
            self.require(index < self.state.capacity(), "STATE.INIT", || {
                format!("genesis community {community} is outside the state tree")
            });
            self.require(self.state.leaf(index) == Fr::from(0u64), "STATE.INIT", || {
                format!("genesis lists community {community} twice")
            });
            if index < self.state.capacity() {
                self.state.set(index, *node);
            }
        }
        self.require(to_bytes(&self.state.root()) == *root, "STATE.INIT", || {
            "the published genesis nodes do not lead to the contract's genesis root".into()
        });
        self.root = *root;
    }

    fn register(&mut self, params: CommunityParams) {
        let id = params.community;
        let shape = Shape::by_id(params.shape);
        self.require(shape.is_some_and(|s| s.intervals == usize::from(params.m)), "L1.COMMUNITY", || {
            format!(
                "community {id} is registered with shape {} and {} intervals, which is no known shape",
                params.shape, params.m
            )
        });
        self.require([900, 1800, 3600].contains(&params.interval_length_s), "L1.COMMUNITY", || {
            format!("community {id} has intervals of {} s", params.interval_length_s)
        });
        let twice = self.communities.insert(id, params).is_some();
        self.require(!twice, "L1.COMMUNITY", || format!("community {id} is registered twice"));
    }

    fn publish(&mut self, tariff: TariffEntry) {
        let TariffEntry { tariff_set, index, first_interval, .. } = tariff;
        let set = self.tariffs.entry(tariff_set).or_default();
        let follows =
            set.len() as u64 == u64::from(index) && set.last().is_none_or(|last| last.first_interval < first_interval);
        set.push(tariff);
        self.require(follows, "L1.TARIFF", || {
            format!("tariff {index} of set {tariff_set} does not follow the one before")
        });
    }

    /// Every community and tariff of the registries was told by an event.
    fn registries(&mut self, events: &[RollupEvent]) {
        let communities: Vec<CommunityParams> = self.communities.values().copied().collect();
        for params in communities {
            let told = events.iter().any(|event| event.effect == RollupEffect::CommunityRegistered(params));
            self.require(told, "L1.COMMUNITY", || format!("no event registers community {} so", params.community));
        }
        let tariffs: Vec<TariffEntry> = self.tariffs.values().flatten().copied().collect();
        for TariffEntry { tariff_set, index, first_interval, commitment, .. } in tariffs {
            let effect = RollupEffect::TariffRegistered { tariff_set, index, first_interval, commitment };
            let told = events.iter().any(|event| event.effect == effect);
            self.require(told, "L1.TARIFF", || format!("no event publishes tariff {index} of set {tariff_set} so"));
        }
    }

    /// L1.VERSION, L1.6, L1.11: the circuit version of every batch is known, and its verifier was registered and waited.
    fn versions(&mut self, events: &[RollupEvent], count: u64) {
        let verifier = self.verifier;
        let recognise = |version: CircuitVersion, shape: u32, hash: &Word| verifier.recognises(version, shape, hash);
        self.failures.extend(self.versions.read(events, count, &self.communities, &recognise));
    }

    fn finalised(&mut self, batch: &SettledBatch, root_at: &Word, is_finalised: bool) {
        self.require(*root_at == batch.call.new_root, "L1.FINALISED", || {
            "the contract keeps another root for this batch".into()
        });
        self.require(is_finalised, "L1.FINALISED", || "the contract does not know the new root as finalised".into());
    }

    fn end(&mut self, count: u64, root: &Word) {
        self.at = None;
        let replayed = self.batches;
        self.require(count == replayed, "L1.SEQUENCE", || {
            format!("the contract counts {count} batches, {replayed} were found")
        });
        self.require(*root == self.root, "L1.SEQUENCE", || {
            "the contract's state root is not that of the last batch".into()
        });
        self.require(*root == to_bytes(&self.state.root()), "SETTLE.13", || {
            "the contract's state root is not the replayed one".into()
        });
    }

    fn report(mut self, subject: Subject, followed: Followed) -> AuditReport {
        let Followed { books, certificates, failures, unverified } = followed;
        self.failures.extend(failures);
        AuditReport {
            auditor: Verdict::of(self.failures.len(), unverified.len()),
            verdict: String::new(),
            subject,
            continued_from: self.remembered.map(|past| past.block),
            batches: self.batches,
            proofs_verified: self.proofs,
            state_root: self.state.root(),
            money: self.money.account(),
            books,
            certificates,
            versions: self.versions.finish(),
            timeline: self.timeline,
            deployment: None,
            failures: self.failures,
            unverified,
            read_blake3: String::new(),
        }
        .judged()
    }
}
