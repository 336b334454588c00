//! A token of staff, checked: signature and algorithm, who signed it, for whom, and when.

use std::collections::BTreeSet;

use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind};
use serde_json::{Map, Value};

use super::{
    Principal, Role, StaffConfig,
    keys::{Keys, NoKey},
};
use crate::{
    Error,
    problem::{self, Problem},
};

/// Longest token, bytes.
const MOST_BYTES: usize = 8192;
/// Most communities that a token names.
const MOST_COMMUNITIES: usize = 4096;

/// How tokens are checked.
#[derive(Debug)]
pub struct Staff {
    config: StaffConfig,
    algorithms: Vec<Algorithm>,
    keys: Keys,
}

/// The algorithms of a name in a configuration: none with a shared key is among them.
fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        "RS256" => Some(Algorithm::RS256),
        _ => None,
    }
}

impl Staff {
    /// By a configuration; `None` if it names no issuer.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn of(config: &StaffConfig) -> Result<Option<Self>, Error> {
        if !config.is_on() {
            return Ok(None);
        }
        if config.audience.is_empty() {
            return Err(Error::Config("staff.audience: tokens for any service would be taken"));
        }
        let algorithms: Option<Vec<_>> = config.algorithms.iter().map(|name| algorithm(name)).collect();
        let algorithms = algorithms.filter(|algorithms| !algorithms.is_empty());
        let algorithms = algorithms.ok_or(Error::Config("staff.algorithms: of ES256, EdDSA and RS256"))?;
        if config.roles.values().any(|role| Role::of_staff(role).is_none()) {
            return Err(Error::Config(
                "staff.roles: of operator, mdm, tariff-authority, regulator, auditor and support",
            ));
        }
        Ok(Some(Self { config: config.clone(), algorithms, keys: Keys::of(config)? }))
    }
}

fn refused(why: &'static str) -> Problem {
    Problem::new(problem::STAFF_TOKEN, why)
}

/// Who a token is of.
///
/// # Errors
/// `staff.token` with the check that it does not pass; `staff.issuer` if the issuer's keys cannot be read.
pub async fn checked(staff: &Staff, token: &str, now: u64) -> Result<Principal, Problem> {
    if token.len() > MOST_BYTES {
        return Err(refused("it is too long"));
    }
    // `none`, and whatever else this library does not know, is no header.
    let header = decode_header(token).map_err(|_| refused("it is no token of a known algorithm"))?;
    if !staff.algorithms.contains(&header.alg) {
        return Err(refused("it is signed with an algorithm that is not taken"));
    }
    let key = staff.keys.find(header.kid.as_deref(), header.alg).await.map_err(|why| match why {
        NoKey::Unknown => refused("it is signed with a key that the issuer does not have"),
        NoKey::Unread => Problem::new(problem::STAFF_ISSUER, "the issuer's keys could not be read").after(10),
    })?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[&staff.config.issuer]);
    validation.set_audience(&[&staff.config.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // By this sequencer's clock, below.
    validation.validate_exp = false;
    let why = |error: &ErrorKind| {
        refused(if matches!(error, ErrorKind::InvalidIssuer) {
            "it is of another issuer"
        } else if matches!(error, ErrorKind::InvalidAudience) {
            "it is for another service"
        } else if matches!(error, ErrorKind::MissingRequiredClaim(_)) {
            "it lacks exp, iss, aud or sub"
        } else {
            "its signature does not verify"
        })
    };
    let claims = decode::<Map<String, Value>>(token, &key, &validation).map_err(|error| why(error.kind()))?;
    staff.principal(&claims.claims, now)
}

/// A time of a token, unix seconds: a whole number. Absent is `None`; anything else is refused.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Problem> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| refused("a time in it is no whole number of seconds")),
    }
}

impl Staff {
    fn principal(&self, claims: &Map<String, Value>, now: u64) -> Result<Principal, Problem> {
        let StaffConfig { leeway, longest, issuer, .. } = &self.config;
        // The library takes a list of issuers too.
        if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
            return Err(refused("it is of another issuer"));
        }
        let expires = time(claims, "exp")?.ok_or_else(|| refused("it lacks exp, iss, aud or sub"))?;
        if expires.saturating_add(leeway.as_secs()) <= now {
            return Err(refused("it has expired"));
        }
        if expires > now.saturating_add(longest.as_secs()).saturating_add(leeway.as_secs()) {
            return Err(refused("it lives too long"));
        }
        for name in ["nbf", "iat"] {
            if time(claims, name)?.is_some_and(|from| from > now.saturating_add(leeway.as_secs())) {
                return Err(refused("it is not valid yet"));
            }
        }
        let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| refused("it lacks exp, iss, aud or sub"))?;
        Ok(Principal::new(issuer, subject, self.roles(claims), self.communities(claims)?))
    }

    /// Its roles. A value that means no role here is another service's.
    fn roles(&self, claims: &Map<String, Value>) -> BTreeSet<Role> {
        let mut path = self.config.roles_claim.split('/');
        let first = path.next().and_then(|name| claims.get(name));
        let claim = path.fold(first, |value, name| value.and_then(|value| value.get(name)));
        let names: Vec<&str> = match claim {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => vec![],
        };
        let mapped = |name: &str| Role::of_staff(self.config.roles.get(name).map_or(name, String::as_str));
        names.into_iter().filter_map(mapped).collect()
    }

    fn communities(&self, claims: &Map<String, Value>) -> Result<Option<BTreeSet<u32>>, Problem> {
        let Some(claim) = claims.get(&self.config.communities_claim) else { return Ok(None) };
        let all = claim.as_array().filter(|all| all.len() <= MOST_COMMUNITIES);
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let all: Option<BTreeSet<u32>> = all.and_then(|all| all.iter().map(number).collect());
        all.map(Some).ok_or_else(|| refused("its communities are no list of numbers"))
    }
}
