//! The facts a member takes from L1 itself: is this root final, which tariff was registered, and how L1 stands with the
//! account ([`Standing`]).
//!
//! Plain JSON-RPC `eth_call`s to views of the rollup and of its registry. Every argument and result is a static word, so
//! the encoding is words in order.

use std::{io::Read, sync::OnceLock, time::Duration};

use gridveil_protocol::{
    field::{Fr, from_bytes, to_bytes},
    hex::hex0,
    units::Interval,
};
use serde::Deserialize;
use sha3::{Digest, Keccak256};

use crate::{calendar::PeriodAt, http};

const MAX_ANSWER: u64 = 1 << 20;

/// Why L1 does not answer. A failed call is never taken for a "no".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// The address is none of HTTP.
    #[error("the L1 node's address must start with https:// or, in a network you trust, with http://")]
    Address,
    /// No connection, or no answer in time.
    #[error("the L1 node does not answer")]
    Unreachable,
    /// TLS does not trust the node.
    #[error(
        "the L1 node's certificate is not trusted ({0}): check the address, or name its authority in SSL_CERT_FILE"
    )]
    Certificate(String),
    /// An RPC error, or something that is no answer.
    #[error("the L1 node's answer to {0} is an error or malformed")]
    Answer(&'static str),
    /// The community is not registered.
    #[error("community {0} is not registered on L1")]
    UnknownCommunity(u32),
    /// No tariff was in force.
    #[error("no tariff was in force for community {community} in the {period}")]
    NoTariff {
        /// Community index.
        community: u32,
        /// The period.
        period: PeriodAt,
    },
}

/// What a statement asks of L1.
pub trait Roots {
    /// Was `root` ever the contract's state root?
    ///
    /// # Errors
    /// [`L1Error`].
    fn is_finalised(&self, root: Fr) -> Result<bool, L1Error>;

    /// Commitment of the tariff in force for the community's period from `first_interval`.
    ///
    /// # Errors
    /// [`L1Error`].
    fn tariff_commitment(&self, community: u32, first_interval: Interval) -> Result<Fr, L1Error>;
}

/// How a community ends (`docs/spec/l1.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// No end was announced.
    Open,
    /// An end was announced; it still settles.
    Closing,
    /// It serves who waits, and takes no more.
    Ending,
    /// No batch of it settles any more. Its members exit.
    Closed,
}

/// How L1 stands with a member's slot now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The contract's state root.
    pub root: Fr,
    /// Nothing is settled any more, for ever.
    pub frozen: bool,
    /// Of the community.
    pub ending: Ending,
    /// A verifier is proven unsound: members may exit.
    pub emergency: bool,
    /// The slot's balance was taken out by an exit.
    pub exited: bool,
    /// Unix second up to which the community is settled; 0 before its first batch.
    pub settled_through_s: u64,
    /// Seconds of an interval of the community.
    pub interval_length: u16,
    /// Intervals of a period.
    pub intervals: u16,
}

/// Whether an account goes on, by what L1 says: the first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// It was taken out by an exit.
    Exited,
    /// The rollup is frozen.
    Frozen,
    /// The community is closed.
    Closed,
    /// A verifier is proven unsound.
    Unsound,
    /// The end of the community is announced.
    Closing,
    /// The community serves who waits on L1, and no more.
    Ending,
    /// As ever.
    Open,
}

impl Going {
    /// For machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Frozen => "frozen",
            Self::Closed => "closed",
            Self::Unsound => "unsound",
            Self::Closing => "closing",
            Self::Ending => "ending",
            Self::Open => "open",
        }
    }

    /// For a person: what holds, and what to do.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Exited => "taken out by an exit: nothing of it is settled any more",
            Self::Frozen => "frozen: nothing is settled any more; leave with member exit",
            Self::Closed => "the community is closed; leave with member exit",
            Self::Unsound => "a verifier is proven unsound: member exit leaves, and closes the community",
            Self::Closing => "open; the end of the community is announced",
            Self::Ending => "the community ends: it serves who waits on L1, and no more",
            Self::Open => "open",
        }
    }

    /// Is nothing settled for now or for ever, and something to be fetched with `member exit`?
    #[must_use]
    pub const fn is_stopped(self) -> bool {
        match self {
            Self::Frozen | Self::Closed | Self::Unsound => true,
            Self::Exited | Self::Closing | Self::Ending | Self::Open => false,
        }
    }
}

