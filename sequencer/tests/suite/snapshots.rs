//! Snapshots of what follows from the log: opening from one is opening from all of the log, and faster; one that is not
//! whole or not the log's is passed over; what opening passes over is checked in the background.
use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    common::{Node, World, until},
    recovery::{boundaries, busy, copy, history, queue_work},
    restore::copy_all,
};
use gridveil_protocol::operation::Kind;
use gridveil_sequencer::{
    Config, Error, StoreError, serve,
    store::{Opened, Store, check::check, data_keys::DataKeyError, log},
};

fn master(world: &World) -> PathBuf {
    world.dir.path().join("master")
}

fn files(data: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(data.join("snapshots")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn open(world: &World, data: &Path) -> Opened {
    Store::open(data, &master(world), None).unwrap()
}

/// From which record on it was read.
fn from(opened: &Opened) -> u64 {
    opened.basis.map_or(0, |basis| basis.tip.height)
}

fn same(one: &Opened, other: &Opened) {
    assert_eq!(one.log_state, other.log_state);
    assert_eq!(one.communities, other.communities);
    assert_eq!(one.tree, other.tree);
}

/// A snapshot after any record leads to what all of the log leads to. At least `fewest` of them can be made: before, the
/// genesis is not whole, or what is erased now was in use.
pub fn every_one_leads_where_the_log_leads(world: &World, data: &Path, fewest: usize) {
    let at = |name: String| world.dir.path().join("places").join(name);
    let whole = at("whole".into());
    copy(data, &whole, None);
    let right = open(world, &whole);
    assert_eq!(from(&right), 0);
    let end = right.store.height();
    let mut made = 0;
    for (height, (_, cut)) in (0..).zip(boundaries(data)) {
        let part = at(height.to_string());
        copy(data, &part, Some(cut));
        let Ok(opened) = Store::open(&part, &master(world), None) else { continue };
        assert_eq!(opened.store.height(), height);
        let tip = opened.store.tip();
        assert!(opened.store.reader().write_snapshot(&tip, &opened.log_state, &opened.tree).unwrap());
        drop(opened);
        // The index of then is brought up to the log, which is whole again.
        fs::copy(log::path_in(data), log::path_in(&part)).unwrap();
        let again = open(world, &part);
        assert_eq!((from(&again), again.store.height(), again.index_rebuilt), (height, end, false));
        same(&again, &right);
        drop(again);
        let report = check(&part, &master(world)).unwrap();
        assert_eq!((report.index, report.snapshots, report.other_snapshots), (Some(true), 1, 0), "{height}");
        assert_eq!((report.checked.records, report.opened), (end, Some(report.communities)));
        made += 1;
    }
    assert!(made >= fewest, "{made}");
}

/// LOG.11
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_after_any_record_leads_where_the_log_leads() {
    let world = World::with(|g| {
        let accounts = &mut g.communities[0].accounts;
        (accounts[0].balance, accounts[2].balance) = (1000 * 10_000_000, 2000 * 10_000_000);
        accounts[2].payout = [0xcd; 20];
    })
    .await;
    queue_work(&world.l1);
    let node = world.start().await;
    busy(&world, &node).await;
    node.accepted(&world.operation(0, Kind::Withdraw, world.nonce(0) + 2, |o| o.amount = 10_000_000)).await;
    node.submit_but(&world, 5, 2, 1).await;
    node.handle.kill().await;
    every_one_leads_where_the_log_leads(&world, &world.data(), 20);
}

/// One is written at an orderly stop and every so many records, and the last two stay.
#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_written_at_a_stop_and_every_so_many_records() {
    let world = World::new().await;
    let often = || -> Config {
        let mut config = world.config(&world.data());
        config.limits.snapshot_records = 4;
        config
    };
    let node = world.start_with(often()).await;
    for (community, period, periods) in [(5, 0, 1), (7, 0, 1), (5, 1, 2)] {
        node.run_period(&world, community, period).await;
        node.settled(community, periods).await;
    }
    let last = || node.handle.service().metrics.snapshot_records.get();
    let height = node.status().await["log_height"].as_i64().unwrap();
    until("written", async || last() + 8 > height).await;
    node.handle.kill().await;
    assert_eq!(files(&world.data()).len(), 2);
    let opened = open(&world, &world.data());
    assert!(from(&opened) + 8 > opened.store.height(), "it was read from the last one on");
    drop(opened);
    // An orderly stop.
    world.start().await.handle.shutdown().await;
    let opened = open(&world, &world.data());
    assert_eq!(from(&opened), opened.store.height(), "nothing is left to be read");
    assert_eq!(files(&world.data()).len(), 2);
}

/// Killed at every step of writing one: a part of a file under a passing name, or under its own where the disk had the
/// name before the content.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_not_whole_is_passed_over() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let node = world.start().await;
    node.submit_all(&world, 7, 1).await;
    node.handle.shutdown().await;
    let data = world.data();
    let [older, newest] = &files(&data)[..] else { panic!("{:?}", files(&data)) };
    let (whole, right) = (fs::read(newest).unwrap(), open(&world, &data));
    let end = right.store.height();
    assert_eq!(from(&right), end);
    let older_height: u64 = older.file_name().unwrap().to_str().unwrap().parse().unwrap();
    assert!(older_height < end);
    drop(right);
    let right = || {
        let at = world.dir.path().join("whole");
        copy(&data, &at, None);
        open(&world, &at)
    };
    let right = right();
    let cuts = [0, 1, 31, 32, 79, 80, 200, whole.len() / 2, whole.len() - 33, whole.len() - 1];
    let temporary = newest.with_file_name(format!(".{}.0102030405060708.tmp", newest.file_name().unwrap().display()));
    for cut in cuts {
        fs::write(newest, &whole[..cut]).unwrap();
        fs::write(&temporary, &whole[..cut]).unwrap();
        let opened = open(&world, &data);
        assert_eq!(from(&opened), older_height, "{cut}");
        same(&opened, &right);
        assert!(!temporary.exists());
        drop(opened);
    }
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(newest, &damaged).unwrap();
        assert_eq!(from(&open(&world, &data)), older_height, "{at}");
    }
    // Neither is whole: all of the log is read.
    fs::write(newest, &whole[..100]).unwrap();
    fs::write(older, b"").unwrap();
    let opened = open(&world, &data);
    assert_eq!(from(&opened), 0);
    same(&opened, &right);
    drop(opened);
    // One that is not whole is written again.
    world.start().await.handle.shutdown().await;
    assert_eq!(from(&open(&world, &data)), end);
    // Of another log, under a name of this one.
    let other = World::new().await;
    history(&other).await.handle.shutdown().await;
    fs::copy(&files(&other.data())[0], newest).unwrap();
    fs::remove_file(older).unwrap();
    assert_eq!(from(&open(&world, &data)), 0);
}

