//! The sequencer's HTTP API, as a member sees it.
//!
//! Sending the same bytes again is the same packet. So an unreachable or busy server is asked again, a few times, with
//! growing pauses. Answers are bounded, and what a server writes is printed without control characters. Blocking: not
//! for use inside an async runtime.

mod admin;

use std::{io::Read, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
pub use gridveil_api::Problem;
use gridveil_api::public::{
    CommunityInfo, GivenBack, Info, NotePath, OperationState, OperationTaken, PacketTaken, Taken,
};
use gridveil_api::rows::{Row, RowAnswer, Rows};
use gridveil_protocol::{
    codec::{encode_packet, operation_id, packet_id},
    field::{Fr, to_bytes},
    hex::parse0,
    operation::SignedOperation,
    packet::SignedPacket,
    receipt::{Receipt, ReceiptRequest},
    tariff::Tariff,
    units::Interval,
    version::Domains,
};
use reqwest::{
    StatusCode,
    blocking::{Client, RequestBuilder},
    header::CONTENT_TYPE,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::http;

pub use admin::Admin;

/// Largest answer that is read.
const MAX_ANSWER: u64 = 8 << 20;
/// Longest pause before an unreachable or busy server is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why the sequencer did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The address is none of HTTP.
    #[error("the sequencer's address must start with https:// or, in a network you trust, with http://")]
    Address,
    /// TLS does not trust the sequencer.
    #[error(
        "the sequencer's certificate is not trusted ({0}): check the address, or name its authority in SSL_CERT_FILE"
    )]
    Certificate(String),
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
        problem: Box<Problem>,
    },
    /// It refused.
    #[error("sequencer refuses: {0}")]
    Refused(Box<Problem>),
    /// It answered something that is no answer.
    #[error("sequencer's answer is not {0}")]
    Answer(&'static str),
    /// It confirms something else than what was handed in.
    #[error("sequencer confirms another packet or operation than the one handed in")]
    OtherPacket,
    /// It opens another period than was asked for.
    #[error("sequencer opens another period than was asked for")]
    OtherPeriod,
    /// It exports another account than was asked for.
    #[error("sequencer exports another account than was asked for")]
    OtherAccount,
    /// There is no idempotency key without it.
    #[error("no randomness from the operating system")]
    Random,
    /// Its domain is not that of its chain, contract and circuit version.
    #[error("sequencer's domain is not that of the chain, contract and circuit version it names")]
    Domain,
}

