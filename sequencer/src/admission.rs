//! Admission of packets: checks that never mutate, then one decision of the writer.

use std::{sync::Arc, time::Instant};

use gridveil_protocol::{
    codec::packet_id,
    correction::CorrectionError,
    field::Fr,
    packet::{Context, Packet, PacketError, SignedPacket, check_form, check_packet},
    schnorr::{PublicKey, SchnorrError},
    version::Domains,
};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use crate::{
    ends,
    metrics::seconds,
    problem::{self, Problem},
    service::Service,
    store::{
        Draft,
        data_keys::Label,
        pending_substitutes::PendingOf,
        record::{Event, LateAccepted, PacketAccepted, kind},
        selected::OperationState,
    },
    writer::{Decision, Snapshot},
};

/// How a packet was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Durable now.
    Accepted([u8; 32]),
    /// Was durable already.
    Duplicate([u8; 32]),
    /// Durable now. Its period was settled with a substitute, and a later settlement corrects that.
    Late([u8; 32]),
}

fn unknown() -> Problem {
    Problem::new(problem::ACCOUNT_UNKNOWN, "no such community, no such slot, or an empty slot (meter data manager)")
}

/// Seconds after which a meter may try again while an earlier period is open.
const EARLY_RETRY_S: u32 = 300;

/// Admits a packet.
///
/// # Errors
/// [`Problem`], with the code that says why not.
pub async fn admit(service: &Arc<Service>, signed: SignedPacket) -> Result<Admitted, Problem> {
    admit_one(service, signed).instrument(tracing::info_span!("admit")).await
}

async fn admit_one(service: &Arc<Service>, signed: SignedPacket) -> Result<Admitted, Problem> {
    let id = packet_id(&signed);
    let at = (
        signed.packet.context.community,
        signed.packet.context.first_interval,
        signed.packet.slot,
        signed.packet.substituted,
    );
    ends::admits(service, at.0)?;
    let (community, open, open_closed, domains) = {
        let snapshot = service.writer.snapshot();
        let log_state = snapshot.log_state.communities.get(&at.0).ok_or_else(unknown)?;
        (
            Arc::clone(snapshot.communities.get(&at.0).ok_or_else(unknown)?),
            log_state.next_interval,
            log_state.closed.is_some(),
            service.domains(&snapshot),
        )
    };
    let context = Context {
        // Of the packet's own period: of the open one where it is for that.
        domain: domains.of_period(at.1, community.header.interval_length),
        community: at.0,
        first_interval: open,
        interval_length: community.header.interval_length,
        intervals: community.header.intervals,
    };
    check_deployment(&domains, &context, &signed.packet.context)?;
    let slot = usize::from(at.2);
    let account = community.accounts.get(slot).ok_or_else(unknown)?;
    // Before anything that depends on the slot: a stranger learns of none whether it is in use.
    if at.1 > open {
        return Err(Problem::new(problem::PACKET_EARLY, "an earlier period of this community is still open")
            .after(EARLY_RETRY_S));
    }
    if at.1 < open || open_closed {
        return late(service, signed, id).await;
    }
    let (account, mdm) = (account.clone(), community.header.mdm);
    let m = usize::from(context.intervals);
    if account.meter.is_none() {
        check_form(slot, &signed.packet, m).map_err(|error| Problem::of_packet(&error))?;
        return Err(nobodys(signed, mdm).await);
    }
    let metrics = Arc::clone(&service.metrics);
    let checked = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        let checked = check_packet(&context, slot, &account, &mdm, &signed, m).map(|()| signed);
        metrics.verify.observe(seconds(start.elapsed()));
        checked
    });
    let checked = checked.await;
    let signed = checked.map_err(|_| Problem::internal("a check did not end"))?.map_err(|e| Problem::of_packet(&e))?;
    let again = signed.clone();
    let admitted = service.writer.submit(move |snapshot| decide(snapshot, &signed, id)).await?;
    match admitted {
        Some(admitted) => Ok(admitted),
        None => late(service, again, id).await,
    }
}

/// The answer to a packet of an empty slot: the one that a forged packet of a used slot gets, after the same work. Only the
/// meter data manager, who knows the slots, is told.
async fn nobodys(signed: SignedPacket, mdm: PublicKey) -> Problem {
    let (slot, substituted) = (usize::from(signed.packet.slot), signed.packet.substituted);
    match tokio::task::spawn_blocking(move || signed.verify(&mdm)).await {
        Err(_) => Problem::internal("a check did not end"),
        Ok(Ok(())) if substituted => unknown(),
        // A key of nobody: the equation of no other holds.
        Ok(Ok(())) => Problem::of_packet(&PacketError::Signature { slot, source: SchnorrError::Mismatch }),
        Ok(Err(source)) => Problem::of_packet(&PacketError::Signature { slot, source }),
    }
}

