//! Many packets or operations in one request, and an answer a row. A row is what a request of its own would be: the same checks,
//! the same refusal. Rows of other slots go on when one is refused, and their records share syncs of the log. Every row that
//! is said to be taken is on disk.
//!
//! Such a body is large, so it has bounds of its own: how many are here at once, of all and of one client, how many rows.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use governor::clock::Clock as _;
use gridveil_api::{
    Bytes32,
    public::Taken,
    rows::{Row, RowAnswer, Rows},
};
use gridveil_protocol::{
    codec::{self, PACKET_FIXED_BYTES},
    operation::SignedOperation,
    packet::SignedPacket,
};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body,
    limits::{self, Clients, Work},
    media_type,
    openapi::refusals,
    parse_json, public,
};
use crate::{
    client::{Client, PerClient},
    problem::{self, Problem},
    service::Service,
};

/// Rows of one body in work at once: as many as a group of the writer could hold of a few such bodies.
const AT_ONCE: usize = 128;
/// Where the number of intervals is in the canonical bytes of a packet.
const INTERVALS_AT: usize = 46;

/// One row each line.
const LINES: &str = "application/x-ndjson";

/// Whose request it is, for a handler that counts more than one.
#[derive(Clone)]
pub(crate) struct Of {
    pub client: Client,
    pub clients: Clients,
}

/// Routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new().routes(routes!(packets)).routes(routes!(many_operations))
}

/// The routes with their bounds.
pub(crate) fn router(service: &Arc<Service>) -> Router {
    let bounds = service.config.limits;
    let work = Work { permits: |service| &service.in_flight, deadline: bounds.request, body_bytes: bounds.bulk_bytes };
    let (for_work, all, of_client) =
        (Arc::clone(service), Arc::new(Semaphore::new(bounds.bulk)), PerClient::new(bounds.bulk_of_client));
    let (router, _) = routes().split_for_parts();
    router
        .method_not_allowed_fallback(super::wrong_method)
        .with_state(Arc::clone(service))
        .layer(middleware::from_fn(move |request, next| limits::bounded(Arc::clone(&for_work), work, request, next)))
        .layer(middleware::from_fn(move |request, next| {
            let (all, of_client) = (Arc::clone(&all), of_client.clone());
            async move { placed(&all, &of_client, request, next).await }
        }))
}

/// Takes a place for the body before any of it is read, and holds it until the answer.
async fn placed(all: &Semaphore, of_client: &PerClient, request: Request, next: Next) -> Response {
    let Some(of) = request.extensions().get::<Of>().cloned() else {
        return Problem::internal("a request of nobody").into_response();
    };
    let Some(_within) = of_client.enter(of.client) else {
        let detail = "this client sends many at once too often at the same time";
        return Problem::new(problem::CLIENT_TOO_MANY, detail).after(1).into_response();
    };
    let Ok(_place) = all.try_acquire() else {
        return Problem::new(problem::QUEUE_FULL, "too many large bodies").after(1).into_response();
    };
    next.run(request).await
}

/// What is read of each row: its number, and the thing or why it is none.
type Read<T> = Vec<(usize, Result<T, Problem>)>;

fn too_many(most: usize) -> Problem {
    Problem::new(problem::BODY_TOO_LARGE, format!("more than {most} rows"))
}

/// Each line that is not empty, with its number.
fn lines<T: DeserializeOwned>(bytes: &[u8], most: usize) -> Result<Read<T>, Problem> {
    let full = |line: &&[u8]| !line.trim_ascii().is_empty();
    let numbered = (1..).zip(bytes.split(|byte| *byte == b'\n')).filter(|(_, line)| full(line));
    let rows: Vec<(usize, &[u8])> = numbered.take(most + 1).collect();
    if rows.len() > most {
        return Err(too_many(most));
    }
    Ok(rows.into_iter().map(|(row, line)| (row, parse_json(line))).collect())
}

