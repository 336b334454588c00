//! The sequencer's HTTP API, as a member sees it.
//!
//! Handing in is idempotent: the same bytes again are the same packet. So an unreachable or busy server is simply asked
//! again, a few times, with growing pauses. Answers are bounded, and what a server writes is printed without control
//! characters. Blocking: not for use inside an async runtime.

mod admin;

use std::{io::Read, time::Duration};

use gridveil_protocol::{
    codec::{operation_id, packet_id},
    field::{Fr, hex_fr, to_bytes},
    instance,
    operation::SignedOperation,
    packet::SignedPacket,
    receipt::{Receipt, ReceiptRequest},
    tariff::Tariff,
    tree::{Children, path_hex},
    units::Interval,
};
use reqwest::{
    StatusCode,
    blocking::{Client, RequestBuilder},
};
use serde::{Deserialize, de::DeserializeOwned};

pub use admin::Admin;

/// Largest answer that is read.
const MAX_ANSWER: u64 = 8 << 20;

/// Why the sequencer did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The address is no plain `http://` one.
    #[error("sequencer address must start with http:// (put TLS in front with a local proxy)")]
    Address,
    /// No connection, or no answer in time.
    #[error("sequencer does not answer ({attempts} attempts)")]
    Unreachable {
        /// How often it was asked.
        attempts: u32,
    },
    /// It answered that it cannot now.
    #[error("sequencer is not available ({attempts} attempts): {problem}")]
    Unavailable {
        /// How often it was asked.
        attempts: u32,
        /// Its last answer.
        problem: Problem,
    },
    /// It refused.
    #[error("sequencer refuses: {0}")]
    Refused(Problem),
    /// It answered something that is no answer.
    #[error("sequencer's answer is not {0}")]
    Answer(&'static str),
    /// It confirms something else than what was handed in.
    #[error("sequencer confirms another packet or operation than the one handed in")]
    OtherPacket,
    /// It opens another period than was asked for.
    #[error("sequencer opens another period than was asked for")]
    OtherPeriod,
    /// Its domain is not that of its chain, contract and circuit version.
    #[error("sequencer's domain is not that of the chain, contract and circuit version it names")]
    Domain,
}

/// An `application/problem+json` answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Machine-readable code of the refusal.
    pub code: String,
    /// What kind of refusal.
    pub title: String,
    /// What exactly.
    pub detail: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, printable(&self.code))?;
        for text in [&self.title, &self.detail].into_iter().filter(|t| !t.is_empty()) {
            write!(f, ": {}", printable(text))?;
        }
        Ok(())
    }
}

/// At most 300 characters on one line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

/// Where a deployment lives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Info {
    /// L1 chain.
    pub chain_id: u64,
    /// Contract, `0x` and 40 hex digits.
    pub contract: String,
    /// [`instance::domain`].
    #[serde(with = "hex_fr")]
    pub domain: Fr,
    /// Circuit version.
    pub circuit_version: u64,
}

impl Info {
    /// The domain, if it is the one of the chain, contract and version named.
    ///
    /// # Errors
    /// [`ApiError::Domain`].
    pub fn checked_domain(&self) -> Result<Fr, ApiError> {
        let contract = address(&self.contract).ok_or(ApiError::Domain)?;
        let domain = instance::domain(self.chain_id, &contract, self.circuit_version);
        if domain == self.domain { Ok(domain) } else { Err(ApiError::Domain) }
    }
}

/// 20 bytes of an L1 address.
#[must_use]
pub fn address(text: &str) -> Option<[u8; 20]> {
    let mut out = [0; 20];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut out).ok()?;
    Some(out)
}

/// What a member needs to know of its community.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CommunityInfo {
    /// Index.
    pub community: u32,
    /// Intervals of a period.
    pub intervals: u16,
    /// Seconds.
    pub interval_length: u16,
    /// First interval of the period to settle next.
    pub next_interval: Interval,
    /// Periods that are final on L1, oldest first.
    #[serde(default)]
    pub settled: Vec<SettledPeriod>,
}

/// A period that is final on L1, by the sequencer's word.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SettledPeriod {
    /// First interval.
    pub first_interval: Interval,
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum OperationState {
    /// It waits.
    Pending,
    /// A batch has it.
    Applied {
        /// Batch.
        batch: u64,
        /// Is the batch on L1?
        #[serde(rename = "final", default)]
        settled: bool,
    },
    /// It was refused.
    Refused {
        /// Code.
        code: String,
    },
}

/// Where a note of L1's queue is in the state, by the sequencer's word ([`crate::wallet::note_path`] checks it).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct QueuedNotePath {
    /// Place in every level, base 4.
    pub index: u64,
    /// Levels, bottom up.
    #[serde(with = "path_hex")]
    pub path: Vec<Children>,
    /// Where they lead.
    #[serde(with = "hex_fr")]
    pub root: Fr,
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(alias = "operation_id")]
    packet_id: String,
    #[serde(default)]
    status: String,
}

