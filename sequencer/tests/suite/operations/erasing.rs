//! An account that has ended is erased: everything sealed for it is unreadable, and everything else goes on.

use std::{fs, path::Path};

use gridveil_sequencer::{
    Error, StoreError,
    store::{
        bodies::Bodies,
        data_keys::{DataKeyError, DataKeys, Label, read_master_key},
        erasures::{self, ErasureError},
        log::{self, Log, LogError},
        record::{decode_body, kind},
    },
};

use super::*;
use crate::{
    recovery::boundaries,
    restore::{copy_all, key_files},
};

pub(super) fn newcomer() -> SecretKey {
    SecretKey::from_seed(&[62; 64])
}

pub(super) async fn moving() -> World {
    World::with(|g| {
        rich(g);
        // Slot 2 is inactive, so that its balance is known.
        g.communities[0].accounts[2].terms.active_until = Interval(1);
    })
    .await
}

pub(super) fn idle_by(world: &World, period: u32, meter: usize) -> SignedPacket {
    let mut signed = world.packet(5, period, 2, false);
    signed.packet.readings.iter_mut().for_each(|r| (r.import, r.export) = (0, 0));
    signed.packet.sign(&fixture::meter_key(meter)).unwrap()
}

pub(super) fn idle(world: &World, period: u32) -> SignedPacket {
    idle_by(world, period, 2)
}

pub(super) async fn period(node: &Node, world: &World, period: u32, of_slot_2: SignedPacket) {
    node.publish(world, 5).await;
    for packet in [world.packet(5, period, 0, false), world.packet(5, period, 1, false), of_slot_2] {
        let (status, body) = node.submit(&packet).await;
        assert_eq!(status, 201, "{body}");
    }
    assert_eq!(node.close(5, period).await.0, 200);
}

/// A period in which slot 2 is nobody's, and with which it is taken.
pub(super) async fn period_of_two(node: &Node, world: &World, period: u32) {
    let nonce = node.handle.service().writer.snapshot().communities[&5].accounts[2].nonce;
    node.accepted(&enrolment(world, nonce)).await;
    node.publish(world, 5).await;
    node.submit_but(world, 5, period, 2).await;
    let (status, body) = node.close(5, period).await;
    assert_eq!(status, 200, "{body}");
}

/// Slot 2 is left in the second period. Until then nobody is enrolled into it.
pub(super) async fn leave(node: &Node, world: &World) {
    let nonce = world.nonce(2);
    node.accepted(&world.operation(2, Kind::Close, nonce, |o| o.amount = units(2000))).await;
    let (status, body) = node.operate(&enrolment(world, nonce + 1)).await;
    assert_eq!((status, body["code"].as_str()), (422, Some("operation.not_empty")), "{body}");
}

/// Somebody else takes slot 2.
pub(super) fn enrolment(world: &World, nonce: u32) -> SignedOperation {
    let terms = Some(Terms { active_until: Interval::MAX, cap_import: 5, scale: 1, ..Terms::default() });
    world.operation_by(&newcomer(), 2, Kind::Enrol, nonce, |o| {
        (o.party, o.payout, o.salts) =
            (owner_of(&newcomer()).commitment(), [4; 20], std::array::from_fn(|i| Fr::from(500 + i as u64)));
        (o.meter, o.terms) = (Some(fixture::meter_public(7)), terms);
    })
}

pub(super) fn of_newcomer(world: &World, period: u32) -> SignedPacket {
    idle_by(world, period, 7)
}

