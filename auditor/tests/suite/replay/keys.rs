//! Which batches are checked by their proofs, and which are believed by their verifier's code.

use std::sync::Arc;

use gridveil_auditor::{
    cli::{AuditError, native},
    native::{NativeVerifier, Params},
};
use gridveil_prover::{
    progress::Silent,
    srs::{Srs, SrsSource},
};
use gridveil_verifier_contract::verifiers::COMMITTED;

use super::*;
use crate::common::CACHE;

const HOME: &str = "home-32x24";

fn parameters(chain_id: u64, k: u32) -> Result<Arc<Params>, String> {
    let srs = Srs::for_chain(chain_id, SrsSource::InsecureDev, CACHE.as_ref()).map_err(|error| error.to_string())?;
    srs.params(k, &Silent).map_err(|error| error.to_string())
}

/// One batch of a shape whose verifier is committed, with a proof that nobody made; the verifier's code is the committed
/// one.
fn unproved() -> (Told, Vec<(u32, Fr)>) {
    let shape = Shape::by_name(HOME).unwrap();
    let mut input = fixture::settlement(&Recipe { shape, seed: 3, mechanism: Mechanism::Auction, used: 2 }).unwrap();
    input.community.index = 5;
    let mut input = resigned(input);
    let genesis = vec![(5, input.community.node())];
    let mut state = SparseTree::new(STATE_DEPTH);
    state.set(5, genesis[0].1);
    input.state_path = state.path(5);
    let transition = apply(input).unwrap();
    let of_shape = CommunityParams { shape: shape.id, m: 24, ..params(5) };
    let root = to_bytes(&state.root());
    let world = chain(genesis.clone(), root, &[transition], &[0], vec![of_shape]);
    let mut codehash = Word::default();
    let committed = COMMITTED.iter().find(|committed| committed.shape == HOME).unwrap();
    hex::decode_to_slice(committed.code_hash, &mut codehash).unwrap();
    let registered = Effect::VerifierRegistered {
        circuit_version: CIRCUIT_VERSION,
        shape: shape.id,
        verifier: [7; 20],
        codehash,
        proof_length: 100,
        active_from: 0,
    };
    let deployment = [Effect::Genesis { root, circuit_version: CIRCUIT_VERSION }, registered];
    let mut events: Vec<_> = deployment.map(|effect| RollupEvent { block: 0, tx: [1; 32], effect }).into();
    events.extend(derived(&world.told));
    (Told { events, ..world.told }, genesis)
}

fn verifier(first_told: &Told) -> NativeVerifier {
    wait(native(first_told, 0, None, &parameters, &[]))
}

fn clauses(told: &Told, verifier: &NativeVerifier, genesis: &[(u32, Fr)]) -> Vec<&'static str> {
    let report = wait(audit(told, verifier, genesis, 0));
    assert_eq!(report.proofs_verified, 0);
    report.failures.iter().map(|failure| failure.clause).collect()
}

/// A node may answer the first question otherwise than the later ones. A version that this program knows is checked by
/// its proof all the same, and never believed by its verifier's code.
#[test]
fn a_known_version_is_never_believed_by_its_verifiers_code() {
    let (told, genesis) = unproved();
    let no_events = Told { events: Vec::new(), ..told.clone() };
    assert_eq!(clauses(&told, &verifier(&no_events), &genesis), ["PROOF"]);
    let nothing = Told { communities: Vec::new(), ..no_events };
    assert_eq!(clauses(&told, &verifier(&nothing), &genesis), ["L1.VERSION"]);
}

/// It would be a way to hand in the code of a contract in place of a check.
#[test]
fn no_verifier_is_given_for_a_version_that_is_checked_here() {
    let (told, _) = unproved();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier-contract/artifacts/SettlementHome32x24.json");
    let given = |version: u32| [format!("{version}:{HOME}:{file}")];
    let made = |given: &[String]| crate::common::ask(native(&told, 0, None, &parameters, given));
    assert!(matches!(made(&given(2)), Err(AuditError::Checked(_))));
    assert!(made(&given(1)).is_ok());
}