impl Standing {
    /// Does the account go on?
    #[must_use]
    pub const fn going(&self) -> Going {
        match (self.frozen, self.ending, self.emergency) {
            (_, _, _) if self.exited => Going::Exited,
            (true, ..) => Going::Frozen,
            (_, Ending::Closed, _) => Going::Closed,
            (_, _, true) => Going::Unsound,
            (_, Ending::Closing, _) => Going::Closing,
            (_, Ending::Ending, _) => Going::Ending,
            (_, Ending::Open, _) => Going::Open,
        }
    }
}

type Word = [u8; 32];

fn number(x: u64) -> Word {
    let mut out = [0; 32];
    out[24..].copy_from_slice(&x.to_be_bytes());
    out
}

/// An account's address; nothing is at zero.
fn as_address(word: &Word) -> Option<[u8; 20]> {
    let (high, low) = word.split_at(12);
    low.try_into().ok().filter(|address| high.iter().all(|b| *b == 0) && *address != [0; 20])
}

fn as_u64(word: &Word) -> Option<u64> {
    let (high, low) = word.split_at(24);
    if high.iter().all(|b| *b == 0) { low.try_into().ok().map(u64::from_be_bytes) } else { None }
}

/// Calldata of a view with static arguments.
fn calldata(signature: &str, words: &[Word]) -> Vec<u8> {
    let selector = Keccak256::digest(signature.as_bytes());
    let mut out = selector.get(..4).unwrap_or_default().to_vec();
    out.extend(words.iter().flatten());
    out
}

/// A view: signature, name in errors, words of its result.
#[derive(Clone, Copy)]
struct View(&'static str, &'static str, usize);

const IS_FINALISED: View = View("isFinalised(bytes32)", "isFinalised", 1);
const REGISTRY: View = View("registry()", "registry", 1);
const COMMUNITY_OF: View = View("communityOf(uint32)", "communityOf", 5);
const TARIFF_IN_FORCE: View = View("tariffInForce(uint32,uint256)", "tariffInForce", 2);
const STATE_ROOT: View = View("stateRoot()", "stateRoot", 1);
const IS_FROZEN: View = View("isFrozen()", "isFrozen", 1);
const SETTLED_THROUGH: View = View("settledThrough(uint32)", "settledThrough", 1);
const HAS_EXITED: View = View("hasExited(uint32,uint32)", "hasExited", 1);
const END_OF: View = View("endOf(uint32)", "endOf", 3);
const IN_EMERGENCY: View = View("inEmergency(uint32)", "inEmergency", 1);

/// The contract, seen through one node.
#[derive(Debug)]
pub struct JsonRpc {
    url: String,
    contract: [u8; 20],
    /// The contract's registry, once it was asked for.
    registry: OnceLock<[u8; 20]>,
    client: reqwest::blocking::Client,
}

#[derive(Deserialize)]
struct Answer {
    result: Option<String>,
}

impl JsonRpc {
    /// Contract `contract` through the node at `url`.
    ///
    /// # Errors
    /// [`L1Error::Address`].
    pub fn new(url: &str, contract: [u8; 20]) -> Result<Self, L1Error> {
        let client = http::client(url, Duration::from_secs(20)).ok_or(L1Error::Address)?;
        Ok(Self { url: url.to_owned(), contract, registry: OnceLock::new(), client })
    }

