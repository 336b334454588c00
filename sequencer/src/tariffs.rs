//! Tariffs, published off-chain before L1 has them in force.

use gridveil_protocol::{
    field::{Fr, to_bytes},
    tariff::Tariff,
    units::Interval,
};

use crate::{
    batch::state_of,
    l1,
    problem::{self, Problem},
    service::Service,
    store::{
        Draft,
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
    let on_l1 = l1::tariffs_of(service, community).await.ok();
    let registered =
        on_l1.and_then(|all| all.into_iter().find(|t| t.first_interval == first_interval.0)).map(|t| t.commitment);
    if registered.is_some_and(|c| c != to_bytes(&commitment)) {
        return Err(Problem::new(problem::TARIFF_NOT_IN_FORCE, "L1 has another commitment for this interval"));
    }
    let decide = move |snapshot: &Snapshot| {
        let log_state = state_of(snapshot, community)?;
        match log_state.tariffs.get(&first_interval) {
            Some((_, there)) if *there == commitment => return Ok(Decision::Answer(false)),
            Some(_) => {
                return Err(Problem::new(problem::TARIFF_PUBLISHED, "another tariff is published for this interval"));
            }
            None => {}
        }
        // A tariff must not change what was in force for a period that is closed already.
        let last_closed =
            if log_state.closed.is_some() { Some(log_state.next_interval) } else { log_state.last_period };
        if last_closed.is_some_and(|last| first_interval <= last) {
            return Err(Problem::new(problem::TARIFF_CLOSED, "that period is already closed"));
        }
        Ok(Decision::write(
            Draft::public(Event::Tariff(TariffPublished { community, first_interval, tariff, commitment })),
            true,
        ))
    };
    let new = service.writer.submit(decide).await?;
    Ok(PublishedTariff { commitment, new, registered: registered.is_some() })
}
