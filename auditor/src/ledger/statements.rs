//! Certificate statements and exits, checked again from the calldata that brought them.
//!
//! A proof, or an opening, shows by itself that it is right: it does not matter where in the calldata it stands. So a
//! statement that came through another contract (a wallet that is one, a batch of calls) is verified as long as the
//! calldata of its transaction has it whole. Where it does not, nobody can tell, and the audit says so.

use gridveil_protocol::{
    field::{Fr, from_bytes, reduce, to_bytes},
    instance::domain,
    operation::claim as claim_of,
    params::{STATE_DEPTH, Shape},
    poseidon::{hash2, hash4},
    version::{CircuitVersion, FIRST_CERTIFICATE},
};
use gridveil_verifier_contract::{
    Call, Calls, CertificateCall, ExitCall, ExitClaimCall, RollupEffect as Effect, RollupEvent, Word,
};

use super::{Ledger, short};
use crate::{
    certificates::{Spent, instance},
    failure::Unverified,
    proof::VerifierError,
};

/// What came of looking at one call.
enum Outcome {
    Verified,
    /// Why nobody can tell.
    Unverified(String),
    /// Clause, and what does not hold.
    Failed(&'static str, String),
}

impl Ledger<'_> {
    /// L1C.1, L1C.3 and the proof of a certificate statement.
    pub(super) fn proved(&mut self, event: &RollupEvent, spent: &Spent) {
        let what = format!("the statement with nullifier {}", short(&spent.nullifier));
        let outcome = self.looked_at(event, |ledger, call| match call {
            Call::Certify(call) if spent.is_of(call) => Some(ledger.statement(call, &event.tx)),
            Call::Certify(_) | Call::Exit(_) | Call::ExitClaim(_) => None,
        });
        self.certificates.verified += u64::from(matches!(outcome, Outcome::Verified));
        self.told(event, &what, outcome);
    }

    /// EXIT.1, EXIT.2: what left the rollup was in its last state.
    pub(super) fn opened(&mut self, event: &RollupEvent) {
        let (what, outcome) = if let Effect::Exited { community, slot, payout, balance, .. } = event.effect {
            let fits = |call: &ExitCall| {
                (call.community, call.slot, call.payout, call.balance) == (community, slot, payout, balance)
            };
            let outcome = self.looked_at(event, |ledger, call| match call {
                Call::Exit(call) if fits(call) => Some(ledger.slot(call)),
                Call::Certify(_) | Call::Exit(_) | Call::ExitClaim(_) => None,
            });
            (format!("the exit of slot {slot} of community {community}"), outcome)
        } else if let Effect::ClaimExited { claim, payout, balance, .. } = event.effect {
            let outcome = self.looked_at(event, |_, call| match call {
                Call::ExitClaim(call) if (call.payout, call.amount) == (payout, balance) => {
                    Some(opens_claim(call, &claim))
                }
                Call::Certify(_) | Call::Exit(_) | Call::ExitClaim(_) => None,
            });
            (format!("the exit of claim {}", short(&claim)), outcome)
        } else {
            return;
        };
        self.books.exits_verified += u64::from(matches!(outcome, Outcome::Verified));
        self.told(event, &what, outcome);
    }

    /// The best that the calls of an event's transaction come to; `look` passes over calls of other things.
    fn looked_at(&mut self, event: &RollupEvent, look: impl Fn(&Self, &Call) -> Option<Outcome>) -> Outcome {
        let Calls { direct, calls } = self.calls.remove(&event.tx).unwrap_or_default();
        let mut best = None;
        for outcome in calls.iter().filter_map(|call| look(self, call)) {
            let verified = matches!(outcome, Outcome::Verified);
            best = Some(outcome);
            if verified {
                break;
            }
        }
        // A transaction may have several.
        self.calls.insert(event.tx, Calls { direct, calls });
        match best {
            None if direct => Outcome::Failed("L1.CALLDATA", "event and calldata differ".to_owned()),
            None => Outcome::Unverified("the calldata of its transaction does not have it".to_owned()),
            // Inside another call there may be one that was not made.
            Some(Outcome::Failed(_, what)) if !direct => {
                Outcome::Unverified(format!("the calldata of its transaction has it otherwise: {what}"))
            }
            Some(best) => best,
        }
    }

    fn told(&mut self, event: &RollupEvent, what: &str, outcome: Outcome) {
        match outcome {
            Outcome::Verified => {}
            Outcome::Failed(clause, why) => self.fail(clause, format!("block {}, {what}: {why}", event.block)),
            Outcome::Unverified(why) => self.unverified.push(Unverified {
                block: event.block,
                tx: hex::encode(event.tx),
                what: format!("{what}: {why}"),
            }),
        }
    }

