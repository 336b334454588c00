//! The one writer. It decides one request after the other on the snapshot, makes the decisions durable together with
//! one sync, and only then answers.
//!
//! Architecture invariant: nothing else writes to the log, and no answer that promises anything leaves before its
//! record is durable.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    thread::JoinHandle,
    time::Instant,
};

use gridveil_protocol::{
    community::Community,
    field::Fr,
    tree::SparseTree,
    units::Interval,
    version::{CircuitVersion, VersionFrom, begins_s},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    metrics::{Metrics, seconds},
    problem::{self, Problem},
    store::{Draft, Store, StoreError, log::Tip, log_state::LogState, record::Event},
};

/// Everything that follows from the log. What readers see is durable. The writer's own copy is ahead by what it is
/// writing.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Structure of the log.
    pub log_state: LogState,
    /// Openings, as of the last applied batch.
    pub communities: BTreeMap<u32, Arc<Community>>,
    /// State tree, as of the last applied batch.
    pub tree: SparseTree,
    /// Number of durable records.
    pub height: u64,
    /// Where the log ends with them.
    pub tip: Tip,
    /// Set when the log could not be written: nothing is accepted until a restart.
    pub failed: bool,
}

/// Result of a decision.
#[derive(Debug)]
pub enum Decision<T> {
    /// Write this, then answer.
    Write {
        /// Record.
        draft: Box<Draft>,
        /// The community after, for an applied batch or one that joins.
        after: Option<Box<Community>>,
        /// Answer.
        answer: T,
    },
    /// Nothing to write.
    Answer(T),
}

impl<T> Decision<T> {
    /// Write a record that changes no opening.
    #[must_use]
    pub fn write(draft: Draft, answer: T) -> Self {
        Self::Write { draft: Box::new(draft), after: None, answer }
    }
}

type Staged = Option<(Box<Draft>, Option<Box<Community>>)>;

trait Job: Send {
    fn decide(&mut self, snapshot: &Snapshot) -> Staged;
    fn refuse(&mut self, problem: Problem);
    fn finish(self: Box<Self>);
    /// Since when it waits, if it is to be measured.
    fn since(&self) -> Option<Instant> {
        None
    }
    fn is_last(&self) -> bool {
        false
    }
}

/// The job after which the writer takes no more.
struct Stop;

impl Job for Stop {
    fn decide(&mut self, _: &Snapshot) -> Staged {
        None
    }
    fn refuse(&mut self, _: Problem) {}
    fn finish(self: Box<Self>) {}
    fn is_last(&self) -> bool {
        true
    }
}

struct TypedJob<T, F> {
    decide: Option<F>,
    outcome: Result<T, Problem>,
    reply: oneshot::Sender<Result<T, Problem>>,
    since: Instant,
}

impl<T: Send, F: FnOnce(&Snapshot) -> Result<Decision<T>, Problem> + Send> Job for TypedJob<T, F> {
    fn decide(&mut self, snapshot: &Snapshot) -> Staged {
        match self.decide.take().map(|decide| decide(snapshot)) {
            Some(Ok(Decision::Write { draft, after, answer })) => {
                self.outcome = Ok(answer);
                Some((draft, after))
            }
            Some(Ok(Decision::Answer(answer))) => {
                self.outcome = Ok(answer);
                None
            }
            Some(Err(problem)) => {
                self.outcome = Err(problem);
                None
            }
            None => None,
        }
    }

    fn refuse(&mut self, problem: Problem) {
        self.outcome = Err(problem);
    }

    fn since(&self) -> Option<Instant> {
        Some(self.since)
    }

