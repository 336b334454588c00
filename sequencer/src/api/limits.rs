//! What a request is bounded by, on the way in: how many a client has, how long its body takes, and then, with the body
//! here, how many are in work.
//!
//! Invariant: nobody takes a permit of all while it is still sending.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use tokio::sync::Semaphore;

use super::{Counted, body};
use crate::{
    client::{Client, Peer, PerClient},
    config::Limits,
    listen::is_set,
    metrics::Limited,
    problem::{self, Problem},
    service::Service,
};

/// Requests in time, of each client.
pub(crate) type Rate = DefaultKeyedRateLimiter<Client>;

/// The rate of the limits.
///
/// # Errors
/// It is none: zero requests a second, or at once.
pub(crate) fn rate(limits: &Limits) -> Result<Rate, crate::Error> {
    let none = || crate::Error::Config("the requests of a client, a second and at once, must be at least 1");
    let per_second = NonZeroU32::new(limits.requests_of_client_per_s).ok_or_else(none)?;
    let burst = NonZeroU32::new(limits.burst_of_client).ok_or_else(none)?;
    Ok(RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)))
}

/// What all requests of the public listener are counted with.
#[derive(Clone)]
pub(crate) struct Clients {
    /// In time.
    pub rate: Arc<Rate>,
    /// At once.
    pub requests: PerClient,
}

/// Finds out whose request it is; refuses it if that client asks too often, or has too many in work, bodies on their way
/// included.
pub(crate) async fn of_client(service: Arc<Service>, clients: Clients, request: Request, next: Next) -> Response {
    let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() else {
        return Problem::internal("a request of nobody").into_response();
    };
    let client = service.config.proxies.client(peer, request.headers());
    if let Err(early) = clients.rate.check_key(&client) {
        let wait = early.wait_time_from(clients.rate.clock().now()).as_secs().saturating_add(1);
        service.metrics.limited.get_or_create(&Limited { limit: "rate" }).inc();
        let detail = "too many requests of this client in a short time";
        let wait = u32::try_from(wait).unwrap_or(u32::MAX);
        return Problem::new(problem::CLIENT_TOO_MANY, detail).after(wait).into_response();
    }
    let Some(_within) = clients.requests.enter(client) else {
        service.metrics.limited.get_or_create(&Limited { limit: "at_once" }).inc();
        let detail = "too many requests of this client at once";
        return Problem::new(problem::CLIENT_TOO_MANY, detail).after(1).into_response();
    };
    next.run(request).await
}

/// Bounds of the requests of one listener.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    /// Which permits they take.
    pub permits: fn(&Service) -> &Semaphore,
    /// Deadline of the work, from the whole body on.
    pub deadline: Duration,
    /// Largest body, bytes.
    pub body_bytes: usize,
}

/// Takes the body in, and then bounds work and time.
pub(crate) async fn bounded(service: Arc<Service>, work: Work, request: Request, next: Next) -> Response {
    let mut killed = service.killed.subscribe();
    let (head, incoming) = request.into_parts();
    let taken = tokio::select! {
        taken = tokio::time::timeout(service.config.limits.body, body(incoming, work.body_bytes)) => taken,
        () = is_set(&mut killed) => return stopping(),
    };
    let whole = match taken {
        Ok(Ok(whole)) => whole,
        Ok(Err(problem)) => return problem.into_response(),
        Err(_) => {
            return Problem::new(problem::REQUEST_TIMEOUT, "the body did not come in time").after(1).into_response();
        }
    };
    let Ok(_permit) = (work.permits)(&service).try_acquire() else {
        return Problem::new(problem::QUEUE_FULL, "too many requests in work").after(1).into_response();
    };
    tokio::select! {
        response = next.run(Request::from_parts(head, Body::from(whole))) => response,
        () = tokio::time::sleep(work.deadline) => {
            Problem::new(problem::REQUEST_TIMEOUT, "not done in time; it may still be carried out").after(1).into_response()
        }
        () = is_set(&mut killed) => stopping(),
    }
}

fn stopping() -> Response {
    Problem::new(problem::REQUEST_TIMEOUT, "the sequencer is stopping").into_response()
}

/// Counts refusals, whoever refused.
pub(crate) async fn counted(service: Arc<Service>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(Counted(refusal)) = response.extensions().get::<Counted>() {
        service.metrics.refused(refusal);
    }
    response
}
