//! What is exported of an account: everything that is held of it, and nothing of anybody else.

use std::collections::BTreeSet;

use gridveil_api::export::{
    ExportPage, ExportPart, ExportRequest, ExportStage, ExportedAccount, GoneRecord, Outcome, PacketOf,
};
use gridveil_sequencer::store::erasures;

use super::{
    erasing::{erase, idle, moving, newcomer, of_newcomer, opened, period, period_of_two, story},
    late::{late_of, silent_period, taken_late},
    *,
};
use crate::restore::copy_all;

async fn page(node: &Node, slot: u16, request: &ExportRequest) -> (u16, Value) {
    let path = format!("/admin/v1/members/5/{slot}/export");
    node.admin(&path, Some(&serde_json::to_value(request).unwrap()), crate::common::TOKEN).await
}

/// All pages; `between` is done after each.
async fn export_with(
    node: &Node,
    slot: u16,
    account: Option<u32>,
    mut between: impl AsyncFnMut(ExportStage),
) -> (ExportedAccount, Vec<ExportPart>) {
    let mut request = ExportRequest { account, at: None };
    let mut parts = Vec::new();
    loop {
        let (status, body) = page(node, slot, &request).await;
        assert_eq!(status, 200, "{body}");
        let page: ExportPage = serde_json::from_value(body).unwrap();
        parts.extend(page.parts);
        let Some(next) = page.next else { return (page.about, parts) };
        between(next.stage).await;
        request.at = Some(next);
    }
}

async fn export(node: &Node, slot: u16, account: Option<u32>) -> (ExportedAccount, Vec<ExportPart>) {
    export_with(node, slot, account, async |_| {}).await
}

fn json_of(parts: &[ExportPart]) -> String {
    serde_json::to_string(parts).unwrap()
}

/// Parts that a record of the log has sealed for the account.
fn records(parts: &[ExportPart]) -> usize {
    let sealed = |part: &&ExportPart| {
        matches!(
            part,
            ExportPart::State { .. }
                | ExportPart::Packet { .. }
                | ExportPart::Operation { .. }
                | ExportPart::Forced { .. }
        )
    };
    parts.iter().filter(sealed).count()
}

/// Texts that are one account's alone: salts, keys, owner, addresses, and what a packet is drawn with.
fn secrets(world: &World, slot: usize, periods: u32) -> BTreeSet<String> {
    let account = &world.genesis.communities[0].accounts[slot];
    let mut values = vec![serde_json::to_value(account.salts).unwrap(), json!(hex::encode(to_bytes(&account.owner)))];
    values.push(serde_json::to_value(account.meter).unwrap());
    for period in 0..periods {
        let packet = world.packet(5, period, slot, false);
        values.push(serde_json::to_value(packet.packet.salts).unwrap());
        values.push(serde_json::to_value(packet.signature).unwrap());
    }
    let mut found = BTreeSet::new();
    for value in &values {
        texts(value, &mut found);
    }
    assert!(found.len() > 4);
    found
}

fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        // Short ones are no secrets: an empty account has many in common.
        Value::String(text) if text.len() > 30 => {
            found.insert(text.trim_start_matches("0x").trim_start_matches('0').to_owned());
        }
        Value::Array(all) => all.iter().for_each(|one| texts(one, found)),
        Value::Object(all) => all.values().for_each(|one| texts(one, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_everything_of_an_account() {
    let world = world().await;
    let node = world.start().await;
    let nonce = world.nonce(2);
    silent_period(&node, &world, 0, &[2]).await;
    let late = late_of(&world, 0, 2, |_| {});
    taken_late(&node, &late).await;
    node.accepted(&withdraw(&world, 2, nonce, units(5))).await;
    node.accepted(&withdraw(&world, 2, nonce + 1, units(1_000_000))).await;
    node.run_period(&world, 5, 1).await;
    node.settled(5, 2).await;
    // What waits: a packet of the open period.
    assert_eq!(node.submit(&world.packet(5, 2, 2, false)).await.0, 201);
    let (about, parts) = export(&node, 2, None).await;
    assert!(about.lives && !about.erased && about.account == 0 && about.interval_length > 0);
    let packets: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            ExportPart::Packet { of, outcome, packet, counts: true } => {
                Some((*of, packet.packet.context.first_interval, outcome.clone()))
            }
            _ => None,
        })
        .collect();
    let first = first_interval();
    assert_eq!(
        packets,
        [
            (PacketOf::Substitute, first, None),
            (PacketOf::Late, first, Some(Outcome::Done(2))),
            (PacketOf::Meter, first + 2, None),
            (PacketOf::Meter, first + 4, None),
        ]
    );
    let operations: Vec<_> = parts
        .iter()
        .filter_map(|part| match part {
            ExportPart::Operation { outcome, operation } => Some((outcome.clone(), operation.operation.nonce)),
            _ => None,
        })
        .collect();
    let refused = Outcome::Refused("operation.insufficient".to_owned());
    assert_eq!(operations, [(Outcome::Done(2), nonce), (refused, nonce + 1)]);
    let states = parts.iter().filter(|part| matches!(part, ExportPart::State { counts: true, .. })).count();
    assert_eq!(states, 3, "before, and after two periods");
    // Receipts hold against the roots that L1 has, and the tariff is there once.
    let tariffs: Vec<_> = parts
        .iter()
        .filter_map(|p| if let ExportPart::Tariff { tariff, .. } = p { Some(tariff) } else { None })
        .collect();
    assert!(tariffs.len() == 1 && *tariffs[0] == world.tariff);
    let mut receipts = 0;
    for part in &parts {
        let ExportPart::Receipt { batch, receipt } = part else { continue };
        let period = parts.iter().find_map(|part| match part {
            ExportPart::Period(period) if period.batch == *batch => Some(period),
            _ => None,
        });
        let period = period.unwrap();
        assert!(period.is_final && period.first_interval == receipt.first_interval);
        receipt.verify(None, &world.tariff, period.root).unwrap();
        receipts += 1;
    }
    assert_eq!(receipts, 2);
    // Exactly what erasing its key would take.
    assert_eq!(records(&parts), opened(&world.data(), &world.dir.path().join("master"))[&0]);
    // Neither a slot without an account nor one that is not there.
    for slot in [3, 4] {
        assert_eq!(page(&node, slot, &ExportRequest::default()).await.1["code"], "account.unknown");
    }
    let other = ExportRequest { account: Some(1), at: None };
    assert_eq!(page(&node, 2, &other).await.1["code"], "account.unknown");
    // Others go on, and a second export waits.
    let busy = node.handle.service().exports.acquire().await.unwrap();
    let (status, body) = page(&node, 2, &ExportRequest::default()).await;
    assert_eq!((status, body["code"].as_str()), (503, Some("queue.full")), "{body}");
    assert_eq!(node.health().await.0, 200);
    drop(busy);
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_nothing_of_others() {
    let world = moving().await;
    let node = story(&world).await;
    // Slot 2: who left, and who came after, each by its number.
    let (left, old) = export(&node, 2, Some(0)).await;
    let (came, new) = export(&node, 2, None).await;
    assert_eq!((left.lives, left.ended_with, came.lives, came.account), (false, Some(2), true, 1));
    let (old, new) = (json_of(&old), json_of(&new));
    let of_newcomer = ["04".repeat(20), hex::encode(to_bytes(&owner_of(&newcomer()).commitment()))];
    let meter = serde_json::to_value(fixture::meter_public(7)).unwrap();
    let mut theirs: BTreeSet<String> =
        of_newcomer.iter().map(|text| text.trim_start_matches("0x").to_owned()).collect();
    texts(&meter, &mut theirs);
    for secret in &theirs {
        assert!(new.contains(secret.as_str()), "{secret}");
        assert!(!old.contains(secret.as_str()), "the account that came is in the export of the one that left");
    }
    assert!(old.contains("\"receipt\"") && old.contains("\"close\"") && !old.contains("\"enrol\""));
    assert!(new.contains("\"enrol\"") && !new.contains("\"close\""));
    let of_left = secrets(&world, 2, 0);
    for secret in &of_left {
        assert!(old.contains(secret.as_str()) && !new.contains(secret.as_str()), "{secret}");
    }
    // Neighbours.
    for slot in [0, 1] {
        let (_, parts) = export(&node, slot, None).await;
        let own = json_of(&parts);
        let mine = secrets(&world, usize::from(slot), 3);
        for secret in &mine {
            assert!(own.contains(secret.as_str()), "{slot}: {secret}");
            assert!(!old.contains(secret.as_str()) && !new.contains(secret.as_str()), "{slot}: {secret}");
        }
        for secret in secrets(&world, usize::from(1 - slot), 3).union(&of_left).chain(&theirs) {
            assert!(!own.contains(secret.as_str()), "{slot}: {secret}");
        }
    }
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_of_one_moment_while_periods_close() {
    let world = world().await;
    let node = world.start().await;
    node.run_period(&world, 5, 0).await;
    node.settled(5, 1).await;
    let (_, before) = export(&node, 1, None).await;
    let mut periods = 0;
    let (_, parts) = export_with(&node, 1, None, async |_| {
        periods += 1;
        node.run_period(&world, 5, periods).await;
        node.settled(5, usize::try_from(periods).unwrap() + 1).await;
    })
    .await;
    assert!(periods > 0 && parts == before, "{periods}");
    let (_, later) = export(&node, 1, None).await;
    assert!(later.len() > parts.len());
    let root = node.status().await["state_root"].clone();
    node.handle.shutdown().await;
    // Nothing of it is in the log.
    let node = world.start().await;
    assert_eq!(node.status().await["state_root"], root);
    node.handle.shutdown().await;
}

/// After an erasure the export says what is gone; the neighbours' is what it was, and so is that of a backup.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_after_an_erasure_says_what_is_gone() {
    let world = moving().await;
    let node = story(&world).await;
    let neighbour = export(&node, 0, None).await.1;
    let whole = export(&node, 2, Some(0)).await.1;
    node.handle.shutdown().await;
    let backup = world.dir.path().join("backup");
    copy_all(&world.data(), &backup);
    let node = world.start().await;
    assert_eq!(erase(&node, 2, &json!({})).await.0, 200);
    let erased = async |node: &Node| {
        let (about, parts) = export(node, 2, Some(0)).await;
        assert!(about.erased && !about.lives);
        let mut gone: BTreeSet<GoneRecord> = BTreeSet::new();
        for part in &parts {
            match part {
                ExportPart::Gone { what, .. } => drop(gone.insert(*what)),
                ExportPart::Period(_) | ExportPart::Tariff { .. } => {}
                other => panic!("{}", serde_json::to_string(other).unwrap()),
            }
        }
        let all = [GoneRecord::State, GoneRecord::Packet, GoneRecord::Operation, GoneRecord::Receipt];
        assert_eq!(gone, all.into_iter().collect());
        assert!(json_of(&parts).len() < json_of(&whole).len());
        assert!(export(node, 0, None).await.1 == neighbour, "a neighbour has what it had");
    };
    erased(&node).await;
    node.handle.shutdown().await;
    // A backup without the list is as it was; with it, it is erased again.
    let as_it_was = world.dir.path().join("as-it-was");
    copy_all(&backup, &as_it_was);
    let node = world.start_with(world.config(&as_it_was)).await;
    assert!(export(&node, 2, Some(0)).await.1 == whole);
    node.handle.shutdown().await;
    std::fs::copy(erasures::path_in(&world.data()), erasures::path_in(&backup)).unwrap();
    let node = world.start_with(world.config(&backup)).await;
    until("erased again", async || export(&node, 2, Some(0)).await.0.erased).await;
    erased(&node).await;
    node.handle.shutdown().await;
}

/// An account that was handed over has two owners; both sign for the same account.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_has_another_owner_is_one_account() {
    let world = moving().await;
    let node = world.start().await;
    period(&node, &world, 0, idle(&world, 0)).await;
    let (nonce, heir) = (world.nonce(2), SecretKey::from_seed(&[63; 64]));
    node.accepted(&world.operation(2, Kind::Rotate, nonce, |o| o.party = owner_of(&heir).commitment())).await;
    // Signed by the new owner while the first is still the owner, and refused at last.
    let second = world.operation_by(&heir, 2, Kind::Withdraw, nonce + 1, |o| o.amount = units(1_000_000));
    node.accepted(&second).await;
    let (_, parts) = export(&node, 2, None).await;
    let kinds: Vec<Kind> = parts
        .iter()
        .filter_map(
            |p| if let ExportPart::Operation { operation, .. } = p { Some(operation.operation.kind) } else { None },
        )
        .collect();
    assert_eq!(kinds, [Kind::Rotate, Kind::Withdraw]);
    period(&node, &world, 1, idle(&world, 1)).await;
    node.settled(5, 2).await;
    leave_as(&node, &world, &heir, nonce + 1).await;
    period(&node, &world, 2, idle(&world, 2)).await;
    period_of_two(&node, &world, 3).await;
    period(&node, &world, 4, of_newcomer(&world, 4)).await;
    node.settled(5, 5).await;
    let (about, parts) = export(&node, 2, Some(0)).await;
    assert!(!about.lives);
    let operations = parts.iter().filter(|part| matches!(part, ExportPart::Operation { .. })).count();
    assert_eq!(operations, 3);
    node.handle.shutdown().await;
}

/// The account is left by its second owner.
async fn leave_as(node: &Node, world: &World, heir: &SecretKey, nonce: u32) {
    let whole = node.handle.service().writer.snapshot().communities[&5].accounts[2].balance / units(1) * units(1);
    node.accepted(&world.operation_by(heir, 2, Kind::Close, nonce, |o| o.amount = whole)).await;
}
