//! Certificates that are retired, with real proofs.

use super::*;

/// With a real proof: a part retired under seal, what its holder shows, and the rest as a new note that waits for its
/// settlement.
#[test]
fn a_certificate_is_retired_and_an_auditor_agrees() {
    let (world, _) = with_certificate();
    let mut alice = world.session(0);
    alice.sync(false).unwrap();
    let chain = world.chain();
    let note = alice.wallet.state().notes[0].clone();
    let prover = prover();
    let spending = Spending::Retire {
        amount_wh: Wh(4),
        beneficiary: Fr::from(0xbeefu64),
        purpose: Purpose::Consumption,
        sealed: true,
    };
    let spent = spend(&mut alice, &chain, prover, &note, &spending).unwrap();
    assert!(spent.tx.is_some());
    let kept = alice.wallet.state().retirements[0].clone();
    let shown = ShownRetirement::new(31337, CONTRACT, kept.sealed, kept.statement);
    assert!(chain.wait_for(gridveil_auditor::retirement(chain.client(), &shown, 0)).unwrap().sealed);
    let (old, rest) = (&alice.wallet.state().notes[0], &alice.wallet.state().notes[1]);
    assert!(old.spent && rest.path.is_none() && rest.note.amount == note.note.amount - Wh(4));
    // Nothing is spent twice, and nothing without a path.
    for note in [old.clone(), rest.clone()] {
        assert!(spend(&mut alice, &chain, prover, &note, &spending).is_err());
    }
    refresh(&mut alice, &chain).unwrap();
}

/// A proof that was sent and given up lands when the note was about to be spent otherwise: the wallet has what came of
/// it.
#[test]
fn an_abandoned_spending_that_lands_is_recovered() {
    let (world, _) = with_certificate();
    let prover = prover();
    let mut alice = world.session(0);
    let chain = world.chain();
    alice.sync(false).unwrap();
    let note = alice.wallet.state().notes[0].clone();
    assert!(abandon(&mut alice, &chain, &note).unwrap_err().to_string().contains("not being spent"));
    let retire = |wh, sealed| Spending::Retire {
        amount_wh: Wh(wh),
        beneficiary: Fr::from(0xbeefu64),
        purpose: Purpose::Consumption,
        sealed,
    };
    let plan = alice.wallet.state().plan(&note, &alice.deployment, &alice.keys.owner, &retire(3, true)).unwrap();
    alice.wallet.keep_spend(&plan, &alice.keys.owner).unwrap();
    let sent = prover.prove(&plan.clone().sign(&alice.keys.owner).unwrap()).unwrap();
    abandon(&mut alice, &chain, &note).unwrap();
    refresh(&mut alice, &chain).unwrap();
    assert_eq!((alice.wallet.state().notes.len(), alice.wallet.state().notes[0].spent), (1, false));
    wait(world.l1.certify(CertificateCall::new(&sent.instance, sent.proof.clone()).unwrap())).unwrap();
    // Another spending is refused, and the one that landed is found.
    let error = spend(&mut alice, &chain, prover, &note, &retire(4, false)).unwrap_err().to_string();
    assert!(error.contains("another spending"), "{error}");
    let state = alice.wallet.state();
    assert_eq!(
        state
            .retirements
            .iter()
            .map(|kept| (kept.statement.amount, kept.sealed, kept.tx.is_some()))
            .collect::<Vec<_>>(),
        [(Wh(3), true, true)]
    );
    assert_eq!(
        state.notes.iter().map(|kept| (kept.note.amount, kept.spent)).collect::<Vec<_>>(),
        [(note.note.amount, true), (note.note.amount - Wh(3), false)]
    );
    let shown = ShownRetirement::new(31337, CONTRACT, true, state.retirements[0].statement.clone());
    assert!(chain.wait_for(gridveil_auditor::retirement(chain.client(), &shown, 0)).unwrap().sealed);
    let spent = state.notes[0].clone();
    assert!(abandon(&mut alice, &chain, &spent).unwrap_err().to_string().contains("L1 has a spending"));
}

