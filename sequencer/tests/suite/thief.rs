//! What a thief of the disk learns, and logs of the format before (`docs/spec/log.md`).
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    common::World,
    recovery::{boundaries, history},
    restore::copy_all,
};
use gridveil_sequencer::{
    Error, StoreError, serve,
    store::{
        data_keys::DataKeyError,
        log::{self, IN_CLEAR, Log, LogError, VERSION},
        restoring::seal_log,
    },
};

fn version(data: &Path) -> u32 {
    Log::open(&log::path_in(data), |_, _| Ok::<_, LogError>(())).unwrap().identity().version
}

/// Bodies of a kind are of few lengths, and these do not follow what is in them.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_kind_have_one_length() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let records = boundaries(&world.data());
    let end = fs::metadata(log::path_in(&world.data())).unwrap().len();
    let ends = records.iter().map(|record| record.1).skip(1).chain([end]);
    let mut lengths = BTreeMap::new();
    for ((kind, at), end) in records.iter().zip(ends) {
        lengths.entry(*kind).or_insert_with(std::collections::BTreeSet::new).insert(end - at);
    }
    for kind in [2, 3, 5, 14] {
        assert_eq!(lengths[&kind].len(), 1, "kind {kind}: {lengths:?}");
    }
}

/// The index, what sled leaves in its files, and snapshots name no slot, no period and no identity.
#[tokio::test(flavor = "multi_thread")]
async fn the_index_names_nobody() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let packet = gridveil_sequencer::store::log_state::key::packet(5, crate::common::first_interval(), 1, false);
    let mut files = Vec::new();
    let mut folders = vec![world.data().join("index"), world.data().join("snapshots")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(fs::read(entry).unwrap()) }
        }
    }
    let holds = |needle: &[u8]| files.iter().any(|file| file.windows(needle.len()).any(|window| window == needle));
    assert!(!files.is_empty() && !holds(&packet) && !holds(&packet[1..]));
    assert!(!holds(b"first_interval") && !holds(b"communities"));
    let snapshots = fs::read_dir(world.data().join("snapshots")).unwrap();
    let lengths: Vec<u64> = snapshots.map(|file| file.unwrap().metadata().unwrap().len() % (64 << 10)).collect();
    assert_eq!(lengths, [80 + 24 + 16 + 32], "filled up");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// LOG.10
