//! Logs, indexes and key files damaged at random places, as power losses, disks and people damage them. A sequencer opens
//! with everything that was acknowledged and nothing else, or refuses with a typed error that says where, and leaves the
//! log as it is (LOG.4, LOG.8).
//!
//! `GRIDVEIL_TORN` is how many are tried, 20 if absent; `GRIDVEIL_FUZZ_SEED` says which. A failure prints seed and case.
mod damage;

use std::{collections::BTreeMap, fs, path::PathBuf};

use crate::{
    common::{Node, World},
    recovery::{boundaries, history},
    restore::{copy_all, key_files},
};
use damage::{Damage, Outcome};
use gridveil_protocol::{fixture::Stream, packet::SignedPacket};
use gridveil_sequencer::{
    Error, StoreError, serve,
    store::{
        check::check,
        log::{self, LogError},
    },
};
use serde_json::Value;

/// A log at rest, with all that belongs to it, and the same one record later.
struct Original {
    world: World,
    before: PathBuf,
    log: Vec<u8>,
    later: Vec<u8>,
    /// Where each record of `log` begins, and where the last one ends.
    records: Vec<u64>,
    /// Acknowledged in `log`.
    acknowledged: Vec<SignedPacket>,
    /// Acknowledged in `later` alone.
    last: SignedPacket,
    status: Value,
}

impl Original {
    async fn new() -> Self {
        let world = World::new().await;
        let mut node = history(&world).await;
        let mut acknowledged = Vec::new();
        for (community, period) in [(5, 0), (7, 0), (5, 1)] {
            acknowledged.extend((0..crate::common::USED).map(|slot| world.packet(community, period, slot, false)));
        }
        for (community, period, slot) in [(5, 2, 0), (5, 2, 2), (7, 1, 1)] {
            let packet = world.packet(community, period, slot, false);
            assert_eq!(node.submit(&packet).await.0, 201);
            acknowledged.push(packet);
        }
        let operation = world.operation(0, gridveil_protocol::operation::Kind::Withdraw, world.nonce(0), |o| {
            o.amount = crate::common::units(1);
        });
        node.accepted(&operation).await;
        let status = node.status().await;
        node.handle.shutdown().await;
        let (data, before) = (world.data(), world.dir.path().join("before"));
        copy_all(&data, &before);
        node = world.start().await;
        let last = world.packet(7, 1, 2, false);
        assert_eq!(node.submit(&last).await.0, 201);
        node.handle.shutdown().await;
        let read = |data: &std::path::Path| fs::read(log::path_in(data)).unwrap();
        let (log, later) = (read(&before), read(&data));
        assert!(later.starts_with(&log) && later.len() > log.len());
        let records = boundaries(&before).into_iter().map(|(_, offset)| offset).chain([log.len() as u64]).collect();
        Self { world, before, log, later, records, acknowledged, last, status }
    }

    /// Everything acknowledged is there, once, and nothing that nobody sent.
    async fn is_all_there(&self, node: &Node, with_last: bool, what: &str) {
        let status = node.status().await;
        for (field, of) in [("state_root", &status["state_root"]), ("communities", &status["communities"])] {
            // The packet on its way may be counted.
            if field == "state_root" || !with_last {
                assert_eq!(*of, self.status[field], "{what}: {field}");
            }
        }
        let height = self.status["log_height"].as_u64().unwrap() + u64::from(with_last);
        assert_eq!(status["log_height"].as_u64().unwrap(), height, "{what}: records");
        for packet in &self.acknowledged {
            assert_eq!(node.submit(packet).await.0, 200, "{what}: it was acknowledged");
        }
        assert_eq!(node.submit(&self.last).await.0, if with_last { 200 } else { 201 }, "{what}: the last packet");
    }
}

/// The record that a byte of the file is in.
fn record_of(records: &[u64], at: u64) -> u64 {
    records.iter().copied().take_while(|start| *start <= at).last().unwrap_or(0)
}

/// Where a typed error says that the damage is.
fn offset_of(error: &Error) -> Option<u64> {
    match error {
        Error::Store(StoreError::Log(LogError::Record { offset, .. } | LogError::RecordHeader { offset })) => {
            Some(*offset)
        }
        Error::Store(StoreError::Log(LogError::FileHeader | LogError::Version { .. })) => Some(0),
        _ => None,
    }
}

