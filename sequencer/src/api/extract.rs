//! Parts of the path and the query, read as axum reads them, but refused as everything else is: with a problem document that
//! repeats nothing.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use gridveil_api::Bytes32;
use serde::de::DeserializeOwned;

use crate::problem::{self, Problem};

/// Longest idempotency key, characters.
const KEY_LONGEST: usize = 64;
/// Shortest: a key that is used up by chance protects nobody.
const KEY_SHORTEST: usize = 8;

/// Parts of the path.
#[derive(Debug)]
pub(crate) struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        let read = read.map_err(|_| Problem::new(problem::PATH_MALFORMED, "a part of the path is not text"))?;
        Ok(Self(read.0))
    }
}

/// The query. What is not known is refused.
#[derive(Debug)]
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        let detail = "a parameter of the query is unknown, given twice, or no number in its range";
        Ok(Self(read.map_err(|_| Problem::new(problem::QUERY_MALFORMED, detail))?.0))
    }
}

/// The idempotency key of a request, as its hash: `Idempotency-Key: "..."` as the draft of the IETF has it, or without the
/// quotation marks.
///
/// # Errors
/// `idempotency.key`.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Bytes32>, Problem> {
    let detail = "Idempotency-Key is 8 to 64 letters, digits, '-', '_', '.' or ':', once; take a new random one, such as a UUID, for each thing to be done";
    let refused = || Problem::new(problem::IDEMPOTENCY_KEY, detail);
    let mut given = headers.get_all("idempotency-key").iter();
    let Some(value) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(refused());
    }
    let text = value.to_str().map_err(|_| refused())?.trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_one = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if !(KEY_SHORTEST..=KEY_LONGEST).contains(&key.len()) || !key.chars().all(is_one) {
        return Err(refused());
    }
    Ok(Some(Bytes32(blake3::derive_key("gridveil idempotency key v1", key.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read(values: &[&'static str]) -> Result<Option<Bytes32>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("idempotency-key", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        idempotency_key(&headers)
    }

    #[test]
    fn a_key_is_read_with_and_without_its_marks() {
        assert_eq!(read(&[]).unwrap(), None);
        let one = read(&["\"8e03978e-40d5-43e8-bc93\""]).unwrap();
        assert!(one.is_some() && read(&["8e03978e-40d5-43e8-bc93"]).unwrap() == one);
        for bad in ["", "\"\"", "short", "\"8e03978e-40d5", "8e03978e 40d5", "8e03978e,40d5", "ключ-ключ"] {
            assert_eq!(read(&[bad]).unwrap_err().code, problem::IDEMPOTENCY_KEY, "{bad}");
        }
        assert!(read(&["8e03978e-40d5", "8e03978e-40d5"]).is_err());
    }
}