/// LOG.8: a snapshot is written after the log: one that is ahead of it is evidence of loss, and so is one of other records.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_older_than_its_snapshots_is_refused() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let (data, path) = (world.data(), log::path_in(&world.data()));
    let newest = fs::read(&path).unwrap();
    let records = boundaries(&data);
    fs::remove_dir_all(data.join("index")).unwrap();
    let refused = async || match serve(world.config(&data), world.l1.clone(), world.prover.clone()).await {
        Err(Error::Store(StoreError::OldLog { has, seen })) => (has, seen),
        other => panic!("{other:?}"),
    };
    for (height, (_, cut)) in (0..).zip(&records).skip(3).step_by(5) {
        fs::write(&path, &newest[..usize::try_from(*cut).unwrap()]).unwrap();
        assert_eq!(refused().await, (height, records.len() as u64));
        fs::remove_dir_all(data.join("index")).unwrap();
    }
    // A log that went on otherwise from one backup.
    fs::write(&path, &newest).unwrap();
    let other = world.dir.path().join("other");
    copy(&data, &other, None);
    let (node, elsewhere) = (world.start().await, world.start_with(world.config(&other)).await);
    assert_eq!(node.submit(&world.packet(5, 2, 0, false)).await.0, 201);
    for slot in [1, 2] {
        assert_eq!(elsewhere.submit(&world.packet(5, 2, slot, false)).await.0, 201);
    }
    node.handle.shutdown().await;
    elsewhere.handle.shutdown().await;
    fs::copy(log::path_in(&other), &path).unwrap();
    fs::remove_dir_all(data.join("index")).unwrap();
    let (has, seen) = refused().await;
    assert_eq!(has, seen);
    // Put aside with the index, as the page says, they say nothing.
    for seen in ["index", "snapshots"] {
        fs::remove_dir_all(data.join(seen)).unwrap();
    }
    world.start().await.handle.shutdown().await;
}

/// An index that has not seen what a snapshot has is made anew from all of the log; one that has is brought up to it.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_behind_is_brought_up_to_the_log() {
    let world = World::new().await;
    let (data, then) = (world.data(), world.dir.path().join("then"));
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    node.handle.shutdown().await;
    copy_all(&data, &then);
    let node = world.start().await;
    node.run_period(&world, 7, 0).await;
    node.settled(7, 1).await;
    node.handle.shutdown().await;
    let put_back = |what: &str| {
        fs::remove_dir_all(data.join(what)).unwrap();
        copy_all(&then.join(what), &data.join(what));
    };
    let newest = world.dir.path().join("newest");
    copy_all(&data.join("snapshots"), &newest);
    let checked = || check(&data, &master(&world)).unwrap();
    // It has seen as much as the older snapshot.
    put_back("index");
    let opened = open(&world, &data);
    assert!(from(&opened) > 0 && from(&opened) < opened.store.height() && !opened.index_rebuilt);
    drop(opened);
    assert_eq!(checked().index, Some(true));
    // It has seen less than the only snapshot.
    put_back("index");
    fs::remove_file(&files(&data)[0]).unwrap();
    let opened = open(&world, &data);
    assert!(from(&opened) == 0 && opened.index_rebuilt);
    drop(opened);
    assert_eq!(checked().index, Some(true));
}