/// L1 undoes a spending whose circuit version is retired before a batch took its notes in: the wallet finds out, and the
/// certificate can be spent again.
#[test]
fn a_spending_that_l1_undoes_is_found() {
    let (world, _) = with_certificate();
    let mut alice = world.session(0);
    alice.sync(false).unwrap();
    let chain = world.chain();
    let note = alice.wallet.state().notes[0].clone();
    let spending = Spending::Retire {
        amount_wh: Wh(4),
        beneficiary: Fr::from(0xbeefu64),
        purpose: Purpose::Consumption,
        sealed: true,
    };
    let plan = alice.wallet.state().plan(&note, &alice.deployment, &alice.keys.owner, &spending).unwrap();
    alice.wallet.keep_spend(&plan, &alice.keys.owner).unwrap();
    let instance = plan.sign(&alice.keys.owner).unwrap().check().unwrap();
    wait(world.l1.certify(CertificateCall::new(&instance, vec![]).unwrap())).unwrap();
    let stands = |alice: &Session| {
        let state = alice.wallet.state();
        (state.notes[0].spent, state.notes.len(), state.retirements.len())
    };
    // While it waits in the queue it stands, also after its version was retired.
    for _ in 0..2 {
        refresh(&mut alice, &chain).unwrap();
        assert_eq!(stands(&alice), (true, 2, 1));
        world.l1.retire_version(1_000_001);
    }
    wait(world.l1.drop_notes(9)).unwrap();
    refresh(&mut alice, &chain).unwrap();
    assert_eq!(stands(&alice), (false, 1, 0));
    assert!(alice.wallet.state().plan(&note, &alice.deployment, &alice.keys.owner, &spending).is_ok());
}

/// S11: the second claim is refused by the wallet, and one from a copy of the wallet by L1, whatever it claims.
#[test]
fn a_certificate_is_claimed_once_from_whatever_copy() {
    // Another certificate, and another way to claim it.
    for (skip, first, second) in [(0, (4, true), (4, true)), (1, (7, false), (2, true))] {
        let (world, _) = certificates().nth(skip).unwrap();
        let chain = world.chain();
        let mut alice = world.session(0);
        alice.sync(false).unwrap();
        let note = alice.wallet.state().notes[0].clone();
        let (folder, copy) = (world.dir.path().join("0"), world.dir.path().join("copy"));
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        let keys = world.members[0].clone();
        let claim = |(wh, sealed)| Spending::Retire {
            amount_wh: Wh(wh),
            beneficiary: Fr::from(0xbeefu64),
            purpose: Purpose::Consumption,
            sealed,
        };
        let plan = alice.wallet.state().plan(&note, &alice.deployment, &keys.owner, &claim(first)).unwrap();
        alice.wallet.keep_spend(&plan, &keys.owner).unwrap();
        let instance = plan.sign(&keys.owner).unwrap().check().unwrap();
        wait(world.l1.certify(CertificateCall::new(&instance, vec![]).unwrap())).unwrap();
        refresh(&mut alice, &chain).unwrap();
        let spent = alice.wallet.state().notes[0].clone();
        assert!(spent.spent && alice.wallet.state().retirements.len() == 1);
        let again = alice.wallet.state().plan(&spent, &alice.deployment, &keys.owner, &claim(second)).unwrap_err();
        assert!(again.to_string().contains("spent"), "{again}");
        // The copy does not know of it, until it asks L1.
        let mut copied = Session::with(&world.rpc, CONTRACT, None, keys.clone(), &copy, (5, 0)).unwrap();
        let note = copied.wallet.state().notes[0].clone();
        let plan = copied.wallet.state().plan(&note, &copied.deployment, &keys.owner, &claim(second)).unwrap();
        let instance = plan.clone().sign(&keys.owner).unwrap().check().unwrap();
        let refused = wait(world.l1.certify(CertificateCall::new(&instance, vec![]).unwrap())).unwrap_err();
        assert!(refused.to_string().contains("NullifierUsed"), "{refused}");
        copied.wallet.keep_spend(&plan, &keys.owner).unwrap();
        refresh(&mut copied, &chain).unwrap();
        let state = copied.wallet.state();
        assert!(
            state.notes[0].spent && state.retirements.iter().all(|kept| kept.tx.is_none()),
            "nothing is shown twice"
        );
    }
}
