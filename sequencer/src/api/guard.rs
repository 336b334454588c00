//! Who asks, whether they may, and the audit log's entry before the act: in front of every endpoint.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{MatchedPath, Request},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::{
    Counted,
    roles::{self, Access, Listener, Row},
    seen,
};
use crate::{
    audit_log::{Act, AuditLogError, Entry, Outcome},
    client::Peer,
    grants,
    problem::{self, Problem},
    service::Service,
    staff::{self, Principal, Role},
};

/// In which role somebody acts: for the few handlers that ask for more than a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActsAs(pub Role);

/// Refused tries of a subject that are written, a minute, and at once. More are counted, and written with the next one.
const WRITTEN: (u32, u32) = (10, 30);

/// Bounds what refused tries can make of the audit log.
pub struct Refusals {
    rate: DefaultKeyedRateLimiter<String>,
    unwritten: Mutex<u64>,
}

impl Default for Refusals {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(number(WRITTEN.0)).allow_burst(number(WRITTEN.1));
        Self { rate: RateLimiter::keyed(quota), unwritten: Mutex::default() }
    }
}

impl Refusals {
    /// May one more of this subject be written? Then with how many before it that were not.
    fn written(&self, subject: &String) -> Option<u64> {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        if self.rate.check_key(subject).is_ok() {
            return Some(std::mem::take(&mut *unwritten));
        }
        *unwritten = unwritten.saturating_add(1);
        None
    }
}

/// The public listener: what is not in the table is refused.
pub(crate) async fn listed(request: Request, next: Next) -> Response {
    match request.extensions().get::<MatchedPath>() {
        Some(path) if roles::row(Listener::Public, request.method(), path.as_str()).is_none() => {
            unlisted(Listener::Public, path.as_str()).into_response()
        }
        _ => next.run(request).await,
    }
}

fn unlisted(listener: Listener, path: &str) -> Problem {
    if roles::has_path(listener, path) {
        Problem::new(problem::METHOD_NOT_ALLOWED, "the path has other methods")
    } else {
        Problem::new(problem::STAFF_ROLE, "nobody may do this")
    }
}

/// The part of a path that a template names so.
fn part<'a>(template: &str, path: &'a str, name: &str) -> Option<&'a str> {
    let at =
        template.split('/').position(|part| part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) == Some(name))?;
    path.split('/').nth(at)
}

/// What is asked. A number in the path is one as it stands: what a handler would read of `%35` is not what is looked at here.
fn act(row: &Row, path: &str) -> Result<Act, Problem> {
    let malformed = |name: &str| Problem::new(problem::PATH_MALFORMED, format!("{name} is not a number below 2^32"));
    let number = |name: &str| match part(row.path, path, name) {
        None => Ok(None),
        Some(part) => part.parse::<u32>().map(Some).map_err(|_| malformed(name)),
    };
    Ok(Act {
        endpoint: format!("{} {}", row.method, row.path),
        community: number("community")?,
        slot: number("slot")?.and_then(|slot| u16::try_from(slot).ok()),
        first_interval: number("first_interval")?,
        grant: None,
    })
}

/// In which role somebody may do it, and if that one needs a grant.
fn role_of(row: &Row, who: &Principal, community: Option<u32>) -> Result<(Role, bool), Problem> {
    let Access::Staff(roles, grantees) = row.access else {
        return Err(Problem::new(problem::STAFF_ROLE, "nobody may do this"));
    };
    let may = |role: &&Role| who.roles.contains(*role);
    let serves = |role: &&Role| community.is_none_or(|community| who.serves(**role, community));
    let all = || roles.iter().map(|role| (role, false)).chain(grantees.iter().map(|role| (role, true)));
    if let Some((role, grant)) = all().find(|(role, _)| may(role) && serves(role)) {
        return Ok((*role, grant));
    }
    Err(if all().any(|(role, _)| may(&role)) {
        Problem::new(problem::STAFF_COMMUNITY, "the token names no such community")
    } else {
        Problem::new(problem::STAFF_ROLE, "no role of the token may do this")
    })
}

