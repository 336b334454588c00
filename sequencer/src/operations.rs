//! Admission of operations and header operations: checks that never mutate, then one decision of the writer. What only
//! the closed period can tell, the balance above all, is decided when it closes ([`crate::batch::selection`]).

use std::sync::{Arc, PoisonError};

use gridveil_protocol::{
    account::Account,
    codec::{Bytes32, header_operation_id, operation_id},
    community::Community,
    header::Header,
    header_operation::{HeaderError, HeaderOperation, Place},
    operation::{
        Flow, Kind, SignedOperation,
        slot::{OperationError, OperationSlot},
    },
    params::UNITS_BITS,
    poseidon::DomainTag,
    schnorr,
    units::Interval,
    version::{CircuitVersion, Domains},
};

use crate::{
    ends,
    problem::{self, Problem},
    service::Service,
    store::{
        Draft, StoreError,
        data_keys::{COMMUNITY_PART, Label},
        plain,
        reader::StoreReader,
        record::{Event, HeaderAccepted, OperationAccepted, kind},
        selected::OperationState,
    },
    writer::{Decision, Snapshot},
};

/// How an operation was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// Durable now.
    Accepted([u8; 32]),
    /// Pending or applied already.
    Duplicate([u8; 32]),
}

fn unknown() -> Problem {
    Problem::new(problem::ACCOUNT_UNKNOWN, "no such community or no such slot")
}

fn nonce() -> Problem {
    Problem::of_operation(&OperationError::Nonce { expected: 0, got: 0 })
}

/// Tries where the account changes while an operation on it is checked.
const TRIES: usize = 4;

/// Takes an operation.
///
/// # Errors
/// [`Problem`], with the code that says why not. Who cannot sign for an account learns nothing about it.
pub async fn submit(service: &Arc<Service>, signed: SignedOperation) -> Result<Submitted, Problem> {
    let id = operation_id(&signed);
    if signed.operation.kind == Kind::Forced {
        return Err(Problem::new(problem::OPERATION_KIND, "OP.7: a forced withdrawal is asked for on L1 (owner)"));
    }
    ends::admits(service, signed.operation.community)?;
    for _ in 0..TRIES {
        if is_recorded(service, &id)? {
            return Ok(Submitted::Duplicate(id));
        }
        match attempt(service, &signed, id).await {
            Ok(Some(())) => return Ok(Submitted::Accepted(id)),
            Ok(None) => {}
            // Accepted by another request, or applied, in between.
            Err(_) if is_recorded(service, &id)? => return Ok(Submitted::Duplicate(id)),
            Err(problem) => return Err(problem),
        }
    }
    Err(Problem::new(problem::QUEUE_FULL, "the account is changing").after(1))
}

/// Does the circuit of this version have the operation? One of a later version could never be proved.
fn in_version(kind: Kind, version: CircuitVersion) -> bool {
    kind.since() <= version
}

/// Is it pending, or applied?
fn is_recorded(service: &Service, id: &[u8; 32]) -> Result<bool, Problem> {
    Ok(matches!(service.reader.operation_state(id)?, Some(OperationState::Pending | OperationState::Applied(_))))
}

/// What an operation is checked against.
struct Basis {
    community: Arc<Community>,
    /// Offsets of the slot's pending operations.
    pending: Vec<u64>,
}

impl Basis {
    fn of(snapshot: &Snapshot, community: u32, slot: u16) -> Result<Self, Problem> {
        let log_state = snapshot.log_state.communities.get(&community).ok_or_else(unknown)?;
        let community = Arc::clone(snapshot.communities.get(&community).ok_or_else(unknown)?);
        Ok(Self { community, pending: log_state.pending.of_slot(slot).map(|o| o.offset).collect() })
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.community, &other.community) && self.pending == other.pending
    }
}