/// A snapshot from before an erasure, put in the place of those from after it, brings nothing back; nor does any of them
/// hold what was erased.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_snapshot_brings_nothing_back() {
    let world = moving().await;
    let (data, master) = (world.data(), world.dir.path().join("master"));
    story(&world).await.handle.shutdown().await;
    let before = world.dir.path().join("before");
    copy_all(&data.join("snapshots"), &before);
    let node = world.start().await;
    let (root, owner) = (node.status().await["state_root"].clone(), owner_key(2));
    assert_eq!(erase(&node, 2, &json!({})).await.0, 200);
    let erased = node.handle.service().writer.snapshot().log_state.erased.clone();
    assert_eq!(erased, [(5, 2, 0)].into());
    node.handle.shutdown().await;
    fs::remove_dir_all(data.join("snapshots")).unwrap();
    copy_all(&before, &data.join("snapshots"));
    let node = world.start().await;
    assert!(node.handle.service().metrics.snapshot_records.get() > 0);
    assert_eq!(node.handle.service().writer.snapshot().log_state.erased, erased);
    assert_eq!(receipt(&node, &world, &owner, 2, 1).await.1["code"], "request.signature");
    assert_eq!(node.status().await["state_root"], root);
    verified(&node, &world, &owner_key(0), 0, 0).await;
    node.handle.shutdown().await;
    assert_eq!(opened(&data, &master)[&0], 0, "no part of who left opens");
    crate::snapshots::every_one_leads_where_the_log_leads(&world, &data, 10);
}

pub(super) async fn erase(node: &Node, slot: u16, body: &Value) -> (u16, Value) {
    node.admin(&format!("/admin/v1/members/5/{slot}/erase"), Some(body), crate::common::TOKEN).await
}

/// Two periods, with the second of which slot 2 is left, a third one with which it is taken, and a fourth of the newcomer.
pub(super) async fn story(world: &World) -> Node {
    let node = world.start().await;
    period(&node, world, 0, idle(world, 0)).await;
    leave(&node, world).await;
    go_over(&node, world).await;
    node
}

/// From the period with which slot 2 is left to the first of the newcomer.
pub(super) async fn go_over(node: &Node, world: &World) {
    period(node, world, 1, idle(world, 1)).await;
    period_of_two(node, world, 2).await;
    period(node, world, 3, of_newcomer(world, 3)).await;
    node.settled(5, 4).await;
}

/// Sealed parts of slot 2 of community 5 that somebody with the directory and the master key opens, by generation.
pub(super) fn opened(data: &Path, master: &Path) -> std::collections::BTreeMap<u32, usize> {
    let copy = tempfile::tempdir().unwrap();
    copy_all(data, copy.path());
    let mut parts = Vec::new();
    let key = read_master_key(master).unwrap();
    let log = Log::open::<LogError>(&log::path_in(copy.path()), |identity, record| {
        let body = Bodies::of(&key, identity).open(record.kind, record.body).unwrap();
        let (public, sealed) = decode_body(record.kind, &body).unwrap();
        let public: Value = serde_json::from_slice(public).unwrap();
        let period = if matches!(
            record.kind,
            kind::PACKET | kind::CLOSED | kind::APPLIED | kind::LATE | kind::SELECTED | kind::KEPT
        ) {
            Interval(u32::try_from(public["first_interval"].as_u64().unwrap()).unwrap())
        } else {
            Interval::ZERO
        };
        parts.extend(sealed.into_iter().map(|sealed| (record.kind, period, sealed)));
        Ok(())
    })
    .unwrap();
    let keys = DataKeys::open(&copy.path().join("keys"), master, log.id()).unwrap();
    keys.load(5, 4, &Default::default()).unwrap();
    let mut found = std::collections::BTreeMap::new();
    for (kind, first_interval, sealed) in parts.into_iter().filter(|p| (p.2.community, p.2.part) == (5, 2)) {
        let label = Label { kind, community: 5, part: 2, first_interval };
        let opens = keys.open_part(&label, &sealed).is_ok();
        *found.entry(sealed.generation).or_insert(0) += usize::from(opens);
    }
    found
}