/// Canonical packets, one after the other. Where one ends is in itself: bytes that are none leave no row after them, so
/// the whole is refused before any is taken.
fn canonical(mut bytes: &[u8], most: usize) -> Result<Read<SignedPacket>, Problem> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        if packets.len() == most {
            return Err(too_many(most));
        }
        let intervals = bytes.get(INTERVALS_AT..).and_then(|rest| rest.first_chunk::<2>()).copied();
        let length = intervals.map(|m| PACKET_FIXED_BYTES + 4 * usize::from(u16::from_be_bytes(m)));
        let split = length.filter(|_| bytes.starts_with(&codec::PACKET_MAGIC)).and_then(|n| bytes.split_at_checked(n));
        let Some((packet, rest)) = split else {
            let detail = format!("no packet begins where packet {} should, so nothing was taken", packets.len() + 1);
            return Err(Problem::new(problem::BODY_MALFORMED, detail));
        };
        packets.push(codec::decode_packet(packet).map_err(|e| Problem::new(problem::BODY_MALFORMED, e.to_string())));
        bytes = rest;
    }
    Ok((1..).zip(packets).collect())
}

/// Each row counts as a request of its client.
fn charge(of: Option<&Of>, rows: usize) -> Result<(), Problem> {
    let Some(of) = of else { return Err(Problem::internal("a request of nobody")) };
    // The request itself was counted.
    let more = rows.checked_sub(1).and_then(|more| u32::try_from(more).ok()).and_then(NonZeroU32::new);
    let Some(more) = more else { return Ok(()) };
    let refused = |wait: u32| {
        let detail = "too many requests of this client in a short time; each row is one";
        Problem::new(problem::CLIENT_TOO_MANY, detail).after(wait)
    };
    let rate = &of.clients.rate;
    match rate.check_key_n(&of.client, more) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(early)) => {
            let wait = early.wait_time_from(rate.clock().now()).as_secs().saturating_add(1);
            Err(refused(u32::try_from(wait).unwrap_or(u32::MAX)))
        }
        // Never at once: as large a body is sent in parts.
        Err(_) => Err(Problem::new(problem::BODY_TOO_LARGE, "more rows than a client may send at once")),
    }
}

/// What became of a thing that was handed in.
type Answered = Result<(Taken, [u8; 32]), Problem>;

/// Rows of one slot in their order, those of others beside them.
async fn each<T: Send + 'static, F: Future<Output = Answered> + Send>(
    service: Arc<Service>,
    rows: Read<T>,
    slot: fn(&T) -> (u32, u16),
    take: fn(Arc<Service>, T) -> F,
) -> Rows {
    let mut answers: Vec<(usize, Answered)> = Vec::with_capacity(rows.len());
    let mut chains: BTreeMap<(u32, u16), Vec<(usize, T)>> = BTreeMap::new();
    for (row, read) in rows {
        match read {
            Ok(thing) => chains.entry(slot(&thing)).or_default().push((row, thing)),
            Err(problem) => answers.push((row, Err(problem))),
        }
    }
    let counts = Arc::clone(&service);
    let chain = move |chain: Vec<(usize, T)>| {
        let service = Arc::clone(&service);
        async move {
            let mut answers = Vec::with_capacity(chain.len());
            for (row, thing) in chain {
                answers.push((row, take(Arc::clone(&service), thing).await));
            }
            answers
        }
    };
    let mut all = stream::iter(chains.into_values().map(chain)).buffer_unordered(AT_ONCE);
    while let Some(some) = all.next().await {
        answers.extend(some);
    }
    answers.sort_by_key(|(row, _)| *row);
    let refused = answers.iter().filter(|(_, answer)| answer.is_err()).count();
    let taken = answers.len() - refused;
    let shown = |(row, answer): (usize, Answered)| {
        let answer = match answer {
            Ok((status, id)) => RowAnswer::Taken { id: Bytes32(id), status },
            Err(problem) => {
                counts.metrics.refused(&problem);
                RowAnswer::Refused { problem: problem.document() }
            }
        };
        Row { row, answer }
    };
    Rows { taken, refused, rows: answers.into_iter().map(shown).collect() }
}

