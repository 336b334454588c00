//! Refusals: a code of the table, what and why for people, and no content (`docs/spec/api.md`, Errors).

mod rules;

use gridveil_api::Members;
pub use gridveil_api::{Code, code::*};

pub use rules::{of_correction, of_header, of_operation};

/// A refusal.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}: {detail}", code.name)]
pub struct Problem {
    /// Code.
    pub code: Code,
    /// For people: which item and why. Never content.
    pub detail: String,
    /// Further fields of some codes.
    pub members: Box<Members>,
    /// `Retry-After`, seconds.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A refusal.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), members: Box::default(), retry_after_s: None }
    }

    /// Sets the further fields of the code.
    #[must_use]
    pub fn with(mut self, set: impl FnOnce(&mut Members)) -> Self {
        set(&mut self.members);
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub const fn after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// `application/problem+json`.
    #[must_use]
    pub fn document(&self) -> gridveil_api::Problem {
        gridveil_api::Problem::new(self.code, self.detail.clone(), Members::clone(&self.members))
    }

    /// A bug or a broken disk on the way to an answer.
    #[must_use]
    pub fn internal(what: &str) -> Self {
        tracing::error!(what, "internal error");
        Self::new(INTERNAL, what)
    }
}

impl From<crate::store::StoreError> for Problem {
    fn from(error: crate::store::StoreError) -> Self {
        if error.is_erased() {
            return Self::new(ACCOUNT_ERASED, "its keys were overwritten");
        }
        tracing::error!(%error, "store");
        Self::new(STORE_FAILED, error.to_string())
    }
}