/// What was decided of a request.
struct Allowed {
    role: Role,
    act: Act,
    fields: Option<grants::Fields>,
}

fn allowed(
    service: &Service,
    row: &Row,
    who: &Principal,
    headers: &HeaderMap,
    act: Act,
) -> Result<Allowed, Box<(Act, Problem)>> {
    let (role, needs_grant) = match role_of(row, who, act.community) {
        Ok(found) => found,
        Err(problem) => return Err(Box::new((act, problem))),
    };
    if !needs_grant {
        return Ok(Allowed { role, act, fields: None });
    }
    match grants::opened(service, who, headers, (act.community, act.first_interval)) {
        Ok(opened) => {
            let act = Act { grant: Some(opened.id), ..act };
            match grants::enough(row.path, &opened.fields) {
                Ok(()) => Ok(Allowed { role, act, fields: Some(opened.fields) }),
                Err(problem) => Err(Box::new((act, problem))),
            }
        }
        Err(problem) => Err(Box::new((act, problem))),
    }
}

/// The admin listener: who asks, whether they may, and an entry of the audit log before what is audited.
pub(crate) async fn guarded(service: Arc<Service>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let row = path.as_ref().and_then(|path| roles::row(Listener::Admin, request.method(), path.as_str()));
    if row.is_some_and(|row| matches!(row.access, Access::Anybody)) {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| *peer);
    let who = match staff::principal(&service, request.headers(), peer).await {
        Ok(who) => who,
        Err(problem) => return problem.into_response(),
    };
    // No such path: nothing can be done there.
    let Some(path) = path else { return next.run(request).await };
    let Some(row) = row else {
        return unlisted(Listener::Admin, path.as_str()).into_response();
    };
    let act = match act(row, request.uri().path()) {
        Ok(act) => act,
        Err(problem) => return problem.into_response(),
    };
    let subject = service.audit.pseudonym(&who);
    let now = service.config.clock.now();
    let Allowed { role, act, fields } = match allowed(&service, row, &who, request.headers(), act) {
        Ok(allowed) => allowed,
        Err(refused) => {
            let (act, problem) = *refused;
            if let Some(unwritten) = service.refusals.written(&subject) {
                let role = who.roles.first().copied();
                let entry = Entry::refused(now, role, subject, act, problem.code.name, unwritten);
                if let Err(error) = service.audit.add(entry).await {
                    return failed(&error).into_response();
                }
            }
            return problem.into_response();
        }
    };
    request.extensions_mut().insert(ActsAs(role));
    if let Some(fields) = fields {
        request.extensions_mut().insert(fields);
    }
    if !row.audited {
        return next.run(request).await;
    }
    let begun = match service.audit.add(Entry::begun(now, role, subject, act)).await {
        Ok(begun) => begun,
        Err(error) => return failed(&error).into_response(),
    };
    // A task of its own: who asked may go, and the outcome is written all the same.
    let carried_out = seen::spawn(async move {
        let response = next.run(request).await;
        let (outcome, code) = match response.extensions().get::<Counted>() {
            Some(Counted(refusal)) => (Outcome::Refused, Some(refusal.code.name)),
            None if response.status().is_success() => (Outcome::Done, None),
            None => (Outcome::Refused, None),
        };
        let entry = Entry::outcome(service.config.clock.now(), begun, outcome, code);
        if let Err(error) = service.audit.add(entry).await {
            // The act stands; what is asked next is refused, and the next start writes that its outcome was not written.
            tracing::error!(%error, "the outcome of an act is not in the audit log");
        }
        response
    });
    carried_out.await.unwrap_or_else(|_| Problem::internal("an act ended without an answer").into_response())
}

fn failed(error: &AuditLogError) -> Problem {
    tracing::error!(%error, "the audit log");
    if matches!(error, AuditLogError::Full) {
        return Problem::new(problem::AUDIT_FULL, "the audit log has no room; nothing was done");
    }
    Problem::new(problem::AUDIT_FAILED, "the audit log could not be written; nothing was done")
}
