//! Packets that come late, and the substitutes they correct.

use std::collections::BTreeSet;

use super::{given_back::given_back, *};
use crate::common::USED;

fn late(world: &World, period: u32, edit: impl FnOnce(&mut SignedPacket)) -> SignedPacket {
    late_of(world, period, 2, edit)
}

pub(super) fn late_of(world: &World, period: u32, slot: usize, edit: impl FnOnce(&mut SignedPacket)) -> SignedPacket {
    let mut signed = world.packet(5, period, slot, false);
    edit(&mut signed);
    signed.packet.sign(&fixture::meter_key(slot)).unwrap()
}

/// A late packet is taken; gives where to ask about it.
pub(super) async fn taken_late(node: &Node, signed: &SignedPacket) -> String {
    let (status, body) = node.submit(signed).await;
    assert_eq!((status, &body["status"]), (202, &json!("late")), "{body}");
    format!("/v1/operations/{}", body["packet_id"].as_str().unwrap())
}

async fn substituted_period(node: &Node, world: &World, period: u32) {
    silent_period(node, world, period, &[2]).await;
}

/// A period in which these slots' meters are silent: the meter data manager asks which are missing, and substitutes.
pub(super) async fn silent_period(node: &Node, world: &World, period: u32, silent: &[usize]) {
    node.publish(world, 5).await;
    for slot in (0..3).filter(|slot| !silent.contains(slot)) {
        assert_eq!(node.submit(&world.packet(5, period, slot, false)).await.0, 201);
    }
    let missing = node.missing(5).await;
    assert_eq!(missing.iter().map(|m| m.0).collect::<Vec<_>>(), silent);
    for (slot, previous_substitute) in missing {
        let (status, body) = node.submit(&world.substitute(5, period, slot, previous_substitute)).await;
        assert_eq!(status, 201, "{body}");
    }
    assert!(node.missing(5).await.is_empty());
    let (status, body) = node.close(5, period).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_packet_corrects_the_last_substitute_once() {
    let world = world().await;
    let node = world.start().await;
    substituted_period(&node, &world, 0).await;
    for (code, status, packet) in [
        ("packet.signature", 422, {
            let mut p = late(&world, 0, |_| {});
            p.packet.readings[0].import ^= 1;
            p
        }),
        ("packet.length", 422, late(&world, 0, |p| p.packet.readings.truncate(1))),
        ("packet.closed", 410, late(&world, 0, |p| p.packet.context.first_interval.0 -= 2)),
        ("packet.closed", 410, world.packet(5, 0, 0, true)),
    ] {
        let (got, body) = node.submit(&packet).await;
        assert_eq!((got, body["code"].as_str().unwrap()), (status, code), "{body}");
    }
    let packet = late(&world, 0, |_| {});
    let (status, body) = node.submit(&packet).await;
    assert_eq!((status, &body["status"]), (202, &json!("late")));
    assert_eq!(node.submit(&packet).await.1["status"], "duplicate");
    assert_eq!(node.submit(&late(&world, 0, |p| p.packet.buy_limit.0 += 1)).await.1["code"], "packet.duplicate");
    let path = format!("/v1/operations/{}", body["packet_id"].as_str().unwrap());
    assert_eq!(node.get(&path).await.1["state"], "pending");
    assert_eq!(node.status().await["communities"][0]["late"], 1);
    let kept = given_back(&node, &world, &owner_key(2), 2, 0).await;
    assert!(kept.late.as_ref() == Some(&packet) && kept.packet.is_none());
    // Booked by a batch that is not proven: no receipt has it yet, and a lost folder would sign the period again.
    world.prover.stuck.store(true, Ordering::SeqCst);
    node.run_period(&world, 5, 1).await;
    let kept = given_back(&node, &world, &owner_key(2), 2, 0).await;
    assert!(kept.late.as_ref() == Some(&packet) && kept.packet.is_none());
    assert!(given_back(&node, &world, &owner_key(1), 1, 0).await.late.is_none(), "of its own slot alone");
    world.prover.stuck.store(false, Ordering::SeqCst);
    node.settled(5, 2).await;
    assert_eq!(node.get(&path).await.1["batch"], 2);
    let corrected: Vec<_> =
        effects(&world.l1).await.into_iter().filter(|e| matches!(e, RollupEffect::Corrected { .. })).collect();
    let tariff_commitment = to_bytes(&world.tariff.commitment());
    assert_eq!(
        corrected,
        [RollupEffect::Corrected { community: 5, first_interval: first_interval().0, tariff_commitment }]
    );
    let receipt = verified(&node, &world, &owner_key(2), 2, 1).await;
    assert_eq!(receipt.correction.unwrap().late, packet);
    assert_eq!(node.submit(&packet).await.1["status"], "duplicate");
    assert_eq!(node.submit(&late(&world, 0, |p| p.packet.buy_limit.0 += 1)).await.1["code"], "packet.closed");
    // A substitute of an account that has new terms is final.
    substituted_period(&node, &world, 2).await;
    let (status, body) = node.submit(&late(&world, 2, |_| {})).await;
    assert_eq!(status, 202, "{body}");
    let stale = format!("/v1/operations/{}", body["packet_id"].as_str().unwrap());
    let terms = world.operation(2, Kind::Terms, world.nonce(2), |o| {
        o.terms = Some(Terms {
            active_until: Interval::MAX,
            scale: 1,
            cap_import: 9000,
            cap_export: 9000,
            ..Terms::default()
        })
    });
    node.accepted(&terms).await;
    substituted_period(&node, &world, 3).await;
    assert_eq!(node.get(&stale).await.1, json!({"state": "refused", "code": "correction.not_pending"}));
    assert_eq!(node.submit(&late(&world, 3, |_| {})).await.1["code"], "packet.closed");
    node.settled(5, 4).await;
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_was_silent_for_several_periods_is_corrected_for_each() {
    let world = world().await;
    let node = world.start().await;
    for period in 0..3 {
        substituted_period(&node, &world, period).await;
    }
    // What has to be named is told, and nothing else is taken.
    let [(2, previous_substitute)] = node.missing(5).await.into_iter().filter(|m| m.0 == 2).collect::<Vec<_>>()[..]
    else {
        panic!("slot 2 is missing")
    };
    assert_ne!(previous_substitute, Fr::from(0u64));
    assert_eq!(node.submit(&world.substitute(5, 4, 2, previous_substitute)).await.1["code"], "packet.early");
    for stale in [Fr::from(0u64), previous_substitute + Fr::from(1u64)] {
        let (status, body) = node.submit(&world.substitute(5, 3, 2, stale)).await;
        assert_eq!((status, body["code"].as_str().unwrap()), (409, "packet.stale"), "{body}");
    }
    assert_eq!(node.missing(5).await.len(), 3, "a stale one is not kept");
    // The oldest comes first, and waits for those above it.
    let mut paths = Vec::new();
    for period in 0..3 {
        paths.push(taken_late(&node, &late(&world, period, |_| {})).await);
    }
    assert_eq!(node.submit(&late(&world, 0, |p| p.packet.buy_limit.0 += 1)).await.1["code"], "packet.duplicate");
    assert_eq!(node.status().await["communities"][0]["late"], 3);
    node.handle.kill().await;
    let node = world.start().await;
    let states = async |node: &Node| {
        let mut states = Vec::new();
        for path in &paths {
            states.push(node.get(path).await.1["batch"].as_u64());
        }
        states
    };
    node.run_period(&world, 5, 3).await;
    assert_eq!(states(&node).await, [None, None, Some(4)]);
    // Silent again: nothing is booked in that period, nor above its substitute.
    substituted_period(&node, &world, 4).await;
    node.run_period(&world, 5, 5).await;
    assert_eq!(states(&node).await, [None, None, Some(4)]);
    let newest = taken_late(&node, &late(&world, 4, |_| {})).await;
    for (period, batch) in [(6, [None, None, Some(4)]), (7, [None, Some(8), Some(4)]), (8, [Some(9), Some(8), Some(4)])]
    {
        node.run_period(&world, 5, period).await;
        assert_eq!(states(&node).await, batch);
    }
    assert_eq!(node.get(&newest).await.1["batch"], 7);
    node.settled(5, 9).await;
    for (period, corrected) in [(3, 2), (6, 4), (7, 1), (8, 0)] {
        let receipt = verified(&node, &world, &owner_key(2), 2, period).await;
        assert_eq!(receipt.correction.unwrap().late, late(&world, corrected, |_| {}));
        assert_eq!(node.submit(&late(&world, corrected, |_| {})).await.1["status"], "duplicate");
        assert_eq!(
            node.submit(&late(&world, corrected, |p| p.packet.buy_limit.0 += 1)).await.1["code"],
            "packet.closed"
        );
    }
    let state = node.handle.service().writer.snapshot().communities[&5].clone();
    assert_eq!((state.accounts[2].pending_substitute, state.header.totals.corrected), (Fr::from(0u64), 4));
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operation_makes_final_is_refused_from_top_to_bottom() {
    let world = world().await;
    let node = world.start().await;
    for period in 0..2 {
        substituted_period(&node, &world, period).await;
    }
    let terms = world.operation(2, Kind::Terms, world.nonce(2), |o| {
        o.terms = Some(Terms {
            active_until: Interval::MAX,
            scale: 1,
            cap_import: 9000,
            cap_export: 9000,
            ..Terms::default()
        })
    });
    node.accepted(&terms).await;
    let paths = [taken_late(&node, &late(&world, 0, |_| {})).await, taken_late(&node, &late(&world, 1, |_| {})).await];
    node.run_period(&world, 5, 2).await;
    for path in &paths {
        assert_eq!(node.get(path).await.1, json!({"state": "refused", "code": "correction.not_pending"}));
    }
    // A new row of pending substitutes begins, and the old one stays final.
    substituted_period(&node, &world, 3).await;
    for period in 0..2 {
        assert_eq!(node.submit(&late(&world, period, |_| {})).await.1["code"], "packet.closed");
    }
    let path = taken_late(&node, &late(&world, 3, |_| {})).await;
    node.run_period(&world, 5, 4).await;
    assert_eq!(node.get(&path).await.1["state"], "applied");
    node.settled(5, 5).await;
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

/// A slot whose newest substitute stays waits alone: others are served, the oldest packet first.
#[tokio::test(flavor = "multi_thread")]
async fn correctable_late_packets_are_served_in_the_order_they_came() {
    let world = world().await;
    let node = world.start().await;
    silent_period(&node, &world, 0, &[0, 1, 2]).await;
    silent_period(&node, &world, 1, &[2]).await;
    // Slot 2's is the oldest, but lies beneath.
    let mut paths = Vec::new();
    for slot in [2, 1, 0] {
        paths.push(taken_late(&node, &late_of(&world, 0, slot, |_| {})).await);
    }
    for period in 2..5 {
        node.run_period(&world, 5, period).await;
    }
    let mut batches = Vec::new();
    for path in &paths {
        batches.push(node.get(path).await.1["batch"].as_u64());
    }
    assert_eq!(batches, [None, Some(3), Some(4)]);
    assert_eq!(node.status().await["communities"][0]["late"], 1);
    assert!(node.handle.service().health.stopped().is_none());
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_substitute_of_an_mdm_who_left_is_corrected_too() {
    let world = world().await;
    let node = world.start().await;
    substituted_period(&node, &world, 0).await;
    let management = Management { mechanism: Mechanism::Auction, mdm: owner_key(9).public(), reserve: 0, skip: 0 };
    let management = Some(management.sign(world.domain(), &place(0, 1), &fixture::mdm_key()).unwrap());
    assert_eq!(
        node.header(5, &serde_json::to_value(HeaderOperation { transfer: None, management }).unwrap()).await.0,
        201
    );
    node.run_period(&world, 5, 1).await;
    // The new meter data manager's substitute names the old one's.
    node.submit_but(&world, 5, 2, 2).await;
    let previous_substitute = node.missing(5).await[0].1;
    let by_the_new_one = world.substitute(5, 2, 2, previous_substitute).packet.sign(&owner_key(9)).unwrap();
    assert_eq!(node.submit(&by_the_new_one).await.0, 201);
    assert_eq!(node.close(5, 2).await.0, 200);
    for period in [0, 2] {
        taken_late(&node, &late(&world, period, |_| {})).await;
    }
    for period in [3, 4] {
        node.run_period(&world, 5, period).await;
        node.settled(5, period as usize + 1).await;
        let corrected = verified(&node, &world, &owner_key(2), 2, period).await.correction.unwrap();
        assert_eq!(corrected.late, late(&world, if period == 3 { 2 } else { 0 }, |_| {}));
    }
    node.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_packet_of_a_period_that_is_being_settled_comes_again() {
    let world = short_of_supplier().await;
    let node = world.start().await;
    node.publish(&world, 5).await;
    for slot in 0..3 {
        assert_eq!(node.submit(&world.packet(5, 0, slot, slot == 2)).await.0, 201);
    }
    assert_eq!(node.close(5, 0).await.1["code"], "settlement.supplier_account_too_small");
    assert_eq!(node.submit(&late(&world, 0, |_| {})).await.1["code"], "correction.early");
    // And an operation waits all the same.
    node.accepted(&world.operation(0, Kind::Rotate, world.nonce(0), |o| (o.party, o.payout) = (owner(1), PAYOUT)))
        .await;
    node.handle.shutdown().await;
}

/// SETTLE.1 comes first: a stranger is told the same of a slot that waits, and of one that does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_does_not_learn_whose_meter_was_silent() {
    let forged = |world: &World, slot: usize| {
        let mut signed = late_of(world, 0, slot, |_| {});
        signed.packet.buy_limit.0 += 1;
        signed
    };
    let code = async |node: &Node, packet: &SignedPacket| {
        let (_, body) = node.submit(packet).await;
        body["code"].as_str().unwrap().to_owned()
    };
    let (being_settled, settled) = (short_of_supplier().await, world().await);
    for (world, closes, owners) in [(being_settled, 422, "correction.early"), (settled, 200, "packet.duplicate")] {
        let node = world.start().await;
        node.publish(&world, 5).await;
        for slot in 0..3 {
            assert_eq!(node.submit(&world.packet(5, 0, slot, slot == 2)).await.0, 201);
        }
        assert_eq!(node.close(5, 0).await.0, closes);
        for slot in 0..3 {
            assert_eq!(code(&node, &forged(&world, slot)).await, "packet.signature", "slot {slot}");
        }
        // Nor does whoever has another meter's key, or says to be the meter data manager.
        let other = world.packet(5, 0, 2, false).packet.sign(&fixture::meter_key(0)).unwrap();
        let substitute = world.packet(5, 0, 2, true).packet.sign(&fixture::meter_key(2)).unwrap();
        for packet in [other, substitute] {
            assert_eq!(code(&node, &packet).await, "packet.signature");
        }
        // Who can sign is told.
        assert_eq!(code(&node, &late_of(&world, 0, 0, |p| p.packet.buy_limit.0 += 1)).await, "packet.closed");
        node.submit(&late(&world, 0, |_| {})).await;
        assert_eq!(code(&node, &late(&world, 0, |p| p.packet.buy_limit.0 += 1)).await, owners);
        node.handle.shutdown().await;
    }
}

/// Forged packets of every slot, used or empty, before, in and after the open period, are answered in the same words. An
/// empty slot was told (`account.unknown`).
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_does_not_learn_which_slots_are_in_use() {
    let world = World::new().await;
    let node = world.start().await;
    node.publish(&world, 5).await;
    for slot in 0..USED {
        assert_eq!(node.submit(&world.packet(5, 0, slot, false)).await.0, 201);
    }
    node.close(5, 0).await;
    node.settled(5, 1).await;
    let stranger = fixture::meter_key(77);
    let members = world.genesis.communities[0].shape.members;
    assert!(members > USED);
    let mut codes = BTreeSet::new();
    // The third: another form than a packet's, which is told without its slot.
    let cases = [(0, false), (0, true), (1, false), (1, true), (2, false)].map(|(period, by)| (period, by, 0));
    let misformed = [(0, false, 1), (1, false, 1), (1, true, 1), (1, false, 2), (0, false, 2)];
    for (period, substituted, form) in cases.into_iter().chain(misformed) {
        let mut answers = BTreeSet::new();
        for slot in 0..members {
            let mut packet = world.packet(5, period, 0, substituted).packet;
            packet.slot = slot.try_into().unwrap();
            match form {
                1 => packet.readings.push(gridveil_protocol::packet::Reading::default()),
                2 => packet.previous_substitute = Fr::from(1u64),
                _ => {}
            }
            let (status, mut body) = node.submit(&packet.sign(&stranger).unwrap()).await;
            assert!(body.as_object_mut().unwrap().remove("instance").is_some(), "of each request another");
            codes.insert(body["code"].as_str().unwrap().to_owned());
            answers.insert((status, body.to_string().replace(&format!("slot {slot}"), "slot")));
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
    }
    assert_eq!(
        codes.into_iter().collect::<Vec<_>>(),
        ["packet.early", "packet.length", "packet.previous_substitute", "packet.signature"]
    );
    // Nor does the public page count them.
    assert_eq!(node.get("/v1/communities/5").await.1["open"].as_object().unwrap().len(), 2);
    node.handle.shutdown().await;
}
