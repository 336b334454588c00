use super::*;
use crate::{
    field::to_bytes,
    fixture::certificate::{owner_key, plan, spend},
    poseidon::hash4,
};

/// The plan of a seed after an edit, signed by the owner as it stands.
fn edited(seed: u64, edit: impl FnOnce(&mut SpendPlan)) -> Result<CertificateInstance, CertificateError> {
    let mut plan = plan(seed);
    edit(&mut plan);
    plan.sign(&owner_key(seed)).unwrap().check()
}

#[test]
fn honest_spendings_are_accepted() {
    for seed in 0..60 {
        let spend = spend(seed).unwrap();
        assert_eq!(spend.check(), Ok(spend.compute()), "seed {seed}");
        let amounts: Wh = spend.plan.notes().iter().map(|note| note.amount).sum();
        assert_eq!(amounts + spend.plan.retirement.as_ref().map_or(Wh::ZERO, |r| r.amount), spend.plan.note.amount);
    }
}

#[test]
fn each_clause_refuses() {
    assert_eq!(
        edited(0, |p| p.note.salts[0] += Fr::from(1u64)),
        Err(CertificateError::Path { part: "the append level", level: 0 })
    );
    assert_eq!(edited(2, |p| p.path.dense[1][0] += Fr::from(1u64)).unwrap_err().clause(), "CERT.1");
    assert_eq!(
        edited(2, |p| p.path.state.truncate(7)),
        Err(CertificateError::PathLength { part: "the state tree", expected: "8", got: 7 })
    );
    assert_eq!(plan(1).sign(&owner_key(2)).unwrap().check(), Err(CertificateError::Owner));
    let mut changed = spend(1).unwrap();
    changed.plan.outputs[0].salts[0] += Fr::from(1u64);
    assert_eq!(changed.check(), Err(CertificateError::Signature(SchnorrError::Mismatch)));
    // A nullifier of one's own choice, honestly signed.
    let (mut twice, secret) = (spend(1).unwrap(), owner_key(1));
    twice.nullifier_key = NullifierKey::of(&owner_key(2));
    twice.signature = secret.sign(DomainTag::Certificate, &twice.compute().message()).unwrap();
    assert_eq!(twice.check(), Err(CertificateError::NullifierKey));
    assert_eq!(edited(5, |p| p.outputs[0].amount += Wh(1)), Err(CertificateError::Conservation));
    assert_eq!(
        edited(5, |p| p.outputs[1].amount.0 |= 1 << 48),
        Err(CertificateError::AmountOverflow { part: "output 2" })
    );
    assert_eq!(edited(3, |p| p.retirement.as_mut().unwrap().sealed = true), Err(CertificateError::SealedPurpose));
}

#[test]
fn one_note_has_one_nullifier() {
    let (first, mut other) = (spend(6).unwrap(), plan(6));
    other.outputs[0].salts[1] += Fr::from(1u64);
    other.domain += Fr::from(1u64);
    let other = other.sign(&owner_key(6)).unwrap();
    assert_eq!(first.compute().nullifier, other.check().unwrap().nullifier);
}

/// A member chooses the salts of its leaf: one may be a note that nobody settled.
#[test]
fn a_salt_of_a_leaf_is_not_a_note() {
    let mut p = plan(0);
    let leaf = hash4([Fr::from(7u64), Fr::from(8u64), p.note.commitment(), Fr::from(9u64)]);
    p.path.dense = vec![
        [Fr::from(7u64), Fr::from(8u64), p.note.commitment(), Fr::from(9u64)],
        [leaf, Fr::ZERO, Fr::ZERO, Fr::ZERO],
    ];
    assert_eq!(p.sign(&owner_key(0)).unwrap().check().unwrap_err().clause(), "CERT.1");
}

