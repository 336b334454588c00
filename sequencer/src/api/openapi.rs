//! The description of the API (OpenAPI 3.1), made of the types of `gridveil-api` and of what each handler says about itself. A
//! route is registered with its description, so none is served without one. `docs/reference/openapi.json` is the whole of
//! it; a test compares (`sequencer/tests/suite/described.rs`).

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use axum::{extract::State, http::header, response::IntoResponse};
use gridveil_api::{Code, Problem as Document};
use utoipa::{
    OpenApi as _,
    openapi::{
        Content, OpenApi, Ref, RefOr, Response, Responses,
        example::{Example, ExampleBuilder},
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{admin, bulk, cursor, events, page, public, watched};
use crate::{
    problem::{self, Problem},
    service::Service,
};

/// Refusals of a handler, as a type that its description names.
macro_rules! refusals {
    ($name:ident: $($code:ident)+) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>> {
                $crate::api::openapi::refused(&[$($crate::problem::$code),+])
            }
        }
    };
}
pub(crate) use refusals;

/// The media type of refusals.
const PROBLEM: &str = "application/problem+json";
/// The reference to the schema of a refusal.
const PROBLEM_SCHEMA: &str = "#/components/schemas/Problem";

/// Of every request of the public listener.
const OF_PUBLIC: &[Code] = &[
    problem::BODY_TOO_LARGE,
    problem::BODY_MALFORMED,
    problem::CLIENT_TOO_MANY,
    problem::REQUEST_TIMEOUT,
    problem::QUEUE_FULL,
    problem::STORE_FAILED,
    problem::INTERNAL,
];
/// Of every request of the admin listener.
const OF_ADMIN: &[Code] = &[
    problem::ADMIN_TOKEN,
    problem::STAFF_TOKEN,
    problem::STAFF_ISSUER,
    problem::STAFF_ROLE,
    problem::STAFF_COMMUNITY,
    problem::AUDIT_FULL,
    problem::AUDIT_FAILED,
    problem::BODY_TOO_LARGE,
    problem::BODY_MALFORMED,
    problem::REQUEST_TIMEOUT,
    problem::QUEUE_FULL,
    problem::STORE_FAILED,
    problem::INTERNAL,
];

/// Responses of refusals, by status.
pub(crate) fn refused(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut responses = Responses::default();
    add(&mut responses, codes);
    responses.responses
}

/// Adds refusals to what an operation answers. One with the status of a success is left to that.
fn add(responses: &mut Responses, codes: &[Code]) {
    for code in codes {
        let there = responses.responses.entry(code.status.to_string()).or_insert_with(|| {
            let mut response = Response::new(String::new());
            let content = Content::new(Some(Ref::new(PROBLEM_SCHEMA)));
            response.content.insert(PROBLEM.to_owned(), content.into());
            RefOr::T(response)
        });
        let RefOr::T(response) = there else { continue };
        let Some(RefOr::T(content)) = response.content.get_mut(PROBLEM) else { continue };
        let example = Ref::new(format!("#/components/examples/{}", code.name));
        if content.examples.insert(code.name.to_owned(), RefOr::Ref(example)).is_none() {
            let separator = if response.description.is_empty() { "" } else { "; " };
            response.description.push_str(&format!("{separator}`{}`: {}", code.name, code.title));
        }
    }
}

/// What of the whole is of all listeners.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Gridveil sequencer",
        description = "What meters, members and staff ask the sequencer of a Gridveil rollup. \
            Refusals are problem documents with a stable `code`. docs/spec/api.md says what each answer means.",
        version = "1",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "public", description = "Meters and members: the public listener"),
        (name = "admin", description = "The operator: the admin listener, on a loopback address, with a bearer token"),
        (name = "health", description = "Who watches the process: the listener for health, on a loopback address")
    ),
    components(schemas(Document))
)]
struct Whole;

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// Adds to each operation what every request of its listener may get.
fn with_common(mut described: OpenApi, codes: &[Code], token: bool) -> OpenApi {
    for operation in described.paths.paths.values_mut().flat_map(operations) {
        // What anybody may read does without.
        if token && operation.security.is_none() {
            operation.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
        }
        add(&mut operation.responses, if operation.security.as_ref().is_some_and(Vec::is_empty) { &[] } else { codes });
    }
    described
}

/// Routes of the public listener that take a small body or none.
pub(crate) fn public_routes() -> OpenApiRouter<Arc<Service>> {
    let own = OpenApiRouter::new().routes(routes!(public_document));
    public::routes().merge(cursor::routes()).merge(events::routes()).merge(own)
}

/// Routes of the admin listener, behind its token.
pub(crate) fn admin_routes() -> OpenApiRouter<Arc<Service>> {
    let own = OpenApiRouter::new().routes(routes!(whole_document));
    admin::routes().merge(cursor::own_routes()).merge(events::own_routes()).merge(own)
}

/// An example of each refusal, by its code.
fn refusal_examples() -> impl Iterator<Item = (String, RefOr<Example>)> {
    // Of two with one name the first is the usual one.
    gridveil_api::code::CODES.iter().rev().map(|code| {
        let document = Document::new(*code, code.title.to_lowercase(), gridveil_api::Members::default());
        let example = ExampleBuilder::new().summary(code.title).value(serde_json::to_value(document).ok()).build();
        (code.name.to_owned(), RefOr::T(example))
    })
}

/// What the public listener has.
#[must_use]
pub fn public() -> OpenApi {
    let mut whole = Whole::openapi();
    whole.components.get_or_insert_default().examples.extend(refusal_examples());
    let listener = public_routes().merge(bulk::routes()).merge(page::routes()).into_openapi();
    whole.merge(with_common(listener, OF_PUBLIC, false));
    whole
}

/// What all listeners have.
#[must_use]
pub fn whole() -> OpenApi {
    let mut whole = public();
    whole.merge(with_common(admin_routes().merge(page::own_routes()).into_openapi(), OF_ADMIN, true));
    whole.merge(watched::Watched::openapi());
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The admin token")).build();
    whole
        .components
        .get_or_insert_default()
        .security_schemes
        .insert("token".to_owned(), RefOr::T(SecurityScheme::Http(scheme)));
    whole
}

/// The texts, made once: whoever asks, and however often, has them made no more.
static PUBLIC: LazyLock<Option<String>> = LazyLock::new(|| public().to_json().ok());
static WHOLE: LazyLock<Option<String>> = LazyLock::new(|| whole().to_json().ok());

fn answer(described: &'static Option<String>) -> Result<impl IntoResponse + use<>, Problem> {
    let text = described.as_deref().ok_or_else(|| Problem::internal("the description cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "max-age=300")], text))
}

/// This description, as far as it is of the public listener
#[utoipa::path(get, path = "/v1/openapi.json", tag = "public", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn public_document(State(_service): State<Arc<Service>>) -> Result<impl IntoResponse, Problem> {
    answer(&PUBLIC)
}

/// This description, of all listeners
#[utoipa::path(get, path = "/admin/v1/openapi.json", tag = "admin", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn whole_document(State(_service): State<Arc<Service>>) -> Result<impl IntoResponse, Problem> {
    answer(&WHOLE)
}
