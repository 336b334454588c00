//! Tariffs, published off-chain before L1 has them in force. Once a tariff's first period has begun, only the one that L1
//! has in force is taken, also in the place of another that was taken before: a wrong one would stop the community.

use gridveil_protocol::{
    field::{Fr, to_bytes},
    tariff::Tariff,
    units::Interval,
};
use gridveil_verifier_contract::{L1Error, TariffEntry, Word};

use crate::{
    batch::state_of,
    l1,
    problem::{self, Problem},
    service::Service,
    store::{
        Draft,
        log_state::CommunityState,
        record::{Event, TariffPublished},
    },
    writer::{Decision, Snapshot},
};

/// State of a published tariff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedTariff {
    /// Its commitment.
    pub commitment: Fr,
    /// Is it new here?
    pub new: bool,
    /// Has L1 registered this commitment for this interval?
    pub registered: bool,
}

/// Publishes a tariff off-chain.
///
/// # Errors
/// [`Problem`].
pub async fn publish(
    service: &Service,
    community: u32,
    first_interval: Interval,
    tariff: Tariff,
) -> Result<PublishedTariff, Problem> {
    let commitment = tariff.commitment();
    let m = state_of(&service.writer.snapshot(), community)?.shape.intervals;
    if tariff.intervals.len() != m {
        let detail = format!("{} intervals given, the period has {m}", tariff.intervals.len());
        return Err(Problem::new(problem::TARIFF_LENGTH, detail));
    }
    let known = on_l1(service, community, first_interval).await?;
    if known.registered.is_some_and(|c| c != to_bytes(&commitment)) {
        return Err(Problem::new(problem::TARIFF_NOT_IN_FORCE, "L1 has another commitment for this interval"));
    }
    check_open(state_of(&service.writer.snapshot(), community)?, first_interval, &commitment)?;
    let is_in_force = known.in_force == Some(to_bytes(&commitment));
    if known.begun && !is_in_force {
        let detail =
            "the period has begun and L1 has no such tariff in force for it: publish it on L1 before it starts";
        return Err(Problem::new(problem::TARIFF_NOT_IN_FORCE, detail));
    }
    let decide = move |snapshot: &Snapshot| {
        let log_state = state_of(snapshot, community)?;
        match log_state.tariffs.get(&first_interval) {
            Some((_, there)) if *there == commitment => return Ok(Decision::Answer(false)),
            // The way back from one that L1 never got.
            Some(_) if is_in_force => {}
            Some(_) => {
                let detail = "another tariff is published for this interval, and L1 does not have this one in force";
                return Err(Problem::new(problem::TARIFF_PUBLISHED, detail));
            }
            None => {}
        }
        check_open(log_state, first_interval, &commitment)?;
        Ok(Decision::write(
            Draft::public(Event::Tariff(TariffPublished { community, first_interval, tariff, commitment })),
            true,
        ))
    };
    let new = service.writer.submit(decide).await?;
    Ok(PublishedTariff { commitment, new, registered: known.registered.is_some() })
}

/// A tariff must not change what was in force for a period that is closed already.
fn check_open(log_state: &CommunityState, first_interval: Interval, commitment: &Fr) -> Result<(), Problem> {
    let same = log_state.tariffs.get(&first_interval).is_some_and(|(_, there)| there == commitment);
    if !same && log_state.last_closed().is_some_and(|last| first_interval <= last) {
        return Err(Problem::new(problem::TARIFF_CLOSED, "that period is already closed"));
    }
    Ok(())
}

/// What L1 says of a tariff's first interval.
struct OnL1 {
    /// The commitment that is registered for exactly this interval.
    registered: Option<Word>,
    /// The commitment in force for a period that starts there.
    in_force: Option<Word>,
    /// The period has begun.
    begun: bool,
}

async fn on_l1(service: &Service, community: u32, first_interval: Interval) -> Result<OnL1, Problem> {
    let length = {
        let snapshot = service.writer.snapshot();
        snapshot.communities.get(&community).map_or(0, |community| community.header.interval_length)
    };
    let starts_at = first_interval.start(length);
    let asked = async {
        let tariffs = l1::tariffs_of(&*service.l1, community).await?;
        Ok::<_, L1Error>((tariffs, service.l1.timestamp().await?))
    };
    match asked.await {
        Ok((tariffs, now)) => {
            let commitment = |tariff: &TariffEntry| tariff.commitment;
            Ok(OnL1 {
                registered: tariffs.iter().find(|t| t.first_interval == first_interval.0).map(commitment),
                in_force: l1::at(&tariffs, first_interval).map(commitment),
                begun: starts_at <= now,
            })
        }
        // For later, it can be taken without L1: the closing compares it again.
        Err(_) if starts_at > service.config.clock.now() => Ok(OnL1 { registered: None, in_force: None, begun: false }),
        Err(error) => Err(l1::unreachable(&error)),
    }
}