refusals!(OfBulk: BODY_MALFORMED BODY_MEDIA_TYPE BODY_TOO_LARGE LOG_OLD LOG_UNPROVEN);

/// Takes packets of many meters
///
/// One packet a line, or canonical packets one after the other. Sent twice, each row that was taken says `duplicate`.
#[utoipa::path(post, path = "/v1/packets/bulk", tag = "public",
    request_body(description = "A line each: `SignedPacket`", content(
        (String = "application/x-ndjson", example = json!(super::examples::line(&super::examples::packet()))),
        (String = "application/octet-stream"))),
    responses((status = 200, description = "An answer a row", body = Rows, example = json!(super::examples::rows())), OfBulk))]
async fn packets(State(service): State<Arc<Service>>, request: Request) -> Result<Json<Rows>, Problem> {
    let limits = service.config.limits;
    let of = request.extensions().get::<Of>().cloned();
    let kind = media_type(&request);
    if ![LINES, "application/octet-stream"].contains(&kind.as_str()) {
        return Err(Problem::new(problem::BODY_MEDIA_TYPE, "send application/x-ndjson or application/octet-stream"));
    }
    let bytes = body(request.into_body(), limits.bulk_bytes).await?;
    let parse = move || match kind.as_str() {
        LINES => lines(&bytes, limits.bulk_rows),
        _ => canonical(&bytes, limits.bulk_rows),
    };
    let rows = tokio::task::spawn_blocking(parse).await.map_err(|_| Problem::internal("a body was not read"))??;
    charge(of.as_ref(), rows.len())?;
    let slot = |signed: &SignedPacket| (signed.packet.context.community, signed.packet.slot);
    Ok(Json(each(service, rows, slot, public::take_packet).await))
}

/// Takes operations of many accounts
///
/// One operation a line: enrolments and whatever else is signed, by owners and by the meter data manager. Those of one slot
/// are taken in their order. Sent twice, each row that was taken says `duplicate`.
#[utoipa::path(post, path = "/v1/operations/bulk", tag = "public",
    request_body(description = "A line each: `SignedOperation`", content(
        (String = "application/x-ndjson", example = json!(super::examples::line(&super::examples::operation()))))),
    responses((status = 200, description = "An answer a row", body = Rows, example = json!(super::examples::rows())), OfBulk))]
async fn many_operations(State(service): State<Arc<Service>>, request: Request) -> Result<Json<Rows>, Problem> {
    let limits = service.config.limits;
    let of = request.extensions().get::<Of>().cloned();
    if media_type(&request) != LINES {
        return Err(Problem::new(problem::BODY_MEDIA_TYPE, "send application/x-ndjson"));
    }
    let bytes = body(request.into_body(), limits.bulk_bytes).await?;
    let parse = move || lines(&bytes, limits.bulk_rows);
    let rows = tokio::task::spawn_blocking(parse).await.map_err(|_| Problem::internal("a body was not read"))??;
    charge(of.as_ref(), rows.len())?;
    let slot = |signed: &SignedOperation| (signed.operation.community, signed.operation.slot);
    Ok(Json(each(service, rows, slot, public::take_operation).await))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lines_that_hold_something() {
        let read = lines::<u8>(b"1\n\n 2 \nx\n300\n", 10).unwrap();
        let shown: Vec<_> = read.into_iter().map(|(row, read)| (row, read.ok())).collect();
        assert_eq!(shown, [(1, Some(1)), (3, Some(2)), (4, None), (5, None)]);
        assert_eq!(lines::<u8>(b"1\n2\n3", 2).unwrap_err().code, problem::BODY_TOO_LARGE);
    }

    #[test]
    fn bytes_that_are_no_packets_are_refused_whole() {
        for bytes in
            [&b"GVP1"[..], &[0; 400], b"GVP1 and then so much more that there would be room for where the number is"]
        {
            assert_eq!(canonical(bytes, 5).unwrap_err().code, problem::BODY_MALFORMED);
        }
        assert!(canonical(&[], 5).unwrap().is_empty());
    }
}
