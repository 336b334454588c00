//! The sequencer's admin listener, for its operator.

use gridveil_api::{
    admin::{
        CloseRequest, ClosedPeriod, EraseRequest, ErasedAccount, HeaderOperationTaken, MissingPackets, PlannedUpgrade,
        PublishedTariff, ServedCommunity, Status, TariffRequest, UpgradeRequest,
    },
    beginning::Beginning,
    export::{ExportPage, ExportRequest},
    grant::{GRANT_HEADER, GrantedTotals, Revocation, Revoked, SignedGrant},
    public::Taken,
};
use gridveil_protocol::{header_operation::HeaderOperation, opening::PeriodOpening, units::Interval};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{ApiError, Retry, Sequencer};

/// Says of requests that they are one.
const KEY: &str = "idempotency-key";

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

    /// How far everything is.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn status(&self) -> Result<Status, ApiError> {
        self.get("/admin/v1/status", "a status")
    }

    /// First interval of a community's open period; `None` if it is not served here.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn open_period(&self, community: u32) -> Result<Option<Interval>, ApiError> {
        Ok(self.status()?.community(community).map(|status| status.next_interval))
    }

    /// Closes a community's open period. Asked again for the same period, the answer is the same.
    ///
    /// # Errors
    /// [`ApiError`]; refused with [`gridveil_api::code::CLOSE_MISSING`] while slots have no packet.
    pub fn close(&self, community: u32, first_interval: Interval) -> Result<ClosedPeriod, ApiError> {
        let request = CloseRequest { first_interval };
        self.post(&format!("/admin/v1/communities/{community}/close"), &request, "a closed period")
    }

    /// Erases an account that has ended. Asked again, it answers the same.
    ///
    /// # Errors
    /// [`ApiError`]; refused with [`gridveil_api::code::ACCOUNT_LIVES`] while it lives.
    pub fn erase(&self, community: u32, slot: u16, request: &EraseRequest) -> Result<ErasedAccount, ApiError> {
        self.post(&format!("/admin/v1/members/{community}/{slot}/erase"), request, "an erased account")
    }

    /// A page of what is held of an account.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::OtherAccount`] if it is of another one.
    pub fn export(&self, community: u32, slot: u16, request: &ExportRequest) -> Result<ExportPage, ApiError> {
        let page: ExportPage =
            self.post(&format!("/admin/v1/members/{community}/{slot}/export"), request, "a page of an export")?;
        let about = &page.about;
        let asked = request.account.is_none_or(|account| account == about.account);
        if asked && (about.community, about.slot) == (community, slot) { Ok(page) } else { Err(ApiError::OtherAccount) }
    }

    /// What the meter data manager has to substitute.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn missing(&self, community: u32) -> Result<MissingPackets, ApiError> {
        self.get(&format!("/admin/v1/communities/{community}/missing"), "a list of missing packets")
    }

    /// Publishes a tariff. Publishing the same again does no harm.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn publish_tariff(&self, community: u32, request: &TariffRequest) -> Result<PublishedTariff, ApiError> {
        self.post(&format!("/admin/v1/communities/{community}/tariffs"), request, "a published tariff")
    }

    /// Has the sequencer serve a community that L1 has registered. The same again is no other answer.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn serve(&self, beginning: &Beginning) -> Result<ServedCommunity, ApiError> {
        self.post("/admin/v1/communities", beginning, "a community served")
    }

    /// Sends a header operation for the next settlement. The same one again is a duplicate while it is pending. If an answer
    /// is lost and it is asked again, an idempotency key says that it is the same: a transfer that was settled meanwhile would
    /// else be a second one.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn operate_header(&self, community: u32, operation: &HeaderOperation) -> Result<Taken, ApiError> {
        let url = format!("{}/admin/v1/communities/{community}/header-operation", self.sequencer.base);
        let random: [u8; 16] = gridveil_keystore::random().map_err(|_| ApiError::Random)?;
        let key = format!("\"{}\"", hex::encode(random));
        let request = || self.sequencer.client.post(&url).bearer_auth(self.token.as_str()).header(KEY, &key);
        let taken: HeaderOperationTaken = self.sequencer.ask(|| request().json(operation), "a confirmation")?;
        Ok(taken.status)
    }

    /// Decides that another circuit version counts from some time on. The same again does no harm.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn upgrade(&self, request: &UpgradeRequest) -> Result<PlannedUpgrade, ApiError> {
        self.post("/admin/v1/upgrade", request, "a decided upgrade")
    }

    /// Both headers of a period that is final on L1.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::OtherPeriod`] if it opens another period than was asked for.
    pub fn period_opening(&self, community: u32, first_interval: Interval) -> Result<PeriodOpening, ApiError> {
        let path = format!("/admin/v1/communities/{community}/header/{first_interval}");
        let opening: PeriodOpening = self.get(&path, "an opening")?;
        if (opening.community, opening.first_interval) == (community, first_interval) {
            Ok(opening)
        } else {
            Err(ApiError::OtherPeriod)
        }
    }

    /// The totals of a period that a grant opens.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::OtherPeriod`] if it is another period's.
    pub fn granted_totals(&self, grant: &SignedGrant, first_interval: Interval) -> Result<GrantedTotals, ApiError> {
        let community = grant.grant.community;
        let path = format!("/admin/v1/communities/{community}/totals/{first_interval}");
        let totals: GrantedTotals = self.granted(&path, grant, "totals")?;
        if (totals.community, totals.first_interval) == (community, first_interval) {
            Ok(totals)
        } else {
            Err(ApiError::OtherPeriod)
        }
    }

    /// Both headers of a period, which a grant opens.
    ///
    /// # Errors
    /// As there.
    pub fn granted_opening(&self, grant: &SignedGrant, first_interval: Interval) -> Result<PeriodOpening, ApiError> {
        let community = grant.grant.community;
        let path = format!("/admin/v1/communities/{community}/header/{first_interval}");
        let opening: PeriodOpening = self.granted(&path, grant, "an opening")?;
        if (opening.community, opening.first_interval) == (community, first_interval) {
            Ok(opening)
        } else {
            Err(ApiError::OtherPeriod)
        }
    }

    /// Takes a grant back. The same again does no harm.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn revoke(&self, community: u32, revocation: &Revocation) -> Result<Revoked, ApiError> {
        self.post(&format!("/admin/v1/communities/{community}/grants/revoke"), revocation, "a revocation")
    }

    fn granted<T: DeserializeOwned>(&self, path: &str, grant: &SignedGrant, what: &'static str) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.sequencer.base);
        let carried = hex::encode(serde_json::to_vec(grant).unwrap_or_default());
        let request =
            || self.sequencer.client.get(&url).bearer_auth(self.token.as_str()).header(GRANT_HEADER, &carried);
        self.sequencer.ask(request, what)
    }

    fn get<T: DeserializeOwned>(&self, path: &str, what: &'static str) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.sequencer.base);
        self.sequencer.ask(|| self.sequencer.client.get(&url).bearer_auth(self.token.as_str()), what)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, what: &'static str) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.sequencer.base);
        self.sequencer.ask(|| self.sequencer.client.post(&url).bearer_auth(self.token.as_str()).json(body), what)
    }
}
