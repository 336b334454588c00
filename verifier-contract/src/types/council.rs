//! A verifier that is proven unsound, and the council (docs/spec/l1.md, "Unsound verifiers").

use gridveil_protocol::{
    field::{Fr, from_bytes, to_bytes},
    instance::{Instance, data_challenge, data_evaluation, domain, period},
    units::Interval,
};
use serde::{Deserialize, Serialize};

use super::{Address, CommunityParams, SettledBatch, Word};

/// Fewest owners of a council.
pub const COUNCIL_OWNERS: usize = 8;

/// A statement of a settlement verifier, and a proof that it is said to accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenStatement {
    /// The ten instance rows of docs/spec/state.md, in order.
    pub rows: [Word; 10],
    /// The proof, of the verifier's exact length in bytes.
    pub proof: Vec<u8>,
}

impl ProvenStatement {
    /// What a settled batch stated, as L1 has composed it, and its proof; `None` for a word that is no field element.
    #[must_use]
    pub fn of(chain_id: u64, contract: &Address, params: &CommunityParams, batch: &SettledBatch) -> Option<Self> {
        let call = &batch.call;
        let element = |word: &Word| from_bytes::<Fr>(word).ok();
        let data = call.data.iter().map(element).collect::<Option<Vec<Fr>>>()?;
        let domain = domain(chain_id, contract, u64::from(call.circuit_version));
        let (old_root, new_root) = (element(&batch.old_root)?, element(&call.new_root)?);
        let (community_new, ops_digest) = (element(&call.community_new)?, element(&call.ops_digest)?);
        let z = data_challenge(&domain, &old_root, &new_root, &community_new, &ops_digest, &data);
        let instance = Instance {
            domain,
            old_root,
            new_root,
            community: Fr::from(u64::from(call.community)),
            period: period(Interval(call.first_interval), params.interval_length_s, params.m),
            tariff_commitment: element(&batch.tariff_commitment)?,
            community_new,
            ops_digest,
            z,
            y: data_evaluation(&data, &z),
        };
        Some(Self { rows: instance.rows().map(|row| to_bytes(&row)), proof: call.proof.clone() })
    }
}

/// Two statements that one verifier accepts and that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// Circuit version of the verifier.
    pub circuit_version: u32,
    /// Its shape's identifier.
    pub shape: u32,
    /// One statement.
    pub first: ProvenStatement,
    /// The other.
    pub second: ProvenStatement,
}

impl Contradiction {
    /// COUNCIL.1: can both statements be true? If not, the verifier that accepts both is unsound.
    #[must_use]
    pub fn contradicts(&self) -> bool {
        let [_, old_a, new_a, place_a, _, _, node_a, ..] = self.first.rows;
        let [_, old_b, new_b, place_b, _, _, node_b, ..] = self.second.rows;
        if old_a != old_b {
            return false;
        }
        let same_root = new_a == new_b;
        if place_a != place_b { same_root && new_a != old_a } else { same_root != (node_a == node_b) }
    }
}

/// A Safe, as far as the registry asks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Safe {
    /// Signatures that it needs.
    pub threshold: u64,
    /// Whose signatures count.
    pub owners: Vec<Address>,
}

impl Safe {
    /// COUNCIL.3: at least eight owners of whom three quarters sign.
    #[must_use]
    pub fn may_be_council(&self) -> bool {
        let owners = self.owners.len() as u64;
        self.owners.len() >= COUNCIL_OWNERS && self.threshold.saturating_mul(4) >= 3 * owners
    }
}

/// Who is the council, and who will be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appointed {
    /// The council; `None` if there is none.
    pub council: Option<Address>,
    /// Who is the council from unix seconds on, if another one was appointed that is not yet; `None`: nobody.
    pub next: Option<(Option<Address>, u64)>,
}

/// What follows for a shape from a proof that its verifier in use is unsound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Halt {
    /// Unix seconds of the proof; 0 if there was none, or a later verifier of the shape has settled since.
    pub proven_at_s: u64,
    /// Unix seconds until which no community of the shape freezes the rollup; 0 if it may at any time.
    pub held_until_s: u64,
}

impl Halt {
    /// Unix seconds at which the emergency ends if no later verifier settles before, or `None` if there is none.
    #[must_use]
    pub fn ends_s(&self, forced_deadline_s: u64) -> Option<u64> {
        (self.proven_at_s != 0).then(|| self.proven_at_s.saturating_add(2 * forced_deadline_s))
    }

    /// Does the emergency last at this time?
    #[must_use]
    pub fn lasts(&self, now_s: u64, forced_deadline_s: u64) -> bool {
        self.ends_s(forced_deadline_s).is_some_and(|ends_s| now_s <= ends_s)
    }

    /// May the council shorten a delay now? A verifier that it hastens is active a forced deadline later, and the
    /// emergency must last until then.
    #[must_use]
    pub fn may_hasten(&self, now_s: u64, forced_deadline_s: u64) -> bool {
        self.lasts(now_s.saturating_add(forced_deadline_s), forced_deadline_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(value: u8) -> Word {
        let mut word = [0; 32];
        word[31] = value;
        word
    }

    fn statement() -> ProvenStatement {
        ProvenStatement { rows: [1, 2, 0x77, 7, 4, 5, 0x66, 0, 8, 9].map(word), proof: Vec::new() }
    }

    fn contradicts(change: impl FnOnce(&mut [Word; 10])) -> bool {
        let mut second = statement();
        change(&mut second.rows);
        let one = Contradiction { circuit_version: 2, shape: 1, first: statement(), second };
        let other = Contradiction { first: one.second.clone(), second: one.first.clone(), ..one };
        assert_eq!(one.contradicts(), other.contradicts());
        one.contradicts()
    }

    /// COUNCIL.1, as `Council.t.sol` has it.
    #[test]
    fn what_contradicts_and_what_does_not() {
        assert!(contradicts(|b| b[2] = word(0x78)), "one node, two roots");
        assert!(contradicts(|b| b[6] = word(0x67)), "one root, two nodes");
        assert!(contradicts(|b| (b[3], b[6]) = (word(8), word(0x99))), "one root through two places");
        assert!(!contradicts(|_| {}), "the same twice");
        assert!(!contradicts(|b| (b[2], b[6]) = (word(0x78), word(0x67))), "two batches of one period");
        assert!(!contradicts(|b| (b[1], b[2]) = (word(3), word(0x78))), "of two old roots");
        assert!(!contradicts(|b| (b[2], b[3]) = (word(0x78), word(8))), "two communities");
        assert!(!contradicts(|b| (b[4], b[5], b[7], b[8], b[9]) = (word(1), word(2), word(3), word(4), word(5))));
    }

    /// COUNCIL.3, COUNCIL.4.
    #[test]
    fn who_may_be_the_council_and_until_when_it_acts() {
        let safe = |threshold, owners| Safe { threshold, owners: vec![[1; 20]; owners] };
        assert!(safe(6, 8).may_be_council() && safe(8, 10).may_be_council());
        assert!(!safe(5, 8).may_be_council() && !safe(7, 7).may_be_council() && !safe(7, 10).may_be_council());
        let halt = Halt { proven_at_s: 100, held_until_s: 0 };
        assert_eq!((Halt::default().ends_s(10), halt.ends_s(10)), (None, Some(120)));
        assert!(halt.lasts(120, 10) && !halt.lasts(121, 10) && !Halt::default().lasts(0, 10));
        assert!(halt.may_hasten(110, 10) && !halt.may_hasten(111, 10));
    }
}