/// One try; `None` if the account changed meanwhile.
async fn attempt(service: &Arc<Service>, signed: &SignedOperation, id: [u8; 32]) -> Result<Option<()>, Problem> {
    let (community, slot) = (signed.operation.community, signed.operation.slot);
    let (basis, domains) = {
        let snapshot = service.writer.snapshot();
        (Basis::of(&snapshot, community, slot)?, service.domains(&snapshot))
    };
    let before = basis.community.accounts.get(usize::from(slot)).cloned().ok_or_else(unknown)?;
    let used = before.meter.is_some();
    // For the period that is open: its batch takes the operation, or a later one of the same circuit version.
    let header = &basis.community.header;
    let version = domains.versions().of_period(header.next_interval, header.interval_length);
    if !in_version(signed.operation.kind, version) {
        let detail = "OP.3: the circuit of the next settlement has no such operation (owner)";
        return Err(Problem::new(problem::OPERATION_KIND, detail));
    }
    let (reader, mdm) = (Arc::clone(&service.reader), header.mdm);
    let (pending, checked) = (basis.pending.clone(), signed.clone());
    let check = tokio::task::spawn_blocking(move || {
        let mut account = before;
        for offset in pending {
            account = OperationSlot::compute(&account, &reader.operation(offset)?).after;
        }
        check(&account, &checked, (&domains, version), &mdm)
    });
    check.await.map_err(|_| Problem::internal("a check did not end"))??;
    // What waits for the slot is under the keys of the account that is in it, and goes with them when it is erased.
    if signed.operation.kind == Kind::Enrol && (used || !basis.pending.is_empty()) {
        let detail = "OP.8: the slot is in use; if it is being left, enrol once that is settled (meter data manager)";
        return Err(Problem::new(problem::OPERATION_NOT_EMPTY, detail));
    }
    let (limits, signed, seen) = (service.config.limits, signed.clone(), basis);
    // The writer's snapshot may be ahead of the one that was checked. Then the try is
    // repeated.
    let decide = move |snapshot: &Snapshot| {
        let now = Basis::of(snapshot, community, slot)?;
        if !now.is(&seen) {
            return Ok(Decision::Answer(None));
        }
        if now.pending.len() >= limits.operations_of_slot {
            let detail = format!("{} operations of this slot wait already (owner)", now.pending.len());
            return Err(Problem::new(problem::OPERATION_TOO_MANY, detail));
        }
        if snapshot.log_state.communities.values().map(|b| b.pending.operations.len()).sum::<usize>()
            >= limits.operations
        {
            return Err(Problem::new(problem::OPERATION_QUEUE_FULL, "too many operations wait").after(60));
        }
        let sealed = plain(kind::OPERATION, &signed).map_err(StoreError::from)?;
        let label = Label { kind: kind::OPERATION, community, part: slot, first_interval: Interval::ZERO };
        let event = Event::Operation(OperationAccepted { community, slot, operation_id: id });
        Ok(Decision::write(Draft { event, parts: vec![(label, sealed)] }, Some(())))
    };
    service.writer.submit(decide).await
}

/// Checks everything but the money: the balance is assumed to be enough.
fn check(
    account: &Account,
    signed: &SignedOperation,
    (domains, version): (&Domains, CircuitVersion),
    mdm: &schnorr::PublicKey,
) -> Result<(), Problem> {
    let operation = &signed.operation;
    let mut rich = account.clone();
    rich.nonce = operation.nonce;
    rich.debt = 0;
    rich.balance = if operation.kind.effect().flow == Flow::Out { operation.amount } else { 0 };
    let operation_slot = OperationSlot::compute(&rich, signed);
    let under = |version| operation_slot.check(&rich, signed, domains.of_version(version), operation.community, mdm);
    under(version).map_err(|error| {
        let signature = matches!(error, OperationError::Signature(_) | OperationError::Mdm);
        let mut others =
            domains.versions().all().into_iter().map(|one| one.circuit_version).filter(|one| *one != version);
        if signature && others.any(|other| under(other).is_ok()) {
            let detail = format!("the next settlement is under circuit version {version}: sign again for it (owner)");
            Problem::new(problem::OPERATION_VERSION, detail)
        } else {
            Problem::of_operation(&error)
        }
    })?;
    if operation.nonce == account.nonce {
        Ok(())
    } else {
        Err(nonce().with(|members| members.expected = Some(account.nonce)))
    }
}