async fn attempt(original: &Original, damage: &Damage, with_snapshot: bool, what: &str) -> &'static str {
    let world = &original.world;
    let data = world.dir.path().join("damaged");
    let _ = fs::remove_dir_all(&data);
    copy_all(&original.before, &data);
    if !with_snapshot {
        fs::remove_dir_all(data.join("snapshots")).unwrap();
    }
    let path = log::path_in(&data);
    fs::write(&path, &damage.log).unwrap();
    for (file, bytes) in &damage.files {
        fs::write(data.join(file), bytes).unwrap();
    }
    if damage.without_index {
        fs::remove_dir_all(data.join("index")).unwrap();
    }
    let keys: BTreeMap<_, _> = key_files(&data);
    let opened = serve(world.config(&data), world.l1.clone(), world.prover.clone()).await;
    let untouched = |error: &Error| {
        assert!(fs::read(&path).unwrap() == damage.log, "{what}: the log was written to: {error}");
        assert!(key_files(&data) == keys, "{what}: keys were written to: {error}");
        assert!(!error.to_string().is_empty());
    };
    match (opened, &damage.outcome) {
        (Ok(handle), Outcome::Opens { with_last }) => {
            let node = Node::over(handle);
            original.is_all_there(&node, *with_last, what).await;
            node.handle.shutdown().await;
            "opens with everything"
        }
        (Err(error), Outcome::Refused { at }) => {
            untouched(&error);
            let found = offset_of(&error).unwrap_or_else(|| panic!("{what}: no offset: {error:?}"));
            assert_eq!(found, record_of(&original.records, *at), "{what}: {error}");
            "refused with its offset"
        }
        // A snapshot is after the damage, which is found by the check that follows every start.
        (Ok(handle), Outcome::Refused { at }) if with_snapshot && *at < original.log.len() as u64 => {
            handle.shutdown().await;
            assert!(fs::read(&path).unwrap() == damage.log, "{what}: the log was written to");
            let error = check(&data, &world.dir.path().join("master")).map(drop).map_err(Error::from).unwrap_err();
            assert_eq!(offset_of(&error), Some(record_of(&original.records, *at)), "{what}: {error}");
            "opens from its snapshot, and the check names its offset"
        }
        (Err(error), Outcome::Lost { has }) => {
            untouched(&error);
            match error {
                Error::Store(StoreError::OldLog { has: found, .. }) => assert_eq!(found, *has, "{what}"),
                Error::Store(StoreError::LogGone { .. }) if *has == 0 => {}
                error => panic!("{what}: {error:?}"),
            }
            "refused: something acknowledged is lost"
        }
        (Err(error), Outcome::Keys) => {
            untouched(&error);
            assert!(matches!(error, Error::Store(StoreError::DataKeys(_))), "{what}: {error:?}");
            "refused: keys"
        }
        (Ok(handle), Outcome::Index) => {
            let node = Node::over(handle);
            original.is_all_there(&node, false, what).await;
            node.handle.shutdown().await;
            "opens with everything"
        }
        (Err(error), Outcome::Index) => {
            untouched(&error);
            let typed = matches!(error, Error::Store(StoreError::Index(_) | StoreError::OldLog { .. }));
            assert!(typed, "{what}: {error:?}");
            "refused: index"
        }
        (Ok(handle), Outcome::Prefix { has }) => {
            let node = Node::over(handle);
            let height = node.status().await["log_height"].as_u64().unwrap();
            // Steps that L1 has seen already are written down again.
            assert!((*has..=has + OWN_STEPS).contains(&height), "{what}: {height} records, {has} are left");
            node.handle.shutdown().await;
            "opens with what is left"
        }
        // Without an index L1 is the only witness.
        (Err(error), Outcome::Prefix { .. }) => {
            untouched(&error);
            assert!(matches!(error, Error::Foreign | Error::Store(_)), "{what}: {error:?}");
            "refused: L1 has more"
        }
        (Ok(_), outcome) => panic!("{what}: it opened, and {outcome:?} was due"),
        (Err(error), outcome) => panic!("{what}: {error:?}, and {outcome:?} was due"),
    }
}

/// Proof and settlement of a batch: what the sequencer writes by itself.
const OWN_STEPS: u64 = 2;

/// 200 of them in `make nightly`.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_opens_whole_or_is_refused_where_it_is_damaged() {
    let cases = std::env::var("GRIDVEIL_TORN").map_or(20, |number| number.parse::<u64>().unwrap());
    let seed = std::env::var("GRIDVEIL_FUZZ_SEED").unwrap_or_default();
    let original = Original::new().await;
    let mut counts = BTreeMap::new();
    for case in 0..cases {
        let mut first = [0; 8];
        first.copy_from_slice(&blake3::hash(format!("torn {seed} {case}").as_bytes()).as_bytes()[..8]);
        let mut stream = Stream::new(u64::from_be_bytes(first));
        let kind = usize::try_from(case).unwrap() % damage::KINDS.len();
        let damage = damage::KINDS[kind].1(&original, &mut stream);
        let name = damage::KINDS[kind].0;
        let with_snapshot = stream.below(2) == 0;
        let with = if with_snapshot { ", with a snapshot" } else { "" };
        let what = format!("GRIDVEIL_FUZZ_SEED={seed:?} case {case}, {name} ({}{with})", damage.told);
        let outcome = attempt(&original, &damage, with_snapshot, &what).await;
        *counts.entry((name, outcome)).or_insert(0) += 1;
    }
    for ((name, outcome), count) in &counts {
        println!("{count:4} {name}: {outcome}");
    }
    assert!(cases < 20 || counts.keys().map(|(name, _)| name).collect::<std::collections::BTreeSet<_>>().len() >= 18);
}
