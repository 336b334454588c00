//! Grants that come with a request, and those that were taken back (`docs/reference/roles.md`, Grants).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::HeaderMap;
use gridveil_api::grant::{
    GRANT_HEADER, Grant, GrantField, MOST_GRANT_BYTES, MOST_NAME_BYTES, Revocation, Revoked, SignedGrant,
};
use gridveil_keystore::durable;
use gridveil_protocol::schnorr::PublicKey;

use crate::{
    problem::{self, Problem},
    service::Service,
    staff::Principal,
};

/// Most grants that are taken back.
const MOST_REVOKED: usize = 65_536;
/// Bytes of a line: community, identity, and the end of the line.
const LINE_BYTES: u64 = 8 + 1 + 32 + 1;

/// What a grant opens, for the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(pub BTreeSet<GrantField>);

/// A grant that holds.
pub(crate) struct Opened {
    /// Its identity, hex digits.
    pub id: String,
    /// What it opens.
    pub fields: Fields,
}

/// The grants that were taken back, `<data>/grants.revoked`: durable before it is said.
#[derive(Debug)]
pub struct Revocations {
    path: PathBuf,
    all: Mutex<BTreeSet<(u32, [u8; 16])>>,
}

/// A list that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "revoked grants: {0}: put the file back from a backup; without it grants that were taken back would count again"
)]
pub struct RevocationsError(&'static str);

fn line(text: &str) -> Option<(u32, [u8; 16])> {
    let (community, id) = text.split_once(' ')?;
    let mut bytes = [0; 16];
    hex::decode_to_slice(id, &mut bytes).ok()?;
    Some((u32::from_str_radix(community, 16).ok()?, bytes))
}

impl Revocations {
    /// Those of a data directory.
    ///
    /// # Errors
    /// [`RevocationsError`].
    pub fn open(directory: &Path) -> Result<Self, RevocationsError> {
        let path = directory.join("grants.revoked");
        let text = match durable::read_bounded(&path, LINE_BYTES * MOST_REVOKED as u64) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| RevocationsError("the file is not text"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(_) => return Err(RevocationsError("the file cannot be read, or is too long")),
        };
        let all: Option<BTreeSet<_>> = text.lines().map(line).collect();
        let all = Mutex::new(all.ok_or(RevocationsError("a line is no revocation"))?);
        Ok(Self { path, all })
    }

    fn has(&self, community: u32, id: &[u8; 16]) -> bool {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).contains(&(community, *id))
    }

    /// Adds one; when it returns, it is durable. Blocking.
    fn add(&self, community: u32, id: [u8; 16]) -> Result<(), Problem> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.contains(&(community, id)) {
            return Ok(());
        }
        if all.len() >= MOST_REVOKED {
            return Err(Problem::new(problem::STORE_FAILED, "too many grants were taken back"));
        }
        let mut more = all.clone();
        more.insert((community, id));
        let text: String =
            more.iter().map(|(community, id)| format!("{community:08x} {}\n", hex::encode(id))).collect();
        durable::replace(&self.path, text.as_bytes())
            .map_err(|_| Problem::new(problem::STORE_FAILED, "the list of revoked grants could not be written"))?;
        *all = more;
        Ok(())
    }
}

fn mdm_of(service: &Service, community: u32) -> Option<PublicKey> {
    service.writer.snapshot().communities.get(&community).map(|community| community.header.mdm)
}

fn invalid() -> Problem {
    Problem::new(problem::GRANT_INVALID, "it is not signed by the community's meter data manager for who asks")
}

fn carried(headers: &HeaderMap) -> Result<SignedGrant, Problem> {
    let missing = || Problem::new(problem::GRANT_MISSING, format!("send the grant in {GRANT_HEADER}, in hex digits"));
    let text = headers.get(GRANT_HEADER).ok_or_else(missing)?;
    let malformed = || Problem::new(problem::GRANT_INVALID, "it is no grant");
    let bytes =
        text.to_str().ok().filter(|text| text.len() <= 2 * MOST_GRANT_BYTES).and_then(|text| hex::decode(text).ok());
    let grant: SignedGrant = serde_json::from_slice(&bytes.ok_or_else(malformed)?).map_err(|_| malformed())?;
    let long = |name: &String| name.len() > MOST_NAME_BYTES;
    if long(&grant.grant.issuer) || long(&grant.grant.subject) { Err(malformed()) } else { Ok(grant) }
}

/// What the grant of a request opens to who asks. Whose it is and who signed it is looked at first: a stranger learns of a
/// grant nothing but that it is not theirs.
///
/// # Errors
/// `grant.*`.
pub(crate) fn opened(
    service: &Service,
    who: &Principal,
    headers: &HeaderMap,
    (community, first_interval): (Option<u32>, Option<u32>),
) -> Result<Opened, Problem> {
    let signed = carried(headers)?;
    let Grant { id, chain_id, contract, from, to, expires_s, .. } = signed.grant;
    let grant = &signed.grant;
    let of_this = (chain_id, contract) == (service.genesis.chain_id, service.genesis.contract);
    if !of_this || Grant::grantee(&grant.issuer, &grant.subject) != *who.grantee() {
        return Err(invalid());
    }
    let mdm = mdm_of(service, grant.community).ok_or_else(invalid)?;
    signed.verify(&mdm).map_err(|_| invalid())?;
    if expires_s <= service.config.clock.now() {
        return Err(Problem::new(problem::GRANT_EXPIRED, "ask the meter data manager for another one"));
    }
    if service.revocations.has(grant.community, &id) {
        return Err(Problem::new(problem::GRANT_REVOKED, "the meter data manager took it back"));
    }
    if community != Some(grant.community) {
        return Err(Problem::new(problem::GRANT_SCOPE, "it is for another community"));
    }
    if !first_interval.is_some_and(|first| (from.0..=to.0).contains(&first)) {
        return Err(Problem::new(problem::GRANT_SCOPE, "it is for other periods"));
    }
    Ok(Opened { id: hex::encode(id), fields: Fields(grant.fields.clone()) })
}

/// Is there anything for this endpoint among the fields?
///
/// # Errors
/// `grant.scope`.
pub(crate) fn enough(path: &str, Fields(fields): &Fields) -> Result<(), Problem> {
    let whole = path.contains("/header/");
    let enough = if whole {
        fields.contains(&GrantField::Header)
    } else {
        fields.iter().any(|field| *field != GrantField::Header)
    };
    if enough { Ok(()) } else { Err(Problem::new(problem::GRANT_SCOPE, "it is for other fields")) }
}

/// Takes a grant back.
///
/// # Errors
/// `account.unknown`, `revocation.signature`, `store.failed`.
pub(crate) async fn revoke(service: &Arc<Service>, community: u32, revocation: Revocation) -> Result<Revoked, Problem> {
    let mdm = mdm_of(service, community).ok_or_else(|| Problem::new(problem::ACCOUNT_UNKNOWN, "no such community"))?;
    let (chain_id, contract) = (service.genesis.chain_id, service.genesis.contract);
    revocation.verify(chain_id, &contract, community, &mdm).map_err(|_| {
        Problem::new(problem::REVOCATION_SIGNATURE, "it is not signed by the community's meter data manager")
    })?;
    let (service, id) = (Arc::clone(service), revocation.id);
    let added = tokio::task::spawn_blocking(move || service.revocations.add(community, id)).await;
    added.map_err(|_| Problem::internal("a revocation was not written"))??;
    Ok(Revoked { id })
}
