//! Openings of headers for auditors: of periods final on L1, read from the log (`docs/spec/audit.md`).

use std::sync::Arc;

use gridveil_protocol::{opening::PeriodOpening, units::Interval};

use crate::{
    problem::{self, Problem},
    service::Service,
};

/// The opening of a period's totals. Everything in it is in the log: it is the same after a restart.
///
/// # Errors
/// `account.unknown`, `header.unknown`, `header.not_settled`.
pub async fn period(
    service: &Arc<Service>,
    community: u32,
    first_interval: Interval,
) -> Result<PeriodOpening, Problem> {
    let (current, begins, batch) = {
        let snapshot = service.writer.snapshot();
        let known = snapshot.log_state.communities.get(&community).zip(snapshot.communities.get(&community).cloned());
        let (log_state, current) = known.ok_or_else(|| Problem::new(problem::ACCOUNT_UNKNOWN, "no such community"))?;
        let at = log_state.settled.binary_search_by_key(&first_interval, |s| s.first_interval);
        let settled = at.ok().and_then(|at| log_state.settled.get(at)).map(|s| s.record.batch);
        let passed = log_state.settled.last().is_some_and(|last| first_interval < last.first_interval);
        let missing = if passed {
            Problem::new(problem::HEADER_UNKNOWN, "no period starts there, and a later one is final")
        } else {
            Problem::new(problem::HEADER_NOT_SETTLED, "the period is not final on L1")
        };
        (current, log_state.added.begins, settled.ok_or(missing)?)
    };
    let genesis = &service.genesis;
    let reader = Arc::clone(&service.reader);
    let read = tokio::task::spawn_blocking(move || reader.period_opening(batch, begins, &current));
    let opened = read.await.map_err(|_| Problem::internal("an opening could not be read"))??;
    Ok(PeriodOpening {
        chain_id: genesis.chain_id,
        contract: genesis.contract,
        community,
        first_interval,
        before: opened.before,
        after: opened.after,
        genesis: opened.genesis,
    })
}
