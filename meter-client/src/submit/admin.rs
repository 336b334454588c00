//! The sequencer's admin listener, for its operator.

use gridveil_protocol::{opening::PeriodOpening, units::Interval};
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

    /// Both headers of a period that is final on L1.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::OtherPeriod`] if it opens another period than was asked for.
    pub fn period_opening(&self, community: u32, first_interval: Interval) -> Result<PeriodOpening, ApiError> {
        let url = format!("{}/admin/v1/communities/{community}/header/{first_interval}", self.sequencer.base);
        let request = || self.sequencer.client.get(&url).bearer_auth(self.token.as_str());
        let opening: PeriodOpening = self.sequencer.ask(request, "an opening")?;
        if (opening.community, opening.first_interval) == (community, first_interval) { Ok(opening) } else { Err(ApiError::OtherPeriod) }
    }
}
