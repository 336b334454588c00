//! Refusals: stable codes, whose fault, and no content (`docs/spec/api.md`, Errors).

use gridveil_protocol::{
    correction::CorrectionError, header_operation::HeaderError, operation::slot::OperationError, packet::PacketError,
    settlement::SettlementError,
};
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
    PACKET_SCALE = "packet.scale", 422, "meter", false, "Readings in another unit than the account's";
    PACKET_PREVIOUS_SUBSTITUTE = "packet.previous_substitute", 422, "meter", false, "Only a substitute names a previous one";
    PACKET_STALE = "packet.stale", 409, "mdm", false, "The slot waits for another earlier substitute";
    PACKET_SIGNATURE = "packet.signature", 422, "meter", false, "Signature does not verify";
    PACKET_INACTIVE = "packet.inactive", 422, "meter", false, "Reading outside the active window";
    PACKET_CAP = "packet.cap", 422, "mdm", false, "Substituted reading above the cap";
    PACKET_DUPLICATE = "packet.duplicate", 409, "meter", false, "Another packet is already accepted";
    PACKET_EARLY = "packet.early", 409, "meter", true, "An earlier period is still open";
    PACKET_CLOSED = "packet.closed", 410, "meter", false, "The period is closed";
    OPERATION_SLOT = "operation.slot", 422, "owner", false, "No such slot";
    OPERATION_KIND = "operation.kind", 422, "owner", false, "Only L1's queue asks for a forced withdrawal";
    OPERATION_FIELD = "operation.field", 422, "owner", false, "A field is set and not used, or missing";
    OPERATION_OWNER = "operation.owner", 422, "owner", false, "Not the account's owner";
    OPERATION_SIGNATURE = "operation.signature", 422, "owner", false, "The owner's signature does not verify";
    OPERATION_MDM = "operation.mdm", 422, "mdm", false, "The meter data manager has not signed";
    OPERATION_NONCE = "operation.nonce", 409, "owner", false, "Not the slot's next nonce";
    OPERATION_UNITS = "operation.units", 422, "owner", false, "Not a whole number of units";
    OPERATION_IN_DEBT = "operation.in_debt", 422, "owner", false, "The account is in debt";
    OPERATION_INSUFFICIENT = "operation.insufficient", 422, "owner", false, "More than the balance";
    OPERATION_OVERFLOW = "operation.overflow", 422, "owner", false, "The balance leaves its range";
    OPERATION_NOT_ALL = "operation.not_all", 422, "owner", false, "Closing pays exactly all whole units";
    OPERATION_FORCED = "operation.forced", 422, "operator", false, "A forced withdrawal pays everything or nothing";
    OPERATION_NOT_EMPTY = "operation.not_empty", 422, "mdm", false, "The slot is in use";
    OPERATION_TERMS = "operation.terms", 422, "mdm", false, "Scale or class do not exist";
    OPERATION_DEPOSIT = "operation.deposit", 422, "owner", true, "L1 has no such open deposit";
    OPERATION_CLAIM = "operation.claim", 422, "owner", true, "L1 has no such open claim";
    OPERATION_CLAIM_USED = "operation.claim_used", 422, "owner", false, "The claim was opened before";
    OPERATION_TOO_MANY = "operation.too_many", 429, "owner", true, "Too many operations of this slot wait";
    OPERATION_QUEUE_FULL = "operation.queue_full", 503, "server", true, "Too many operations wait";
    OPERATION_UNKNOWN = "operation.unknown", 404, "client", false, "No such operation";
    CORRECTION_EARLY = "correction.early", 409, "meter", true, "The period is being settled";
    CORRECTION_NOT_PENDING = "correction.not_pending", 410, "meter", false, "The substitute is final";
    CORRECTION_PACKET = "correction.packet", 422, "meter", false, "The late packet is not the meter's for that period";
    CORRECTION_TARIFF = "correction.tariff", 422, "operator", false, "The tariff has another number of intervals";
    CORRECTION_OVERFLOW = "correction.overflow", 422, "operator", false, "The balance leaves its range";
    CORRECTION_REGISTERS = "correction.registers", 422, "meter", false, "A register would fall below zero";
    HEADER_EMPTY = "header.empty", 422, "operator", false, "The header operation does nothing";
    HEADER_PENDING = "header.pending", 409, "operator", true, "Another header operation waits";
    HEADER_UNITS = "header.units", 422, "operator", false, "Too many units";
    HEADER_RESERVE = "header.reserve", 422, "operator", true, "The supplier account would fall below its reserve";
    HEADER_FEE_ACCOUNT = "header.fee_account", 422, "operator", true, "More than the fee account";
    HEADER_SIGNATURE = "header.signature", 422, "mdm", false, "The meter data manager has not signed";
    HEADER_SKIP = "header.skip", 422, "mdm", false, "Skips too much";
    HEADER_FUNDS = "header.funds", 422, "operator", true, "L1 has less of the operator's funds";
    HEADER_UNKNOWN = "header.unknown", 404, "operator", false, "No period starts there";
    HEADER_NOT_SETTLED = "header.not_settled", 404, "operator", true, "The period is not final on L1";
    NOTE_UNKNOWN = "note.unknown", 404, "client", true, "No such queued note";
    NOTE_NOT_SETTLED = "note.not_settled", 404, "client", true, "The note is in no final root";
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
    SETTLEMENT_SUPPLIER = "settlement.supplier_account_too_small", 422, "operator", true, "The supplier account is too small";
    SETTLEMENT_FEE_ACCOUNT = "settlement.fee_account", 422, "operator", false, "The fee account leaves its range";
    SETTLEMENT_BALANCE = "settlement.balance_overflow", 422, "operator", false, "A balance leaves its range";
    SETTLEMENT_ENERGY = "settlement.too_much_energy", 422, "meter", false, "Orders of an interval are too large";
    SETTLEMENT_REGISTER = "settlement.register_overflow", 422, "meter", false, "A register leaves its range";
    SETTLEMENT_TERMS = "settlement.genesis_terms", 409, "mdm", true, "L1 has other terms for this community";
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

    /// A packet that [`gridveil_protocol::packet::check_packet`] refuses.
    #[must_use]
    pub fn of_packet(error: &PacketError) -> Self {
        let code = match error {
            PacketError::Signature { .. } => PACKET_SIGNATURE,
            PacketError::Length { .. } => PACKET_LENGTH,
            PacketError::Scale { .. } => PACKET_SCALE,
            PacketError::PreviousInMetered { .. } => PACKET_PREVIOUS_SUBSTITUTE,
            PacketError::PreviousIsAnother { .. } => PACKET_STALE,
            PacketError::Inactive { .. } => PACKET_INACTIVE,
            PacketError::AboveCap { .. } => PACKET_CAP,
            PacketError::SubstitutedEmpty { .. } | PacketError::ActiveEmpty { .. } | PacketError::Terms { .. } => {
                ACCOUNT_UNKNOWN
            }
            PacketError::Slot { .. } | PacketError::Context { .. } => PACKET_CONTEXT,
        };
        Self::new(code, error.to_string())
    }

    /// A settlement that the rules refuse.
    #[must_use]
    pub fn of_settlement(error: &SettlementError) -> Self {
        let code = match error {
            SettlementError::SupplierTooSmall { .. } => SETTLEMENT_SUPPLIER,
            SettlementError::FeeAccount => SETTLEMENT_FEE_ACCOUNT,
            SettlementError::BalanceOverflow { .. } => SETTLEMENT_BALANCE,
            SettlementError::TooMuchEnergy { .. } => SETTLEMENT_ENERGY,
            SettlementError::RegisterOverflow { .. } => SETTLEMENT_REGISTER,
            SettlementError::PacketCount { .. }
            | SettlementError::Packet(_)
            | SettlementError::DebtTotal
            | SettlementError::PeriodOverflow
            | SettlementError::TariffLength { .. }
            | SettlementError::TotalOverflow
            | SettlementError::Certificates
            | SettlementError::Operations(_)
            | SettlementError::StatePath => SETTLEMENT_REFUSED,
        };
        Self::new(code, error.to_string()).with("clause", json!(error.clause()))
    }

    /// An operation that an operation slot refuses. The text names clause, what and whose fault; nothing of the account.
    #[must_use]
    pub fn of_operation(error: &OperationError) -> Self {
        let detail = if let OperationError::Nonce { .. } = error {
            "OP.1: not the slot's next nonce (owner)".to_owned()
        } else {
            error.to_string()
        };
        Self::new(of_operation(error), detail).with("clause", json!(error.clause()))
    }

    /// A correction that the rules refuse.
    #[must_use]
    pub fn of_correction(error: &CorrectionError) -> Self {
        if let CorrectionError::Packet(error) = error {
            return Self::of_packet(error);
        }
        Self::new(of_correction(error), error.to_string()).with("clause", json!(error.clause()))
    }

    /// A header operation that the rules refuse.
    #[must_use]
    pub fn of_header(error: &HeaderError) -> Self {
        Self::new(of_header(error), error.to_string()).with("clause", json!(error.clause()))
    }

    /// A bug or a broken disk on the way to an answer.
    #[must_use]
    pub fn internal(what: &str) -> Self {
        tracing::error!(what, "internal error");
        Self::new(INTERNAL, what)
    }
}

