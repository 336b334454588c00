//! The fake's rules for verifiers that are proven unsound, and for the council (COUNCIL.1 to COUNCIL.6).

use std::collections::HashMap;

use gridveil_protocol::{field::to_bytes, instance::domain};

use super::MODULUS;
use super::notes::CERTIFICATE_VERSION;
use super::rules::{State, require, reverted};
use crate::client::L1Error;
use crate::types::{
    Address, Appointed, Contradiction, ExitCall, Halt, ProvenStatement, RollupEffect, Safe, Stage, TxReceipt, Word,
};

/// nano in a unit.
const UNIT_NANO: u64 = 10_000_000;
/// Communities in the state tree.
const MAX_COMMUNITIES: u32 = 65_536;

/// What the fake keeps of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Council {
    /// Until the one that was appointed last is.
    before: Option<Address>,
    /// Appointed last, and from when on.
    appointed: Option<(Option<Address>, u64)>,
    pub(super) safes: HashMap<Address, Safe>,
    halts: HashMap<u32, Halt>,
    /// Unix seconds until which the members of all communities may leave.
    leave_until_s: u64,
}

impl State {
    pub(super) fn council(&self) -> Option<Address> {
        match self.council.appointed {
            Some((appointed, from_s)) if from_s <= self.timestamp => appointed,
            _ => self.council.before,
        }
    }

    pub(super) fn appointed(&self) -> Appointed {
        let next = self.council.appointed.filter(|(_, from_s)| *from_s > self.timestamp);
        Appointed { council: self.council(), next }
    }

    fn require_safe(&self, account: &Address) -> Result<(), L1Error> {
        // An account without code says nothing at all.
        let Some(safe) = self.council.safes.get(account) else { return reverted("unknown") };
        require(safe.may_be_council(), "NotCouncil")
    }

    pub(super) fn appoint_council(&mut self, council: Option<Address>) -> Result<TxReceipt, L1Error> {
        if let Some(council) = &council {
            self.require_safe(council)?;
        }
        let from = self.timestamp + self.config.terms.verifier_delay_s;
        self.council.before = self.council();
        self.council.appointed = Some((council, from));
        Ok(self.mine_with(vec![RollupEffect::CouncilAppointed { council: council.unwrap_or_default(), from }]))
    }

    fn require_statement(&self, statement: &ProvenStatement, domain: &Word) -> Result<(), L1Error> {
        let [own, _, _, community, ..] = &statement.rows;
        let (high, low) = community.split_at(28);
        let place = high.iter().all(|byte| *byte == 0) && low < &MAX_COMMUNITIES.to_be_bytes()[..];
        require(own == domain && place && statement.rows.iter().all(|row| *row < MODULUS), "NotAStatement")
    }

    fn require_accepted(&self, statement: &ProvenStatement) -> Result<(), L1Error> {
        let length = self.config.proof_length.is_none_or(|length| length == statement.proof.len());
        require(length, "ProofLength")?;
        let [_, old_root, ..] = &statement.rows;
        let about = !self.config.proofs_name_their_root || statement.proof.starts_with(old_root);
        require(about, "ProofRejected")
    }

    /// One node in one place leads to two roots.
    pub(super) fn contradiction(&self, circuit_version: u32, shape: u32) -> Contradiction {
        let word = |value: u8| {
            let mut word = [0; 32];
            word[31] = value;
            word
        };
        let domain = to_bytes(&domain(self.config.chain_id, &self.config.contract, circuit_version.into()));
        let root = self.root();
        let mut proof = root.to_vec();
        proof.resize(self.config.proof_length.unwrap_or(proof.len()), 0);
        let [community, node, other] = [word(7), word(0x66), word(1)];
        let stated = |new_root| ProvenStatement {
            rows: [domain, root, new_root, community, other, other, node, other, other, other],
            proof: proof.clone(),
        };
        Contradiction { circuit_version, shape, first: stated(word(0x77)), second: stated(word(0x78)) }
    }

