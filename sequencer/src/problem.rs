//! Refusals: stable codes, whose fault, and no content (`docs/spec/api.md`, Errors).

use gridveil_protocol::settlement::SettlementError;
use serde_json::{Map, Value, json};

/// Everything a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable name.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Whose input or duty it is.
    pub fault: &'static str,
    /// Can sending the same bytes again later succeed?
    pub retry: bool,
    /// Title.
    pub title: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $status:literal, $fault:literal, $retry:literal, $title:literal;)*) => {
        $(#[doc = $title] pub const $name: Code = Code { code: $code, status: $status, fault: $fault, retry: $retry, title: $title };)*
        /// Every code.
        pub const CODES: &[Code] = &[$($name),*];
    };
}

codes! {
    BODY_TOO_LARGE = "body.too_large", 413, "client", false, "Body is too large";
    BODY_MALFORMED = "body.malformed", 400, "client", false, "Body is not what is expected";
    BODY_MEDIA_TYPE = "body.media_type", 415, "client", false, "Media type is not supported";
    PATH_MALFORMED = "path.malformed", 400, "client", false, "A number in the path is not one";
    ROUTE_UNKNOWN = "route.unknown", 404, "client", false, "No such path";
    METHOD_NOT_ALLOWED = "method.not_allowed", 405, "client", false, "Method is not allowed";
    ACCOUNT_UNKNOWN = "account.unknown", 404, "client", false, "No such account";
    TARIFF_UNKNOWN = "tariff.unknown", 404, "client", true, "No tariff is published";
    PACKET_CONTEXT = "packet.context", 422, "meter", false, "Packet is for another deployment, community or period";
    PACKET_LENGTH = "packet.length", 422, "meter", false, "Packet has another number of readings";
    PACKET_OPERATION = "packet.operation", 422, "meter", false, "Operations are not supported";
    PACKET_SIGNATURE = "packet.signature", 422, "meter", false, "Signature does not verify";
    PACKET_INACTIVE = "packet.inactive", 422, "meter", false, "Reading outside the active window";
    PACKET_CAP = "packet.cap", 422, "manager", false, "Substituted reading above the cap";
    PACKET_DUPLICATE = "packet.duplicate", 409, "meter", false, "Another packet is already accepted";
    PACKET_EARLY = "packet.early", 409, "meter", true, "An earlier period is still open";
    PACKET_CLOSED = "packet.closed", 410, "meter", false, "The period is closed";
    REQUEST_TIMESTAMP = "request.timestamp", 401, "client", false, "Request is too old or from the future";
    REQUEST_SIGNATURE = "request.signature", 401, "client", false, "Request is not signed by the owner";
    RECEIPT_NOT_SETTLED = "receipt.not_settled", 404, "client", true, "The period is not final on L1";
    REQUEST_TIMEOUT = "request.timeout", 503, "server", true, "Not done in time";
    QUEUE_FULL = "queue.full", 503, "server", true, "Too many requests in work";
    STORE_FAILED = "store.failed", 503, "server", true, "The log could not be written";
    INTERNAL = "internal", 500, "server", true, "Internal error";
    ADMIN_TOKEN = "admin.token", 401, "operator", false, "Bearer token is missing or wrong";
    CLOSE_PERIOD = "close.period", 409, "operator", false, "Not the open period";
    CLOSE_NOT_OVER = "close.not_over", 409, "operator", true, "The period is not over";
    CLOSE_MISSING = "close.missing", 409, "operator", true, "Used slots without a packet";
    CLOSE_NO_TARIFF = "tariff.unknown", 409, "operator", true, "No tariff is published";
    TARIFF_NOT_IN_FORCE = "tariff.not_in_force", 409, "operator", true, "L1 has another tariff in force";
    TARIFF_PUBLISHED = "tariff.published", 409, "operator", false, "Another tariff is already published";
    TARIFF_CLOSED = "tariff.closed", 409, "operator", false, "The period is already closed";
    TARIFF_LENGTH = "tariff.length", 422, "operator", false, "Tariff has another number of intervals";
    L1_UNREACHABLE = "l1.unreachable", 503, "operator", true, "L1 could not be asked";
    SETTLEMENT_FLOAT = "settlement.float_too_small", 422, "operator", true, "The float is too small";
    SETTLEMENT_ACCRUAL = "settlement.accrual", 422, "operator", false, "The accrual leaves its range";
    SETTLEMENT_BALANCE = "settlement.balance_overflow", 422, "operator", false, "A balance leaves its range";
    SETTLEMENT_ENERGY = "settlement.too_much_energy", 422, "meter", false, "Orders of an interval are too large";
    SETTLEMENT_REGISTER = "settlement.register_overflow", 422, "meter", false, "A register leaves its range";
    SETTLEMENT_REFUSED = "settlement.refused", 422, "operator", false, "The rules refuse the settlement";
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}: {detail}", code.code)]
pub struct Problem {
    /// Code.
    pub code: Code,
    /// For people: which item and why. Never content.
    pub detail: String,
    /// Further members.
    pub more: Map<String, Value>,
    /// `Retry-After`, seconds.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A refusal.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), more: Map::new(), retry_after_s: None }
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
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
    pub fn json(&self) -> Value {
        let code = &self.code;
        let mut value = json!({
            "type": format!("urn:gridveil:problem:{}", code.code),
            "title": code.title,
            "status": code.status,
            "detail": self.detail,
            "code": code.code,
            "fault": code.fault,
            "retry": code.retry,
        });
        if let Value::Object(members) = &mut value {
            members.extend(self.more.clone());
        }
        value
    }