fn kinds(data: &Path) -> Vec<u16> {
    // The sequencer may hold it.
    let copy = tempfile::tempdir().unwrap();
    fs::copy(log::path_in(data), log::path_in(copy.path())).unwrap();
    boundaries(copy.path()).into_iter().map(|record| record.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_account_is_gone_and_everything_else_goes_on() {
    let world = moving().await;
    let (data, master) = (world.data(), world.dir.path().join("master"));
    let node = world.start().await;
    period(&node, &world, 0, idle(&world, 0)).await;
    node.settled(5, 1).await;
    // A living account is not erased.
    let (status, body) = erase(&node, 2, &json!({})).await;
    assert_eq!((status, body["code"].as_str()), (409, Some("account.lives")), "{body}");
    assert!(body["detail"].as_str().unwrap().contains("member close"));
    assert_eq!(erase(&node, 4, &json!({})).await.1["code"], "account.unknown");
    leave(&node, &world).await;
    world.prover.stuck.store(true, Ordering::SeqCst);
    period(&node, &world, 1, idle(&world, 1)).await;
    assert_eq!(erase(&node, 2, &json!({})).await.1["code"], "account.not_final");
    world.prover.stuck.store(false, Ordering::SeqCst);
    period_of_two(&node, &world, 2).await;
    period(&node, &world, 3, of_newcomer(&world, 3)).await;
    node.settled(5, 4).await;
    let before: Vec<Value> =
        [verified(&node, &world, &owner_key(0), 0, 0).await, verified(&node, &world, &owner_key(1), 1, 1).await]
            .iter()
            .map(|receipt| serde_json::to_value(receipt).unwrap())
            .collect();
    verified(&node, &world, &owner_key(2), 2, 1).await;
    let header = format!("/admin/v1/communities/5/header/{}", first_interval().0);
    let opening = node.admin(&header, None, crate::common::TOKEN).await;
    let root = node.status().await["state_root"].clone();
    assert!(opened(&data, &master)[&0] == 5);
    assert_eq!(erase(&node, 2, &json!({"account": 1})).await.1["code"], "account.lives");
    let (status, body) = erase(&node, 2, &json!({})).await;
    assert_eq!((status, &body["batches"], &body["account"]), (200, &json!(2), &json!(0)), "{body}");
    let check = async |node: &Node| {
        // Others have what they had.
        assert_eq!(serde_json::to_value(verified(node, &world, &owner_key(0), 0, 0).await).unwrap(), before[0]);
        assert_eq!(serde_json::to_value(verified(node, &world, &owner_key(1), 1, 1).await).unwrap(), before[1]);
        let given = super::given_back::given_back(node, &world, &owner_key(1), 1, 1).await;
        assert_eq!(given.packet, Some(world.packet(5, 1, 1, false)));
        assert_eq!(node.admin(&header, None, crate::common::TOKEN).await, opening);
        verified(node, &world, &newcomer(), 2, 3).await;
        // Who left is nobody.
        assert_eq!(receipt(node, &world, &owner_key(2), 2, 1).await.1["code"], "request.signature");
        assert_eq!(node.status().await["state_root"], root);
        assert_eq!(erase(node, 2, &json!({})).await, (200, body.clone()), "asked again");
    };
    check(&node).await;
    node.handle.shutdown().await;
    let found = opened(&data, &master);
    assert_eq!(found[&0], 0, "no part of who left opens");
    assert!(found[&1] > 1, "and those of who came do");
    let node = world.start().await;
    check(&node).await;
    period(&node, &world, 4, of_newcomer(&world, 4)).await;
    node.settled(5, 5).await;
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
    // Also where the index has to be made anew.
    fs::remove_dir_all(data.join("index")).unwrap();
    let node = world.start().await;
    verified(&node, &world, &owner_key(0), 0, 0).await;
    node.handle.shutdown().await;
}

/// A backup from before is erased again, by the list that is put beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_from_before_is_erased_again() {
    let world = moving().await;
    let master = world.dir.path().join("master");
    let node = story(&world).await;
    node.handle.shutdown().await;
    let backup = world.dir.path().join("backup");
    copy_all(&world.data(), &backup);
    let node = world.start().await;
    assert_eq!(erase(&node, 2, &json!({})).await.0, 200);
    node.handle.shutdown().await;
    assert!(opened(&backup, &master)[&0] == 5);
    fs::copy(erasures::path_in(&world.data()), erasures::path_in(&backup)).unwrap();
    let node = world.start_with(world.config(&backup)).await;
    until("erased again", async || !kinds(&backup).is_empty() && opened(&backup, &master)[&0] == 0).await;
    verified(&node, &world, &owner_key(0), 0, 0).await;
    verified(&node, &world, &newcomer(), 2, 3).await;
    node.handle.shutdown().await;
    // The list of another deployment erases nothing.
    let other = moving().await;
    story(&other).await.handle.shutdown().await;
    fs::copy(erasures::path_in(&backup), erasures::path_in(&other.data())).unwrap();
    let keys = key_files(&other.data());
    let refused = serve(other.config(&other.data()), other.l1.clone(), other.prover.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Store(StoreError::Erasures(ErasureError::List))), "{refused:?}");
    assert_eq!(key_files(&other.data()), keys);
}