/// Code of an operation slot's refusal.
#[must_use]
pub const fn of_operation(error: &OperationError) -> Code {
    match error {
        OperationError::Signature(_) => OPERATION_SIGNATURE,
        OperationError::NotOwner => OPERATION_OWNER,
        OperationError::Nonce { .. } | OperationError::NonceOverflow => OPERATION_NONCE,
        OperationError::Mdm => OPERATION_MDM,
        OperationError::Slot => OPERATION_SLOT,
        OperationError::Field(_) => OPERATION_FIELD,
        OperationError::Units => OPERATION_UNITS,
        OperationError::Insufficient => OPERATION_INSUFFICIENT,
        OperationError::InDebt => OPERATION_IN_DEBT,
        OperationError::Overflow => OPERATION_OVERFLOW,
        OperationError::NotAll => OPERATION_NOT_ALL,
        OperationError::Forced => OPERATION_FORCED,
        OperationError::NotEmpty => OPERATION_NOT_EMPTY,
        OperationError::Terms => OPERATION_TERMS,
    }
}

/// Code of a correction's refusal.
#[must_use]
pub const fn of_correction(error: &CorrectionError) -> Code {
    match error {
        CorrectionError::NotPending { .. } => CORRECTION_NOT_PENDING,
        CorrectionError::Packet(_) => CORRECTION_PACKET,
        CorrectionError::Tariff => CORRECTION_TARIFF,
        CorrectionError::Overflow => CORRECTION_OVERFLOW,
        CorrectionError::Registers => CORRECTION_REGISTERS,
    }
}

/// Code of a header operation's refusal.
#[must_use]
pub const fn of_header(error: &HeaderError) -> Code {
    match error {
        HeaderError::Units => HEADER_UNITS,
        HeaderError::Reserve => HEADER_RESERVE,
        HeaderError::FeeAccount => HEADER_FEE_ACCOUNT,
        HeaderError::Signature(_) => HEADER_SIGNATURE,
        HeaderError::Skip => HEADER_SKIP,
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