/// SETTLE.2 without the period, which has codes of its own.
fn check_deployment(domains: &Domains, expected: &Context, got: &Context) -> Result<(), Problem> {
    let wrong = |field| {
        Err(Problem::new(problem::PACKET_CONTEXT, format!("packet has another {field} than this community (meter)")))
    };
    let m = i64::from(expected.intervals).max(1);
    if got.domain != expected.domain && domains.is_of_deployment(got.domain) {
        let version = domains.versions().of_period(got.first_interval, expected.interval_length);
        let detail = format!("the packet's period is under circuit version {version}: sign it again for that (meter)");
        Err(Problem::new(problem::PACKET_VERSION, detail))
    } else if got.domain != expected.domain {
        wrong("domain")
    } else if got.interval_length != expected.interval_length {
        wrong("interval length")
    } else if got.intervals != expected.intervals {
        wrong("number of intervals")
    } else if got.first_interval.distance(expected.first_interval) % m != 0 {
        wrong("first interval")
    } else {
        Ok(())
    }
}

fn closed() -> Problem {
    Problem::new(problem::PACKET_CLOSED, "the period is closed")
}

/// Tries where the account changes while a late packet of it is checked.
const TRIES: usize = 4;

/// A packet of a period that is closed. It is a duplicate if this very packet was accepted before. It is a late packet
/// if its substitute is still pending, be it the slot's newest or an older one (ADJUST.1).
async fn late(service: &Arc<Service>, signed: SignedPacket, id: [u8; 32]) -> Result<Admitted, Problem> {
    for _ in 0..TRIES {
        if let Some(admitted) = attempt_late(service, &signed, id).await? {
            return Ok(admitted);
        }
    }
    Err(Problem::new(problem::QUEUE_FULL, "the account is changing").after(1))
}

/// The circuit opens the substitute's digest, and checks the late packet, under the version of the batch that books it.
fn other_version() -> Problem {
    let detail =
        "the period was settled under another circuit version than the next settlement's: its substitute is final";
    Problem::new(problem::CORRECTION_VERSION, detail)
}

/// One try; `None` if the account changed meanwhile.
async fn attempt_late(
    service: &Arc<Service>,
    signed: &SignedPacket,
    id: [u8; 32],
) -> Result<Option<Admitted>, Problem> {
    let packet = &signed.packet;
    let (index, first_interval, slot, substituted) =
        (packet.context.community, packet.context.first_interval, packet.slot, packet.substituted);
    if service.reader.packet_id(index, first_interval, slot, substituted)? == Some(id) {
        return Ok(Some(Admitted::Duplicate(id)));
    }
    if matches!(service.reader.operation_state(&id)?, Some(OperationState::Pending | OperationState::Applied(_))) {
        return Ok(Some(Admitted::Duplicate(id)));
    }
    verify(service, signed).await?;
    let (community, domains) = {
        let snapshot = service.writer.snapshot();
        if is_settled_with_substitute_now(&snapshot, packet) {
            let detail = "the period is being settled with a substitute; send again";
            return Err(Problem::new(problem::CORRECTION_EARLY, detail).after(EARLY_RETRY_S));
        }
        (snapshot.communities.get(&index).cloned().ok_or_else(unknown)?, service.domains(&snapshot))
    };
    let waits =
        community.accounts.get(usize::from(slot)).filter(|a| a.pending_substitute != Fr::from(0u64) && !substituted);
    let mut account = waits.cloned().ok_or_else(closed)?;
    let (header, pending_substitute) = (&community.header, account.pending_substitute);
    let (interval_length, intervals, mdm) = (header.interval_length, header.intervals, header.mdm);
    // Of the settlement that may book it.
    let context = Context {
        domain: domains.of_period(header.next_interval, interval_length),
        community: index,
        first_interval: header.next_interval,
        interval_length,
        intervals,
    };
    let (reader, checked) = (Arc::clone(&service.reader), signed.clone());
    let of_slot =
        PendingOf { community: index, slot, pending_substitute, before: header.next_interval, intervals, mdm };
    let check = tokio::task::spawn_blocking(move || {
        let correction = reader.correction(checked)?.ok_or_else(closed)?;
        if reader.pending_substitutes(&of_slot, first_interval)?.last() != Some(&first_interval) {
            return Err(closed());
        }
        if correction.substitute.packet.context.domain != context.domain {
            return Err(other_version());
        }
        // The leaf as it will be once the newer substitutes are corrected.
        account.pending_substitute = correction.substitute.digest(&correction.signer);
        match correction.check(&account, &context, &mdm) {
            // Balance and registers are those of the settlement that may book it.
            Ok(()) | Err(CorrectionError::Overflow | CorrectionError::Registers) => Ok(()),
            Err(CorrectionError::NotPending { .. }) => Err(closed()),
            Err(error @ (CorrectionError::Packet(_) | CorrectionError::Tariff)) => Err(Problem::of_correction(&error)),
        }
    });
    check.await.map_err(|_| Problem::internal("a check did not end"))??;
    let signed = signed.clone();
    service.writer.submit(move |snapshot| decide_late(snapshot, &signed, id, pending_substitute)).await
}

