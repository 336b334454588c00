//! From packets to batches that are final on L1. `closing` closes a period, `applying` settles it by the rules,
//! `candidates` and `selection` find which operations it carries, `proving` has it proven and `settling`
//! sends it to L1. Decides nothing that `protocol` decides.
//!
//! Every step is in the log before the next begins; a restart goes on at the step the log names. Batches of all
//! communities form one chain of state roots: proofs may be made side by side, settling is strictly in order. A revert
//! therefore stops the whole pipeline, loudly, until an operator has looked.

mod applying;
mod candidates;
mod closing;
mod open_period;
mod proving;
pub mod selection;
mod settling;

pub use closing::{auto_close, close, resume};
pub use open_period::{Missing, OpenPeriod, open_period};
pub use proving::prove_all;
pub use settling::settle_all;

use std::sync::Arc;

use gridveil_protocol::{field::Fr, settlement::Transition, units::Interval, version::CircuitVersion};

use crate::{
    problem::{self, Problem},
    service::Service,
    store::log_state::{BatchEntry, CommunityState},
    writer::Snapshot,
};

/// A period settled natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedPeriod {
    /// Community.
    pub community: u32,
    /// Period.
    pub first_interval: Interval,
    /// Batch.
    pub batch: u64,
    /// State root after.
    pub new_root: Fr,
}

fn unknown_community() -> Problem {
    Problem::new(problem::ACCOUNT_UNKNOWN, "no such community")
}

pub(crate) fn state_of(snapshot: &Snapshot, community: u32) -> Result<&CommunityState, Problem> {
    snapshot.log_state.communities.get(&community).map(Arc::as_ref).ok_or_else(unknown_community)
}

/// A batch that is applied and not settled, computed again, and the circuit version of its period.
async fn transition(
    service: &Arc<Service>,
    batch: u64,
    entry: &BatchEntry,
) -> Result<(CircuitVersion, Arc<Transition>), Problem> {
    let reader = Arc::clone(&service.reader);
    let (current, version, domain) = {
        let snapshot = service.writer.snapshot();
        let current = snapshot.communities.get(&entry.community).cloned();
        let current = current.ok_or_else(|| Problem::internal("a batch of no community"))?;
        let version = snapshot.version_of(entry.community, entry.first_interval)?;
        (current, version, service.domains(&snapshot).of_version(version))
    };
    let read = tokio::task::spawn_blocking(move || reader.transition(domain, batch, &current));
    Ok((version, read.await.map_err(|_| Problem::internal("a batch could not be read"))??))
}