/// A log from before the account ended is older than the list.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_newer_than_the_log_erases_nobody_who_lives() {
    let world = moving().await;
    let node = world.start().await;
    period(&node, &world, 0, idle(&world, 0)).await;
    node.settled(5, 1).await;
    node.handle.shutdown().await;
    let backup = world.dir.path().join("backup");
    copy_all(&world.data(), &backup);
    let node = world.start().await;
    leave(&node, &world).await;
    go_over(&node, &world).await;
    assert_eq!(erase(&node, 2, &json!({})).await.0, 200);
    node.handle.shutdown().await;
    fs::copy(erasures::path_in(&world.data()), erasures::path_in(&backup)).unwrap();
    let keys = key_files(&backup);
    let refused = serve(world.config(&backup), world.l1.clone(), world.prover.clone()).await.unwrap_err();
    let lives = matches!(refused, Error::Store(StoreError::Erasures(ErasureError::Lives { community: 5, slot: 2 })));
    assert!(lives && refused.to_string().contains("newest log"), "{refused:?}");
    assert_eq!(key_files(&backup), keys);
}

/// LOG.9: killed between any two steps of an erasure, it is finished at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_was_killed_is_finished() {
    let world = moving().await;
    let (data, master) = (world.data(), world.dir.path().join("master"));
    story(&world).await.handle.shutdown().await;
    let before = key_files(&data);
    let at_first = boundaries(&data).len();
    let node = world.start().await;
    assert_eq!(erase(&node, 2, &json!({})).await.0, 200);
    node.handle.shutdown().await;
    let records = boundaries(&data);
    let added: Vec<u16> = records[at_first..].iter().map(|record| record.0).collect();
    assert_eq!(added, [kind::KEPT, kind::KEPT, kind::ERASED]);
    let whole = fs::read(log::path_in(&data)).unwrap();
    let erased = key_files(&data);
    let file = data.join("keys/5.keys");
    // A key that is overwritten in part.
    let half = {
        let (old, new) = (&before[&file], &erased[&file]);
        let changed: Vec<usize> = (0..old.len()).filter(|at| old[*at] != new[*at]).collect();
        let middle = changed[changed.len() / 2];
        [&new[..middle], &old[middle..]].concat()
    };
    let end = whole.len() as u64;
    let cuts = records[at_first..].iter().map(|record| (record.1, true)).chain([(end, true), (end, false)]);
    for (n, (cut, listed)) in cuts.enumerate() {
        for (m, keys) in [&before[&file], &half].into_iter().enumerate() {
            // Before the log has the erasure no key is overwritten.
            if m == 1 && cut != end {
                continue;
            }
            let at = world.dir.path().join(format!("killed-{n}-{m}"));
            copy_all(&data, &at);
            for seen in ["index", "snapshots"] {
                fs::remove_dir_all(at.join(seen)).unwrap();
            }
            fs::write(log::path_in(&at), &whole[..usize::try_from(cut).unwrap()]).unwrap();
            fs::write(at.join("keys/5.keys"), keys).unwrap();
            if !listed {
                fs::remove_file(erasures::path_in(&at)).unwrap();
            }
            let node = world.start_with(world.config(&at)).await;
            until("finished", async || opened(&at, &master)[&0] == 0 && kinds(&at).contains(&kind::ERASED)).await;
            verified(&node, &world, &owner_key(0), 0, 0).await;
            node.handle.shutdown().await;
            let again = kinds(&at);
            assert_eq!(again.iter().filter(|kind| **kind == kind::KEPT).count(), 2, "{n}: once a batch");
            assert_eq!(again.iter().filter(|kind| **kind == kind::ERASED).count(), 1);
        }
    }
}