/// HEADER.5: a forced withdrawal that is asked for during the skipped periods must be served in time, or anybody may
/// freeze the rollup.
async fn check_skip(service: &Service, header: &Header, skip: u16) -> Result<(), Problem> {
    if skip == 0 {
        return Ok(());
    }
    let deadline_s = service.l1.forced_deadline_s().await.map_err(|error| crate::l1::unreachable(&error))?;
    let period_s = u64::from(header.intervals) * u64::from(header.interval_length);
    if (u64::from(skip) + 2) * period_s > deadline_s {
        let detail = "HEADER.5: with so many periods skipped a forced withdrawal could not be served in time, and anybody could freeze the rollup";
        return Err(Problem::new(problem::HEADER_SKIP, detail));
    }
    Ok(())
}

/// The answer that was given under this key before, also if the operation is applied since.
fn answered(
    reader: &StoreReader,
    community: u32,
    id: [u8; 32],
    key: Option<Bytes32>,
) -> Result<Option<Submitted>, Problem> {
    let Some(key) = key else { return Ok(None) };
    match reader.taken_under(community, &key.0)? {
        None => Ok(None),
        Some(there) if there == id => Ok(Some(Submitted::Duplicate(id))),
        Some(_) => Err(Problem::new(problem::IDEMPOTENCY_OTHER, "another header operation was sent under this key")),
    }
}

/// Takes a header operation for the next settlement of a community. Under a key it is taken once, for as long as the log is
/// there: a transfer has no nonce, and sent again after its settlement it would move money again.
///
/// # Errors
/// [`Problem`].
pub async fn submit_header(
    service: &Service,
    community: u32,
    operation: HeaderOperation,
    key: Option<Bytes32>,
) -> Result<Submitted, Problem> {
    if operation.count() == 0 {
        return Err(Problem::new(problem::HEADER_EMPTY, "neither a transfer nor a management"));
    }
    let sealed = plain(kind::HEADER, &operation).map_err(StoreError::from)?;
    let id = header_operation_id(community, &operation).map_err(|error| Problem::internal(&error.to_string()))?;
    if let Some(before) = answered(&service.reader, community, id, key)? {
        return Ok(before);
    }
    let (header, domains) = {
        let snapshot = service.writer.snapshot();
        let header = snapshot.communities.get(&community).ok_or_else(unknown)?.header.clone();
        (header, service.domains(&snapshot))
    };
    if operation.transfer.is_some_and(|t| t.units >> UNITS_BITS != 0) {
        return Err(Problem::of_header(&HeaderError::Units));
    }
    if let Some(signed) = &operation.management {
        // It counts with this period's settlement alone.
        let domain = domains.of_period(header.next_interval, header.interval_length);
        let message = signed.management.message(domain, &Place::at(community, &header));
        let verified = schnorr::verify(DomainTag::HeaderOperation, &header.mdm, &[message], &signed.signature);
        verified.map_err(|error| Problem::of_header(&HeaderError::Signature(error)))?;
        check_skip(service, &header, signed.management.skip).await?;
    }
    let reader = Arc::clone(&service.reader);
    let decide = move |snapshot: &Snapshot| {
        let log_state = snapshot.log_state.communities.get(&community).ok_or_else(unknown)?;
        // It may have come meanwhile.
        if let Some(before) = answered(&reader, community, id, key)? {
            return Ok(Decision::Answer(before));
        }
        match &log_state.pending.header {
            Some(pending) if pending.id == id => return Ok(Decision::Answer(Submitted::Duplicate(id))),
            Some(_) => {
                return Err(Problem::new(
                    problem::HEADER_PENDING,
                    "another header operation waits for the next settlement",
                ));
            }
            None => {}
        }
        let label = Label { kind: kind::HEADER, community, part: COMMUNITY_PART, first_interval: Interval::ZERO };
        let event = Event::Header(HeaderAccepted { community, id, key });
        Ok(Decision::write(Draft { event, parts: vec![(label, sealed)] }, Submitted::Accepted(id)))
    };
    let taken = service.writer.submit(decide).await?;
    // It may be the transfer into the supplier account that a closed period needs.
    service.blocked.lock().unwrap_or_else(PoisonError::into_inner).remove(&community);
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_taken_from_its_first_version_on() {
        for (version, taken) in [(1, false), (2, true), (3, true)] {
            assert_eq!(in_version(Kind::Deposit, CircuitVersion::new(version)), taken, "version {version}");
        }
    }
}
