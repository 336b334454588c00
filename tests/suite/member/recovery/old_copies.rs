//! Folders that are one or more commands old, and two folders that sign with one key.

use super::*;
use gridveil_meter_client::{outbox::OutboxError, recover::take_back_packet, sync::SyncError};

type Act = fn(&mut World, &mut Session, &Transition);

/// What a newer copy of the folder does after the old one was put away.
const KINDS: [(&str, Act); 6] = [
    ("an operation that waits", |_, alice, _| {
        withdraw(alice, 5);
    }),
    ("two that wait", |_, alice, _| {
        withdraw(alice, 5);
        withdraw(alice, 6);
    }),
    ("a deposit and its claim", |world, alice, _| {
        let claim = operation::deposit::claim(&alice.actor().unwrap(), 700 * UNIT_NANO).unwrap();
        deposit(alice, &world.chain(), &claim).unwrap();
    }),
    ("a transfer and its claim, settled", |world, alice, before| {
        send(alice, owner_of(&world.members[1].owner).commitment(), [0x41; 20], 12_345).unwrap();
        next_day(world, before);
        alice.sync(false).unwrap();
    }),
    ("packets, receipts and certificates", |world, alice, before| {
        let second = next_day(world, before);
        next_day(world, &second);
        alice.sync(false).unwrap();
    }),
    ("another payout address, settled, and one operation after it", |world, alice, before| {
        let actor = alice.actor().unwrap();
        let signed = operation::rotate::build(&actor, &owner_of(&alice.keys.owner), [0x77; 20], 0).unwrap();
        operate(alice, &signed).unwrap();
        next_day(world, before);
        alice.sync(false).unwrap();
        withdraw(alice, 5);
    }),
];

#[test]
fn an_old_copy_is_healed_whatever_it_lacks() {
    for (name, act) in KINDS {
        let (mut world, input) = World::new();
        let first = world.settle(input);
        session(&world, "0").sync(false).unwrap();
        copy(&world, "0", "old");
        let mut newer = session(&world, "0");
        act(&mut world, &mut newer, &first);
        let (state, nonce) = (contents(newer.wallet.state()), newer.actor().unwrap().account.nonce);
        drop(newer);
        let mut old = session(&world, "old");
        old.sync(false).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(contents(old.wallet.state()) == state, "{name}");
        assert_eq!(old.actor().unwrap().account.nonce, nonce, "{name}: the next nonce is that of the newer copy");
        for t in &world.book.lock().unwrap().settled {
            let [new, healed] = ["0", "old"].map(|folder| outbox(&world, folder).packet(&period(t)).unwrap());
            assert!(new.is_some() && new == healed, "{name}");
        }
        // What it signs next has a number of its own.
        let taken: Vec<u32> = world.book.lock().unwrap().operations.values().map(|s| s.operation.nonce).collect();
        let next = withdraw(&mut old, 1).operation.nonce;
        assert!(!taken.contains(&next), "{name}");
    }
}

/// Both copies have signed the same number, and the operator has the newer one's.
#[test]
fn an_operation_of_an_old_copy_that_lost_its_place_is_named_so() {
    let (mut world, input) = World::new();
    world.settle(input);
    session(&world, "0").sync(false).unwrap();
    copy(&world, "0", "old");
    let first = withdraw(&mut session(&world, "0"), 5);
    let mut old = session(&world, "old");
    let other = operation::withdraw::build(&old.actor().unwrap(), 6 * UNIT_NANO).unwrap();
    assert_eq!(other.operation.nonce, first.operation.nonce);
    old.wallet.keep_operation(&other).unwrap();
    old.sync(true).unwrap();
    let progress: Vec<_> = old.wallet.state().operations.iter().map(|kept| kept.progress.clone()).collect();
    assert_eq!(progress, [Progress::Superseded, Progress::Sent]);
    assert_eq!(old.actor().unwrap().account.nonce, first.operation.nonce + 1);
    assert_eq!(world.book.lock().unwrap().operations.len(), 1, "the other one was not handed in");
}

#[test]
fn a_period_that_a_newer_copy_has_handed_in_is_not_signed_again() {
    let (mut world, input) = World::new();
    let first = world.settle(input);
    let keys = world.members[0].clone();
    let next = Period { first_interval: period(&first).first_interval + 2, ..period(&first) };
    let signed = draft(&first, 5).sign(&fixture::meter_key(0)).unwrap();
    world.book.lock().unwrap().packets.insert((0, next.first_interval), signed.clone());
    let old = outbox(&world, "old");
    let sequencer = Sequencer::new(&world.sequencer, Retry::default()).unwrap();
    assert!(take_back_packet(&sequencer, &keys, &fixture::meter_public(0), &old, &next).unwrap());
    assert!(old.is_delivered(&next).unwrap());
    assert_eq!(old.sign_once(draft(&first, 5), &fixture::meter_key(0)).unwrap(), signed, "the same bytes");
    let other = old.sign_once(draft(&first, 6), &fixture::meter_key(0));
    assert!(matches!(other, Err(OutboxError::AlreadySigned { .. })));
    // Another member's packet is not taken for one's own, and then nothing is signed.
    let neighbours = Draft { slot: 1, ..draft(&first, 5) }.sign(&fixture::meter_key(1)).unwrap();
    world.book.lock().unwrap().packets.insert((0, next.first_interval), neighbours);
    let error =
        take_back_packet(&sequencer, &keys, &fixture::meter_public(0), &outbox(&world, "empty"), &next).unwrap_err();
    assert!(matches!(error, SyncError::GivenBack { .. }) && error.to_string().contains("another slot"), "{error}");
}

/// Two folders have signed the same day. The one that was settled counts, and nobody is accused.
#[test]
fn two_folders_that_signed_one_day_are_told_apart_from_a_wrong_settlement() {
    let (mut world, input) = World::new();
    let mut readings = input.packets[0].packet.readings.clone();
    readings[0].import += 1;
    let draft = Draft {
        context: input.context(),
        slot: 0,
        readings,
        buy_limit: Ticks(10),
        sell_limit: Ticks(20),
        scale: input.packets[0].packet.scale,
    };
    let second = outbox(&world, "second").sign_once(draft, &fixture::meter_key(0)).unwrap();
    let t = world.settle(input);
    let mut alice = session(&world, "second");
    assert_eq!(alice.sync(false).unwrap(), 1);
    let kept = outbox(&world, "second").packet(&period(&t)).unwrap().unwrap();
    assert!(kept == t.input.packets[0] && kept != second);
    // Where the operator shows no such packet, that is said, and no fault of anybody's is proven.
    world.book.lock().unwrap().lies.given_back = Some(Box::new(|_, given_back| given_back.packet = None));
    for folder in ["third", "fourth"] {
        let mut other = session(&world, folder);
        if folder == "fourth" {
            outbox(&world, folder).take_back(&period(&t), &second).unwrap();
        }
        let error = other.sync(false).unwrap_err().to_string();
        assert!(error.contains("no fault is proven") && error.contains("shows no"), "{error}");
    }
}
