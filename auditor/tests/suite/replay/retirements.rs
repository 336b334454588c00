//! Retirements as they are shown to an auditor.

use super::*;

/// A retirement of every kind, and what is not quite it.
#[test]
fn retirements_are_found_as_they_are_shown() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in 0..24 {
        let spend = fixture::certificate::spend(seed).unwrap();
        let Some(statement) = spend.plan.statement() else { continue };
        let sealed = spend.plan.retirement.as_ref().unwrap().sealed;
        let instance = spend.check().unwrap();
        let config = MemoryL1Config {
            chain_id: 31337,
            contract: [0x11; 20],
            genesis_root: to_bytes(&instance.anchor),
            timestamp: 0,
            shapes: vec![],
            ..MemoryL1Config::default()
        };
        let l1 = MemoryL1::new(config);
        let check = |shown: &ShownRetirement| runtime.block_on(retirement(&l1, shown, 0));
        let shown = ShownRetirement::new(31337, [0x11; 20], sealed, statement);
        assert_eq!(check(&shown), Err(RetirementError::Unknown));
        let call = CertificateCall::new(&instance, vec![]).unwrap();
        runtime.block_on(l1.certify(call)).unwrap();
        assert_eq!((check(&shown).unwrap().sealed, check(&shown).unwrap().settled), (sealed, false));
        let json = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<ShownRetirement>(&json).unwrap(), shown);
        let edited = |edit: fn(&mut ShownRetirement)| {
            let mut shown = shown.clone();
            edit(&mut shown);
            check(&shown).unwrap_err()
        };
        assert!(matches!(edited(|s| s.statement.amount.0 += 1), RetirementError::Statement(_)));
        assert!(matches!(edited(|s| s.statement.origin.technology ^= 1), RetirementError::Statement(_)));
        assert!(matches!(edited(|s| s.statement.beneficiary += Fr::from(1u64)), RetirementError::Statement(_)));
        assert_eq!(edited(|s| s.sealed ^= true), RetirementError::Kind);
        assert_eq!(edited(|s| s.contract[0] ^= 1), RetirementError::OtherDeployment);
        assert_eq!(edited(|s| s.chain_id = 1), RetirementError::OtherDeployment);
        let other = |s: &mut ShownRetirement| {
            s.statement.amount.0 += 1;
            s.commitment = s.statement.commitment();
        };
        assert_eq!(edited(other), RetirementError::Unknown);
        // Its notes are in the state: nothing undoes it.
        let kept = Told { events: runtime.block_on(l1.events(0)).unwrap(), ..Told::default() };
        let with = |effect| {
            let mut told = Told { chain_id: 31337, contract: [0x11; 20], ..kept.clone() };
            told.events.push(RollupEvent { block: 9, tx: [0; 32], effect });
            runtime.block_on(retirement(&told, &shown, 0)).unwrap().settled
        };
        let [note, other] = instance.notes.map(|note| to_bytes(&note));
        assert!(with(Effect::NoteAppended { note, community: 0 }));
        assert!(!with(Effect::NoteAppended { note: other, community: 0 }));
        let nullifier = to_bytes(&instance.nullifier);
        assert!(with(Effect::NotesDropped { nullifier, circuit_version: 1_000_001, undone: false }));
        // Who knows the salts retires under the same commitment, otherwise: it is neither taken for this one nor in its
        // way.
        let earlier = check(&shown).unwrap();
        let mut call = CertificateCall::new(&instance, vec![]).unwrap();
        call.nullifier = to_bytes(&(instance.nullifier + Fr::from(1u64)));
        call.beneficiary = if sealed { [0; 32] } else { to_bytes(&Fr::from(5u64)) };
        runtime.block_on(l1.certify(call)).unwrap();
        assert_eq!(check(&shown), Ok(earlier));
        // L1 undoes what no batch had taken in when its circuit version was retired.
        l1.retire_version(1_000_001);
        let undone = runtime.block_on(l1.drop_notes(1)).unwrap();
        let expected = if sealed {
            assert!(check(&shown).unwrap().block > earlier.block, "the other one holds as well");
            runtime.block_on(l1.drop_notes(1)).unwrap();
            undone.block
        } else {
            undone.block
        };
        assert_eq!(check(&shown), Err(RetirementError::Undone { block: expected }));
    }
}
