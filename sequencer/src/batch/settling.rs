//! Proven batches go to L1, strictly in order, some of them at once. One is settled when L1 has it in a block that counts
//! as final; the next is sent before. A reorganisation that takes a batch back is met by sending it again
//! (`docs/adr/0030-settlements-on-their-way.md`).

use std::sync::Arc;

use gridveil_protocol::{codec::Bytes32, field::to_bytes};
use gridveil_verifier_contract::{L1Error, SettleCall, Word};
use tracing::Instrument as _;

use super::transition;
use crate::{
    config, emergency, l1,
    problem::Problem,
    service::Service,
    store::{
        Draft, StoreError,
        log_state::BatchEntry,
        record::{Event, Settled},
    },
    writer::{Decision, Snapshot},
};

/// Refusals of a batch because L1 does not have, or not yet, what the batch takes in. A reorganisation may have taken it
/// back; then it usually comes again. All were checked when the batch was made.
const INPUT_MISSING: [&str; 13] = [
    "DepositNotOpen",
    "DepositUnits",
    "TransferNotNew",
    "TransferNotOpen",
    "ForcedNotHead",
    "NotHeadNote",
    "SupplierShort",
    "TariffNotInForce",
    "CorrectionTariff",
    "PeriodNotOver",
    "UnknownCommunity",
    // A new verifier's first batch waits (L1.11): another announcement may have come after the closing.
    "UpgradeWaits",
    "UpgradeNotAnnounced",
];

/// A refusal of a batch whose notes no batch may take in any more (L1C.10).
const NEVER: &str = "NoteRetired";

/// What a step came to.
enum Step {
    /// There may be another one to make.
    Again,
    /// Nothing to do before something is proven, or L1 goes on, or back.
    Watching,
}

/// Settles batches on L1, in order.
pub async fn settle_all(service: Arc<Service>) {
    let mut changes = service.writer.changes();
    let mut pauses = service.config.backoff.pauses();
    loop {
        let seen = progress(&service);
        match step(&service).await {
            Ok(step) => {
                service.health.degraded("l1", None);
                pauses = service.config.backoff.pauses();
                if matches!(step, Step::Watching) {
                    // Packets and operations change the log all the time, and L1 is not asked for them.
                    let later = changes.wait_for(|_| progress(&service) != seen);
                    if let Ok(Err(_)) = tokio::time::timeout(service.config.watch_every, later).await {
                        return;
                    }
                }
            }
            Err(failure) => match failure.waits() {
                Ok(reason) => {
                    service.metrics.l1_retries.inc();
                    service.health.degraded("l1", Some(reason));
                    config::pause(&mut pauses).await;
                }
                Err(reason) => return service.health.stop(reason),
            },
        }
    }
}

/// What a step depends on in the log: the last batch, and how many are proven and not settled.
fn progress(service: &Service) -> (u64, usize) {
    let snapshot = service.writer.snapshot();
    let proven = snapshot.log_state.batches.values().filter(|entry| entry.prove_ms.is_some());
    (snapshot.log_state.last_batch, proven.count())
}

enum Failure {
    /// L1 gave no answer, or refused the batch.
    L1(Option<u64>, L1Error),
    /// L1 has stopped the batch's verifier: it is not sent, until another batch is in its place.
    Stopped(u64, String),
    Own(Problem),
    /// L1 is where no batch of this log leads.
    Foreign,
}

impl From<L1Error> for Failure {
    fn from(error: L1Error) -> Self {
        Self::L1(None, error)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Own(problem)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Own(error.into())
    }
}

impl Failure {
    /// Why the same is tried again, or else why not.
    fn waits(self) -> Result<String, String> {
        let (batch, error) = match self {
            Self::Own(problem) => return Err(problem.to_string()),
            Self::Foreign => return Err(l1::FOREIGN.to_owned()),
            Self::Stopped(batch, why) => {
                return Ok(format!(
                    "batch {batch}: {why}: it is not sent, and never settles: gridveil operator abandon"
                ));
            }
            Self::L1(batch, error) => (batch, error),
        };
        let of = batch.map_or_else(String::new, |batch| format!("batch {batch}: "));
        match error {
            // A node may lag behind another, and what it says does not fit then.
            L1Error::Unreachable(_)
            | L1Error::Pending(_)
            | L1Error::Malformed(_)
            | L1Error::Lie(_)
            | L1Error::Unproven(_)
            | L1Error::Signer(_) => Ok(format!("{of}{error}")),
            L1Error::Reverted { name } if INPUT_MISSING.contains(&name.as_str()) => {
                Ok(format!("{of}l1.reverted: {name}: L1 does not have what the batch takes in; it is sent again"))
            }
            L1Error::Reverted { name } if name == NEVER => Err(format!(
                "{of}l1.reverted: {name}: it takes in notes of a certificate version that was retired, and never settles: gridveil operator abandon"
            )),
            L1Error::Reverted { name } => Err(format!("{of}l1.reverted: {name}")),
            L1Error::Config(_) | L1Error::SignedOther(_) | L1Error::OtherChain { .. } | L1Error::WrongChain { .. } => {
                Err(format!("{of}l1: {error}"))
            }
        }
    }
}

