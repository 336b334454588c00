//! Which circuit version each batch was settled under, and how its proof is known to hold.
//!
//! A chain lives longer than one circuit. For a version whose keys the auditor has, it verifies the proof itself. For
//! one that it knows only by the code of its verifier contract, it relies on the contract, and says so: the contract
//! accepts a batch only after a call of that code (L1.6, L1.7). Any other version is missing.

use std::collections::{BTreeMap, BTreeSet};

use gridveil_protocol::version::CircuitVersion;
use gridveil_verifier_contract::{Address, CommunityParams, RollupEffect as Effect, RollupEvent, Word};
use serde::Serialize;

use crate::failure::Failure;

/// Batch numbers, as the first and the last of each run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BatchRanges(Vec<(u64, u64)>);

impl BatchRanges {
    /// Takes in the next batch.
    fn add(&mut self, batch: u64) {
        match self.0.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(batch) => *last = batch,
            _ => self.0.push((batch, batch)),
        }
    }

    /// How many batches.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Runs of consecutive batches.
    #[must_use]
    pub fn runs(&self) -> &[(u64, u64)] {
        &self.0
    }
}

impl std::fmt::Display for BatchRanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, (first, last)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

/// One circuit version in one shape, as this chain used it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionUse {
    /// Circuit version.
    pub version: CircuitVersion,
    /// Shape's id.
    pub shape: u32,
    /// Batches whose proof was verified here, and holds.
    pub native: BatchRanges,
    /// Batches that only the verifier contract checked, whose code this auditor recognises.
    pub by_verifier: BatchRanges,
    /// Batches of which nobody but the contract knows anything: the version is missing.
    pub missing: BatchRanges,
    /// keccak256 of the code L1 registered as verifier, hex.
    pub code_hash: Option<String>,
    /// Name of the verifier artifact with that code.
    pub recognised: Option<String>,
    /// The batch that was a later verifier's first (L1.11); `None` for a constructor's.
    pub first_used: Option<u64>,
}

/// A verifier as the events tell of it.
struct Registered {
    verifier: Address,
    code_hash: Word,
    /// By the constructor: it need not wait (L1.11).
    first: bool,
    first_used: Option<Word>,
}

/// Names the artifact whose code has a hash, if there is one.
pub(crate) type Recognise<'a> = &'a dyn Fn(CircuitVersion, u32, &Word) -> Option<String>;

/// What became of the batches, by version and shape.
#[derive(Default)]
pub(crate) struct Versions {
    uses: BTreeMap<(CircuitVersion, u32), VersionUse>,
    unchecked: Vec<(u64, CircuitVersion, u32)>,
}

impl Versions {
    fn of(&mut self, version: CircuitVersion, shape: u32) -> &mut VersionUse {
        self.uses.entry((version, shape)).or_insert_with(|| VersionUse {
            version,
            shape,
            native: BatchRanges::default(),
            by_verifier: BatchRanges::default(),
            missing: BatchRanges::default(),
            code_hash: None,
            recognised: None,
            first_used: None,
        })
    }

    /// The batch's proof was verified here.
    pub(crate) fn native(&mut self, batch: u64, version: CircuitVersion, shape: u32) {
        self.of(version, shape).native.add(batch);
    }

    /// There was no key for it.
    pub(crate) fn unchecked(&mut self, batch: u64, version: CircuitVersion, shape: u32) {
        self.unchecked.push((batch, version, shape));
    }

    /// Reads registrations and uses of verifiers, up to batch `count`; then says of every batch without a key who
    /// checked it.
    pub(crate) fn read(
        &mut self,
        events: &[RollupEvent],
        count: u64,
        communities: &BTreeMap<u32, CommunityParams>,
        recognise: Recognise<'_>,
    ) -> Vec<Failure> {
        let (registered, mut failures) = registrations(events);
        failures.extend(self.uses_of(events, count, communities, &registered));
        for ((version, shape), verifier) in &registered {
            if let Some(used) = self.uses.get_mut(&(*version, *shape)) {
                used.code_hash = Some(hex::encode(verifier.code_hash));
                used.recognised = recognise(*version, *shape, &verifier.code_hash);
            }
        }
        for (batch, version, shape) in std::mem::take(&mut self.unchecked) {
            let used = self.of(version, shape);
            if used.recognised.is_some() {
                used.by_verifier.add(batch);
                continue;
            }
            used.missing.add(batch);
            let what = format!(
                "circuit version {version} is missing: no key for shape {shape}, and no known code at its verifier"
            );
            failures.push(Failure { batch: Some(batch), clause: "L1.VERSION", what });
        }
        failures
    }

