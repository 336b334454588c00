//! HTTP (`docs/spec/api.md`): bounded bodies, bounded work, deadlines, and refusals as problem documents.

pub mod admin;
mod granted;
pub(crate) mod guard;
pub mod health;
pub(crate) mod limits;
pub mod public;
pub mod roles;
pub(crate) mod seen;

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;

use crate::problem::{self, Problem};

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let document = gridveil_api::Problem { instance: seen::instance(), ..self.document() };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Counted(self));
        response
    }
}

#[derive(Clone)]
struct Counted(Problem);

/// A path that is not one.
pub async fn unknown_route() -> Problem {
    Problem::new(problem::ROUTE_UNKNOWN, "no such path")
}

/// A method that is not one of the path's.
pub async fn wrong_method() -> Problem {
    Problem::new(problem::METHOD_NOT_ALLOWED, "the path has other methods")
}

/// The whole body, if it is not too large.
///
/// # Errors
/// `body.too_large`, `body.malformed` for one that breaks off.
pub async fn body(body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let too_large = || Problem::new(problem::BODY_TOO_LARGE, format!("more than {limit} bytes"));
    match axum::body::to_bytes(body, limit).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if std::error::Error::source(&error).is_some_and(|e| e.to_string().contains("limit")) => {
            Err(too_large())
        }
        Err(_) => Err(Problem::new(problem::BODY_MALFORMED, "the body broke off")),
    }
}

/// Media type of a request without its parameters.
#[must_use]
pub fn media_type(request: &Request) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// Parses JSON; the refusal says where, and never what.
///
/// # Errors
/// `body.malformed`.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => "not JSON",
            serde_json::error::Category::Eof => "JSON that ends early",
            serde_json::error::Category::Data => "a field is missing, of another type, or out of its range",
        };
        Problem::new(problem::BODY_MALFORMED, format!("{what}, at line {}, column {}", error.line(), error.column()))
            .with(|members| (members.line, members.column) = (Some(error.line()), Some(error.column())))
    })
}

/// The JSON body of a request.
///
/// # Errors
/// `body.*`.
pub async fn json_body<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, Problem> {
    if media_type(&request) != "application/json" {
        return Err(Problem::new(problem::BODY_MEDIA_TYPE, "send application/json"));
    }
    parse_json(&body(request.into_body(), limit).await?)
}

/// A number in a path.
///
/// # Errors
/// `path.malformed`.
pub fn number(text: &str, what: &str) -> Result<u32, Problem> {
    text.parse().map_err(|_| Problem::new(problem::PATH_MALFORMED, format!("{what} is not a number below 2^32")))
}
