//! What was restored from a backup, wholly or in part: it is that, or it is refused with what to do.
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use crate::{
    common::{Node, World, until},
    recovery::{boundaries, copy, history},
};
use gridveil_sequencer::{
    Error, StoreError, create_master_key, ensure_master_key, serve,
    store::{
        data_keys::DataKeyError,
        log::{self, Log, LogError},
        restoring::{RestoredKeys, restore_keys},
    },
};

async fn refused(world: &World, data: &Path) -> Error {
    serve(world.config(data), world.l1.clone(), world.prover.clone()).await.unwrap_err()
}

pub fn key_files(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(data.join("keys")).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A directory and all in it, as a backup has them.
pub fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to)
        } else {
            drop(fs::copy(entry.path(), to))
        }
    }
}

/// LOG.7: with a genesis given, the keys of a log that is gone were replaced.
#[tokio::test(flavor = "multi_thread")]
async fn keys_whose_log_is_gone_are_never_replaced() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let (data, keys) = (world.data(), key_files(&world.data()));
    let log = fs::read(log::path_in(&data)).unwrap();
    let gone = async |wanted_index: bool| match refused(&world, &data).await {
        Error::Store(error @ StoreError::LogGone { key_files: 2, index }) => {
            assert_eq!(index, wanted_index);
            assert!(error.to_string().contains("docs/how-to/restore.md"), "{error}");
        }
        other => panic!("{other:?}"),
    };
    fs::remove_file(log::path_in(&data)).unwrap();
    gone(true).await;
    // A file that holds nothing is no log either.
    for empty in [&[][..], &[0; 64]] {
        fs::write(log::path_in(&data), empty).unwrap();
        gone(true).await;
    }
    fs::remove_file(log::path_in(&data)).unwrap();
    fs::remove_dir_all(data.join("index")).unwrap();
    gone(false).await;
    // Another log that was begun meanwhile makes no keys over these.
    Log::open(&log::path_in(&data), |_, _| Ok::<_, LogError>(())).unwrap();
    let error = refused(&world, &data).await;
    assert!(matches!(error, Error::Store(StoreError::DataKeys(DataKeyError::InTheWay { .. }))), "{error:?}");
    assert_eq!(key_files(&data), keys);
    fs::write(log::path_in(&data), log).unwrap();
    world.start().await.handle.shutdown().await;
    assert_eq!(key_files(&data), keys);
}