    fn statement(&self, call: &CertificateCall, tx: &Word) -> Outcome {
        let version = u64::from(call.circuit_version);
        if version < FIRST_CERTIFICATE {
            return Outcome::Failed("L1C.1", format!("version {version} is no certificate circuit's"));
        }
        if self.retired_versions.contains(&call.circuit_version) {
            return Outcome::Failed("L1.6", format!("circuit version {version} was retired"));
        }
        if !self.roots.contains_key(&call.anchor) {
            return Outcome::Failed("L1C.3", "it is proved under a root that was never final".to_owned());
        }
        let domain = domain(self.settled.chain_id, &self.settled.contract, version);
        let Some(instance) = instance(call, domain) else {
            return Outcome::Failed("L1C.5", "a word that is not below the modulus".to_owned());
        };
        if self.settled.remembered.contains(tx) {
            return Outcome::Verified;
        }
        match self.settled.verifier.verify_certificate(CircuitVersion::new(version), &instance.rows(), &call.proof) {
            Ok(true) => Outcome::Verified,
            Ok(false) => Outcome::Failed("PROOF", "its proof does not hold".to_owned()),
            Err(error @ (VerifierError::Missing { .. } | VerifierError::Key(_))) => {
                Outcome::Unverified(error.to_string())
            }
        }
    }

    fn slot(&self, call: &ExitCall) -> Outcome {
        let shape = self.settled.communities.get(&call.community).and_then(|params| Shape::by_id(params.shape));
        let Some(shape) = shape else {
            return Outcome::Failed("EXIT.2", format!("community {} has no known shape", call.community));
        };
        let members = levels(shape.members);
        if call.siblings.len() != 3 * (members + STATE_DEPTH) {
            return Outcome::Failed("EXIT.1", format!("its path has {} siblings", call.siblings.len()));
        }
        match root(call, members) {
            Some(root) if self.is_last_of(call.community, &to_bytes(&root)) => Outcome::Verified,
            _ => Outcome::Failed("EXIT.2", "its opening does not lead to the last state root".to_owned()),
        }
    }
}

impl Ledger<'_> {
    /// Does this root have the community's last state? Every root since a community was closed does.
    fn is_last_of(&self, community: u32, root: &Word) -> bool {
        match self.closed_after.get(&community) {
            Some(closed_after) => self.roots.get(root).is_some_and(|batch| batch >= closed_after),
            None => *root == self.root,
        }
    }
}

/// Levels of the dense tree of arity 4 over so many slots.
fn levels(slots: usize) -> usize {
    std::iter::successors(Some(slots), |slots| Some(slots.div_ceil(4))).take_while(|slots| *slots > 1).count()
}

/// As the contract takes a word: modulo the field's modulus.
fn element(word: &Word) -> Fr {
    from_bytes(word).unwrap_or_else(|_| reduce(word))
}

/// The state root that an opening leads to; `members` of its levels are the members tree's.
fn root(call: &ExitCall, members: usize) -> Option<Fr> {
    let exit = hash4([Fr::from(call.balance), reduce(&call.payout), element(&call.s1), element(&call.s2)]);
    let leaf = hash2(exit, element(&call.private_commitment));
    let (below, above) = call.siblings.split_at_checked(3 * members)?;
    let members_root = climb(leaf, call.slot, below);
    let node = hash4([element(&call.header_leaf), members_root, element(&call.certificates_root), Fr::from(0u64)]);
    Some(climb(node, call.community, above))
}

/// From the node at `index` up, three siblings a level, left to right.
fn climb(node: Fr, mut index: u32, siblings: &[Word]) -> Fr {
    siblings.chunks_exact(3).fold(node, |node, others| {
        let mut others = others.iter().map(element);
        let place = index % 4;
        index /= 4;
        hash4(std::array::from_fn(|child| {
            if u32::try_from(child) == Ok(place) { node } else { others.next().unwrap_or_default() }
        }))
    })
}

fn opens_claim(call: &ExitClaimCall, claim: &Word) -> Outcome {
    let salts = [element(&call.sa), element(&call.sb)];
    if to_bytes(&claim_of(element(&call.recipient), call.amount, &call.payout, salts)) == *claim {
        Outcome::Verified
    } else {
        Outcome::Failed("EXIT.2", "its opening is another claim's".to_owned())
    }
}
