//! The sequencer's admin listener, for its operator.

use gridveil_protocol::{opening::PeriodOpening, units::Interval};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{ApiError, Retry, Sequencer};

/// An admin listener and its token.
pub struct Admin {
    sequencer: Sequencer,
    token: Zeroizing<String>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admin({} bytes)", self.token.len())
    }
}

impl Admin {
    /// At `base`, such as `http://127.0.0.1:8081`.
    ///
    /// # Errors
    /// [`ApiError::Address`].
    pub fn new(base: &str, token: &str, retry: Retry) -> Result<Self, ApiError> {
        Ok(Self { sequencer: Sequencer::new(base, retry)?, token: Zeroizing::new(token.to_owned()) })
    }

    /// What `path` answers.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn get(&self, path: &str) -> Result<Value, ApiError> {
        let url = format!("{}{path}", self.sequencer.base);
        self.sequencer.ask(|| self.sequencer.client.get(&url).bearer_auth(self.token.as_str()), "JSON")
    }

    /// What `path` answers to `body`. Everything an operator hands in may be handed in again.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        let url = format!("{}{path}", self.sequencer.base);
        self.sequencer.ask(|| self.sequencer.client.post(&url).bearer_auth(self.token.as_str()).json(body), "JSON")
    }

    /// First interval of a community's open period; `None` if it is not served here.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn open_period(&self, community: u32) -> Result<Option<Interval>, ApiError> {
        let status = self.get("/admin/v1/status")?;
        let found = status["communities"].as_array().and_then(|all| all.iter().find(|c| c["community"] == community));
        Ok(found.and_then(|c| c["next_interval"].as_u64()).and_then(|interval| Interval::try_from(interval).ok()))
    }

    /// Both headers of a period that is final on L1.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::OtherPeriod`] if it opens another period than was asked for.
    pub fn period_opening(&self, community: u32, first_interval: Interval) -> Result<PeriodOpening, ApiError> {
        let url = format!("{}/admin/v1/communities/{community}/header/{first_interval}", self.sequencer.base);
        let request = || self.sequencer.client.get(&url).bearer_auth(self.token.as_str());
        let opening: PeriodOpening = self.sequencer.ask(request, "an opening")?;
        if (opening.community, opening.first_interval) == (community, first_interval) {
            Ok(opening)
        } else {
            Err(ApiError::OtherPeriod)
        }
    }
}