    fn finish(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

/// Largest group of one sync.
const GROUP: usize = 256;

/// A handle to the writer. [`Writer::stop`] ends it.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    snapshot: Arc<RwLock<Snapshot>>,
    changed: watch::Sender<u64>,
    held_back: Arc<RwLock<Option<Problem>>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

/// Starts the writer on its own thread.
///
/// # Errors
/// Where no thread can be made.
pub fn start(
    mut store: Store,
    snapshot: Snapshot,
    queue_length: usize,
    metrics: Arc<Metrics>,
) -> std::io::Result<(Writer, JoinHandle<()>)> {
    let (queue, mut jobs) = mpsc::channel::<Box<dyn Job>>(queue_length);
    let mut working = snapshot.clone();
    let snapshot = Arc::new(RwLock::new(snapshot));
    let (changed, _) = watch::channel(0);
    let writer = Writer { queue, snapshot: Arc::clone(&snapshot), changed: changed.clone(), held_back: Arc::default() };
    let thread = std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || {
        let mut group = Vec::with_capacity(GROUP);
        while jobs.blocking_recv_many(&mut group, GROUP) > 0 {
            if group.iter().any(|job| job.is_last()) {
                jobs.close();
            }
            write_group(&mut store, &mut working, &snapshot, &mut group, &metrics);
            changed.send_modify(|n| *n += 1);
        }
        store.close();
    })?;
    Ok((writer, thread))
}

/// A staged record, to be shown to readers once it is durable.
struct Shown {
    event: Event,
    offset: u64,
    after: Option<(Arc<Community>, Fr)>,
}

/// Decides a group on the writer's own snapshot, makes it durable, and only then shows it to readers and answers.
fn write_group(
    store: &mut Store,
    working: &mut Snapshot,
    shared: &RwLock<Snapshot>,
    group: &mut Vec<Box<dyn Job>>,
    metrics: &Metrics,
) {
    group.iter().filter_map(|job| job.since()).for_each(|at| metrics.writer_wait.observe(seconds(at.elapsed())));
    let mut staged = Vec::new();
    for job in group.iter_mut() {
        if working.failed {
            job.refuse(Problem::new(problem::STORE_FAILED, "an earlier write failed; the sequencer must be restarted"));
        } else if let Some((draft, after)) = job.decide(working) {
            let event = draft.event.clone();
            match store.stage(&mut working.log_state, *draft) {
                Ok(offset) => {
                    let after = after
                        .map(|community| (community.node(), Arc::new(*community)))
                        .map(|(node, community)| (community, node));
                    after.iter().for_each(|(community, node)| working.replace(community, *node));
                    staged.push(Shown { event, offset, after });
                }
                Err(error) => job.refuse(error.into()),
            }
        }
    }
    let committed = commit(store, working, staged.len(), metrics);
    let mut shared = shared.write().unwrap_or_else(PoisonError::into_inner);
    let shown = committed.and_then(|()| {
        for Shown { event, offset, after } in staged {
            shared.log_state.add(&event, offset)?;
            after.iter().for_each(|(community, node)| shared.replace(community, *node));
        }
        (shared.height, shared.tip) = (store.height(), store.tip());
        Ok(())
    });
    if let Err(error) = shown {
        (working.failed, shared.failed) = (true, true);
        let problem = Problem::from(error);
        group.iter_mut().for_each(|job| job.refuse(problem.clone()));
    }
    drop(shared);
    group.drain(..).for_each(Job::finish);
}

/// Makes what is staged durable.
fn commit(store: &mut Store, working: &Snapshot, records: usize, metrics: &Metrics) -> Result<(), StoreError> {
    if records == 0 {
        return store.commit(&working.log_state);
    }
    let _span = tracing::info_span!("commit", records).entered();
    let start = Instant::now();
    let committed = store.commit(&working.log_state);
    metrics.sync.observe(seconds(start.elapsed()));
    metrics.group.observe(f64::from(u32::try_from(records).unwrap_or(u32::MAX)));
    committed
}

impl Snapshot {
    /// Circuit version of a community's period, settled or to come.
    ///
    /// # Errors
    /// `account.unknown`.
    pub fn version_of(&self, community: u32, first_interval: Interval) -> Result<CircuitVersion, Problem> {
        self.version_since(community, first_interval).map(|since| since.circuit_version)
    }

    /// The same, with the time from which it counts.
    ///
    /// # Errors
    /// `account.unknown`.
    pub fn version_since(&self, community: u32, first_interval: Interval) -> Result<VersionFrom, Problem> {
        let community = self.communities.get(&community);
        let community = community.ok_or_else(|| Problem::new(problem::ACCOUNT_UNKNOWN, "no such community"))?;
        Ok(self.log_state.versions.since(begins_s(first_interval, community.header.interval_length)))
    }

    /// Takes a community's new openings. One that joins is in no state root until its first batch.
    fn replace(&mut self, community: &Arc<Community>, node: Fr) {
        if self.log_state.communities.get(&community.index).is_some_and(|state| state.begun) {
            self.tree.set(u64::from(community.index), node);
        }
        self.communities.insert(community.index, Arc::clone(community));
    }
}

impl Writer {
    /// The snapshot, to look at. Never held across a wait.
    pub fn snapshot(&self) -> RwLockReadGuard<'_, Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decisions that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity().saturating_sub(self.queue.capacity())
    }

    /// Told after every group of decisions.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Refuses every input of others, with this, until [`Writer::admit`]: the log may be an old copy, and what it takes in
    /// would settle nowhere.
    pub fn hold_back(&self, problem: Problem) {
        *self.held_back.write().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }

    /// Takes input again: L1 is where this log leads.
    pub fn admit(&self) {
        let held = self.held_back.read().unwrap_or_else(PoisonError::into_inner).is_some();
        if held {
            *self.held_back.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Asks for a decision; refuses when the queue is full, or the log may be an old copy.
    ///
    /// # Errors
    /// What `decide` refuses, `queue.full`, `store.failed`, `log.old`, `log.unproven`.
    pub async fn submit<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Snapshot) -> Result<Decision<T>, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        if let Some(problem) = &*self.held_back.read().unwrap_or_else(PoisonError::into_inner) {
            return Err(problem.clone());
        }
        let (job, answer) = job(decide);
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Problem::new(problem::QUEUE_FULL, "the writer's queue is full").after(1)
            }
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Ends the writer after what is queued.
    pub async fn stop(&self) {
        let _ = self.queue.send(Box::new(Stop)).await;
    }

    /// Asks for a decision and waits for room in the queue: for the sequencer's own steps, which must not be lost.
    ///
    /// # Errors
    /// What `decide` refuses, `store.failed`.
    pub async fn submit_waiting<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Snapshot) -> Result<Decision<T>, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (job, answer) = job(decide);
        self.queue.send(job).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> Problem {
    Problem::new(problem::STORE_FAILED, "the sequencer is stopping")
}

type Answer<T> = oneshot::Receiver<Result<T, Problem>>;

fn job<T: Send + 'static>(
    decide: impl FnOnce(&Snapshot) -> Result<Decision<T>, Problem> + Send + 'static,
) -> (Box<dyn Job>, Answer<T>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(TypedJob { decide: Some(decide), outcome: Err(stopped()), reply, since: Instant::now() }), answer)
}