    /// A packet that [`gridveil_protocol::settlement::check_packet`] refuses.
    #[must_use]
    pub fn of_packet(error: &SettlementError) -> Self {
        let code = match error {
            SettlementError::Signature { .. } => PACKET_SIGNATURE,
            SettlementError::Length { .. } => PACKET_LENGTH,
            SettlementError::Operation { .. } => PACKET_OPERATION,
            SettlementError::Inactive { .. } => PACKET_INACTIVE,
            SettlementError::AboveCap { .. } => PACKET_CAP,
            SettlementError::SubstitutedEmpty { .. }
            | SettlementError::ActiveEmpty { .. }
            | SettlementError::Terms { .. }
            | SettlementError::PacketCount { .. } => ACCOUNT_UNKNOWN,
            SettlementError::Slot { .. }
            | SettlementError::Context { .. }
            | SettlementError::PeriodOverflow
            | SettlementError::DebtTotal
            | SettlementError::TariffLength { .. }
            | SettlementError::TooMuchEnergy { .. }
            | SettlementError::BalanceOverflow { .. }
            | SettlementError::FloatTooSmall { .. }
            | SettlementError::Accrual
            | SettlementError::RegisterOverflow { .. }
            | SettlementError::TotalOverflow
            | SettlementError::Certificates
            | SettlementError::StatePath => PACKET_CONTEXT,
        };
        Self::new(code, error.to_string())
    }

    /// A settlement that the rules refuse.
    #[must_use]
    pub fn of_settlement(error: &SettlementError) -> Self {
        let code = match error {
            SettlementError::FloatTooSmall { .. } => SETTLEMENT_FLOAT,
            SettlementError::Accrual => SETTLEMENT_ACCRUAL,
            SettlementError::BalanceOverflow { .. } => SETTLEMENT_BALANCE,
            SettlementError::TooMuchEnergy { .. } => SETTLEMENT_ENERGY,
            SettlementError::RegisterOverflow { .. } => SETTLEMENT_REGISTER,
            SettlementError::PacketCount { .. }
            | SettlementError::Slot { .. }
            | SettlementError::Context { .. }
            | SettlementError::Length { .. }
            | SettlementError::Operation { .. }
            | SettlementError::SubstitutedEmpty { .. }
            | SettlementError::ActiveEmpty { .. }
            | SettlementError::Terms { .. }
            | SettlementError::DebtTotal
            | SettlementError::Signature { .. }
            | SettlementError::AboveCap { .. }
            | SettlementError::Inactive { .. }
            | SettlementError::PeriodOverflow
            | SettlementError::TariffLength { .. }
            | SettlementError::TotalOverflow
            | SettlementError::Certificates
            | SettlementError::StatePath => SETTLEMENT_REFUSED,
        };
        Self::new(code, error.to_string()).with("clause", json!(error.clause()))
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
        tracing::error!(%error, "store");
        Self::new(STORE_FAILED, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented_with_its_status() {
        let page = include_str!("../../docs/spec/api.md");
        for code in CODES {
            let row = format!("| `{}` | {} |", code.code, code.status);
            assert!(page.contains(&row), "docs/spec/api.md lacks {row}");
        }
    }
}