    pub(super) fn prove_unsound(&mut self, contradiction: &Contradiction) -> Result<TxReceipt, L1Error> {
        let Contradiction { circuit_version, shape, ref first, ref second } = *contradiction;
        let key = (circuit_version, shape);
        let in_use = self.verifiers.get(&key).is_some_and(|verifier| verifier.used && !verifier.unsound)
            && !self.retired.contains(&circuit_version);
        require(in_use && circuit_version < CERTIFICATE_VERSION, "NotInUse")?;
        require(!self.frozen, "IsFrozen")?;
        let domain = to_bytes(&domain(self.config.chain_id, &self.config.contract, circuit_version.into()));
        for statement in [first, second] {
            self.require_statement(statement, &domain)?;
        }
        require(contradiction.contradicts(), "NoContradiction")?;
        for statement in [first, second] {
            self.require_accepted(statement)?;
        }
        let now = self.timestamp;
        let held_until_s = if self.council().is_none() { 0 } else { now + 2 * self.config.terms.forced_deadline_s };
        self.council.halts.insert(shape, Halt { proven_at_s: now, held_until_s });
        let Some(verifier) = self.verifiers.get_mut(&key) else { return reverted("NotInUse") };
        verifier.unsound = true;
        let verifier = verifier.address;
        Ok(self.mine_with(vec![RollupEffect::VerifierUnsound { circuit_version, shape, verifier }]))
    }

    pub(super) fn hasten(&mut self, circuit_version: u32, shape: u32) -> Result<TxReceipt, L1Error> {
        require(self.council() == Some(self.caller), "OnlyCouncil")?;
        self.require_safe(&self.caller)?;
        let deadline_s = self.config.terms.forced_deadline_s;
        require(self.halt_of(shape).may_hasten(self.timestamp, deadline_s), "NoEmergency")?;
        let active_from = self.timestamp + deadline_s;
        let settles = circuit_version < CERTIFICATE_VERSION;
        let Some(verifier) = self.verifiers.get_mut(&(circuit_version, shape)).filter(|_| settles) else {
            return reverted("UnknownVerifier");
        };
        require(!verifier.used && !verifier.hastened, "AlreadyHastened")?;
        (verifier.active_from, verifier.hastened) = (active_from, true);
        self.council.leave_until_s = active_from;
        Ok(self.mine_with(vec![RollupEffect::VerifierHastened { circuit_version, shape, active_from }]))
    }

    pub(super) fn halt_of(&self, shape: u32) -> Halt {
        self.council.halts.get(&shape).copied().unwrap_or_default()
    }

    pub(super) fn emergency_lasts(&self, shape: u32) -> bool {
        self.halt_of(shape).lasts(self.timestamp, self.config.terms.forced_deadline_s)
    }

    /// A later verifier of the shape has settled.
    pub(super) fn resume(&mut self, shape: u32) {
        if let Some(halt) = self.council.halts.get_mut(&shape) {
            halt.proven_at_s = 0;
        }
    }

    pub(super) fn in_emergency(&self, community: u32) -> Result<bool, L1Error> {
        let Some((params, _)) = self.communities.get(&community) else { return reverted("UnknownCommunity") };
        let may_leave = self.emergency_lasts(params.shape) || self.timestamp < self.council.leave_until_s;
        Ok(!self.frozen && may_leave)
    }

    /// Unix seconds until which a community does not freeze the rollup; 0 if it may at any time.
    pub(super) fn held_until(&self, community: u32) -> u64 {
        self.communities.get(&community).map_or(0, |(params, _)| self.halt_of(params.shape).held_until_s)
    }

    pub(super) fn exit(&mut self, call: &ExitCall) -> Result<TxReceipt, L1Error> {
        let community = call.community;
        let closed = self.end_of(community).stage == Stage::Closed;
        let emergency = !closed && !self.frozen;
        if emergency {
            require(call.balance >= UNIT_NANO && self.in_emergency(community)?, "NotFrozen")?;
        }
        let Some((params, _)) = self.communities.get(&community).copied() else {
            return reverted("UnknownCommunity");
        };
        require(call.slot < self.slots(params.shape), "SlotOutOfRange")?;
        // The slot keeps its balance in the state: no batch may ever move it.
        let mut end = self.end_of(community);
        let last_batch = self.batches.len() as u64;
        let closing = emergency.then_some(RollupEffect::CommunityClosed { community, last_batch });
        let receipt = self.transact(|books, context| {
            let effects = books.exit(context, call)?;
            Ok(closing.into_iter().chain(effects).collect())
        })?;
        if emergency {
            (end.stage, end.closed_after) = (Stage::Closed, last_batch);
            self.ends.insert(community, end);
        }
        Ok(receipt)
    }
}
