//! Each request has an id, which is in its answer, in every log line of it, and in the document of its refusal; and its time
//! is measured by route. What is written of a request is the route as the program has it, never the path that was asked for,
//! and nothing of who asked.

use std::sync::Arc;

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    middleware::{self, Next},
    response::Response,
};
use tokio::time::Instant;
use tracing::{Instrument as _, field};

use crate::{
    client::Peer,
    metrics::{Answered, Of, seconds},
    service::Service,
};

/// The header of an id.
static HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// What a refusal's `instance` begins with.
const URN: &str = "urn:gridveil:request:";
/// Least and most characters of an id that a proxy gives.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=64;
/// Route of a path that the program does not have.
const NO_ROUTE: &str = "none";

tokio::task_local! {
    static ID: String;
}

/// The router, with all of its requests seen.
pub(crate) fn through(service: &Arc<Service>, of: Of, router: Router) -> Router {
    let service = Arc::clone(service);
    router.layer(middleware::from_fn(move |request, next| seen(Arc::clone(&service), of, request, next)))
}

/// Which request is refused here, if one is in work.
pub(super) fn instance() -> Option<String> {
    ID.try_with(|id| format!("{URN}{id}")).ok()
}

/// A task of its own that is still of the request in work: with its id and below its span.
pub(super) fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    let work = work.in_current_span();
    match ID.try_with(String::clone) {
        Ok(id) => tokio::spawn(ID.scope(id, work)),
        Err(_) => tokio::spawn(work),
    }
}

async fn seen(service: Arc<Service>, of: Of, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = id_of(&service, &request);
    let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let method = name_of(request.method());
    let span =
        tracing::info_span!("request", request_id = id, listener = of.listener, method, route, status = field::Empty);
    let mut response = ID.scope(id.clone(), next.run(request)).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("status", status);
    let took = start.elapsed();
    span.in_scope(|| tracing::debug!(ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "answered"));
    let answered = Answered { listener: of.listener, method, route, status: class(status) };
    service.metrics.requests.get_or_create(&answered).observe(seconds(took));
    // Characters of a header, all of them.
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER.clone(), value);
    }
    response
}

/// That of a proxy which is trusted, if it is one; else a new one, 128 random bits.
fn id_of(service: &Service, request: &Request) -> String {
    let trusted = request.extensions().get::<Peer>().is_some_and(|Peer(peer)| service.config.proxies.is_one(*peer));
    let given = if trusted { given(request.headers()) } else { None };
    given.unwrap_or_else(|| hex::encode(gridveil_keystore::random::<16>().unwrap_or_default()))
}

/// One header, letters, digits, `-`, `_` and `.`: nothing else comes into a log.
fn given(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(&HEADER).into_iter();
    let (one, None) = (all.next()?.to_str().ok()?, all.next()) else { return None };
    let is_one = LENGTH.contains(&one.len()) && one.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    is_one.then(|| one.to_owned())
}

/// A client may invent methods; they are one here.
fn name_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

const fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_proxy_is_short_and_of_few_characters() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            given(&headers)
        };
        let ulid = "01JDX2M4T1W3W6QF4E5D9XK7YZ";
        assert_eq!(of(&[ulid]).as_deref(), Some(ulid));
        let uuid = "0193a4e2-7f4a-7cc3-98c8-0e1f2a3b4c5d";
        assert_eq!(of(&[uuid]).as_deref(), Some(uuid));
        let long = "a".repeat(65);
        for refused in
            [&["short"][..], &[&long], &["with a space"], &["line\"quote"], &["ein-ümlaut"], &[ulid, uuid], &[]]
        {
            assert_eq!(of(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn invented_methods_and_statuses_are_few_labels() {
        let method = |name: &str| name_of(&Method::from_bytes(name.as_bytes()).unwrap());
        assert_eq!([method("GET"), method("BREW"), method("get")], ["GET", "other", "other"]);
        assert_eq!([100, 204, 302, 429, 503, 999].map(class), ["1xx", "2xx", "3xx", "4xx", "5xx", "5xx"]);
    }
}