#[test]
fn rows_are_named_in_order() {
    let instance = spend(1).unwrap().compute();
    let rows = instance.rows();
    assert_eq!(rows.len(), ROWS.len());
    assert_eq!((rows[2], rows[8]), (instance.nullifier, Fr::from(257u64)));
    let kinds: Vec<u64> = (0..6).map(|seed| spend(seed).unwrap().compute().kind).collect();
    assert_eq!(kinds, [0, 257, 258, 513, 769, 0]);
}

#[test]
fn a_retirement_opens_to_what_was_retired_alone() {
    let plan = plan(2);
    let statement = plan.statement().unwrap();
    let commitment = plan.clone().sign(&owner_key(2)).unwrap().check().unwrap().retirement;
    assert_eq!(statement.verify(commitment), Ok(()));
    let again: RetirementStatement = serde_json::from_str(&serde_json::to_string(&statement).unwrap()).unwrap();
    assert_eq!(again, statement);
    let refused = |edit: fn(&mut RetirementStatement)| {
        let mut other = statement.clone();
        edit(&mut other);
        other.verify(commitment).unwrap_err()
    };
    assert_eq!(refused(|s| s.amount += Wh(1)), StatementError::Commitment);
    assert_eq!(refused(|s| s.purpose = Purpose::Export), StatementError::Commitment);
    assert_eq!(refused(|s| s.beneficiary += Fr::from(1u64)), StatementError::Commitment);
    // The same element, read as 2^48 Wh more of an interval earlier.
    let alias = RetirementStatement {
        amount: statement.amount + Wh(1 << 48),
        origin: crate::note::Origin { first_interval: statement.origin.first_interval - 1, ..statement.origin },
        ..statement.clone()
    };
    assert_eq!(alias.commitment(), commitment);
    assert_eq!(alias.verify(commitment), Err(StatementError::Amount));
}

#[test]
fn files_come_back_and_debug_tells_nothing() {
    let spend = spend(3).unwrap();
    let again: SpendPlan = serde_json::from_str(&serde_json::to_string(&spend.plan).unwrap()).unwrap();
    assert_eq!(again, spend.plan);
    let instance: CertificateInstance =
        serde_json::from_str(&serde_json::to_string(&spend.compute()).unwrap()).unwrap();
    assert_eq!(instance, spend.compute());
    let shown = format!("{spend:?} {:?} {:?} {:?}", spend.plan.path, spend.plan.statement(), spend.plan.retirement);
    for secret in
        [spend.nullifier_key.element(), spend.plan.note.salts[0], spend.plan.note.owner, spend.plan.outputs[0].owner]
    {
        assert!(!shown.contains(&hex::encode(to_bytes(&secret))));
    }
    assert!(!shown.contains(&spend.plan.note.amount.to_string()), "{shown}");
}

/// The same note as a spending's, under another domain and the same nullifier: what an auditor compares with L1.
#[test]
fn a_holding_shows_the_note_and_spends_nothing() {
    let plan = plan(1);
    let contract = [9; 20];
    let salts = std::array::from_fn(|i| Fr::from(i as u64 + 1));
    let holding = SpendPlan::holding(31337, &contract, plan.note.clone(), plan.path.clone(), salts);
    let instance = holding.sign(&owner_key(1)).unwrap().check().unwrap();
    assert_eq!(instance.nullifier, spend(1).unwrap().compute().nullifier);
    assert_eq!((instance.disclosed, instance.kind, instance.beneficiary), (plan.note.info(), 257, Fr::ZERO));
    // No circuit version of 32 bits has the domain.
    assert!(HOLDING_VERSION > u64::from(u32::MAX));
    assert_ne!(instance.domain, crate::instance::domain(31337, &contract, CERTIFICATE_VERSION));
    let shown = ShownHolding { chain_id: 31337, contract, instance, proof: vec![1, 2, 0xff] };
    let json = serde_json::to_string(&shown).unwrap();
    assert_eq!(serde_json::from_str::<ShownHolding>(&json).unwrap(), shown);
    assert!(serde_json::from_str::<ShownHolding>(&json.replace("0x0102ff", "0x0102f")).is_err());
}
