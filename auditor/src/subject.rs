//! What was audited: which chain, contract and block, with which terms.

use std::collections::BTreeMap;

use gridveil_protocol::{hex::hex0, params::Shape};
use gridveil_verifier_contract::{
    Address, Block, CommunityParams, RollupEffect, RollupEvent, SettledBatch,
    deployment::{INSECURE, Terms},
    verifiers::COMMITTED,
};
use serde::Serialize;

use crate::date::utc;

/// What was audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Chain.
    pub chain_id: u64,
    /// Rollup contract, hex.
    pub contract: String,
    /// The last block that was looked at.
    pub block: u64,
    /// Its hash, hex.
    pub block_hash: String,
    /// Does everything that was read follow from that hash? If not, the node was believed as to what the chain is.
    pub proven: bool,
    /// Its time, unix seconds.
    pub time_s: u64,
    /// The same, UTC.
    pub date: String,
    /// Token, deadlines and what else is fixed; none where the client cannot tell.
    pub terms: Option<Terms>,
    /// The parameters of the proofs, as far as they are known.
    pub setup: String,
    /// Start of the first interval that was settled, UTC.
    pub first_settled: Option<String>,
    /// End of the last interval that was settled, UTC.
    pub last_settled: Option<String>,
    /// Communities, in order of their index.
    pub communities: Vec<CommunitySubject>,
}

/// One community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommunitySubject {
    /// Index.
    pub community: u32,
    /// Shape's name, or its number if it is not known.
    pub shape: String,
    /// Seconds of an interval.
    pub interval_length_s: u16,
    /// Intervals of a period.
    pub intervals: u16,
    /// Periods that were settled.
    pub periods: u64,
    /// Start of the first one, UTC.
    pub from: Option<String>,
    /// End of the last one, UTC.
    pub until: Option<String>,
}

/// Seconds in which a community's settled periods begin and end, and how many they are.
type Settled = BTreeMap<u32, (u64, u64, u64)>;

impl Subject {
    pub(crate) fn new(
        (chain_id, contract, block): (u64, Address, Block),
        terms: Option<Terms>,
        setup: String,
        communities: &BTreeMap<u32, CommunityParams>,
        batches: &[SettledBatch],
    ) -> Self {
        let mut settled = Settled::new();
        for call in batches.iter().map(|batch| &batch.call) {
            let Some(params) = communities.get(&call.community) else { continue };
            let length = u64::from(params.interval_length_s);
            let from = u64::from(call.first_interval) * length;
            let until = from + u64::from(params.m) * length;
            let (first, last, periods) = settled.entry(call.community).or_insert((from, until, 0));
            (*first, *last, *periods) = ((*first).min(from), (*last).max(until), *periods + 1);
        }
        let of = |params: &CommunityParams| {
            let found = settled.get(&params.community);
            CommunitySubject {
                community: params.community,
                shape: Shape::by_id(params.shape)
                    .map_or_else(|| params.shape.to_string(), |shape| shape.name.to_owned()),
                interval_length_s: params.interval_length_s,
                intervals: params.m,
                periods: found.map_or(0, |(.., periods)| *periods),
                from: found.map(|(from, ..)| utc(*from)),
                until: found.map(|(_, until, _)| utc(*until)),
            }
        };
        Self {
            chain_id,
            contract: hex0(contract),
            block: block.number,
            block_hash: hex0(block.hash),
            proven: false,
            time_s: block.time_s,
            date: utc(block.time_s),
            terms,
            setup,
            first_settled: settled.values().map(|(from, ..)| *from).min().map(utc),
            last_settled: settled.values().map(|(_, until, _)| *until).max().map(utc),
            communities: communities.values().map(of).collect(),
        }
    }

    /// The time that is settled, of all communities together.
    #[must_use]
    pub fn span(&self) -> String {
        match (&self.first_settled, &self.last_settled) {
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "nothing".to_owned(),
        }
    }

    /// How far the node was believed.
    #[must_use]
    pub const fn believed(&self) -> &'static str {
        if self.proven {
            "not believed: everything follows from the block hash"
        } else {
            "believed as to what the chain is"
        }
    }

    /// Are the proofs of the development setup, under which anyone forges them?
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.setup.contains(INSECURE)
    }
}

/// The setup, by what is known of it: a proof that holds under its parameters, or a verifier whose code is committed.
pub(crate) fn setup(of_proofs: Option<String>, proofs: u64, events: &[RollupEvent]) -> String {
    let committed = |hash: &[u8; 32]| COMMITTED.iter().any(|verifier| verifier.code_hash == hex::encode(hash));
    let dev = events
        .iter()
        .any(|event| matches!(&event.effect, RollupEffect::VerifierRegistered { codehash, .. } if committed(codehash)));
    match of_proofs {
        _ if dev => format!("{INSECURE}-dev: a registered verifier is the one that is committed for local chains"),
        Some(name) if proofs > 0 => format!("{name}: the proofs hold under it"),
        _ => "not known: no proof was verified, and no registered verifier is a committed one".to_owned(),
    }
}
