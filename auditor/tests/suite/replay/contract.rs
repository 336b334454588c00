//! The same batches through the fake contract, which keeps the chain itself.

use super::*;

/// The fake's own chain from the same genesis root.
fn kept_by_the_contract(w: &World) -> MemoryL1 {
    MemoryL1::new(MemoryL1Config {
        chain_id: CHAIN,
        contract: CONTRACT,
        genesis_root: w.told.roots[0],
        timestamp: 1_000,
        circuit_version: CIRCUIT_VERSION,
        proof_length: Some(PROOF_LENGTH),
        ..MemoryL1Config::default()
    })
}

#[test]
fn a_chain_kept_by_the_contracts_rules_passes() {
    let w = world();
    let l1 = kept_by_the_contract(&w);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for p in &w.told.communities {
            l1.open_tariff_set(p.tariff_set, 3600, 2).await.unwrap();
            l1.register_community(*p).await.unwrap();
        }
        for t in &w.told.tariffs {
            l1.register_tariff(t.tariff_set, t.first_interval, t.commitment).await.unwrap();
        }
        l1.set_timestamp(w.told.timestamp);
        for b in &w.told.batches {
            l1.settle(b.call.clone()).await.unwrap();
        }
    });
    let report = run_on(&l1, &w);
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 3));
}

/// The same records through the fake's vault, queues and events.
#[test]
fn records_agree_with_what_the_contract_says_it_did() {
    let w = with_records();
    let l1 = kept_by_the_contract(&w);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let records = |kind: RecordKind| {
        let words: Vec<Fr> = w.told.batches[1].call.data[6..].iter().map(|word| from_bytes(word).unwrap()).collect();
        record::read(&words)
            .unwrap()
            .into_iter()
            .map(|(_, parsed)| parsed)
            .filter(move |parsed| parsed.kind == kind)
            .collect::<Vec<_>>()
    };
    runtime.block_on(async {
        l1.open_tariff_set(9, 900, 2).await.unwrap();
        l1.register_community(w.told.communities[0]).await.unwrap();
        for t in &w.told.tariffs {
            l1.register_tariff(t.tariff_set, t.first_interval, t.commitment).await.unwrap();
        }
        for deposit in records(RecordKind::Deposit) {
            l1.deposit(to_bytes(&deposit.w1), deposit.units).await.unwrap();
        }
        l1.fund_supplier_account(1_000_000).await.unwrap();
        let [note_1, note_2] = records(RecordKind::Note)
            .try_into()
            .map(|notes: [Parsed; 2]| notes.map(|note| to_bytes(&note.w1)))
            .unwrap();
        let zero = [0; 32];
        let call = CertificateCall {
            circuit_version: 1_000_001,
            anchor: w.told.roots[0],
            nullifier: to_bytes(&Fr::from(7u64)),
            note_1,
            note_2,
            retirement: zero,
            disclosed: zero,
            beneficiary: zero,
            kind: 0,
            proof: vec![],
        };
        l1.certify(call).await.unwrap();
        l1.set_timestamp(w.told.timestamp);
        for b in &w.told.batches {
            l1.settle(b.call.clone()).await.unwrap();
        }
    });
    let report = run_on(&l1, &w);
    assert_eq!((report.failures.as_slice(), report.proofs_verified), (&[][..], 2));
    assert_eq!(report.money.supplier_in_units, 1_000_000);
}