    /// The chain the node is on.
    ///
    /// # Errors
    /// [`L1Error`].
    pub fn chain_id(&self) -> Result<u64, L1Error> {
        let result = self.rpc("eth_chainId", serde_json::json!([]), "eth_chainId")?;
        u64::from_str_radix(result.strip_prefix("0x").unwrap_or(""), 16).map_err(|_| L1Error::Answer("eth_chainId"))
    }

    fn rpc(&self, method: &str, params: serde_json::Value, what: &'static str) -> Result<String, L1Error> {
        let request = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let failed = |error: reqwest::Error| http::distrust(&error).map_or(L1Error::Unreachable, L1Error::Certificate);
        let answer = self.client.post(&self.url).json(&request).send().map_err(failed)?;
        let mut body = Vec::new();
        answer.take(MAX_ANSWER).read_to_end(&mut body).map_err(|_| L1Error::Unreachable)?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| L1Error::Answer(what))?;
        answer.result.ok_or(L1Error::Answer(what))
    }

    fn call(&self, to: [u8; 20], view: View, words: &[Word]) -> Result<Vec<Word>, L1Error> {
        let View(signature, name, expected) = view;
        let data = hex0(calldata(signature, words));
        let result = self.rpc("eth_call", serde_json::json!([{"to": hex0(to), "data": data}, "latest"]), name)?;
        let bytes = hex::decode(result.strip_prefix("0x").unwrap_or("")).map_err(|_| L1Error::Answer(name))?;
        let (words, rest) = bytes.as_chunks::<32>();
        if words.len() == expected && rest.is_empty() { Ok(words.to_vec()) } else { Err(L1Error::Answer(name)) }
    }

    fn flag(&self, to: [u8; 20], view: View, words: &[Word]) -> Result<bool, L1Error> {
        match self.call(to, view, words)?.first().and_then(as_u64) {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(L1Error::Answer(view.1)),
        }
    }

    /// Interval length in seconds, intervals of a period, and tariff set of a registered community.
    fn community(&self, community: u32) -> Result<(u16, u16, u64), L1Error> {
        let words = self.call(self.registry()?, COMMUNITY_OF, &[number(u64::from(community))])?;
        let numbers: Option<Vec<u64>> = words.iter().map(as_u64).collect();
        match numbers.as_deref() {
            Some([1, length, intervals, _, set]) => {
                let short = |number: &u64| u16::try_from(*number).map_err(|_| L1Error::Answer(COMMUNITY_OF.1));
                Ok((short(length)?, short(intervals)?, *set))
            }
            Some([0, ..]) => Err(L1Error::UnknownCommunity(community)),
            _ => Err(L1Error::Answer(COMMUNITY_OF.1)),
        }
    }

    /// How L1 stands with a slot now.
    ///
    /// # Errors
    /// [`L1Error`]; [`L1Error::UnknownCommunity`] if the community is not registered.
    pub fn standing(&self, community: u32, slot: u16) -> Result<Standing, L1Error> {
        let (place, rollup) = ([number(u64::from(community)), number(u64::from(slot))], self.contract);
        let (interval_length, intervals, _) = self.community(community)?;
        let registry = self.registry()?;
        let root = self.call(rollup, STATE_ROOT, &[])?;
        let root = root.first().and_then(|word| from_bytes(word).ok()).ok_or(L1Error::Answer(STATE_ROOT.1))?;
        let ending = match self.call(registry, END_OF, &place[..1])?.first().and_then(as_u64) {
            Some(0) => Ending::Open,
            Some(1) => Ending::Closing,
            Some(2) => Ending::Ending,
            Some(3) => Ending::Closed,
            _ => return Err(L1Error::Answer(END_OF.1)),
        };
        let through = self.call(rollup, SETTLED_THROUGH, &place[..1])?;
        let settled_through_s = through.first().and_then(as_u64).ok_or(L1Error::Answer(SETTLED_THROUGH.1))?;
        Ok(Standing {
            root,
            frozen: self.flag(rollup, IS_FROZEN, &[])?,
            ending,
            emergency: self.flag(registry, IN_EMERGENCY, &place[..1])?,
            exited: self.flag(rollup, HAS_EXITED, &place)?,
            settled_through_s,
            interval_length,
            intervals,
        })
    }

    fn registry(&self) -> Result<[u8; 20], L1Error> {
        if let Some(registry) = self.registry.get() {
            return Ok(*registry);
        }
        let words = self.call(self.contract, REGISTRY, &[])?;
        let registry = words.first().and_then(as_address).ok_or(L1Error::Answer(REGISTRY.1))?;
        Ok(*self.registry.get_or_init(|| registry))
    }
}

