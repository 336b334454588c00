//! The issuer's public keys: read when the first token comes, kept, and read again when a token names one that is not known,
//! but not more often than a bound says.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use tokio::sync::Mutex;

use super::StaffConfig;
use crate::Error;

/// Largest key set, bytes.
const MOST_BYTES: u64 = 256 << 10;
/// Most keys that are looked at.
const MOST_KEYS: usize = 64;
/// Longest wait for the issuer.
const ANSWER: Duration = Duration::from_secs(10);
/// After so many times the pause between two readings, the keys are read again in any case.
const OLD: u32 = 10;

/// Where the keys are.
#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Address(String),
}

/// The keys of an issuer.
#[derive(Debug)]
pub struct Keys {
    source: Source,
    refetch: Duration,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    keys: Vec<Jwk>,
    /// When the keys were read.
    read: Option<Instant>,
    /// When somebody last tried to.
    tried: Option<Instant>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The set has none of that name, for that algorithm.
    Unknown,
    /// The set could not be read.
    Unread,
}

fn is_local(address: &str) -> bool {
    let host = address.strip_prefix("http://").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    ["127.0.0.1", "[::1]", "localhost"].contains(&name)
}

/// Is the key one for this algorithm, by its kind and by what it says itself? A key of another kind is never tried: that a
/// public key is taken for a shared one begins there.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::EllipticCurve(of), Algorithm::ES256) => of.curve == EllipticCurve::P256,
        (AlgorithmParameters::OctetKeyPair(of), Algorithm::EdDSA) => of.curve == EllipticCurve::Ed25519,
        (AlgorithmParameters::RSA(_), Algorithm::RS256) => true,
        _ => false,
    };
    let said = key.common.key_algorithm.is_none_or(|said| said == KeyAlgorithm::from(algorithm));
    let signs = key.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    kind && said && signs
}

impl Keys {
    /// Those of a configuration. Nothing is read yet.
    ///
    /// # Errors
    /// [`Error::Config`]: no place, or an address without TLS.
    pub fn of(config: &StaffConfig) -> Result<Self, Error> {
        let source = match config.jwks.as_str() {
            "" => return Err(Error::Config("staff.jwks: a file, or an address https://…, with the issuer's keys")),
            address if address.starts_with("https://") || is_local(address) => Source::Address(address.to_owned()),
            address if address.contains("://") => {
                return Err(Error::Config("staff.jwks: keys come over https://, or from a loopback address"));
            }
            file => Source::File(file.into()),
        };
        Ok(Self { source, refetch: config.refetch, kept: Mutex::default() })
    }

    /// The key of this name, for this algorithm. Without a name the only key for it.
    ///
    /// # Errors
    /// [`NoKey`].
    pub async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<DecodingKey, NoKey> {
        // Who waits here is one of a few permits, and finds what the first one read.
        let mut kept = self.kept.lock().await;
        let is_old = |since: Option<Instant>, bound: Duration| since.is_none_or(|since| since.elapsed() >= bound);
        let old = is_old(kept.read, self.refetch * OLD);
        let known = kept.find(kid, algorithm);
        if (old || known.is_none()) && is_old(kept.tried, self.refetch) {
            kept.tried = Some(Instant::now());
            match self.read().await {
                Ok(keys) => (kept.keys, kept.read) = (keys, Some(Instant::now())),
                Err(why) => tracing::warn!(why, "the issuer's keys could not be read"),
            }
        }
        // Keys that could not be read again for so long may have been taken back.
        if is_old(kept.read, self.refetch * OLD * OLD) {
            return Err(NoKey::Unread);
        }
        kept.find(kid, algorithm).ok_or(NoKey::Unknown)
    }

    async fn read(&self) -> Result<Vec<Jwk>, &'static str> {
        let bytes = match &self.source {
            Source::File(path) => {
                let path = path.clone();
                let read =
                    tokio::task::spawn_blocking(move || gridveil_keystore::durable::read_bounded(&path, MOST_BYTES));
                read.await.ok().and_then(Result::ok).ok_or("the file cannot be read, or is too long")?
            }
            Source::Address(address) => fetched(address).await?,
        };
        let set: JwkSet = serde_json::from_slice(&bytes).map_err(|_| "it is no JSON Web Key Set")?;
        Ok(set.keys.into_iter().take(MOST_KEYS).collect())
    }
}

impl Kept {
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let mut fit = self.keys.iter().filter(|key| is_for(key, algorithm));
        let key = match kid {
            Some(kid) => fit.find(|key| key.common.key_id.as_deref() == Some(kid))?,
            None => {
                let only = fit.next()?;
                if fit.next().is_some() {
                    return None;
                }
                only
            }
        };
        DecodingKey::from_jwk(key).ok()
    }
}

/// The body behind an address: no redirect is followed, no more is read than a set may have.
async fn fetched(address: &str) -> Result<Vec<u8>, &'static str> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(ANSWER).redirect(reqwest::redirect::Policy::none()).build();
    let client = client.map_err(|_| "no client for it")?;
    let mut answer = client.get(address).send().await.map_err(|_| "the issuer does not answer")?;
    if !answer.status().is_success() {
        return Err("the issuer does not give them");
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| "the issuer's answer broke off")? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > MOST_BYTES {
            return Err("the issuer's answer is too long");
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        let of = |jwks: &str| Keys::of(&StaffConfig { jwks: jwks.to_owned(), ..StaffConfig::default() });
        for good in
            ["https://id.example/keys", "http://127.0.0.1:8090/jwks.json", "http://[::1]:80/k", "/etc/jwks.json"]
        {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in ["", "http://id.example/keys", "http://127.0.0.1.evil.example/k", "ftp://id.example/keys"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