/// Two accounts of one slot are two: each is named, and has a key of its own.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_one_slot_are_erased_one_by_one() {
    let world = moving().await;
    let (data, master) = (world.data(), world.dir.path().join("master"));
    let node = story(&world).await;
    let account = node.handle.service().writer.snapshot().communities[&5].accounts[2].clone();
    let whole = account.balance / units(1) * units(1);
    node.accepted(&world.operation_by(&newcomer(), 2, Kind::Close, account.nonce, |o| o.amount = whole)).await;
    let (status, body) = node.submit(&of_newcomer(&world, 4)).await;
    assert_eq!(status, 201, "{body}");
    node.submit_but(&world, 5, 4, 2).await;
    let (status, body) = node.close(5, 4).await;
    assert_eq!(status, 200, "{body}");
    node.settled(5, 5).await;
    assert!(node.handle.service().writer.snapshot().communities[&5].accounts[2].meter.is_none());
    let (status, body) = erase(&node, 2, &json!({})).await;
    assert_eq!((status, body["code"].as_str()), (409, Some("account.several")), "{body}");
    assert_eq!(erase(&node, 2, &json!({"account": 1})).await.0, 200);
    let found = opened(&data, &master);
    assert!(found[&0] == 5 && found[&1] == 0, "{found:?}");
    assert_eq!(receipt(&node, &world, &newcomer(), 2, 3).await.1["code"], "request.signature");
    verified(&node, &world, &owner_key(2), 2, 1).await;
    assert_eq!(erase(&node, 2, &json!({})).await.1["account"], 0);
    assert_eq!(opened(&data, &master)[&0], 0);
    node.handle.shutdown().await;
    let node = world.start().await;
    verified(&node, &world, &owner_key(0), 0, 2).await;
    node.handle.shutdown().await;
}

/// A key that the log needs and the key file does not have, and one that a crash left half-made.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_log_with_an_older_key_file_is_refused() {
    let world = moving().await;
    let node = world.start().await;
    period(&node, &world, 0, idle(&world, 0)).await;
    node.settled(5, 1).await;
    let old = fs::read(world.data().join("keys/5.keys")).unwrap();
    leave(&node, &world).await;
    period(&node, &world, 1, idle(&world, 1)).await;
    period_of_two(&node, &world, 2).await;
    node.settled(5, 3).await;
    node.handle.shutdown().await;
    let path = world.data().join("keys/5.keys");
    let newest = fs::read(&path).unwrap();
    assert!(newest.starts_with(&old), "keys are only added");
    fs::write(&path, old).unwrap();
    let refused = serve(world.config(&world.data()), world.l1.clone(), world.prover.clone()).await.unwrap_err();
    let Error::Store(StoreError::DataKeys(DataKeyError::KeyFile { community: 5, why })) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("old copy"), "{why}");
    // A key that was being made when the machine stopped: nothing is under it.
    for torn in 1..78 {
        fs::write(&path, [&newest[..], &vec![7; torn]].concat()).unwrap();
        if torn % 13 == 0 {
            world.start().await.handle.shutdown().await;
        }
    }
    fs::write(&path, [&newest[..], &[0; 78]].concat()).unwrap();
    let node = world.start().await;
    period(&node, &world, 3, of_newcomer(&world, 3)).await;
    node.settled(5, 4).await;
    node.handle.shutdown().await;
}