    /// L1.6, L1.11: every batch has a registered verifier, and a later one's first batch is told as such.
    fn uses_of(
        &mut self,
        events: &[RollupEvent],
        count: u64,
        communities: &BTreeMap<u32, CommunityParams>,
        registered: &BTreeMap<(CircuitVersion, u32), Registered>,
    ) -> Vec<Failure> {
        // A client that tells of no deployment tells of no verifier either: only a fake.
        let told = events.iter().any(|event| matches!(event.effect, Effect::Genesis { .. }));
        let mut seen = BTreeSet::new();
        let mut failures = Vec::new();
        for event in events {
            let Effect::BatchSettled { batch, community, circuit_version, .. } = event.effect else { continue };
            let Some(shape) = communities.get(&community).map(|params| params.shape) else { continue };
            if batch > count {
                break;
            }
            let key = (CircuitVersion::from(circuit_version), shape);
            let begins = seen.insert(key);
            let used = self.of(key.0, key.1);
            let mut fail = |clause, what: &str| {
                let what = format!("circuit version {}, shape {shape}: {what}", key.0);
                failures.push(Failure { batch: Some(batch), clause, what });
            };
            match registered.get(&key) {
                None if told => fail("L1.6", "no event registers a verifier"),
                Some(verifier) if !verifier.first && begins => {
                    used.first_used = Some(batch);
                    if verifier.first_used != Some(event.tx) {
                        fail("L1.11", "no event tells of the verifier's first use");
                    }
                }
                _ => {}
            }
        }
        failures
    }

    /// Every version and shape in use.
    pub(crate) fn finish(self) -> Vec<VersionUse> {
        self.uses.into_values().collect()
    }
}

