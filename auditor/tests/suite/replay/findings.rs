//! One false fact at a time, and the finding it must lead to.

use super::*;

/// Two more words of calldata.
fn push(w: &mut World, batch: usize, w0: Fr, w1: u64) {
    w.told.batches[batch].call.data.extend([to_bytes(&w0), to_bytes(&Fr::from(w1))]);
}

fn modulus() -> Word {
    hex::decode(MODULUS).unwrap().try_into().unwrap()
}

/// One edit, and the finding it must lead to: batch, clause, part of its text.
struct Case(&'static str, fn(&mut World), Option<u64>, &'static str, &'static str);

const CASES: &[Case] = &[
    Case(
        "genesis node",
        |w| w.genesis[0].1 += Fr::from(1u64),
        None,
        "STATE.INIT",
        "do not lead to the contract's genesis root",
    ),
    Case("genesis left out", |w| _ = w.genesis.pop(), None, "STATE.INIT", "do not lead to the contract's genesis root"),
    Case("genesis twice", |w| w.genesis.push(w.genesis[0]), None, "STATE.INIT", "lists community 5 twice"),
    Case("genesis outside", |w| w.genesis.push((65_536, Fr::from(1u64))), None, "STATE.INIT", "outside the state tree"),
    Case("genesis root", |w| bump(&mut w.told.roots[0]), Some(1), "L1.SEQUENCE", "old root is not the new root"),
    Case("unknown shape", |w| w.told.communities[0].shape = 77, None, "L1.COMMUNITY", "no known shape"),
    Case("another m", |w| w.told.communities[0].m = 3, None, "L1.COMMUNITY", "no known shape"),
    Case(
        "interval length",
        |w| w.told.communities[0].interval_length_s = 60,
        None,
        "L1.COMMUNITY",
        "intervals of 60 s",
    ),
    Case("registered twice", |w| w.told.communities.push(params(5)), None, "L1.COMMUNITY", "registered twice"),
    Case(
        "not registered",
        |w| _ = w.told.communities.remove(0),
        Some(1),
        "L1.COMMUNITY",
        "community 5 is not registered",
    ),
    Case(
        "tariff order",
        |w| w.told.tariffs[2].first_interval = w.told.tariffs[0].first_interval,
        None,
        "L1.TARIFF",
        "does not follow",
    ),
    Case("tariff index gap", |w| w.told.tariffs[2].index = 2, None, "L1.TARIFF", "does not follow"),
    Case("calldata encoding", |w| w.told.malformed = Some(Answer::Batches), None, "L1.CALLDATA", "standard encoding"),
    Case("communities", |w| w.told.malformed = Some(Answer::Communities), None, "L1.CALLDATA", "communities are not"),
    Case("tariffs", |w| w.told.malformed = Some(Answer::Tariffs), None, "L1.CALLDATA", "tariffs are not"),
    Case("events", |w| w.told.malformed = Some(Answer::Events), None, "L1.CALLDATA", "events are not"),
    Case("later events", |w| w.told.malformed = Some(Answer::LaterEvents), None, "L1.CALLDATA", "later events are not"),
    Case("batch number", |w| w.told.batches[1].batch = 3, Some(3), "L1.SEQUENCE", "batch 3 in the place of batch 2"),
    Case("batch left out", |w| _ = w.told.batches.remove(1), Some(3), "L1.SEQUENCE", "old root is not the new root"),
    Case("batches counted", |w| w.told.count = 4, None, "L1.SEQUENCE", "counts 4 batches, 3 were found"),
    Case("old root", |w| bump(&mut w.told.batches[1].old_root), Some(2), "L1.SEQUENCE", "old root is not the new root"),
    Case("circuit version", |w| w.told.batches[0].call.circuit_version = 1, Some(1), "L1.VERSION", "circuit version 1"),
    Case("high data word", |w| w.told.batches[2].call.data[3] = modulus(), Some(3), "L1.CANONICAL", "data word 3"),
    Case("high root", |w| w.told.batches[2].call.new_root = [0xff; 32], Some(3), "L1.CANONICAL", "new root"),
    Case("high node", |w| w.told.batches[2].call.community_new = modulus(), Some(3), "L1.CANONICAL", "community node"),
    Case(
        "high tariff",
        |w| w.told.batches[2].tariff_commitment = modulus(),
        Some(3),
        "L1.CANONICAL",
        "tariff commitment",
    ),
    Case(
        "period skipped",
        |w| w.told.batches[2].call.first_interval += 2,
        Some(3),
        "SETTLE.2",
        "settles from 2017-12-03T04:00:00Z on, its last period ended 2017-12-03T02:00:00Z",
    ),
    Case(
        "period again",
        |w| w.told.batches[2].call.first_interval -= 2,
        Some(3),
        "SETTLE.2",
        "settles from 2017-12-03T00:00:00Z on, its last period ended 2017-12-03T02:00:00Z",
    ),
    Case("period not over", |w| w.told.timestamp = 1_512_000_000, Some(1), "SETTLE.2", "after the latest block"),
    Case(
        "tariff not registered",
        |w| w.told.tariffs.retain(|t| t.tariff_set != 4),
        Some(2),
        "SETTLE.7",
        "no tariff of set 4",
    ),
    Case(
        "old tariff",
        |w| w.told.batches[2].call.tariff_index = 0,
        Some(3),
        "SETTLE.7",
        "settled with tariff 0, tariff 1 was in force",
    ),
    Case(
        "registered tariff",
        |w| bump(&mut w.told.tariffs[1].commitment),
        Some(2),
        "SETTLE.7",
        "not the registered one",
    ),
    Case(
        "settled tariff",
        |w| bump(&mut w.told.batches[1].tariff_commitment),
        Some(2),
        "SETTLE.7",
        "not the registered one",
    ),
    Case(
        "new root",
        |w| bump(&mut w.told.batches[1].call.new_root),
        Some(2),
        "SETTLE.13",
        "does not have the new root",
    ),
    Case("community", |w| w.told.batches[1].call.community = 5, Some(2), "SETTLE.13", "does not have the new root"),
    Case(
        "community node",
        |w| bump(&mut w.told.batches[1].call.community_new),
        Some(2),
        "SETTLE.13",
        "published leaves do not lead",
    ),
    Case("leaf", |w| bump(&mut w.told.batches[1].call.data[2]), Some(2), "SETTLE.13", "published leaves do not lead"),
    Case(
        "header leaf",
        |w| bump(&mut w.told.batches[1].call.data[4]),
        Some(2),
        "SETTLE.13",
        "published leaves do not lead",
    ),
    Case(
        "certificates root",
        |w| bump(&mut w.told.batches[1].call.data[5]),
        Some(2),
        "SETTLE.13",
        "published leaves do not lead",
    ),
    Case("data short", |w| _ = w.told.batches[1].call.data.pop(), Some(2), "SETTLE.14", "5 data words"),
    Case("data long", |w| w.told.batches[1].call.data.push([0; 32]), Some(2), "SETTLE.14", "7 data words"),
    Case("a word that is no record", |w| push(w, 1, Fr::from(9u64), 0), Some(2), "OP.10", "no record of kind 9"),
    Case(
        "a record too many",
        |w| push(w, 1, Record::new(RecordKind::Note, 0, 0, Fr::from(0u64)).w0, 5),
        Some(2),
        "PROOF",
        "does not hold",
    ),
    Case(
        "beginning twice",
        |w| push(w, 1, Fr::from(RecordKind::Init.code()), 5),
        Some(2),
        "STATE.INIT",
        "is in the state tree already",
    ),
    Case("digest", |w| bump(&mut w.told.batches[1].call.ops_digest), Some(2), "OP.11", "not that of the records"),
    Case("no beginning", |w| w.genesis.truncate(1), Some(2), "STATE.INIT", "settled without a beginning"),
    Case(
        "withdrawal from nothing",
        |w| push(w, 1, Record::new(RecordKind::Withdraw, 7, 0, Fr::from(0u64)).w0, 5),
        Some(2),
        "L1.POOL",
        "more than was ever paid in",
    ),
    Case("transfer from nowhere", |w| push(w, 1, Fr::from(RecordKind::Receive.code()), 5), Some(2), "OP.5", "not open"),
    Case(
        "corrects with another tariff",
        |w| push(w, 2, Record::new(RecordKind::Correction, 0, 1, Fr::from(0u64)).w0, 5),
        Some(3),
        "ADJUST.5",
        "not the tariff",
    ),
    Case(
        "corrects the future",
        |w| push(w, 2, Record::new(RecordKind::Correction, 0, u32::MAX, Fr::from(0u64)).w0, 5),
        Some(3),
        "ADJUST.5",
        "not past",
    ),
    Case("proof", |w| w.told.batches[2].call.proof[9] ^= 1, Some(3), "PROOF", "does not hold"),
    Case("proof with trailing bytes", |w| w.told.batches[2].call.proof.push(0), Some(3), "PROOF", "does not hold"),
    Case(
        "another batch's proof",
        |w| w.told.batches[2].call.proof = w.told.batches[1].call.proof.clone(),
        Some(3),
        "PROOF",
        "does not hold",
    ),
    Case("another chain", |w| w.told.chain_id = 1, Some(1), "PROOF", "does not hold"),
    Case("root kept", |w| bump(&mut w.told.roots[2]), Some(2), "L1.FINALISED", "keeps another root"),
    Case(
        "root unknown",
        |w| _ = w.told.finalised.remove(&w.told.roots[2]),
        Some(2),
        "L1.FINALISED",
        "does not know the new root",
    ),
    Case("state root", |w| bump(&mut w.told.state_root), None, "L1.SEQUENCE", "not that of the last batch"),
    Case("state root replayed", |w| bump(&mut w.told.state_root), None, "SETTLE.13", "not the replayed one"),
];

#[test]
fn every_false_fact_has_its_own_finding() {
    let honest = world();
    for Case(name, edit, batch, clause, text) in CASES {
        let mut w = honest.clone();
        edit(&mut w);
        let report = run(&w);
        let found = |f: &&Failure| f.batch == *batch && f.clause == *clause && f.what.contains(text);
        assert!(report.failures.iter().any(|f| found(&f)), "{name}: {:#?}", report.failures);
        assert!(!report.is_ok() && report.table().contains("FAILED"), "{name}");
    }
}

/// Each public input reaches the proof: no edit that changes one leaves the proof count whole.
#[test]
fn every_public_input_is_rebuilt() {
    let honest = world();
    let edits: [fn(&mut World); 8] = [
        |w| w.told.chain_id += 1,
        |w| bump(&mut w.told.batches[0].old_root),
        |w| bump(&mut w.told.batches[0].call.new_root),
        |w| w.told.batches[0].call.community = 4,
        |w| w.told.batches[0].call.first_interval += 1,
        |w| bump(&mut w.told.batches[0].tariff_commitment),
        |w| bump(&mut w.told.batches[0].call.community_new),
        |w| bump(&mut w.told.batches[0].call.data[0]),
    ];
    for (i, edit) in edits.iter().enumerate() {
        let mut w = honest.clone();
        edit(&mut w);
        let report = run(&w);
        assert!(report.failures.iter().any(|f| f.batch == Some(1) && f.clause == "PROOF"), "edit {i}");
    }
}