/// 20 bytes of an L1 address.
#[must_use]
pub fn address(text: &str) -> Option<[u8; 20]> {
    parse0(text)
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
    /// At `base`, such as `https://meters.example.org` or `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// [`ApiError::Address`].
    pub fn new(base: &str, retry: Retry) -> Result<Self, ApiError> {
        let client = http::client(base, retry.timeout).ok_or(ApiError::Address)?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), client, retry })
    }

    /// The deployment.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn info(&self) -> Result<Info, ApiError> {
        self.get("/v1/info", "a deployment")
    }

    /// The domain of the sequencer's deployment.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::Domain`] if it is not that of the chain, contract and version it names.
    pub fn domain(&self) -> Result<Fr, ApiError> {
        self.info()?.checked_domain().ok_or(ApiError::Domain)
    }

    /// The domains of the periods, as far as their circuit versions are decided. Chain and contract are the sequencer's
    /// word, and so are the versions' numbers: a signature for a number that L1 has no verifier of is worth nothing.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::Domain`] if versions or domain do not fit together.
    pub fn domains(&self) -> Result<Domains, ApiError> {
        self.info()?.checked_domains().ok_or(ApiError::Domain)
    }

    /// The domain of a period of a community.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn domain_of(&self, domains: &Domains, community: u32, first_interval: Interval) -> Result<Fr, ApiError> {
        // A deployment that was never upgraded has one for all.
        domains
            .only()
            .map_or_else(|| Ok(domains.of_period(first_interval, self.community(community)?.interval_length)), Ok)
    }

    /// The domain of a community's open period: what its operations are signed under.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn open_domain(&self, domains: &Domains, community: u32) -> Result<Fr, ApiError> {
        let open = || {
            let terms = self.community(community)?;
            Ok(domains.of_period(terms.next_interval, terms.interval_length))
        };
        domains.only().map_or_else(open, Ok)
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

    /// Sends a packet, and gives the sequencer's answer. Repeating it does no harm.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn submit(&self, signed: &SignedPacket) -> Result<Taken, ApiError> {
        let taken: PacketTaken = self.post("/v1/packets", signed, "a confirmation")?;
        if taken.packet_id.0 == packet_id(signed) { Ok(taken.status) } else { Err(ApiError::OtherPacket) }
    }

    /// Sends many packets with one request, and gives the answer of each, in their order: at most
    /// [`gridveil_api::rows::MOST_ROWS`]. Repeating it does no harm.
    ///
    /// # Errors
    /// [`ApiError`], where the whole was not answered.
    pub fn submit_many(&self, signed: &[SignedPacket]) -> Result<Vec<Result<Taken, Problem>>, ApiError> {
        let bytes: Vec<u8> = signed.iter().flat_map(encode_packet).collect();
        let url = format!("{}/v1/packets/bulk", self.base);
        let request = || self.client.post(&url).header(CONTENT_TYPE, "application/octet-stream").body(bytes.clone());
        let rows: Rows = self.ask(request, "an answer a row")?;
        if rows.rows.len() != signed.len() {
            return Err(ApiError::Answer("an answer a row"));
        }
        let one = |(number, (row, signed)): (usize, (Row, &SignedPacket))| match row.answer {
            RowAnswer::Taken { id, status } if row.row == number && id.0 == packet_id(signed) => Ok(Ok(status)),
            RowAnswer::Refused { problem } if row.row == number => Ok(Err(problem)),
            RowAnswer::Taken { .. } | RowAnswer::Refused { .. } => Err(ApiError::OtherPacket),
        };
        (1..).zip(rows.rows.into_iter().zip(signed)).map(one).collect()
    }

    /// Sends an operation, and gives the sequencer's answer. Repeating it does no harm.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn operate(&self, signed: &SignedOperation) -> Result<Taken, ApiError> {
        let taken: OperationTaken = self.post("/v1/operations", signed, "a confirmation")?;
        if taken.operation_id.0 == operation_id(signed) { Ok(taken.status) } else { Err(ApiError::OtherPacket) }
    }

    /// What became of an operation.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn operation_state(&self, signed: &SignedOperation) -> Result<OperationState, ApiError> {
        self.get(&format!("/v1/operations/0x{}", hex::encode(operation_id(signed))), "an operation's state")
    }

    /// Where a note of L1's queue is, as the sequencer says. [`crate::wallet::note_path`] checks it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn note(&self, commitment: Fr) -> Result<NotePath, ApiError> {
        self.get(&format!("/v1/notes/0x{}", hex::encode(to_bytes(&commitment))), "a note's path")
    }

    /// Fetches a receipt.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn receipt(&self, request: &ReceiptRequest) -> Result<Receipt, ApiError> {
        self.post("/v1/receipts", request, "a receipt")
    }

    /// Fetches what was signed for a period, as the sequencer has it. [`crate::recover`] checks it.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn given_back(&self, request: &ReceiptRequest) -> Result<GivenBack, ApiError> {
        self.post("/v1/given-back", request, "what a member signed")
    }

    fn get<T: DeserializeOwned>(&self, path: &str, what: &'static str) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.base);
        self.ask(|| self.client.get(&url), what)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, what: &'static str) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.base);
        self.ask(|| self.client.post(&url).json(body), what)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
        what: &'static str,
    ) -> Result<T, ApiError> {
        let pauses = ExponentialBuilder::new().with_factor(2.0).without_max_times();
        let mut pauses = pauses.with_min_delay(self.retry.first_pause).with_max_delay(LONGEST_PAUSE).build();
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
                Err(error) => match http::distrust(&error) {
                    Some(why) => return Err(ApiError::Certificate(why)),
                    None => ApiError::Unreachable { attempts },
                },
            };
            if attempts >= self.retry.attempts {
                return Err(failure);
            }
            std::thread::sleep(pauses.next().unwrap_or(LONGEST_PAUSE));
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
    Err(ApiError::Refused(Box::new(Problem { status: status.as_u16(), ..problem })))
}