/// LOG.4: damage before the snapshot stops no start; it is never read as if it were right, and is told within a moment.
#[tokio::test(flavor = "multi_thread")]
async fn damage_before_the_snapshot_is_found_in_the_background() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let path = log::path_in(&world.data());
    let (whole, records) = (fs::read(&path).unwrap(), boundaries(&world.data()));
    // The tariff that both periods of community 5 had.
    let (height, (_, offset)) = records.iter().enumerate().find(|(_, record)| record.0 == 3).unwrap();
    let at = usize::try_from(*offset).unwrap() + 70;
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let node = world.start().await;
    let said = format!("record {height} at offset {offset} is damaged");
    until("told", async || node.health().await.1["reasons"].to_string().contains(&said)).await;
    assert_eq!(node.health().await.1["status"], "degraded");
    let metrics = node.watched("/metrics").await.1;
    assert!(metrics.as_str().unwrap().contains("gridveil_log_findings_total 1"), "{metrics}");
    let first = crate::common::first_interval();
    assert_eq!(node.get(&format!("/v1/communities/5/tariffs/{first}")).await.0, 503, "it is read by nobody");
    // The rest is right.
    assert_eq!(node.submit(&world.packet(7, 1, 0, false)).await.0, 201);
    node.handle.shutdown().await;
    match check(&world.data(), &master(&world)) {
        Err(StoreError::Log(log::LogError::Record { offset: at, .. })) => assert_eq!(at, *offset),
        other => panic!("{other:?}"),
    }
    // What came since stays. With the record as it was, all is well.
    let mut now = fs::read(&path).unwrap();
    assert_eq!(now[..whole.len()], damaged[..]);
    now[at] ^= 1;
    fs::write(&path, &now).unwrap();
    let node = world.start().await;
    all_is_well(&node).await;
    assert_eq!(node.submit(&world.packet(7, 1, 0, false)).await.0, 200);
    node.handle.shutdown().await;
}

async fn all_is_well(node: &Node) {
    let service = node.handle.service();
    let height = node.status().await["log_height"].as_i64().unwrap();
    until("checked", async || service.metrics.log_checked_records.get() >= height).await;
    assert_eq!(node.health().await.1["status"], "ok");
}

/// An index that is wrong before the snapshot is found in the background, and made anew by the next start.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_wrong_is_found_in_the_background() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let (data, index) = (world.data(), world.data().join("index"));
    let entries = || sled::open(&index).unwrap().iter().map(|entry| entry.unwrap()).collect::<Vec<_>>();
    let good = entries();
    let damages: [&dyn Fn(); 2] =
        [&|| drop(sled::open(&index).unwrap().insert(&good[3].0, &b"elsewhere"[..]).unwrap()), &|| {
            drop(sled::open(&index).unwrap().insert(b"pSTALE", &b"of no packet"[..]).unwrap())
        }];
    for damage in damages {
        damage();
        assert_ne!(entries(), good);
        assert_eq!(check(&data, &master(&world)).unwrap().index, Some(false));
        let node = world.start().await;
        until("told", async || node.health().await.1["reasons"].to_string().contains("the index is not")).await;
        node.handle.shutdown().await;
        assert!(files(&data).is_empty(), "the next start reads all of the log");
        let node = world.start().await;
        all_is_well(&node).await;
        node.handle.shutdown().await;
        assert_eq!(entries(), good);
    }
}

/// An entry that a start needs is wrong before the snapshot: the start reads all of the log, and makes the index anew. It
/// would have ended there.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_a_start_needs_and_is_wrong_is_made_anew() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    let (data, index) = (world.data(), world.data().join("index"));
    let entries = || sled::open(&index).unwrap().iter().map(|entry| entry.unwrap()).collect::<Vec<_>>();
    let good = entries();
    // Where the records of the communities are, with their first certificates.
    for (_, offset) in boundaries(&data).iter().filter(|record| record.0 == 14) {
        let value = offset.to_be_bytes();
        let (key, _) = good.iter().find(|(_, there)| there.as_ref() == value).unwrap();
        sled::open(&index).unwrap().insert(key, &b"elsewhere"[..]).unwrap();
    }
    let opened = open(&world, &data);
    assert!(opened.basis.is_none() && opened.index_rebuilt);
    drop(opened);
    assert_eq!(entries(), good);
    world.start().await.handle.shutdown().await;
}

/// A snapshot does not open under another master key, and no start gets past that.
#[tokio::test(flavor = "multi_thread")]
async fn another_master_key_opens_no_snapshot() {
    let world = World::new().await;
    history(&world).await.handle.shutdown().await;
    fs::remove_file(master(&world)).unwrap();
    gridveil_sequencer::create_master_key(&master(&world)).unwrap();
    let refused = Store::open(&world.data(), &master(&world), None).unwrap_err();
    assert!(matches!(refused, StoreError::DataKeys(DataKeyError::Master(_))), "{refused:?}");
}
