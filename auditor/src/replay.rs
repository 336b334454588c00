//! The replay. Every check names its clause; a failed check never hides a later one.

mod batch;

use std::collections::BTreeMap;

use gridveil_protocol::{
    field::{Fr, to_bytes},
    params::{STATE_DEPTH, Shape},
    record::Parsed,
    tree::SparseTree,
    version::CircuitVersion,
};
use gridveil_verifier_contract::{
    AuditorL1, CommunityParams, L1Error, L1Future, RollupEffect, RollupEvent, SettledBatch, TariffEntry, Word,
};

use crate::{
    certificates::Certificates,
    failure::Failure,
    ledger::{Books, Ledger, Request, Settled, Standing},
    money::Money,
    report::{AuditReport, Verdict},
    versions::Versions,
};

/// Why a proof could not be checked at all. Not the same as a proof that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// No key of that circuit version in that shape.
    #[error("circuit version {version} is missing: no verifying key for shape {shape}")]
    Missing {
        /// Circuit version.
        version: CircuitVersion,
        /// Shape's id.
        shape: u32,
    },
    /// A key could not be made.
    #[error("{0}")]
    Key(String),
}

/// Verifies settlement proofs: a key set a circuit version.
pub trait ProofVerifier {
    /// Does `proof` hold for these public inputs, under the key of that version and shape?
    ///
    /// # Errors
    /// [`VerifierError::Missing`] if there is no such key.
    fn verify(
        &self,
        version: CircuitVersion,
        shape_id: u32,
        instance: &[Fr; 10],
        proof: &[u8],
    ) -> Result<bool, VerifierError>;

    /// Name of the verifier artifact of that version and shape whose code has this hash, for versions that are known by
    /// nothing else.
    fn recognises(&self, version: CircuitVersion, shape_id: u32, code_hash: &Word) -> Option<String> {
        let _ = (version, shape_id, code_hash);
        None
    }
}

/// The pool as the contract has it, for clients that can tell.
pub trait PoolSource {
    /// nano.
    fn pool_nano(&self) -> L1Future<'_, u64>;
}

/// [`audit_with_pool`] for a client that cannot tell the contract's pool.
///
/// # Errors
/// As there.
pub async fn audit(
    l1: &dyn AuditorL1,
    verifier: &dyn ProofVerifier,
    genesis: &[(u32, Fr)],
    from_block: u64,
) -> Result<AuditReport, L1Error> {
    audit_with_pool(l1, None, verifier, genesis, from_block).await
}

/// Replays everything from `from_block` (at most the deployment's block) on. `genesis` are the community nodes
/// published at deployment. Batches that are settled while the audit runs are left to the next one.
///
/// # Errors
/// [`L1Error`] if the node gives no answer: then nothing was audited. What the node answers wrongly is a finding of the
/// report.
pub async fn audit_with_pool(
    l1: &dyn AuditorL1,
    pool: Option<&dyn PoolSource>,
    verifier: &dyn ProofVerifier,
    genesis: &[(u32, Fr)],
    from_block: u64,
) -> Result<AuditReport, L1Error> {
    let mut replay = Replay::new(l1.chain_id().await?, l1.contract(), verifier);
    let count = l1.batch_count().await?;
    let genesis_root = l1.root_at(0).await?;
    replay.genesis(genesis, &genesis_root);
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
    for batch in &batches {
        replay.batch(batch);
        replay.finalised(batch, &l1.root_at(batch.batch).await?, l1.is_finalised(batch.call.new_root).await?);
    }
    replay.end(count, &root);
    let events = replay.read("events", l1.events(from_block).await)?;
    replay.registries(&events);
    replay.versions(&events, count);
    let settled = Settled {
        count,
        genesis_root,
        communities: &replay.communities,
        next_interval: &replay.next_interval,
        batches: batches.iter().map(|batch| (batch.batch, batch)).collect(),
        records: &replay.records,
    };
    let mut money = std::mem::take(&mut replay.money);
    let mut ledger = Ledger::new(settled, &mut money);
    let stood = if ledger.walk(&events) { stand(l1, pool, from_block, &mut ledger).await } else { Ok(()) };
    let (books, certificates, failures) = ledger.finish();
    replay.money = money;
    replay.read("figures and later events", stood)?;
    replay.failures.extend(failures);
    Ok(replay.report(books, certificates))
}

/// Times that the contract's figures are asked for again because something happened meanwhile.
const STANDING_ATTEMPTS: usize = 4;

/// Compares the books with the contract's own figures, read between two looks at its events that find nothing new.
async fn stand(
    l1: &dyn AuditorL1,
    pool: Option<&dyn PoolSource>,
    from_block: u64,
    ledger: &mut Ledger<'_>,
) -> Result<(), L1Error> {
    for _ in 0..STANDING_ATTEMPTS {
        let limit = u32::try_from(ledger.notes().len() + 1).unwrap_or(u32::MAX);
        let mut standing = Standing {
            frozen: told(l1.is_frozen().await)?,
            supplier_units: told(l1.supplier_funds().await)?,
            notes: told(l1.pending_notes(limit).await)?,
            deposits: told(l1.deposits(from_block).await)?,
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
        if let Some(pool) = pool {
            standing.pool_nano = Some(pool.pool_nano().await?);
        }
        let meanwhile = l1.events(ledger.next_block(from_block)).await?;
        if meanwhile.is_empty() {
            ledger.standing(&standing);
            return Ok(());
        }
        if !ledger.walk(&meanwhile) {
            return Ok(());
        }
    }
    Ok(())
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

    fn report(self, books: Books, certificates: Certificates) -> AuditReport {
        AuditReport {
            auditor: if self.failures.is_empty() { Verdict::Ok } else { Verdict::Failed },
            batches: self.batches,
            proofs_verified: self.proofs,
            state_root: self.state.root(),
            money: self.money.account(),
            books,
            certificates,
            versions: self.versions.finish(),
            failures: self.failures,
        }
    }
}