impl Roots for JsonRpc {
    fn is_finalised(&self, root: Fr) -> Result<bool, L1Error> {
        self.flag(self.contract, IS_FINALISED, &[to_bytes(&root)])
    }

    fn tariff_commitment(&self, community: u32, first_interval: Interval) -> Result<Fr, L1Error> {
        let (length_s, _, set) = self.community(community)?;
        let registry = self.registry()?;
        match self.call(registry, TARIFF_IN_FORCE, &[number(set), number(u64::from(first_interval))])?.as_slice() {
            [found, commitment] if as_u64(found) == Some(1) => {
                from_bytes(commitment).map_err(|_| L1Error::Answer(TARIFF_IN_FORCE.1))
            }
            [found, _] if as_u64(found) == Some(0) => {
                Err(L1Error::NoTariff { community, period: PeriodAt::new(first_interval, length_s) })
            }
            _ => Err(L1Error::Answer(TARIFF_IN_FORCE.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calldata_is_selector_and_words() {
        // transfer(address,uint256) is the selector everybody knows.
        assert_eq!(calldata("transfer(address,uint256)", &[])[..], [0xa9, 0x05, 0x9c, 0xbb]);
        let data = calldata(TARIFF_IN_FORCE.0, &[number(7), number(258)]);
        assert_eq!(data.len(), 4 + 64);
        assert_eq!((data[35], data[66], data[67]), (7, 1, 2));
    }

    /// The contract's own interface says the same of every view used here.
    #[test]
    fn views_are_those_of_the_contract() {
        for (contract, View(signature, name, words)) in [
            ("GridveilRollup", IS_FINALISED),
            ("GridveilRollup", REGISTRY),
            ("GridveilRegistry", COMMUNITY_OF),
            ("GridveilRegistry", TARIFF_IN_FORCE),
            ("GridveilRollup", STATE_ROOT),
            ("GridveilRollup", IS_FROZEN),
            ("GridveilRollup", SETTLED_THROUGH),
            ("GridveilRollup", HAS_EXITED),
            ("GridveilRegistry", END_OF),
            ("GridveilRegistry", IN_EMERGENCY),
        ] {
            let path = format!("{}/../verifier-contract/artifacts/{contract}.json", env!("CARGO_MANIFEST_DIR"));
            let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let function = artifact["abi"].as_array().unwrap().iter().find(|f| f["name"] == name).unwrap();
            let inputs: Vec<&str> =
                function["inputs"].as_array().unwrap().iter().map(|i| i["type"].as_str().unwrap()).collect();
            assert_eq!(format!("{name}({})", inputs.join(",")), signature);
            let outputs = function["outputs"].as_array().unwrap();
            let of = |output: &serde_json::Value| output["components"].as_array().map_or(1, Vec::len);
            assert_eq!(outputs.iter().map(of).sum::<usize>(), words, "{name}");
            assert_eq!(function["stateMutability"], "view");
        }
    }

    #[test]
    fn numbers_are_whole_words() {
        assert_eq!(as_u64(&number(u64::MAX)), Some(u64::MAX));
        let mut high = number(1);
        high[23] = 1;
        assert_eq!(as_u64(&high), None);
        assert_eq!(as_address(&high).map(|address| address[11]), Some(1));
        assert_eq!(as_address(&number(0)), None);
        high[11] = 1;
        assert_eq!(as_address(&high), None);
    }
}
