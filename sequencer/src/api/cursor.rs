//! Lists that grow, a piece at a time: `?after=..&limit=..`, and in the answer what `after` has to be next. `after` is what
//! the rows are ordered by, and rows come only at the end: a client that goes on from where it was misses none and gets none
//! twice, whatever is settled meanwhile.

use axum::extract::State;
use gridveil_api::{
    admin::BatchStatus,
    rows::{Batches, Periods, TariffFrom, Tariffs},
};
use gridveil_protocol::units::Interval;
use serde::Deserialize;
use utoipa::IntoParams;

use std::{ops::Bound, sync::Arc};

use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    admin::{batches_on_their_way, settled_batch},
    extract::{Path, Query},
    number,
    openapi::refusals,
    public::{settled_period, unknown_community},
};
use crate::{
    problem::{self, Problem},
    service::Service,
};

/// Rows of a piece, unless it is said.
const USUAL: usize = 100;
/// Rows of a piece at most.
const MOST: usize = 500;

/// Which piece.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Piece {
    /// Rows that come after this one: what the answer before said as `next`, or what the last row is ordered by. From the
    /// beginning without it.
    after: Option<u64>,
    /// Rows at most: 100, if nothing is said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

impl Piece {
    /// Was one asked for?
    pub(crate) const fn is_asked(self) -> bool {
        self.after.is_some() || self.limit.is_some()
    }

    /// Of rows in order, those of the piece, and what `after` has to be for those that follow.
    ///
    /// # Errors
    /// `query.malformed`.
    pub(crate) fn of<T>(
        self,
        rows: impl Iterator<Item = T>,
        place: impl Fn(&T) -> u64,
    ) -> Result<(Vec<T>, Option<u64>), Problem> {
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::new(problem::QUERY_MALFORMED, format!("limit is from 1 to {MOST}")));
        }
        let mut rows = rows.skip_while(|row| self.after.is_some_and(|after| place(row) <= after));
        let piece: Vec<T> = rows.by_ref().take(limit).collect();
        let next = rows.next().and(piece.last()).map(&place);
        Ok((piece, next))
    }

    /// The first of rows, ordered by place, that is not before the piece.
    fn first<T>(self, rows: &[T], place: impl Fn(&T) -> u64) -> usize {
        self.after.map_or(0, |after| rows.partition_point(|row| place(row) <= after))
    }
}

/// Of a place that was cut to fit.
fn narrow<T: TryFrom<u64>>(next: Option<u64>) -> Option<T> {
    next.and_then(|next| T::try_from(next).ok())
}

/// Routes of the public listener.
pub(crate) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new().routes(routes!(periods)).routes(routes!(tariffs))
}

/// Routes of the admin listener.
pub(crate) fn own_routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new().routes(routes!(batches))
}

refusals!(OfList: ACCOUNT_UNKNOWN PATH_MALFORMED QUERY_MALFORMED);

/// Settled periods of a community, all of them, oldest first
#[utoipa::path(get, path = "/v1/communities/{community}/periods", tag = "public", params(("community" = u32, Path, description = "Community index"), Piece),
    responses((status = 200, description = "A piece; `after` is a first interval", body = Periods, example = json!(super::examples::periods())), OfList))]
async fn periods(
    State(service): State<Arc<Service>>,
    Path(index): Path<String>,
    Query(piece): Query<Piece>,
) -> Result<Json<Periods>, Problem> {
    let index = number(&index, "community")?;
    let snapshot = service.writer.snapshot();
    let settled = &snapshot.log_state.communities.get(&index).ok_or_else(unknown_community)?.settled;
    let first = piece.first(settled, |period| period.first_interval.0.into());
    let (periods, next) = piece.of(settled.iter().skip(first), |period| period.first_interval.0.into())?;
    Ok(Json(Periods { periods: periods.into_iter().map(settled_period).collect(), next: narrow(next) }))
}

/// Tariffs that were published for a community, oldest first
#[utoipa::path(get, path = "/v1/communities/{community}/tariffs", tag = "public", params(("community" = u32, Path, description = "Community index"), Piece),
    responses((status = 200, description = "A piece; `after` is a first interval", body = Tariffs, example = json!(super::examples::tariffs())), OfList))]
async fn tariffs(
    State(service): State<Arc<Service>>,
    Path(index): Path<String>,
    Query(piece): Query<Piece>,
) -> Result<Json<Tariffs>, Problem> {
    let index = number(&index, "community")?;
    let snapshot = service.writer.snapshot();
    let published = &snapshot.log_state.communities.get(&index).ok_or_else(unknown_community)?.tariffs;
    // Beyond the last one there is none.
    let after = piece.after.map(|after| Interval(u32::try_from(after).unwrap_or(u32::MAX)));
    let rest = published.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
    let one = |(from, (_, commitment)): (&Interval, &(u64, _))| TariffFrom {
        first_interval: from.0,
        commitment: *commitment,
    };
    let (tariffs, next) = piece.of(rest.map(one), |tariff| tariff.first_interval.into())?;
    Ok(Json(Tariffs { tariffs, next: narrow(next) }))
}

/// Batches of a community, all of them, oldest first
#[utoipa::path(get, path = "/admin/v1/communities/{community}/batches", tag = "admin", params(("community" = u32, Path, description = "Community index"), Piece),
    responses((status = 200, description = "A piece; `after` is the number of a batch", body = Batches, example = json!(super::examples::batches())), OfList))]
async fn batches(
    State(service): State<Arc<Service>>,
    Path(index): Path<String>,
    Query(piece): Query<Piece>,
) -> Result<Json<Batches>, Problem> {
    let index = number(&index, "community")?;
    let snapshot = service.writer.snapshot();
    let settled = &snapshot.log_state.communities.get(&index).ok_or_else(unknown_community)?.settled;
    let first = piece.first(settled, |period| period.record.batch);
    let all = settled.iter().skip(first).map(settled_batch).chain(batches_on_their_way(&snapshot, index));
    let (batches, next) = piece.of(all, |batch: &BatchStatus| batch.batch)?;
    Ok(Json(Batches { batches, next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_one_another_without_a_gap() {
        let rows: Vec<u64> = (1..=7).map(|n| n * 10).collect();
        let mut seen = Vec::new();
        let mut piece = Piece { after: None, limit: Some(3) };
        loop {
            let (some, next) = piece.of(rows.iter().copied(), |row| *row).unwrap();
            assert!(some.len() <= 3);
            seen.extend(some);
            let Some(next) = next else { break };
            piece.after = Some(next);
        }
        assert_eq!(seen, rows);
        // Where nothing follows, the last row is where to go on.
        let more = Piece { after: Some(70), limit: None }.of([70, 80].into_iter(), |row| *row).unwrap();
        assert_eq!(more, (vec![80], None));
        for limit in [0, MOST + 1] {
            let refused = Piece { after: None, limit: Some(limit) }.of(rows.iter(), |row| **row);
            assert_eq!(refused.unwrap_err().code, problem::QUERY_MALFORMED);
        }
        assert_eq!(Piece { after: Some(30), limit: None }.first(&rows, |row| *row), 3);
    }
}