/// A first start that was killed after its keys were made, and before its first record.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_first_start_that_was_killed_are_taken_as_they_are() {
    let world = World::new().await;
    world.start().await.handle.kill().await;
    let (data, keys) = (world.data(), key_files(&world.data()));
    let header = fs::read(log::path_in(&data)).unwrap()[..64].to_vec();
    fs::write(log::path_in(&data), header).unwrap();
    fs::remove_dir_all(data.join("index")).unwrap();
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    node.handle.shutdown().await;
    assert_eq!(key_files(&data), keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_master_key_is_made_beside_a_log_that_needs_another() {
    let world = World::new().await;
    let (data, master) = (world.data(), world.dir.path().join("another"));
    ensure_master_key(&data, &master).unwrap();
    fs::remove_file(&master).unwrap();
    history(&world).await.handle.shutdown().await;
    assert!(matches!(ensure_master_key(&data, &master), Err(DataKeyError::MasterGone)));
    fs::remove_file(log::path_in(&data)).unwrap();
    assert!(matches!(ensure_master_key(&data, &master), Err(DataKeyError::MasterGone)));
    assert!(!master.exists());
    ensure_master_key(&data, &world.dir.path().join("master")).unwrap();
    create_master_key(&master).unwrap();
}

/// LOG.8: the index is written after the log: one that is ahead is evidence of loss. It was dropped in silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_older_than_its_index_is_refused() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let (data, path) = (world.data(), log::path_in(&world.data()));
    let newest = fs::read(&path).unwrap();
    let records = boundaries(&data);
    // Of every age, from the header alone to the last record missing.
    for (height, (_, cut)) in records.iter().enumerate() {
        let cut = usize::try_from(*cut).unwrap();
        fs::write(&path, &newest[..cut]).unwrap();
        match refused(&world, &data).await {
            Error::Store(error @ StoreError::OldLog { has, seen }) => {
                assert_eq!((has, seen), (height as u64, records.len() as u64));
                let said = error.to_string();
                assert!(said.contains(&format!("has {has}:")) && said.contains("docs/how-to/restore.md"), "{said}");
            }
            other => panic!("{height}: {other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap().len(), cut, "it is left as it is");
    }
    // The newest one goes on.
    fs::write(&path, &newest).unwrap();
    let node = world.start().await;
    node.run_period(&world, 7, 1).await;
    node.settled(7, 2).await;
    node.handle.shutdown().await;
}

/// Two sequencers that went on from one backup: the log of one is not the log that the index of the other knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_on_otherwise_is_refused_by_the_index() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let other = world.dir.path().join("other");
    copy(&world.data(), &other, None);
    let (node, elsewhere) = (world.start().await, world.start_with(world.config(&other)).await);
    assert_eq!(node.submit(&world.packet(5, 2, 0, false)).await.0, 201);
    for slot in [1, 2] {
        assert_eq!(elsewhere.submit(&world.packet(5, 2, slot, false)).await.0, 201);
    }
    node.handle.shutdown().await;
    elsewhere.handle.shutdown().await;
    fs::copy(log::path_in(&other), log::path_in(&world.data())).unwrap();
    let error = refused(&world, &world.data()).await;
    let Error::Store(StoreError::OldLog { has, seen }) = error else { panic!("{error:?}") };
    assert_eq!(has, seen);
    assert!(error.to_string().contains("has others"), "{error}");
}

/// Keys come back from a backup, and over no others.
#[tokio::test(flavor = "multi_thread")]
async fn keys_come_back_from_a_backup_and_over_no_others() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let (data, master) = (world.data(), world.dir.path().join("master"));
    let (keys, backup) = (key_files(&data), world.dir.path().join("backup"));
    copy_all(&data.join("keys"), &backup);
    let restore = |from: &Path| restore_keys(&data, &master, from, true);
    // Killed half-way: one is back, the other is not.
    fs::remove_file(data.join("keys/7.keys")).unwrap();
    assert_eq!(restore_keys(&data, &master, &backup, false).unwrap(), RestoredKeys { restored: 1, there: 1 });
    assert!(!data.join("keys/7.keys").exists(), "only shown");
    assert_eq!(restore(&backup).unwrap(), RestoredKeys { restored: 1, there: 1 });
    assert_eq!(restore(&backup).unwrap(), RestoredKeys { restored: 0, there: 2 });
    fs::remove_dir_all(data.join("keys")).unwrap();
    assert_eq!(restore(&backup).unwrap(), RestoredKeys { restored: 2, there: 0 });
    assert_eq!(key_files(&data), keys);
    // Of another deployment: nothing is written, not even the file that is right.
    let other = World::new().await;
    other.start().await.handle.shutdown().await;
    fs::copy(other.data().join("keys/7.keys"), backup.join("7.keys")).unwrap();
    fs::remove_dir_all(data.join("keys")).unwrap();
    assert!(matches!(restore(&backup), Err(StoreError::DataKeys(DataKeyError::KeyFile { community: 7, .. }))));
    assert!(!data.join("keys/5.keys").exists());
    // What is there and does not open is not replaced either: somebody looks at it first.
    fs::copy(data.join("sequencer.log"), world.dir.path().join("log")).unwrap();
    for (path, bytes) in &keys {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let damaged = data.join("keys/5.keys");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[40] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    assert!(matches!(restore(&data.join("keys")), Err(StoreError::DataKeys(DataKeyError::InTheWay { community: 5 }))));
    assert_eq!(fs::read(&damaged).unwrap(), bytes);
    fs::write(&damaged, &keys[&damaged]).unwrap();
    // Not while the sequencer runs, and not without its log.
    let node = world.start().await;
    assert!(matches!(restore(&backup), Err(StoreError::Log(LogError::Locked))));
    node.handle.shutdown().await;
    fs::remove_file(log::path_in(&data)).unwrap();
    assert!(matches!(restore(&backup), Err(StoreError::LogGone { .. })));
    assert!(!log::path_in(&data).exists());
}

/// A log that was restored without its index, while L1 does not answer, takes nothing before that is compared.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_log_takes_nothing_before_l1_is_compared() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let records = boundaries(&world.data());
    let applied_last = records.iter().rposition(|r| r.0 == 5).unwrap();
    let (old, newest) = (world.dir.path().join("old"), world.dir.path().join("newest"));
    copy(&world.data(), &old, Some(records[applied_last - 5].1));
    copy(&world.data(), &newest, None);
    let late = async |node: &Node| node.submit(&world.packet(5, 1, 1, false)).await;
    let fresh = async |node: &Node| node.submit(&world.packet(5, 2, 1, false)).await;
    world.l1.faults.down.store(true, Ordering::SeqCst);
    let node = world.start_with(world.config(&newest)).await;
    let (status, body) = fresh(&node).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("log.unproven")), "{body}");
    world.l1.faults.down.store(false, Ordering::SeqCst);
    until("compared", async || fresh(&node).await.0 == 201).await;
    node.handle.shutdown().await;
    // The old one is refused for good.
    world.l1.faults.down.store(true, Ordering::SeqCst);
    let node = world.start_with(world.config(&old)).await;
    assert_eq!(late(&node).await.1["code"], "log.unproven");
    world.l1.faults.down.store(false, Ordering::SeqCst);
    until("stopped", async || node.get("/healthz").await.0 == 503).await;
    assert_eq!(late(&node).await.1["code"], "log.old");
    node.handle.shutdown().await;
    assert!(matches!(refused(&world, &old).await, Error::Foreign));
}

/// The whole directory of an earlier day, index and all: L1 alone can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_directory_of_an_earlier_day_is_refused_by_l1() {
    let world = World::new().await;
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    node.handle.shutdown().await;
    let backup = world.dir.path().join("backup");
    copy_all(&world.data(), &backup);
    let node = world.start().await;
    node.run_period(&world, 5, 1).await;
    node.settled(5, 2).await;
    node.handle.shutdown().await;
    assert!(matches!(refused(&world, &backup).await, Error::Foreign));
    world.l1.faults.down.store(true, Ordering::SeqCst);
    let node = world.start_with(world.config(&backup)).await;
    world.l1.faults.down.store(false, Ordering::SeqCst);
    until("stopped", async || node.get("/healthz").await.0 == 503).await;
    let (status, body) = node.submit(&world.packet(5, 1, 1, false)).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("log.old")), "{body}");
    node.handle.shutdown().await;
}
