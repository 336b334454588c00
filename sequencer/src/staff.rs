//! Who staff are: tokens of an issuer (OIDC), and the operator's own token (`docs/reference/roles.md`).
//!
//! Architecture invariant: a token says who somebody is. What a role may do is the table in [`crate::api::roles`] alone.

pub mod keys;
pub mod token;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use axum::http::{HeaderMap, header};
use documented::DocumentedFields;
use gridveil_api::grant::Grant;
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::{Deserialize, Serialize};

use crate::{
    problem::{self, Problem},
    service::Service,
};

/// What somebody may be. Nobody else asks for anything that is not for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the sequencer.
    Operator,
    /// Meter data manager of the communities that its token names.
    Mdm,
    /// Publishes tariffs.
    TariffAuthority,
    /// Reads what it was granted.
    Regulator,
    /// Reads what it was granted, and the audit log.
    Auditor,
    /// Sees how the service is, and nothing of a person.
    Support,
    /// The owner of an account: by its signature, never by a token.
    Member,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] =
        [Self::Operator, Self::Mdm, Self::TariffAuthority, Self::Regulator, Self::Auditor, Self::Support, Self::Member];

    /// Name, as in tokens, tables and the audit log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Mdm => "mdm",
            Self::TariffAuthority => "tariff-authority",
            Self::Regulator => "regulator",
            Self::Auditor => "auditor",
            Self::Support => "support",
            Self::Member => "member",
        }
    }

    /// The role of that name that a token can have: a member has none.
    #[must_use]
    pub fn of_staff(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name && *role != Self::Member)
    }
}

/// Staff by tokens. Without an issuer there is the operator's own token alone, and the admin listener is loopback.
#[derive(Clone, Debug, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct StaffConfig {
    /// Who signs tokens: exactly their `iss`, such as `https://id.example/realms/grid`. Empty: nobody, and there is no staff but
    /// the operator with its own token.
    pub issuer: String,
    /// Whom tokens are for: one of their `aud`. Tokens for other services of the same issuer are refused.
    pub audience: String,
    /// The issuer's public keys (JWKS): a file, or an address https://…, the issuer's `jwks_uri`. http:// is taken for a
    /// loopback address alone.
    pub jwks: String,
    /// Algorithms that are taken: of ES256, EdDSA and RS256. No other is known here: none with a shared key, and not `none`.
    pub algorithms: Vec<String>,
    /// The claim with the roles, a text or a list of texts; `/` goes into an object, as in realm_access/roles.
    pub roles_claim: String,
    /// What a value of that claim means, where it is not a role's own name: { "grid-ops" = "operator" }. Roles are operator,
    /// mdm, tariff-authority, regulator, auditor and support.
    pub roles: BTreeMap<String, String>,
    /// The claim with the numbers of the communities that a token is for, a list. A meter data manager needs it; for the other
    /// roles no such claim means all of them.
    pub communities_claim: String,
    /// How far the issuer's clock may be from this one: 1 minute.
    #[serde(with = "friendly")]
    pub leeway: Duration,
    /// Longest that a token may still live: 12 hours. One that lives longer is refused: there is no other way to end it.
    #[serde(with = "friendly")]
    pub longest: Duration,
    /// Between two times that the keys are read again because a token names one that is not known: 1 minute. They are read
    /// again after ten times as long in any case, so that a key that the issuer took back ends.
    #[serde(with = "friendly")]
    pub refetch: Duration,
}

impl Default for StaffConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: "gridveil".to_owned(),
            jwks: String::new(),
            algorithms: ["ES256", "EdDSA", "RS256"].map(str::to_owned).to_vec(),
            roles_claim: "roles".to_owned(),
            roles: BTreeMap::new(),
            communities_claim: "communities".to_owned(),
            leeway: Duration::from_secs(60),
            longest: Duration::from_secs(12 * 3600),
            refetch: Duration::from_secs(60),
        }
    }
}

impl StaffConfig {
    /// Is there an issuer?
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.issuer.is_empty()
    }
}

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal {
    /// What it is.
    pub roles: BTreeSet<Role>,
    /// Communities that its token names; `None` if it names none.
    pub communities: Option<BTreeSet<u32>>,
    /// Issuer and subject, hashed: what a grant names.
    grantee: blake3::Hash,
}

impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Principal").field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// The operator's own token has no issuer, and its subject no name.
const BREAK_GLASS: &str = "break-glass";

impl Principal {
    /// Of a token that holds.
    #[must_use]
    pub fn new(issuer: &str, subject: &str, roles: BTreeSet<Role>, communities: Option<BTreeSet<u32>>) -> Self {
        Self { roles, communities, grantee: Grant::grantee(issuer, subject) }
    }

    fn operator() -> Self {
        Self::new("", BREAK_GLASS, [Role::Operator].into(), None)
    }

    /// What grants name it by, and what the audit log's pseudonym is made from.
    #[must_use]
    pub const fn grantee(&self) -> &blake3::Hash {
        &self.grantee
    }

    /// Did it come with the operator's own token?
    #[must_use]
    pub fn is_break_glass(&self) -> bool {
        *self == Self::operator()
    }

    /// May it act in this community in this role?
    #[must_use]
    pub fn serves(&self, role: Role, community: u32) -> bool {
        match &self.communities {
            Some(named) => named.contains(&community),
            None => role != Role::Mdm,
        }
    }
}

/// Headers that a proxy writes: with one of them a request is not of this machine, whatever its connection is.
const FORWARDED: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

fn is_of_this_machine(headers: &HeaderMap, peer: Option<IpAddr>) -> bool {
    peer.is_some_and(|peer| peer.is_loopback()) && !FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// Who asks, by the bearer token of a request.
///
/// # Errors
/// `admin.token` without one, `staff.token` and why for one that does not hold, `staff.issuer`.
pub async fn principal(service: &Service, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Principal, Problem> {
    let given =
        headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let missing = || Problem::new(problem::ADMIN_TOKEN, "send Authorization: Bearer <token>");
    let given = given.ok_or_else(missing)?;
    if service.config.admin_token.is(given) {
        if is_of_this_machine(headers, peer) {
            return Ok(Principal::operator());
        }
        return Err(Problem::new(problem::ADMIN_TOKEN, "the operator's own token counts on this machine alone"));
    }
    match &service.staff {
        // A token of three parts is meant to be one.
        Some(staff) if given.bytes().filter(|byte| *byte == b'.').count() == 2 => {
            token::checked(staff, given, service.config.clock.now()).await
        }
        Some(_) | None => Err(missing()),
    }
}
