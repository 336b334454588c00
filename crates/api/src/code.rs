//! Codes of refusals: a stable name, an HTTP status, whose fault it is, and whether asking again can help. The page
//! (`docs/spec/api.md`) has the same table with what each means.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::problem::printable;

/// Whose input or duty a refusal is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Whoever sent the request.
    Client,
    /// The meter that signed, or whoever drives it.
    Meter,
    /// The account's owner.
    Owner,
    /// The meter data manager.
    Mdm,
    /// The operator.
    Operator,
    /// The sequencer.
    Server,
    /// A word that this version does not know; the sequencer never says it.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Everything that belongs to a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable name.
    pub name: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Whose input or duty it is.
    pub fault: Fault,
    /// Can sending the same bytes again later succeed?
    pub retry: bool,
    /// Title, for people.
    pub title: &'static str,
}

macro_rules! codes {
    ($($code:ident = $name:literal, $status:literal, $fault:ident, $retry:literal, $title:literal;)*) => {
        $(
            #[doc = $title]
            pub const $code: Code =
                Code { name: $name, status: $status, fault: Fault::$fault, retry: $retry, title: $title };
        )*
        /// Every code, in the order of the page.
        pub const CODES: &[Code] = &[$($code),*];
    };
}

codes! {
    BODY_TOO_LARGE = "body.too_large", 413, Client, false, "Body is too large";
    BODY_MALFORMED = "body.malformed", 400, Client, false, "Body is not what is expected";
    BODY_MEDIA_TYPE = "body.media_type", 415, Client, false, "Media type is not supported";
    PATH_MALFORMED = "path.malformed", 400, Client, false, "A number in the path is not one";
    ROUTE_UNKNOWN = "route.unknown", 404, Client, false, "No such path";
    METHOD_NOT_ALLOWED = "method.not_allowed", 405, Client, false, "Method is not allowed";
    ACCOUNT_UNKNOWN = "account.unknown", 404, Client, false, "No such account";
    COMMUNITY_CLOSED = "community.closed", 410, Client, false, "The community comes to its end on L1";
    TARIFF_UNKNOWN = "tariff.unknown", 404, Client, true, "No tariff is published";
    PACKET_CONTEXT = "packet.context", 422, Meter, false, "Packet is for another deployment, community or period";
    PACKET_VERSION = "packet.version", 422, Meter, false, "Packet is signed for another circuit version";
    PACKET_LENGTH = "packet.length", 422, Meter, false, "Packet has another number of readings";
    PACKET_SCALE = "packet.scale", 422, Meter, false, "Readings in another unit than the account's";
    PACKET_PREVIOUS_SUBSTITUTE = "packet.previous_substitute", 422, Meter, false, "Only a substitute names a previous one";
    PACKET_STALE = "packet.stale", 409, Mdm, false, "The slot waits for another earlier substitute";
    PACKET_SIGNATURE = "packet.signature", 422, Meter, false, "Signature does not verify";
    PACKET_INACTIVE = "packet.inactive", 422, Meter, false, "Reading outside the active window";
    PACKET_CAP = "packet.cap", 422, Mdm, false, "Substituted reading above the cap";
    PACKET_DUPLICATE = "packet.duplicate", 409, Meter, false, "Another packet is already accepted";
    PACKET_EARLY = "packet.early", 409, Meter, true, "An earlier period is still open";
    PACKET_CLOSED = "packet.closed", 410, Meter, false, "The period is closed";
    OPERATION_SLOT = "operation.slot", 422, Owner, false, "No such slot";
    OPERATION_KIND = "operation.kind", 422, Owner, false, "Only L1's queue asks for a forced withdrawal";
    OPERATION_FIELD = "operation.field", 422, Owner, false, "A field is set and not used, or missing";
    OPERATION_OWNER = "operation.owner", 422, Owner, false, "Not the account's owner";
    OPERATION_SIGNATURE = "operation.signature", 422, Owner, false, "The owner's signature does not verify";
    OPERATION_MDM = "operation.mdm", 422, Mdm, false, "The meter data manager has not signed";
    OPERATION_NONCE = "operation.nonce", 409, Owner, false, "Not the slot's next nonce";
    OPERATION_UNITS = "operation.units", 422, Owner, false, "Not a whole number of units";
    OPERATION_IN_DEBT = "operation.in_debt", 422, Owner, false, "The account is in debt";
    OPERATION_INSUFFICIENT = "operation.insufficient", 422, Owner, false, "More than the balance";
    OPERATION_OVERFLOW = "operation.overflow", 422, Owner, false, "The balance leaves its range";
    OPERATION_NOT_ALL = "operation.not_all", 422, Owner, false, "Closing pays exactly all whole units";
    OPERATION_FORCED = "operation.forced", 422, Operator, false, "A forced withdrawal pays everything or nothing";
    OPERATION_NOT_EMPTY = "operation.not_empty", 422, Mdm, false, "The slot is in use";
    OPERATION_TERMS = "operation.terms", 422, Mdm, false, "Scale or class do not exist";
    OPERATION_DEPOSIT = "operation.deposit", 422, Owner, true, "L1 has no such open deposit";
    OPERATION_CLAIM = "operation.claim", 422, Owner, true, "L1 has no such open claim";
    OPERATION_CLAIM_USED = "operation.claim_used", 422, Owner, false, "The claim was opened before";
    OPERATION_TOO_MANY = "operation.too_many", 429, Owner, true, "Too many operations of this slot wait";
    OPERATION_QUEUE_FULL = "operation.queue_full", 503, Server, true, "Too many operations wait";
    OPERATION_VERSION = "operation.version", 422, Owner, false, "Operation is signed for another circuit version";
    OPERATION_UNKNOWN = "operation.unknown", 404, Client, false, "No such operation";
    CORRECTION_EARLY = "correction.early", 409, Meter, true, "The period is being settled";
    CORRECTION_NOT_PENDING = "correction.not_pending", 410, Meter, false, "The substitute is final";
    CORRECTION_VERSION = "correction.version", 410, Operator, false, "The substitute is of another circuit version";
    CORRECTION_PACKET = "correction.packet", 422, Meter, false, "The late packet is not the meter's for that period";
    CORRECTION_TARIFF = "correction.tariff", 422, Operator, false, "The tariff has another number of intervals";
    CORRECTION_OVERFLOW = "correction.overflow", 422, Operator, false, "The balance leaves its range";
    CORRECTION_REGISTERS = "correction.registers", 422, Meter, false, "A register would fall below zero";
    HEADER_EMPTY = "header.empty", 422, Operator, false, "The header operation does nothing";
    HEADER_PENDING = "header.pending", 409, Operator, true, "Another header operation waits";
    HEADER_UNITS = "header.units", 422, Operator, false, "Too many units";
    HEADER_RESERVE = "header.reserve", 422, Operator, true, "The supplier account would fall below its reserve";
    HEADER_FEE_ACCOUNT = "header.fee_account", 422, Operator, true, "More than the fee account";
    HEADER_SIGNATURE = "header.signature", 422, Mdm, false, "The meter data manager has not signed";
    HEADER_SKIP = "header.skip", 422, Mdm, false, "Skips too much";
    HEADER_FUNDS = "header.funds", 422, Operator, true, "L1 has less of the operator's funds";
    HEADER_UNKNOWN = "header.unknown", 404, Operator, false, "No period starts there";
    HEADER_NOT_SETTLED = "header.not_settled", 404, Operator, true, "The period is not final on L1";
    NOTE_UNKNOWN = "note.unknown", 404, Client, true, "No such queued note";
    NOTE_NOT_SETTLED = "note.not_settled", 404, Client, true, "The note is in no final root";
    REQUEST_TIMESTAMP = "request.timestamp", 401, Client, false, "Request is too old or from the future";
    REQUEST_SIGNATURE = "request.signature", 401, Client, false, "Request is not signed by the owner";
    RECEIPT_NOT_SETTLED = "receipt.not_settled", 404, Client, true, "The period is not final on L1";
    CLIENT_TOO_MANY = "client.too_many", 429, Client, true, "Too many requests of this client";
    REQUEST_TIMEOUT = "request.timeout", 503, Server, true, "Not done in time";
    QUEUE_FULL = "queue.full", 503, Server, true, "Too many requests in work";
    ACCOUNT_LIVES = "account.lives", 409, Operator, false, "No account of this slot has ended";
    ACCOUNT_NOT_FINAL = "account.not_final", 409, Operator, true, "Something of the account is not final on L1 yet";
    ACCOUNT_SEVERAL = "account.several", 409, Operator, false, "Several accounts of this slot have ended";
    ACCOUNT_ERASED = "account.erased", 404, Client, false, "It was erased with its account";
    LOG_OLD = "log.old", 503, Operator, true, "The operator's log is an old copy";
    LOG_UNPROVEN = "log.unproven", 503, Operator, true, "The operator's log is not compared with L1 yet";
    STORE_FAILED = "store.failed", 503, Server, true, "The log could not be written";
    INTERNAL = "internal", 500, Server, true, "Internal error";
    ADMIN_TOKEN = "admin.token", 401, Operator, false, "Bearer token is missing or wrong";
    STAFF_TOKEN = "staff.token", 401, Client, false, "Token of staff is not valid";
    STAFF_ISSUER = "staff.issuer", 503, Operator, true, "Keys of the issuer could not be read";
    STAFF_ROLE = "staff.role", 403, Client, false, "No role of the token may do this";
    STAFF_COMMUNITY = "staff.community", 403, Client, false, "The token does not name this community";
    GRANT_MISSING = "grant.missing", 403, Client, false, "A grant is needed";
    GRANT_INVALID = "grant.invalid", 403, Client, false, "The grant does not hold";
    GRANT_EXPIRED = "grant.expired", 403, Client, false, "The grant has expired";
    GRANT_REVOKED = "grant.revoked", 403, Client, false, "The grant was taken back";
    GRANT_SCOPE = "grant.scope", 403, Client, false, "The grant does not open this";
    REVOCATION_SIGNATURE = "revocation.signature", 422, Mdm, false, "The meter data manager has not signed";
    AUDIT_FAILED = "audit.failed", 503, Server, true, "The audit log could not be written";
    AUDIT_FULL = "audit.full", 503, Operator, false, "The audit log is full";
    COMMUNITY_INVALID = "community.invalid", 422, Operator, false, "No such community can begin";
    COMMUNITY_UNREGISTERED = "community.unregistered", 409, Operator, true, "L1 has no such community in a final block";
    COMMUNITY_OTHER = "community.other", 409, Operator, false, "The community has other terms";
    CLOSE_PERIOD = "close.period", 409, Operator, false, "Not the open period";
    CLOSE_NOT_OVER = "close.not_over", 409, Operator, true, "The period is not over";
    CLOSE_MISSING = "close.missing", 409, Operator, true, "Used slots without a packet";
    CLOSE_NO_TARIFF = "tariff.unknown", 409, Operator, true, "No tariff is published";
    TARIFF_NOT_IN_FORCE = "tariff.not_in_force", 409, Operator, true, "L1 has another tariff in force";
    TARIFF_PUBLISHED = "tariff.published", 409, Operator, false, "Another tariff is already published";
    TARIFF_CLOSED = "tariff.closed", 409, Operator, false, "The period is already closed";
    TARIFF_LENGTH = "tariff.length", 422, Operator, false, "Tariff has another number of intervals";
    CLOSE_UPGRADE_WAITS = "close.upgrade_waits", 409, Operator, true, "A new verifier's first batch has to wait";
    CLOSE_COMMUNITY_ENDS = "close.community_ends", 409, Operator, true, "The community's notice is over";
    UPGRADE_ANNOUNCEMENT = "upgrade.announcement", 409, Operator, true, "Its first use is not announced on L1, or who waited then waits still";
    UPGRADE_VERSION = "upgrade.version", 422, Operator, false, "No other circuit version of this program";
    UPGRADE_VERIFIER = "upgrade.verifier", 409, Operator, true, "L1 has no verifier of this version by then";
    UPGRADE_TIME = "upgrade.time", 409, Operator, false, "The time is past or far ahead, or a period from it is open already";
    UPGRADE_PENDING = "upgrade.pending", 409, Operator, true, "Another upgrade is pending";
    L1_UNREACHABLE = "l1.unreachable", 503, Operator, true, "L1 could not be asked";
    SETTLEMENT_SUPPLIER = "settlement.supplier_account_too_small", 422, Operator, true, "The supplier account is too small";
    SETTLEMENT_FEE_ACCOUNT = "settlement.fee_account", 422, Operator, false, "The fee account leaves its range";
    SETTLEMENT_BALANCE = "settlement.balance_overflow", 422, Operator, false, "A balance leaves its range";
    SETTLEMENT_ENERGY = "settlement.too_much_energy", 422, Meter, false, "Orders of an interval are too large";
    SETTLEMENT_REGISTER = "settlement.register_overflow", 422, Meter, false, "A register leaves its range";
    SETTLEMENT_TERMS = "settlement.genesis_terms", 409, Mdm, true, "L1 has other terms for this community";
    SETTLEMENT_REFUSED = "settlement.refused", 422, Operator, false, "The rules refuse the settlement";
}

/// A code's name as a server wrote it: of this table, or of a newer server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeName(String);

impl CodeName {
    /// A name, of the table or not.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Is it this code's?
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.0 == code.name
    }

    /// The first code of the table with this name. Only `tariff.unknown` has two: one for who reads a tariff, one for
    /// who closes a period.
    #[must_use]
    pub fn known(&self) -> Option<Code> {
        CODES.iter().copied().find(|code| self.is(*code))
    }

    /// As it was written. For a terminal, take [`fmt::Display`].
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Code> for CodeName {
    fn from(code: Code) -> Self {
        Self::new(code.name)
    }
}

impl fmt::Display for CodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}
