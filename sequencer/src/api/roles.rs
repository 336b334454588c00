//! Who may do what: one table of all endpoints. What is not in it is refused (`guard`).
//!
//! The page `docs/reference/roles.md` has the same table, and a test compares them, walks every row with every role, and
//! looks for paths in the sources that have no row.

use axum::http::Method;

use crate::staff::Role;

/// Whose listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Everybody's.
    Public,
    /// Staff's.
    Admin,
}

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody. What is taken in is signed by whom it is of; what is given is nobody's secret.
    Anybody,
    /// The owner of the account: its request is signed, and the handler checks that.
    Owner,
    /// Who has one of these roles by a token. The second are those that need a grant besides.
    Staff(&'static [Role], &'static [Role]),
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Listener.
    pub listener: Listener,
    /// Method.
    pub method: &'static str,
    /// Path as the router has it.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    /// Is each use an entry of the audit log?
    pub audited: bool,
}

const fn public(method: &'static str, path: &'static str, access: Access) -> Row {
    Row { listener: Listener::Public, method, path, access, audited: false }
}

/// A page of the admin listener that holds no secret: a browser asks for it without a token.
const fn open(path: &'static str) -> Row {
    Row { listener: Listener::Admin, method: "GET", path, access: Access::Anybody, audited: false }
}

const fn admin(method: &'static str, path: &'static str, roles: &'static [Role]) -> Row {
    granted(method, path, roles, &[])
}

const fn granted(method: &'static str, path: &'static str, roles: &'static [Role], grantees: &'static [Role]) -> Row {
    Row { listener: Listener::Admin, method, path, access: Access::Staff(roles, grantees), audited: true }
}

impl Row {
    const fn not_audited(mut self) -> Self {
        self.audited = false;
        self
    }
}

use Access::{Anybody, Owner};
use Role::{Auditor, Mdm, Operator, Regulator, Support, TariffAuthority};

/// Every endpoint of both listeners.
pub const TABLE: &[Row] = &[
    public("GET", "/healthz", Anybody),
    public("GET", "/v1/info", Anybody),
    public("GET", "/v1/communities/{community}", Anybody),
    public("GET", "/v1/communities/{community}/tariffs/{first_interval}", Anybody),
    public("POST", "/v1/packets", Anybody),
    public("POST", "/v1/operations", Anybody),
    public("GET", "/v1/operations/{id}", Anybody),
    public("GET", "/v1/notes/{commitment}", Anybody),
    public("POST", "/v1/receipts", Owner),
    public("POST", "/v1/given-back", Owner),
    public("GET", "/v1/communities/{community}/periods", Anybody),
    public("GET", "/v1/communities/{community}/tariffs", Anybody),
    public("GET", "/v1/communities/{community}/events", Anybody),
    public("POST", "/v1/packets/bulk", Anybody),
    public("POST", "/v1/operations/bulk", Anybody),
    public("GET", "/v1/openapi.json", Anybody),
    public("GET", "/v1/docs", Anybody),
    public("GET", "/v1/docs.js", Anybody),
    public("GET", "/v1/docs.css", Anybody),
    open("/admin/v1/docs"),
    open("/admin/v1/docs.js"),
    open("/admin/v1/docs.css"),
    admin("GET", "/admin/v1/openapi.json", &[Operator, Mdm, TariffAuthority, Regulator, Auditor, Support])
        .not_audited(),
    admin("GET", "/admin/v1/events", &[Operator]).not_audited(),
    admin("GET", "/admin/v1/communities/{community}/batches", &[Operator]).not_audited(),
    admin("GET", "/admin/v1/status", &[Operator]).not_audited(),
    admin("GET", "/admin/v1/support/status", &[Operator, Support]).not_audited(),
    admin("POST", "/admin/v1/communities", &[Operator]),
    admin("POST", "/admin/v1/communities/{community}/close", &[Operator]),
    admin("GET", "/admin/v1/communities/{community}/missing", &[Operator, Mdm]).not_audited(),
    admin("POST", "/admin/v1/communities/{community}/tariffs", &[Operator, TariffAuthority]),
    admin("POST", "/admin/v1/communities/{community}/header-operation", &[Operator, Mdm]),
    granted("GET", "/admin/v1/communities/{community}/header/{first_interval}", &[Operator], &[Regulator, Auditor]),
    granted("GET", "/admin/v1/communities/{community}/totals/{first_interval}", &[Operator], &[Regulator, Auditor]),
    admin("POST", "/admin/v1/communities/{community}/grants/revoke", &[Operator, Mdm]),
    admin("POST", "/admin/v1/members/{community}/{slot}/erase", &[Operator]),
    admin("POST", "/admin/v1/members/{community}/{slot}/export", &[Operator]),
    admin("POST", "/admin/v1/upgrade", &[Operator]),
    admin("GET", "/admin/v1/audit-log/{offset}", &[Operator, Auditor]),
];

/// The row of an endpoint. `HEAD` is what `GET` is.
#[must_use]
pub fn row(listener: Listener, method: &Method, path: &str) -> Option<&'static Row> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.iter().find(|row| row.listener == listener && row.method == method && row.path == path)
}

/// Has the path another method?
#[must_use]
pub fn has_path(listener: Listener, path: &str) -> bool {
    TABLE.iter().any(|row| row.listener == listener && row.path == path)
}

/// What a role may at an endpoint, in the words of the page.
#[must_use]
pub fn word(row: &Row, role: Role) -> &'static str {
    match row.access {
        Anybody => "yes",
        Owner if role == Role::Member => "signed",
        Owner => "-",
        Access::Staff(roles, _) if roles.contains(&role) && role == Mdm && row.path.contains("{community}") => "own",
        Access::Staff(roles, _) if roles.contains(&role) => "yes",
        Access::Staff(_, grantees) if grantees.contains(&role) => "grant",
        Access::Staff(..) => "-",
    }
}

/// The table as the page has it.
#[must_use]
pub fn page() -> String {
    let heads = Role::ALL.map(|role| format!(" {} |", role.name())).concat();
    let lines = Role::ALL.map(|_| "---|").concat();
    let row = |row: &Row| {
        let words = Role::ALL.map(|role| format!(" {} |", word(row, role))).concat();
        let audited = if row.audited { "yes" } else { "-" };
        format!("| `{} {}` |{words} {audited} |\n", row.method, row.path)
    };
    format!("| endpoint |{heads} audit log |\n|---|{lines}---|\n{}", TABLE.iter().map(row).collect::<String>())
}