fn registrations(events: &[RollupEvent]) -> (BTreeMap<(CircuitVersion, u32), Registered>, Vec<Failure>) {
    let genesis = events.iter().find(|event| matches!(event.effect, Effect::Genesis { .. })).map(|event| event.tx);
    let mut registered: BTreeMap<_, Registered> = BTreeMap::new();
    let mut failures = Vec::new();
    for event in events {
        if let Effect::VerifierRegistered { circuit_version, shape, verifier, codehash, .. } = event.effect {
            let entry =
                Registered { verifier, code_hash: codehash, first: genesis == Some(event.tx), first_used: None };
            if registered.insert((CircuitVersion::from(circuit_version), shape), entry).is_some() {
                let what = format!("circuit version {circuit_version}, shape {shape}: registered twice");
                failures.push(Failure { batch: None, clause: "L1.6", what });
            }
        } else if let Effect::VerifierFirstUsed { circuit_version, shape, verifier } = event.effect {
            let entry = registered.get_mut(&(CircuitVersion::from(circuit_version), shape));
            let first = entry.filter(|entry| !entry.first && entry.verifier == verifier && entry.first_used.is_none());
            if let Some(entry) = first {
                entry.first_used = Some(event.tx);
            } else {
                let what = format!("circuit version {circuit_version}, shape {shape}: no first use of that verifier");
                failures.push(Failure { batch: None, clause: "L1.11", what });
            }
        }
    }
    (registered, failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: u32 = 2;
    const VERIFIERS: [Address; 2] = [[1; 20], [2; 20]];

    fn event(tx: u8, effect: Effect) -> RollupEvent {
        RollupEvent { block: u64::from(tx), tx: [tx; 32], effect }
    }

    fn registered(tx: u8, circuit_version: u32, number: usize) -> RollupEvent {
        let (verifier, codehash) = (VERIFIERS[number], [7 + u8::try_from(number).unwrap(); 32]);
        let effect = Effect::VerifierRegistered {
            circuit_version,
            shape: SHAPE,
            verifier,
            codehash,
            proof_length: 32,
            active_from: 0,
        };
        event(tx, effect)
    }

    fn first_used(tx: u8, circuit_version: u32, number: usize) -> RollupEvent {
        event(tx, Effect::VerifierFirstUsed { circuit_version, shape: SHAPE, verifier: VERIFIERS[number] })
    }

    fn settled(tx: u8, batch: u64, circuit_version: u32) -> RollupEvent {
        let effect = Effect::BatchSettled {
            batch,
            community: 4,
            first_interval: 0,
            old_root: [0; 32],
            new_root: [0; 32],
            circuit_version,
        };
        event(tx, effect)
    }

    /// Deployed with version 2; version 3 registered, and used from batch 2 on.
    fn chain() -> Vec<RollupEvent> {
        vec![
            registered(1, 2, 0),
            event(1, Effect::Genesis { root: [0; 32], circuit_version: 2 }),
            settled(2, 1, 2),
            registered(3, 3, 1),
            first_used(4, 3, 1),
            settled(4, 2, 3),
            settled(5, 3, 3),
        ]
    }

    /// Batch 1 is verified here; what the events say of the others.
    fn read(events: &[RollupEvent], known: Word) -> (Vec<VersionUse>, Vec<(Option<u64>, &'static str)>) {
        let params = CommunityParams {
            community: 4,
            shape: SHAPE,
            interval_length_s: 900,
            m: 96,
            tariff_set: 0,
            genesis_terms: [0; 32],
        };
        let mut versions = Versions::default();
        versions.native(1, CircuitVersion::new(2), SHAPE);
        versions.unchecked(2, CircuitVersion::new(3), SHAPE);
        versions.unchecked(3, CircuitVersion::new(3), SHAPE);
        let recognise = |_: CircuitVersion, _: u32, hash: &Word| (*hash == known).then(|| "known".to_owned());
        let failures = versions.read(events, 3, &BTreeMap::from([(4, params)]), &recognise);
        (versions.finish(), failures.iter().map(|failure| (failure.batch, failure.clause)).collect())
    }

    #[test]
    fn batches_are_known_natively_by_their_verifiers_code_or_not_at_all() {
        let (uses, failures) = read(&chain(), [8; 32]);
        assert_eq!(failures, []);
        assert_eq!((uses[0].native.runs(), uses[0].first_used), (&[(1, 1)][..], None));
        assert_eq!((uses[1].by_verifier.runs(), uses[1].first_used), (&[(2, 3)][..], Some(2)));
        assert_eq!(uses[1].recognised.as_deref(), Some("known"));
        let (uses, failures) = read(&chain(), [9; 32]);
        assert_eq!(failures, [(Some(2), "L1.VERSION"), (Some(3), "L1.VERSION")]);
        assert_eq!((uses[1].missing.count(), uses[1].by_verifier.count()), (2, 0));
    }

    #[test]
    fn every_false_story_of_a_verifier_has_its_own_finding() {
        type Case = (&'static str, fn(&mut Vec<RollupEvent>), Option<u64>, &'static str);
        let cases: [Case; 7] = [
            ("never registered", |e| _ = e.remove(3), Some(2), "L1.6"),
            ("registered twice", |e| e.push(registered(6, 3, 1)), None, "L1.6"),
            ("first use untold", |e| _ = e.remove(4), Some(2), "L1.11"),
            ("first use of another batch", |e| e[4].tx = [9; 32], Some(2), "L1.11"),
            ("first use of another contract", |e| e[4] = first_used(4, 3, 0), None, "L1.11"),
            ("first use twice", |e| e.push(first_used(6, 3, 1)), None, "L1.11"),
            ("first use of the constructor's", |e| e.push(first_used(6, 2, 0)), None, "L1.11"),
        ];
        for (name, edit, batch, clause) in cases {
            let mut events = chain();
            edit(&mut events);
            let (_, failures) = read(&events, [8; 32]);
            assert!(failures.contains(&(batch, clause)), "{name}: {failures:?}");
        }
    }
}
