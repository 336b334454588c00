//! What happens to periods and batches, told as it happens (server-sent events): of one community to everybody, of all to the
//! operator. Events are numbered as the log has them, so who was away names the last one it has seen and misses none.
//!
//! A stream holds a place in the numbers and no queue: what a client has not taken waits in the log. It ends with its connection's
//! time, when the sequencer stops, and when nothing is read of it (`listen`).

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bulk::Of,
    extract::{Path, Query},
    number,
    openapi::refusals,
    public::unknown_community,
};
use crate::{
    client::Within,
    listen::{Until, is_set},
    problem::{self, Problem},
    service::Service,
};

/// After which a client that was cut off asks again.
const AGAIN: Duration = Duration::from_secs(1);

/// Where to begin.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct After {
    /// Tell what came after the event of this number; 0 tells everything. The header goes before it.
    after: Option<u64>,
}

/// Routes of the public listener.
pub(crate) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new().routes(routes!(community_events))
}

/// Routes of the admin listener.
pub(crate) fn own_routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new().routes(routes!(all_events))
}

refusals!(OfEvents: ACCOUNT_UNKNOWN PATH_MALFORMED QUERY_MALFORMED EVENTS_UNKNOWN EVENTS_TOO_MANY);
refusals!(OfAllEvents: QUERY_MALFORMED EVENTS_UNKNOWN EVENTS_TOO_MANY);

/// What happens in a community
///
/// Server-sent events: `period.opened`, `period.closed`, `batch.applied`, `batch.proven`, `batch.settled`,
/// `batch.abandoned`, each with a `Progress` document. The first thing sent is the number of the last event there is.
#[utoipa::path(get, path = "/v1/communities/{community}/events", tag = "public",
    params(("community" = u32, Path, description = "Community index"), After, ("Last-Event-ID" = Option<u64>, Header, description = "Number of the last event that was seen")),
    responses((status = 200, description = "A stream without an end", content_type = "text/event-stream", body = String, example = json!(super::examples::events())), OfEvents))]
async fn community_events(
    State(service): State<Arc<Service>>,
    Path(index): Path<String>,
    Query(after): Query<After>,
    request: Request,
) -> Result<Response, Problem> {
    let index = number(&index, "community")?;
    if !service.writer.snapshot().log_state.communities.contains_key(&index) {
        return Err(unknown_community());
    }
    let Some(of) = request.extensions().get::<Of>() else { return Err(Problem::internal("a request of nobody")) };
    let within = service.streams.clients.enter(of.client).ok_or_else(|| too_many("of this client"))?;
    let place = Arc::clone(&service.streams.all).try_acquire_owned().map_err(|_| too_many("of all clients"))?;
    follow(service, Some(index), after, &request, Place { _place: place, _within: Some(within) })
}

/// What happens in all communities
#[utoipa::path(get, path = "/admin/v1/events", tag = "admin",
    params(After, ("Last-Event-ID" = Option<u64>, Header, description = "Number of the last event that was seen")),
    responses((status = 200, description = "A stream without an end", content_type = "text/event-stream", body = String, example = json!(super::examples::events())), OfAllEvents))]
async fn all_events(
    State(service): State<Arc<Service>>,
    Query(after): Query<After>,
    request: Request,
) -> Result<Response, Problem> {
    let place = Arc::clone(&service.streams.own).try_acquire_owned().map_err(|_| too_many("of the operator"))?;
    follow(service, None, after, &request, Place { _place: place, _within: None })
}

fn too_many(of: &str) -> Problem {
    Problem::new(problem::EVENTS_TOO_MANY, format!("too many streams {of}")).after(10)
}

/// What a stream holds.
struct Place {
    _place: OwnedSemaphorePermit,
    _within: Option<Within>,
}

/// The number after which to begin, as the client says.
fn begins_after(headers: &HeaderMap, after: After) -> Result<Option<u64>, Problem> {
    let Some(last) = headers.get("last-event-id") else { return Ok(after.after) };
    // A browser that has seen none sends an empty one.
    let last = last.to_str().unwrap_or("?").trim();
    if last.is_empty() {
        return Ok(after.after);
    }
    let refused = |_| Problem::new(problem::QUERY_MALFORMED, "Last-Event-ID is not the number of an event");
    last.parse().map(Some).map_err(refused)
}

/// A stream, between two events.
struct Following {
    service: Arc<Service>,
    community: Option<u32>,
    /// Number of the last event that was sent.
    at: u64,
    begun: bool,
    changes: watch::Receiver<u64>,
    killed: watch::Receiver<bool>,
    until: Until,
    _place: Place,
}

fn follow(
    service: Arc<Service>,
    community: Option<u32>,
    after: After,
    request: &Request,
    place: Place,
) -> Result<Response, Problem> {
    let Some(until) = request.extensions().get::<Until>().cloned() else {
        return Err(Problem::internal("a request of no connection"));
    };
    // Before the number is read: what comes between is told.
    let (changes, killed) = (service.writer.changes(), service.killed.subscribe());
    let there = service.writer.snapshot().log_state.steps(community);
    let at = begins_after(request.headers(), after)?.unwrap_or(there);
    if at > there {
        let detail = "the last event is an older one: this log is another than the one that was listened to";
        return Err(Problem::new(problem::EVENTS_UNKNOWN, detail));
    }
    let heartbeat = KeepAlive::new().interval(service.config.limits.heartbeat);
    let following = Following { service, community, at, begun: false, changes, killed, until, _place: place };
    let events = Sse::new(stream::unfold(following, next)).keep_alive(heartbeat);
    let mut response = events.into_response();
    // A proxy that collects an answer would tell nothing.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().insert(unbuffered.0, unbuffered.1);
    Ok(response)
}

/// The next event, once there is one.
async fn next(mut on: Following) -> Option<(Result<Event, Infallible>, Following)> {
    if !on.begun {
        on.begun = true;
        let first = Event::default().id(on.at.to_string()).retry(AGAIN);
        return Some((Ok(first), on));
    }
    loop {
        if *on.until.stopped.borrow() || *on.killed.borrow() || Instant::now() >= on.until.at {
            return None;
        }
        let there = on.service.writer.snapshot().log_state.steps(on.community);
        if on.at < there {
            // One that cannot be read ends the stream: its client asks again after the last that it has.
            let step = on.service.reader.step(on.community, on.at + 1).ok()?;
            on.at += 1;
            let event = Event::default().id(on.at.to_string()).event(step.step.as_str()).json_data(step).ok()?;
            return Some((Ok(event), on));
        }
        tokio::select! {
            changed = on.changes.changed() => changed.ok()?,
            () = is_set(&mut on.until.stopped) => return None,
            () = is_set(&mut on.killed) => return None,
            () = tokio::time::sleep_until(on.until.at) => return None,
        }
    }
}