/// Records the first batch that is final, or else sends the first one that L1 does not have.
async fn step(service: &Arc<Service>) -> Result<Step, Failure> {
    let first = {
        let snapshot = service.writer.snapshot();
        snapshot.log_state.batches.first_key_value().map(|(batch, entry)| (*batch, to_bytes(&entry.new_root)))
    };
    if let Some((batch, root)) = first
        && service.l1.confirmed().await?.is_finalised(root).await?
    {
        record(service, batch, root).await?;
        return Ok(Step::Again);
    }
    let head = service.l1.state_root().await?;
    let next = next(service, &head)?;
    let Some((batch, entry)) = next.filter(|(_, entry)| entry.prove_ms.is_some()) else { return Ok(Step::Watching) };
    match send(service, batch, &entry, following(service, batch)).await {
        Ok(()) => Ok(Step::Again),
        // L1 went on, or back, while the batch was on its way: that is looked at first.
        Err(Failure::L1(..)) if service.l1.state_root().await.is_ok_and(|now| now != head) => Ok(Step::Again),
        Err(failure) => Err(failure),
    }
}

/// The first batch that L1, at `head`, does not have.
fn next(service: &Service, head: &Word) -> Result<Option<(u64, BatchEntry)>, Failure> {
    let snapshot = service.writer.snapshot();
    let Some(reached) = l1::reached(&service.reader, &snapshot.log_state, head)? else {
        service.writer.hold_back(l1::old_log());
        return Err(Failure::Foreign);
    };
    service.writer.admit();
    let batch = reached + 1;
    if let Some(entry) = snapshot.log_state.batches.get(&batch) {
        return Ok(Some((batch, entry.clone())));
    }
    if batch > snapshot.log_state.last_batch {
        return Ok(None);
    }
    // It was final, and a reorganisation has taken it back all the same.
    tracing::warn!(batch, "a settled batch is gone from L1; it is sent again");
    let applied = service.reader.applied(batch)?;
    let entry = BatchEntry {
        community: applied.community,
        first_interval: applied.first_interval,
        old_root: applied.old_root,
        new_root: applied.new_root,
        prove_ms: Some(0),
        effects: Default::default(),
        before: Arc::default(),
    };
    Ok(Some((batch, entry)))
}

/// Proven batches right after this one, without a gap: as many as may be on their way beside it.
fn following(service: &Service, batch: u64) -> Vec<(u64, BatchEntry)> {
    let snapshot = service.writer.snapshot();
    let batches = &snapshot.log_state.batches;
    let proven = |number: u64| batches.get(&number).filter(|entry| entry.prove_ms.is_some());
    let after = (batch + 1..).map_while(|number| Some((number, proven(number)?.clone())));
    after.take(service.config.settling.saturating_sub(1)).collect()
}

/// Sends a batch, and those after it as far as their calls can be made: what is wrong with one of them is told when it is
/// the first.
async fn send(
    service: &Arc<Service>,
    batch: u64,
    entry: &BatchEntry,
    following: Vec<(u64, BatchEntry)>,
) -> Result<(), Failure> {
    // Also before it is computed again: a version that is stopped may be unknown to a later program.
    if let Some(why) = stopped(service, entry).await? {
        return Err(Failure::Stopped(batch, why));
    }
    let mut calls = vec![call(service, batch, entry).await?];
    for (batch, entry) in following {
        if stopped(service, &entry).await?.is_some() {
            break;
        }
        let Ok(call) = call(service, batch, &entry).await else { break };
        calls.push(call);
    }
    service
        .l1
        .settle_in_order(calls)
        .instrument(tracing::info_span!("settle", batch))
        .await
        .map_err(|error| Failure::L1(Some(batch), error))?;
    tracing::info!(batch, "batch on L1");
    Ok(())
}

/// Why L1 takes no batch of this verifier any more, if it is proven unsound.
async fn stopped(service: &Service, entry: &BatchEntry) -> Result<Option<String>, L1Error> {
    match emergency::stops(service, entry.community, entry.first_interval).await {
        Ok(why) => Ok(why),
        Err(problem) => Err(L1Error::Unreachable(problem.detail)),
    }
}

async fn call(service: &Arc<Service>, batch: u64, entry: &BatchEntry) -> Result<SettleCall, Failure> {
    let refused = |error| Failure::L1(Some(batch), error);
    let (version, transition) = transition(service, batch, entry).await?;
    let proof = service.reader.proof(batch)?;
    let tariff = l1::in_force(&*service.l1, entry.community, entry.first_interval).await.map_err(refused)?;
    let not_in_force = || refused(L1Error::Reverted { name: "TariffNotInForce".to_owned() });
    let index = tariff.ok_or_else(not_in_force)?.index;
    Ok(l1::settle_call(version, &transition, index, proof))
}

/// L1 has the batch in a block that counts as final.
async fn record(service: &Arc<Service>, batch: u64, root: Word) -> Result<(), Failure> {
    let receipt = service.l1.settlement_of(root).await?;
    let settled = Settled {
        batch,
        tx: receipt.map(|receipt| Bytes32(receipt.tx)),
        block: receipt.map(|receipt| receipt.block),
        gas_used: receipt.map(|receipt| receipt.gas_used),
    };
    let decide = move |_: &Snapshot| Ok(Decision::write(Draft::public(Event::Settled(settled)), ()));
    service.writer.submit_waiting(decide).await?;
    service.metrics.is_final(batch, service.config.clock.now());
    tracing::info!(batch, "batch final on L1");
    Ok(())
}