/// How long to insist.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Requests at most.
    pub attempts: u32,
    /// Pause after the first; each next one is twice as long, up to 30 s.
    pub first_pause: Duration,
    /// For one answer.
    pub timeout: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 6, first_pause: Duration::from_millis(500), timeout: Duration::from_secs(30) }
    }
}

/// A sequencer.
#[derive(Debug)]
pub struct Sequencer {
    base: String,
    client: Client,
    retry: Retry,
}

impl Sequencer {
    /// At `base`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// [`ApiError::Address`].
    pub fn new(base: &str, retry: Retry) -> Result<Self, ApiError> {
        if !base.starts_with("http://") {
            return Err(ApiError::Address);
        }
        let client = Client::builder().timeout(retry.timeout).redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self { base: base.trim_end_matches('/').to_owned(), client: client.map_err(|_| ApiError::Address)?, retry })
    }

    /// The deployment.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn info(&self) -> Result<Info, ApiError> {
        self.get("/v1/info", "a deployment")
    }

    /// A community.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn community(&self, community: u32) -> Result<CommunityInfo, ApiError> {
        self.get(&format!("/v1/communities/{community}"), "a community")
    }

    /// The published tariff of a period.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn tariff(&self, community: u32, first_interval: Interval) -> Result<Tariff, ApiError> {
        self.get(&format!("/v1/communities/{community}/tariffs/{first_interval}"), "a tariff")
    }

    /// Hands a packet in; returns the sequencer's word for what became of it. Repeating it does no harm.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn submit(&self, signed: &SignedPacket) -> Result<String, ApiError> {
        let body = serde_json::to_vec(signed).map_err(|_| ApiError::Answer("a packet"))?;
        let taken: Confirmation = self.post("/v1/packets", body, "a confirmation")?;
        let id = taken.packet_id.strip_prefix("0x").unwrap_or(&taken.packet_id).to_ascii_lowercase();
        if id == hex::encode(packet_id(signed)) { Ok(printable(&taken.status)) } else { Err(ApiError::OtherPacket) }
    }

    /// Hands an operation in; returns the sequencer's word for what became of it. Repeating it does no harm.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn operate(&self, signed: &SignedOperation) -> Result<String, ApiError> {
        let body = serde_json::to_vec(signed).map_err(|_| ApiError::Answer("an operation"))?;
        let taken: Confirmation = self.post("/v1/operations", body, "a confirmation")?;
        let id = taken.packet_id.strip_prefix("0x").unwrap_or(&taken.packet_id).to_ascii_lowercase();
        if id == hex::encode(operation_id(signed)) { Ok(printable(&taken.status)) } else { Err(ApiError::OtherPacket) }
    }

    /// What became of an operation.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn operation_state(&self, signed: &SignedOperation) -> Result<OperationState, ApiError> {
        let state =
            self.get(&format!("/v1/operations/0x{}", hex::encode(operation_id(signed))), "an operation's state")?;
        Ok(match state {
            OperationState::Refused { code } => OperationState::Refused { code: printable(&code) },
            other => other,
        })
    }

    /// Where a note of L1's queue is.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn note(&self, commitment: Fr) -> Result<QueuedNotePath, ApiError> {
        self.get(&format!("/v1/notes/0x{}", hex::encode(to_bytes(&commitment))), "a note's path")
    }

    /// Fetches a receipt.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn receipt(&self, request: &ReceiptRequest) -> Result<Receipt, ApiError> {
        let body = serde_json::to_vec(request).map_err(|_| ApiError::Answer("a request"))?;
        self.post("/v1/receipts", body, "a receipt")
    }

    fn get<T: DeserializeOwned>(&self, path: &str, what: &'static str) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.base);
        self.ask(|| self.client.get(&url), what)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>, what: &'static str) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.base);
        self.ask(|| self.client.post(&url).header("content-type", "application/json").body(body.clone()), what)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
        what: &'static str,
    ) -> Result<T, ApiError> {
        let mut pause = self.retry.first_pause;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failure = match request().send() {
                Ok(answer) => match read(answer, what) {
                    Err(ApiError::Refused(problem)) if [429, 502, 503, 504].contains(&problem.status) => {
                        ApiError::Unavailable { attempts, problem }
                    }
                    Err(ApiError::Unreachable { .. }) => ApiError::Unreachable { attempts },
                    done => return done,
                },
                Err(_) => ApiError::Unreachable { attempts },
            };
            if attempts >= self.retry.attempts {
                return Err(failure);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }
}

fn read<T: DeserializeOwned>(answer: reqwest::blocking::Response, what: &'static str) -> Result<T, ApiError> {
    let status = answer.status();
    let mut body = Vec::new();
    // Cut off in the middle: ask again.
    answer.take(MAX_ANSWER + 1).read_to_end(&mut body).map_err(|_| ApiError::Unreachable { attempts: 1 })?;
    if body.len() as u64 > MAX_ANSWER {
        return Err(ApiError::Answer(what));
    }
    if matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED) {
        return serde_json::from_slice(&body).map_err(|_| ApiError::Answer(what));
    }
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    Err(ApiError::Refused(Problem { status: status.as_u16(), ..problem }))
}