/// SETTLE.1, before any answer that depends on the slot's substitutes. Only who holds a meter's key may learn whether
/// the meter was silent.
async fn verify(service: &Service, signed: &SignedPacket) -> Result<(), Problem> {
    let packet = &signed.packet;
    let community = service.writer.snapshot().communities.get(&packet.context.community).cloned();
    let community = community.ok_or_else(unknown)?;
    let account = community.accounts.get(usize::from(packet.slot)).ok_or_else(unknown)?;
    let Some(meter) = account.meter else { return Err(nobodys(signed.clone(), community.header.mdm).await) };
    let key = if packet.substituted { community.header.mdm } else { meter };
    let (slot, signed) = (packet.slot, signed.clone());
    let verified = tokio::task::spawn_blocking(move || signed.verify(&key)).await;
    verified
        .map_err(|_| Problem::internal("a check did not end"))?
        .map_err(|source| Problem::of_packet(&PacketError::Signature { slot: usize::from(slot), source }))
}

/// Is the period closed and not applied, and is the slot's packet in it a substitute that this packet would correct?
fn is_settled_with_substitute_now(snapshot: &Snapshot, packet: &Packet) -> bool {
    let log_state = snapshot.log_state.communities.get(&packet.context.community);
    let closed = log_state.and_then(|state| state.closed.as_ref());
    let settling = closed.filter(|closed| closed.first_interval == packet.context.first_interval);
    !packet.substituted
        && settling.is_some_and(|closed| closed.used.iter().any(|used| used.slot == packet.slot && used.substituted))
}

/// The writer's decision; `None` if the slot's pending substitute changed meanwhile.
fn decide_late(
    snapshot: &Snapshot,
    signed: &SignedPacket,
    id: [u8; 32],
    pending_substitute: Fr,
) -> Result<Decision<Option<Admitted>>, Problem> {
    let (community, first_interval, slot) =
        (signed.packet.context.community, signed.packet.context.first_interval, signed.packet.slot);
    let log_state = snapshot.log_state.communities.get(&community).ok_or_else(unknown)?;
    let account = snapshot.communities.get(&community).and_then(|c| c.accounts.get(usize::from(slot)));
    if account.is_none_or(|a| a.pending_substitute != pending_substitute) {
        return Ok(Decision::Answer(None));
    }
    // Not the same version, but the same without another one between: a newer substitute of that one is never corrected.
    let (then, now) = (first_interval, log_state.next_interval);
    if snapshot.version_since(community, then)? != snapshot.version_since(community, now)? {
        return Err(other_version());
    }
    match log_state.pending.late_of(slot, first_interval) {
        Some(there) if there.id == id => return Ok(Decision::Answer(Some(Admitted::Duplicate(id)))),
        Some(_) => {
            return Err(Problem::new(
                problem::PACKET_DUPLICATE,
                format!("slot {slot}: another late packet of this period waits"),
            ));
        }
        None => {}
    }
    let event = Event::Late(LateAccepted { community, first_interval, slot, packet_id: id });
    let label = Label { kind: kind::LATE, community, part: slot, first_interval };
    let bytes = Zeroizing::new(gridveil_protocol::codec::encode_packet(signed));
    Ok(Decision::write(Draft { event, parts: vec![(label, bytes)] }, Some(Admitted::Late(id))))
}

/// The writer's decision; `None` if the period was closed in between.
fn decide(snapshot: &Snapshot, signed: &SignedPacket, id: [u8; 32]) -> Result<Decision<Option<Admitted>>, Problem> {
    let packet = &signed.packet;
    let (community, first_interval) = (packet.context.community, packet.context.first_interval);
    let log_state = snapshot.log_state.communities.get(&community).ok_or_else(unknown)?;
    if log_state.next_interval != first_interval || log_state.closed.is_some() {
        return Ok(Decision::Answer(None));
    }
    match log_state.packets.get(&(packet.slot, packet.substituted)) {
        Some(there) if there.id == id => Ok(Decision::Answer(Some(Admitted::Duplicate(id)))),
        Some(_) => Err(Problem::new(
            problem::PACKET_DUPLICATE,
            format!("slot {}: another packet of this period is already accepted", packet.slot),
        )),
        None => {
            let event = PacketAccepted {
                community,
                first_interval,
                slot: packet.slot,
                substituted: packet.substituted,
                packet_id: id,
            };
            let label = Label { kind: kind::PACKET, community, part: packet.slot, first_interval };
            let bytes = Zeroizing::new(gridveil_protocol::codec::encode_packet(signed));
            let draft = Draft { event: Event::Packet(event), parts: vec![(label, bytes)] };
            Ok(Decision::write(draft, Some(Admitted::Accepted(id))))
        }
    }
}