#[tokio::test(flavor = "multi_thread")]
async fn the_data_directory_is_the_owners_alone() {
    let world = World::new().await;
    let data = world.data();
    world.start().await.handle.shutdown().await;
    for folder in ["", "keys", "index", "snapshots"] {
        assert_eq!(mode(&data.join(folder)), 0o700, "{folder}");
    }
    for file in ["sequencer.log", "keys/5.keys", "keys/7.keys"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    // An earlier release made the directory for everybody: it is closed.
    for folder in ["", "keys", "index", "snapshots"] {
        chmod(&data.join(folder), 0o755);
    }
    chmod(&data.join("sequencer.log"), 0o644);
    world.start().await.handle.shutdown().await;
    for (path, wanted) in
        [("", 0o700), ("keys", 0o700), ("index", 0o700), ("snapshots", 0o700), ("sequencer.log", 0o600)]
    {
        assert_eq!(mode(&data.join(path)), wanted, "{path}");
    }
    // Keys that others could read are not taken as if nobody had.
    chmod(&data.join("keys/7.keys"), 0o640);
    let refused = serve(world.config(&data), world.l1.clone(), world.prover.clone()).await.unwrap_err();
    let Error::Store(StoreError::DataKeys(error @ DataKeyError::KeyFile { community: 7, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

/// A log that the release before wrote: packets, no batch. It is read, goes on as it is, and can be sealed.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_the_format_before_opens_goes_on_and_is_sealed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log-4");
    let world = World::new().await;
    let data = world.data();
    copy_all(&golden, &data);
    fs::rename(data.join("log"), log::path_in(&data)).unwrap();
    fs::rename(data.join("master"), world.dir.path().join("master")).unwrap();
    for file in ["keys/5.keys", "keys/7.keys"] {
        chmod(&data.join(file), 0o600);
    }
    chmod(&world.dir.path().join("master"), 0o600);
    let node = world.start().await;
    for slot in 0..3 {
        assert_eq!(node.submit(&world.packet(5, 0, slot, false)).await.0, 200, "it is there");
    }
    assert_eq!(node.close(5, 0).await.0, 200);
    node.settled(5, 1).await;
    node.handle.shutdown().await;
    assert_eq!(version(&data), IN_CLEAR);
    let holds =
        |file: &Path, needle: &[u8]| fs::read(file).unwrap().windows(needle.len()).any(|window| window == needle);
    assert!(holds(&log::path_in(&data), b"packet_id"));
    let records = boundaries(&data);
    // Killed before it was whole, and once more after it is done: both are made again.
    fs::write(data.join("sequencer.log.sealed"), b"half").unwrap();
    let master = world.dir.path().join("master");
    assert_eq!(seal_log(&data, &master).unwrap(), Some(records.len() as u64));
    assert_eq!(seal_log(&data, &master).unwrap(), None, "it is sealed");
    assert_eq!(version(&data), VERSION);
    let kinds = |records: &[(u16, u64)]| records.iter().map(|record| record.0).collect::<Vec<_>>();
    assert_eq!(kinds(&boundaries(&data)), kinds(&records));
    for entry in fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        assert!(!holds(&entry, b"packet_id"), "{}: it is overwritten, too", entry.display());
    }
    let node = world.start().await;
    node.run_period(&world, 5, 1).await;
    node.settled(5, 2).await;
    assert_eq!(node.submit(&world.packet(5, 0, 1, false)).await.0, 200);
    node.handle.shutdown().await;
}

/// Killed at any step of the sealing, the log is there, whole, in one of the two formats, and it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_sealing_that_was_killed_is_made_again() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log-4");
    let world = World::new().await;
    let before = world.dir.path().join("before");
    copy_all(&golden, &before);
    fs::rename(before.join("log"), log::path_in(&before)).unwrap();
    let master = world.dir.path().join("master");
    fs::rename(before.join("master"), &master).unwrap();
    for file in [master.clone(), before.join("keys/5.keys"), before.join("keys/7.keys")] {
        chmod(&file, 0o600);
    }
    let after = world.dir.path().join("after");
    copy_all(&before, &after);
    seal_log(&after, &master).unwrap();
    let sealed = fs::read(log::path_in(&after)).unwrap();
    // The old file has its second name, and the new one has not the first yet: it is the log.
    let data = world.dir.path().join("killed-linked");
    copy_all(&before, &data);
    fs::hard_link(log::path_in(&data), data.join("sequencer.log.clear")).unwrap();
    assert!(seal_log(&data, &master).unwrap().is_some());
    world.start_with(world.config(&data)).await.handle.shutdown().await;
    // The new file is whole and has not its name yet; it has it, and the old one is not overwritten yet.
    for (n, (name, content)) in
        [("sequencer.log.sealed", &sealed), ("sequencer.log.clear", &fs::read(log::path_in(&before)).unwrap())]
            .into_iter()
            .enumerate()
    {
        let data = world.dir.path().join(format!("killed-{n}"));
        copy_all(if n == 0 { &before } else { &after }, &data);
        fs::write(data.join(name), content).unwrap();
        world.start_with(world.config(&data)).await.handle.shutdown().await;
        seal_log(&data, &master).unwrap();
        assert_eq!(version(&data), VERSION);
        assert!(!data.join("sequencer.log.sealed").exists() && !data.join("sequencer.log.clear").exists());
        world.start_with(world.config(&data)).await.handle.shutdown().await;
    }
}
